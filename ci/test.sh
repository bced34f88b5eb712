#!/usr/bin/env bash
# All checks that a change must pass: formatting, lints, docs, tests, the
# replay of every trace, long schedules, and the short set of models.
#
#   ci/test.sh          all of them
#   ci/test.sh quick    at most three minutes on two cores, in a workspace that is built:
#                       formatting, the lints of the workspace, the unit and integration
#                       tests of lwproc, the tests of the tools and of the examples, the
#                       tables of the documents, the layers, a handful of models
#
# What quick leaves out: of lwproc's tests most of the long random sequences and storms
# (few ids, few processes, virtual CPUs); its documentation and doc tests; the C library;
# checks/ (executors, schedules, frozen threads, linearizability, growth); the lints and
# tests of single features, and of what only the models build; whatever is built in release
# (the 2^32 calls, 64 copies on two threads, the logs by the command); all other models.
#
# Processor time of quick, as measured: 237 seconds after a change to lwproc, most of it the
# release build of the models and the tests' own; 64 when nothing has changed.
set -euo pipefail
cd "$(dirname "$0")/.."

# A step that hangs is named, and costs no more than this.
limit=()
if command -v timeout >/dev/null; then limit=(timeout --verbose 40m); fi
step() { printf '\n== %s\n' "$*"; "${limit[@]}" "$@"; }

# One model of each layer and of the hardest races of the kernel, each of a second or so.
handful=(
    word_claim_against_claim word_attach_against_gate refcount_try_inc_against_dec
    list_push_against_remove ids_steal_against_reserve_and_release
    waitq_wait_against_wake files_dup2_against_close uids_charge_follows_two_changes
    kernel_newlwp_against_last_release kernel_exit_switch_against_claim_by_id
    kernel_fork_against_find
)

# Of the long random sequences and storms of lwproc's tests one or two of each kind stay.
long=(--skip few_ --skip with_cpus_it --skip autoreap_matches --skip storm_with)

quick() {
    step cargo fmt --all --check
    step cargo clippy --workspace --all-targets -- -D warnings
    # With the features of the workspace, so that the library is built once.
    step cargo test -q -p lwproc --features async --lib --tests -- "${long[@]}"
    step cargo test -q -p lwproc-cli -p lwproc-replay -p lwproc-sysproxy -p lwproc-examples
    if command -v python3 >/dev/null; then
        step ci/seed-map
        step ci/progress
        step ci/layers
        step ci/semantics
    fi
    for model in "${handful[@]}"; do
        grep -qx "$model" lwproc-loom-tests/MODELS || { echo "no model $model" >&2; exit 1; }
    done
    step ci/loom.sh --short --exact "${handful[@]}"
}

case "${1:-}" in
'') ;;
quick)
    quick
    exit
    ;;
*)
    sed -n 's/^#   //p' "$0" >&2
    exit 2
    ;;
esac

step cargo fmt --all --check
step cargo clippy --workspace --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" step cargo doc --workspace --no-deps
RUSTDOCFLAGS="-D warnings" step cargo doc -p lwproc --all-features --no-deps
step cargo test --workspace
step cargo run -p lwproc-async-tests --example runtime
# Alone, without the features that the other packages ask for.
step cargo clippy -p lwproc --all-targets -- -D warnings
step cargo clippy -p lwproc --features tracing --all-targets -- -D warnings
step cargo test -p lwproc --features tracing --test tracing_sink
# What only the models build.
for models in loom shuttle; do
    step env "RUSTFLAGS=--cfg lwproc_$models" "CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/lint-$models" \
        cargo clippy -p lwproc -p "lwproc-$models-tests" --lib --bins -- -D warnings
done
if command -v cc >/dev/null && command -v pkg-config >/dev/null; then
    step ci/readme-c.sh
else
    echo "no cc and pkg-config here: the commands of lwproc-capi/README.md are skipped"
fi
# What takes 2^32 calls to force.
step cargo test --release -p lwproc --test error_paths biglock
# Linearizability, frozen threads, growth: short runs.
step cargo test --release -p lwproc-stress
# Against the Linux underneath, where it allows pid namespaces.
step cargo run --release -p lwproc-oracle -- --ops 20000 --seed 11
step cargo build --release -p lwproc-cli
if command -v python3 >/dev/null; then
    step ci/seed-map
    step ci/progress
    step ci/layers
    step ci/semantics
else
    echo "no python3 here: docs/SEED_MAP.md, docs/PROGRESS.md, the layers and checks/semantics.tsv are not checked"
fi
# ../shared holds larger logs, where it is there.
shopt -s nullglob
traces=(traces/*.strace.gz ../shared/traces/*.strace.gz)
[ -d ../shared/traces ] || echo "no ../shared/traces here: its logs are skipped"
for trace in "${traces[@]}"; do
    step target/release/lwproc replay "$trace"
done
largest=$(ls -S "${traces[@]}" | sed -n 1p)
step target/release/lwproc replay "$largest" --copies 64 --threads 2
step ci/shuttle.sh short
step ci/loom.sh epoch
step ci/loom.sh short
