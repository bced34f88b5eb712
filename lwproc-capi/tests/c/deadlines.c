/* Each call that blocks, with a deadline. */
#include "check.h"
#include <pthread.h>
#include <time.h>
#include <unistd.h>

static struct lwproc_kernel *kernel;
static struct lwproc_channel *channel;

static struct timespec from_now(long milliseconds)
{
    struct timespec t;

    OK(clock_gettime(CLOCK_MONOTONIC, &t));
    t.tv_sec += milliseconds / 1000;
    t.tv_nsec += milliseconds % 1000 * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

static int has_come(const struct timespec *t)
{
    struct timespec now;

    OK(clock_gettime(CLOCK_MONOTONIC, &now));
    return now.tv_sec > t->tv_sec || (now.tv_sec == t->tv_sec && now.tv_nsec >= t->tv_nsec);
}

static int looks, holds;

static int condition(void *arg)
{
    CHECK(arg == &looks);
    looks++;
    return __atomic_load_n(&holds, __ATOMIC_ACQUIRE);
}

/* Each call, by what the answers are numbered. A process with a child and two LWPs. */
enum { CALLS = 6 };
static struct lwproc_handle *child_handle;

static int call(int which, const struct timespec *deadline)
{
    pid_t pid;
    int status, answer;

    switch (which) {
    case 0:
        return lwproc_wait_until(-1, 0, &pid, &status, deadline);
    case 1:
        return lwproc_wait_until(-1, LWPROC_WNOWAIT, &pid, &status, deadline);
    case 2:
        return lwproc_handle_wait(child_handle, 0, &pid, &status, deadline);
    case 3:
        return lwproc_handle_exited(child_handle, &status, deadline);
    case 4:
        return lwproc_sleep_until(channel, condition, &looks, deadline);
    default:
        OK(lwproc_drain());
        answer = lwproc_wait_alone_until(deadline);
        OK(lwproc_reopen());
        return answer;
    }
}

/* The process, with its second LWP parked; the child's LWP. */
static struct lwp *first, *second, *child;

static void begin_family(void)
{
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    first = rump_pub_lwproc_curlwp();
    OK(rump_pub_lwproc_newlwp(lwproc_getpid()));
    second = rump_pub_lwproc_curlwp();
    rump_pub_lwproc_switch(first);
    OK(rump_pub_lwproc_rfork(0));
    child = rump_pub_lwproc_curlwp();
    OK(lwproc_handle_open(lwproc_getpid(), &child_handle));
    rump_pub_lwproc_switch(first);
}

static void end_family(void)
{
    rump_pub_lwproc_switch(child);
    rump_pub_lwproc_releaselwp();
    rump_pub_lwproc_switch(second);
    rump_pub_lwproc_releaselwp();
    rump_pub_lwproc_switch(first);
    rump_pub_lwproc_releaselwp();
    lwproc_handle_close(child_handle);
}

static void each_call(void)
{
    struct timespec t, no_time[] = { { 1, -1 }, { 1, 1000000000 }, { -1, LONG_MAX } };
    struct timespec past[] = { { 0, 0 }, { -1, 0 }, { -1, 999999999 } };
    struct timespec far = { LONG_MAX, 999999999 };
    size_t i;
    int which, signo;

    begin_family();
    for (which = 0; which < CALLS; which++) {
        for (i = 0; i < 3; i++) {
            IS(call(which, &no_time[i]), EINVAL);
            IS(call(which, &past[i]), ETIMEDOUT);
        }
        t = from_now(10);
        IS(call(which, &t), ETIMEDOUT);
        CHECK(has_come(&t));
        /* A signal comes before, however late it is. */
        OK(lwproc_kill(lwproc_getpid(), 15));
        IS(call(which, &far), EINTR);
        IS(call(which, &past[0]), EINTR);
        IS(call(which, NULL), EINTR);
        OK(lwproc_sigtake(&signo));
        IS(signo, 15);
    }
    /* What has come is seen, however late it is. */
    holds = 1;
    IS(call(4, &past[0]), 0);
    IS(call(4, NULL), 0);
    holds = 0;
    IS(lwproc_wait_alone_until(&past[0]), EINVAL);
    rump_pub_lwproc_switch(second);
    rump_pub_lwproc_releaselwp();
    rump_pub_lwproc_switch(first);
    IS(call(5, &past[0]), 0);
    OK(rump_pub_lwproc_newlwp(lwproc_getpid()));
    second = rump_pub_lwproc_curlwp();
    rump_pub_lwproc_switch(child);
    rump_pub_lwproc_releaselwp();
    rump_pub_lwproc_switch(first);
    IS(call(1, &past[0]), 0);
    IS(call(1, &far), 0);
    IS(call(3, &past[0]), 0);
    IS(call(0, &past[0]), 0);
    IS(call(0, &far), ECHILD);
    IS(call(2, &far), ECHILD);
    OK(rump_pub_lwproc_rfork(0));
    child = rump_pub_lwproc_curlwp();
    rump_pub_lwproc_switch(first);
    end_family();
}

/* Something comes in time. */
static void *comes(void *arg)
{
    (void)arg;
    OK(lwproc_kernel_use(kernel));
    usleep(5000);
    __atomic_store_n(&holds, 1, __ATOMIC_RELEASE);
    OK(lwproc_wakeup(channel));
    usleep(5000);
    rump_pub_lwproc_switch(child);
    rump_pub_lwproc_releaselwp();
    return NULL;
}

static void in_time(void)
{
    struct timespec t = from_now(60000);
    pthread_t thread;

    begin_family();
    holds = 0;
    OK(pthread_create(&thread, NULL, comes, NULL));
    IS(call(4, &t), 0);
    IS(call(1, &t), 0);
    IS(call(2, &t), 0);
    CHECK(!has_come(&t));
    OK(pthread_join(thread, NULL));
    OK(rump_pub_lwproc_rfork(0));
    child = rump_pub_lwproc_curlwp();
    rump_pub_lwproc_switch(first);
    end_family();
    holds = 0;
}

/* Another thread has the big lock, or the virtual CPU. */
static int state;

static void *has_it(void *biglock)
{
    OK(lwproc_kernel_use(kernel));
    rump_schedule();
    if (biglock != NULL)
        OK(lwproc_biglock());
    __atomic_store_n(&state, 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(&state, __ATOMIC_ACQUIRE) == 1)
        usleep(100);
    rump_unschedule();
    return NULL;
}

static void start(pthread_t *thread, int *biglock)
{
    state = 0;
    OK(pthread_create(thread, NULL, has_it, biglock));
    while (__atomic_load_n(&state, __ATOMIC_ACQUIRE) == 0)
        usleep(100);
}

static void stop(pthread_t thread)
{
    __atomic_store_n(&state, 2, __ATOMIC_RELEASE);
    OK(pthread_join(thread, NULL));
}

static void *lets_go(void *arg)
{
    usleep(5000);
    __atomic_store_n(&state, 2, __ATOMIC_RELEASE);
    return arg;
}

static void big_lock(void)
{
    struct timespec t, past = { 0, 0 }, no_time = { 0, -1 };
    pthread_t thread, other;
    unsigned int depth;

    IS(lwproc_biglock_until(NULL), EINVAL);
    rump_schedule();
    OK(rump_lwproc_rfork(RUMP_RFCFDG));
    IS(lwproc_biglock_until(&no_time), EINVAL);
    OK(lwproc_biglock_until(&past));
    OK(lwproc_biglock_until(NULL));
    OK(lwproc_biglock_depth(&depth));
    IS(depth, 2);
    OK(lwproc_bigunlock());
    OK(lwproc_bigunlock());
    start(&thread, &state);
    IS(lwproc_biglock_until(&past), ETIMEDOUT);
    t = from_now(10);
    IS(lwproc_biglock_until(&t), ETIMEDOUT);
    CHECK(has_come(&t));
    OK(lwproc_biglock_depth(&depth));
    IS(depth, 0);
    OK(lwproc_kill(lwproc_getpid(), 15));
    IS(lwproc_biglock_until(NULL), EINTR);
    OK(lwproc_sigtake(&state));
    t = from_now(60000);
    __atomic_store_n(&state, 1, __ATOMIC_RELEASE);
    OK(pthread_create(&other, NULL, lets_go, NULL));
    OK(lwproc_biglock_until(&t));
    CHECK(!has_come(&t));
    OK(pthread_join(other, NULL));
    stop(thread);
    rump_lwproc_releaselwp();
    rump_unschedule();
}

static void virtual_cpu(void)
{
    struct timespec t, past = { 0, 0 }, no_time = { 0, -1 };
    pthread_t thread, other;
    pid_t got;

    OK(lwproc_schedule_until(&past));
    IS(lwproc_schedule_until(NULL), EDEADLK);
    OK(lwproc_try_unschedule());
    IS(lwproc_schedule_until(&no_time), EINVAL);
    start(&thread, NULL);
    IS(lwproc_schedule_until(&past), ETIMEDOUT);
    t = from_now(10);
    IS(lwproc_schedule_until(&t), ETIMEDOUT);
    CHECK(has_come(&t));
    /* A call that would enter. */
    IS(lwproc_wait_until(-1, 0, &got, NULL, &past), ETIMEDOUT);
    IS(lwproc_sleep_until(channel, condition, &looks, &past), ETIMEDOUT);
    t = from_now(60000);
    OK(pthread_create(&other, NULL, lets_go, NULL));
    OK(lwproc_schedule_until(&t));
    rump_unschedule();
    OK(pthread_join(other, NULL));
    stop(thread);
}

/* A time of the program's own: seconds. */
static long own_time;

static void own_now(void *arg, struct timespec *now)
{
    CHECK(arg == &own_time);
    now->tv_sec = __atomic_load_n(&own_time, __ATOMIC_SEQ_CST);
    now->tv_nsec = 0;
}

static void *sleeps_until_1000(void *slept)
{
    struct timespec t = { 1000, 0 };

    OK(lwproc_kernel_use(kernel));
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    __atomic_store_n(&state, 1, __ATOMIC_RELEASE);
    *(int *)slept = lwproc_sleep_until(channel, condition, &looks, &t);
    rump_pub_lwproc_releaselwp();
    __atomic_store_n(&state, 2, __ATOMIC_RELEASE);
    return NULL;
}

static void own_clock(void)
{
    struct timespec t = { 999, 999999999 };
    pthread_t thread;
    int slept = -1;

    __atomic_store_n(&own_time, 999, __ATOMIC_SEQ_CST);
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    state = 0;
    OK(pthread_create(&thread, NULL, sleeps_until_1000, &slept));
    while (__atomic_load_n(&state, __ATOMIC_ACQUIRE) == 0)
        usleep(100);
    OK(lwproc_tick());
    usleep(20000);
    IS(__atomic_load_n(&state, __ATOMIC_ACQUIRE), 1);
    __atomic_store_n(&own_time, 1000, __ATOMIC_SEQ_CST);
    OK(lwproc_tick());
    OK(pthread_join(thread, NULL));
    IS(slept, ETIMEDOUT);
    IS(lwproc_sleep_until(channel, condition, &looks, &t), ETIMEDOUT);
    rump_pub_lwproc_releaselwp();
}

int main(void)
{
    static void (*const tests[])(void) = { each_call, in_time, big_lock, own_clock, virtual_cpu };
    size_t i;

    IS(lwproc_tick(), EINVAL);
    IS(lwproc_schedule_until(NULL), EINVAL);
    OK(lwproc_channel_create(&channel));
    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        struct lwproc_hypercalls calls = { 0 };
        struct lwproc_config config = { 0 };
        struct lwproc_leftover left;

        config.sigmodel = LWPROC_SIGMODEL_RECORD;
        config.flags = LWPROC_WAIT;
        config.virtual_cpus = tests[i] == virtual_cpu ? 1 : 0;
        config.arg = &own_time;
        config.hypercalls = &calls;
        if (tests[i] == own_clock)
            calls.now = own_now;
        OK(lwproc_kernel_create(&config, &kernel));
        OK(lwproc_kernel_use(kernel));
        tests[i]();
        is_implicit();
        OK(lwproc_kernel_destroy(kernel, &left));
        IS(left.lwps, 0);
    }
    OK(lwproc_channel_destroy(channel));
    return 0;
}
