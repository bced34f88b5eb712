#!/usr/bin/env bash
# All checks that a change must pass: formatting, lints, docs, tests, the
# replay of every trace, and the short set of models.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; "$@"; }

step cargo fmt --all --check
step cargo clippy --workspace --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" step cargo doc --workspace --no-deps
step cargo test --workspace
step cargo build --release -p lwproc-replay
for trace in traces/*.strace.gz ../shared/traces/*.strace.gz; do
    case "$trace" in
    *'*'*) echo "no $trace here: skipped" ;;
    *) step target/release/lwproc replay "$trace" ;;
    esac
done
largest=$(ls -S traces/*.strace.gz ../shared/traces/*.strace.gz 2>/dev/null | head -n 1)
step target/release/lwproc replay "$largest" --copies 64 --threads 2
step ci/loom.sh short
