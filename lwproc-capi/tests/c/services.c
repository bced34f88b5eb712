/*
 * What C programs need around the rump calls, and the calls of in-kernel callers.
 *
 *   services [ROUNDS]
 */
#include "check.h"
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

static int order[8], ordered;
static int first, second, third;

static void note(void *data)
{
    CHECK(ordered < 8);
    order[ordered++] = *(int *)data;
}

static void ending(void *arg, const struct lwproc_ending *proc)
{
    *(struct lwproc_ending *)arg = *proc;
    note(&third);
}

static void files(void)
{
    struct lwproc_file *file;
    int fd, other, flags;

    first = 1;
    ordered = 0;
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    IS(lwproc_close(0), EBADF);
    IS(lwproc_get(0, &file), EBADF);
    OK(lwproc_open(&first, note, LWPROC_CLOEXEC, &fd));
    OK(lwproc_getcloexec(fd, &flags));
    IS(flags, LWPROC_CLOEXEC);
    OK(lwproc_dup2(fd, 9));
    OK(lwproc_dup_from(fd, 5, 0, &other));
    IS(other, 5);
    IS(lwproc_dup3(fd, fd, 0), EINVAL);
    OK(lwproc_setcloexec(9, LWPROC_CLOEXEC));
    OK(lwproc_get(fd, &file));
    CHECK(lwproc_file_data(file) == &first);
    OK(lwproc_install(file, 0, &other));
    IS(other, 1);
    IS(lwproc_open(&first, note, 77, &other), EINVAL);
    /* An exec keeps 1 and 5. */
    IS(lwproc_execnotify("prog"), EBUSY);
    OK(lwproc_drain());
    OK(lwproc_wait_alone());
    OK(lwproc_execnotify("prog"));
    {
        char name[4];
        OK(lwproc_getcomm(name, sizeof(name)));
        CHECK(strcmp(name, "pro") == 0);
    }
    IS(lwproc_close(fd), EBADF);
    IS(lwproc_close(9), EBADF);
    OK(lwproc_close_range(1, 100, 0));
    IS(ordered, 0);
    lwproc_file_put(file);
    IS(ordered, 1);
    /* The last LWP closes what is left. */
    OK(lwproc_open(&first, note, 0, &fd));
    rump_pub_lwproc_releaselwp();
    IS(ordered, 2);
}

static void groups_and_waiting(void)
{
    struct lwp *parent;
    pid_t pid, child, got, pgid;
    int status;

    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    parent = rump_pub_lwproc_curlwp();
    pid = lwproc_getpid();
    OK(lwproc_setsid(NULL));
    IS(lwproc_setsid(NULL), EPERM);
    IS(lwproc_wait(-1, 0, NULL, NULL), ECHILD);
    OK(rump_pub_lwproc_rfork(RUMP_RFFDG));
    child = lwproc_getpid();
    IS(lwproc_getppid(), pid);
    OK(lwproc_setpgid(0, 0));
    OK(lwproc_getpgid(0, &pgid));
    IS(pgid, child);
    OK(lwproc_getsid(0, &pgid));
    IS(pgid, pid);
    rump_pub_lwproc_switch(parent);
    OK(lwproc_wait(-1, LWPROC_WNOHANG, &got, &status));
    IS(got, 0);
    OK(rump_pub_lwproc_newlwp(child));
    OK(lwproc_exit_group(3));
    rump_pub_lwproc_switch(parent);
    IS(lwproc_wait(0, 0, NULL, NULL), ECHILD);
    OK(lwproc_wait(-child, 0, &got, &status));
    IS(got, child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
    OK(rump_pub_lwproc_rfork(0));
    OK(lwproc_exit_signal(9, 0));
    rump_pub_lwproc_switch(parent);
    OK(lwproc_wait(-1, 0, &got, &status));
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == 9);
    rump_pub_lwproc_releaselwp();
}

static void signals(void)
{
    uint64_t set;
    int signo;

    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    IS(lwproc_kill(lwproc_getpid(), 99), EINVAL);
    IS(lwproc_kill(12345, 15), ESRCH);
    OK(lwproc_kill(lwproc_getpid(), 15));
    OK(lwproc_lwp_kill(lwproc_getlid(), 1));
    OK(lwproc_sigpending(&set));
    IS(set, (1u << 14) | 1u);
    OK(lwproc_sigmask(1, &set));
    IS(set, 0);
    OK(lwproc_sigtake(&signo));
    IS(signo, 15);
    OK(lwproc_sigtake(&signo));
    IS(signo, 0);
    rump_pub_lwproc_releaselwp();
    IS(lwproc_sigmask(1, NULL), EINVAL);
}

static void hooks_and_data(void)
{
    struct lwproc_ending seen;
    unsigned int of_proc, of_lwp;
    uint64_t hook;
    void *value;
    pid_t pid;

    first = 1, second = 2, third = 3, ordered = 0;
    OK(lwproc_proc_key_create(note, &of_proc));
    OK(lwproc_lwp_key_create(note, &of_lwp));
    OK(lwproc_exithook_establish(ending, &seen, &hook));
    IS(lwproc_setspecific(99, &first), EINVAL);
    IS(lwproc_setspecific(of_lwp, &first), EINVAL);
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    pid = lwproc_getpid();
    OK(lwproc_setuid(44));
    OK(lwproc_getspecific(of_proc, &value));
    CHECK(value == NULL);
    OK(lwproc_setspecific(of_proc, &second));
    OK(lwproc_setspecific(of_proc, &first));
    OK(lwproc_setspecific(of_lwp, &second));
    OK(lwproc_getspecific(of_lwp, &value));
    CHECK(value == &second);
    OK(rump_pub_lwproc_newlwp(pid));
    OK(lwproc_getspecific(of_lwp, &value));
    CHECK(value == NULL);
    OK(lwproc_getspecific(of_proc, &value));
    CHECK(value == &first);
    IS(ordered, 0);
    OK(lwproc_exit_group(0));
    /* The LWP's, the hook, the process's. */
    IS(ordered, 3);
    IS(order[0], 2);
    IS(order[1], 3);
    IS(order[2], 1);
    IS(seen.pid, pid);
    IS(seen.uid, 44);
    OK(lwproc_exithook_disestablish(hook));
    IS(lwproc_exithook_disestablish(hook), ENOENT);
}

static void in_kernel(void)
{
    struct lwp *l, *m;
    struct proc *p;

    rump_schedule();
    CHECK(rump_lwproc_curlwp() == NULL);
    OK(rump_lwproc_rfork(RUMP_RFCFDG));
    l = rump_lwproc_curlwp();
    p = lwproc_curproc();
    CHECK(lwp_find(p, lwproc_getlid()) == l);
    CHECK(lwp_find(p, 1) == NULL);
    CHECK(p == lwproc_proc_find(lwproc_getpid()));
    /* The LWP is parked at the end, not before. */
    rump_lwproc_switch(NULL);
    CHECK(rump_lwproc_curlwp() == l);
    IS(lwproc_kernel_use(NULL), EDEADLK);
    rump_unschedule();
    CHECK(rump_pub_lwproc_curlwp() == NULL);

    rump_schedule();
    rump_lwproc_switch(l);
    rump_lwproc_switch(NULL);
    rump_lwproc_switch(l);
    rump_unschedule();
    CHECK(rump_pub_lwproc_curlwp() == l);

    rump_schedule();
    m = rump__lwproc_alloclwp(p);
    CHECK(m != NULL && m != l);
    rump_lwproc_releaselwp();
    CHECK(rump_lwproc_curlwp() == NULL);
    CHECK(rump_lwproc_curlwp_hypercall() == l);
    rump__lwproc_lwphold();
    CHECK(rump_lwproc_curlwp() == l);
    rump__lwproc_lwprele();
    rump_lwproc_switch(m);
    IS(lwproc_try_switch(l), ESRCH);
    rump_lwproc_releaselwp();
    rump_unschedule();
    is_implicit();
    CHECK(rump_lwproc_curlwp_hypercall() == NULL);
    CHECK(lwproc_proc_find(lwproc_getpid()) != p);
    IS(lwproc_try_alloclwp(p, &m), EINVAL);

    /* An implicit thread that is held is an LWP of process 1. */
    rump_schedule();
    rump__lwproc_lwphold();
    CHECK(rump_lwproc_curlwp() != NULL);
    IS(lwproc_getpid(), 1);
    rump__lwproc_lwprele();
    rump_unschedule();

    /* The number of the first LWP is taken over; its pointer is not. */
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    l = rump_pub_lwproc_curlwp();
    OK(rump_pub_lwproc_newlwp(lwproc_getpid()));
    m = rump_pub_lwproc_curlwp();
    rump_pub_lwproc_switch(l);
    rump_pub_lwproc_releaselwp();
    rump_pub_lwproc_switch(m);
    OK(rump_pub_lwproc_newlwp(lwproc_getpid()));
    IS(lwproc_getlid(), lwproc_getpid());
    rump_pub_lwproc_switch(NULL);
    IS(lwproc_try_switch(l), ESRCH);
    rump_pub_lwproc_switch(m);
    OK(lwproc_exit_group(0));
}

static int ops[4], freed;

static void lwp_op(void *arg, enum lwproc_lwp_op op, struct lwp *l)
{
    CHECK(arg == ops && l != NULL);
    ops[op]++;
}

static void vmspace_free(void *arg, struct vmspace *vm)
{
    CHECK(arg == ops && vm == (void *)&freed);
    freed++;
}

static void *ends_bound(void *kernel)
{
    OK(lwproc_kernel_use((struct lwproc_kernel *)kernel));
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    OK(rump_pub_lwproc_newlwp(lwproc_getpid()));
    return NULL;
}

static struct lwp *left_parked;

/* It is to be parked, and so it is, and not released. */
static void *ends_parking(void *kernel)
{
    OK(lwproc_kernel_use((struct lwproc_kernel *)kernel));
    rump_schedule();
    OK(rump_lwproc_rfork(RUMP_RFCFDG));
    left_parked = rump_lwproc_curlwp();
    rump_lwproc_switch(NULL);
    return NULL;
}

static pthread_key_t late_key;
static int was_late;

/* Runs again when the thread's storage is gone: in a static program it is there the first
 * time, since a key's destructor destroys it. */
static void too_late(void *arg)
{
    static int rounds;
    struct lwproc_channel *channel;

    if (rounds++ % 2 == 0) {
        OK(pthread_setspecific(late_key, arg));
        return;
    }
    IS(lwproc_try_releaselwp(), EDEADLK);
    IS(rump_pub_lwproc_rfork(0), EDEADLK);
    IS(lwproc_psignal(NULL, 1), EDEADLK);
    CHECK(lwproc_proc_find(1) == NULL && lwp_find(NULL, 1) == NULL);
    CHECK(rump_lwproc_curlwp_hypercall() == NULL && lwproc_kernel_current() == NULL);
    OK(lwproc_channel_create(&channel));
    OK(lwproc_wakeup(channel));
    OK(lwproc_channel_destroy(channel));
    *(int *)arg = 1;
}

static void *ends_late(void *kernel)
{
    OK(lwproc_kernel_use((struct lwproc_kernel *)kernel));
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    OK(pthread_setspecific(late_key, &was_late));
    return NULL;
}

static void *ends_inside(void *kernel)
{
    int fd;

    first = 1;
    OK(lwproc_kernel_use((struct lwproc_kernel *)kernel));
    rump_schedule();
    OK(rump_lwproc_rfork(RUMP_RFCFDG));
    OK(lwproc_open(&first, note, 0, &fd));
    return NULL;
}

static void instances(void)
{
    struct lwproc_hypercalls calls = { 0 };
    struct lwproc_config config = { 0 };
    struct lwproc_kernel *one, *two;
    struct lwproc_leftover left;
    struct vmspace *vm;
    struct lwp *l;
    pthread_t thread;
    pid_t child;
    int status;

    config.flags = 1u << 30;
    IS(lwproc_kernel_create(&config, &one), EINVAL);
    calls.lwp_op = lwp_op;
    calls.vmspace_free = vmspace_free;
    config.hypercalls = &calls;
    config.arg = ops;
    config.flags = 0;
    OK(lwproc_kernel_create(&config, &one));
    OK(lwproc_kernel_create(NULL, &two));
    OK(lwproc_kernel_use(one));
    CHECK(lwproc_kernel_current() == one);
    IS(ops[LWPROC_LWP_CREATE], 2);
    rump_schedule();
    OK(rump_lwproc_rfork_vmspace((struct vmspace *)(void *)&freed, RUMP_RFCFDG));
    rump_unschedule();
    OK(lwproc_vmspace(&vm));
    CHECK(vm == (void *)&freed);
    IS(lwproc_vmspace(NULL), EINVAL);
    l = rump_pub_lwproc_curlwp();
    OK(lwproc_kernel_use(two));
    OK(lwproc_vmspace(&vm));
    CHECK(vm == NULL);
    is_implicit();
    IS(lwproc_try_switch(l), ESRCH);
    OK(lwproc_kernel_use(one));
    CHECK(rump_pub_lwproc_curlwp() == l);
    rump_pub_lwproc_releaselwp();
    IS(freed, 1);
    IS(ops[LWPROC_LWP_SET], 1);
    IS(ops[LWPROC_LWP_CLEAR], 1);
    IS(ops[LWPROC_LWP_DESTROY], 1);

    /* A thread that ends without leaving. One LWP is parked, and stays. */
    OK(pthread_create(&thread, NULL, ends_bound, one));
    OK(pthread_join(thread, NULL));
    {
        struct lwproc_counts counts;
        OK(lwproc_count(&counts));
        IS(counts.lwps, 3);
    }
    ordered = 0;
    OK(pthread_create(&thread, NULL, ends_inside, one));
    OK(pthread_join(thread, NULL));
    IS(ordered, 1);

    OK(pthread_create(&thread, NULL, ends_parking, one));
    OK(pthread_join(thread, NULL));
    rump_pub_lwproc_switch(left_parked);
    rump_pub_lwproc_releaselwp();
    OK(pthread_key_create(&late_key, too_late));
    OK(pthread_create(&thread, NULL, ends_late, one));
    OK(pthread_join(thread, NULL));
    IS(was_late, 1);

    /* After fork, the child has copies. */
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    l = rump_pub_lwproc_curlwp();
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(rump_pub_lwproc_curlwp() == l);
        OK(rump_pub_lwproc_rfork(RUMP_RFFDG));
        rump_pub_lwproc_releaselwp();
        rump_pub_lwproc_switch(l);
        rump_pub_lwproc_releaselwp();
        OK(lwproc_kernel_destroy(one, NULL));
        OK(lwproc_kernel_destroy(two, NULL));
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    IS(status, 0);
    rump_pub_lwproc_switch(NULL);

    rump_schedule();
    IS(lwproc_kernel_destroy(two, NULL), EDEADLK);
    rump_unschedule();
    OK(lwproc_kernel_destroy(one, &left));
    IS(left.lwps, 2);
    IS(ops[LWPROC_LWP_CREATE], ops[LWPROC_LWP_DESTROY]);
    IS(lwproc_kernel_use(one), EINVAL);
    IS(lwproc_kernel_destroy(one, NULL), EINVAL);
    OK(lwproc_kernel_destroy(two, &left));
    IS(left.lwps, 0);
}

static struct lwproc_kernel *passing;
static int all_passed;

/* Uses a kernel that may end between any two of these; not while it is used. */
static void *uses(void *arg)
{
    int error;

    while (!__atomic_load_n(&all_passed, __ATOMIC_ACQUIRE)) {
        struct lwproc_kernel *kernel = __atomic_load_n(&passing, __ATOMIC_ACQUIRE);

        error = lwproc_kernel_use(kernel);
        if (error != 0) {
            IS(error, EINVAL);
            continue;
        }
        if (kernel != NULL) {
            OK(rump_pub_lwproc_rfork(0));
            rump_pub_lwproc_releaselwp();
            ++*(long *)arg;
        }
        OK(lwproc_kernel_use(NULL));
    }
    return NULL;
}

static void ends_of_kernels(int rounds)
{
    struct lwproc_leftover left;
    pthread_t threads[2];
    long used[2] = { 0, 0 }, busy = 0, before;
    int i, error;

    for (i = 0; i < 2; i++)
        OK(pthread_create(&threads[i], NULL, uses, &used[i]));
    for (i = 0; i < rounds; i++) {
        struct lwproc_kernel *kernel;
        int tries = 0;

        OK(lwproc_kernel_create(NULL, &kernel));
        before = __atomic_load_n(&used[0], __ATOMIC_RELAXED);
        __atomic_store_n(&passing, kernel, __ATOMIC_RELEASE);
        while (__atomic_load_n(&used[0], __ATOMIC_RELAXED) == before)
            sched_yield();
        /* One that is refused still uses it. */
        OK(lwproc_kernel_use(kernel));
        while ((error = lwproc_kernel_destroy(kernel, &left)) != 0) {
            IS(error, EBUSY);
            CHECK(lwproc_kernel_current() == kernel);
            /* They use it nearly always: no others, from now on. */
            if (++tries == 1000)
                __atomic_store_n(&passing, NULL, __ATOMIC_RELEASE);
            if (tries > 1000)
                sched_yield();
        }
        busy += tries > 0;
        IS(left.lwps, 0);
        CHECK(lwproc_kernel_current() == NULL);
        IS(lwproc_kernel_use(kernel), EINVAL);
    }
    __atomic_store_n(&all_passed, 1, __ATOMIC_RELEASE);
    for (i = 0; i < 2; i++)
        OK(pthread_join(threads[i], NULL));
    CHECK(used[0] > 0);
    printf("a kernel was in use at %ld of %d ends\n", busy, rounds);
}

int main(int argc, char **argv)
{
    static void (*const tests[])(void) = {
        files, groups_and_waiting, signals, hooks_and_data, in_kernel,
    };
    struct lwp *parent;
    size_t i;

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        struct lwproc_config config = { 0 };
        struct lwproc_kernel *kernel;
        struct lwproc_leftover left;

        config.flags = LWPROC_WAIT;
        config.sigmodel = LWPROC_SIGMODEL_RECORD;
        OK(lwproc_kernel_create(&config, &kernel));
        OK(lwproc_kernel_use(kernel));
        tests[i]();
        is_implicit();
        OK(lwproc_kernel_destroy(kernel, &left));
        IS(left.lwps, 0);
    }
    instances();
    ends_of_kernels(argc > 1 ? atoi(argv[1]) : 30);

    OK(rump_init());
    IS(lwproc_try_sysent_usenative(), EPERM);
    rump_i_know_what_i_am_doing_with_sysents = 1;
    OK(lwproc_try_sysent_usenative());
    rump_pub_lwproc_sysent_usenative();
    OK(rump_pub_lwproc_rfork(0));
    rump_pub_allbetsareoff_setid(77, 78);
    IS(lwproc_getpid(), 77);
    IS(lwproc_getlid(), 78);
    parent = rump_pub_lwproc_curlwp();
    OK(rump_pub_lwproc_rfork(0));
    IS(lwproc_getppid(), 77);
    rump_pub_lwproc_releaselwp();
    rump_pub_lwproc_switch(parent);
    rump_pub_lwproc_releaselwp();
    is_empty();
    return 0;
}
