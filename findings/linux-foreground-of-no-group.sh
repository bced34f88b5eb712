#!/usr/bin/env bash
# Linux 6.18, python3 of Debian 12: what tcsetpgrp takes.
#
# Behaviour: tcsetpgrp succeeds for the number of any process of the session, whether it leads
# a group or not. Then nobody is in the foreground, and the terminal's own shell is in the
# background; when that process makes a group of its own later, that is the foreground group.
#
# The good guess that is wrong: EPERM, since no group of the session has that number (POSIX:
# "does not match the process group ID of a process in the same session").
#
# Why it matters here: who keeps a pointer to the foreground group cannot do this, and a model
# of terminals that says EPERM differs. lwproc keeps an identity, which may be anybody's;
# `Difference::ForegroundOfNoGroup` has both sides.
#
# Known? In the kernel's source (`session_of_pgrp` falls back to the process); not in tcsetpgrp(3).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
command -v python3 >/dev/null || { echo "needs python3"; exit 2; }

cat >"$work/foreground.py" <<'PY'
import fcntl, os, signal, termios, time

master, slave = os.openpty()
shell = os.fork()
if shell == 0:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    member = os.fork()
    if member == 0:
        time.sleep(60)
    assert os.getpgid(member) == os.getpgrp() != member
    os.tcsetpgrp(slave, member)
    foreground = os.tcgetpgrp(slave)
    print("foreground: the member that leads no group:", foreground == member)
    try:
        os.killpg(member, 0)
        is_group = True
    except ProcessLookupError:
        is_group = False
    print("a group of that number:", is_group)
    os.kill(member, signal.SIGKILL)
    os._exit(not (foreground == member and not is_group))
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(shell, 0)[1]))
PY

echo "Linux $(uname -r | cut -d- -f1), $(python3 --version)"
python3 "$work/foreground.py" || { echo "this has changed"; exit 1; }
echo "OK: the foreground can be the number of a process that leads no group"
