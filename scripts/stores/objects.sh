#!/bin/bash
# Copies checkpoints to a store of objects of this machine's own and goes on from there (the argument is the binary).
# The store is moto's server, in an environment of its own; where that cannot be installed it says so in one line and
# succeeds. It listens at loopback, keeps all in memory, and checks signatures and rights.
set -euo pipefail
cd "$(dirname "$0")/../.."
opd=$(realpath "$1")
version=5.2.5
venv=.build-stores/venv

fail() {
    echo "moto cannot be installed: copies to a store of objects are not tested: $*" >&2
    exit 0
}
if [ ! -e "$venv/installed-$version" ]; then
    rm -rf "$venv"
    log=$(python3 -m venv "$venv" 2>&1) || fail "python3 cannot make virtual environments; install python3-venv"
    log=$(timeout "${INSTALL_MINUTES:-5}m" "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --retries 2 --timeout 30 "moto[server]==$version" 2>&1) || fail "$(tail -n 1 <<<"$log" | cut -c1-200)"
    touch "$venv/installed-$version"
fi

folder=$(mktemp -d)
server=
finish() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$folder"
}
trap finish EXIT
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
# Those that make the bucket, the user and its rights need none.
INITIAL_NO_AUTH_ACTION_COUNT=1000 "$venv/bin/moto_server" -H 127.0.0.1 -p "$port" >"$folder/moto.log" 2>&1 &
server=$!
for attempt in $(seq 300); do
    curl --silent --output "$folder/answer" "http://127.0.0.1:$port/moto-api/" && break
    if ! kill -0 "$server" 2>/dev/null || [ "$attempt" -eq 300 ]; then
        cat "$folder/moto.log" >&2
        exit 1
    fi
    sleep 0.1
done
"$venv/bin/python" scripts/stores/objects.py "$opd" "$folder" "$port"
