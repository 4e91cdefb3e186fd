#!/bin/sh
# Makes the models that Examples/arithmetic.yaml distils, from Examples/arithmetic-teacher.yaml and
# Examples/arithmetic-student.yaml: pre-trained from random weights, then written in bf16.
# On a machine of the kind that made the shipped ones it gives the same bytes.
#
# usage: scripts/pretrain.sh PATH_OF_OPD [FOLDER]      FOLDER defaults to Examples/models
set -eu

opd=${1:?usage: scripts/pretrain.sh PATH_OF_OPD [FOLDER]}
models=${2:-Examples/models}
say() { printf 'pretrain: %s\n' "$*"; }
sum() { sha256sum "$1" 2>/dev/null | cut -d ' ' -f 1; }

[ -x "$opd" ] || {
    printf 'error: %s is not there; build it first (make build)\n' "$opd" >&2
    exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir -p "$models"
for name in arithmetic-student arithmetic-teacher; do
    "$opd" pretrain "Examples/$name.yaml" --set "run_folder=$work/$name"
    "$opd" convert "$work/$name/checkpoints/latest/model" "$work/$name-bf16" --dtype bf16
    before=$(sum "$models/$name/model.safetensors")
    rm -rf "${models:?}/$name"
    mv "$work/$name-bf16" "$models/$name"
    case $before in
    "") say "made $models/$name" ;;
    "$(sum "$models/$name/model.safetensors")") say "made $models/$name: the same bytes as before" ;;
    *) say "made $models/$name: other bytes than before" ;;
    esac
done
