#!/usr/bin/env bash
# Makes lwproc-capi/include/lwproc.h anew.
LWPROC_WRITE_HEADER=1 exec cargo test -q --manifest-path "$(dirname "$0")/../Cargo.toml" -p lwproc-capi --test header
