#!/bin/bash
# Fuzzes every reader of foreign bytes for FUZZ_SECONDS each, or the targets named; fails on any finding. With FUZZ_SEED
# the same inputs come in the same order each time, and a faster machine only gets further.
# docs/fuzzing.md has what a finding is and what to do with it.
set -euo pipefail
cd "$(dirname "$0")/.."

program=$PWD/${1:?usage: fuzz.sh PROGRAM [TARGET ...]}
shift
seconds=${FUZZ_SECONDS:-45}
work=${FUZZ_FOLDER:-.build-fuzz/work}
all=(Fuzz/Corpus/*)
all=("${all[@]##*/}")
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=("${all[@]}")

# The toolchain's crash reporter can hang where it may not attach; the sanitizer prints a trace of its own.
export SWIFT_BACKTRACE=enable=no
[ "${FUZZ_SEED:-0}" = 0 ] || export SWIFT_DETERMINISTIC_HASHING=1
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1}

printf '%-12s %12s %10s %9s  %s\n' target executions coverage corpus findings
failed=0
for target in "${targets[@]}"; do
    [ -d "Fuzz/Corpus/$target" ] || {
        echo "error: no target '$target'; there are ${all[*]}" >&2
        exit 2
    }
    # What was learnt in earlier runs is in corpus/, reproducers are in findings/.
    mkdir -p "$work/$target/corpus" "$work/$target/findings"
    dictionary=()
    [ -f "Fuzz/Dictionaries/$target.dict" ] && dictionary=("-dict=Fuzz/Dictionaries/$target.dict")
    log=$work/$target/log
    status=0
    # Half a minute (the clock goes on while a busy machine does other things) or 1 GiB for one input of some KB is a
    # finding, as is one allocation of 512 MiB.
    OPD_FUZZ_TARGET=$target "$program" -seed="${FUZZ_SEED:-0}" -max_total_time="$seconds" -timeout=30 \
        -rss_limit_mb=1024 -malloc_limit_mb=512 \
        -print_final_stats=1 -artifact_prefix="$work/$target/findings/" "${dictionary[@]}" \
        "$work/$target/corpus" "Fuzz/Corpus/$target" >"$log" 2>&1 || status=$?
    last=$(sed -nE '/^#[0-9]+.* cov: /p' "$log" | tail -n 1)
    runs=$(sed -nE 's/^stat::number_of_executed_units: +//p' "$log")
    coverage=$(sed -nE 's/.* cov: ([0-9]+).*/\1/p' <<<"$last")
    corpus=$(sed -nE 's/.* corp: ([0-9]+).*/\1/p' <<<"$last")
    finding=none
    if [ $status -ne 0 ]; then
        failed=1
        artifact=$(sed -nE 's/.*Test unit written to //p' "$log" | tail -n 1)
        what=$(sed -nE '/Fatal error|ERROR: / { s/^==[0-9]+== ?//; p; q }' "$log")
        finding="${what:-status $status}; input ${artifact:-none}; log $log"
    elif ! [ "${runs:-0}" -gt 0 ] || grep -q 'Is the code instrumented' "$log"; then
        failed=1
        finding="nothing was run, or without coverage; log $log"
    fi
    printf '%-12s %12s %10s %9s  %s\n' "$target" "${runs:-0}" "${coverage:-0}" "${corpus:-0}" "$finding"
done
exit $failed
