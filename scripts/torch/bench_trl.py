#!/usr/bin/env python3
"""Measures whole steps of TRL's DistillationTrainer for bench.py, and prints the seconds of one and TRL's version.

A step draws responses of full length by transformers' generation, has a teacher of the student's files grade them, and
trains all weights: f32 masters, computed in the type that is given. The first step does not count.
usage: bench_trl.py MODEL [--rows 16] [--prompt 256] [--response 768] ...
"""

import argparse
import sys
import tempfile
import time
from importlib import metadata


def word_tokenizer(size):
    """Returns a tokenizer whose words are the ids themselves, so that models without one have prompts, too."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({str(number): number for number in range(size)}, unk_token="0"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=words, eos_token="0", pad_token="0", padding_side="left")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
    parser.add_argument("--dtype", default="bf16", choices=["bf16", "f32"])
    parser.add_argument("--rows", type=int, default=16, help="responses of a step")
    parser.add_argument("--prompt", type=int, default=256, help="tokens of a prompt")
    parser.add_argument("--response", type=int, default=768, help="tokens of a response")
    parser.add_argument("--seconds", type=float, default=20, help="of the measurement")
    parser.add_argument("--recompute", action="store_true", help="compute activations again in the backward pass")
    given = parser.parse_args()

    import torch
    import transformers
    from datasets import Dataset
    from trl import DistillationConfig, DistillationTrainer

    class Clock(transformers.TrainerCallback):
        """Ends the training when it has taken long enough."""

        begun, steps, seconds = 0.0, -1, 0.0

        def on_step_end(self, _args, _state, control, **_):
            if given.device == "cuda":
                torch.cuda.synchronize()
            self.steps += 1
            self.begun = self.begun or time.monotonic()
            self.seconds = time.monotonic() - self.begun
            control.should_training_stop = self.steps > 0 and self.seconds >= given.seconds

    dice = torch.Generator().manual_seed(1)
    ids = torch.randint(1, 256, (64 * given.rows, given.prompt), generator=dice).tolist()
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = DistillationTrainer(
            model=given.model,
            teacher_model=given.model,
            args=DistillationConfig(
                output_dir=folder,
                use_cpu=given.device == "cpu",
                bf16=given.dtype == "bf16",
                teacher_model_init_kwargs={"dtype": "bfloat16" if given.dtype == "bf16" else "float32"},
                per_device_train_batch_size=given.rows,
                max_completion_length=given.response,
                # No end token ends a response before it has its length.
                generation_kwargs={"min_new_tokens": given.response},
                gradient_checkpointing=given.recompute,
                optim="adamw_torch_fused",
                learning_rate=1e-6,
                max_steps=1_000_000,
                save_strategy="no",
                logging_strategy="no",
                report_to="none",
                disable_tqdm=True,
            ),
            train_dataset=Dataset.from_dict({"prompt": [" ".join(map(str, row)) for row in ids]}),
            processing_class=word_tokenizer(256),
            callbacks=[clock],
        )
        try:
            trainer.train()
        except torch.OutOfMemoryError:
            print("no room")
            return
    print(f"{clock.seconds / clock.steps:.2f} s ({metadata.version('trl')})")


if __name__ == "__main__":
    sys.exit(main())
