"""Seconds a step of TRL's DistillationTrainer on the CPU: what 'opd bench pipeline' measures, on the same models.

usage: trl_bench.py TEACHER_FOLDER STUDENT_FOLDER STEPS THREADS     prints one JSON object
"""

import json
import os
import statistics
import sys
import tempfile
import time

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from datasets import Dataset
from transformers import AutoTokenizer, TrainerCallback
from trl import DistillationConfig, DistillationTrainer

teacher, student, steps, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
prompts, tokens = 16, 64
torch.set_num_threads(threads)
topics = "rain bread trains moons chess bicycles salt volcanoes tea maps glass bees paper clocks rivers music".split()
rows = [{"prompt": [{"role": "user", "content": f"Write two sentences about {topic}."}]} for topic in topics]
times = []


class Clock(TrainerCallback):
    def on_step_begin(self, *_, **__):
        self.start = time.perf_counter()

    def on_step_end(self, *_, **__):
        times.append(time.perf_counter() - self.start)


with tempfile.TemporaryDirectory() as folder:
    config = DistillationConfig(
        output_dir=folder,
        per_device_train_batch_size=prompts,
        gradient_accumulation_steps=1,
        max_steps=steps,
        max_completion_length=tokens,
        learning_rate=1e-5,
        temperature=1.0,
        beta=1.0,
        bf16=True,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        gradient_checkpointing=False,
        disable_tqdm=True,
        model_init_kwargs={"dtype": "bfloat16"},
        teacher_model_init_kwargs={"dtype": "bfloat16"},
    )
    DistillationTrainer(
        model=student,
        teacher_model=teacher,
        args=config,
        train_dataset=Dataset.from_list(rows * steps),
        processing_class=AutoTokenizer.from_pretrained(teacher),
        callbacks=[Clock()],
    ).train()
median = statistics.median(times[1:])
print(
    json.dumps(
        {"peer": "trl", "what": "pipeline", "dtype": "bf16", "threads": threads, "samples": prompts}
        | {"step_s": median, "samples_per_second": prompts / median}
    )
)
