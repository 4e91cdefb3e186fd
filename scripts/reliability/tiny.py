"""A run of random models that are small enough to be killed hundreds of times."""

import json
import os
import random
import shutil
import struct

VOCABULARY, HIDDEN, INTERMEDIATE, LAYERS, HEADS, KEYS, DIMENSION = 704, 32, 64, 2, 4, 2, 8
CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' "
    "+ '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
# Seconds; a server hangs for longer.
SERVER_TIMEOUT = 5
SERVER_START = 120
PROMPTS = ["Name a river.", "What is two plus two?", "Why is the sky blue?", "Write a line.", "Say hello."]


def shapes():
    yield "model.embed_tokens.weight", (VOCABULARY, HIDDEN)
    for layer in range(LAYERS):
        name = f"model.layers.{layer}."
        yield name + "input_layernorm.weight", (HIDDEN,)
        yield name + "self_attn.q_proj.weight", (HEADS * DIMENSION, HIDDEN)
        yield name + "self_attn.k_proj.weight", (KEYS * DIMENSION, HIDDEN)
        yield name + "self_attn.v_proj.weight", (KEYS * DIMENSION, HIDDEN)
        yield name + "self_attn.o_proj.weight", (HIDDEN, HEADS * DIMENSION)
        yield name + "post_attention_layernorm.weight", (HIDDEN,)
        yield name + "mlp.gate_proj.weight", (INTERMEDIATE, HIDDEN)
        yield name + "mlp.up_proj.weight", (INTERMEDIATE, HIDDEN)
        yield name + "mlp.down_proj.weight", (HIDDEN, INTERMEDIATE)
    yield "model.norm.weight", (HIDDEN,)


def write_model(folder, seed, tokenizer):
    """A Hugging Face folder with random weights; equal seeds give equal weights."""
    os.makedirs(folder)
    dice = random.Random(seed)
    header, data = {}, bytearray()
    for name, shape in shapes():
        count = 1
        for size in shape:
            count *= size
        values = [1.0] * count if "norm" in name else [dice.uniform(-0.2, 0.2) for _ in range(count)]
        start = len(data)
        data += struct.pack(f"<{count}f", *values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(f"{folder}/model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)
    configuration = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KEYS,
        "head_dim": DIMENSION,
        "max_position_embeddings": 256,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "eos_token_id": 2,
        "attention_bias": False,
        "mlp_bias": False,
    }
    with open(f"{folder}/config.json", "w") as file:
        json.dump(configuration, file)
    with open(f"{folder}/tokenizer_config.json", "w") as file:
        json.dump({"chat_template": CHATML, "eos_token": "<|im_end|>"}, file)
    shutil.copyfile(tokenizer, f"{folder}/tokenizer.json")


def write_run(folder, steps, staleness=0, kind="distillation", server=None):
    """Models, prompts and run.yaml in `folder`; the run is named `tiny`.

    kind: distillation, adapters (the same, of adapters alone), off_policy, or teacher_server and sampler_server, where
    the server at the address `server` grades or samples.
    """
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    tokenizer = os.path.join(root, "Tests", "Fixtures", "golden", "bpe-qwen.tokenizer.json")
    write_model(f"{folder}/teacher", 1, tokenizer)
    write_model(f"{folder}/student", 2, tokenizer)
    with open(f"{folder}/prompts.jsonl", "w") as file:
        file.writelines(json.dumps({"prompt": prompt}) + "\n" for prompt in PROMPTS)
    with open(f"{folder}/heldout.jsonl", "w") as file:
        file.writelines(json.dumps({"prompt": prompt}) + "\n" for prompt in ["Name a lake.", "Count to three."])
    objective = "{ loss: truncated_importance_sampling, advantage: current }" if staleness else "{}"
    if kind == "off_policy":
        objective = "{ kind: off_policy }"
    meeting = "connect_timeout_s: 120" + (", standby_after_s: 2" if kind == "standby" else "")
    more = "lora: { rank: 4, alpha: 8 }\n" if kind == "adapters" else ""
    teacher = "model: teacher, dtype: f32"
    times = f"timeout_s: {SERVER_TIMEOUT}, start_timeout_s: {SERVER_START}"
    if kind == "teacher_server":
        teacher += f", tokenizer: teacher, server: {{ kind: vllm, urls: ['{server}'], {times} }}"
    if kind == "sampler_server":
        more = f"rollout: {{ engine: server, server: {{ kind: vllm, url: '{server}', {times} }} }}\n"
    with open(f"{folder}/run.yaml", "w") as file:
        file.write(f"""name: tiny
student: {{ model: student, dtype: f32 }}
teachers: {{ default: {{ {teacher} }} }}
data: {{ prompts: prompts.jsonl, heldout: heldout.jsonl, prompts_per_step: 4, samples_per_prompt: 4 }}
sampling: {{ max_tokens: 24 }}
objective: {objective}
training: {{ steps: {steps}, learning_rate: 1.0e-3 }}
pipeline: {{ threads: 1, lease_s: 1, heartbeat_s: 0.2, max_staleness: {staleness}, slots: 8, {meeting} }}
evaluation: {{ every: 10 }}
checkpoint: {{ every: 2, keep_last: 3 }}
telemetry: {{ samples_mb: 4 }}
{more}""")
