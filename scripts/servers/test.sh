#!/bin/bash
# Runs distillations with a real vLLM server. Where vLLM or the models cannot be had it says so, and succeeds.
#
# usage: scripts/servers/test.sh PATH_OF_OPD [NAME ...]
set -euo pipefail
opd=${1:?usage: scripts/servers/test.sh PATH_OF_OPD [NAME ...]}
shift
here=$(dirname "$0")

if ! said=$("$here/../models.sh" "$opd" 2>&1); then
    # Why is in the last line.
    echo "SmolLM2 cannot be fetched, so servers are not tested: ${said##*$'\n'}" >&2
    exit 0
fi
status=0
python=$("$here/install.sh") || status=$?
[ $status -ne 3 ] || exit 0
[ $status -eq 0 ] || exit $status
python3 "$here/check.py" "$opd" models "$python" ${1:+--only "$@"}
