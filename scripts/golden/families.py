#!/usr/bin/env python3
"""Compares `opd score` and `opd generate` with transformers on tiny random models of every family and option.

usage: families.py OPD [PART_OF_A_NAME...]; needs torch and transformers 5. Says which model differs, or by which words
one is refused that should not be; ends with 1 if there is any. Options that opd refuses by name are cases, too.
"""

import json
import os
import subprocess
import sys
import tempfile

import torch
import transformers

BYTES = 3  # the ids below are padding, start and end; then the 256 bytes
SIZES = {
    "vocab_size": 263,
    "hidden_size": 48,
    "intermediate_size": 72,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
EYES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "rope_theta": 10000.0}
LLAMA3 = {**YARN, "rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0, "rope_theta": 500000.0}
GEMMA = {"head_dim": 16, "query_pre_attn_scalar": 24, "sliding_window": 8}
EXPERTS = {"head_dim": 16, "num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
TOP = {**EXPERTS, "norm_topk_prob": True}
TYPES = ["sliding_attention", "full_attention", "sliding_attention"]
PHI = {"num_key_value_heads": 3}
WIDE = {"hidden_size": 96, "num_attention_heads": 3, "num_key_value_heads": 1}


def rope(kind, **more):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0, **more}}


def longrope(pairs, original=32, **more):
    short, long = [1 + 0.07 * i for i in range(pairs)], [1.5 + 0.6 * i for i in range(pairs)]
    return {
        **rope("longrope", short_factor=short, long_factor=long, **more),
        "original_max_position_embeddings": original,
    }


# Name: class, settings, and how it is saved.
CASES = {
    "llama-tied": ("Llama", {"tie_word_embeddings": True}),
    "llama-biases": ("Llama", {"head_dim": 24, "attention_bias": True, "mlp_bias": True}),
    "llama-one-kv": ("Llama", {"head_dim": 16, "num_attention_heads": 5, "num_key_value_heads": 1, "hidden_size": 40}),
    "llama-linear": ("Llama", rope("linear", factor=2.5)),
    "llama-llama3": ("Llama", {"head_dim": 32, "rope_parameters": LLAMA3}),
    "llama-yarn": ("Llama", {"head_dim": 32, "rope_parameters": YARN}),
    "llama-yarn-scale": (
        "Llama",
        {"head_dim": 32, "rope_parameters": {**YARN, "mscale": 0.7, "mscale_all_dim": 0.3, "beta_fast": 20}},
    ),
    "llama-yarn-ramp": ("Llama", {"head_dim": 32, "rope_parameters": {**YARN, "beta_slow": 2, "truncate": False}}),
    "llama-bf16": ("Llama", {}, {"dtype": torch.bfloat16}),
    "llama-f16": ("Llama", {}, {"dtype": torch.float16}),
    "llama-shards": ("Llama", {}, {"max_shard_size": "40KB"}),
    "llama-dynamic": ("Llama", rope("dynamic", factor=2.0), "dynamic"),
    "llama-gelu": ("Llama", {"hidden_act": "gelu"}, "'gelu'"),
    "llama-head-of-12": ("Llama", {"head_dim": 12}, "head_dim 12"),
    "mistral": ("Mistral", {"head_dim": 16, "sliding_window": None}),
    "mistral-window": ("Mistral", {"sliding_window": 9}),
    "qwen2-window": ("Qwen2", {"use_sliding_window": True, "sliding_window": 7, "max_window_layers": 1}),
    "qwen2-types": ("Qwen2", {"use_sliding_window": True, "sliding_window": 7, "layer_types": TYPES}),
    "qwen3-biases": ("Qwen3", {"head_dim": 16, "attention_bias": True}),
    "qwen3-yarn": ("Qwen3", {"head_dim": 32, "rope_parameters": YARN, "tie_word_embeddings": True}),
    "qwen3-moe": ("Qwen3Moe", TOP),
    "qwen3-moe-arrays": ("Qwen3Moe", TOP, {"save_original_format": False}),
    "qwen3-moe-array-shards": ("Qwen3Moe", TOP, {"save_original_format": False, "max_shard_size": "60KB"}),
    "qwen3-moe-unnormalized": ("Qwen3Moe", {**EXPERTS, "norm_topk_prob": False}),
    "qwen3-moe-sparse": (
        "Qwen3Moe",
        {**TOP, "decoder_sparse_step": 2, "num_hidden_layers": 4, "mlp_only_layers": [3]},
        {"save_original_format": False},
    ),
    "gemma2": ("Gemma2", GEMMA),
    "gemma2-caps": ("Gemma2", {**GEMMA, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0}),
    "gemma2-no-caps": ("Gemma2", {**GEMMA, "attn_logit_softcapping": None, "final_logit_softcapping": None}),
    "gemma2-untied": ("Gemma2", {**GEMMA, "tie_word_embeddings": False, "attention_bias": True}),
    "gemma3": ("Gemma3Text", {**GEMMA, "num_hidden_layers": 7}),
    "gemma3-ropes": (
        "Gemma3Text",
        {
            **GEMMA,
            "layer_types": TYPES,
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                "sliding_attention": {"rope_type": "default", "rope_theta": 500.0},
            },
        },
    ),
    "gemma3-both-directions": ("Gemma3Text", {**GEMMA, "use_bidirectional_attention": True}, "use_bidirectional"),
    "phi3-window": ("Phi3", {**PHI, "sliding_window": 10, "tie_word_embeddings": True}),
    "phi3-longrope": ("Phi3", {**PHI, **longrope(4)}),
    "phi3-part": ("Phi3", {**PHI, "hidden_size": 96, **longrope(6, partial_rotary_factor=0.75)}),
    "olmo2": ("Olmo2", {"attention_bias": True}),
    "olmo2-yarn": ("Olmo2", {**WIDE, "rope_parameters": YARN}),
    "granite": (
        "Granite",
        {"embedding_multiplier": 12.0, "logits_scaling": 6.0, "residual_multiplier": 0.22, "attention_multiplier": 0.1},
    ),
    "smollm3": ("SmolLM3", {"num_hidden_layers": 5}),
    "smollm3-window": ("SmolLM3", {"num_hidden_layers": 5, "use_sliding_window": True, "sliding_window": 6}),
    "smollm3-layers": ("SmolLM3", {"no_rope_layers": [0, 1, 0], "attention_bias": True, "mlp_bias": True}),
    "mixtral": ("Mixtral", {}, "'mixtral'"),
}


def parts(kind, text, eyes, tied=None, **text_settings):
    """Returns a model of several parts."""
    section = getattr(transformers, text + "Config")(**{**SIZES, **text_settings})
    token = {"image_token_id": 260} if kind in {"Idefics3", "SmolVLM"} else {"image_token_index": 260}
    ties = {} if tied is None else {"tie_word_embeddings": tied}
    config = getattr(transformers, kind + "Config")(text_config=section, vision_config=eyes, **token, **ties)
    return getattr(transformers, kind + "ForConditionalGeneration")(config)


def several_parts():
    eyes, pixtral = transformers.SiglipVisionConfig(**EYES), transformers.PixtralVisionConfig(**EYES, head_dim=16)
    plain = {"head_dim": 16, "sliding_window": None}
    turns = {"rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}}
    ids = {"image_token_id": 260, "video_token_id": 261, "vision_start_token_id": 258, "vision_end_token_id": 259}
    qwen = transformers.Qwen2_5_VLConfig(
        text_config={**SIZES, **turns},
        vision_config={"depth": 1, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": 48},
        **ids,
    )
    return {
        "parts-gemma3": lambda: parts("Gemma3", "Gemma3Text", eyes, **GEMMA),
        "parts-mistral3": lambda: parts("Mistral3", "Mistral", pixtral, tied=False, **plain),
        "parts-mistral3-tied": lambda: parts("Mistral3", "Mistral", pixtral, tied=True, **plain),
        "parts-llava": lambda: parts("Llava", "Qwen2", eyes, tied=True, tie_word_embeddings=True),
        "parts-smolvlm": lambda: parts("SmolVLM", "Llama", EYES, tied=True, tie_word_embeddings=True),
        "parts-qwen2.5-vl": lambda: transformers.Qwen2_5_VLForConditionalGeneration(qwen),
    }


def tokenizer(folder):
    """Writes a tokenizer of bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    names = {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}
    special = {"<pad>": 0, "<s>": 1, "</s>": 2}
    flags = dict.fromkeys(["single_word", "lstrip", "rstrip", "normalized"], False)
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    vocabulary = special | {names[byte]: byte + BYTES for byte in range(256)}
    with open(f"{folder}/tokenizer.json", "w") as file:
        json.dump(
            {
                "added_tokens": [{"id": i, "content": text, "special": True, **flags} for text, i in special.items()],
                "pre_tokenizer": level,
                "decoder": level,
                "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
            },
            file,
        )


def build(case):
    if callable(case):
        return case(), {}, None
    kind, settings, *rest = case
    config = getattr(transformers, kind + "Config")(**{**SIZES, **settings})
    model = getattr(transformers, kind.replace("Gemma3Text", "Gemma3") + "ForCausalLM")(config)
    last = rest[0] if rest else {}
    return (model, {}, last) if isinstance(last, str) else (model, dict(last), None)


def opd(*arguments, text=""):
    return subprocess.run(arguments, input=text, capture_output=True, text=True, check=False)


@torch.no_grad()
def compare(binary, case, number, folder):
    """Returns what is wrong with a case, or None."""
    torch.manual_seed(number)
    model, options, refusal = build(case)
    generator = torch.Generator().manual_seed(number)
    for parameter in model.parameters():
        if parameter.dim() >= 2:
            parameter.mul_(3)
        else:
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    model.to(options.pop("dtype", torch.float32)).save_pretrained(folder, **options)
    tokenizer(folder)
    rows = [torch.randint(BYTES, 258, (length,), generator=generator).tolist() for length in (2, 33, 60)]
    scored = opd(binary, "score", folder, "--dtype", "f32", text="\n".join(map(json.dumps, rows)) + "\n")
    if refusal is not None:
        return None if refusal in scored.stderr else f"not refused: {scored.stderr.strip()}"
    if scored.returncode != 0:
        return scored.stderr.strip()
    model = type(model).from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    for row, line in zip(rows, scored.stdout.splitlines(), strict=True):
        logits = model(input_ids=torch.tensor([row])).logits[0].float()
        expected = torch.log_softmax(logits, -1)[range(len(row) - 1), row[1:]]
        distance = (expected - torch.tensor(json.loads(line))).abs().max().item()
        if not distance < 1e-5:
            return f"log-probabilities of {len(row)} tokens differ by {distance}"
    prompt = "Hello, wörld"
    ids = [byte + BYTES for byte in prompt.encode()]
    drawn = model.generate(input_ids=torch.tensor([ids]), max_new_tokens=32, do_sample=False, eos_token_id=2)
    arguments = ["--prompt", prompt, "--temperature", "0", "--max-tokens", "32", "--dtype", "f32", "--json"]
    generated = opd(binary, "generate", folder, *arguments)
    if generated.returncode != 0:
        return generated.stderr.strip()
    result = json.loads(generated.stdout)
    expected = drawn[0, len(ids) :].tolist()
    return None if result["ids"] == expected else f"generates {result['ids']}, not {expected}"


def main():
    binary, *wanted = sys.argv[1:]
    binary = os.path.abspath(binary)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    failed = count = 0
    for number, (name, case) in enumerate({**CASES, **several_parts()}.items()):
        if wanted and not any(part in name for part in wanted):
            continue
        with tempfile.TemporaryDirectory() as folder:
            wrong = compare(binary, case, number, folder)
        count += 1
        if wrong is not None:
            failed += 1
            print(f"{name}: {wrong}")
    print(f"{count - failed} of {count} models agree with transformers {transformers.__version__}")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
