#!/usr/bin/env bash
# Measures. Nothing here passes or fails by a time.
#
#   ci/bench.sh quick                 the table of operations, then as TSV; at most 3 minutes
#   ci/bench.sh compare OTHER [ROW...] [--rounds N] [--lives N,...] [--threads N,...]
#                                     this checkout and another (a directory, or a commit) in turns
#   ci/bench.sh full [FILTER]         the same by criterion, 1 to 8 threads: target/criterion/report/index.html; long
#   ci/bench.sh latency               p50, p99, p99.9 and the most, under load
#   ci/bench.sh memory                bytes of a process and of an LWP
#   ci/bench.sh replay                the largest logs in 256 copies, against a locked process table
#   ci/bench.sh instructions [--save] callgrind's counts against benches/instructions.tsv, or
#                                     with --against OTHER those of another checkout
#   ci/bench.sh pictures              quick, and 1 to 8 threads; draws docs/cost-against-live.svg
#                                     and docs/throughput-against-threads.svg
#   ci/bench.sh document              all but full; the figures go into docs/PERFORMANCE.md, the
#                                     pictures beside it, the counts into benches/instructions.tsv
set -euo pipefail
cd "$(dirname "$0")/.."

# Runs in benches/, so paths are absolute.
measure() { cargo bench -q -p lwproc-benches --bench measure -- "$@"; }

quick() { measure table 10,1000,100000,1000000 1,2; }

# From the output of quick.
pictures() {
    { cat "$1"; measure table 1000 4,8; } | grep -P '\t' >"$1.tsv"
    measure pictures "$1.tsv" "$PWD/docs"
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

case "${1:-}" in
quick) quick ;;
compare) ci/compare "${@:2}" ;;
full) measure full "${@:2}" ;;
latency) measure latency ;;
memory) cargo bench -q -p lwproc-benches --bench memory ;;
replay)
    shopt -s nullglob
    logs=(traces/*.strace.gz ../shared/traces/*.strace.gz)
    mapfile -t largest < <(ls -S "${logs[@]}" | sed -n 1,3p | xargs realpath)
    measure replay "${largest[@]}"
    ;;
instructions) ci/instructions "${@:2}" ;;
pictures)
    quick | tee "$scratch/quick"
    pictures "$scratch/quick"
    ;;
document)
    for what in quick latency memory replay; do
        "$0" "$what" | tee "$scratch/$what"
        ci/performance-tables "$what" "$scratch/$what"
    done
    pictures "$scratch/quick"
    ci/instructions --save
    ci/performance-tables instructions
    ;;
*)
    sed -n 's/^#   //p' "$0" >&2
    exit 2
    ;;
esac
