#!/usr/bin/env bash
# The stress test, and what makes and ends most, under the sanitizers.
#
#   ci/sanitize.sh            both sanitizers
#   ci/sanitize.sh address    addresses and leaks
#   ci/sanitize.sh thread     data races
#   ci/sanitize.sh memcheck   the stress test in valgrind
#
# The sanitizers need unstable options of the stable compiler, and build into directories of
# their own. What is suppressed, and why, is in ci/sanitize-*.supp.
set -euo pipefail
cd "$(dirname "$0")/.."

export RUSTC_BOOTSTRAP=1
target=$(rustc -vV | sed -n 's/^host: //p')
base=${CARGO_TARGET_DIR:-target}
tests=(--test stress --test sleep --test waiting --test hooks --test faults --test files
    --test panics --test exit_group --test credentials)

sanitize() {
    local kind=$1
    shift
    printf '\n== %s sanitizer\n' "$kind"
    CARGO_TARGET_DIR=$base/sanitize-$kind RUSTFLAGS="-Zsanitizer=$kind $*" \
        cargo test -q --release --no-fail-fast --target "$target" -p lwproc "${tests[@]}" \
        -- --test-threads=1
}

which=${1:-all}
case $which in address | all)
    LSAN_OPTIONS="suppressions=$PWD/ci/sanitize-leak.supp" ASAN_OPTIONS=detect_leaks=1 \
        sanitize address
    ;;
esac
case $which in thread | all)
    # Fences are what it does not know: see the file.
    TSAN_OPTIONS="suppressions=$PWD/ci/sanitize-thread.supp" \
        sanitize thread -Cunsafe-allow-abi-mismatch=sanitizer
    ;;
esac
case $which in memcheck)
    runner=CARGO_TARGET_$(tr 'a-z-' 'A-Z_' <<<"$target")_RUNNER
    export "$runner=valgrind -q --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --error-exitcode=1 --fair-sched=yes"
    cargo test --release -p lwproc --test stress
    ;;
esac
