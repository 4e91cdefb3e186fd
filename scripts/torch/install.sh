#!/bin/bash
# Installs torch and transformers into .venv-torch, for what is tested on CPUs, unless they are there.
# Where that cannot be done it says why in one line, and ends with 3.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=.venv-torch

fail() {
    echo "torch cannot be installed: $*" >&2
    exit 3
}

[ -f "$venv/ready" ] && exit
python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || fail "python3 is missing or below 3.10"
echo "installing torch and transformers into $venv (2 GB)"
log=$(python3 -m venv --clear "$venv" 2>&1) || fail "python3 cannot make virtual environments; install python3-venv"
pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check --retries 2 --timeout 30)
# The CPU build where the index has it: the other one is five times as large.
log=$("${pip[@]}" torch==2.13.0+cpu 2>&1) || log=$("${pip[@]}" torch==2.13.0 2>&1) || fail "torch 2.13.0: ${log##*$'\n'}"
log=$("${pip[@]}" "transformers>=5.24,<6" "peft>=0.18,<1" safetensors pyzmq numpy pytest 2>&1) ||
    fail "transformers, peft, pyzmq or pytest: ${log##*$'\n'}"
touch "$venv/ready"
