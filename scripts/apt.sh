#!/bin/bash
# Installs Debian packages, as root or by sudo: apt.sh PACKAGE ...
set -euo pipefail

fail() {
    echo "error: $*" >&2
    exit 1
}
command -v apt-get >/dev/null ||
    fail "missing $* (Debian names), and there is no apt-get; install them with your package manager"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "missing $*; run as root: apt-get install $*"
    as_root=(sudo)
fi
echo "installing $*"
"${as_root[@]}" apt-get update -q || fail "apt-get could not update its lists to install $*"
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@" ||
    fail "apt-get could not install $*"
