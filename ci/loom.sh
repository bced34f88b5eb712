#!/usr/bin/env bash
# Runs the models of lwproc-loom-tests.
#
#   ci/loom.sh            every model
#   ci/loom.sh short      every model but the deep ones; those that take minutes
#                         with a bound of 2
#   ci/loom.sh deep       the whole matrix of pairs, and the triples
#   ci/loom.sh long       those that take minutes (some take hours), unbounded
#   ci/loom.sh epoch [FILTER...]
#                         reclamation on crossbeam-epoch itself, which then runs under
#                         loom too: the models `epoch_`
#   ci/loom.sh FILTER...  the models whose name contains every FILTER
#
# JOBS models run at a time (2 unless told), each in a process of its own.
# Prints a line for each model and a count; fails when a model fails, when one that
# must fail does not, or when the list of models in the binary is not the list in
# lwproc-loom-tests/MODELS.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = epoch ]; then
    export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target/loom}/epoch
    RUSTFLAGS="--cfg lwproc_loom --cfg lwproc_real_epochs --cfg crossbeam_loom" \
        cargo build --profile loom -p lwproc-loom-tests --quiet
    [ $# -gt 1 ] || set -- epoch epoch_
    RUST_BACKTRACE=0 exec "$CARGO_TARGET_DIR/loom/loom-models" --jobs "${JOBS:-2}" "${@:2}"
fi

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target/loom}
RUSTFLAGS="--cfg lwproc_loom" cargo build --profile loom -p lwproc-loom-tests --quiet
models="$CARGO_TARGET_DIR/loom/loom-models"

# A model that is not built would pass unseen.
diff <("$models" --list) lwproc-loom-tests/MODELS || {
    echo "the models built are not those listed in lwproc-loom-tests/MODELS" >&2
    exit 1
}

export RUST_BACKTRACE=${RUST_BACKTRACE:-0}
jobs=(--jobs "${JOBS:-2}")
case "${1:-all}" in
all) "$models" "${jobs[@]}" ;;
short) "$models" "${jobs[@]}" --short ;;
deep) "$models" "${jobs[@]}" --deep ;;
long) "$models" "${jobs[@]}" --long ;;
*) "$models" "${jobs[@]}" "$@" ;;
esac
