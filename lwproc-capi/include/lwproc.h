/*
 * lwproc: processes and LWPs (lightweight processes), with the interface of NetBSD's rump
 * kernel.
 *
 * Made by cbindgen from the crate lwproc-capi: do not edit, run ci/capi-header.sh.
 *
 * Functions of type int return 0 or an errno, unless they say otherwise. Where the rump
 * kernel panics, a message goes to standard error, and the program ends by SIGABRT; the
 * lwproc_try_* twins of those functions return an errno instead.
 *
 * Any function may be called from any thread. Before rump_init those that return an errno
 * return EINVAL, and the others abort. A thread that ends releases the LWP it runs as.
 *
 * In a callback, a function of the program's that the kernel calls (a hypercall, an exit hook,
 * a sink, a condition, a close callback, a destructor), a thread may call what is marked with
 * "Also in a callback": what names all that it is about, and what looks at this thread's
 * kernel or configures it. That is the calling kernel, unless that is being destroyed, or
 * gets a file back from a thread that uses another. All else is refused there: EDEADLK, or
 * an abort. When a thread's thread-local storage has been destroyed, as it may be in what is
 * called at the thread's end, no kernel is the thread's: what is about one is refused in
 * the same way, and look-ups find nothing.
 *
 * A deadline is a time of CLOCK_MONOTONIC, or of the hypercall `now` of a kernel that has one;
 * NULL is never. The calls that take one look before they block, and once more when it has come;
 * they may return later, since what they gave to others (a virtual CPU, the big lock) they
 * have again.
 *
 * No call waits for another thread, but for those that say that they block, a switch to an
 * LWP that has the big lock, and all that enter the kernel if it has a number of virtual
 * CPUs, or as an LWP of a process that is stopped (LWPROC_JOBS_KERNEL).
 *
 * After fork() the child has a copy of every kernel and channel, and the forking thread's
 * LWPs. There is no lock that another thread could have held: the child makes, uses and
 * destroys kernels, whatever the other threads did at that moment, and so does a thread that
 * forks in a function that the kernel calls. A kernel or channel that none of them was in a
 * call on is whole. But the other threads are not there: their LWPs stay bound, the kernels
 * they use cannot be destroyed (EBUSY), and what such a thread had at that moment, a virtual
 * CPU, the big lock, a wake-up or an operation that it was in the middle of, stays so.
 */

#ifndef LWPROC_H
#define LWPROC_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/* Before C11 it is the system's. */
struct timespec;

/* rfork: copy the descriptors; start with none. */
#define RUMP_RFFDG 1
#define RUMP_RFCFDG 2

#ifdef __cplusplus
extern "C" {
#endif

/* Not 0: sysent_usenative is allowed. To be set before threads are started. */
extern int rump_i_know_what_i_am_doing_with_sysents;

#ifdef __cplusplus
}
#endif

/**
 * The child is a clone child: what its parent is sent when it ends is `exit_signal`, and only
 * waits with LWPROC_WCLONE or LWPROC_WALL find it, until it is another program.
 */
#define LWPROC_FORK_CLONE 4

/**
 * The child is the current process's sibling (CLONE_PARENT).
 */
#define LWPROC_FORK_SIBLING 8

/**
 * The child of a vfork uses its parent's memory still.
 */
#define LWPROC_VFORK_RUNS 0

/**
 * It has become another program (lwproc_execnotify).
 */
#define LWPROC_VFORK_EXECED 1

/**
 * It has ended.
 */
#define LWPROC_VFORK_ENDED 2

/**
 * Children that end from now on leave no zombies (SA_NOCLDWAIT).
 */
#define LWPROC_CHILD_NOWAIT 1

/**
 * Children that stop or go on are told of to waits only (SA_NOCLDSTOP).
 */
#define LWPROC_CHILD_NOSTOP 2

/**
 * The descriptor is closed by an exec.
 */
#define LWPROC_CLOEXEC 1

/**
 * It has LWPs.
 */
#define LWPROC_STATE_ACTIVE 0

/**
 * It has LWPs and takes no more (lwproc_drain).
 */
#define LWPROC_STATE_DRAINING 1

/**
 * It has LWPs, which stop where they look; it may drain too.
 */
#define LWPROC_STATE_STOPPED 2

/**
 * Its last LWP has gone, and it is being taken apart.
 */
#define LWPROC_STATE_DYING 3

/**
 * It waits to be reaped.
 */
#define LWPROC_STATE_ZOMBIE 4

/**
 * lwproc_wait: do not block.
 */
#define LWPROC_WNOHANG 1

/**
 * lwproc_wait: reap nothing; the child is there for the next wait, and for other LWPs'.
 */
#define LWPROC_WNOWAIT 2

/**
 * lwproc_wait: for a child that has ended.
 */
#define LWPROC_WEXITED 4

/**
 * lwproc_wait: for one that has stopped, with LWPROC_JOBS_KERNEL; each time is found once.
 */
#define LWPROC_WSTOPPED 8

/**
 * lwproc_wait: for one that was stopped and goes on, in the same way.
 */
#define LWPROC_WCONTINUED 16

/**
 * lwproc_wait: for children that were made with LWPROC_FORK_CLONE (__WCLONE).
 */
#define LWPROC_WCLONE 32

/**
 * lwproc_wait: for these and the others (__WALL).
 */
#define LWPROC_WALL 64

/**
 * lwproc_wait: for children that the current LWP made; the oldest LWP also has those whose
 * maker has gone, and those that were inherited (__WNOTHREAD).
 */
#define LWPROC_WNOTHREAD 128

/**
 * No limit.
 */
#define LWPROC_RLIM_INFINITY UINT64_MAX

/**
 * lwproc_getrusage: what the current process has used.
 */
#define LWPROC_RUSAGE_SELF 0

/**
 * lwproc_getrusage: what the children it has waited for had used, and theirs.
 */
#define LWPROC_RUSAGE_CHILDREN -1

/**
 * What the signal does by default: SIGTSTP, SIGTTIN and SIGTTOU stop the process.
 */
#define LWPROC_SIG_DEFAULT 0

/**
 * It is dropped, unless it is blocked. Of SIGCHLD: children that end leave no zombies.
 */
#define LWPROC_SIG_IGNORE 1

/**
 * An LWP takes it.
 */
#define LWPROC_SIG_CATCH 2

/**
 * Children are kept as zombies until their parent waits; without it they are reaped at
 * once, as in the rump kernel.
 */
#define LWPROC_WAIT 1

/**
 * The limit LWPROC_RLIMIT_NPROC holds, but for the superuser: rfork fails with EAGAIN, and so
 * does the execnotify of a process that has changed its real user, when the new one has more
 * other processes. Also said later, by lwproc_limits_setpolicy.
 */
#define LWPROC_NPROC 2

/**
 * The limit LWPROC_RLIMIT_NTHR holds, but for the superuser: newlwp fails with EAGAIN. The
 * first LWP of each process is not counted. Also said later, by lwproc_limits_setpolicy.
 */
#define LWPROC_NTHR 4

/**
 * The parent of each process that has become a zombie is sent SIGCHLD, by the numbers of the
 * rules, when it can wait for it: with LWPROC_WAIT. LWPROC_JOBS_KERNEL sends it in any case.
 */
#define LWPROC_SIGCHLD 8

/**
 * Process 1 waits for its children, orphans included, as others do; else it reaps by itself.
 * With LWPROC_WAIT.
 */
#define LWPROC_INIT_WAITS 16

/**
 * Signals are ignored.
 */
#define LWPROC_SIGMODEL_IGNORE 0

/**
 * Signals are passed to the hypercall `raise`.
 */
#define LWPROC_SIGMODEL_RAISE 1

/**
 * A signal is the end: SIGABRT.
 */
#define LWPROC_SIGMODEL_PANIC 2

/**
 * Signals are kept until an LWP takes them.
 */
#define LWPROC_SIGMODEL_RECORD 3

/**
 * A number that is used again is another one, for long.
 */
#define LWPROC_NUMBERING_GENERATIONS 0

/**
 * Numbers are at most `id_capacity`, and used again soon.
 */
#define LWPROC_NUMBERING_DENSE 1

/**
 * Linux's order: the next free number, up to `id_capacity`, and then again from 300.
 */
#define LWPROC_NUMBERING_CYCLIC 2

/**
 * NetBSD's rules: its numbers of signals, and each LWPROC_DIFFERS_* as there.
 */
#define LWPROC_RULES_NETBSD 0

/**
 * Linux's rules, in the same way, and LWPROC_JOBS_KERNEL.
 */
#define LWPROC_RULES_LINUX 1

/**
 * Job control is as the rules have it.
 */
#define LWPROC_JOBS_OF_RULES 0

/**
 * Signals that stop or continue are signals as others, and dispositions the program's affair.
 */
#define LWPROC_JOBS_PROGRAM 1

/**
 * The kernel keeps dispositions, stops and continues processes, and tells their parents. It
 * wants LWPROC_SIGMODEL_RECORD.
 */
#define LWPROC_JOBS_KERNEL 2

/**
 * lwproc_kill of all, where none may be signalled. Linux: done. NetBSD: EPERM.
 */
#define LWPROC_DIFFERS_KILL_OF_NOBODY 1

/**
 * A bad signal number for who is not there. Linux: ESRCH. NetBSD: EINVAL.
 */
#define LWPROC_DIFFERS_BAD_SIGNAL_FOR_NOBODY 2

/**
 * lwproc_setpgid of a negative number, to group 0. Linux: EINVAL. NetBSD: ESRCH.
 */
#define LWPROC_DIFFERS_NEGATIVE_SETPGID 4

/**
 * lwproc_setpgid of a zombie. Linux: done. NetBSD: ESRCH.
 */
#define LWPROC_DIFFERS_SETPGID_OF_ZOMBIE 8

/**
 * An effective id that is set to itself. Linux: done. NetBSD: EPERM unless it is another of
 * the process's.
 */
#define LWPROC_DIFFERS_SETEUID_TO_EFFECTIVE 16

/**
 * Whom the limit of processes does not hold for. Linux: who is the superuser by the real or
 * the effective uid. NetBSD: by the effective one.
 */
#define LWPROC_DIFFERS_LIMIT_OF_THE_SUPERUSER 32

/**
 * A signal that does nothing. Linux: kept if the first LWP blocks it. NetBSD: if all do.
 */
#define LWPROC_DIFFERS_MASK_OF_THE_FIRST 64

/**
 * lwproc_execnotify by a further LWP. Linux: it takes the process's number. NetBSD: it keeps
 * its own.
 */
#define LWPROC_DIFFERS_EXEC_OF_FURTHER_LWP 128

/**
 * The number of a further LWP where a process is meant. Linux: its process. NetBSD: nobody's.
 */
#define LWPROC_DIFFERS_LWP_FOR_PROCESS 256

/**
 * lwproc_terminal_give_up by a session's leader. Linux: done. NetBSD: EINVAL.
 */
#define LWPROC_DIFFERS_LEADER_GIVES_UP 512

/**
 * lwproc_terminal_setforeground to no group of the session. Linux: by whose number it is.
 * NetBSD: EPERM.
 */
#define LWPROC_DIFFERS_FOREGROUND_OF_NO_GROUP 1024

/**
 * lwproc_terminal_may_change in an orphaned group. Linux: EIO. NetBSD: done.
 */
#define LWPROC_DIFFERS_CHANGE_BY_ORPHANS 2048

/**
 * lwproc_terminal_hang_up. Linux: SIGHUP and SIGCONT. NetBSD: SIGHUP.
 */
#define LWPROC_DIFFERS_HANG_UP 4096

/**
 * Which LWP is told of a signal for its process. Linux: the first. NetBSD: the newest.
 */
#define LWPROC_DIFFERS_RECEIVER 8192

/**
 * SIGCHLD of a child that leaves no zombie, by LWPROC_CHILD_NOWAIT. Linux: sent. NetBSD: not.
 */
#define LWPROC_DIFFERS_SIGNAL_WITHOUT_ZOMBIE 16384

/**
 * SIGCHLD ignored, after lwproc_execnotify. Linux: still. NetBSD: LWPROC_SIG_DEFAULT.
 */
#define LWPROC_DIFFERS_EXEC_OF_IGNORED_CHILDREN 32768

/**
 * Whose the credentials are. Linux: each LWP's own. NetBSD: the process's.
 */
#define LWPROC_DIFFERS_OWN_CREDENTIALS 65536

/**
 * What the limit of a user's processes counts. Linux: further LWPs, too. NetBSD: processes.
 */
#define LWPROC_DIFFERS_LIMIT_OF_LWPS 131072

/**
 * What happens to an LWP.
 */
enum lwproc_lwp_op {
    /**
     * It comes to be; before any other.
     */
    LWPROC_LWP_CREATE,
    /**
     * It is gone; once, and last.
     */
    LWPROC_LWP_DESTROY,
    /**
     * The calling thread now runs as it.
     */
    LWPROC_LWP_SET,
    /**
     * The calling thread no longer does.
     */
    LWPROC_LWP_CLEAR,
};

/**
 * What happened.
 */
enum lwproc_trace_kind {
    /**
     * A process was made: `pid`, of `parent`. For the sink of the parent.
     */
    LWPROC_TRACE_FORK,
    /**
     * An LWP was made, the first of a process included: `pid`, `lid`.
     */
    LWPROC_TRACE_LWP_CREATE,
    /**
     * An LWP has gone: `pid`, `lid`.
     */
    LWPROC_TRACE_LWP_EXIT,
    /**
     * A process has become another program: `pid`, `comm`.
     */
    LWPROC_TRACE_EXEC,
    /**
     * A process ends: `pid`, `status`. The last for its sink.
     */
    LWPROC_TRACE_EXIT,
    /**
     * A process is out of the table: `pid`, `status`. Only for the kernel's sink.
     */
    LWPROC_TRACE_REAP,
    /**
     * An LWP has taken its process's number: `pid`, `lid`, `was`.
     */
    LWPROC_TRACE_LWP_RENUMBER,
    /**
     * A process has become a zombie, which its parent can wait for: `pid`, `parent`, `status`.
     * Only for the kernel's sink.
     */
    LWPROC_TRACE_ZOMBIE,
};

/**
 * What can be limited: the first twelve are numbered as in NetBSD. LWPROC_RLIMIT_NOFILE holds,
 * LWPROC_RLIMIT_NPROC with LWPROC_NPROC, LWPROC_RLIMIT_NTHR with LWPROC_NTHR; the others are kept for the embedder.
 */
enum lwproc_resource {
    /**
     * CPU time, seconds.
     */
    LWPROC_RLIMIT_CPU,
    /**
     * Size of a file, bytes.
     */
    LWPROC_RLIMIT_FSIZE,
    /**
     * Data segment, bytes.
     */
    LWPROC_RLIMIT_DATA,
    /**
     * Stack, bytes.
     */
    LWPROC_RLIMIT_STACK,
    /**
     * Core file, bytes.
     */
    LWPROC_RLIMIT_CORE,
    /**
     * Resident set, bytes.
     */
    LWPROC_RLIMIT_RSS,
    /**
     * Locked memory, bytes.
     */
    LWPROC_RLIMIT_MEMLOCK,
    /**
     * Processes of the real user.
     */
    LWPROC_RLIMIT_NPROC,
    /**
     * One more than the largest descriptor.
     */
    LWPROC_RLIMIT_NOFILE,
    /**
     * Socket buffers, bytes.
     */
    LWPROC_RLIMIT_SBSIZE,
    /**
     * Address space, bytes.
     */
    LWPROC_RLIMIT_AS,
    /**
     * LWPs of the real user.
     */
    LWPROC_RLIMIT_NTHR,
    /**
     * File locks.
     */
    LWPROC_RLIMIT_LOCKS,
    /**
     * Queued signals.
     */
    LWPROC_RLIMIT_SIGPENDING,
    /**
     * POSIX message queues, bytes.
     */
    LWPROC_RLIMIT_MSGQUEUE,
    /**
     * Ceiling of the nice value, as 20 - nice.
     */
    LWPROC_RLIMIT_NICE,
    /**
     * Ceiling of the real-time priority.
     */
    LWPROC_RLIMIT_RTPRIO,
    /**
     * CPU time without a blocking call, microseconds.
     */
    LWPROC_RLIMIT_RTTIME,
};

/**
 * An LWP. Opaque: the pointer is a number, and is never looked through.
 */
struct lwp;

/**
 * Where LWPs sleep until something has happened. It is of no kernel. A real pointer: made by
 * lwproc_channel_create, and used no more once lwproc_channel_destroy has returned 0.
 */
struct lwproc_channel;

/**
 * A reference to an open file, which keeps it open, and the kernel's memory. A real pointer:
 * given back once, by lwproc_file_put, in any thread.
 */
struct lwproc_file;

/**
 * A process (pidfd), and never another that gets its number. It keeps no process alive, but
 * the kernel's memory. A real pointer: given back once, by lwproc_handle_close, in any
 * thread.
 */
struct lwproc_handle;

/**
 * A kernel. Opaque: the pointer is a number, and is never looked through.
 */
struct lwproc_kernel;

/**
 * A terminal: which session has it, and which group is in the foreground. It keeps nothing of
 * the kernel. A real pointer: given back once, by lwproc_terminal_destroy, in any thread.
 */
struct lwproc_terminal;

/**
 * A process. Opaque: the pointer is a number, and is never looked through.
 */
struct proc;

/**
 * An address space of the embedder's. Opaque, and never looked through.
 */
struct vmspace;

/**
 * Says whether a child is made, whose number is `pid`: 0; or an errno, and it is not. Its
 * address space may be put into `vm`, with 0. A callback: the number is taken, and nobody
 * finds it yet.
 */
typedef int (*lwproc_fork_prepare)(void *arg, pid_t pid, struct vmspace **vm);

/**
 * How a child is made. All zero is a child that shares the descriptors.
 */
struct lwproc_fork_args {
    /**
     * As of rump_pub_lwproc_rfork; LWPROC_FORK_CLONE, LWPROC_FORK_SIBLING.
     */
    int flags;
    /**
     * With LWPROC_FORK_CLONE; 0: nothing. SIGCHLD makes an ordinary child of it.
     */
    int exit_signal;
    /**
     * The second step; NULL: it is made.
     */
    lwproc_fork_prepare prepare;
    /**
     * Passed to it.
     */
    void *arg;
};

/**
 * Runs when a value of the embedder's goes.
 */
typedef void (*lwproc_destructor)(void *data);

/**
 * A limit of one resource.
 */
struct lwproc_rlimit {
    /**
     * What holds; LWPROC_RLIM_INFINITY: none.
     */
    uint64_t rlim_cur;
    /**
     * How far the process may raise it.
     */
    uint64_t rlim_max;
};

/**
 * What a process has used. The embedder measures, the kernel keeps and adds.
 */
struct lwproc_rusage {
    /**
     * User time, nanoseconds.
     */
    uint64_t utime;
    /**
     * System time, nanoseconds.
     */
    uint64_t stime;
    /**
     * The largest resident set, KiB. The sum of two is the larger.
     */
    uint64_t maxrss;
    /**
     * Page faults without I/O.
     */
    uint64_t minflt;
    /**
     * Page faults with I/O.
     */
    uint64_t majflt;
    /**
     * Block input operations.
     */
    uint64_t inblock;
    /**
     * Block output operations.
     */
    uint64_t oublock;
    /**
     * Messages sent.
     */
    uint64_t msgsnd;
    /**
     * Messages received.
     */
    uint64_t msgrcv;
    /**
     * Signals received.
     */
    uint64_t nsignals;
    /**
     * Switches while it waited.
     */
    uint64_t nvcsw;
    /**
     * Switches while it could have run.
     */
    uint64_t nivcsw;
};

/**
 * How a process is profiled.
 */
struct lwproc_profile {
    /**
     * Where the samples go, in the process's address space.
     */
    size_t base;
    /**
     * In bytes. 0: it is not profiled.
     */
    size_t size;
    /**
     * Of the first sampled program counter.
     */
    size_t offset;
    /**
     * From program counter to sample, in 1/65536.
     */
    unsigned int scale;
};

/**
 * A signal that was taken.
 */
struct lwproc_siginfo {
    /**
     * Its number; 0: there was none.
     */
    int signo;
    /**
     * 1: it was queued, with `value`; 0: it was sent otherwise.
     */
    int queued;
    /**
     * What lwproc_sigqueue was given; else NULL.
     */
    void *value;
};

/**
 * Says whether what an LWP sleeps for has come: not 0. A callback.
 */
typedef int (*lwproc_condition)(void *arg);

/**
 * Sleeps in the embedder's way. A callback.
 */
typedef void (*lwproc_sleeper)(void *arg);

/**
 * Ends such a sleep. A callback, which may not block.
 */
typedef void (*lwproc_unsleeper)(void *arg, int lid);

/**
 * A process at its end.
 */
struct lwproc_ending {
    /**
     * Its number.
     */
    pid_t pid;
    /**
     * Its parent's.
     */
    pid_t ppid;
    /**
     * Its process group.
     */
    pid_t pgid;
    /**
     * Its real user.
     */
    uid_t uid;
};

/**
 * Called at the end of a process. A callback.
 */
typedef void (*lwproc_exithook)(void *arg, const struct lwproc_ending *ending);

/**
 * The hypercalls. Each may be NULL. `arg` is that of the configuration.
 *
 * They are callbacks, in any thread, also at a thread's end. They may not leave by longjmp or
 * an exception. The kernel holds no lock meanwhile.
 */
struct lwproc_hypercalls {
    /**
     * An LWP is made, ends, starts to run on this thread or stops to.
     */
    void (*lwp_op)(void *arg, enum lwproc_lwp_op op, struct lwp *l);
    /**
     * A signal for a process, with the model LWPROC_SIGMODEL_RAISE.
     */
    void (*raise)(void *arg, pid_t pid, int signo);
    /**
     * A process is made, which has the default emulation: what lwproc_emul_add was given,
     * NULL for the native one. It cannot be found by its number yet.
     */
    void (*syscall_intern)(void *arg, void *emul, pid_t pid);
    /**
     * The process that was forked with this address space has ended.
     */
    void (*vmspace_free)(void *arg, struct vmspace *vm);
    /**
     * The place in the file system of a new process, from its parent's: of the embedder's
     * type; NULL is none, which proc0 and process 1 have. Called before the process is
     * made.
     */
    void *(*vfs_init)(void *arg, void *parent);
    /**
     * A place that vfs_init made is given back: the process has ended, or was not made
     * after all.
     */
    void (*vfs_release)(void *arg, void *vfs);
    /**
     * What time it is, for deadlines; it never goes back. NULL: what CLOCK_MONOTONIC says. A
     * program that has a time of its own calls lwproc_tick when it has passed.
     */
    void (*now)(void *arg, struct timespec *now);
    /**
     * An LWP has taken its process's number, by lwproc_execnotify: what `old` was is `l` from
     * now on, in the hypercalls too, and `old` has gone. In the thread that runs as it.
     */
    void (*lwp_renumber)(void *arg, struct lwp *old, struct lwp *l);
};

/**
 * How a kernel is made. All zero is the default.
 */
struct lwproc_config {
    /**
     * The hypercalls; copied. NULL: none.
     */
    const struct lwproc_hypercalls *hypercalls;
    /**
     * Passed to each hypercall.
     */
    void *arg;
    /**
     * LWPROC_WAIT, LWPROC_NPROC, LWPROC_NTHR, LWPROC_SIGCHLD, LWPROC_INIT_WAITS.
     */
    unsigned int flags;
    /**
     * LWPROC_SIGMODEL_*.
     */
    int sigmodel;
    /**
     * The most pids and lids in use at once, at most 2^30 - 1. 0: 2^21 - 1; 32,767 for
     * LWPROC_NUMBERING_CYCLIC.
     */
    size_t id_capacity;
    /**
     * How many threads may be in the kernel at once, at most 65,536; others wait. 0: any
     * number.
     */
    size_t virtual_cpus;
    /**
     * The most processes, proc0 and init included. 0: any number. Also said later, by
     * lwproc_set_max_procs.
     */
    uint64_t max_procs;
    /**
     * LWPROC_NUMBERING_*.
     */
    int numbering;
    /**
     * LWPROC_RULES_*.
     */
    int rules;
    /**
     * LWPROC_JOBS_*.
     */
    int jobs;
    /**
     * LWPROC_DIFFERS_*: in these cases it is as the other system than `rules` says.
     */
    uint64_t differs;
    /**
     * The most signals that are queued for a process and its LWPs at once. 0: 1,024.
     */
    size_t max_queued_signals;
};

/**
 * What was left when a kernel was destroyed, and is gone now.
 */
struct lwproc_leftover {
    /**
     * LWPs: parked, or of other threads.
     */
    size_t lwps;
    /**
     * Processes that nobody had waited for.
     */
    size_t zombies;
};

/**
 * What lives in a kernel; exact when no other thread is making or ending anything.
 */
struct lwproc_counts {
    /**
     * Processes that have LWPs; proc0 and process 1 are two of them.
     */
    size_t procs;
    /**
     * LWPs; two of them are the kernel's own.
     */
    size_t lwps;
    /**
     * Processes that wait to be waited for.
     */
    size_t zombies;
    /**
     * Numbers in use; 0 and 1 are two of them.
     */
    size_t ids;
};

/**
 * What one user has; exact while no thread makes, ends or changes anything.
 */
struct lwproc_user_counts {
    /**
     * Processes, those that wait to be waited for included.
     */
    size_t procs;
    /**
     * LWPs, without the first of each process.
     */
    size_t lwps;
};

/**
 * Something that happened. What does not apply is 0.
 */
struct lwproc_trace_event {
    /**
     * What.
     */
    enum lwproc_trace_kind kind;
    /**
     * To which process.
     */
    pid_t pid;
    /**
     * To which LWP.
     */
    int lid;
    /**
     * Who forked, 0 for a process made by rump__lwproc_alloclwp; whose child the zombie is.
     */
    pid_t parent;
    /**
     * How the process ended, in the traditional encoding.
     */
    int status;
    /**
     * What the process is called now.
     */
    char comm[17];
    /**
     * The number that the LWP had, which another may bear by now.
     */
    int was;
};

/**
 * Takes events, in the thread that did what they tell, after it was done; from several
 * threads at once. A callback.
 */
typedef void (*lwproc_trace_sink)(void *arg, const struct lwproc_trace_event *event);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Makes the default kernel, unless there is one. 0, or an errno.
 */
int rump_init(void);

/**
 * Makes a child of the current process, and switches to its first LWP. `flags`: 0 shares
 * the descriptors, RUMP_RFFDG copies them, RUMP_RFCFDG starts with none. The LWP from before
 * is parked.
 *
 * EINVAL: both flags, unknown ones, or no kernel. EAGAIN: no id left, or a limit.
 */
int rump_pub_lwproc_rfork(int flags);

/**
 * Makes an LWP in the process with that pid, and switches to it. The LWP from before is
 * parked.
 *
 * ESRCH: no such process. EBUSY: it takes no more LWPs. EAGAIN: no id left.
 */
int rump_pub_lwproc_newlwp(pid_t pid);

/**
 * Switches to an LWP that no thread runs as; the one from before is parked, or released if
 * it is exiting. NULL: parks the current LWP.
 *
 * Aborts when a thread runs as it, this one included; when it has gone, or is none; and
 * for NULL when there is no current LWP that lives on.
 */
void rump_pub_lwproc_switch(struct lwp *l);

/**
 * Releases the current LWP; with its last one the process ends.
 *
 * Aborts when there is no current LWP, or it is held.
 */
void rump_pub_lwproc_releaselwp(void);

/**
 * The current LWP; NULL for an implicit thread.
 */
struct lwp *rump_pub_lwproc_curlwp(void);

/**
 * Gives the current process the native system calls.
 *
 * Aborts unless rump_i_know_what_i_am_doing_with_sysents is set.
 */
void rump_pub_lwproc_sysent_usenative(void);

/**
 * Makes the current process and LWP show other numbers. No table knows them: look-ups,
 * waiting and signals go by the real ones.
 */
void rump_pub_allbetsareoff_setid(pid_t pid, int lid);

/**
 * Enters the kernel: as this thread's LWP, or as an implicit thread of process 1. With
 * virtual CPUs it waits for one.
 *
 * Aborts before rump_init, and when the thread is scheduled already.
 */
void rump_schedule(void);

/**
 * Leaves the kernel. An exiting LWP is released, one that was switched to NULL is parked,
 * any other stays this thread's.
 *
 * Aborts when the thread is not scheduled.
 */
void rump_unschedule(void);

/**
 * As rump_pub_lwproc_rfork. All rump_lwproc_* and rump__lwproc_* functions abort outside
 * rump_schedule.
 */
int rump_lwproc_rfork(int flags);

/**
 * As rump_lwproc_rfork, with an address space that is freed by the hypercall vmspace_free
 * when the process ends, or the call fails otherwise than by EINVAL. NULL: the local one.
 */
int rump_lwproc_rfork_vmspace(struct vmspace *vm, int flags);

/**
 * As rump_pub_lwproc_newlwp.
 */
int rump_lwproc_newlwp(pid_t pid);

/**
 * As rump_pub_lwproc_switch. With NULL the LWP is current until rump_unschedule parks it.
 */
void rump_lwproc_switch(struct lwp *l);

/**
 * Marks the current LWP exiting: it is released by the next switch, or by rump_unschedule.
 *
 * Aborts as rump_pub_lwproc_releaselwp.
 */
void rump_lwproc_releaselwp(void);

/**
 * The current LWP; NULL for an implicit thread, and when it is exiting.
 */
struct lwp *rump_lwproc_curlwp(void);

/**
 * The LWP that this thread was last set to run as, exiting or not, in a call or not; NULL:
 * none. With LWPs of several kernels bound to the thread, the last one. Also in a callback.
 */
struct lwp *rump_lwproc_curlwp_hypercall(void);

/**
 * As rump_pub_lwproc_sysent_usenative.
 */
void rump_lwproc_sysent_usenative(void);

/**
 * As rump_pub_allbetsareoff_setid.
 */
void rump_allbetsareoff_setid(pid_t pid, int lid);

/**
 * A new LWP of a process, or of a new process when `p` is NULL: parked, to be switched to.
 *
 * NULL: the process takes no more LWPs, or no id is left. Aborts when the process has gone,
 * or is none.
 */
struct lwp *rump__lwproc_alloclwp(struct proc *p);

/**
 * Holds the current LWP; one that was exiting lives on, and an implicit thread becomes an
 * LWP of process 1.
 */
void rump__lwproc_lwphold(void);

/**
 * Drops a hold of the current LWP; with the last it is exiting.
 *
 * Aborts when there is none.
 */
void rump__lwproc_lwprele(void);

/**
 * The live LWP of a process with that number; NULL: none. No lock is needed. Also in a
 * callback.
 *
 * Aborts when `p` has gone, or is none.
 */
struct lwp *lwp_find(struct proc *p, int id);

/**
 * The process with that pid, zombies included; NULL: none. Also in a callback.
 */
struct proc *lwproc_proc_find(pid_t pid);

/**
 * The current process; process 1 for an implicit thread.
 */
struct proc *lwproc_curproc(void);

/**
 * As rump_schedule. EINVAL: no kernel. EDEADLK: scheduled already, or in a callback.
 */
int lwproc_try_schedule(void);

/**
 * As lwproc_try_schedule; ETIMEDOUT: all virtual CPUs are taken, or the process is stopped,
 * and the deadline, a time of CLOCK_MONOTONIC, has come. NULL: never. EINVAL: no time.
 */
int lwproc_schedule_until(const struct timespec *deadline);

/**
 * As rump_unschedule. EINVAL: not scheduled.
 */
int lwproc_try_unschedule(void);

/**
 * As rump_pub_lwproc_switch, also between rump_schedule and rump_unschedule.
 *
 * EBUSY: a thread runs as it. ESRCH: it has gone, or is of another kernel. EINVAL: it is
 * none; NULL, and there is no current LWP that lives on; no kernel.
 */
int lwproc_try_switch(struct lwp *l);

/**
 * As rump_pub_lwproc_releaselwp, also between rump_schedule and rump_unschedule.
 *
 * EINVAL: no current LWP, or it is exiting; no kernel. EBUSY: it is held.
 */
int lwproc_try_releaselwp(void);

/**
 * As rump_pub_lwproc_curlwp. EINVAL: no kernel.
 */
int lwproc_try_curlwp(struct lwp **l);

/**
 * As rump_pub_lwproc_sysent_usenative. EPERM: not allowed.
 */
int lwproc_try_sysent_usenative(void);

/**
 * As rump_pub_allbetsareoff_setid. EINVAL: no kernel.
 */
int lwproc_try_allbetsareoff_setid(pid_t pid, int lid);

/**
 * As rump__lwproc_alloclwp, from anywhere.
 *
 * EINVAL: no such process. ESRCH: it has ended. EBUSY: it takes no more LWPs. EAGAIN: no
 * id left.
 */
int lwproc_try_alloclwp(struct proc *p, struct lwp **l);

/**
 * As rump__lwproc_lwphold, from anywhere. EAGAIN: no id left. EBUSY: process 1 takes no
 * more LWPs. EOVERFLOW: too many holds.
 */
int lwproc_try_lwphold(void);

/**
 * As rump__lwproc_lwprele, from anywhere. EINVAL: not held.
 */
int lwproc_try_lwprele(void);

/**
 * Makes a child of the current process, and goes on as what it is: the child's LWP is parked,
 * to be switched to, and goes into `l`, and the child's number into `pid` unless that is
 * NULL. NULL for `how`: all zero.
 *
 * All that may be refused is, and then `prepare(arg, ...)` is called once, unless it is NULL:
 * it knows the child's number, and may still give it back. What it puts into `vm` is freed by
 * the hypercall vmspace_free when the child ends.
 *
 * EINVAL: flags that do not go together, or unknown ones; no such signal; a sibling of process
 * 0 or 1. EAGAIN: no id left, or a limit. What `prepare` says.
 */
int lwproc_fork(const struct lwproc_fork_args *how,
                struct lwp **l,
                pid_t *pid);

/**
 * Waits until a process execs or ends, as the parent of a vfork does, which has made the
 * child: LWPROC_VFORK_* into `end`, unless that is NULL. It blocks the thread. Signals pend;
 * EINTR: one that ends the process, or the LWP is to exit, or was unslept.
 */
int lwproc_vfork_wait(const struct lwproc_handle *handle, int *end);

/**
 * Whether it has: LWPROC_VFORK_* into `end`. Also in a callback.
 */
int lwproc_vfork_end(const struct lwproc_handle *handle, int *end);

/**
 * The current process's number; 1 for an implicit thread. Aborts before rump_init.
 */
pid_t lwproc_getpid(void);

/**
 * The number of its parent. Aborts before rump_init.
 */
pid_t lwproc_getppid(void);

/**
 * The current LWP's number; 0 for an implicit thread. Aborts before rump_init.
 */
int lwproc_getlid(void);

/**
 * The real user id. Credentials are the same from entering to leaving, but for what the
 * thread itself changes. Aborts before rump_init.
 */
uid_t lwproc_getuid(void);

/**
 * The effective user id. Aborts before rump_init.
 */
uid_t lwproc_geteuid(void);

/**
 * The real group id. Aborts before rump_init.
 */
gid_t lwproc_getgid(void);

/**
 * The effective group id. Aborts before rump_init.
 */
gid_t lwproc_getegid(void);

/**
 * getresuid(2): the real, the effective and the saved user id.
 */
int lwproc_getresuid(uid_t *ruid, uid_t *euid, uid_t *suid);

/**
 * getresgid(2): the real, the effective and the saved group id.
 */
int lwproc_getresgid(gid_t *rgid, gid_t *egid, gid_t *sgid);

/**
 * setuid(2) of the current process; its other LWPs see it at their next entry. EINVAL of
 * -1, EPERM.
 */
int lwproc_setuid(uid_t uid);

/**
 * seteuid(2). EINVAL of -1, EPERM.
 */
int lwproc_seteuid(uid_t uid);

/**
 * setreuid(2); -1 leaves an id as it is. EPERM.
 */
int lwproc_setreuid(uid_t ruid, uid_t euid);

/**
 * setresuid(2); -1 leaves an id as it is. EPERM.
 */
int lwproc_setresuid(uid_t ruid, uid_t euid, uid_t suid);

/**
 * setgid(2). EINVAL of -1, EPERM.
 */
int lwproc_setgid(gid_t gid);

/**
 * setegid(2). EINVAL of -1, EPERM.
 */
int lwproc_setegid(gid_t gid);

/**
 * setregid(2); -1 leaves an id as it is. EPERM.
 */
int lwproc_setregid(gid_t rgid, gid_t egid);

/**
 * setresgid(2); -1 leaves an id as it is. EPERM.
 */
int lwproc_setresgid(gid_t rgid, gid_t egid, gid_t sgid);

/**
 * setgroups(2). EPERM. EINVAL: more than 65,536.
 */
int lwproc_setgroups(size_t count, const gid_t *groups);

/**
 * The supplementary groups: their number into `count`, which says before how many `groups`
 * has room for. With room for 0 only the number is stored. EINVAL: not enough room.
 */
int lwproc_getgroups(size_t *count, gid_t *groups);

/**
 * Says whether the current process is a subreaper (PR_SET_CHILD_SUBREAPER), not 0: whether
 * the orphans that descend from it become its children, and not those of one above it.
 * Children are none by birth.
 */
int lwproc_setsubreaper(int is_one);

/**
 * Whether it is one, 1 or 0 into `is_one`.
 */
int lwproc_getsubreaper(int *is_one);

/**
 * Has the current process sent a signal when its parent ends, which is the LWP that made it
 * (PR_SET_PDEATHSIG), as the current LWP asks; 0: none. EINVAL: no such signal; an implicit
 * thread.
 */
int lwproc_setdeathsig(int signo);

/**
 * Which one the current LWP has asked for; 0: none.
 */
int lwproc_getdeathsig(int *signo);

/**
 * Says LWPROC_CHILD_* of the current process's children: both, one or 0. EINVAL: unknown
 * flags. ENOSYS: without LWPROC_JOBS_KERNEL.
 */
int lwproc_setchildflags(int flags);

/**
 * What it says of them.
 */
int lwproc_getchildflags(int *flags);

/**
 * Opens a file at the lowest free descriptor. `close(data)` is called once, when the last
 * descriptor and reference are gone: a callback, which may destroy the channels of the file.
 * On an error the file is the caller's as before. EMFILE.
 */
int lwproc_open(void *data, lwproc_destructor close, int flags, int *fd);

/**
 * A reference to the file of a descriptor. EBADF.
 */
int lwproc_get(int fd, struct lwproc_file **file);

/**
 * What lwproc_open was given. Also in a callback.
 */
void *lwproc_file_data(const struct lwproc_file *file);

/**
 * Gives a reference back; with the last one the file is closed. NULL: does nothing. Also in
 * a callback.
 */
void lwproc_file_put(struct lwproc_file *file);

/**
 * Opens the file once more, at the lowest free descriptor of the current process: one that
 * got it from another. EMFILE. EXDEV: it is of another kernel.
 */
int lwproc_install(const struct lwproc_file *file, int flags, int *fd);

/**
 * Closes a descriptor. EBADF.
 */
int lwproc_close(int fd);

/**
 * dup(2): the lowest free descriptor into `newfd`. EBADF, EMFILE.
 */
int lwproc_dup(int fd, int *newfd);

/**
 * F_DUPFD, F_DUPFD_CLOEXEC: the lowest free descriptor from `min` on. EBADF, EMFILE.
 * EINVAL: bad minimum or flags.
 */
int lwproc_dup_from(int fd, int min, int flags, int *newfd);

/**
 * dup2(2). EBADF.
 */
int lwproc_dup2(int fd, int newfd);

/**
 * dup3(2). EBADF. EINVAL: both are the same, or bad flags.
 */
int lwproc_dup3(int fd, int newfd, int flags);

/**
 * Whether an exec closes it: LWPROC_CLOEXEC or 0 into `flags`. EBADF.
 */
int lwproc_getcloexec(int fd, int *flags);

/**
 * Says whether an exec closes it: LWPROC_CLOEXEC or 0. EBADF.
 */
int lwproc_setcloexec(int fd, int flags);

/**
 * Gives the current LWP a table of descriptors of its own, with what it has open (unshare of
 * CLONE_FILES), unless nobody else uses the one it has. LWPs that it makes in its process
 * share it; lwproc_execnotify makes it the process's. EINVAL: an implicit thread has no LWP.
 */
int lwproc_unshare_files(void);

/**
 * close_range(2): closes the descriptors from `first` to `last`, or marks them
 * (LWPROC_CLOEXEC). EINVAL.
 */
int lwproc_close_range(int first, int last, int flags);

/**
 * A handle of the process with that pid, which may be a zombie (pidfd_open). ESRCH. Also in
 * a callback.
 */
int lwproc_handle_open(pid_t pid, struct lwproc_handle **handle);

/**
 * Closes a handle. NULL: does nothing. Also in a callback.
 */
void lwproc_handle_close(struct lwproc_handle *handle);

/**
 * The process's pid, which may be another's by now. Also in a callback.
 */
pid_t lwproc_handle_pid(const struct lwproc_handle *handle);

/**
 * As lwproc_kill of the process (pidfd_send_signal). ESRCH: it has been reaped. EXDEV: it is
 * of another kernel.
 */
int lwproc_handle_signal(const struct lwproc_handle *handle, int signo);

/**
 * Ends the process as a whole, for good, as lwproc_exit_group does in it: its parked LWPs at
 * once, those that other threads run as when they are switched away from. EPERM: process 0
 * or 1. ESRCH: it has ended, or was ended before.
 */
int lwproc_handle_end(const struct lwproc_handle *handle, int code);

/**
 * Whether the process has ended, 1 or 0 into `ended`, and how into `status`, in the
 * traditional encoding; it stays so when it has been reaped. `status` may be NULL. Also in a
 * callback.
 */
int lwproc_handle_status(const struct lwproc_handle *handle, int *ended, int *status);

/**
 * Waits until the process has ended, anybody's child, and reaps nothing: how it did into
 * `status`, unless that is NULL. It blocks the thread until the deadline, a time of
 * CLOCK_MONOTONIC; NULL: never. ETIMEDOUT. EINTR. EINVAL: no time.
 */
int lwproc_handle_exited(const struct lwproc_handle *handle,
                         int *status,
                         const struct timespec *deadline);

/**
 * As lwproc_wait_until of the process, a child of the current one; the options are
 * LWPROC_WNOHANG, LWPROC_WCLONE, LWPROC_WALL. ECHILD: it is none, or has been reaped.
 */
int lwproc_handle_wait(const struct lwproc_handle *handle,
                       int options,
                       pid_t *pid,
                       int *status,
                       const struct timespec *deadline);

/**
 * The pids of all processes of this thread's kernel, zombies included: as many as there is
 * `room` for into `pids`, and how many there are into `count`, which may be more. A process
 * that is there throughout is listed once. Also in a callback.
 */
int lwproc_list_procs(pid_t *pids, size_t room, size_t *count);

/**
 * The numbers of the LWPs of a process, as lwproc_list_procs; none once it has ended. EINVAL:
 * no such process. Also in a callback.
 */
int lwproc_list_lwps(struct proc *p, int *lids, size_t room, size_t *count);

/**
 * How many LWPs live in a process; 0 once it has ended. EINVAL: no such process. Also in a
 * callback.
 */
int lwproc_count_lwps(struct proc *p, size_t *count);

/**
 * Where a process is in its life, LWPROC_STATE_* into `state`; it may be further by now.
 * EINVAL: no such process. Also in a callback.
 */
int lwproc_state(struct proc *p, int *state);

/**
 * setpgid(2): 0 for `pid` is the current process, for `pgid` the pid. EINVAL, ESRCH,
 * EACCES, EPERM.
 */
int lwproc_setpgid(pid_t pid, pid_t pgid);

/**
 * The process group of a process; 0 is the current one. ESRCH.
 */
int lwproc_getpgid(pid_t pid, pid_t *pgid);

/**
 * setsid(2): a new session, whose number goes into `sid` unless that is NULL. EPERM.
 */
int lwproc_setsid(pid_t *sid);

/**
 * The session of a process; 0 is the current one. ESRCH.
 */
int lwproc_getsid(pid_t pid, pid_t *sid);

/**
 * waitpid(2): `target` is a pid, -1 for any child, 0 for one of the own group, -N for one of
 * group N; `options` are LWPROC_WNOHANG, LWPROC_WNOWAIT, which children (LWPROC_WCLONE,
 * LWPROC_WALL, LWPROC_WNOTHREAD), and what it waits for, LWPROC_WEXITED if nothing is said. The child's pid goes into `pid`, 0 when none is found
 * yet, and how it ended, stopped or went on into `status`, in the traditional encoding;
 * either may be NULL. It blocks the thread. ECHILD, EINTR. Of use with LWPROC_WAIT.
 */
int lwproc_wait(pid_t target,
                int options,
                pid_t *pid,
                int *status);

/**
 * As lwproc_wait, until the deadline, a time of CLOCK_MONOTONIC; NULL: never. ETIMEDOUT.
 * EINVAL: no time.
 */
int lwproc_wait_until(pid_t target,
                      int options,
                      pid_t *pid,
                      int *status,
                      const struct timespec *deadline);

/**
 * Releases the current LWP as lwproc_try_releaselwp does, and says how the process ends: by
 * exit(code). EINVAL, EBUSY.
 */
int lwproc_exit(int code);

/**
 * The same by a signal, 1 to 126; `core` not 0: it dumped core. EINVAL, EBUSY.
 */
int lwproc_exit_signal(int signo, int core);

/**
 * Ends the whole process, for good: lwproc_drain, then its parked LWPs and the current one
 * are released. LWPs that other threads run as see lwproc_must_exit, and are released when
 * they are switched away from. The first one says how the process ends. In processes 0 and 1,
 * which do not end, it is lwproc_exit. EINVAL, EBUSY.
 */
int lwproc_exit_group(int code);

/**
 * Closes the current process to new LWPs, which fail with EBUSY, and tells the others it has
 * to exit: they see lwproc_must_exit. Does not wait for them (lwpexit).
 */
int lwproc_drain(void);

/**
 * Opens the current process again after lwproc_drain.
 */
int lwproc_reopen(void);

/**
 * Whether the current LWP is to exit, 1 or 0 into `answer`.
 */
int lwproc_must_exit(int *answer);

/**
 * Waits until the current process, which drains, has one LWP. It blocks the thread; parked
 * LWPs do not go by themselves. EINVAL: it does not drain. EINTR.
 */
int lwproc_wait_alone(void);

/**
 * As lwproc_wait_alone, until the deadline, a time of CLOCK_MONOTONIC; NULL: never. ETIMEDOUT.
 * EINVAL: no time.
 */
int lwproc_wait_alone_until(const struct timespec *deadline);

/**
 * The current process has become another program: closes what an exec closes, sets the
 * name, opens the process again. EBUSY: it does not drain, or has more than one LWP. EAGAIN:
 * with LWPROC_NPROC.
 *
 * By Linux's rules an LWP that does not have its process's number takes it: the pointer that
 * names it is another one from then on, the one from before has gone, and the hypercall
 * lwp_renumber tells.
 */
int lwproc_execnotify(const char *comm);

/**
 * Names the current process; the name is cut to 16 bytes.
 */
int lwproc_setcomm(const char *comm);

/**
 * The current process's name, cut to `size` - 1 bytes. EINVAL: `size` is 0.
 */
int lwproc_getcomm(char *comm, size_t size);

/**
 * Names the current LWP; the name is cut to 16 bytes. EINVAL: an implicit thread has none.
 */
int lwproc_lwp_setname(const char *name);

/**
 * The current LWP's name, cut to `size` - 1 bytes; empty when it was given none. EINVAL:
 * `size` is 0.
 */
int lwproc_lwp_getname(char *name, size_t size);

/**
 * getrlimit(2) of the current process: `resource` is one of LWPROC_RLIMIT_*. EINVAL.
 */
int lwproc_getrlimit(int resource, struct lwproc_rlimit *limit);

/**
 * setrlimit(2) of the current process, and no other; children begin with their parent's.
 * EINVAL: no such resource, or `rlim_cur` is above `rlim_max`. EPERM: only the superuser
 * raises `rlim_max`.
 */
int lwproc_setrlimit(int resource, const struct lwproc_rlimit *limit);

/**
 * Says which limits hold from now on in this thread's kernel: LWPROC_NPROC, LWPROC_NTHR, both,
 * or 0 for none but LWPROC_RLIMIT_NOFILE, which always does. What is there beyond a limit stays. EINVAL:
 * unknown flags. Also in a callback.
 */
int lwproc_limits_setpolicy(unsigned int flags);

/**
 * Which limits hold in this thread's kernel: LWPROC_NPROC, LWPROC_NTHR, both or 0. Also in a
 * callback.
 */
int lwproc_limits_policy(unsigned int *flags);

/**
 * Charges the current process with what it has used.
 */
int lwproc_addrusage(const struct lwproc_rusage *more);

/**
 * getrusage(2) of the current process: `who` is LWPROC_RUSAGE_SELF or
 * LWPROC_RUSAGE_CHILDREN. EINVAL.
 */
int lwproc_getrusage(int who, struct lwproc_rusage *usage);

/**
 * profil(2): how the current process is profiled from now on, and its children from their
 * birth. The embedder takes the samples. NULL: it is not.
 */
int lwproc_setprofile(const struct lwproc_profile *profile);

/**
 * How the current process is profiled.
 */
int lwproc_getprofile(struct lwproc_profile *profile);

/**
 * The address space that the current process was forked with; NULL: the local one.
 */
int lwproc_vmspace(struct vmspace **vm);

/**
 * The current process's place in the file system, which the hypercall vfs_init made; NULL:
 * none. It is the process's until that ends.
 */
int lwproc_vfs(void **vfs);

/**
 * kill(2), as the current process. Signal 0 only asks. What a signal does is a matter of
 * the kernel's LWPROC_SIGMODEL_*. EINVAL, ESRCH, EPERM.
 */
int lwproc_kill(pid_t target, int signo);

/**
 * The same for one LWP, and no other of its process.
 */
int lwproc_lwp_kill(int lid, int signo);

/**
 * The same for the LWP with that number of the process with that pid (tgkill); with one's
 * own pid, _lwp_kill. ESRCH also when the LWP is another process's.
 */
int lwproc_tgkill(pid_t pid, int lid, int signo);

/**
 * lwproc_kill of each process of a session. As of all that name many, no child that one of
 * them is making escapes.
 */
int lwproc_kill_session(pid_t sid, int signo);

/**
 * lwproc_kill of a process and all that descend from it.
 */
int lwproc_kill_tree(pid_t pid, int signo);

/**
 * lwproc_kill of each process with that real uid.
 */
int lwproc_kill_user(uid_t uid, int signo);

/**
 * sigqueue(2): lwproc_kill of one process, with a value for who takes the signal. With
 * LWPROC_SIGMODEL_RECORD each signal from SIGRTMIN on (33 to 63; 32 to 64 by Linux's rules) is
 * kept that is sent, also by lwproc_kill; of any other number one is pending at a time. The
 * value is never looked through; of a signal that nobody takes it is forgotten.
 *
 * As lwproc_kill; EAGAIN, from SIGRTMIN on: `max_queued_signals` are queued.
 */
int lwproc_sigqueue(pid_t pid, int signo, void *value);

/**
 * The same for one LWP, and no other of its process.
 */
int lwproc_lwp_sigqueue(int lid, int signo, void *value);

/**
 * The same for the LWP with that number of the process with that pid (rt_tgsigqueueinfo).
 */
int lwproc_tgsigqueue(pid_t pid, int lid, int signo, void *value);

/**
 * Posts a signal to a process, whoever may send one: what the kernel itself tells it
 * (psignal), such as an exit hook. Nothing happens to one that has ended. EINVAL: no such
 * signal, or no such process. Also in a callback.
 */
int lwproc_psignal(struct proc *p, int signo);

/**
 * The signals pending for the current LWP: bit N - 1 for signal N.
 */
int lwproc_sigpending(uint64_t *set);

/**
 * Replaces what the current LWP blocks; the mask from before into `old`, unless that is
 * NULL. EINVAL: an implicit thread has none.
 */
int lwproc_sigmask(uint64_t set, uint64_t *old);

/**
 * Takes a pending signal that is not blocked; 0 when there is none.
 */
int lwproc_sigtake(int *signo);

/**
 * As lwproc_sigtake, with the value that was queued.
 */
int lwproc_sigtake_info(struct lwproc_siginfo *info);

/**
 * Takes a pending signal of a set, blocked or not, whatever the process does with it.
 */
int lwproc_sigtake_of(uint64_t set, struct lwproc_siginfo *info);

/**
 * As lwproc_sigtake_of, and blocks the thread until there is one, or the deadline has come, a
 * time of CLOCK_MONOTONIC; NULL: never (sigtimedwait). Each LWP of the process should block
 * the set. ETIMEDOUT. EINTR: another signal is to be taken, or as of lwproc_sleep. EINVAL: no
 * time.
 */
int lwproc_sigwait(uint64_t set, struct lwproc_siginfo *info, const struct timespec *deadline);

/**
 * Discards what is pending of a set for the current LWP and its process, blocked or not.
 */
int lwproc_sigdiscard(uint64_t set);

/**
 * What the current process does with a signal: LWPROC_SIG_* into `disposition`. As
 * lwproc_setdisposition.
 */
int lwproc_getdisposition(int signo, int *disposition);

/**
 * Says what the current process does with a signal, LWPROC_SIG_*; what it did before into
 * `old`, unless that is NULL. What becomes ignored is discarded, be it pending. Children do
 * as their parent; lwproc_execnotify makes what is caught LWPROC_SIG_DEFAULT. EINVAL: no such
 * signal or disposition; SIGKILL, SIGSTOP. ENOSYS: without LWPROC_JOBS_KERNEL.
 */
int lwproc_setdisposition(int signo, int disposition, int *old);

/**
 * A channel on which nobody sleeps. Also in a callback.
 */
int lwproc_channel_create(struct lwproc_channel **channel);

/**
 * Ends a channel. NULL: does nothing. EBUSY: an LWP sleeps on it. Also in a callback.
 *
 * A thread that has woken the last sleeper may still be in its wake-up: the program says
 * what it slept for, and wakes, under a lock that it takes once more before this.
 */
int lwproc_channel_destroy(struct lwproc_channel *channel);

/**
 * Sleeps until `condition(arg)` is not 0: it is called at once, in this thread, and again
 * after every wake-up, and sees what a waker did before it woke the channel. It blocks
 * the thread, and gives a virtual CPU and the big lock to others meanwhile; the condition
 * has both, if the caller did.
 *
 * EINTR, while the condition does not hold: a signal is pending that is not blocked, the LWP
 * is to exit (lwproc_must_exit), or it was unslept. An implicit thread is not interrupted.
 */
int lwproc_sleep(struct lwproc_channel *channel, lwproc_condition condition, void *arg);

/**
 * As lwproc_sleep, until the deadline, a time of CLOCK_MONOTONIC; NULL: never. ETIMEDOUT: it
 * has come, and the condition does not hold, not even then. EINVAL: no time.
 */
int lwproc_sleep_until(struct lwproc_channel *channel,
                       lwproc_condition condition,
                       void *arg,
                       const struct timespec *deadline);

/**
 * Wakes every LWP that sleeps on the channel, in whatever kernel. What they sleep for must
 * have been done before. It never waits. Also in a callback.
 */
int lwproc_wakeup(struct lwproc_channel *channel);

/**
 * The same for one of the LWPs, if any sleeps; one that stops sleeping at the same moment
 * passes it on. Also in a callback.
 */
int lwproc_wakeup_one(struct lwproc_channel *channel);

/**
 * Ends the sleep of an LWP, whose call returns EINTR; when it does not sleep, nothing is
 * done. lwproc_wait and lwproc_wait_alone go on. `cleanup` says nothing here.
 *
 * Aborts when the LWP has gone, or is none. Also in a callback.
 */
void lwp_unsleep(struct lwp *l, int cleanup);

/**
 * As lwp_unsleep; whether it slept, 1 or 0 into `slept`, unless that is NULL. ESRCH: it has
 * gone, or is of another kernel. EINVAL: it is none. Also in a callback.
 */
int lwproc_try_unsleep(struct lwp *l, int *slept);

/**
 * Sleeps in the embedder's way (l_syncobj): `sleep(arg)` blocks in this thread, and returns
 * once `unsleep(arg, lid)` has been called, also if that was before; or for reasons of its
 * own, such as a time limit. A virtual CPU and the big lock are given to others meanwhile.
 *
 * `unsleep` is called, in any thread, by what would interrupt lwproc_sleep; perhaps more than
 * once, and for some time after the sleep. `destructor(arg)` is called once, when that cannot
 * happen any more, perhaps before this call returns and perhaps much later, also on EINTR;
 * on another error `arg` is the caller's as before.
 *
 * 0: it has slept; what the sleep was ended for is to be asked (lwproc_must_exit,
 * lwproc_sigtake). EINTR: a reason was there already, and `sleep` was not called.
 */
int lwproc_sleep_with(lwproc_sleeper sleep,
                      lwproc_unsleeper unsleep,
                      lwproc_destructor destructor,
                      void *arg);

/**
 * A new key of data of processes, in this thread's kernel. When a process ends, and its
 * value is not NULL, `destructor(value)` is called, in the order in which the keys were
 * made. EAGAIN: the kernel has 256 keys. Also in a callback.
 */
int lwproc_proc_key_create(lwproc_destructor destructor, unsigned int *key);

/**
 * The same for data of LWPs; the destructor is called when the LWP goes. Also in a callback.
 */
int lwproc_lwp_key_create(lwproc_destructor destructor, unsigned int *key);

/**
 * Sets the value of the current process, or the current LWP, under a key. The one from
 * before is not destroyed. EINVAL: no such key; data of an LWP, and an implicit thread.
 */
int lwproc_setspecific(unsigned int key, void *value);

/**
 * The value of the current process, or the current LWP, under a key; NULL when none was
 * set, and for an implicit thread's LWP. EINVAL: no such key.
 */
int lwproc_getspecific(unsigned int key, void **value);

/**
 * A terminal of this thread's kernel that no session has. Also in a callback.
 */
int lwproc_terminal_create(struct lwproc_terminal **t);

/**
 * Gives a terminal back; to be hung up before, if a session may have it. NULL: does nothing.
 * Also in a callback.
 */
void lwproc_terminal_destroy(struct lwproc_terminal *t);

/**
 * Makes it the controlling terminal of the current process's session, with the process's
 * group in the foreground (TIOCSCTTY). EPERM: the process leads no session, the session has
 * a terminal, or the terminal another session. EXDEV: it is of another kernel.
 */
int lwproc_terminal_acquire(const struct lwproc_terminal *t);

/**
 * As lwproc_terminal_acquire; the superuser takes it from another session, too, which nobody
 * is told of (TIOCSCTTY with 1).
 */
int lwproc_terminal_steal(const struct lwproc_terminal *t);

/**
 * Gives it up (TIOCNOTTY). If the process leads the session, that loses it, and the group in
 * the foreground gets SIGHUP, then SIGCONT. Else the process alone loses it. ENOTTY: it is
 * not its controlling terminal. EINVAL: a leader, by NetBSD's rules.
 */
int lwproc_terminal_give_up(const struct lwproc_terminal *t);

/**
 * Whether it is the controlling terminal of the current process, 1 or 0 into `answer`: what
 * /dev/tty opens.
 */
int lwproc_terminal_controls(const struct lwproc_terminal *t, int *answer);

/**
 * The group in the foreground, which may have ended (tcgetpgrp). ENOTTY.
 */
int lwproc_terminal_foreground(const struct lwproc_terminal *t, pid_t *pgid);

/**
 * Its session (tcgetsid). ENOTTY.
 */
int lwproc_terminal_session(const struct lwproc_terminal *t, pid_t *sid);

/**
 * Its session and the group in the foreground, whoever asks (what the master of a
 * pseudo-terminal may); both 0 when no session has it. Either pointer may be NULL. Also in a
 * callback.
 */
int lwproc_terminal_look(const struct lwproc_terminal *t, pid_t *sid, pid_t *pgid);

/**
 * Puts a group of the session in the foreground (tcsetpgrp), if lwproc_terminal_may_change
 * allows it. EINTR, as there. ENOTTY, also for EIO there. EINVAL, ESRCH, EPERM.
 */
int lwproc_terminal_setforeground(const struct lwproc_terminal *t, pid_t pgid);

/**
 * Whether the process may read now. In the background its group is sent SIGTTIN: EINTR, and
 * the LWP is to look for signals and to try again. EIO: that is blocked or ignored, or the
 * group is orphaned.
 */
int lwproc_terminal_may_read(const struct lwproc_terminal *t);

/**
 * Whether the process may write now: `tostop` 0, it may. In the background its group is sent
 * SIGTTOU, unless that is blocked or ignored: EINTR. EIO: the group is orphaned.
 */
int lwproc_terminal_may_write(const struct lwproc_terminal *t, int tostop);

/**
 * Whether the process may change the terminal now (tcsetattr and its kin), as it may write
 * with `tostop`.
 */
int lwproc_terminal_may_change(const struct lwproc_terminal *t);

/**
 * The line is gone: the session loses the terminal, and its leader gets SIGHUP. Whoever
 * calls. EXDEV.
 */
int lwproc_terminal_hang_up(const struct lwproc_terminal *t);

/**
 * Sends a signal to the group in the foreground, as SIGINT for what is typed; nothing when it
 * has ended. Whoever calls. EINVAL: no such signal. EXDEV.
 */
int lwproc_terminal_signal(const struct lwproc_terminal *t, int signo);

/**
 * Takes the kernel's big lock, between rump_schedule and rump_unschedule, once more if this
 * thread has it already (KERNEL_LOCK). It blocks the thread while another has it, and gives
 * a virtual CPU to others meanwhile.
 *
 * A switch gives the lock up, and its depth stays with the old LWP, which takes it again
 * as deep when it is switched to. So does a call that blocks. rump_unschedule gives it up
 * for good. EINVAL: not scheduled. EOVERFLOW: taken too often.
 */
int lwproc_biglock(void);

/**
 * As lwproc_biglock, until the deadline, a time of CLOCK_MONOTONIC; NULL: never. While another
 * thread has the lock, EINTR as of lwproc_sleep, and ETIMEDOUT. EINVAL: no time.
 */
int lwproc_biglock_until(const struct timespec *deadline);

/**
 * Gives the big lock up once (KERNEL_UNLOCK_ONE). EINVAL: not scheduled. EPERM: this
 * thread does not have it.
 */
int lwproc_bigunlock(void);

/**
 * How often this thread has taken the big lock. EINVAL: not scheduled.
 */
int lwproc_biglock_depth(unsigned int *depth);

/**
 * Sets the most processes of this thread's kernel, as `max_procs`, zombies, proc0 and init
 * included; UINT64_MAX: any number. What is there stays; while it is as many or more, what
 * would make a process fails with EAGAIN. EINVAL: no kernel. Also in a callback.
 */
int lwproc_set_max_procs(uint64_t max);

/**
 * Sets the most LWPs of this thread's kernel, those of proc0 and init included, in the same
 * way: what would make an LWP, or a process, fails with EAGAIN. As lwproc_set_max_procs.
 */
int lwproc_set_max_lwps(uint64_t max);

/**
 * Sets the most LWPs of each process but proc0 and init, in the same way; a process has its
 * first one in any case. As lwproc_set_max_procs.
 */
int lwproc_set_max_lwps_per_proc(uint64_t max);

/**
 * Adds an emulation to this thread's kernel: what names it goes into `emul`. With the kernel
 * it goes, and `destructor(data)` is called. On an error `data` is the caller's as before.
 * EAGAIN: the kernel has 256. Also in a callback.
 */
int lwproc_emul_add(void *data, lwproc_destructor destructor, unsigned int *emul);

/**
 * The emulation of processes made from now on; those that live keep theirs. 0: the native
 * one, which a kernel begins with. EINVAL: no such emulation. Also in a callback.
 */
int lwproc_emul_setdefault(unsigned int emul);

/**
 * The emulation that the next process will have. Also in a callback.
 */
int lwproc_emul_default(unsigned int *emul);

/**
 * The current process's emulation: what names it, and its data, NULL for the native one.
 * Either pointer may be NULL.
 */
int lwproc_emul(unsigned int *emul, void **data);

/**
 * Has `hook(arg, ...)` called at the end of each process of this thread's kernel, in the
 * thread that ends it, before anything of it is given back; the last established first.
 * What names the hook goes into `id`. EAGAIN: the kernel has 16,777,200. Also in a callback,
 * for ends that come later.
 */
int lwproc_exithook_establish(lwproc_exithook hook, void *arg, uint64_t *id);

/**
 * Takes an exit hook away; a call under way goes on. ENOENT: there is none. Also in a
 * callback, such as the hook itself.
 */
int lwproc_exithook_disestablish(uint64_t id);

/**
 * As rump_init, with a configuration, which counts only if there is no default kernel
 * yet. NULL: the default. EINVAL. Of two that threads make at once one stays; the other's
 * LWPs come and go before the call returns.
 */
int lwproc_init(const struct lwproc_config *config);

/**
 * Makes a kernel beside the default one. It shares nothing with others. NULL for `config`:
 * the default. EINVAL. EAGAIN: there are 16,777,200.
 */
int lwproc_kernel_create(const struct lwproc_config *config, struct lwproc_kernel **kernel);

/**
 * Ends a kernel, and whatever is left in it; what that was goes into `leftover`, unless
 * that is NULL. A calling thread that uses it goes back to the default one.
 *
 * EBUSY: another thread uses it, or it is the default one. EINVAL: no such kernel.
 * EDEADLK: the thread is scheduled.
 */
int lwproc_kernel_destroy(struct lwproc_kernel *kernel, struct lwproc_leftover *leftover);

/**
 * From now on this thread uses that kernel; NULL: the default one. It keeps an LWP in each,
 * until the thread ends. EINVAL: no such kernel. EDEADLK: the thread is scheduled.
 */
int lwproc_kernel_use(struct lwproc_kernel *kernel);

/**
 * The kernel that this thread uses; NULL: none. Also in a callback.
 */
struct lwproc_kernel *lwproc_kernel_current(void);

/**
 * Time has passed in this thread's kernel, whose hypercall `now` says so: what sleeps with a
 * deadline that has come wakes up. Also in a callback.
 */
int lwproc_tick(void);

/**
 * Counts what lives in this thread's kernel. EINVAL: no kernel. Also in a callback.
 */
int lwproc_count(struct lwproc_counts *counts);

/**
 * Counts what a user has in this thread's kernel, by real user id: as LWPROC_RLIMIT_NPROC
 * counts. EINVAL: no kernel. Also in a callback.
 */
int lwproc_count_user(uid_t uid, struct lwproc_user_counts *counts);

/**
 * Sets the most pids and lids in use at once, and so the largest number, of this thread's
 * kernel, whose numbering is LWPROC_NUMBERING_CYCLIC; Linux's pid_max is one more. What is in
 * use stays. EINVAL: not 1 to 2^30 - 1; no kernel. EOPNOTSUPP: another numbering. Also in a
 * callback.
 */
int lwproc_set_id_capacity(size_t capacity);

/**
 * Lets that number count as given last: the next one is looked for above it; Linux's
 * ns_last_pid. EINVAL: not 0 to one more than the capacity; no kernel. EOPNOTSUPP: the
 * numbering is not LWPROC_NUMBERING_CYCLIC. Also in a callback.
 */
int lwproc_set_last_number(pid_t last);

/**
 * The number that was given last. As lwproc_set_last_number.
 */
int lwproc_last_number(pid_t *last);

/**
 * Has `sink(arg, ...)` told of the events of the current process; NULL for `sink`: nobody.
 * Children do not inherit it. `destructor(arg)` is called once, when the sink is used no
 * more: another was set, or the process has ended. On an error, and without a sink, `arg` is
 * the caller's as before.
 */
int lwproc_settrace(lwproc_trace_sink sink, void *arg, lwproc_destructor destructor);

/**
 * The same for the events of all processes of this thread's kernel, beside those sinks. Also
 * in a callback, such as the sink itself, which is destroyed when it is over.
 */
int lwproc_kernel_settrace(lwproc_trace_sink sink, void *arg, lwproc_destructor destructor);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* LWPROC_H */
