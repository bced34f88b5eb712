#!/usr/bin/env bash
# All checks that a change must pass: formatting, lints, docs, tests, the
# replay of every trace, long schedules, and the short set of models.
set -euo pipefail
cd "$(dirname "$0")/.."

# A step that hangs is named, and costs no more than this.
limit=()
if command -v timeout >/dev/null; then limit=(timeout --verbose 40m); fi
step() { printf '\n== %s\n' "$*"; "${limit[@]}" "$@"; }

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
step cargo build --release -p lwproc-cli
if command -v python3 >/dev/null; then
    step ci/seed-map
    step ci/progress
    step ci/layers
else
    echo "no python3 here: docs/SEED_MAP.md, docs/PROGRESS.md and the layers are not checked"
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
