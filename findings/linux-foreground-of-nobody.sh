#!/usr/bin/env bash
# Linux 6.18, Python 3.11, unshare of util-linux: a terminal whose foreground group
# has gone, and the next group of that number.
#
# Behaviour: the terminal keeps the group as an object, not as a number. When its last member
# is reaped, tcgetpgrp goes on saying its number, though no such group exists. The number may
# then be given to another process, which makes a group of it: now tcgetpgrp says the number
# of a group that is there, in the same session, and that group is in the background all the
# same: its read of the terminal is EIO.
#
# The good guess that is wrong: a group is in the foreground if tcgetpgrp says its number (as
# shells test it); or, a terminal keeps its group's number from being given out again, as a
# session and a group do for theirs.
#
# Why it matters here: a terminal that holds a number would let the second group read, and
# one that holds the number back would differ from Linux, too. lwproc's terminals compare
# identities.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for tool in python3 unshare; do
    command -v "$tool" >/dev/null || { echo "needs $tool"; exit 2; }
done
# In a pid namespace, where the next number can be chosen.
user=()
[ "$(id -u)" = 0 ] || user=(-Ur)

cat >"$work/foreground.py" <<'PY'
import fcntl, os, signal, termios

def forked(child):
    pid = os.fork()
    if pid == 0:
        child()
        os._exit(0)
    return pid

def leader():
    os.setsid()
    fcntl.ioctl(tty, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    ours, theirs = os.pipe()

    def member():
        os.setpgid(0, 0)
        os.write(theirs, b"!")
        signal.pause()

    first = forked(member)
    os.read(ours, 1)
    os.tcsetpgrp(tty, first)
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    print("its last member is reaped: tcgetpgrp says its number:", os.tcgetpgrp(tty) == first)
    try:
        os.killpg(first, 0)
        raise SystemExit("the group is there")
    except ProcessLookupError:
        print("no such group")
    with open("/proc/sys/kernel/ns_last_pid", "w") as last:
        last.write(str(first - 1))

    def reader():
        os.setpgid(0, 0)
        signal.signal(signal.SIGTTIN, signal.SIG_IGN)
        number = os.tcgetpgrp(tty) == os.getpgrp()
        try:
            os.read(tty, 1)
            print("another group: it may read")
        except OSError as why:
            print("another group: tcgetpgrp says its number:", number, "- read:", why.strerror)
            os._exit(0 if number else 1)
        os._exit(1)

    second = forked(reader)
    if second != first or os.waitpid(second, 0)[1] != 0:
        os._exit(1)

_terminal, tty = os.openpty()
raise SystemExit(os.waitpid(forked(leader), 0)[1] != 0)
PY

echo "Linux $(uname -r | cut -d- -f1), $(python3 --version), $(unshare --version)"
timeout 60 unshare "${user[@]}" --pid --fork --mount-proc python3 "$work/foreground.py" ||
    { echo "this has changed, or no pid namespaces are allowed here"; exit 1; }
echo "OK: a terminal's foreground group is an object: another of its number is in the background"
