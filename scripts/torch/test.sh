#!/bin/bash
# Tests the torch engine on CPUs: its Python package, its bench, the Swift that speaks to it, and whole runs beside
# native ones.
# Installs torch and transformers into .venv-torch first; where that cannot be done it says so and succeeds.
#
# usage: scripts/torch/test.sh PATH_OF_OPD       OPD_TORCH_PYTHON=... takes an environment that is there
set -euo pipefail
cd "$(dirname "$0")/../.."
opd=${1:?usage: scripts/torch/test.sh PATH_OF_OPD}

if [ -z "${OPD_TORCH_PYTHON:-}" ]; then
    status=0
    scripts/torch/install.sh || status=$?
    [ $status -ne 3 ] || { echo "the torch engine is not tested" >&2 && exit 0; }
    [ $status -eq 0 ] || exit $status
    OPD_TORCH_PYTHON=$PWD/.venv-torch/bin/python
fi
export OPD_TORCH_PYTHON

# Each says how long it took: all of it has a limit in CI.
part() {
    local start=$SECONDS
    "${@:2}"
    echo "$1: $((SECONDS - start)) s"
}

package() { (cd Sources/TorchEngine/Python && "$OPD_TORCH_PYTHON" -m pytest -q -p no:cacheprovider); }

part "the Python package" package
part "the bench" "$OPD_TORCH_PYTHON" scripts/torch/bench.py --smoke
# One at a time: tests that kill an engine find theirs by what has been started meanwhile.
part "the engine" swift test -c release --disable-testable-imports --no-parallel --filter '^TorchEngineTests\.'
part "whole runs" "$OPD_TORCH_PYTHON" scripts/torch/runs.py "$opd" "$OPD_TORCH_PYTHON"
