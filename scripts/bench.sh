#!/bin/bash
# Measures everything in one run and prints one table: sampling, scoring and training beside the machine's limits, new
# weights, messages, and whole steps of the pipeline. When PEERS_PYTHON names a Python that has them, the same work by
# transformers (with torch), llama.cpp (llama-cpp-python, gguf), pyzmq and TRL stands beside it.
#
# A peer gets PEER_SECONDS: without bf16 in hardware, for instance, transformers take many minutes for a batch. With 70
# all of it takes less than 15 minutes there too.
#
# usage: scripts/bench.sh PATH_OF_OPD MODELS_FOLDER      THREADS (2), PEERS_PYTHON (none), PEER_SECONDS (70)
set -euo pipefail
opd=${1:?usage: scripts/bench.sh PATH_OF_OPD MODELS_FOLDER}
models=${2:?usage: scripts/bench.sh PATH_OF_OPD MODELS_FOLDER}
threads=${THREADS:-2}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
results=$work/results

say() { echo "bench: $*" >&2; }
measure() { # dtype what batch [options]
    say "opd $2, batch $3, $1 ${*:4}"
    "$opd" bench "$2" "$models/smollm2" --dtype "$1" --batch "$3" --threads "$threads" "${@:4}" --json >>"$results"
}
peer() { # script arguments
    [ -n "${PEERS_PYTHON:-}" ] || return 0
    say "$1"
    local status=0 limit=${PEER_SECONDS:-70}
    # In the foreground, so that Ctrl-C reaches it.
    timeout --foreground "$limit" "$PEERS_PYTHON" "$here/peers/$1" "${@:2}" >"$work/figures" 2>"$work/error" ||
        status=$?
    grep '^{' "$work/figures" >>"$results" || true
    case $status in
    0) ;;
    124) say "$1 was not done in $limit s: figures it has not given by then are missing" ;;
    *) say "$1 failed: $(tail -1 "$work/error")" ;;
    esac
}
row() { # grep patterns that all match; prints the first such result, or nothing
    local found
    found=$(cat "$results")
    for pattern in "$@"; do found=$(grep -E -- "$pattern" <<<"$found" || true); done
    head -1 <<<"$found"
}
field() { sed -nE "s/.*\"$2\": *\"?([^\",}]*).*/\1/p" <<<"$1"; } # JSON NAME

peer transformers_bench.py "$models/smollm2" bf16 "$threads"
ggufs=("$models"/*.gguf)
# Without a match the pattern itself is the only one.
[ ! -e "${ggufs[0]}" ] || peer llamacpp_bench.py "${ggufs[0]}" "$threads"
for batch in 1 16 64; do measure bf16 generate "$batch"; done
measure bf16 generate 32 --tokens 136
measure bf16 generate 32 --mixed
measure bf16 score 16
measure bf16 train 8
peer transformers_bench.py "$models/smollm2" f32 "$threads"
measure f32 score 16
measure f32 train 8

# ratio A B [DIGITS]: A / B with an x, or a dash.
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (a > 0 && b > 0) printf "%.2fx", a / b; else printf "-" }'; }
number() { awk -v a="$1" -v f="${2:-%.0f}" 'BEGIN { if (a > 0) printf f, a; else printf "-" }'; }

echo '| work | tokens/s | of the limit | peak memory | transformers | llama.cpp |'
echo '|---|---|---|---|---|---|'
while read -r line; do
    what=$(field "$line" what) dtype=$(field "$line" dtype) batch=$(field "$line" batch)
    case $what in generate | score | train) ;; *) continue ;; esac
    name="$what, batch $batch, $dtype"
    transformers="" llama=""
    case "$(field "$line" mixed)/$(field "$line" new)" in
    true/*) name="$name, mixed lengths" ;;
    false/64 | /)
        transformers=$(row '"transformers"' "\"what\": \"$what\"" "\"dtype\": \"$dtype\"" "\"batch\": ${batch}[,}]")
        llama=$(row '"llama.cpp"' "\"what\": \"$what\"" "\"dtype\": \"$dtype\"" "\"batch\": ${batch}[,}]") ;;
    esac
    rate=$(field "$line" tokens_per_second)
    beside() { # peer's result
        local other
        other=$(field "$1" tokens_per_second)
        echo "$(number "$other") ($(ratio "$rate" "$other"))" | sed 's/^- (-)$/-/'
    }
    echo "| $name | $(number "$rate") | $(number "$(awk -v a="$rate" -v b="$(field "$line" limit_tokens_per_second)" \
        'BEGIN { print 100 * a / b }')" '%.0f%%') | $(number "$(field "$line" peak_rss_bytes)" '%.0f' |
        awk '{ printf "%.2f GB", $1 / 1e9 }') | $(beside "$transformers") | $(beside "$llama") |"
done < <(grep '"peer": "opd"' "$results")
full=$(row '"opd"' '"new": 136' '"mixed": "?false') mixed=$(row '"opd"' '"mixed": "?true')
first=$(row '"opd"' '"what": "score"' '"bf16"')
echo
echo "sampling requests of mixed lengths:" \
    "$(ratio "$(field "$mixed" tokens_per_second)" "$(field "$full" tokens_per_second)") of the rate of a full batch"
awk -v flops="$(field "$first" matmul_flops)" -v bytes="$(field "$first" memory_bytes_per_second)" 'BEGIN {
    printf "limits: %.0f GFLOP/s (bf16 product, packed weights), %.1f GB/s (reading)\n", flops / 1e9, bytes / 1e9
}'

for dtype in bf16 f32; do
    say "divergence, $dtype"
    "$opd" bench divergence "$models/smollm2" --dtype "$dtype" --threads "$threads"
done
say "weights"
"$opd" bench weights "$models/smollm2" --threads "$threads"
for bytes in 1024 65536; do
    say "transport, $bytes bytes"
    "$opd" bench transport --bytes "$bytes" --count 8000 --json >>"$results"
    peer pyzmq_bench.py "$bytes" 8000
    ours=$(field "$(row '"opd"' '"transport"' "\"bytes\": $bytes,")" messages_per_second)
    theirs=$(field "$(row '"pyzmq"' "\"bytes\": $bytes,")" messages_per_second)
    echo "transport: $(number "$ours") trajectories/s of $bytes bytes; raw pyzmq $(number "$theirs")" \
        "($(ratio "$theirs" "$ours") of ours)"
done

# The pipeline on the models and shapes of the TRL script: half of the layers, 16 prompts, 64 new tokens.
student=$work/student
"$opd" prune "$models/smollm2" "$student" --drop "$(seq -s, 1 2 29)" >&2
for topic in rain bread trains moons chess bicycles salt volcanoes tea maps glass bees paper clocks rivers music; do
    echo "{\"prompt\": \"Write two sentences about $topic.\"}"
done >"$work/prompts.jsonl"
cat >"$work/pipeline.yaml" <<YAML
name: bench
student: { model: $student }
teachers: { default: { model: $(cd "$models" && pwd)/smollm2 } }
data: { prompts: $work/prompts.jsonl, prompts_per_step: 16, samples_per_prompt: 1 }
sampling: { max_tokens: 64 }
training: { steps: 6, learning_rate: 1.0e-5 }
YAML
peer trl_bench.py "$models/smollm2" "$student" 4 "$threads"
trl=$(field "$(row '"trl"')" samples_per_second)
for staleness in 0 2; do
    say "pipeline, max_staleness $staleness"
    "$opd" bench pipeline "$work/pipeline.yaml" --steps 8 --set "pipeline.max_staleness=$staleness" --json >>"$results"
    line=$(row '"opd"' '"pipeline"' "\"max_staleness\": $staleness")
    echo "pipeline, max_staleness $staleness: $(number "$(field "$line" step_s)" %.2f) s a step," \
        "$(number "$(field "$line" samples_per_second)" %.2f) samples/s; TRL $(number "$trl" %.2f)" \
        "($(ratio "$(field "$line" samples_per_second)" "$trl"))"
done
