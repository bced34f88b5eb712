/* What may be called in a callback. */
#include "check.h"
#include <pthread.h>
#include <unistd.h>

static struct lwproc_kernel *kernel;

/* Whatever the callback: what enters or changes kernels is refused. */
static void enters_nothing(void)
{
    struct lwproc_kernel *other;
    struct lwp *l;
    int fd;

    IS(rump_pub_lwproc_rfork(0), EDEADLK);
    IS(lwproc_try_schedule(), EDEADLK);
    IS(lwproc_try_unschedule(), EDEADLK);
    IS(lwproc_try_curlwp(&l), EDEADLK);
    IS(lwproc_try_releaselwp(), EDEADLK);
    IS(lwproc_open(NULL, NULL, 0, &fd), EDEADLK);
    IS(lwproc_kill(1, 0), EDEADLK);
    IS(lwproc_kernel_use(NULL), EDEADLK);
    IS(lwproc_kernel_create(NULL, &other), EDEADLK);
    IS(lwproc_kernel_destroy(kernel, NULL), EDEADLK);
    IS(rump_init(), EDEADLK);
}

static int raises;

/* And what is marked is done, in a callback of the thread's kernel. */
static void looks(void)
{
    struct lwproc_counts counts;
    struct lwproc_user_counts users;
    struct lwproc_channel *channel;
    struct lwproc_handle *handle;
    unsigned int number, flags;
    struct proc *init;
    size_t count;
    int ended;

    enters_nothing();
    CHECK(lwproc_kernel_current() == kernel);
    OK(lwproc_count(&counts));
    CHECK(counts.procs >= 2 && counts.lwps >= 2);
    OK(lwproc_count_user(0, &users));
    init = lwproc_proc_find(1);
    CHECK(init != NULL);
    CHECK(lwp_find(init, INT_MAX) == NULL);
    CHECK(lwproc_proc_find(INT_MAX) == NULL);
    (void)rump_lwproc_curlwp_hypercall();
    OK(lwproc_emul_default(&number));
    OK(lwproc_emul_setdefault(number));
    OK(lwproc_limits_policy(&flags));
    OK(lwproc_limits_setpolicy(flags));
    OK(lwproc_set_max_procs(UINT64_MAX));
    OK(lwproc_set_max_lwps(UINT64_MAX));
    OK(lwproc_set_max_lwps_per_proc(UINT64_MAX));
    IS(lwproc_set_id_capacity(5), EOPNOTSUPP);
    IS(lwproc_set_last_number(5), EOPNOTSUPP);
    IS(lwproc_try_unsleep(NULL, NULL), EINVAL);
    IS(lwproc_exithook_disestablish(UINT64_MAX), ENOENT);
    /* In the last test it is a hypercall, which looks in its turn. */
    if (!raises)
        OK(lwproc_psignal(init, 20));
    OK(lwproc_list_procs(NULL, 0, &count));
    CHECK(count >= 2);
    OK(lwproc_list_lwps(init, NULL, 0, &count));
    IS(count, 1);
    OK(lwproc_count_lwps(init, &count));
    IS(count, 1);
    OK(lwproc_tick());
    OK(lwproc_handle_open(1, &handle));
    IS(lwproc_handle_pid(handle), 1);
    OK(lwproc_handle_status(handle, &ended, NULL));
    IS(ended, 0);
    IS(lwproc_handle_signal(handle, 0), EDEADLK);
    IS(lwproc_handle_exited(handle, NULL, NULL), EDEADLK);
    lwproc_handle_close(handle);
    OK(lwproc_channel_create(&channel));
    OK(lwproc_wakeup(channel));
    OK(lwproc_wakeup_one(channel));
    OK(lwproc_channel_destroy(channel));
}

/* A pipe: two ends, and a channel that goes with the last. Who wakes it is done with it when
 * the mutex is free. */
struct pipe {
    pthread_mutex_t mutex;
    struct lwproc_channel *channel;
    int ends, gone;
};

static void pipe_close(void *data)
{
    struct pipe *p = (struct pipe *)data;
    int left;

    OK(pthread_mutex_lock(&p->mutex));
    left = __atomic_sub_fetch(&p->ends, 1, __ATOMIC_ACQ_REL);
    /* The other end reads the end of the file. */
    OK(lwproc_wakeup(p->channel));
    OK(pthread_mutex_unlock(&p->mutex));
    if (left > 0)
        return;
    OK(lwproc_channel_destroy(p->channel));
    p->channel = NULL;
    p->gone++;
}

static int is_at_end(void *arg)
{
    struct pipe *p = (struct pipe *)arg;

    looks();
    return __atomic_load_n(&p->ends, __ATOMIC_ACQUIRE) < 2;
}

struct reader {
    struct pipe *p;
    pid_t pid;
    int fd;
};

static void *reads(void *arg)
{
    struct reader *r = (struct reader *)arg;

    OK(lwproc_kernel_use(kernel));
    OK(rump_pub_lwproc_newlwp(r->pid));
    OK(lwproc_sleep(r->p->channel, is_at_end, r->p));
    OK(lwproc_close(r->fd));
    rump_pub_lwproc_releaselwp();
    return NULL;
}

static void pipes(void)
{
    struct pipe p;
    struct reader r;
    pthread_t thread;
    int writes, i;

    memset(&p, 0, sizeof(p));
    OK(pthread_mutex_init(&p.mutex, NULL));
    for (i = 0; i < 50; i++) {
        OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
        OK(lwproc_channel_create(&p.channel));
        p.ends = 2;
        OK(lwproc_open(&p, pipe_close, 0, &r.fd));
        OK(lwproc_open(&p, pipe_close, 0, &writes));
        r.p = &p;
        r.pid = lwproc_getpid();
        OK(pthread_create(&thread, NULL, reads, &r));
        if (i % 2 == 0)
            usleep(500);
        OK(lwproc_close(writes));
        OK(pthread_join(thread, NULL));
        IS(p.gone, i + 1);
        rump_pub_lwproc_releaselwp();
    }
    /* By the end of the process, and while the kernel is not entered. */
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    OK(lwproc_channel_create(&p.channel));
    p.ends = 1;
    OK(lwproc_open(&p, pipe_close, 0, &writes));
    rump_pub_lwproc_releaselwp();
    IS(p.gone, i + 1);
}

/* A file that holds a reference to another. */
static int inner_closed;

static void inner_close(void *data)
{
    looks();
    ++*(int *)data;
}

static void outer_close(void *data)
{
    looks();
    CHECK(lwproc_file_data((struct lwproc_file *)data) == &inner_closed);
    lwproc_file_put((struct lwproc_file *)data);
}

static void files(void)
{
    struct lwproc_file *file;
    int inner, outer;

    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    OK(lwproc_open(&inner_closed, inner_close, 0, &inner));
    OK(lwproc_get(inner, &file));
    OK(lwproc_open(file, outer_close, 0, &outer));
    OK(lwproc_close(inner));
    IS(inner_closed, 0);
    OK(lwproc_close(outer));
    IS(inner_closed, 1);
    rump_pub_lwproc_releaselwp();
}

/* Hooks that take themselves away, establish another, and tell the parent. */
static uint64_t once;
static int ended, ended_later;

static void later(void *arg, const struct lwproc_ending *ending)
{
    (void)ending;
    looks();
    ++*(int *)arg;
}

static void at_end(void *arg, const struct lwproc_ending *ending)
{
    uint64_t id;

    looks();
    CHECK(lwproc_proc_find(ending->pid) != NULL);
    OK(lwproc_psignal(lwproc_proc_find(ending->ppid), 20));
    IS(lwproc_psignal(lwproc_proc_find(ending->ppid), 0), EINVAL);
    IS(lwproc_psignal(NULL, 20), EINVAL);
    OK(lwproc_exithook_disestablish(once));
    OK(lwproc_exithook_establish(later, &ended_later, &id));
    ++*(int *)arg;
}

static void hooks(void)
{
    struct lwp *parent;
    int signo;

    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    parent = rump_pub_lwproc_curlwp();
    OK(lwproc_exithook_establish(at_end, &ended, &once));
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    rump_pub_lwproc_releaselwp();
    IS(ended, 1);
    IS(ended_later, 0);
    rump_pub_lwproc_switch(parent);
    OK(lwproc_sigtake(&signo));
    IS(signo, 20);
    rump_pub_lwproc_releaselwp();
    IS(ended, 1);
    IS(ended_later, 1);
}

/* A sink that takes itself away. */
static int traced, sink_gone;

static void sink_goes(void *arg)
{
    looks();
    IS(*(int *)arg, 1);
    sink_gone++;
}

static void sink(void *arg, const struct lwproc_trace_event *event)
{
    looks();
    CHECK(event->pid >= 0);
    OK(lwproc_kernel_settrace(NULL, NULL, NULL));
    IS(sink_gone, 0);
    ++*(int *)arg;
}

static void sinks(void)
{
    OK(lwproc_kernel_settrace(sink, &traced, sink_goes));
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    rump_pub_lwproc_releaselwp();
    IS(traced, 1);
    IS(sink_gone, 1);
}

/* Data, and what is made anew in a destructor. */
static unsigned int made_key, made_emul;

static void data_goes(void *data)
{
    looks();
    OK(lwproc_proc_key_create(NULL, &made_key));
    OK(lwproc_emul_add(NULL, NULL, &made_emul));
    ++*(int *)data;
}

static void data(void)
{
    unsigned int key;
    int gone = 0;

    OK(lwproc_lwp_key_create(data_goes, &key));
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    OK(lwproc_setspecific(key, &gone));
    rump_pub_lwproc_releaselwp();
    IS(gone, 1);
    CHECK(made_key != key);
    OK(lwproc_setspecific(made_key, NULL));
    OK(lwproc_emul_setdefault(made_emul));
    OK(lwproc_emul_setdefault(0));
}

/* Sleeping in the program's way. */
static struct lwproc_channel *asleep;
static int woken, told;

static int is_woken(void *arg)
{
    (void)arg;
    return __atomic_load_n(&woken, __ATOMIC_ACQUIRE);
}

static void own_sleep(void *arg)
{
    (void)arg;
    looks();
    while (!__atomic_load_n(&woken, __ATOMIC_ACQUIRE))
        usleep(100);
}

static void own_unsleep(void *arg, int lid)
{
    CHECK(arg == &woken && lid > 0);
    looks();
    __atomic_store_n(&woken, 1, __ATOMIC_RELEASE);
    OK(lwproc_wakeup(asleep));
}

static struct lwp *sleeper;

static void *sleeps(void *arg)
{
    OK(lwproc_kernel_use(kernel));
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    __atomic_store_n(&sleeper, rump_pub_lwproc_curlwp(), __ATOMIC_RELEASE);
    OK(lwproc_sleep_with(own_sleep, own_unsleep, NULL, arg));
    /* It is unslept once more, and must be there. */
    while (!__atomic_load_n(&told, __ATOMIC_ACQUIRE))
        usleep(100);
    rump_pub_lwproc_releaselwp();
    return NULL;
}

/* The close callback ends the sleep. */
static void unsleeps(void *data)
{
    struct lwp *l;
    int slept;

    looks();
    while ((l = __atomic_load_n((struct lwp **)data, __ATOMIC_ACQUIRE)) == NULL)
        usleep(100);
    do
        OK(lwproc_try_unsleep(l, &slept));
    while (slept == 0);
    lwp_unsleep(l, 0);
    __atomic_store_n(&told, 1, __ATOMIC_RELEASE);
}

static void sleeping(void)
{
    pthread_t thread;
    int fd;

    OK(lwproc_channel_create(&asleep));
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    OK(lwproc_open(&sleeper, unsleeps, 0, &fd));
    OK(pthread_create(&thread, NULL, sleeps, &woken));
    OK(lwproc_close(fd));
    OK(lwproc_sleep(asleep, is_woken, NULL));
    OK(pthread_join(thread, NULL));
    rump_pub_lwproc_releaselwp();
    OK(lwproc_channel_destroy(asleep));
}

/* Hypercalls; at a thread's end they may look in vain, and do not abort. */
static int ops, in_vain, ending_thread, destroying;

static void lwp_op(void *arg, enum lwproc_lwp_op op, struct lwp *l)
{
    struct lwproc_counts counts;
    int looked;

    CHECK(arg == &ops && l != NULL);
    ops++;
    if (op == LWPROC_LWP_CREATE && kernel == NULL)
        return;
    if (!__atomic_load_n(&ending_thread, __ATOMIC_ACQUIRE) && !destroying) {
        looks();
        return;
    }
    enters_nothing();
    looked = lwproc_count(&counts);
    CHECK(looked == 0 || looked == EDEADLK || (destroying && looked == EINVAL));
    in_vain += looked != 0;
    if (!destroying) {
        CHECK((lwproc_proc_find(1) == NULL) == (looked != 0));
        CHECK((lwproc_kernel_current() == NULL) == (looked != 0));
    }
}

static void raise_(void *arg, pid_t pid, int signo)
{
    CHECK(arg == &ops && pid > 1 && signo == 20);
    looks();
}

static void intern(void *arg, void *emul, pid_t pid)
{
    CHECK(arg == &ops && emul == NULL && pid > 1);
    looks();
}

static void vmspace_free(void *arg, struct vmspace *vm)
{
    CHECK(arg == &ops && vm == (void *)&ops);
    looks();
}

static void *vfs_init(void *arg, void *parent)
{
    (void)parent;
    looks();
    return arg;
}

static void vfs_release(void *arg, void *vfs)
{
    CHECK(arg == vfs);
    looks();
}

static void *ends_bound(void *arg)
{
    OK(lwproc_kernel_use((struct lwproc_kernel *)arg));
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    __atomic_store_n(&ending_thread, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void hypercalls(void)
{
    pthread_t thread;

    rump_schedule();
    OK(rump_lwproc_rfork_vmspace((struct vmspace *)(void *)&ops, RUMP_RFCFDG));
    OK(lwproc_kill(lwproc_getpid(), 20));
    rump_lwproc_releaselwp();
    rump_unschedule();
    OK(pthread_create(&thread, NULL, ends_bound, kernel));
    OK(pthread_join(thread, NULL));
    ending_thread = 0;
    CHECK(ops > 6);
}

static void in_a_kernel(const struct lwproc_config *config, void (*test)(void))
{
    struct lwproc_leftover left;
    struct lwproc_kernel *old;

    kernel = NULL;
    OK(lwproc_kernel_create(config, &kernel));
    OK(lwproc_kernel_use(kernel));
    test();
    is_implicit();
    old = kernel;
    destroying = 1;
    OK(lwproc_kernel_destroy(old, &left));
    destroying = 0;
    IS(left.lwps, 0);
}

int main(void)
{
    static void (*const tests[])(void) = { pipes, files, hooks, sinks, data, sleeping };
    struct lwproc_hypercalls calls = { 0 };
    struct lwproc_config config = { 0 };
    size_t i;

    config.sigmodel = LWPROC_SIGMODEL_RECORD;
    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        in_a_kernel(&config, tests[i]);
    calls.lwp_op = lwp_op;
    calls.raise = raise_;
    calls.syscall_intern = intern;
    calls.vmspace_free = vmspace_free;
    calls.vfs_init = vfs_init;
    calls.vfs_release = vfs_release;
    config.hypercalls = &calls;
    config.arg = &ops;
    config.sigmodel = LWPROC_SIGMODEL_RAISE;
    raises = 1;
    in_a_kernel(&config, hypercalls);
    return 0;
}
