#!/usr/bin/env python3
"""Runs that copy their checkpoints over ssh: ssh.py OPD FOLDER PORT SSHD, which scripts/stores/ssh.sh starts.

A small model is pre-trained. Its run is stopped half-way, its folder is lost, and it goes on from the copies: the
weights must be those of a run that nothing befell. With rsync, and by sftp where there is none; with a copy that was
damaged there; and with an sshd that stands still for a while.
"""

import os
import shutil
import signal
import sys
import time

import runs
from runs import expect, weights

opd, folder, port, sshd = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])


def run(where, *arguments, tools="with", status=0):
    """Runs the program with these tools; its standard error."""
    environment = {**os.environ, "PATH": f"{folder}/{tools}:{os.environ['PATH']}"}
    return runs.run(opd, where, *arguments, environment=environment, status=status)


def moved(name, tools):
    """A run whose machine is lost half-way, and goes on from its copies."""
    there = f"{folder}/{name}-there/copies"
    place = f"ssh://127.0.0.1:{port}{there}"
    options = ["--set", f"checkpoint.copy_to={place}"]
    # In two parts, each of which waits for its last copy: those in between may be left out.
    run(f"{folder}/{name}", *options, "--set", "training.steps=15", tools=tools)
    run(f"{folder}/{name}", *options, "--set", "training.steps=20", "--resume", tools=tools)
    expect(
        sorted(os.listdir(there)) == ["latest", "owner", "step-000015", "step-000020"], f"{name}: two copies are kept"
    )
    shutil.rmtree(f"{folder}/{name}")
    # One that was damaged there is refused by name, and the one before it taken.
    with open(f"{there}/step-000020/model/model.safetensors", "r+b") as file:
        file.seek(20_000)
        byte = file.read(1)
        file.seek(20_000)
        file.write(bytes([byte[0] ^ 1]))
    said = run(f"{folder}/{name}", *options, "--resume-from", place, tools=tools)
    expect("step-000020 is damaged and is not used" in said, f"{name}: {said}")
    expect("fetched the checkpoint of step 15" in said, f"{name}: {said}")
    expect(weights(f"{folder}/{name}") == reference, f"{name}: the weights are those of a run that was never moved")
    kept = sorted(os.listdir(there))
    expect(len(kept) == 4 and kept[-1] == "step-000040", f"{name}: old copies go: {kept}")
    print(f"{name}: went on from {place} with equal weights")


run(f"{folder}/reference")
reference = weights(f"{folder}/reference")
moved("rsync", "with")
moved("sftp", "without")

# A fetch that was cut off is begun again by the same command, and not taken for a run that has not begun.
there = f"{folder}/rsync-there/copies"
place = f"ssh://127.0.0.1:{port}{there}"
os.makedirs(f"{folder}/cut/runs/tiny/checkpoints")
os.makedirs(f"{folder}/cut/runs/tiny/logs")
for name in ["fetching", "metrics.jsonl", "logs/run.log"]:
    with open(f"{folder}/cut/runs/tiny/{name}", "w") as file:
        file.write(f"{place}\n")
said = run(f"{folder}/cut", "--resume", status=2)
expect(f"give --resume-from {place} again" in said, said)
run(f"{folder}/cut", "--resume-from", place)
expect(weights(f"{folder}/cut", "step-000040") == reference, "a fetch that was begun again has the weights")

# A place that does not answer is told of before the run begins.
said = run(f"{folder}/nobody", "--set", "checkpoint.copy_to=ssh://127.0.0.1:1/x/y", status=1)
expect("checkpoint.copy_to: ssh://127.0.0.1:1/x/y: ssh: " in said, said)

# While the server stands still the run goes on; its last copy is waited for no longer than is said.
there = f"{folder}/still-there/copies"
options = ["--set", f"checkpoint.copy_to=ssh://127.0.0.1:{port}{there}"]
run(f"{folder}/still", *options, "--set", "training.steps=5")
os.kill(sshd, signal.SIGSTOP)
begun = time.monotonic()
said = run(f"{folder}/still", *options, "--resume", "--set", "checkpoint.copy_wait_s=2")
os.kill(sshd, signal.SIGCONT)
expect("the run goes on" in said and "is not there after 2 s" in said, said)
expect(weights(f"{folder}/still") == reference, "a place that stands still changes no weights")
print(f"a server that stood still: the run took {time.monotonic() - begun:.0f} s and has equal weights")
