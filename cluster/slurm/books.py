#!/usr/bin/env python3
"""What test.sh makes and compares: the run of random models that scripts/reliability has, and the books of two runs.

usage: books.py make FOLDER OPD | status < opd's status | compare DISTURBED UNDISTURBED
"""

import json
import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts", "reliability"))


def make(folder, opd):
    """A run of more steps than there is time for, with keys."""
    from tiny import write_run

    os.makedirs(folder)
    write_run(folder, steps=1_000_000)
    made = subprocess.run([opd, "keygen", "--run", "keys"], cwd=folder, check=True, capture_output=True, text=True)
    with open(f"{folder}/run.yaml", "a") as file:
        file.write(made.stdout)


def books(folder):
    """Weights, ledger, and what every step measured but for times."""
    latest = f"{folder}/runs/tiny/checkpoints/latest"
    with open(f"{latest}/model/model.safetensors", "rb") as file:
        weights = file.read()
    with open(f"{latest}/state.json") as file:
        state = json.load(file)
    with open(f"{folder}/runs/tiny/metrics.jsonl") as file:
        lines = [json.loads(line) for line in file]
    timeless = [{k: v for k, v in line.items() if not k.endswith(("_s", "_per_second"))} for line in lines]
    return weights, state, timeless


def compare(disturbed, undisturbed):
    """Every difference between the books of two runs, and what is wrong in the first by itself."""
    weights, state, lines = books(disturbed)
    expected_weights, expected_state, expected_lines = books(undisturbed)
    tokens = state["tokens"]
    # Step 0 is the evaluation before the first one.
    if [line["step"] for line in lines] != list(range(state["step"] + 1)):
        yield f"metrics.jsonl has not every step up to {state['step']} once"
    if tokens["generated"] != tokens["trained"] + tokens["discarded"] + tokens["inFlight"]:
        yield f"the ledger does not balance: {tokens}"
    if weights != expected_weights:
        yield "the weights are not those of the undisturbed run"
    if state["step"] != expected_state["step"] or tokens != expected_state["tokens"]:
        yield f"step {state['step']} and {tokens}, undisturbed {expected_state['step']} and {expected_state['tokens']}"
    for line, expected in zip(lines, expected_lines, strict=False):
        if line != expected:
            names = [name for name in line.keys() | expected.keys() if line.get(name) != expected.get(name)]
            yield f"step {line['step']} has another " + ", ".join(sorted(names))
            return
    if len(lines) != len(expected_lines):
        yield f"{len(lines)} steps were measured, undisturbed {len(expected_lines)}"


def main():
    what, *arguments = sys.argv[1:]
    if what == "make":
        make(*arguments)
    elif what == "status":
        status = json.loads(sys.stdin.read() or "{}")
        print(status.get("version", 0), len(status.get("members", [])))
    else:
        problems = list(compare(*arguments))
        for problem in problems:
            print(f"error: {problem}", file=sys.stderr)
        sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
