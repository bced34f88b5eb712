/* Sleeping, what wakes and what interrupts; the big lock. */
#include "check.h"
#include <pthread.h>
#include <unistd.h>

static struct lwproc_kernel *kernel;
static struct lwproc_channel *channel;

/* What a sleeper waits for, and what it found. */
struct sleeper {
    pid_t pid;
    int ready, calls, result;
    struct lwp *l;
    void (*before)(void);
    pthread_t thread;
};

static int is_ready(void *arg)
{
    struct sleeper *s = (struct sleeper *)arg;

    __atomic_fetch_add(&s->calls, 1, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&s->ready, __ATOMIC_ACQUIRE);
}

/* Sleeps as a new LWP of the process; of none when that is 1. */
static void *sleeps(void *arg)
{
    struct sleeper *s = (struct sleeper *)arg;

    OK(lwproc_kernel_use(kernel));
    if (s->pid != 1) {
        OK(rump_pub_lwproc_newlwp(s->pid));
        __atomic_store_n(&s->l, rump_pub_lwproc_curlwp(), __ATOMIC_RELEASE);
    }
    if (s->before != NULL)
        s->before();
    s->result = lwproc_sleep(channel, is_ready, s);
    if (s->pid != 1)
        rump_pub_lwproc_releaselwp();
    return NULL;
}

static void start(struct sleeper *s, pid_t pid, void (*before)(void))
{
    memset(s, 0, sizeof(*s));
    s->pid = pid;
    s->before = before;
    OK(pthread_create(&s->thread, NULL, sleeps, s));
    /* Once before it is in the queue, and once in it. */
    while (__atomic_load_n(&s->calls, __ATOMIC_SEQ_CST) < 2)
        usleep(100);
}

static void ends(struct sleeper *s, int result)
{
    OK(pthread_join(s->thread, NULL));
    IS(s->result, result);
}

static void wake(struct sleeper *s)
{
    __atomic_store_n(&s->ready, 1, __ATOMIC_RELEASE);
    OK(lwproc_wakeup(channel));
    ends(s, 0);
}

static void waking(void)
{
    struct sleeper s, other;

    /* At once. */
    memset(&s, 0, sizeof(s));
    s.ready = 1;
    OK(lwproc_sleep(channel, is_ready, &s));
    IS(s.calls, 1);
    IS(lwproc_sleep(NULL, is_ready, &s), EINVAL);
    IS(lwproc_sleep(channel, NULL, &s), EINVAL);
    IS(lwproc_wakeup(NULL), EINVAL);
    IS(lwproc_wakeup_one(NULL), EINVAL);
    IS(lwproc_channel_create(NULL), EINVAL);
    OK(lwproc_channel_destroy(NULL));

    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    start(&s, lwproc_getpid(), NULL);
    IS(lwproc_channel_destroy(channel), EBUSY);
    /* For nothing. */
    OK(lwproc_wakeup(channel));
    wake(&s);
    /* An implicit thread. */
    start(&s, 1, NULL);
    wake(&s);
    /* One of two, and then the other. */
    start(&s, lwproc_getpid(), NULL);
    start(&other, lwproc_getpid(), NULL);
    __atomic_store_n(&s.ready, 1, __ATOMIC_RELEASE);
    __atomic_store_n(&other.ready, 1, __ATOMIC_RELEASE);
    OK(lwproc_wakeup_one(channel));
    OK(lwproc_wakeup_one(channel));
    ends(&s, 0);
    ends(&other, 0);
    rump_pub_lwproc_releaselwp();
}

static void blocks_sixteen(void) { OK(lwproc_sigmask(1u << 15, NULL)); }

static void interrupting(void)
{
    struct sleeper s;
    pid_t pid;
    int slept, must;

    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    pid = lwproc_getpid();
    /* A signal, for the process or the LWP; not one that is blocked. */
    start(&s, pid, blocks_sixteen);
    OK(lwproc_kill(pid, 15));
    ends(&s, EINTR);
    start(&s, 1, NULL);
    OK(lwproc_sigtake(&slept));
    IS(slept, 15);
    wake(&s);
    start(&s, pid, blocks_sixteen);
    OK(lwproc_kill(pid, 16));
    usleep(2000);
    wake(&s);
    /* Pending already: it does not begin to sleep. */
    memset(&s, 0, sizeof(s));
    IS(lwproc_sleep(channel, is_ready, &s), EINTR);
    IS(s.calls, 1);
    OK(lwproc_sigtake(&slept));
    IS(slept, 16);

    /* Unslept. */
    start(&s, pid, NULL);
    do
        OK(lwproc_try_unsleep(s.l, &slept));
    while (slept == 0);
    ends(&s, EINTR);
    IS(lwproc_try_unsleep(s.l, &slept), ESRCH);
    IS(lwproc_try_unsleep(NULL, &slept), EINVAL);
    IS(lwproc_try_unsleep((struct lwp *)(void *)&s, NULL), EINVAL);
    OK(lwproc_try_unsleep(rump_pub_lwproc_curlwp(), &slept));
    IS(slept, 0);
    start(&s, pid, NULL);
    lwp_unsleep(s.l, 0);
    usleep(2000);
    lwp_unsleep(rump_pub_lwproc_curlwp(), 1);
    while (lwproc_try_unsleep(s.l, NULL) == 0)
        usleep(100);
    ends(&s, EINTR);

    /* A drain. */
    start(&s, pid, NULL);
    OK(lwproc_drain());
    ends(&s, EINTR);
    OK(lwproc_must_exit(&must));
    IS(must, 0);
    OK(lwproc_wait_alone());
    rump_pub_lwproc_releaselwp();
}

/* A parent that waits in a thread: what it got. */
static pid_t waiting_pid, got;
static int waited, began;

static void *waits(void *arg)
{
    OK(lwproc_kernel_use(kernel));
    OK(rump_pub_lwproc_newlwp(waiting_pid));
    *(struct lwp **)arg = rump_pub_lwproc_curlwp();
    __atomic_store_n(&began, 1, __ATOMIC_RELEASE);
    waited = lwproc_wait(-1, 0, &got, NULL);
    rump_pub_lwproc_releaselwp();
    return NULL;
}

static void *waits_alone(void *arg)
{
    OK(lwproc_kernel_use(kernel));
    OK(rump_pub_lwproc_newlwp(waiting_pid));
    OK(lwproc_drain());
    __atomic_store_n(&began, 1, __ATOMIC_RELEASE);
    __atomic_store_n((int *)arg, lwproc_wait_alone(), __ATOMIC_RELEASE);
    rump_pub_lwproc_releaselwp();
    return NULL;
}

static void until_it_began(void)
{
    while (!__atomic_exchange_n(&began, 0, __ATOMIC_ACQ_REL))
        usleep(100);
    usleep(2000);
}

static void waiting(void)
{
    struct lwp *parent, *child, *l;
    pthread_t thread;
    pid_t pid;
    int alone = -1, signo, slept;

    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    waiting_pid = lwproc_getpid();
    parent = rump_pub_lwproc_curlwp();
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    pid = lwproc_getpid();
    child = rump_pub_lwproc_curlwp();

    OK(pthread_create(&thread, NULL, waits, &l));
    until_it_began();
    OK(lwproc_kill(waiting_pid, 15));
    OK(pthread_join(thread, NULL));
    IS(waited, EINTR);
    rump_pub_lwproc_switch(parent);
    OK(lwproc_sigtake(&signo));
    IS(signo, 15);
    rump_pub_lwproc_switch(child);

    /* Unslept, it waits no more, although the child lives. */
    OK(pthread_create(&thread, NULL, waits, &l));
    until_it_began();
    do
        OK(lwproc_try_unsleep(l, &slept));
    while (slept == 0);
    OK(pthread_join(thread, NULL));
    IS(waited, EINTR);

    /* Until the child ends. */
    OK(pthread_create(&thread, NULL, waits, &l));
    until_it_began();
    rump_pub_lwproc_releaselwp();
    OK(pthread_join(thread, NULL));
    OK(waited);
    IS(got, pid);

    /* Until the parked one has gone. */
    OK(pthread_create(&thread, NULL, waits_alone, &alone));
    until_it_began();
    rump_pub_lwproc_switch(parent);
    OK(lwproc_must_exit(&signo));
    IS(signo, 1);
    IS(__atomic_load_n(&alone, __ATOMIC_ACQUIRE), -1);
    rump_pub_lwproc_releaselwp();
    OK(pthread_join(thread, NULL));
    IS(alone, 0);
}

static int tries(void *arg)
{
    struct lwproc_counts counts;

    IS(lwproc_sleep(channel, tries, arg), EDEADLK);
    IS(rump_pub_lwproc_rfork(0), EDEADLK);
    IS(lwproc_channel_destroy(channel), EBUSY);
    OK(lwproc_count(&counts));
    OK(lwproc_wakeup(channel));
    OK(lwproc_wakeup_one(channel));
    return 1;
}

static void calling_back(void)
{
    OK(lwproc_sleep(channel, tries, NULL));
}

/* A sleep of the embedder's. */
struct object {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int unslept, began, gone, lid;
};

static void object_sleep(void *arg)
{
    struct object *o = (struct object *)arg;

    IS(lwproc_try_releaselwp(), EDEADLK);
    OK(pthread_mutex_lock(&o->mutex));
    o->began = 1;
    OK(pthread_cond_broadcast(&o->changed));
    while (!o->unslept)
        OK(pthread_cond_wait(&o->changed, &o->mutex));
    OK(pthread_mutex_unlock(&o->mutex));
}

static void object_unsleep(void *arg, int lid)
{
    struct object *o = (struct object *)arg;

    OK(pthread_mutex_lock(&o->mutex));
    o->unslept = 1;
    o->lid = lid;
    OK(pthread_cond_broadcast(&o->changed));
    OK(pthread_mutex_unlock(&o->mutex));
}

static void object_goes(void *arg)
{
    __atomic_fetch_add(&((struct object *)arg)->gone, 1, __ATOMIC_SEQ_CST);
}

static pid_t object_pid;
static int object_lid;

static void *sleeps_with(void *arg)
{
    struct object *o = (struct object *)arg;
    int must, signo;

    OK(lwproc_kernel_use(kernel));
    OK(rump_pub_lwproc_newlwp(object_pid));
    object_lid = lwproc_getlid();
    OK(lwproc_sleep_with(object_sleep, object_unsleep, object_goes, o));
    OK(lwproc_sigtake(&signo));
    OK(lwproc_must_exit(&must));
    CHECK(signo == 15 || must);
    rump_pub_lwproc_releaselwp();
    return NULL;
}

static struct object objects[4];

static void sleeping_with(void)
{
    pthread_t thread;
    int i;

    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    object_pid = lwproc_getpid();
    IS(lwproc_sleep_with(NULL, object_unsleep, object_goes, &objects[3]), EINVAL);
    IS(lwproc_sleep_with(object_sleep, NULL, object_goes, &objects[3]), EINVAL);
    for (i = 0; i < 4; i++) {
        OK(pthread_mutex_init(&objects[i].mutex, NULL));
        OK(pthread_cond_init(&objects[i].changed, NULL));
    }
    for (i = 0; i < 2; i++) {
        struct object *o = &objects[i];

        OK(pthread_create(&thread, NULL, sleeps_with, o));
        OK(pthread_mutex_lock(&o->mutex));
        while (!o->began)
            OK(pthread_cond_wait(&o->changed, &o->mutex));
        OK(pthread_mutex_unlock(&o->mutex));
        if (i == 0)
            OK(lwproc_kill(object_pid, 15));
        else
            OK(lwproc_drain());
        OK(pthread_join(thread, NULL));
        IS(o->lid, object_lid);
    }
    OK(lwproc_reopen());
    OK(lwproc_kill(object_pid, 15));
    IS(lwproc_sleep_with(object_sleep, object_unsleep, object_goes, &objects[2]), EINTR);
    IS(objects[2].began, 0);
    rump_pub_lwproc_releaselwp();
}

static void objects_are_gone(void)
{
    IS(objects[0].gone, 1);
    IS(objects[1].gone, 1);
    IS(objects[2].gone, 1);
    IS(objects[3].gone, 0);
}

/* Not atomic: the lock is what keeps the sum right. */
static volatile long sum;
enum { ROUNDS = 2000 };

static void *adds(void *arg)
{
    int i;

    (void)arg;
    OK(lwproc_kernel_use(kernel));
    for (i = 0; i < ROUNDS; i++) {
        rump_schedule();
        OK(lwproc_biglock());
        sum++;
        OK(lwproc_bigunlock());
        rump_unschedule();
    }
    return NULL;
}

static unsigned int depth(void)
{
    unsigned int taken = UINT_MAX;

    OK(lwproc_biglock_depth(&taken));
    return taken;
}

static void *takes(void *arg)
{
    OK(lwproc_kernel_use(kernel));
    rump_schedule();
    OK(lwproc_biglock());
    __atomic_store_n((int *)arg, 1, __ATOMIC_RELEASE);
    OK(lwproc_wakeup(channel));
    rump_unschedule();
    return NULL;
}

static void big_lock(void)
{
    struct sleeper s;
    struct lwp *first, *second;
    pthread_t thread, other;
    unsigned int taken;

    IS(lwproc_biglock(), EINVAL);
    IS(lwproc_bigunlock(), EINVAL);
    IS(lwproc_biglock_depth(&taken), EINVAL);
    OK(pthread_create(&thread, NULL, adds, NULL));
    OK(pthread_create(&other, NULL, adds, NULL));
    OK(pthread_join(thread, NULL));
    OK(pthread_join(other, NULL));
    IS(sum, 2 * ROUNDS);

    rump_schedule();
    IS(lwproc_biglock_depth(NULL), EINVAL);
    IS(lwproc_bigunlock(), EPERM);
    OK(rump_lwproc_rfork(RUMP_RFCFDG));
    first = rump_lwproc_curlwp();
    OK(lwproc_biglock());
    OK(lwproc_biglock());
    IS(depth(), 2);
    /* The depth is the LWP's. */
    OK(rump_lwproc_newlwp(lwproc_getpid()));
    second = rump_lwproc_curlwp();
    IS(depth(), 0);
    rump_lwproc_switch(first);
    IS(depth(), 2);
    /* Somebody else has it while this one sleeps. */
    memset(&s, 0, sizeof(s));
    OK(pthread_create(&thread, NULL, takes, &s.ready));
    OK(lwproc_sleep(channel, is_ready, &s));
    IS(depth(), 2);
    OK(pthread_join(thread, NULL));
    OK(lwproc_bigunlock());
    OK(lwproc_bigunlock());
    IS(lwproc_bigunlock(), EPERM);
    OK(lwproc_biglock());
    rump_unschedule();
    /* Leaving gives it up. */
    rump_schedule();
    IS(depth(), 0);
    rump_lwproc_releaselwp();
    rump_lwproc_switch(second);
    rump_lwproc_releaselwp();
    rump_unschedule();
}

int main(void)
{
    static void (*const tests[])(void) = {
        waking, interrupting, waiting, calling_back, sleeping_with, big_lock,
    };
    size_t cpus, i;

    /* With one virtual CPU whoever sleeps has to give it up. */
    for (cpus = 0; cpus < 2; cpus++) {
        sum = 0;
        memset(objects, 0, sizeof(objects));
        for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
            struct lwproc_config config = { 0 };
            struct lwproc_leftover left;

            config.sigmodel = LWPROC_SIGMODEL_RECORD;
            config.flags = LWPROC_WAIT;
            config.virtual_cpus = cpus;
            OK(lwproc_kernel_create(&config, &kernel));
            OK(lwproc_channel_create(&channel));
            OK(lwproc_kernel_use(kernel));
            tests[i]();
            is_implicit();
            /* Process 1 has the last ones. */
            while (lwproc_wait(-1, LWPROC_WNOHANG, &got, NULL) == 0 && got != 0)
                continue;
            is_empty();
            OK(lwproc_kernel_destroy(kernel, &left));
            OK(lwproc_channel_destroy(channel));
            IS(left.lwps, 0);
        }
        objects_are_gone();
    }
    return 0;
}
