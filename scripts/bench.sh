#!/bin/bash
# Prints sampling, scoring and training on a model beside the machine's limits and, when PEERS_PYTHON names a Python
# with torch and transformers, beside transformers on the same machine in the same run.
#
# usage: scripts/bench.sh PATH_OF_OPD MODEL_FOLDER      THREADS (2), PEERS_PYTHON (none)
set -euo pipefail
opd=${1:?usage: scripts/bench.sh PATH_OF_OPD MODEL_FOLDER}
model=${2:?usage: scripts/bench.sh PATH_OF_OPD MODEL_FOLDER}
threads=${THREADS:-2}
results=$(mktemp)
trap 'rm -f "$results"' EXIT

# field JSON NAME: a number or string of a flat JSON object.
field() { sed -E "s/.*\"$2\": *\"?([^\",}]*).*/\1/" <<<"$1"; }

measure() { # dtype what batch
    "$opd" bench "$2" "$model" --dtype "$1" --batch "$3" --threads "$threads" --json >>"$results"
}
for dtype in bf16 f32; do
    if [ -n "${PEERS_PYTHON:-}" ]; then
        "$PEERS_PYTHON" "$(dirname "$0")/peers/transformers_bench.py" "$model" "$dtype" "$threads" 2>/dev/null >>"$results"
    fi
    for batch in 1 16 64; do measure "$dtype" generate "$batch"; done
    measure "$dtype" score 16
    measure "$dtype" train 8
done

echo '| work | tokens/s | of the limit | peak memory | transformers | ratio |'
echo '|---|---|---|---|---|---|'
while read -r line; do
    [ "$(field "$line" peer)" = opd ] || continue
    what=$(field "$line" what) dtype=$(field "$line" dtype) batch=$(field "$line" batch)
    peer=$(grep '"peer": "transformers"' "$results" | grep "\"what\": \"$what\"" | grep "\"dtype\": \"$dtype\"" |
        grep -E "\"batch\": $batch[,}]" || true)
    awk -v what="$what" -v dtype="$dtype" -v batch="$batch" -v rate="$(field "$line" tokens_per_second)" \
        -v limit="$(field "$line" limit_tokens_per_second)" -v rss="$(field "$line" peak_rss_bytes)" \
        -v peer="${peer:+$(field "$peer" tokens_per_second)}" 'BEGIN {
            printf "| %s, batch %d, %s | %.0f | %.0f%% | %.2f GB | ", what, batch, dtype, rate, 100 * rate / limit, rss / 1e9
            if (peer) printf "%.0f | %.1fx |\n", peer, rate / peer; else printf "- | - |\n"
        }'
done <"$results"
first=$(grep '"peer": "opd"' "$results" | head -1)
awk -v flops="$(field "$first" matmul_flops)" -v bytes="$(field "$first" memory_bytes_per_second)" \
    'BEGIN { printf "\nlimits: %.0f GFLOP/s (bf16 product, packed weights), %.1f GB/s (reading)\n", flops / 1e9, bytes / 1e9 }'
