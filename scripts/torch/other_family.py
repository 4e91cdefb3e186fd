#!/usr/bin/env python3
"""Writes a small random model of a family that the native engine does not know, with the tokenizer of another model.

usage: other_family.py FAMILY TOKENIZER SEED FOLDER      TOKENIZER: a Hugging Face folder
"""

import json
import shutil
import sys
from pathlib import Path


def main():
    import torch
    from transformers import AutoModelForCausalLM, GPT2Config, MixtralConfig, OlmoConfig

    family, tokenizer, seed, folder = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    given = json.loads((tokenizer / "config.json").read_text())
    ids = {name: given[name] for name in ("vocab_size", "bos_token_id", "eos_token_id", "max_position_embeddings")}
    # GPT-2 takes them, too, though it has names of its own.
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "initializer_range": 0.2}
    if family == "gpt2":
        # As wide a head as vLLM computes, and one of its own, which a server can be brought.
        sizes |= {"num_attention_heads": 2, "tie_word_embeddings": False}
    else:
        sizes |= {"intermediate_size": 128, "num_key_value_heads": 4, "pad_token_id": None}
    config = {"gpt2": GPT2Config, "mixtral": MixtralConfig, "olmo": OlmoConfig}[family](**ids, **sizes)
    torch.manual_seed(seed)
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer / name, folder)


if __name__ == "__main__":
    main()
