#!/usr/bin/env bash
# Runs the models of lwproc-loom-tests.
#
#   ci/loom.sh            every model
#   ci/loom.sh short      every model; those that take minutes with a bound of 2
#   ci/loom.sh long       those that take minutes (some take hours), unbounded
#   ci/loom.sh FILTER...  the models whose name contains every FILTER
#
# Prints a line for each model and a count; fails when a model fails, or when
# the list of models in the binary is not the list in lwproc-loom-tests/MODELS.
set -euo pipefail
cd "$(dirname "$0")/.."

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target/loom}
RUSTFLAGS="--cfg lwproc_loom" cargo build --profile loom -p lwproc-loom-tests --quiet
models="$CARGO_TARGET_DIR/loom/loom-models"

# A model that is not built would pass unseen.
diff <("$models" --list) lwproc-loom-tests/MODELS || {
    echo "the models built are not those listed in lwproc-loom-tests/MODELS" >&2
    exit 1
}

export RUST_BACKTRACE=${RUST_BACKTRACE:-0}
case "${1:-all}" in
all) "$models" ;;
short) "$models" --short ;;
long) "$models" --long ;;
*) "$models" "$@" ;;
esac
