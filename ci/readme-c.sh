#!/usr/bin/env bash
# Runs what the README says about C: the commands, and the program.
set -euo pipefail
cd "$(dirname "$0")/.."

# The first block in a language of the section "From C".
block() {
    awk -v want="\`\`\`$1" '
        /^## / { here = $0 == "## From C" }
        here && !done && $0 == want { inside = 1; next }
        inside && $0 == "```" { inside = 0; done = 1 }
        inside { print }
    ' README.md
}

commands=$(block sh)
program=$(block c)
[ -n "$commands" ] && [ -n "$program" ] || {
    echo "README.md has no section \"From C\" with commands and a program" >&2
    exit 1
}
mkdir -p target/c
rm -f target/c/socket
bash -euo pipefail -c "$commands"

printf '%s\n' "$program" >target/c/readme.c
cc -Wall -Wextra -Werror -Itarget/c/include -o target/c/readme target/c/readme.c \
    target/c/lib/liblwproc.a -lpthread -ldl -lm -lgcc_s
target/c/readme
