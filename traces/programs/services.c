/* Descriptors, ids, groups, sessions and limits: what a process hands on, changes and is refused. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

static char *self;

static void reap(pid_t child) { waitpid(child, NULL, 0); }

static int null(int flags) { return open("/dev/null", O_RDWR | flags); }

/* After an execve: what is still open? */
static int after_exec(void) {
    for (int fd = 3; fd < 12; fd++) fcntl(fd, F_GETFD);
    return null(0) < 0;
}

static int sleeper(void) {
    for (;;) pause();
    return 0;
}

static void sources(void) {
    int fds[2];
    sigset_t set;
    sigemptyset(&set);
    pipe(fds);
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
    eventfd(0, EFD_CLOEXEC);
    epoll_create1(0);
    timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    syscall(SYS_memfd_create, "m", 0);
    inotify_init1(IN_CLOEXEC);
    signalfd(-1, &set, 0);
    syscall(SYS_pidfd_open, getpid(), 0);
    close(4);
    dup(0);
    fcntl(0, F_DUPFD, 4);
    fcntl(0, F_DUPFD_CLOEXEC, 20);
    dup2(0, 30);
    dup3(0, 31, O_CLOEXEC);
    dup2(31, 31);
    dup2(40, 3);
    fcntl(40, F_GETFD);
    fcntl(31, F_GETFD);
    fcntl(31, F_SETFD, 0);
    fcntl(31, F_GETFD);
    close(-1);
    syscall(SYS_close_range, 5, 25, 4 /* CLOSE_RANGE_CLOEXEC */);
    fcntl(20, F_GETFD);
    syscall(SYS_close_range, 3, ~0U, 0);
}

/* Descriptors through a socket. */
static void pass(void) {
    int ends[2], pair[2];
    char byte = 0, room[CMSG_SPACE(2 * sizeof(int))] = {0};
    struct iovec text = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &text, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    pipe2(pair, O_CLOEXEC);
    struct cmsghdr *control = CMSG_FIRSTHDR(&message);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(2 * sizeof(int));
    memcpy(CMSG_DATA(control), pair, sizeof pair);
    sendmsg(ends[0], &message, 0);
    close(pair[0]);
    recvmsg(ends[1], &message, MSG_CMSG_CLOEXEC);
    null(0);
    syscall(SYS_close_range, 3, ~0U, 0);
}

/* Copied, shared, and parted by an execve. */
static void tables(void) {
    pid_t child;
    char *args[] = {self, "after-exec", NULL};
    int kept = null(0), closed = null(O_CLOEXEC);
    if ((child = fork()) == 0) {
        close(kept);
        null(0);
        execv("/not/there", args);
        fcntl(closed, F_GETFD);
        execv(self, args);
    }
    reap(child);
    fcntl(kept, F_GETFD);
    if ((child = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0)) == 0) {
        close(kept);
        execv(self, args);
    }
    reap(child);
    fcntl(kept, F_GETFD);
    fcntl(closed, F_GETFD);
    if ((child = vfork()) == 0) {
        dup2(0, 9);
        execv(self, args);
        _exit(127);
    }
    reap(child);
    null(0);
    syscall(SYS_close_range, 3, ~0U, 0);
}

static void *opens(void *rounds) {
    for (long round = (long)rounds; round > 0; round--) {
        int one = null(0), two = null(O_CLOEXEC);
        fcntl(two, F_GETFD);
        dup2(one, 20 + (int)round);
        close(one);
        close(two);
    }
    return NULL;
}

static void threads(void) {
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, opens, (void *)8L);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    syscall(SYS_close_range, 3, ~0U, 0);
}

static void ids(void) {
    uid_t uids[3];
    gid_t gids[3], groups[] = {4, 24}, got[8];
    pid_t child;
    getuid(); geteuid(); getgid(); getegid();
    getgroups(8, got);
    if ((child = fork()) == 0) {
        setgroups(2, groups);
        getgroups(0, NULL);
        getgroups(8, got);
        setegid(5);
        setregid(-1, 6);
        setresgid(7, 8, 9);
        getresgid(&gids[0], &gids[1], &gids[2]);
        setresuid(10, 11, 12);
        getresuid(&uids[0], &uids[1], &uids[2]);
        setuid(12);
        setuid(0);
        setreuid(12, 10);
        setresuid(-1, 0, -1);
        setgid(0);
        setgid(9);
        setgroups(0, NULL);
        kill(getppid(), 0);
        kill(getpid(), 0);
        if ((child = fork()) == 0) {
            getresuid(&uids[0], &uids[1], &uids[2]);
            getegid();
            _exit(0);
        }
        reap(child);
        _exit(0);
    }
    reap(child);
    getuid();
    getgroups(8, got);
}

static void groups(void) {
    pid_t child, other;
    getpgrp();
    getpgid(0);
    getsid(0);
    setpgid(0, 0);
    getpgrp();
    setsid();
    if ((child = fork()) == 0) {
        getpgrp();
        setpgid(0, 0);
        for (;;) pause();
    }
    setpgid(child, child);
    if ((other = fork()) == 0) for (;;) pause();
    setpgid(other, child);
    setpgid(other, 12345);
    getpgid(other);
    setpgid(other, other);
    setpgid(other, child);
    setpgid(1, child);
    waitpid(-child, NULL, WNOHANG);
    waitpid(0, NULL, WNOHANG);
    kill(-child, SIGTERM);
    waitpid(-child, NULL, 0);
    waitpid(-child, NULL, 0);
    waitpid(-child, NULL, 0);
    kill(-child, 0);
    getpgid(child);
    kill(0, 0);
    if ((child = vfork()) == 0) {
        execl(self, self, "sleeper", "after an execve", (char *)NULL);
        _exit(127);
    }
    setpgid(child, child);
    usleep(10000);
    kill(child, SIGKILL);
    reap(child);
    if ((child = fork()) == 0) {
        setsid();
        getsid(0);
        getpgrp();
        setsid();
        setpgid(0, getppid());
        _exit(0);
    }
    reap(child);
    getsid(0);
}

static void limits(void) {
    struct rlimit old, low = {64, 128}, bad = {9, 8};
    pid_t child;
    getrlimit(RLIMIT_NOFILE, &old);
    getrlimit(RLIMIT_STACK, &old);
    setrlimit(RLIMIT_CORE, &bad);
    if ((child = fork()) == 0) {
        setrlimit(RLIMIT_CORE, &low);
        prlimit(0, RLIMIT_CORE, &(struct rlimit){32, 64}, &old);
        setresuid(7, 7, 7);
        setrlimit(RLIMIT_CORE, &low);
        setrlimit(RLIMIT_CORE, &(struct rlimit){64, 64});
        getrlimit(RLIMIT_CORE, &old);
        setrlimit(RLIMIT_NOFILE, &(struct rlimit){5, 5});
        null(0);
        null(0);
        null(0);
        dup(0);
        pipe((int[2]){0, 0});
        close(4);
        null(0);
        if ((child = fork()) == 0) {
            getrlimit(RLIMIT_CORE, &old);
            getrlimit(RLIMIT_NOFILE, &old);
            _exit(0);
        }
        reap(child);
        _exit(0);
    }
    reap(child);
    getrlimit(RLIMIT_CORE, &old);
    if ((child = fork()) == 0) for (;;) pause();
    prlimit(child, RLIMIT_CORE, &low, &old);
    prlimit(child, RLIMIT_CORE, NULL, &old);
    prlimit(0, RLIMIT_CORE, NULL, &old);
    kill(child, SIGKILL);
    reap(child);
    prlimit(child, RLIMIT_CORE, NULL, &old);
}

int main(int argc, char **argv) {
    self = argv[0];
    if (argc > 2) return sleeper();
    if (argc > 1) return after_exec();
    for (int round = 0; round < 3; round++) {
        sources();
        pass();
        tables();
        threads();
    }
    ids();
    limits();
    groups();
    return 0;
}
