#!/usr/bin/env bash
# Long random schedules of many threads, and linearizability under them
# (checks/shuttle).
#
#   ci/shuttle.sh short      a minute or so, always the same schedules (what ci/test.sh runs)
#   ci/shuttle.sh long       forty times as many, from a new seed
#   ci/shuttle.sh epoch [FILTER...]
#                            the short run with crossbeam-epoch in place of the model epoch:
#                            objects are freed, and a use after that is seen
#   ci/shuttle.sh FILTER...  the short run of the tests whose line contains every FILTER
#   ci/shuttle.sh --seed N | --replay FILE NAME | ...   see checks/shuttle/src/main.rs
#
# JOBS tests run at a time (2 unless told), each in a process of its own. Prints a line for
# each test and scheduler. One that fails says its seed and where its schedule is.
set -euo pipefail
cd "$(dirname "$0")/.."

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target/shuttle}
flags="--cfg lwproc_shuttle"
if [ "${1:-}" = epoch ]; then
    CARGO_TARGET_DIR+=/epoch
    flags+=" --cfg lwproc_real_epochs"
    shift
fi
RUSTFLAGS=$flags cargo build --profile loom -p lwproc-shuttle-tests --quiet
tests=("$CARGO_TARGET_DIR/loom/shuttle-tests" --jobs "${JOBS:-2}")

export RUST_BACKTRACE=${RUST_BACKTRACE:-0}
case "${1:-short}" in
short) "${tests[@]}" ;;
long) "${tests[@]}" --long --new-seed ;;
*) "${tests[@]}" "$@" ;;
esac
