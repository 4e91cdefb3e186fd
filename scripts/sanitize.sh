#!/bin/bash
# Runs the tests under AddressSanitizer and ThreadSanitizer: sanitize.sh [address|thread ...|quick]. docs/fuzzing.md has
# what is left out and why.
set -euo pipefail
cd "$(dirname "$0")/.."

export SWIFT_BACKTRACE=enable=no
swift=${SWIFT:-swift}
kinds=("$@")
[ ${#kinds[@]} -gt 0 ] || kinds=(address thread)
# What many threads share, in minutes.
if [ "${kinds[*]}" = quick ]; then
    kinds=(thread)
    FILTER=${FILTER:-'^(ExchangeTests|WireTests|TransportTests)\.'}
fi
# Whole runs as processes, and real models: too slow here, and their code is that of other tests.
skip=(--skip EndToEndTests --skip SmolLM2)
for kind in "${kinds[@]}"; do
    case $kind in
    address)
        export ASAN_OPTIONS="detect_leaks=0"
        scratch=.build-asan
        ;;
    thread)
        export TSAN_OPTIONS="history_size=4 halt_on_error=0 exitcode=66"
        scratch=.build-tsan
        ;;
    *)
        echo "error: '$kind' is not address, thread or quick alone" >&2
        exit 2
        ;;
    esac
    echo "tests under $kind sanitizer"
    # One after the other: tests that compute would keep those that wait from their turn for minutes, and their limits
    # of time would measure their neighbours.
    "$swift" test --no-parallel --sanitize="$kind" --scratch-path $scratch "${skip[@]}" ${FILTER:+--filter "$FILTER"}
done
