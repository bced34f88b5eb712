/* Signals with a value, of a set, for many. */
#include "check.h"
#include <pthread.h>
#include <unistd.h>

static struct lwproc_kernel *kernel;
static int one, two;

static uint64_t bit(int signo)
{
    return UINT64_C(1) << (signo - 1);
}

static void queued(void)
{
    struct lwproc_siginfo info;
    pid_t pid;
    int lid;

    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    pid = lwproc_getpid();
    lid = lwproc_getlid();
    IS(lwproc_sigqueue(pid, 65, NULL), EINVAL);
    IS(lwproc_sigqueue(12345, 40, NULL), ESRCH);
    OK(lwproc_sigqueue(pid, 0, &one));
    OK(lwproc_sigmask(bit(40) | bit(10), NULL));
    /* Each of these, in their order, and one of the others. */
    OK(lwproc_sigqueue(pid, 40, &one));
    OK(lwproc_kill(pid, 40));
    OK(lwproc_sigqueue(pid, 40, NULL));
    IS(lwproc_sigqueue(pid, 40, &two), EAGAIN);
    OK(lwproc_sigtake_info(&info));
    IS(info.signo, 0);
    OK(lwproc_sigmask(0, NULL));
    OK(lwproc_sigtake_info(&info));
    CHECK(info.signo == 40 && info.queued == 1 && info.value == &one);
    OK(lwproc_sigtake_info(&info));
    CHECK(info.signo == 40 && info.queued == 0 && info.value == NULL);
    OK(lwproc_sigtake_info(&info));
    CHECK(info.signo == 40 && info.queued == 1 && info.value == NULL);
    OK(lwproc_sigqueue(pid, 10, &one));
    OK(lwproc_sigqueue(pid, 10, &two));
    OK(lwproc_sigtake_info(&info));
    CHECK(info.signo == 10 && info.value == &one);
    OK(lwproc_sigtake_info(&info));
    CHECK(info.signo == 0 && info.queued == 0 && info.value == NULL);

    /* To one LWP. */
    OK(lwproc_lwp_sigqueue(lid, 41, &one));
    OK(lwproc_tgsigqueue(pid, lid, 42, &two));
    IS(lwproc_tgsigqueue(1, lid, 42, &two), ESRCH);
    OK(rump_pub_lwproc_newlwp(pid));
    OK(lwproc_sigtake_info(&info));
    IS(info.signo, 0);
    rump_pub_lwproc_releaselwp();
    rump_pub_lwproc_switch(lwp_find(lwproc_proc_find(pid), lid));
    OK(lwproc_sigtake_of(bit(42) | bit(43), &info));
    CHECK(info.signo == 42 && info.value == &two);
    OK(lwproc_sigtake_of(bit(42), &info));
    IS(info.signo, 0);
    OK(lwproc_sigdiscard(bit(40)));
    OK(lwproc_sigtake_info(&info));
    IS(info.signo, 41);
    OK(lwproc_lwp_sigqueue(lid, 41, &one));
    OK(lwproc_sigdiscard(bit(41)));
    OK(lwproc_sigtake_info(&info));
    IS(info.signo, 0);
    IS(lwproc_sigtake_of(bit(41), NULL), EINVAL);
    rump_pub_lwproc_releaselwp();
}

static void *sends(void *pid)
{
    OK(lwproc_kernel_use(kernel));
    usleep(1000);
    OK(lwproc_sigqueue(*(pid_t *)pid, 44, &two));
    return NULL;
}

static void waits(void)
{
    struct timespec past = { 0, 0 }, none = { 0, -1 };
    struct lwproc_siginfo info;
    pthread_t thread;
    pid_t pid;

    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    pid = lwproc_getpid();
    OK(lwproc_sigmask(bit(44), NULL));
    IS(lwproc_sigwait(bit(44), &info, &none), EINVAL);
    IS(lwproc_sigwait(bit(44), &info, &past), ETIMEDOUT);
    OK(pthread_create(&thread, NULL, sends, &pid));
    OK(lwproc_sigwait(bit(44), &info, NULL));
    CHECK(info.signo == 44 && info.queued == 1 && info.value == &two);
    OK(pthread_join(thread, NULL));
    OK(lwproc_kill(pid, 1));
    IS(lwproc_sigwait(bit(44), &info, NULL), EINTR);
    rump_pub_lwproc_releaselwp();
}

/* Takes what a process was sent, as its parked LWP, and lets that go. */
static void was_sent(struct lwp *l, int signo)
{
    int got;

    rump_pub_lwproc_switch(l);
    OK(lwproc_sigtake(&got));
    IS(got, signo);
    rump_pub_lwproc_releaselwp();
}

static void of_many(void)
{
    struct lwp *leader, *child, *other;
    pid_t sid, pid;

    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    leader = rump_pub_lwproc_curlwp();
    OK(lwproc_setsid(&sid));
    OK(lwproc_fork(NULL, &other, NULL));
    OK(rump_pub_lwproc_rfork(0));
    child = rump_pub_lwproc_curlwp();
    pid = lwproc_getpid();
    OK(lwproc_setpgid(0, 0));
    OK(lwproc_setuid(7));
    rump_pub_lwproc_switch(leader);
    OK(lwproc_kill_tree(sid, 1));
    IS(lwproc_kill_tree(12345, 1), ESRCH);
    {
        int got;

        OK(lwproc_sigtake(&got));
        IS(got, 1);
    }
    OK(lwproc_kill_user(7, 2));
    IS(lwproc_kill_user(8, 2), ESRCH);
    OK(lwproc_kill_session(sid, 3));
    IS(lwproc_kill_session(pid, 3), ESRCH);
    rump_pub_lwproc_switch(child);
    {
        uint64_t set;

        OK(lwproc_sigpending(&set));
        IS(set, bit(1) | bit(2) | bit(3));
    }
    rump_pub_lwproc_releaselwp();
    was_sent(other, 1);
    was_sent(leader, 3);
}

int main(void)
{
    static void (*const tests[])(void) = { queued, waits, of_many };
    size_t i;

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        struct lwproc_config config = { 0 };
        struct lwproc_leftover left;

        config.sigmodel = LWPROC_SIGMODEL_RECORD;
        config.max_queued_signals = 3;
        OK(lwproc_kernel_create(&config, &kernel));
        OK(lwproc_kernel_use(kernel));
        tests[i]();
        is_implicit();
        OK(lwproc_kernel_destroy(kernel, &left));
        IS(left.lwps, 0);
    }
    return 0;
}
