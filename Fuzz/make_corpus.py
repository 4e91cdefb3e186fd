#!/usr/bin/env python3
"""Writes Fuzz/Corpus: small well-formed inputs for every fuzz target, from the fixtures of Tests and Examples.

Inputs of other origin stay; they are named at the end.
"""

import hashlib
import json
import math
import os
import re
import struct
import zlib

here = os.path.dirname(os.path.abspath(__file__))
root = os.path.dirname(here)
written = set()


def put(target, name, data):
    written.add(f"{target}/{name}")
    os.makedirs(f"{here}/Corpus/{target}", exist_ok=True)
    with open(f"{here}/Corpus/{target}/{name}", "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())


def read(path):
    with open(f"{root}/{path}", "rb") as file:
        return file.read()


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# copy: Sources/CheckpointCopies/CopyManifest.swift has the format; an address follows.
listed = "opd checkpoint copy 1\n" + "".join(
    f"{hashlib.sha256(name.encode()).hexdigest()} {len(name)} {name}\n" for name in ["manifest", "model/a.safetensors"]
)
listed += hashlib.sha256(listed.encode()).hexdigest() + " end\n"
put("copy", "folder", listed + "\0/mnt/copies")
put("copy", "ssh", listed + "\0ssh://me@host:22/~/copies/run-1")
put("copy", "password", listed + "\0ssh://me:secret@host/runs/1")
put("copy", "s3", listed + "\0s3://bucket/runs/1")

# store: Sources/CheckpointCopies/Places/S3 has what answers and profiles are.
profiles = """[default]
aws_access_key_id = AKIA  ; a remark
aws_secret_access_key = a/b+c
[profile lab]
services = own
[services own]
s3 =
  endpoint_url = https://box:9000
"""
listing = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix/>
<Contents><Key>a&amp;b&#x3c;</Key><ETag>&quot;x&quot;</ETag><Size>12</Size></Contents>
<IsTruncated>true</IsTruncated><NextContinuationToken>t=/+</NextContinuationToken></ListBucketResult>"""
upload = "<Upload><Key>k</Key><UploadId>i</UploadId></Upload>"
put("store", "listing", listing + "\0" + profiles)
put("store", "refusal", "<Error><Code>NoSuchBucket</Code><Message>it &#10; is gone</Message><Region>r</Region></Error>")
put("store", "uploads", f"<ListMultipartUploadsResult>{upload}</ListMultipartUploadsResult>\0{profiles}region=a b")


# term: Sources/RunFiles/Terms/TermRecord.swift has the format.
def term_record(state, reason):
    text = (
        f"opd term 1\nholder 81985529216486895\nterm 7\nhost 2f6c-boot@machine-1\nprocess 4711\nafter_ms 30000\n"
        f"state {state}\nbeat 42\nreason {reason}"
    )
    body = text.encode().ljust(1024 - len("\ncheck 00000000\n"))
    return body + f"\ncheck {zlib.crc32(body):08x}\n".encode()


put("term", "held", term_record("held", ""))
put("term", "handed-over", term_record("handed_over", "stopped by SIGTERM"))
put("term", "cut", term_record("held", "")[:512])


# difference: Sources/WeightDifferences/WeightDifference.swift has the format, Fuzz/Targets/Differences.swift the base.
def frame(content):
    """A zstd frame of one block that is not compressed."""
    return struct.pack("<IBB", 0xFD2FB528, 0x20, len(content)) + struct.pack("<I", len(content) << 3 | 1)[:3] + content


def moved(base, place, width, way):
    """Moves an element by that many places in the order of its type's values."""
    sign = 1 << (8 * width - 1)
    bits = int.from_bytes(base[place : place + width], "little")
    bits = (bits ^ (2 * sign - 1 if bits & sign else sign)) + way
    base[place : place + width] = (bits ^ (sign if bits & sign else 2 * sign - 1)).to_bytes(width, "little")


old = bytearray(number * 37 & 0xFF for number in range(96))
new = bytearray(old)
for place, width, way in [(6, 2, 1), (14, 2, -1), (72, 4, 300)]:
    moved(new, place, width, way)
table, streams = b"", b""
for start, end, listed in [
    (0, 40, [b"\3\3", b"\2\1", b""]),
    (40, 64, []),
    (64, 88, [b"\2", b"\x58", b"\2", b"", b""]),
    (88, 96, []),
]:
    parts = [frame(part) if part else part for part in listed]
    table += struct.pack("<II", zlib.crc32(new[start:end]), len(listed[0]) if listed else 0)
    if listed:
        table += struct.pack("<I", len(listed[0])) + b"".join(struct.pack("<I", len(part)) for part in parts)
    streams += b"".join(parts)
put("difference", "small", b"OPDDIFF1" + struct.pack("<QQQII", 6, 7, 96, zlib.crc32(old), len(table)) + table + streams)

# wire: a mode byte, the header with its length, array frames with theirs (Fuzz/Targets/Wire.swift).
golden = read("Tests/WireTests/Golden.swift").decode()
golden = re.search(r'"""\n(.*?)"""', golden, re.DOTALL).group(1).replace("\\\n", "").replace(" " * 8, "")
for line in golden.strip().split("\n"):
    name, frames = line.split(" ")
    header, *arrays = [bytes.fromhex(frame) for frame in frames.split("|")[1:]]
    sized = b"".join(struct.pack("<H", len(part)) + part for part in [header, *arrays])
    put("wire", name, b"\0" + sized)
    if arrays:
        put("wire", name + "-fitted", b"\1" + struct.pack("<H", len(header)) + header)

# Grades that list two tokens at each of two positions, and the grant that asks for them.
listed = {
    "score_grant-top": (
        "0a04080110039a02170a150a040805100110011a016120502803300138024832",
        ["010000000200000003000000"],
    ),
    "scores-top": (
        "0a04080210020a04080410040a04080510040a0408061002a202170a0c0a0408051001100118022002110900000000000000",
        [
            "000080be000040c0",
            "01000000040000000000000007000000",
            "000080bf000000c00000c0bf000080bf",
            "000000bf000040bf",
        ],
    ),
}
for name, (written_header, written_arrays) in listed.items():
    header, arrays = bytes.fromhex(written_header), [bytes.fromhex(array) for array in written_arrays]
    put("wire", name, b"\0" + b"".join(struct.pack("<H", len(part)) + part for part in [header, *arrays]))
    put("wire", name + "-fitted", b"\1" + struct.pack("<H", len(header)) + header)

# exchange: events (Fuzz/Targets/Exchanges.swift): a worker and a scorer join, ask, deliver, and a step is trained.
step = [
    [1, 0, 0, 0, 0, 1, 3 | 2 << 4, 1, 0, 3, 0, 1, 1, 7, 0],
    [2, 0, 3, 0, 2, 0, 0, 0, 1, 1, 0, 0, 0, 2, 2, 0, 0, 0, 0],
    [2, 0, 1, 3, 2, 0, 0, 0, 0],
    [3, 1, 3, 0, 0, 0, 1, 0, 0, 2, 0, 0, 0, 3, 1, 1, 3, 0, 0, 0, 9, 0, 6, 0, 70, 5, 0],
]
put("exchange", "step", b"".join(map(bytes, step)))
# The same with two listed tokens of each position.
step[0][0] = 4
step[3] = [
    *[3, 1, 3, 0, 0, 0, 2, 0, 1, 1, 0, 0, 2, 0, 1, 2, 0, 0, 2, 0, 1, 0],
    *[3, 1, 1, 3, 0, 0, 2, 0, 1, 0, 9, 0, 6, 0, 70, 5, 0],
]
put("exchange", "top", b"".join(map(bytes, step)))
put("exchange", "leave", bytes([0, 0, 0, 2, 1, 0, 0, 5, 0, 7, 0, 4, 0, 0, 6, 0, 200, 7, 0, 0, 9, 1, 5, 0]))


# safetensors
def safetensors(tensors, metadata=None):
    header, data = ({"__metadata__": metadata} if metadata else {}), b""
    for name, kind, shape, content in tensors:
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = compact(header).encode()
    return struct.pack("<Q", len(text)) + text + data


floats = struct.pack("<4f", 1, -2, 0.5, 3)
put(
    "safetensors",
    "mixed",
    safetensors(
        [
            ("a", "F32", [2, 2], floats),
            ("b", "BF16", [2], b"\x80\x3f\x00\xc0"),
            ("c", "F16", [1, 1], b"\0\x3c"),
            ("d", "I64", [1], struct.pack("<q", -7)),
            ("e", "U8", [3], b"abc"),
            ("f", "F32", [0, 4], b""),
        ],
        {"format": "pt"},
    ),
)
put("safetensors", "one", safetensors([("model.norm.weight", "F32", [4], floats)]))

# gguf: whole models of one layer
TEXT, LIST, U32, F32, I32, BOOL, U16 = 8, 9, 4, 6, 5, 7, 2


def text(value):
    value = value.encode()
    return struct.pack("<Q", len(value)) + value


def gguf(metadata, tensors):
    out = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    for key, kind, value in metadata:
        out += text(key) + struct.pack("<I", kind)
        if kind == TEXT:
            out += text(value)
        elif kind == U32:
            out += struct.pack("<I", value)
        elif kind == U16:
            out += struct.pack("<H", value)
        elif kind == F32:
            out += struct.pack("<f", value)
        elif kind == BOOL:
            out += bytes([value])
        elif isinstance(value[0], str):
            out += struct.pack("<IQ", TEXT, len(value)) + b"".join(map(text, value))
        else:
            out += struct.pack("<IQ", I32, len(value)) + struct.pack(f"<{len(value)}i", *value)
    data = b""
    for name, dimensions, kind in tensors:
        data += b"\0" * (-len(data) % 32)
        out += text(name) + struct.pack("<I", len(dimensions)) + struct.pack(f"<{len(dimensions)}Q", *dimensions)
        out += struct.pack("<IQ", kind, len(data))
        count, size = {0: (1, 4), 1: (1, 2), 30: (1, 2), 8: (32, 34), 2: (32, 18), 3: (32, 20)}.get(kind) or k_quants[
            kind
        ]
        data += bytes(math.prod(dimensions) // count * size)
    return out + b"\0" * (-len(out) % 32) + data


k_quants = {6: (32, 22), 7: (32, 24), 20: (32, 18), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176)}
k_quants[14] = (256, 210)
# One tensor of each block format, and no model.
blocks = [(f"t{kind}", [count, 2], kind) for kind, (count, _) in k_quants.items()]
put("gguf", "blocks", gguf([("general.architecture", TEXT, "llama")], blocks))

# A tokenizer with scores, and no model.
pieces = ["<unk>", "<s>", "</s>", "<0x0A>", "\u2581", "a", "b", "ab", "\u2581a"]
scored = [
    ("general.architecture", TEXT, "llama"),
    ("tokenizer.ggml.model", TEXT, "llama"),
    ("tokenizer.ggml.tokens", LIST, pieces),
    ("tokenizer.ggml.scores", LIST, [0, 0, 0, 0, -5, -6, -7, -1, -2]),
    ("tokenizer.ggml.token_type", LIST, [2, 3, 3, 6, 1, 1, 1, 1, 1]),
    ("tokenizer.ggml.bos_token_id", U32, 1),
]
put("gguf", "scores", gguf(scored, []))


# gguf_parts: two parts, as llama.cpp cuts a model
def part(number, metadata, tensors):
    split = [("split.no", U16, number), ("split.count", U16, 2), ("split.tensors.count", U32, 3)]
    return gguf(metadata + split, tensors)


model = [("general.architecture", TEXT, "llama")]
whole = [("a", [32, 2], 0), ("b", [32], 8), ("c", [256], 12)]
for name, cut in [("one-two", 1), ("none-three", 0)]:
    head, tail = part(0, model, whole[:cut]), part(1, [], whole[cut:])
    put("gguf_parts", name, struct.pack("<I", len(head)) + head + tail)

tokens = ["a", "b", "ab", "Ġ", "<s>", "</s>"]
for family, kind, pre in [
    ("llama", 0, "llama-bpe"),
    ("qwen2", 30, "qwen2"),
    ("qwen3", 1, "smollm"),
    ("llama", 8, "gpt-2"),
    ("llama", 2, "gpt-2"),
    ("llama", 3, "gpt-2"),
]:
    width = 32 if kind in (8, 2, 3) else 4
    metadata = [
        ("general.architecture", TEXT, family),
        (f"{family}.block_count", U32, 1),
        (f"{family}.context_length", U32, 64),
        (f"{family}.embedding_length", U32, width),
        (f"{family}.feed_forward_length", U32, width),
        (f"{family}.attention.head_count", U32, 2),
        (f"{family}.attention.head_count_kv", U32, 1),
        (f"{family}.attention.layer_norm_rms_epsilon", F32, 1e-5),
        (f"{family}.rope.freq_base", F32, 10000.0),
        ("tokenizer.ggml.model", TEXT, "gpt2"),
        ("tokenizer.ggml.pre", TEXT, pre),
        ("tokenizer.ggml.tokens", LIST, tokens),
        ("tokenizer.ggml.token_type", LIST, [1, 1, 1, 1, 3, 3]),
        ("tokenizer.ggml.merges", LIST, ["a b"]),
        ("tokenizer.ggml.bos_token_id", U32, 4),
        ("tokenizer.ggml.eos_token_id", U32, 5),
        ("tokenizer.ggml.add_bos_token", BOOL, 1),
        ("tokenizer.chat_template", TEXT, "{{'<|im_start|>'+message['role']+'\n'+message['content']+'<|im_end|>'}}"),
    ]
    keys = width // 2
    tensors = [("token_embd.weight", [width, 6], kind), ("output_norm.weight", [width], 0)]
    for name, dimensions in [
        ("attn_norm", [width]),
        ("attn_q", [width, width]),
        ("attn_k", [width, keys]),
        ("attn_v", [width, keys]),
        ("attn_output", [width, width]),
        ("ffn_norm", [width]),
        ("ffn_gate", [width, width]),
        ("ffn_up", [width, width]),
        ("ffn_down", [width, width]),
    ]:
        tensors.append((f"blk.0.{name}.weight", dimensions, 0 if len(dimensions) == 1 else kind))
    if family == "qwen2":
        tensors += [(f"blk.0.attn_{name}.bias", [size], 0) for name, size in [("q", width), ("k", keys), ("v", keys)]]
    if family == "qwen3":
        tensors += [(f"blk.0.attn_{name}_norm.weight", [keys], 0) for name in "qk"]
    if pre == "llama-bpe":
        tensors.append(("rope_freqs.weight", [1], 0))
    put("gguf", f"{family}-{kind}", gguf(metadata, tensors))

# A mixture: the arrays of all experts, and no tokenizer.
sizes = {
    "block_count": 1,
    "context_length": 64,
    "embedding_length": 8,
    "feed_forward_length": 16,
    "attention.head_count": 1,
    "attention.head_count_kv": 1,
    "attention.key_length": 8,
    "expert_count": 3,
    "expert_used_count": 2,
    "expert_feed_forward_length": 4,
}
mixture = [("general.architecture", TEXT, "qwen3moe")]
mixture += [(f"qwen3moe.{key}", U32, value) for key, value in sizes.items()]
mixture += [("qwen3moe.attention.layer_norm_rms_epsilon", F32, 1e-6), ("qwen3moe.rope.freq_base", F32, 1e6)]
experts = [("token_embd.weight", [8, 5], 0), ("output_norm.weight", [8], 0)]
experts += [(f"blk.0.{name}.weight", [8], 0) for name in ["attn_norm", "attn_q_norm", "attn_k_norm", "ffn_norm"]]
experts += [(f"blk.0.attn_{name}.weight", [8, 8], 0) for name in ["q", "k", "v", "output"]]
experts += [("blk.0.ffn_gate_inp.weight", [8, 3], 0), ("blk.0.ffn_down_exps.weight", [4, 8, 3], 0)]
experts += [(f"blk.0.ffn_{name}_exps.weight", [8, 4, 3], 0) for name in ["gate", "up"]]
put("gguf", "qwen3moe", gguf(mixture, experts))

# tokenizer.json, with the parts of every variant of the tests and few tokens
small = {
    "model": {"type": "BPE", "vocab": {token: number for number, token in enumerate(tokens)}, "merges": ["a b"]},
    "added_tokens": [
        {"id": 4, "content": "<s>", "special": True},
        {"id": 5, "content": "</s>", "special": False, "lstrip": True, "rstrip": True, "single_word": True},
    ],
    "normalizer": {"type": "NFC"},
    "decoder": {"type": "ByteLevel"},
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
    "post_processor": {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
        "special_tokens": {"<s>": {"ids": [4]}},
    },
}
put("tokenizer", "small", compact(small))
bytes_ = small["pre_tokenizer"]
pattern = r"x(?i:k|'t)(?<n>a)\k<n>[^(\s|[.,]\W\h]{,2}+\b\w{2}?[[:alpha:]\u4e00-\x{9FA5}]++\p{Han}\P{^ L u }(?m-i)\v"
split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated"}
put("tokenizer", "pattern", compact({**small, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, bytes_]}}))
for base in ["bpe-llama3", "bpe-qwen"]:
    file = json.loads(read(f"Tests/Fixtures/golden/{base}.tokenizer.json"))
    put("tokenizer", base, compact({**small, "pre_tokenizer": file["pre_tokenizer"], "normalizer": file["normalizer"]}))
for index, variant in enumerate(json.loads(read("Tests/Fixtures/tokenizers/variants.json"))):
    parts = {key: value for key, value in variant["replace"].items() if key != "model" and len(compact(value)) < 1500}
    put("tokenizer", f"variant-{index}", compact({**small, **parts}))

# SentencePiece-style files: the golden ones' parts, and every step there is
spm_tokens = ["<unk>", "<s>", "</s>", "\u2581", "a", "b", "ab", "\u2581a", "<0xE2>", "<0x82>", "<0xAC>", "<0x0A>"]
spm = {
    "model": {
        "type": "BPE",
        "unk_token": "<unk>",
        "fuse_unk": True,
        "byte_fallback": True,
        "vocab": {token: number for number, token in enumerate(spm_tokens)},
        "merges": [["a", "b"], ["\u2581", "a"]],
    },
    "added_tokens": [{"id": number, "content": spm_tokens[number], "special": True} for number in range(3)],
}
for base in ["llama2", "mistral", "gemma", "phi3", "always"]:
    file = json.loads(read(f"Tests/Fixtures/golden/spm/spm-{base}.tokenizer.json"))
    keys = ["normalizer", "pre_tokenizer", "decoder", "post_processor"]
    put("tokenizer", f"spm-{base}", compact({**spm, **{key: file[key] for key in keys}}))
steps = {
    "normalizer": {
        "type": "Sequence",
        "normalizers": [
            *({"type": kind} for kind in ["NFC", "NFD", "NFKC", "NFKD", "Lowercase"]),
            {"type": "Strip", "strip_left": True, "strip_right": False},
            {"type": "Prepend", "prepend": "\u2581"},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
        ],
    },
    "pre_tokenizer": {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Punctuation", "behavior": "MergedWithNext"},
            {"type": "Whitespace"},
            {"type": "WhitespaceSplit"},
            {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": True},
            {"type": "ByteLevel", "add_prefix_space": True, "use_regex": False},
            {"type": "Digits", "individual_digits": True},
        ],
    },
    "decoder": {
        "type": "Sequence",
        "decoders": [
            {"type": "Replace", "pattern": {"Regex": "[a]"}, "content": "b"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 1},
            {"type": "Metaspace", "replacement": "\u2581", "add_prefix_space": True},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Replace", "pattern": {"String": "ab"}, "content": "c"},
            {"type": "Strip", "content": "b", "start": 1, "stop": 2},
        ],
    },
}
for key, value in steps.items():
    put("tokenizer", f"spm-{key}", compact({**spm, "decoder": {"type": "Fuse"}, key: value}))

put("text", "words", "Hello, world! It's 12345 o'clock.\n\n  <|im_start|>user\r\n\tabab  ab <tool>")
put("text", "scripts", "e\u0301 é \u1112\u1161\u11ab 한 שלום 你好 \U0001f468\u200d\U0001f469 \u180e\u3000 Å \u212b")
put("retokenize", "bytes", bytes(range(256)))
put("retokenize", "words", bytes([13, 33, 13, 33, 6, 22, 70, 23, 54, 100, 54, 13, 54, 54, 226, 45, 72, 3]))
put("text", "broken", b"\xff\xc3(\xe2\x82 ok \xed\xa0\x80 \xf4\x90\x80\x80")

put("json", "values", '{"a":[1,-2.5e3,true,null,"\\u00e9\\ud83d\\ude00\\n"],"b":{"":0},"c":9223372036854775807}')
put("json", "deep", "[" * 20 + '{"k":[]}' + "]" * 20)

golden = f"{root}/Tests/Fixtures/golden"
for case in sorted(name for name in os.listdir(golden) if os.path.exists(f"{golden}/{name}/config.json")):
    config = compact(json.loads(read(f"Tests/Fixtures/golden/{case}/config.json")))
    generation = compact(json.loads(read(f"Tests/Fixtures/golden/{case}/generation_config.json")))
    put("config", case, config + "\0" + generation)
put(
    "config",
    "mistral",
    compact(
        {
            "model_type": "mistral",
            "vocab_size": 32,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": None,
            "sliding_window": None,
            "eos_token_id": [2, 3],
            "rope_scaling": {"type": "linear", "factor": 2.0},
        }
    ),
)

# Models of several parts: the text in a section of its own, and beside the keys of its eyes.
text_part = {
    "vocab_size": 32,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}
put(
    "config",
    "llava",
    compact(
        {
            "model_type": "llava",
            "tie_word_embeddings": True,
            "text_config": {**text_part, "model_type": "mistral", "tie_word_embeddings": False},
        }
    ),
)
put(
    "config",
    "qwen2-vl",
    compact({"model_type": "qwen2_vl", **text_part, "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]}}),
)

put("yaml", "smollm2", read("Examples/smollm2.yaml"))
put(
    "yaml",
    "small",
    "name: a\nstudent: {model: m}\nteachers: {default: {model: t}, math: {model: u, dtype: f32}}\n"
    "data: {prompts: p}\ntraining: {learning_rate: 1e-4, steps: 1_000}\n",
)
put("yaml", "anchors", "a: &x {model: m}\nstudent: *x\nteachers:\n  default: *x\n<<: *x\n")

put("prompts", "examples", b"\n".join(read("Examples/prompts.jsonl").split(b"\n")[:3]))
put(
    "prompts",
    "chat",
    '{"messages":[{"role":"system","content":"x"},{"role":"user","content":"\\u00e9"}],"answer":"56",'
    '"teacher":"math","tags":["a"]}\n\n{"prompt":"a","answer":null}\n',
)
verified = [
    {"prompt": "12 and 4, or 7", "answer": "7", "verifier": "numeric"},
    {
        "prompt": "a:b",
        "answer": "B",
        "verifier": {"name": "exact", "after": ":", "ignore_case": True},
        "response": "b",
    },
    {"prompt": "aaa", "verifier": {"name": "regex", "pattern": "^(a+)+$"}},
    {"prompt": "A-B", "verifier": {"name": "rules", "rules": ["items dash a b", "uppercase", "max_words 5"]}},
]
put("prompts", "verifiers", "".join(json.dumps(prompt) + "\n" for prompt in verified))
call = {"name": "f", "arguments": {}}
others = [
    {
        "id": 1,
        "tools": json.dumps([{"name": "f"}]),
        "conversations": [
            {"from": "human", "value": "a"},
            {"from": "function_call", "value": json.dumps(call)},
            {"from": "observation", "value": "1"},
        ],
    },
    {"instruction": "a", "input": "b", "output": "c"},
    {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a"}]},
            {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "content": "x"},
        ]
    },
]
put("prompts", "sharegpt", "".join(json.dumps(prompt) + "\n" for prompt in others))
chosen = [{"role": "assistant", "content": "b"}]
put("prompts", "list", json.dumps([{"prompt": [{"role": "user", "content": "a"}], "completion": chosen}, others[1]]))
asked = {"question": "a", "answer": {"text": "b"}, "x": 1}
put("table", "list", json.dumps([asked, {"conversations": [{"from": "human", "value": "c"}]}]))
put("table", "named", ",question,answer,level\n0,1+1?,2,easy\n1,Why?,,\n")
put("table", "quoted", '\ufeffprompt,answer,tags\r\n"a, ""b""\nc",4,"[""x""]"\r\n\nplain,,\n')

# template, a BOS and a content, with NUL between
for name, template in {
    "chatml": "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m.content | trim + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    "llama3": "{{- bos_token }}{%- set date = strftime_now('%d %b %Y') if strftime_now is defined else '' %}\n"
    "{%- for message in messages %}{{ message['content'] | trim + '<|eot_id|>' }}{%- endfor %}{{ date }}",
    "mistral": "{%- if messages[0]['role'] == 'system' %}{%- set s, rest = messages[0].content, messages[1:] %}"
    "{%- else %}{%- set rest = messages %}{%- endif %}{%- for m in rest %}{%- if (m.role == 'user') != "
    "(loop.index0 % 2 == 0) %}{{- raise_exception('roles') }}{%- endif %}[INST] {{ m.content }}{% endfor %}",
    "macros": "{% macro f(a, b=2) %}{{ a }}{{ b }}{{ varargs }}{{ caller() if caller }}{% endmacro %}{{ f(1) }}"
    "{% call f(3, 4, 5) %}x{% endcall %}{% filter upper %}y{% endfilter %}{% with z = 1 %}{{ z }}{% endwith %}",
    "loops": "{% for k, v in {'a': [1, 2]}.items() recursive %}{{ loop.index }}{{ k }}{% else %}e{% endfor %}"
    "{% for x in range(9) if x is odd %}{% if x > 5 %}{% break %}{% endif %}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "values": "{% set n = namespace(x=[]) %}{% for i in range(3) %}{% set n.x = n.x + [(i, {'k': 1e3})] %}{% endfor %}"
    "{{ n.x | tojson(indent=2) }}{{ n.x }}{{ n.x[-1][1].k // 2 ** 3 % 5 ~ 'a' }}{{ n.x[::-1] | map('first') | list }}",
    "filters": "{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | join(', ') }}"
    "{{ 'a,b'.split(',') | sort(reverse=true) | batch(2) | list }}{{ '{:>5}|{!r}'.format('x', 1) }}{{ '%5.2f' % 1 }}",
    "blocks": "{% set t %}a{{ 1 }}{% endset %}{% generation %}{{ t }}{% endgeneration %}{% raw %}{{ x }}{% endraw %}"
    "{#- c -#}\n  {%+ if messages[-1].content is string and not tools -%} s {%- endif +%}\n",
}.items():
    put("template", name, template + "\0<s>\0content with {{ syntax }} and 東京")

# checkpoint: state.json, then the manifest
state = compact(
    {
        "format": 1,
        "step": 2,
        "cursor": 4,
        "seed": 1,
        "promptsPerStep": 2,
        "samplesPerPrompt": 2,
        "promptsDigest": "d",
        "tokenizerFingerprint": "t",
        "tokens": {"generated": 9, "trained": 6, "discarded": 1, "inFlight": 2},
    }
).encode()
lines = b"opd checkpoint manifest 1\n%08x %d state.json\n" % (zlib.crc32(state), len(state))
put("checkpoint", "small", state + b"\0" + lines + b"%08x end\n" % zlib.crc32(lines))


# Dictionaries: the words that readers look for.
def quoted(text, *others):
    """The words of `text` in quotation marks, and others as they are."""
    return [*(f'"{word}"' for word in text.split()), *others]


words = {
    "json": ["true", "false", "null", "\\u", "\\ud800", "1e999", "-0", "[[[[", '{"a":', "9223372036854775808"],
    "tokenizer": quoted(
        """model vocab merges added_tokens normalizer NFC pre_tokenizer Sequence pretokenizers normalizers processors
        decoders ByteLevel Split Digits pattern Regex String behavior Isolated Removed MergedWithPrevious MergedWithNext
        Contiguous invert individual_digits add_prefix_space use_regex post_processor TemplateProcessing single
        SpecialToken id special_tokens ids decoder content special lstrip rstrip single_word normalized ignore_merges
        unk_token fuse_unk byte_fallback dropout type BPE NFD NFKC NFKD Lowercase Strip strip_left strip_right Prepend
        prepend Replace Punctuation Whitespace WhitespaceSplit Metaspace replacement prepend_scheme always first never
        ByteFallback Fuse start stop""",
        *r"\\p{L} \\s+(?!\\S) (?i: (a+)+$ (?R) \\K {1,3} (?<= [^ *+ true null".split(),
    ),
    "config": quoted(
        """model_type llama mistral qwen2 qwen3 architectures vocab_size hidden_size intermediate_size num_hidden_layers
        num_attention_heads num_key_value_heads head_dim max_position_embeddings rms_norm_eps rope_theta rope_scaling
        rope_parameters rope_type linear llama3 factor low_freq_factor high_freq_factor original_max_position_embeddings
        tie_word_embeddings attention_bias mlp_bias bos_token_id eos_token_id pad_token_id sliding_window
        use_sliding_window layer_types max_window_layers hidden_act silu quantization_config partial_rotary_factor
        text_config llava qwen2_vl mrope mrope_section yarn longrope short_factor long_factor beta_fast truncate
        gemma3_text full_attention sliding_attention no_rope_layers num_experts mlp_only_layers""",
        *"null 1e308 -1 4611686018427387904".split(),
    ),
    "safetensors": quoted("dtype shape data_offsets F32 BF16 I64 __metadata__", "[0,", "4611686018427387904"),
    "gguf": r"""general.architecture general.alignment llama. qwen2. qwen3. block_count context_length embedding_length
        feed_forward_length attention.head_count attention.head_count_kv attention.key_length attention.value_length
        rope.freq_base rope.dimension_count rope.scaling.type rope.scaling.factor rope.scale_linear linear llama3
        rope.scaling.original_context_length attention.sliding_window expert_count rope_freqs.weight output.weight
        tokenizer.ggml.pre tokenizer.ggml.tokens tokenizer.ggml.merges tokenizer.ggml.token_type
        \x00\x00\x00\x00\x00\x80\x00\x00 \xff\xff\xff\xff\xff\xff\xff\x7f""".split(),
    "yaml": """name: student: teachers: data: sampling: objective: training: pipeline: evaluation: checkpoint: model:
        dtype: prompts: steps: &a *a <<: !!str !!binary !!int !!merge --- ... %YAML ? | > [[[[ {{{{ .inf .nan 0x7f
        1_000 ~ null true""".split(),
    "prompts": quoted(
        """prompt messages role content user assistant system tool answer teacher tags response verifier name exact
        numeric regex rules after pattern tolerance ignore_case conversations from value human gpt function_call
        observation instruction input output history tools tool_calls arguments completion""",
        '"max_words 5"',
        '"items dash a b"',
        '"enclosed []"',
        '"sorted comma"',
    ),
    "template": """{{ }} {% %} {%- -%} {# #} for in if elif else endif endfor set endset macro endmacro call
        endcall filter
        endfilter with endwith generation endgeneration raw endraw break continue recursive not and or is defined none
        true false namespace( range( dict( loop. loop.index messages message.role ['content'] tool_calls tools
        add_generation_prompt bos_token |tojson |trim |join( |map( |selectattr( |default( |list .split( .items()
        .strip() .format( [1:] [::-1] ** // ~ == != <= raise_exception( strftime_now(""".split(),
    "text": r"<|im_start|> <|im_end|> <tool> \xcc\x81 \xe1\xa0\x8e \xf0\x9f\x98\x80 \xff 's".split(),
    "checkpoint": quoted(
        """format step cursor seed promptsPerStep samplesPerPrompt promptsDigest tokenizerFingerprint tokens generated
        trained discarded inFlight pending before after training timing evaluation version""",
        "18446744073709551615",
        "-1",
        "../",
        " end",
    ),
}
os.makedirs(f"{here}/Dictionaries", exist_ok=True)
for target, entries in words.items():
    escaped = [word if "\\x" in word else word.replace("\\", "\\\\") for word in entries]
    with open(f"{here}/Dictionaries/{target}.dict", "w") as file:
        file.writelines('"' + word.replace('"', '\\"') + '"\n' for word in escaped)


def torch(name, header, **arrays):
    """A message of a torch engine: how many frames there are, then each behind its length."""
    listed = [[key, "i32" if kind == "i" else "f32", len(values)] for key, (kind, values) in arrays.items()]
    frames = [json.dumps({**header, "arrays": listed}).encode()]
    frames += [struct.pack(f"<{len(values)}{kind}", *values) for kind, values in arrays.values()]
    put("torch", name, bytes([len(frames)]) + b"".join(struct.pack("<H", len(frame)) + frame for frame in frames))


hello = {"version": 1, "torch": "2.13.0+cpu", "transformers": "5.24.0", "device": "cpu", "processes": 2, "processId": 7}
torch("hello", {"verb": "hello", "id": 0, **hello})
torch("evaluation", {"verb": "forward", "id": 3}, logprobs=("f", [-0.5, -1.25, -3]), entropies=("f", [1, 2, 0.5]))
torch("step", {"verb": "step", "id": 4, "norm": None, "applied": False, "finite": True})
torch("error", {"verb": "error", "id": 2, "code": "memory", "message": "rank 0: out of memory in forward"})
torch(
    "responses",
    {"verb": "sample", "id": 9, "moved": True},
    numbers=("i", [4, 7]),
    counts=("i", [2, 1]),
    tokens=("i", [11, 2, 300]),
    logprobs=("f", [-0.5, -0.25, -7]),
    versions=("i", [1, 2, 2]),
)
# run: metrics.jsonl and, after a NUL, samples.jsonl (Fuzz/Targets/Runs.swift).
step = {"step": 1, "version": 1, "loss": -5.6, "teacher_kl": 0.7791343566017284, "lr": 1.25e-05, "batch_tokens": 4}
counts = {"tokens_generated": 5, "tokens_trained": 4, "tokens_discarded": 0, "tokens_in_flight": 1, "step_s": 0.25}
held = {"eval_responses": 2, "eval_tokens": 9, "eval_teacher_kl": None, "eval_pass_at_1": 0.5}
bad = {"step": 2, "version": 1, "skipped": 'the "loss" is nan\n'}
sample = {"step": 1, "id": "0.1", "kind": "evaluation", "teacher": "a", "prompt": "p<\n", "response": "aé"}
sample |= {"finish_reason": "stop", "ids": [5, 6], "student_logprobs": [-0.5, None], "teacher_logprobs": [-1, -2e-05]}
sample |= {"versions": [0, 1], "ends": [1, 3], "tags": ["x"], "reward": 1.0, "passed": True}
lines = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in [step | counts | held, bad])
put("run", "small", lines + "\0" + 2 * (json.dumps(sample, ensure_ascii=False) + "\n"))
put("run", "steps", lines)

# server: what vLLM and SGLang answer, of the ids that Fuzz/Targets/Server.swift asks about.
asked = [504, 1768, 9001]


def server(name, answer):
    put("server", name, compact(answer) + "\n")


served = [{"id": "m", "parent": None, "max_model_len": 2048}, {"id": "opd-v1", "parent": "m"}]
server("models", {"object": "list", "data": served})
graded = {"1768": {"logprob": -1.5, "rank": 3, "decoded_token": "x"}}, {"9001": {"logprob": -0.25, "rank": 1}}
answered = {"index": 0, "finish_reason": "length", "prompt_token_ids": asked}
scores = {"text": " a", "logprobs": None, "token_ids": [253], "prompt_logprobs": [None, *graded]}
server("vllm-scores", {"choices": [{**answered, **scores}]})
listed = [None, {"1768": {"logprob": -3.5}, "7": {"logprob": -0.5}, "6": {"logprob": -2.0}}]
listed.append({"9001": {"logprob": -0.25, "rank": 1}, "12": {"logprob": -4.0, "rank": 2}})
server("vllm-top", {"choices": [{**answered, "prompt_logprobs": listed}]})
sample = {"text": "x", "logprobs": {"token_logprobs": [-1, -2.5, -0.5]}, "token_ids": [5, 6, 7]}
server("vllm-sample", {"choices": [{**answered, **sample}]})
meta = {"finish_reason": {"type": "length"}, "prompt_tokens": 3}
logprobs = [[None, 504, None], [-1.5, 1768, None], [-0.25, 9001, "x"]]
server("sglang-scores", {"text": "", "meta_info": {**meta, "input_token_logprobs": logprobs}})
meta = {"finish_reason": {"type": "stop", "matched": 2}, "prompt_tokens": 3}
sample = {"output_ids": [5, 2], "meta_info": {**meta, "output_token_logprobs": [[-1, 5, None], [-0.5, 2, None]]}}
server("sglang-sample", {"text": "x", **sample})

# request: what a browser sends to the server of a page (Fuzz/Targets/Pages.swift).
end = "\r\n\r\n"
put(
    "request", "page", "GET / HTTP/1.1\r\nHost: localhost:7717\r\nAccept: text/html\r\nCookie: opd-watch-7717=abc" + end
)
put("request", "samples", "GET /samples?run=1&a=b%20c HTTP/1.1\r\nHost: [::1]:7717\r\nAuthorization: Bearer abc" + end)
put("request", "body", "POST /%00 HTTP/1.0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked" + end + "abcde")

# program: what was asked, the size of the parts, and what a program answers (Fuzz/Targets/Programs.swift).
for name, asked_kind, answer in [
    ("reset", 0, {"episode": 7}),
    ("step", 1, {"episode": 7, "observation": "higher\n", "reward": 0.5, "done": False}),
    ("message", 1, {"episode": 7, "observation": {"role": "tool", "content": "42 \u00e9"}}),
    ("done", 1, {"episode": 7, "done": True, "reward": 1}),
    ("unrewarded", 130, {"episode": 7, "done": True}),
    ("end", 2, {"episode": 7}),
]:
    put("program", name, bytes([asked_kind, 15]) + (json.dumps(answer) + "\n").encode())

# hosts: a file of hosts, what a machine answers, a record of what runs where (Fuzz/Targets/Placements.swift).
listed = """learner: { host: trainer, address: 10.0.0.1, port: 7177 }
folder: opd
hosts:
  trainer: { ssh: me@10.0.0.1, threads: 8 }
  sampler: { workers: 2 }
  grader: { folder: /data/opd, scorers: { math: 2, default: 1 } }
"""
answer = """welcome
opd-report 1
fact\tmachine\tx86_64
problem\tit is late
process\trollout-a-0\trunning\t17\t3\t00ff\tjoined run x
process\tlearner\t143\t18\t9\t00ff\tdone
opd-end
"""
placed = {"name": "a", "ssh": "me@a", "folder": "opd", "key": 1}, {"name": "here", "ssh": None, "folder": "/", "key": 2}
record = {"name": "x", "run_folder": "runs/x", "learner": "a", "begun": True, "keys_given": 3, "hosts": placed}
put("hosts", "whole", "\0".join([listed, answer, json.dumps(record)]))
put("hosts", "here", "hosts: { here: { workers: 1, scorers: 1 } }")

for folder, _, names in sorted(os.walk(f"{here}/Corpus")):
    for path in (f"{os.path.basename(folder)}/{name}" for name in sorted(names)):
        if path not in written:
            print(f"not written here: Corpus/{path}")
