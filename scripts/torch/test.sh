#!/bin/bash
# Tests the torch engine on CPUs: its Python package, the Swift that speaks to it, and whole runs beside native ones.
# Installs torch and transformers into .venv-torch first; where that cannot be done it says so and succeeds.
#
# usage: scripts/torch/test.sh PATH_OF_OPD       OPD_TORCH_PYTHON=... takes an environment that is there
set -euo pipefail
cd "$(dirname "$0")/../.."
opd=${1:?usage: scripts/torch/test.sh PATH_OF_OPD}
package=Sources/TorchEngine/Python

skip() {
    echo "the torch engine is not tested: $*" >&2
    exit 0
}

install() {
    local venv=.venv-torch
    [ -f "$venv/ready" ] && return
    echo "installing torch and transformers into $venv (2 GB)"
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || skip "python3 is missing or below 3.10"
    python3 -m venv --clear "$venv" || skip "python3 cannot make virtual environments; install python3-venv"
    local pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check)
    # The CPU build where the index has it: the other one is five times as large.
    "${pip[@]}" torch==2.13.0+cpu 2>/dev/null || "${pip[@]}" torch==2.13.0 || skip "torch 2.13.0 could not be installed"
    "${pip[@]}" "transformers>=5,<6" "peft>=0.18,<1" safetensors pyzmq numpy pytest ||
        skip "transformers, peft, pyzmq or pytest could not be installed"
    touch "$venv/ready"
}

if [ -n "${OPD_TORCH_PYTHON:-}" ]; then
    python=$OPD_TORCH_PYTHON
else
    install
    python=$PWD/.venv-torch/bin/python
fi
export OPD_TORCH_PYTHON=$python

(cd "$package" && "$python" -m pytest -q -p no:cacheprovider)
swift test -c release --disable-testable-imports --filter '^TorchEngineTests\.'
"$python" scripts/torch/runs.py "$opd" "$python"
