/*
 * behaviour.md, section 6, line by line, but for what aborts (death.c). Each test has a
 * kernel of its own; nothing is left in any.
 */
#include "check.h"

/* newlwp(0) ok, newlwp(37) ESRCH on a fresh kernel; curlwp changes on newlwp and rfork;
 * getpid is never 0 or -1 there. */
static void makelwp(void)
{
    struct lwp *first, *second;

    OK(rump_pub_lwproc_newlwp(0));
    IS(rump_pub_lwproc_newlwp(37), ESRCH);
    first = rump_pub_lwproc_curlwp();
    CHECK(first != NULL);
    /* proc0 */
    IS(lwproc_getpid(), 0);

    OK(rump_pub_lwproc_newlwp(lwproc_getpid()));
    second = rump_pub_lwproc_curlwp();
    CHECK(second != NULL && second != first);

    OK(rump_pub_lwproc_rfork(0));
    CHECK(rump_pub_lwproc_curlwp() != first && rump_pub_lwproc_curlwp() != second);
    CHECK(lwproc_getpid() != 0 && lwproc_getpid() != -1);
    OK(rump_pub_lwproc_newlwp(lwproc_getpid()));
    CHECK(lwproc_getpid() != 0 && lwproc_getpid() != -1);
    OK(lwproc_exit_group(0));
    rump_pub_lwproc_switch(first);
    rump_pub_lwproc_releaselwp();
    rump_pub_lwproc_switch(second);
    rump_pub_lwproc_releaselwp();
    is_implicit();
}

/* Two processes keep different uids across switches; a new LWP sees its process's uid. */
static void proccreds(void)
{
    struct lwp *l1, *l2, *l3;
    pid_t pid1;

    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    l1 = rump_pub_lwproc_curlwp();
    pid1 = lwproc_getpid();
    OK(lwproc_setuid(22));
    IS(lwproc_getuid(), 22);

    rump_pub_lwproc_switch(NULL);
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    l2 = rump_pub_lwproc_curlwp();
    CHECK(lwproc_getpid() != pid1);
    IS(lwproc_getuid(), 0);
    OK(lwproc_setuid(11));
    IS(lwproc_getuid(), 11);
    IS(lwproc_geteuid(), 11);

    rump_pub_lwproc_switch(l1);
    IS(lwproc_getuid(), 22);
    IS(lwproc_getpid(), pid1);
    OK(rump_pub_lwproc_newlwp(pid1));
    l3 = rump_pub_lwproc_curlwp();
    IS(lwproc_getuid(), 22);

    rump_pub_lwproc_switch(l2);
    IS(lwproc_getuid(), 11);
    rump_pub_lwproc_releaselwp();
    rump_pub_lwproc_switch(l3);
    rump_pub_lwproc_releaselwp();
    rump_pub_lwproc_switch(l1);
    rump_pub_lwproc_releaselwp();
}

/* A child inherits the uid; after releasing it the implicit context has uid 0 again. */
static void inherit(void)
{
    struct lwp *parent;

    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    parent = rump_pub_lwproc_curlwp();
    OK(lwproc_setuid(66));
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    IS(lwproc_getuid(), 66);
    rump_pub_lwproc_releaselwp();
    is_implicit();
    IS(lwproc_getuid(), 0);
    rump_pub_lwproc_switch(parent);
    IS(lwproc_getuid(), 66);
    rump_pub_lwproc_releaselwp();
    IS(lwproc_getuid(), 0);
}

/* 1 + 128 LWPs in one process released one by one, in order of creation; each switch sees the
 * right pid and uid; after each release the implicit context shows; after the last,
 * newlwp(pid) is ESRCH. */
static void lwps(void)
{
    enum { LOTS = 128 };
    struct lwp *l[1 + LOTS];
    struct lwproc_counts counts;
    pid_t pid;
    int i;

    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    pid = lwproc_getpid();
    l[0] = rump_pub_lwproc_curlwp();
    OK(lwproc_setuid(375));
    for (i = 1; i <= LOTS; i++) {
        OK(rump_pub_lwproc_newlwp(pid));
        l[i] = rump_pub_lwproc_curlwp();
        IS(lwproc_getuid(), 375);
        IS(lwproc_getpid(), pid);
    }
    OK(lwproc_count(&counts));
    IS(counts.lwps, 2 + 1 + LOTS);
    for (i = 0; i <= LOTS; i++) {
        rump_pub_lwproc_switch(l[i]);
        IS(lwproc_getpid(), pid);
        IS(lwproc_getuid(), 375);
        CHECK(rump_pub_lwproc_curlwp() == l[i]);
        rump_pub_lwproc_releaselwp();
        is_implicit();
        IS(lwproc_try_switch(l[i]), ESRCH);
    }
    IS(rump_pub_lwproc_newlwp(pid), ESRCH);
}

/* curlwp of an implicit context is NULL; releaselwp from there is an error. */
static void nolwp(void)
{
    struct lwp *l = (struct lwp *)&l;

    is_implicit();
    IS(lwproc_try_releaselwp(), EINVAL);
    OK(lwproc_try_curlwp(&l));
    CHECK(l == NULL);
    IS(lwproc_try_switch(NULL), EINVAL);
}

/* switch(NULL), then switch(l) again is legal; switching to a running LWP, curlwp itself
 * included, is an error. */
static void nullswitch(void)
{
    struct lwp *l;

    OK(rump_pub_lwproc_newlwp(0));
    l = rump_pub_lwproc_curlwp();
    IS(lwproc_try_switch(l), EBUSY);
    rump_pub_lwproc_switch(NULL);
    is_implicit();
    rump_pub_lwproc_switch(l);
    CHECK(rump_pub_lwproc_curlwp() == l);
    IS(lwproc_try_switch(l), EBUSY);
    rump_pub_lwproc_releaselwp();
    IS(lwproc_try_switch(l), ESRCH);
}

/* setuid in one LWP shows in its siblings at their next entry; setuid from an implicit
 * context changes pid 1. */
static void siblings(void)
{
    struct lwp *l1, *l2;

    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    l1 = rump_pub_lwproc_curlwp();
    OK(rump_pub_lwproc_newlwp(lwproc_getpid()));
    l2 = rump_pub_lwproc_curlwp();
    OK(lwproc_setuid(7));
    rump_pub_lwproc_switch(l1);
    IS(lwproc_getuid(), 7);
    rump_pub_lwproc_releaselwp();
    rump_pub_lwproc_switch(l2);
    rump_pub_lwproc_releaselwp();

    OK(lwproc_seteuid(5));
    IS(lwproc_geteuid(), 5);
    OK(rump_pub_lwproc_newlwp(1));
    IS(lwproc_geteuid(), 5);
    OK(lwproc_seteuid(0));
    rump_pub_lwproc_releaselwp();
    is_implicit();
    IS(lwproc_geteuid(), 0);
}

/* ESRCH: newlwp of -1, INT_MAX, a number never issued, a number whose process has gone.
 * newlwp(0) and newlwp(1) are legal. */
static void esrch(void)
{
    pid_t gone;

    IS(rump_pub_lwproc_newlwp(-1), ESRCH);
    IS(rump_pub_lwproc_newlwp(INT_MAX), ESRCH);
    IS(rump_pub_lwproc_newlwp(INT_MIN), ESRCH);
    IS(rump_pub_lwproc_newlwp(1234), ESRCH);
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    gone = lwproc_getpid();
    rump_pub_lwproc_releaselwp();
    IS(rump_pub_lwproc_newlwp(gone), ESRCH);
    OK(rump_pub_lwproc_newlwp(0));
    rump_pub_lwproc_releaselwp();
    OK(rump_pub_lwproc_newlwp(1));
    rump_pub_lwproc_releaselwp();
    is_implicit();
}

static int closed;

static void close_file(void *data)
{
    CHECK(data == &closed);
    closed++;
}

/* rfork: both flags or unknown bits EINVAL; RFCFDG sees EBADF on the parent's descriptor; 0
 * shares (a close or dup shows in both); RFFDG copies. */
static void rfork(void)
{
    struct lwp *parent, *fresh, *shared, *copied;
    int fd = -1, dup = -1, flags;

    IS(rump_pub_lwproc_rfork(RUMP_RFFDG | RUMP_RFCFDG), EINVAL);
    IS(rump_pub_lwproc_rfork(4), EINVAL);
    IS(rump_pub_lwproc_rfork(-1), EINVAL);
    is_implicit();

    closed = 0;
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    parent = rump_pub_lwproc_curlwp();
    OK(lwproc_open(&closed, close_file, 0, &fd));
    IS(fd, 0);

    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    fresh = rump_pub_lwproc_curlwp();
    IS(lwproc_close(fd), EBADF);

    rump_pub_lwproc_switch(parent);
    OK(rump_pub_lwproc_rfork(0));
    shared = rump_pub_lwproc_curlwp();
    OK(lwproc_dup(fd, &dup));
    rump_pub_lwproc_switch(parent);
    OK(lwproc_getcloexec(dup, &flags));

    OK(rump_pub_lwproc_rfork(RUMP_RFFDG));
    copied = rump_pub_lwproc_curlwp();
    OK(lwproc_close(fd));
    rump_pub_lwproc_switch(shared);
    OK(lwproc_close(fd));
    rump_pub_lwproc_switch(parent);
    IS(lwproc_close(fd), EBADF);
    OK(lwproc_close(dup));
    IS(closed, 0);
    rump_pub_lwproc_switch(copied);
    OK(lwproc_close(dup));
    IS(closed, 1);

    rump_pub_lwproc_releaselwp();
    rump_pub_lwproc_switch(fresh);
    rump_pub_lwproc_releaselwp();
    rump_pub_lwproc_switch(shared);
    rump_pub_lwproc_releaselwp();
    rump_pub_lwproc_switch(parent);
    rump_pub_lwproc_releaselwp();
    IS(closed, 1);
}

int main(void)
{
    static void (*const tests[])(void) = {
        makelwp, proccreds, inherit, lwps, nolwp, nullswitch, siblings, esrch, rfork,
    };
    size_t i;

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        struct lwproc_kernel *kernel;
        struct lwproc_leftover left;

        OK(lwproc_kernel_create(NULL, &kernel));
        OK(lwproc_kernel_use(kernel));
        tests[i]();
        is_implicit();
        is_empty();
        OK(lwproc_kernel_destroy(kernel, &left));
        IS(left.lwps, 0);
        IS(left.zombies, 0);
    }
    /* The same in the default kernel, one after the other. */
    OK(rump_init());
    OK(rump_init());
    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        tests[i]();
        is_implicit();
        is_empty();
    }
    return 0;
}
