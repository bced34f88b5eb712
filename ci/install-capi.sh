#!/usr/bin/env bash
# Builds the C library and installs it: PREFIX/lib/liblwproc.{a,so}, PREFIX/include/lwproc.h
# and PREFIX/lib/pkgconfig/lwproc.pc.
#
#   ci/install-capi.sh PREFIX
#   ci/install-capi.sh --built DIR PREFIX    installs what cargo has built in DIR
set -euo pipefail

usage() {
    echo "usage: $0 [--built DIR] PREFIX" >&2
    exit 2
}
built=
if [ "${1:-}" = --built ]; then
    built=${2:-}
    [ -n "$built" ] || usage
    built=$(cd "$built" && pwd)
    shift 2
fi
[ $# -eq 1 ] || usage
mkdir -p "$1"
prefix=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."

if [ -z "$built" ]; then
    cargo build --quiet --release -p lwproc-capi
    built=${CARGO_TARGET_DIR:-target}/release
fi
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | sed -n 1p)
soname=liblwproc.so.0

mkdir -p "$prefix/lib/pkgconfig" "$prefix/include"
install -m 644 "$built/liblwproc_capi.a" "$prefix/lib/liblwproc.a"
install -m 755 "$built/liblwproc_capi.so" "$prefix/lib/liblwproc.so.$version"
ln -sf "liblwproc.so.$version" "$prefix/lib/$soname"
ln -sf "$soname" "$prefix/lib/liblwproc.so"
install -m 644 lwproc-capi/include/lwproc.h "$prefix/include/lwproc.h"
# What a program that links the archive needs besides, but for what the C compiler adds: it
# knows its own unwinder, of which no static libgcc_s exists.
empty=$(mktemp -d)
trap 'rm -rf "$empty"' EXIT
needs=$(rustc --crate-type staticlib --print native-static-libs --out-dir "$empty" - </dev/null 2>&1 |
    sed -n 's/^note: native-static-libs: //p')
private=
for lib in $needs; do
    case $lib in
    -lc | -lgcc_s) ;;
    *) private="$private $lib" ;;
    esac
done
sed -e "s|@prefix@|$prefix|" -e "s|@version@|$version|" -e "s|@private@|${private# }|" \
    lwproc-capi/lwproc.pc.in >"$prefix/lib/pkgconfig/lwproc.pc"
