#!/bin/bash
# Some of the networks of wan.py, a few steps over each. Where they cannot be made it says so, and all is well.
# usage: test.sh OPD
set -euo pipefail
cd "$(dirname "$0")/../.."
opd=${1:?usage: test.sh OPD}

[ "$(id -u)" -eq 0 ] || { echo "network namespaces need root: bad networks are not tested" >&2 && exit 0; }
[ -c /dev/net/tun ] || { echo "there are no TUN devices (modprobe tun): bad networks are not tested" >&2 && exit 0; }
command -v ip >/dev/null || scripts/apt.sh iproute2 ||
    { echo "iproute2 cannot be installed: bad networks are not tested" >&2 && exit 0; }
probe=opd-probe-$$
ip netns add "$probe" 2>/dev/null ||
    { echo "network namespaces cannot be made here: bad networks are not tested" >&2 && exit 0; }
ip netns del "$probe"
exec python3 scripts/network/wan.py "$opd" --quick --staleness 0
