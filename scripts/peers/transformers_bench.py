"""Tokens a second of Hugging Face transformers: what 'opd bench' measures, by the same rules.

usage: transformers_bench.py MODEL_FOLDER bf16|f32 THREADS     prints one JSON object a line; no sampling in f32
"""

import json
import sys
import time

import torch
from transformers import AutoModelForCausalLM

folder, dtype, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
torch.set_num_threads(threads)
torch.manual_seed(0)
model = AutoModelForCausalLM.from_pretrained(folder, dtype={"bf16": torch.bfloat16, "f32": torch.float32}[dtype])
vocabulary = model.config.vocab_size


def random_ids(batch, length):
    return torch.randint(3, vocabulary, (batch, length))


def logprobs(ids):
    logits = model(ids).logits[:, :-1].float()
    return torch.log_softmax(logits, -1).gather(-1, ids[:, 1:, None])[..., 0]


def report(what, tokens, body, repetitions, **shape):
    """Best of `repetitions` after one that is not counted."""
    best = float("inf")
    for repetition in range(repetitions + 1):
        start = time.perf_counter()
        body()
        if repetition:
            best = min(best, time.perf_counter() - start)
    print(
        json.dumps(
            {"peer": "transformers", "what": what, "dtype": dtype, "threads": threads}
            | {"tokens_per_second": tokens / best}
            | shape
        ),
        flush=True,
    )


model.eval()
with torch.no_grad():
    for batch in (1, 16, 64) if dtype == "bf16" else ():
        prompt = random_ids(batch, 32)
        report(
            "generate",
            batch * 64,
            lambda prompt=prompt: model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                min_new_tokens=64,
                max_new_tokens=64,
                do_sample=True,
                temperature=1.0,
                top_k=0,
                top_p=1.0,
                pad_token_id=0,
            ),
            repetitions=1,
            batch=batch,
        )
    ids = random_ids(16, 128)
    report("score", 16 * 128, lambda: logprobs(ids), repetitions=2, batch=16)

model.train()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)
ids = random_ids(8, 128)


def step():
    (-logprobs(ids).mean()).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()


report("train", 8 * 128, step, repetitions=2, batch=8)
