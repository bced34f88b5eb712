#!/bin/sh
# Records a program as a log for `lwproc replay`.
#
#   ci/record-trace.sh NAME -- COMMAND...      writes traces/NAME.strace.gz
#
# A COMMAND that ends in .c is compiled first. Strings are blanked (of an execve the last part
# of the path stays, as the command's name); no line is dropped. Where the system permits, the
# program runs in a pid namespace of its own, so that orphans go to pid 1.
set -eu

usage() {
    echo "usage: $0 NAME -- COMMAND..." >&2
    exit 2
}
[ $# -ge 3 ] && [ "$2" = "--" ] || usage
name=$1
shift 2
traces=$(CDPATH='' cd -- "$(dirname -- "$0")/../traces" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

case $1 in
*.c)
    program=$work/$(basename -- "$1" .c)
    cc -O1 -Wall -pthread -o "$program" "$1"
    shift
    set -- "$program" "$@"
    ;;
esac

# Processes, descriptors, ids, groups, limits, signals sent.
calls=clone,clone3,fork,vfork,execve,execveat,exit,exit_group,wait4,waitid
calls=$calls,getpid,getppid,gettid,set_tid_address,getpgid,getpgrp,setpgid,getsid,setsid
calls=$calls,kill,tkill,tgkill,open,openat,creat,close,close_range,dup,dup2,dup3,fcntl
calls=$calls,pipe,pipe2,socket,socketpair,accept,accept4,epoll_create,epoll_create1,eventfd
calls=$calls,eventfd2,memfd_create,timerfd_create,inotify_init1,signalfd4,pidfd_open,recvmsg
calls=$calls,getuid,geteuid,getgid,getegid,setuid,setgid,setreuid,setregid,setresuid,setresgid
calls=$calls,getresuid,getresgid,getgroups,setgroups,capget,capset,prctl,umask
calls=$calls,prlimit64,getrlimit,setrlimit

# A shell stays as pid 1 of the namespace and reaps the orphans.
# shellcheck disable=SC2016
isolated='"$@"; status=$?; exit $status'
if unshare --pid --fork --mount-proc true 2>/dev/null; then
    set -- unshare --pid --fork --mount-proc sh -c "$isolated" sh \
        strace -f -o "$work/log" -e trace="$calls" "$@"
else
    echo "$0: no pid namespace; an orphan's getppid may not be 1" >&2
    set -- strace -f -o "$work/log" -e trace="$calls" "$@"
fi
# Programs that end with a code of their own are recorded all the same.
"$@" >/dev/null 2>&1 </dev/null || true
[ -s "$work/log" ] || { echo "$0: nothing was recorded" >&2; exit 1; }

sed -E \
    -e 's|execve\("([^"]*/)?([^"/]*)"|execve(\x01\2\x01|' \
    -e 's/"(\\.|[^"\\])*"(\.\.\.)?/"…"/g' \
    -e 's/\x01/"/g' "$work/log" | gzip -n9 >"$traces/$name.strace.gz"
lines=$(wc -l <"$work/log")
echo "traces/$name.strace.gz: $lines lines, $(wc -c <"$traces/$name.strace.gz") bytes"
