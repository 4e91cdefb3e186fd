#!/bin/bash
# Tests servers as part of CI, in at most CI_SERVERS_MINUTES=12, and what it takes to install vLLM is of these at most 6;
# where it cannot be installed or run, it says so in one line and succeeds.
set -euo pipefail
cd "$(dirname "$0")/../.."
minutes=${CI_SERVERS_MINUTES:-12}
status=0
INSTALL_MINUTES=6 timeout --kill-after=30 "${minutes}m" make test-servers || status=$?
if [ $status -eq 124 ] || [ $status -eq 137 ]; then
    echo "error: make test-servers was not over after $minutes minutes" >&2
fi
exit $status
