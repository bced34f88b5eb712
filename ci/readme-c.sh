#!/usr/bin/env bash
# Runs what lwproc-capi/README.md says: its commands, and its program.
set -euo pipefail
cd "$(dirname "$0")/.."

# The first block in a language.
block() {
    awk -v want="\`\`\`$1" '
        !done && $0 == want { inside = 1; next }
        inside && $0 == "```" { inside = 0; done = 1 }
        inside { print }
    ' lwproc-capi/README.md
}

commands=$(block sh)
program=$(block c)
[ -n "$commands" ] && [ -n "$program" ] || {
    echo "lwproc-capi/README.md has no commands or no program" >&2
    exit 1
}
mkdir -p target/c
rm -f target/c/socket
bash -euo pipefail -c "$commands"

printf '%s\n' "$program" >target/c/readme.c
cc -Wall -Wextra -Werror -Itarget/c/include -o target/c/readme target/c/readme.c \
    target/c/lib/liblwproc.a
target/c/readme
