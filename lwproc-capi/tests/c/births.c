/* A fork in two steps, the parent of a vfork, a table of one's own, an exec that renumbers. */
#include "check.h"
#include <pthread.h>
#include <unistd.h>

static struct lwproc_kernel *kernel;
static int freed, prepared;
static pid_t prepared_pid;

static void vmspace_free(void *arg, struct vmspace *vm)
{
    CHECK(arg == &freed && vm == (void *)&prepared);
    freed++;
}

static int prepare(void *arg, pid_t pid, struct vmspace **vm)
{
    CHECK(*vm == NULL);
    CHECK(lwproc_proc_find(pid) == NULL);
    IS(rump_pub_lwproc_rfork(0), EDEADLK);
    prepared++;
    prepared_pid = pid;
    *vm = (struct vmspace *)(void *)&prepared;
    return *(int *)arg;
}

static void forks(void)
{
    struct lwproc_counts before, after;
    struct lwp *parent, *child = NULL;
    struct vmspace *vm;
    pid_t pid = -1, own;
    struct lwproc_fork_args how = { 0 };
    int says = EACCES;

    prepared = freed = 0;
    how.prepare = prepare;
    how.arg = &says;
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    parent = rump_pub_lwproc_curlwp();
    own = lwproc_getpid();
    OK(lwproc_count(&before));
    how.flags = RUMP_RFFDG | RUMP_RFCFDG;
    IS(lwproc_fork(&how, &child, &pid), EINVAL);
    how.flags = 16;
    IS(lwproc_fork(&how, &child, &pid), EINVAL);
    how.flags = 0;
    how.exit_signal = 65;
    IS(lwproc_fork(&how, &child, &pid), EINVAL);
    how.exit_signal = 0;
    IS(lwproc_fork(&how, NULL, &pid), EINVAL);
    IS(prepared, 0);
    /* The second step is not made: all is given back, and the space is the caller's. */
    IS(lwproc_fork(&how, &child, &pid), EACCES);
    IS(prepared, 1);
    CHECK(child == NULL && pid == -1 && freed == 0);
    OK(lwproc_count(&after));
    CHECK(memcmp(&before, &after, sizeof(before)) == 0);
    /* Refused before it. */
    OK(lwproc_set_max_procs(before.procs));
    IS(lwproc_fork(&how, &child, &pid), EAGAIN);
    IS(prepared, 1);
    OK(lwproc_set_max_procs(UINT64_MAX));

    says = 0;
    how.flags = RUMP_RFFDG;
    OK(lwproc_fork(&how, &child, &pid));
    IS(prepared, 2);
    IS(pid, prepared_pid);
    CHECK(rump_pub_lwproc_curlwp() == parent);
    rump_pub_lwproc_switch(child);
    IS(lwproc_getpid(), pid);
    IS(lwproc_getppid(), own);
    OK(lwproc_vmspace(&vm));
    CHECK(vm == (void *)&prepared);
    rump_pub_lwproc_releaselwp();
    IS(freed, 1);
    rump_pub_lwproc_switch(parent);
    rump_pub_lwproc_releaselwp();
}

static int execs;

static void *runs_child(void *l)
{
    OK(lwproc_kernel_use(kernel));
    rump_pub_lwproc_switch((struct lwp *)l);
    usleep(1000);
    if (execs) {
        OK(lwproc_drain());
        OK(lwproc_execnotify("prog"));
        while (__atomic_load_n(&execs, __ATOMIC_ACQUIRE))
            usleep(100);
    }
    rump_pub_lwproc_releaselwp();
    return NULL;
}

static void vforks(void)
{
    struct lwproc_handle *handle;
    struct lwp *child;
    pthread_t thread;
    pid_t pid;
    int end, i;

    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    for (i = 0; i < 2; i++) {
        OK(lwproc_fork(NULL, &child, &pid));
        OK(lwproc_handle_open(pid, &handle));
        OK(lwproc_vfork_end(handle, &end));
        IS(end, LWPROC_VFORK_RUNS);
        execs = i;
        OK(pthread_create(&thread, NULL, runs_child, child));
        OK(lwproc_vfork_wait(handle, &end));
        IS(end, i ? LWPROC_VFORK_EXECED : LWPROC_VFORK_ENDED);
        __atomic_store_n(&execs, 0, __ATOMIC_RELEASE);
        OK(pthread_join(thread, NULL));
        OK(lwproc_vfork_end(handle, &end));
        CHECK(end != LWPROC_VFORK_RUNS);
        lwproc_handle_close(handle);
    }
    IS(lwproc_vfork_wait(NULL, NULL), EINVAL);
    /* SIGKILL ends the wait, and SIGHUP does not interrupt it where it ends nobody. */
    OK(lwproc_fork(NULL, &child, &pid));
    OK(lwproc_handle_open(pid, &handle));
    OK(lwproc_kill(lwproc_getpid(), 9));
    IS(lwproc_vfork_wait(handle, &end), EINTR);
    lwproc_handle_close(handle);
    rump_pub_lwproc_releaselwp();
    rump_pub_lwproc_switch(child);
    rump_pub_lwproc_releaselwp();
}

static void own_table(void)
{
    struct lwp *first, *further;
    int fd;

    IS(lwproc_unshare_files(), EINVAL);
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    first = rump_pub_lwproc_curlwp();
    OK(lwproc_open(NULL, NULL, 0, &fd));
    OK(rump_pub_lwproc_newlwp(lwproc_getpid()));
    further = rump_pub_lwproc_curlwp();
    OK(lwproc_unshare_files());
    OK(lwproc_close(fd));
    rump_pub_lwproc_switch(first);
    OK(lwproc_close(fd));
    OK(lwproc_open(NULL, NULL, 0, &fd));
    rump_pub_lwproc_switch(further);
    IS(lwproc_close(fd), EBADF);
    rump_pub_lwproc_releaselwp();
    rump_pub_lwproc_switch(first);
    rump_pub_lwproc_releaselwp();
}

/* Who bears which pointer, as the hypercalls say. */
static struct lwp *lives[8], *was, *is;
static int traced;

static void lwp_op(void *arg, enum lwproc_lwp_op op, struct lwp *l)
{
    size_t i = 0;

    (void)arg;
    if (op != LWPROC_LWP_CREATE && op != LWPROC_LWP_DESTROY)
        return;
    while (lives[i] != (op == LWPROC_LWP_CREATE ? NULL : l))
        CHECK(++i < 8);
    lives[i] = op == LWPROC_LWP_CREATE ? l : NULL;
}

static void renumber(void *arg, struct lwp *old, struct lwp *l)
{
    size_t i = 0;

    CHECK(arg == &freed && old != l);
    IS(rump_pub_lwproc_rfork(0), EDEADLK);
    CHECK(rump_lwproc_curlwp_hypercall() == l);
    while (lives[i] != old)
        CHECK(++i < 8);
    lives[i] = l;
    was = old;
    is = l;
}

static void sink(void *arg, const struct lwproc_trace_event *event)
{
    (void)arg;
    if (event->kind != LWPROC_TRACE_LWP_RENUMBER)
        return;
    IS(event->lid, event->pid);
    CHECK(event->was != event->lid);
    traced++;
}

/* The first LWP goes, a further one execs. */
static void exec_of_further(int takes)
{
    struct lwp *first, *further;
    int lid, slept;

    was = is = NULL;
    traced = 0;
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    OK(lwproc_settrace(sink, NULL, NULL));
    first = rump_pub_lwproc_curlwp();
    OK(rump_pub_lwproc_newlwp(lwproc_getpid()));
    further = rump_pub_lwproc_curlwp();
    lid = lwproc_getlid();
    OK(lwproc_drain());
    rump_pub_lwproc_switch(first);
    rump_pub_lwproc_releaselwp();
    rump_pub_lwproc_switch(further);
    OK(lwproc_wait_alone());
    OK(lwproc_execnotify("prog"));
    IS(traced, takes);
    IS(lwproc_try_switch(first), ESRCH);
    if (takes) {
        /* Its pointer is the one that was told of, and works; the old one has gone. */
        CHECK(was == further && rump_pub_lwproc_curlwp() == is);
        IS(lwproc_getlid(), lwproc_getpid());
        CHECK(lwp_find(lwproc_curproc(), lwproc_getpid()) == is);
        CHECK(lwp_find(lwproc_curproc(), lid) == NULL);
        IS(lwproc_try_switch(further), ESRCH);
        IS(lwproc_try_unsleep(further, &slept), ESRCH);
        OK(lwproc_try_unsleep(is, &slept));
        rump_pub_lwproc_switch(NULL);
        /* The number is another's now, and the old pointer is not. */
        OK(lwproc_set_last_number(lid - 1));
        OK(rump_pub_lwproc_rfork(0));
        IS(lwproc_getlid(), lid);
        IS(lwproc_try_switch(further), ESRCH);
        rump_pub_lwproc_releaselwp();
        rump_pub_lwproc_switch(is);
    } else {
        CHECK(was == NULL && rump_pub_lwproc_curlwp() == further);
        IS(lwproc_getlid(), lid);
    }
    rump_pub_lwproc_releaselwp();
}

static void in_a_kernel(int rules, uint64_t differs, void (*test)(int), int arg)
{
    struct lwproc_hypercalls calls = { 0 };
    struct lwproc_config config = { 0 };
    struct lwproc_leftover left;
    size_t i;

    calls.lwp_op = lwp_op;
    calls.vmspace_free = vmspace_free;
    calls.lwp_renumber = renumber;
    config.hypercalls = &calls;
    config.arg = &freed;
    config.sigmodel = LWPROC_SIGMODEL_RECORD;
    config.numbering = LWPROC_NUMBERING_CYCLIC;
    config.rules = rules;
    config.differs = differs;
    OK(lwproc_kernel_create(&config, &kernel));
    OK(lwproc_kernel_use(kernel));
    test(arg);
    is_implicit();
    OK(lwproc_kernel_destroy(kernel, &left));
    IS(left.lwps, 0);
    for (i = 0; i < 8; i++)
        CHECK(lives[i] == NULL);
}

static void births(int ignored)
{
    (void)ignored;
    forks();
    vforks();
    own_table();
}

int main(void)
{
    in_a_kernel(LWPROC_RULES_NETBSD, 0, births, 0);
    in_a_kernel(LWPROC_RULES_LINUX, 0, births, 0);
    in_a_kernel(LWPROC_RULES_LINUX, 0, exec_of_further, 1);
    in_a_kernel(LWPROC_RULES_NETBSD, LWPROC_DIFFERS_EXEC_OF_FURTHER_LWP, exec_of_further, 1);
    in_a_kernel(LWPROC_RULES_LINUX, LWPROC_DIFFERS_EXEC_OF_FURTHER_LWP, exec_of_further, 0);
    in_a_kernel(LWPROC_RULES_NETBSD, 0, exec_of_further, 0);
    return 0;
}
