#!/bin/bash
# Makes a target in at most so many minutes, for tests that install or build what they need and so can take long. Where
# that cannot be installed the target says so in one line and succeeds; a test that fails, or leaves processes behind,
# fails here. One that is not over in time is ended, and that is said and is no failure: machines differ, and what waits
# for something has limits of its own. What is left is ended, in whatever session it is.
# usage: within.sh MINUTES TARGET [VARIABLE=VALUE ...]
set -euo pipefail
cd "$(dirname "$0")/../.."
minutes=$1 target=$2
shift 2

# Of these minutes at most half go to what is installed.
export INSTALL_MINUTES=$(((minutes + 1) / 2))
# By this every process that the target starts is known, in its environment.
export OPD_WITHIN="$$-$RANDOM$RANDOM"

# Prints the ids of the processes that are left, but for this one's.
left() {
    local folder id
    for folder in /proc/[0-9]*; do
        id=${folder#/proc/}
        if [ "$id" != $$ ] && grep -qzFx "OPD_WITHIN=$OPD_WITHIN" "$folder/environ" 2>/dev/null; then
            echo "$id"
        fi
    done
}

status=0
SECONDS=0
# What it tests is built.
timeout --kill-after=30 "${minutes}m" make --old-file=build "$target" "$@" || status=$?
took=$SECONDS
late=no
if [ $status -eq 124 ] || [ $status -eq 137 ]; then
    echo "warning: make $target was not over after $minutes minutes, and is ended: the rest of it is not tested" >&2
    late=yes
    status=0
fi
# What has just been told to end may take a moment.
for _ in {1..20}; do
    remaining=$(left)
    [ -n "$remaining" ] || break
    sleep 0.5
done
for id in $remaining; do
    words=$(tr '\0' ' ' <"/proc/$id/cmdline" 2>/dev/null | cut -c1-120) || continue
    kill -KILL "$id" 2>/dev/null || true
    [ $late = no ] || continue
    echo "error: make $target left process $id: $words" >&2
    [ $status -ne 0 ] || status=1
done
[ $status -ne 0 ] || [ $late = yes ] || echo "make $target: $took s"
exit $status
