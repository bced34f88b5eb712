#!/usr/bin/env bash
# Makes lwproc-capi/include/lwproc.h with cbindgen (cargo install cbindgen --locked).
#
#   ci/capi-header.sh           writes the header
#   ci/capi-header.sh --check   fails when the header that is checked in is another
set -euo pipefail
cd "$(dirname "$0")/../lwproc-capi"

made=$(mktemp)
trap 'rm -f "$made"' EXIT
# rustdoc's chapters for Rust callers say nothing to C.
cbindgen --quiet --config cbindgen.toml . | awk '
    / \* # Safety/ { skip = 1; if (held != "") held = ""; next }
    skip && / \*\// { skip = 0 }
    skip { next }
    { if (held != "") print held; held = "" }
    /^ \*$/ { held = $0; next }
    { print }
' >"$made"
case "${1:-}" in
--check) diff -u include/lwproc.h "$made" || {
    echo "include/lwproc.h is not what cbindgen makes: run ci/capi-header.sh" >&2
    exit 1
} ;;
"") cp "$made" include/lwproc.h ;;
*)
    echo "usage: $0 [--check]" >&2
    exit 2
    ;;
esac
