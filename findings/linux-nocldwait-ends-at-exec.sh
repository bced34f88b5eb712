#!/usr/bin/env bash
# Linux 6.18, Python 3.11: the two ways to have no zombies, and exec.
#
# Behaviour: a process that ignores SIGCHLD, or has SA_NOCLDWAIT with the default action,
# leaves no zombies, and so does the child that it forks. exec keeps the first and drops the
# second: it clears the flags of every signal, also of those whose action it leaves alone.
# The new program has zombies.
#
# The good guess that is wrong: the two are one state, "wants no zombies", as POSIX words
# both in one sentence, and exec resets only what is caught.
#
# Why it matters here: a supervisor that says SA_NOCLDWAIT and execs its worker has zombies
# in the worker, one that ignores the signal has none. lwproc keeps the two apart for this.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
command -v python3 >/dev/null || { echo "needs python3"; exit 2; }

cat >"$work/children.py" <<'PY'
import ctypes, os, sys

libc = ctypes.CDLL(None)
SIGCHLD, SIG_DFL, SIG_IGN, SA_NOCLDWAIT = 17, 0, 1, 2

class Action(ctypes.Structure):
    _fields_ = [
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_ubyte * 128),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    ]

def end_of_a_child():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    try:
        os.waitpid(pid, 0)
        return "zombie"
    except ChildProcessError:
        return "none"

def in_a_child():
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(theirs, end_of_a_child().encode())
        os._exit(0)
    os.close(theirs)
    return os.read(ours, 16).decode()

if len(sys.argv) > 1:
    way, before, forked = sys.argv[1:]
    after = end_of_a_child()
    print(f"{way}: {before}; in a forked child: {forked}; after exec: {after}")
    expected = {"SIG_IGN": "none", "SA_NOCLDWAIT": "zombie"}[way]
    raise SystemExit((before, forked, after) != ("none", "none", expected))

for way, handler, flags in [("SIG_IGN", SIG_IGN, 0), ("SA_NOCLDWAIT", SIG_DFL, SA_NOCLDWAIT)]:
    pid = os.fork()
    if pid == 0:
        action = Action(handler=handler, flags=flags)
        assert libc.sigaction(SIGCHLD, ctypes.byref(action), None) == 0
        state = [way, end_of_a_child(), in_a_child()]
        os.execv(sys.executable, [sys.executable, __file__, *state])
    if os.waitpid(pid, 0)[1] != 0:
        raise SystemExit(1)
PY

echo "Linux $(uname -r | cut -d- -f1), $(python3 --version)"
python3 "$work/children.py" || { echo "this has changed"; exit 1; }
echo "OK: exec keeps that SIGCHLD is ignored, and drops SA_NOCLDWAIT"
