/* The host process forks while other threads make, use and destroy: the child can do all of
 * it, too. What hangs is ended by an alarm. */
#include "check.h"
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FORKS = 400, IN_TIME = 10 };

static void ends_well(pid_t child)
{
    int status;

    CHECK(child > 0);
    CHECK(waitpid(child, &status, 0) == child);
    IS(status, 0);
}

/* All that takes a kernel from its making to its end. */
static void lives(void)
{
    struct lwproc_kernel *kernel;
    struct lwproc_leftover left;
    unsigned int number;

    OK(lwproc_kernel_create(NULL, &kernel));
    OK(lwproc_kernel_use(kernel));
    OK(lwproc_proc_key_create(NULL, &number));
    OK(lwproc_emul_add(NULL, NULL, &number));
    OK(lwproc_emul_setdefault(number));
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    rump_pub_lwproc_releaselwp();
    OK(lwproc_kernel_destroy(kernel, &left));
    IS(left.lwps, 0);
}

static int stop;
static struct lwproc_kernel *shared;

static void *live(void *arg)
{
    (void)arg;
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE))
        lives();
    return NULL;
}

static void at_end(void *arg, const struct lwproc_ending *ending)
{
    (void)arg;
    (void)ending;
}

static void establishes(void)
{
    uint64_t id;

    OK(lwproc_exithook_establish(at_end, NULL, &id));
    OK(lwproc_exithook_disestablish(id));
    IS(lwproc_exithook_disestablish(id), ENOENT);
}

static void *establish(void *arg)
{
    (void)arg;
    OK(lwproc_kernel_use(shared));
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE))
        establishes();
    return NULL;
}

static void any_moment(void *(*beside)(void *), void (*in_child)(void))
{
    pthread_t thread;
    int i;

    stop = 0;
    OK(pthread_create(&thread, NULL, beside, NULL));
    for (i = 0; i < FORKS; i++) {
        pid_t child = fork();

        if (child == 0) {
            alarm(IN_TIME);
            in_child();
            _exit(0);
        }
        ends_well(child);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    OK(pthread_join(thread, NULL));
}

/* Hypercalls of a kernel that is made: the first one does something. */
static pid_t forked;
static int made[4], waits, inside, may_go;

static void lwp_op(void *arg, enum lwproc_lwp_op op, struct lwp *l)
{
    (void)arg;
    CHECK(l != NULL);
    if (made[op]++ > 0 || op != LWPROC_LWP_CREATE)
        return;
    if (waits) {
        __atomic_store_n(&inside, 1, __ATOMIC_RELEASE);
        while (!__atomic_load_n(&may_go, __ATOMIC_ACQUIRE))
            usleep(100);
    } else {
        forked = fork();
        if (forked == 0)
            alarm(IN_TIME);
    }
}

static int init(void)
{
    struct lwproc_hypercalls calls = { 0 };
    struct lwproc_config config = { 0 };

    calls.lwp_op = lwp_op;
    config.hypercalls = &calls;
    return lwproc_init(&config);
}

static void uses_default(void)
{
    OK(rump_init());
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    rump_pub_lwproc_releaselwp();
    is_empty();
    lives();
}

/* Both processes go on with what was begun. */
static void forks_in_a_callback(void)
{
    OK(init());
    uses_default();
    IS(made[LWPROC_LWP_DESTROY], 1);
    if (forked == 0)
        _exit(0);
    ends_well(forked);
}

static void *makes_the_default(void *kernel)
{
    OK(init());
    *(struct lwproc_kernel **)kernel = lwproc_kernel_current();
    return NULL;
}

/* Of two that are made at once one stays; nobody waits, not even in a child without the
 * thread that was first. */
static void one_default(void)
{
    struct lwproc_kernel *theirs;
    pthread_t thread;
    pid_t child;

    waits = 1;
    OK(pthread_create(&thread, NULL, makes_the_default, &theirs));
    while (!__atomic_load_n(&inside, __ATOMIC_ACQUIRE))
        usleep(100);
    child = fork();
    if (child == 0) {
        alarm(IN_TIME);
        uses_default();
        _exit(0);
    }
    ends_well(child);
    alarm(IN_TIME);
    uses_default();
    __atomic_store_n(&may_go, 1, __ATOMIC_RELEASE);
    OK(pthread_join(thread, NULL));
    CHECK(theirs == lwproc_kernel_current());
    /* proc0's and init's came and went. */
    IS(made[LWPROC_LWP_CREATE], 2);
    IS(made[LWPROC_LWP_DESTROY], 2);
}

/* In a process that has no kernel yet. */
static void apart(void (*test)(void))
{
    pid_t child = fork();

    if (child == 0) {
        test();
        _exit(0);
    }
    ends_well(child);
}

int main(void)
{
    apart(forks_in_a_callback);
    apart(one_default);
    any_moment(live, lives);
    OK(lwproc_kernel_create(NULL, &shared));
    OK(lwproc_kernel_use(shared));
    any_moment(establish, establishes);
    OK(lwproc_kernel_destroy(shared, NULL));
    return 0;
}
