/* What a process has: an emulation, limits, use, a place; and who is told of what it does. */
#include "check.h"

static int destroyed[4];

static void destroy(void *data) { ++*(int *)data; }

/* What syscall_intern was told, last. */
static void *interned;
static pid_t interned_pid;

static void intern(void *arg, void *emul, pid_t pid)
{
    CHECK(arg == destroyed);
    interned = emul;
    interned_pid = pid;
    /* A callback: nothing that enters, or makes a kernel. */
    IS(lwproc_emul(NULL, NULL), EDEADLK);
    IS(lwproc_settrace(NULL, NULL, NULL), EDEADLK);
    IS(rump_init(), EDEADLK);
    IS(lwproc_kernel_use(NULL), EDEADLK);
}

static struct lwproc_kernel *kernel_with(const struct lwproc_hypercalls *calls, unsigned flags)
{
    struct lwproc_config config = { 0 };
    struct lwproc_kernel *kernel;

    config.hypercalls = calls;
    config.arg = destroyed;
    config.flags = flags;
    OK(lwproc_kernel_create(&config, &kernel));
    OK(lwproc_kernel_use(kernel));
    return kernel;
}

static void is_emul(unsigned int number, void *data)
{
    unsigned int its;
    void *value;

    OK(lwproc_emul(&its, &value));
    IS(its, number);
    CHECK(value == data);
    OK(lwproc_emul(NULL, NULL));
}

static void emulations(void)
{
    struct lwproc_hypercalls calls = { 0 };
    struct lwproc_kernel *kernel;
    unsigned int one, two, number;
    struct lwp *old;
    int i;

    calls.syscall_intern = intern;
    kernel = kernel_with(&calls, 0);
    is_emul(0, NULL);
    OK(lwproc_emul_default(&number));
    IS(number, 0);
    IS(lwproc_emul_setdefault(1), EINVAL);
    IS(lwproc_emul_setdefault(UINT_MAX), EINVAL);
    IS(lwproc_emul_add(destroyed, destroy, NULL), EINVAL);
    OK(lwproc_emul_add(&destroyed[0], destroy, &one));
    OK(lwproc_emul_add(&destroyed[1], destroy, &two));
    CHECK(one != 0 && two != 0 && one != two);

    OK(rump_pub_lwproc_rfork(0));
    CHECK(interned == NULL);
    IS(interned_pid, lwproc_getpid());
    is_emul(0, NULL);
    old = rump_pub_lwproc_curlwp();
    OK(lwproc_emul_setdefault(two));
    OK(lwproc_emul_default(&number));
    IS(number, two);
    is_emul(0, NULL);
    /* A child has the default, and not its parent's. */
    OK(rump_pub_lwproc_rfork(0));
    CHECK(interned == &destroyed[1]);
    IS(interned_pid, lwproc_getpid());
    is_emul(two, &destroyed[1]);
    OK(lwproc_emul_setdefault(one));
    is_emul(two, &destroyed[1]);
    rump_i_know_what_i_am_doing_with_sysents = 1;
    rump_pub_lwproc_sysent_usenative();
    is_emul(0, NULL);
    OK(rump_pub_lwproc_rfork(0));
    is_emul(one, &destroyed[0]);
    OK(lwproc_emul_setdefault(0));
    OK(rump_pub_lwproc_rfork(0));
    is_emul(0, NULL);
    rump_pub_lwproc_switch(old);
    is_emul(0, NULL);
    rump_pub_lwproc_releaselwp();

    for (i = 2; i < 256; i++)
        OK(lwproc_emul_add(&destroyed[2], destroy, &number));
    IS(lwproc_emul_add(&destroyed[3], destroy, &number), EAGAIN);
    IS(destroyed[0] + destroyed[1] + destroyed[2], 0);
    OK(lwproc_kernel_destroy(kernel, NULL));
    IS(destroyed[0], 1);
    IS(destroyed[1], 1);
    IS(destroyed[2], 254);
    IS(destroyed[3], 0);
}

static void set(int resource, uint64_t soft, uint64_t hard, int error)
{
    struct lwproc_rlimit limit;

    limit.rlim_cur = soft;
    limit.rlim_max = hard;
    IS(lwproc_setrlimit(resource, &limit), error);
}

static void is_limit(int resource, uint64_t soft, uint64_t hard)
{
    struct lwproc_rlimit limit;

    OK(lwproc_getrlimit(resource, &limit));
    CHECK(limit.rlim_cur == soft && limit.rlim_max == hard);
}

static void limits(void)
{
    struct lwproc_kernel *kernel = kernel_with(NULL, 0);
    struct lwproc_rlimit limit;
    struct lwp *parent;
    int i, fd;

    for (i = 0; i <= LWPROC_RLIMIT_RTTIME; i++)
        is_limit(i, LWPROC_RLIM_INFINITY, LWPROC_RLIM_INFINITY);
    IS(lwproc_getrlimit(i, &limit), EINVAL);
    IS(lwproc_getrlimit(-1, &limit), EINVAL);
    IS(lwproc_getrlimit(0, NULL), EINVAL);
    IS(lwproc_setrlimit(0, NULL), EINVAL);
    set(i, 1, 1, EINVAL);
    set(LWPROC_RLIMIT_CPU, 2, 1, EINVAL);

    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    parent = rump_pub_lwproc_curlwp();
    set(LWPROC_RLIMIT_NOFILE, 1, 2, 0);
    OK(lwproc_open(NULL, NULL, 0, &fd));
    IS(lwproc_open(&destroyed, destroy, 0, &fd), EMFILE);
    set(LWPROC_RLIMIT_NOFILE, 3, 2, EINVAL);
    /* A child begins with its parent's; neither changes the other's. */
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    is_limit(LWPROC_RLIMIT_NOFILE, 1, 2);
    is_limit(LWPROC_RLIMIT_NPROC, LWPROC_RLIM_INFINITY, LWPROC_RLIM_INFINITY);
    set(LWPROC_RLIMIT_NOFILE, 7, 7, 0);
    OK(lwproc_setuid(5));
    set(LWPROC_RLIMIT_NOFILE, 7, 8, EPERM);
    set(LWPROC_RLIMIT_NOFILE, 0, 6, 0);
    is_limit(LWPROC_RLIMIT_NOFILE, 0, 6);
    IS(lwproc_open(&destroyed, destroy, 0, &fd), EMFILE);
    rump_pub_lwproc_releaselwp();
    rump_pub_lwproc_switch(parent);
    is_limit(LWPROC_RLIMIT_NOFILE, 1, 2);
    /* It is kept, and not enforced. */
    set(LWPROC_RLIMIT_NPROC, 0, 0, 0);
    OK(lwproc_setuid(5));
    OK(rump_pub_lwproc_rfork(0));
    OK(lwproc_kernel_destroy(kernel, NULL));

    kernel = kernel_with(NULL, LWPROC_NPROC);
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    set(LWPROC_RLIMIT_NPROC, 2, 2, 0);
    OK(rump_pub_lwproc_rfork(0));
    OK(lwproc_setuid(5));
    OK(rump_pub_lwproc_rfork(0));
    IS(rump_pub_lwproc_rfork(0), EAGAIN);
    IS(lwproc_getuid(), 5);
    OK(lwproc_kernel_destroy(kernel, NULL));
}

static void use(void)
{
    struct lwproc_kernel *kernel = kernel_with(NULL, LWPROC_WAIT);
    struct lwproc_rusage used = { 1, 2, 30, 4, 5, 6, 7, 8, 9, 10, 11, 12 }, got;
    struct lwp *parent;

    IS(lwproc_addrusage(NULL), EINVAL);
    IS(lwproc_getrusage(1, &got), EINVAL);
    IS(lwproc_getrusage(LWPROC_RUSAGE_SELF, NULL), EINVAL);
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    parent = rump_pub_lwproc_curlwp();
    OK(rump_pub_lwproc_rfork(0));
    OK(lwproc_addrusage(&used));
    OK(lwproc_getrusage(LWPROC_RUSAGE_SELF, &got));
    CHECK(memcmp(&used, &got, sizeof(got)) == 0);
    used.maxrss = 29;
    OK(lwproc_addrusage(&used));
    rump_pub_lwproc_releaselwp();
    rump_pub_lwproc_switch(parent);
    OK(lwproc_getrusage(LWPROC_RUSAGE_CHILDREN, &got));
    IS(got.nivcsw, 0);
    OK(lwproc_wait(-1, 0, NULL, NULL));
    OK(lwproc_getrusage(LWPROC_RUSAGE_CHILDREN, &got));
    IS(got.utime, 2);
    IS(got.stime, 4);
    IS(got.maxrss, 30);
    IS(got.nivcsw, 24);
    OK(lwproc_getrusage(LWPROC_RUSAGE_SELF, &got));
    IS(got.utime, 0);
    rump_pub_lwproc_releaselwp();
    OK(lwproc_kernel_destroy(kernel, NULL));
}

static void names(void)
{
    struct lwproc_kernel *kernel = kernel_with(NULL, 0);
    struct lwproc_profile profile = { 1, 2, 3, 4 }, got;
    char name[20];

    IS(lwproc_lwp_setname("none"), EINVAL);
    OK(lwproc_lwp_getname(name, sizeof(name)));
    CHECK(strcmp(name, "") == 0);
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    OK(lwproc_setcomm("process"));
    OK(lwproc_lwp_getname(name, sizeof(name)));
    CHECK(strcmp(name, "") == 0);
    OK(lwproc_lwp_setname("0123456789abcdefgh"));
    IS(lwproc_lwp_setname(NULL), EINVAL);
    IS(lwproc_lwp_getname(name, 0), EINVAL);
    IS(lwproc_lwp_getname(NULL, 9), EINVAL);
    OK(lwproc_lwp_getname(name, sizeof(name)));
    CHECK(strcmp(name, "0123456789abcdef") == 0);
    OK(lwproc_lwp_getname(name, 4));
    CHECK(strcmp(name, "012") == 0);
    OK(lwproc_getcomm(name, sizeof(name)));
    CHECK(strcmp(name, "process") == 0);

    OK(lwproc_getprofile(&got));
    IS(got.size, 0);
    IS(lwproc_getprofile(NULL), EINVAL);
    OK(lwproc_setprofile(&profile));
    OK(rump_pub_lwproc_rfork(0));
    /* A child is profiled alike; the name is the LWP's own. */
    OK(lwproc_getprofile(&got));
    CHECK(got.base == 1 && got.size == 2 && got.offset == 3 && got.scale == 4);
    OK(lwproc_setprofile(NULL));
    OK(lwproc_getprofile(&got));
    CHECK(got.base == 0 && got.size == 0);
    OK(lwproc_lwp_getname(name, sizeof(name)));
    CHECK(strcmp(name, "") == 0);
    OK(lwproc_kernel_destroy(kernel, NULL));
}

/* Places are numbers here: each is one more than its parent's; 0 is NULL. */
static long made, released, deepest = 3;

static void *vfs_init(void *arg, void *parent)
{
    uintptr_t depth = (uintptr_t)parent + 1;

    CHECK(arg == destroyed);
    if ((long)depth > deepest)
        return NULL;
    made++;
    return (void *)depth;
}

static void vfs_release(void *arg, void *vfs)
{
    CHECK(arg == destroyed && vfs != NULL);
    released++;
}

static void is_place(uintptr_t depth)
{
    void *vfs = destroyed;

    OK(lwproc_vfs(&vfs));
    IS((uintptr_t)vfs, depth);
}

static void places(void)
{
    struct lwproc_hypercalls calls = { 0 };
    struct lwproc_config config = { 0 };
    struct lwproc_kernel *kernel;
    struct lwp *l;

    calls.vfs_init = vfs_init;
    calls.vfs_release = vfs_release;
    config.hypercalls = &calls;
    config.arg = destroyed;
    config.max_procs = 6;
    OK(lwproc_kernel_create(&config, &kernel));
    OK(lwproc_kernel_use(kernel));
    IS(lwproc_vfs(NULL), EINVAL);
    is_place(0);
    OK(rump_pub_lwproc_rfork(0));
    l = rump_pub_lwproc_curlwp();
    is_place(1);
    OK(rump_pub_lwproc_rfork(0));
    is_place(2);
    OK(rump_pub_lwproc_newlwp(lwproc_getpid()));
    is_place(2);
    OK(rump_pub_lwproc_rfork(0));
    is_place(3);
    /* None: there is nothing to release. */
    OK(rump_pub_lwproc_rfork(0));
    is_place(0);
    IS(made, 3);
    rump_pub_lwproc_switch(l);
    is_place(1);
    /* A fork that is refused makes none. */
    IS(rump_pub_lwproc_rfork(0), EAGAIN);
    IS(made, 3);
    IS(released, 0);
    rump_pub_lwproc_releaselwp();
    IS(released, 1);
    /* Of proc0. */
    OK(lwproc_try_alloclwp(NULL, &l));
    rump_pub_lwproc_switch(l);
    is_place(1);
    rump_pub_lwproc_switch(NULL);
    OK(lwproc_kernel_destroy(kernel, NULL));
    IS(made, 4);
    IS(released, made);
}

struct events {
    int count, destroyed;
    struct lwproc_trace_event all[16];
};

static void record(void *arg, const struct lwproc_trace_event *event)
{
    struct events *events = (struct events *)arg;

    CHECK(events->count < 16);
    events->all[events->count++] = *event;
    IS(lwproc_settrace(NULL, NULL, NULL), EDEADLK);
}

static void forget(void *arg) { ((struct events *)arg)->destroyed++; }

static void is_event(const struct events *events, int i, int kind, pid_t pid, int lid)
{
    CHECK(i < events->count);
    IS(events->all[i].kind, kind);
    IS(events->all[i].pid, pid);
    IS(events->all[i].lid, lid);
}

static void traces(void)
{
    struct lwproc_kernel *kernel = kernel_with(NULL, LWPROC_WAIT);
    static struct events of_kernel, of_parent, other;
    struct lwp *first;
    pid_t parent, child;
    int lid;

    OK(lwproc_kernel_settrace(record, &of_kernel, forget));
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    parent = lwproc_getpid();
    first = rump_pub_lwproc_curlwp();
    IS(of_kernel.count, 2);
    is_event(&of_kernel, 0, LWPROC_TRACE_FORK, parent, 0);
    IS(of_kernel.all[0].parent, 1);
    is_event(&of_kernel, 1, LWPROC_TRACE_LWP_CREATE, parent, parent);

    OK(lwproc_settrace(record, &of_parent, forget));
    OK(rump_pub_lwproc_rfork(0));
    child = lwproc_getpid();
    /* The fork is the parent's; the child does not inherit. */
    IS(of_parent.count, 1);
    is_event(&of_parent, 0, LWPROC_TRACE_FORK, child, 0);
    IS(of_parent.all[0].parent, parent);
    OK(lwproc_exit(3));
    rump_pub_lwproc_switch(first);
    IS(of_parent.count, 1);
    IS(of_kernel.count, 7);
    is_event(&of_kernel, 4, LWPROC_TRACE_LWP_EXIT, child, child);
    is_event(&of_kernel, 5, LWPROC_TRACE_EXIT, child, 0);
    IS(of_kernel.all[5].status, 3 << 8);
    is_event(&of_kernel, 6, LWPROC_TRACE_ZOMBIE, child, 0);
    IS(of_kernel.all[6].status, 3 << 8);
    IS(of_kernel.all[6].parent, parent);
    OK(lwproc_wait(child, 0, NULL, NULL));
    IS(of_kernel.count, 8);
    is_event(&of_kernel, 7, LWPROC_TRACE_REAP, child, 0);
    IS(of_kernel.all[7].status, 3 << 8);

    OK(rump_pub_lwproc_newlwp(parent));
    lid = lwproc_getlid();
    is_event(&of_parent, 1, LWPROC_TRACE_LWP_CREATE, parent, lid);
    rump_pub_lwproc_releaselwp();
    is_event(&of_parent, 2, LWPROC_TRACE_LWP_EXIT, parent, lid);
    rump_pub_lwproc_switch(first);
    OK(lwproc_drain());
    OK(lwproc_execnotify("0123456789abcdefgh"));
    is_event(&of_parent, 3, LWPROC_TRACE_EXEC, parent, 0);
    CHECK(strcmp(of_parent.all[3].comm, "0123456789abcdef") == 0);

    /* Another one, and no kernel's. */
    OK(lwproc_settrace(record, &other, forget));
    OK(lwproc_kernel_settrace(NULL, &of_kernel, forget));
    lid = of_kernel.count;
    OK(lwproc_exit_signal(9, 1));
    IS(of_parent.count, 4);
    IS(of_kernel.count, lid);
    IS(other.count, 2);
    is_event(&other, 0, LWPROC_TRACE_LWP_EXIT, parent, parent);
    is_event(&other, 1, LWPROC_TRACE_EXIT, parent, 0);
    IS(other.all[1].status, 0x89);
    OK(lwproc_kernel_destroy(kernel, NULL));
    IS(of_kernel.destroyed, 1);
    IS(of_parent.destroyed, 1);
    IS(other.destroyed, 1);
}

int main(void)
{
    emulations();
    limits();
    use();
    names();
    places();
    traces();
    return 0;
}
