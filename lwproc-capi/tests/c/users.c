/* Who a process is, what its user has, and which limits hold. */
#include "check.h"

static struct lwproc_kernel *kernel_with(unsigned flags)
{
    struct lwproc_config config = { 0 };
    struct lwproc_kernel *kernel;

    config.flags = flags;
    OK(lwproc_kernel_create(&config, &kernel));
    OK(lwproc_kernel_use(kernel));
    return kernel;
}

static void are_users(uid_t real, uid_t effective, uid_t saved)
{
    uid_t r, e, s;

    OK(lwproc_getresuid(&r, &e, &s));
    IS(r, real);
    IS(e, effective);
    IS(s, saved);
    IS(lwproc_getuid(), real);
    IS(lwproc_geteuid(), effective);
}

static void are_groups(gid_t real, gid_t effective, gid_t saved)
{
    gid_t r, e, s;

    OK(lwproc_getresgid(&r, &e, &s));
    IS(r, real);
    IS(e, effective);
    IS(s, saved);
    IS(lwproc_getgid(), real);
    IS(lwproc_getegid(), effective);
}

static void ids(void)
{
    struct lwproc_kernel *kernel = kernel_with(0);
    uid_t r = 70, e = 71, s = 72;

    /* Process 1's. */
    are_users(0, 0, 0);
    are_groups(0, 0, 0);
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    OK(lwproc_setresgid(1, 2, 3));
    are_groups(1, 2, 3);
    are_users(0, 0, 0);
    OK(lwproc_setresuid(4, 5, 6));
    are_users(4, 5, 6);
    are_groups(1, 2, 3);
    OK(lwproc_seteuid(6));
    are_users(4, 6, 6);
    IS(lwproc_setresuid(7, (uid_t)-1, (uid_t)-1), EPERM);
    are_users(4, 6, 6);
    /* Nothing is written when there is nowhere for one of them. */
    IS(lwproc_getresuid(NULL, &e, &s), EINVAL);
    IS(lwproc_getresuid(&r, NULL, &s), EINVAL);
    IS(lwproc_getresuid(&r, &e, NULL), EINVAL);
    IS(lwproc_getresgid(NULL, &e, &s), EINVAL);
    IS(lwproc_getresgid(&r, NULL, &s), EINVAL);
    IS(lwproc_getresgid(&r, &e, NULL), EINVAL);
    CHECK(r == 70 && e == 71 && s == 72);
    /* Inside, too. */
    rump_schedule();
    are_users(4, 6, 6);
    rump_unschedule();
    OK(lwproc_kernel_destroy(kernel, NULL));
}

static void has(uid_t uid, size_t procs, size_t lwps)
{
    struct lwproc_user_counts counts;

    OK(lwproc_count_user(uid, &counts));
    IS(counts.procs, procs);
    IS(counts.lwps, lwps);
}

static void counts(void)
{
    struct lwproc_kernel *kernel = kernel_with(LWPROC_WAIT);
    struct lwp *parent, *child, *more;

    IS(lwproc_count_user(0, NULL), EINVAL);
    has(0, 2, 0);
    has(7, 0, 0);
    has((uid_t)-1, 0, 0);
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    parent = rump_pub_lwproc_curlwp();
    has(0, 3, 0);
    OK(rump_pub_lwproc_newlwp(lwproc_getpid()));
    more = rump_pub_lwproc_curlwp();
    has(0, 3, 1);
    /* The real one counts. */
    OK(lwproc_setreuid((uid_t)-1, 7));
    has(7, 0, 0);
    OK(lwproc_seteuid(0));
    OK(lwproc_setresuid(7, 0, 0));
    rump_pub_lwproc_switch(parent);
    has(0, 2, 0);
    has(7, 1, 1);
    OK(rump_pub_lwproc_rfork(0));
    child = rump_pub_lwproc_curlwp();
    has(7, 2, 1);
    OK(lwproc_exit(0));
    rump_pub_lwproc_switch(more);
    CHECK(child != more);
    /* A zombie until it is waited for. */
    has(7, 2, 1);
    OK(lwproc_wait(-1, 0, NULL, NULL));
    has(7, 1, 1);
    rump_pub_lwproc_releaselwp();
    has(7, 1, 0);
    rump_pub_lwproc_switch(parent);
    rump_pub_lwproc_releaselwp();
    has(7, 0, 0);
    has(0, 2, 0);
    is_empty();
    OK(lwproc_kernel_destroy(kernel, NULL));
}

static void is_policy(unsigned flags)
{
    unsigned now = 77;

    OK(lwproc_limits_policy(&now));
    IS(now, flags);
}

/* A user that has as many processes as it may. */
static void policy(unsigned flags)
{
    struct lwproc_kernel *kernel = kernel_with(flags);
    struct lwproc_rlimit one = { 1, 1 };

    is_policy(flags);
    IS(lwproc_limits_policy(NULL), EINVAL);
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    OK(lwproc_setrlimit(LWPROC_RLIMIT_NPROC, &one));
    OK(lwproc_setuid(7));
    IS(rump_pub_lwproc_rfork(0), flags ? EAGAIN : 0);
    OK(lwproc_limits_setpolicy(LWPROC_NPROC));
    is_policy(LWPROC_NPROC);
    IS(rump_pub_lwproc_rfork(0), EAGAIN);
    /* Of a refusal nothing is left, and what is there stays. */
    has(7, flags ? 1 : 2, 0);
    IS(lwproc_limits_setpolicy(LWPROC_WAIT), EINVAL);
    IS(lwproc_limits_setpolicy(LWPROC_NPROC | 8), EINVAL);
    is_policy(LWPROC_NPROC);
    OK(lwproc_limits_setpolicy(0));
    is_policy(0);
    OK(rump_pub_lwproc_rfork(0));
    has(7, flags ? 2 : 3, 0);
    /* Another kernel has its own. */
    OK(lwproc_kernel_use(NULL));
    is_policy(0);
    OK(lwproc_limits_setpolicy(LWPROC_NPROC));
    OK(lwproc_kernel_use(kernel));
    is_policy(0);
    OK(lwproc_kernel_use(NULL));
    OK(lwproc_limits_setpolicy(0));
    OK(lwproc_kernel_destroy(kernel, NULL));
}

/* A user that has as many LWPs as it may, the first of each process not counted. */
static void nthr(void)
{
    struct lwproc_kernel *kernel = kernel_with(LWPROC_NTHR);
    struct lwproc_rlimit one = { 1, 1 };
    struct lwp *l;

    is_policy(LWPROC_NTHR);
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    OK(lwproc_setrlimit(LWPROC_RLIMIT_NTHR, &one));
    OK(lwproc_setuid(7));
    l = rump_pub_lwproc_curlwp();
    OK(rump_pub_lwproc_newlwp(lwproc_getpid()));
    has(7, 1, 1);
    IS(rump_pub_lwproc_newlwp(lwproc_getpid()), EAGAIN);
    has(7, 1, 1);
    OK(lwproc_limits_setpolicy(LWPROC_NPROC | LWPROC_NTHR));
    is_policy(LWPROC_NPROC | LWPROC_NTHR);
    IS(rump_pub_lwproc_newlwp(lwproc_getpid()), EAGAIN);
    OK(lwproc_limits_setpolicy(0));
    OK(rump_pub_lwproc_newlwp(lwproc_getpid()));
    has(7, 1, 2);
    rump_pub_lwproc_releaselwp();
    rump_pub_lwproc_switch(l);
    OK(lwproc_kernel_use(NULL));
    OK(lwproc_kernel_destroy(kernel, NULL));
}

/* An exec after a change of the user, who has one other process. */
static void exec_after_setuid(void)
{
    struct lwproc_kernel *kernel = kernel_with(LWPROC_NPROC);
    struct lwproc_rlimit one = { 1, 1 }, none = { 0, 0 };
    struct lwp *l;

    OK(rump_pub_lwproc_rfork(0));
    OK(lwproc_setuid(7));
    l = rump_pub_lwproc_curlwp();
    rump_pub_lwproc_switch(NULL);
    OK(rump_pub_lwproc_rfork(0));
    OK(lwproc_setrlimit(LWPROC_RLIMIT_NPROC, &one));
    OK(lwproc_setuid(7));
    OK(lwproc_drain());
    OK(lwproc_execnotify("one"));
    OK(lwproc_setrlimit(LWPROC_RLIMIT_NPROC, &none));
    OK(lwproc_drain());
    OK(lwproc_execnotify("again"));
    rump_pub_lwproc_switch(NULL);
    OK(rump_pub_lwproc_rfork(0));
    OK(lwproc_setrlimit(LWPROC_RLIMIT_NPROC, &none));
    OK(lwproc_setuid(7));
    OK(lwproc_drain());
    IS(lwproc_execnotify("two"), EAGAIN);
    OK(lwproc_limits_setpolicy(0));
    OK(lwproc_execnotify("two"));
    rump_pub_lwproc_switch(l);
    rump_pub_lwproc_releaselwp();
    OK(lwproc_kernel_use(NULL));
    OK(lwproc_kernel_destroy(kernel, NULL));
}

/* How much there may be, said while there is something. */
static void mosts(void)
{
    struct lwproc_kernel *kernel = kernel_with(0);
    struct lwp *first, *second;

    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    first = rump_pub_lwproc_curlwp();
    OK(lwproc_set_max_lwps(4));
    OK(rump_pub_lwproc_newlwp(lwproc_getpid()));
    second = rump_pub_lwproc_curlwp();
    IS(rump_pub_lwproc_newlwp(lwproc_getpid()), EAGAIN);
    IS(rump_pub_lwproc_rfork(0), EAGAIN);
    OK(lwproc_set_max_lwps(UINT64_MAX));
    OK(lwproc_set_max_lwps_per_proc(2));
    IS(rump_pub_lwproc_newlwp(lwproc_getpid()), EAGAIN);
    OK(lwproc_set_max_procs(3));
    IS(rump_pub_lwproc_rfork(0), EAGAIN);
    /* What is there stays. */
    OK(lwproc_set_max_procs(1));
    CHECK(rump_pub_lwproc_curlwp() == second);
    OK(lwproc_set_max_procs(4));
    OK(rump_pub_lwproc_rfork(0));
    rump_pub_lwproc_releaselwp();
    rump_pub_lwproc_switch(second);
    OK(rump_pub_lwproc_rfork(0));
    rump_pub_lwproc_releaselwp();
    rump_pub_lwproc_switch(second);
    rump_pub_lwproc_releaselwp();
    rump_pub_lwproc_switch(first);
    OK(lwproc_set_max_lwps(3));
    IS(rump_pub_lwproc_newlwp(lwproc_getpid()), EAGAIN);
    rump_pub_lwproc_releaselwp();
    is_empty();
    OK(lwproc_kernel_use(NULL));
    OK(lwproc_kernel_destroy(kernel, NULL));
}

/* The number of a new process, which is current. */
static void is_next(pid_t pid)
{
    OK(rump_pub_lwproc_rfork(0));
    IS(lwproc_getpid(), pid);
}

static void numbers(void)
{
    struct lwproc_config config = { 0 };
    struct lwproc_kernel *kernel;
    pid_t last = -1;

    config.numbering = 3;
    IS(lwproc_kernel_create(&config, &kernel), EINVAL);
    config.numbering = LWPROC_NUMBERING_CYCLIC;
    config.id_capacity = 310;
    OK(lwproc_kernel_create(&config, &kernel));
    OK(lwproc_kernel_use(kernel));
    OK(lwproc_set_last_number(41));
    is_next(42);
    OK(lwproc_last_number(&last));
    IS(last, 42);
    OK(lwproc_set_last_number(309));
    is_next(310);
    is_next(300);
    OK(lwproc_set_id_capacity(301));
    is_next(301);
    IS(rump_pub_lwproc_rfork(0), EAGAIN);
    IS(lwproc_set_last_number(-1), EINVAL);
    IS(lwproc_set_last_number(303), EINVAL);
    IS(lwproc_set_id_capacity(0), EINVAL);
    IS(lwproc_last_number(NULL), EINVAL);
    OK(lwproc_last_number(&last));
    IS(last, 301);
    OK(lwproc_kernel_use(NULL));
    OK(lwproc_kernel_destroy(kernel, NULL));

    config.numbering = LWPROC_NUMBERING_DENSE;
    config.id_capacity = 3;
    OK(lwproc_kernel_create(&config, &kernel));
    OK(lwproc_kernel_use(kernel));
    for (int i = 0; i < 100; i++) {
        OK(rump_pub_lwproc_rfork(0));
        CHECK(lwproc_getpid() == 2 || lwproc_getpid() == 3);
        rump_pub_lwproc_releaselwp();
    }
    IS(lwproc_set_id_capacity(5), EOPNOTSUPP);
    IS(lwproc_set_last_number(5), EOPNOTSUPP);
    IS(lwproc_last_number(&last), EOPNOTSUPP);
    OK(lwproc_kernel_use(NULL));
    OK(lwproc_kernel_destroy(kernel, NULL));
}

int main(void)
{
    struct lwproc_user_counts counted;
    unsigned flags;
    uid_t r, e, s;

    IS(lwproc_getresuid(&r, &e, &s), EINVAL);
    IS(lwproc_getresgid(&r, &e, &s), EINVAL);
    IS(lwproc_count_user(0, &counted), EINVAL);
    IS(lwproc_limits_policy(&flags), EINVAL);
    IS(lwproc_limits_setpolicy(0), EINVAL);
    IS(lwproc_set_max_procs(5), EINVAL);
    IS(lwproc_set_max_lwps(5), EINVAL);
    IS(lwproc_set_max_lwps_per_proc(5), EINVAL);
    IS(lwproc_set_id_capacity(5), EINVAL);
    IS(lwproc_set_last_number(5), EINVAL);
    OK(rump_init());
    ids();
    counts();
    policy(0);
    policy(LWPROC_NPROC);
    nthr();
    exec_after_setuid();
    mosts();
    numbers();
    return 0;
}
