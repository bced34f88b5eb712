/*
 * Two threads that make, switch, release and fork, among LWPs that both know: each switch
 * either succeeds, or says that the LWP runs or has gone. Nothing is left.
 *
 *   stress [ROUNDS]
 */
#include "check.h"
#include <pthread.h>

enum { KNOWN = 8 };

static struct lwp *known[KNOWN];
static struct lwproc_kernel *kernel;
static long rounds = 100000;
static long switched[2], refused[2];
static long opened[2], closed;

static void count_close(void *data)
{
    (void)data;
    __atomic_fetch_add(&closed, 1, __ATOMIC_RELAXED);
}

static unsigned next(unsigned *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 16;
}

static void *work(void *arg)
{
    int me = *(int *)arg, fd, error;
    unsigned seed = 17u + (unsigned)me;
    long i;

    OK(lwproc_kernel_use(kernel));
    for (i = 0; i < rounds; i++) {
        struct lwp *l = __atomic_load_n(&known[next(&seed) % KNOWN], __ATOMIC_RELAXED);
        switch (next(&seed) % 8) {
        case 0:
            OK(rump_pub_lwproc_rfork((int)(next(&seed) % 3)));
            error = lwproc_setuid(next(&seed) % 4);
            CHECK(error == 0 || error == EPERM);
            break;
        case 1:
            error = rump_pub_lwproc_newlwp(lwproc_getpid());
            CHECK(error == 0);
            break;
        case 2:
        case 3:
            if (rump_pub_lwproc_curlwp() != NULL)
                rump_pub_lwproc_releaselwp();
            break;
        case 4:
            if (rump_pub_lwproc_curlwp() != NULL)
                rump_pub_lwproc_switch(NULL);
            break;
        case 5:
            error = lwproc_open(&closed, count_close, 0, &fd);
            if (error == 0)
                opened[me]++;
            else
                IS(error, EMFILE);
            break;
        default:
            if (l == NULL)
                break;
            error = lwproc_try_switch(l);
            if (error == 0) {
                CHECK(rump_pub_lwproc_curlwp() == l);
                switched[me]++;
            } else {
                CHECK(error == EBUSY || error == ESRCH);
                refused[me]++;
            }
        }
        /* Both use init's descriptors when they are implicit: not left to grow. */
        if (rump_pub_lwproc_curlwp() == NULL)
            OK(lwproc_close_range(0, INT_MAX, 0));
        else
            __atomic_store_n(&known[next(&seed) % KNOWN], rump_pub_lwproc_curlwp(),
                             __ATOMIC_RELAXED);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct lwproc_leftover left;
    struct lwproc_counts counts;
    pthread_t threads[2];
    int i, who[2] = { 0, 1 };

    if (argc > 1)
        rounds = atol(argv[1]);
    OK(lwproc_kernel_create(NULL, &kernel));
    OK(lwproc_kernel_use(kernel));
    for (i = 0; i < 2; i++)
        OK(pthread_create(&threads[i], NULL, work, &who[i]));
    for (i = 0; i < 2; i++)
        OK(pthread_join(threads[i], NULL));
    OK(lwproc_count(&counts));
    OK(lwproc_kernel_destroy(kernel, &left));
    /* Both threads have ended: what is left was parked, and is gone now. */
    IS(left.lwps, counts.lwps - 2);
    IS(closed, opened[0] + opened[1]);
    CHECK(switched[0] > 0 && switched[1] > 0 && refused[0] > 0 && refused[1] > 0);
    printf("switched %ld, refused %ld, left %zu\n", switched[0] + switched[1],
           refused[0] + refused[1], left.lwps);
    return 0;
}
