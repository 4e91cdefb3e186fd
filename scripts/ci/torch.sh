#!/bin/bash
# Tests the torch engine as part of CI, in at most CI_TORCH_MINUTES=10; where torch cannot be installed it says so in one
# line and succeeds.
set -euo pipefail
cd "$(dirname "$0")/../.."
minutes=${CI_TORCH_MINUTES:-10}
status=0
timeout --kill-after=30 "${minutes}m" make test-torch || status=$?
if [ $status -eq 124 ] || [ $status -eq 137 ]; then
    echo "error: make test-torch was not over after $minutes minutes" >&2
fi
exit $status
