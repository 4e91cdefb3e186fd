#!/bin/bash
# Makes a target in at most so many minutes, for tests that install what they need and so can take long; where that
# cannot be installed the target says so in one line and succeeds. usage: within.sh MINUTES TARGET
set -euo pipefail
cd "$(dirname "$0")/../.."
minutes=$1 target=$2
status=0
# Of a server's minutes at most half go to its installation.
INSTALL_MINUTES=$((minutes / 2)) timeout --kill-after=30 "${minutes}m" make "$target" || status=$?
if [ $status -eq 124 ] || [ $status -eq 137 ]; then
    echo "error: make $target was not over after $minutes minutes" >&2
fi
exit $status
