#!/bin/bash
# Installs what the build needs and does not find: libzmq, oneDNN, PCRE2, libcurl, zstd, git and pip.
# Does nothing, and needs no rights and no network, when all of it is there.
set -euo pipefail

missing=()
have_header() { echo "#include <$1>" | ${CC:-clang} -E -x c - >/dev/null 2>&1; }
if ! command -v "${CC:-clang}" >/dev/null; then
    echo "error: no clang; install a Swift toolchain (https://www.swift.org/install) and put it on the PATH" >&2
    exit 1
fi
have_header zmq.h || missing+=(libzmq3-dev)
have_header oneapi/dnnl/dnnl.h || missing+=(libdnnl-dev)
echo '#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>' | ${CC:-clang} -E -x c - >/dev/null 2>&1 || missing+=(libpcre2-dev)
have_header curl/curl.h || missing+=(libcurl4-openssl-dev)
have_header zstd.h || missing+=(libzstd-dev)
command -v git >/dev/null || missing+=(git ca-certificates)
if ! command -v python3 >/dev/null || ! python3 -m pip --version >/dev/null 2>&1; then missing+=(python3-pip); fi

[ ${#missing[@]} -eq 0 ] || "$(dirname "$0")/apt.sh" "${missing[@]}"
