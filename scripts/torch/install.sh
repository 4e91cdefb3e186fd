#!/bin/bash
# Installs torch and transformers into .venv-torch, for what is tested on CPUs, unless they are there.
# Where that cannot be done it says why in one line, and ends with 3.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=.venv-torch
minutes=${INSTALL_MINUTES:-10}

fail() {
    echo "torch cannot be installed: $*" >&2
    exit 3
}

# Installs packages in what is left of the time.
install() {
    local left=$((minutes * 60 - SECONDS))
    [ $left -gt 0 ] || left=1
    timeout $left "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --retries 2 --timeout 30 "$@" 2>&1
}

# Why pip has failed: its own last line, or nothing where time was up.
why() {
    local line=${log##*$'\n'}
    [ $SECONDS -lt $((minutes * 60)) ] || line="not within $minutes minutes"
    cut -c1-200 <<<"$line"
}

[ -f "$venv/ready" ] && exit
python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || fail "python3 is missing or below 3.10"
disk=$(df --output=avail -BG . | tail -n 1 | tr -dc 0-9)
[ "$disk" -ge 3 ] || fail "it takes 3 GiB of disk, and $disk are free"
echo "installing torch and transformers into $venv (2 GB)"
log=$(python3 -m venv --clear "$venv" 2>&1) || fail "python3 cannot make virtual environments; install python3-venv"
# The CPU build where the index has it: the other one is five times as large.
log=$(install torch==2.13.0+cpu) || log=$(install torch==2.13.0) || fail "torch 2.13.0: $(why)"
log=$(install "transformers>=5.24,<6" "peft>=0.18,<1" safetensors pyzmq numpy pytest) ||
    fail "transformers, peft, pyzmq or pytest: $(why)"
touch "$venv/ready"
