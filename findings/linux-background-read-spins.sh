#!/usr/bin/env bash
# Linux 6.18, python3 of Debian 12: a further thread of a background process reads from its
# controlling terminal, and the process catches SIGTTIN.
#
# Behaviour: the read does not return, neither with EINTR nor at all. The system signals the
# whole process and says "begin again" to the reader; the first thread takes the signal, the
# reader finds none for itself, begins again, and signals once more: tens of thousands of runs
# of the handler in a second, for as long as the process is in the background. The same of
# writes with TOSTOP and of tcsetattr, with SIGTTOU. With one thread it is EINTR at once.
#
# The good guess that is wrong: a background read with SIGTTIN caught is EINTR (POSIX: read
# "interrupted by a signal"), whichever thread reads.
#
# Why it matters here: lwproc answers `Signalled` to such a read, and the embedder chooses what
# follows. One that begins again where it finds no signal has built this loop.
#
# Known? Not found described. Not reported.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
command -v python3 >/dev/null || { echo "needs python3"; exit 2; }

cat >"$work/spin.py" <<'PY'
import errno, fcntl, os, signal, termios, threading, time

def background(in_thread, slave):
    """A background process: how often it caught SIGTTIN in half a second, and what read said."""
    caught, said = [0], []
    def handler(*_):
        caught[0] += 1
    def read():
        try:
            os.read(slave, 1)
        except OSError as error:
            said.append(errno.errorcode[error.errno])
    os.setpgid(0, 0)
    signal.signal(signal.SIGTTIN, handler)
    signal.siginterrupt(signal.SIGTTIN, True)
    if in_thread:
        threading.Thread(target=read, daemon=True).start()
        time.sleep(0.5)
    else:
        # Python itself would begin again: the bare call.
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        libc.read(slave, ctypes.create_string_buffer(1), 1)
        said.append(errno.errorcode.get(ctypes.get_errno()))
    return caught[0], said

def run(in_thread):
    back, forth = os.pipe()
    master, slave = os.openpty()
    if os.fork() == 0:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        child = os.fork()
        if child == 0:
            os.write(forth, repr(background(in_thread, slave)).encode())
            os._exit(0)
        os.waitpid(child, 0)
        os._exit(0)
    os.close(forth)
    said = os.read(back, 4096).decode()
    os.wait()
    return eval(said)

alone, threaded = run(False), run(True)
print("one thread:     SIGTTIN caught %d times, read says %s" % alone)
print("another thread: SIGTTIN caught %d times in half a second, read says %s" % threaded)
raise SystemExit(not (alone == (1, ["EINTR"]) and threaded[0] > 1000 and threaded[1] == []))
PY

echo "Linux $(uname -r | cut -d- -f1), $(python3 --version)"
python3 "$work/spin.py" || { echo "this has changed"; exit 1; }
echo "OK: a further thread's background read never returns, and its process catches SIGTTIN without end"
