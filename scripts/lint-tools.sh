#!/bin/bash
# Installs what 'make lint' needs beside Swift and does not find: shellcheck as the distribution has it, and ruff, mypy
# and kubernetes-validate from PyPI into .venv-lint. Does nothing, and needs no rights and no network, when all are there.
set -euo pipefail
cd "$(dirname "$0")/.."

# Exactly these, for each version of ruff formats and judges a little otherwise, and each of mypy finds other flaws.
version=0.17.6
types=2.4.1
# Brings the schemas of Kubernetes along, up to those of its own version.
schemas=1.37.0
venv=.venv-lint
have_ruff() { [ "$("$venv/bin/ruff" --version 2>/dev/null)" = "ruff $version" ]; }
have_types() { [[ "$("$venv/bin/mypy" --version 2>/dev/null)" == "mypy $types "* ]]; }
have_schemas() { [ "$("$venv/bin/kubernetes-validate" --version 2>/dev/null)" = "$schemas" ]; }

missing=()
command -v shellcheck >/dev/null || missing+=(shellcheck)
# Debian's python3 comes without what a virtual environment needs.
have_all() { have_ruff && have_types && have_schemas; }
have_all || python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
[ ${#missing[@]} -eq 0 ] || scripts/apt.sh "${missing[@]}"

have_all && exit 0
echo "installing ruff $version, mypy $types and kubernetes-validate $schemas into $venv"
python3 -m venv --clear "$venv" || {
    echo "error: python3 could not make $venv, where they would go; remove it and install python3-venv" >&2
    exit 1
}
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: "ruff==$version" \
    "mypy==$types" "kubernetes-validate==$schemas" || {
    echo "error: ruff $version, mypy $types and kubernetes-validate $schemas could not be had from PyPI;" \
        "check the network (or the proxy) and run this again" >&2
    exit 1
}
