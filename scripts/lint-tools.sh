#!/bin/bash
# Installs what 'make lint' needs beside Swift and does not find: shellcheck as the distribution has it, and ruff from
# PyPI into .venv-lint. Does nothing, and needs no rights and no network, when both are there.
set -euo pipefail
cd "$(dirname "$0")/.."

# Exactly this one, for each version of ruff formats and judges a little otherwise.
version=0.17.6
venv=.venv-lint
have_ruff() { [ "$("$venv/bin/ruff" --version 2>/dev/null)" = "ruff $version" ]; }

missing=()
command -v shellcheck >/dev/null || missing+=(shellcheck)
# Debian's python3 comes without what a virtual environment needs.
have_ruff || python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
[ ${#missing[@]} -eq 0 ] || scripts/apt.sh "${missing[@]}"

have_ruff && exit 0
echo "installing ruff $version into $venv"
python3 -m venv --clear "$venv" || {
    echo "error: python3 could not make $venv, where ruff would go; remove it and install python3-venv" >&2
    exit 1
}
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: "ruff==$version" || {
    echo "error: ruff $version could not be had from PyPI; check the network (or the proxy) and run this again" >&2
    exit 1
}
