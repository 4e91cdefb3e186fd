"""Tokens a second of llama.cpp in bf16: what 'opd bench generate' and 'opd bench score' measure, by the same rules.

usage: llamacpp_bench.py MODEL.gguf THREADS     prints one JSON object a line

Needs llama-cpp-python and gguf. The GGUF's weights are widened to bf16 first, into a temporary file.
"""

import ctypes
import functools
import json
import os
import random
import sys
import tempfile
import time

import gguf
import llama_cpp as llama
import numpy as np
from gguf.quants import dequantize, quantize

source, threads = sys.argv[1], int(sys.argv[2])


def write_bf16(source, target):
    reader = gguf.GGUFReader(source)
    architecture = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(target, architecture)
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        kind = field.types[0]
        element = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, element)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)
    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        if values.ndim == 1:
            writer.add_tensor(tensor.name, values)
        else:
            kind = gguf.GGMLQuantizationType.BF16
            writer.add_tensor(tensor.name, quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "bf16.gguf")
    write_bf16(source, path)
    silent = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)
    llama.llama_log_set(silent, None)
    llama.llama_backend_init()
    parameters = llama.llama_model_default_params()
    parameters.use_mmap = False
    model = llama.llama_model_load_from_file(path.encode(), parameters)
vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))


def make_context(sequences, length):
    parameters = llama.llama_context_default_params()
    parameters.n_ctx = sequences * length
    parameters.n_batch = parameters.n_ubatch = 2048
    parameters.n_seq_max = sequences
    parameters.n_threads = parameters.n_threads_batch = threads
    parameters.kv_unified = False
    return llama.llama_init_from_model(model, parameters)


def fill(batch, rows):
    """rows: (token, position, sequence, wants logits)."""
    batch.n_tokens = len(rows)
    for i, (token, position, sequence, wanted) in enumerate(rows):
        batch.token[i], batch.pos[i], batch.logits[i] = token, position, wanted
        batch.n_seq_id[i] = 1
        batch.seq_id[i][0] = sequence


def decode(context, batch):
    status = llama.llama_decode(context, batch)
    if status:
        sys.exit(f"llama_decode: {status}")


def generate(context, batch, sequences, prompt, new):
    llama.llama_memory_clear(llama.llama_get_memory(context), True)
    rows = [(random.randrange(3, vocabulary), p, s, p == prompt - 1) for s in range(sequences) for p in range(prompt)]
    for start in range(0, len(rows), 2048):
        fill(batch, rows[start : start + 2048])
        decode(context, batch)
    # Random tokens stand for drawn ones: llama.cpp's own sampling would take as long again at 64 sequences.
    for step in range(new):
        fill(batch, [(random.randrange(3, vocabulary), prompt + step, s, True) for s in range(sequences)])
        decode(context, batch)


def report(what, tokens, body, **shape):
    """Best of two after one that is not counted."""
    best = float("inf")
    for repetition in range(3):
        start = time.perf_counter()
        body()
        if repetition:
            best = min(best, time.perf_counter() - start)
    print(
        json.dumps(
            {"peer": "llama.cpp", "what": what, "dtype": "bf16", "threads": threads}
            | {"tokens_per_second": tokens / best}
            | shape
        ),
        flush=True,
    )


batch = llama.llama_batch_init(2048, 0, 1)
for sequences in (1, 16, 64):
    context = make_context(sequences, 128)
    body = functools.partial(generate, context, batch, sequences, 32, 64)
    report("generate", sequences * 64, body, batch=sequences)
    llama.llama_free(context)
