/* Looking at processes from outside: lists, counts, handles, waits that reap nothing, signals
 * to one LWP. */
#include "check.h"
#include <pthread.h>
#include <time.h>
#include <unistd.h>

enum { CHILDREN = 5 };

static struct lwproc_kernel *kernel;

static int contains(const int *list, size_t count, int number)
{
    size_t i, found = 0;

    for (i = 0; i < count; i++)
        found += list[i] == number;
    CHECK(found <= 1);
    return found == 1;
}

static void listing(void)
{
    struct lwp *lwps[CHILDREN];
    int pids[CHILDREN], list[CHILDREN + 9], lids[3], i;
    struct lwproc_counts counts;
    size_t count;
    struct proc *p;

    OK(lwproc_list_procs(NULL, 0, &count));
    IS(count, 2);
    IS(lwproc_list_procs(NULL, 1, &count), EINVAL);
    IS(lwproc_list_procs(list, 1, NULL), EINVAL);
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    for (i = 0; i < CHILDREN; i++) {
        struct lwp *parent = rump_pub_lwproc_curlwp();

        OK(rump_pub_lwproc_rfork(0));
        lwps[i] = rump_pub_lwproc_curlwp();
        pids[i] = lwproc_getpid();
        rump_pub_lwproc_switch(parent);
    }
    /* A zombie is a process. */
    rump_pub_lwproc_switch(lwps[0]);
    p = lwproc_curproc();
    OK(lwproc_count_lwps(p, &count));
    IS(count, 1);
    rump_pub_lwproc_releaselwp();
    OK(lwproc_count_lwps(p, &count));
    IS(count, 0);
    OK(lwproc_list_lwps(p, lids, 3, &count));
    IS(count, 0);
    OK(lwproc_count(&counts));
    IS(counts.zombies, 1);
    OK(lwproc_list_procs(list, CHILDREN + 9, &count));
    IS(count, counts.procs + counts.zombies);
    CHECK(contains(list, count, 0) && contains(list, count, 1));
    for (i = 0; i < CHILDREN; i++)
        CHECK(contains(list, count, pids[i]));
    /* What there is no room for is counted. */
    memset(list, -1, sizeof(list));
    OK(lwproc_list_procs(list, 3, &count));
    IS(count, CHILDREN + 3);
    CHECK(list[2] != -1 && list[3] == -1);

    /* Two LWPs of one process. */
    p = lwproc_proc_find(pids[1]);
    OK(rump_pub_lwproc_newlwp(pids[1]));
    OK(lwproc_count_lwps(p, &count));
    IS(count, 2);
    OK(lwproc_list_lwps(p, lids, 3, &count));
    IS(count, 2);
    CHECK(contains(lids, count, lwproc_getlid()) && contains(lids, count, pids[1]));
    for (i = 0; i < 2; i++)
        CHECK(lwp_find(p, lids[i]) != NULL);
    OK(lwproc_list_lwps(p, NULL, 0, &count));
    IS(count, 2);
    IS(lwproc_list_lwps(p, NULL, 1, &count), EINVAL);
    IS(lwproc_list_lwps(p, lids, 3, NULL), EINVAL);
    IS(lwproc_list_lwps(NULL, lids, 3, &count), EINVAL);
    IS(lwproc_count_lwps(NULL, &count), EINVAL);
    IS(lwproc_count_lwps(p, NULL), EINVAL);
    rump_pub_lwproc_releaselwp();
    for (i = 1; i < CHILDREN; i++) {
        rump_pub_lwproc_switch(lwps[i]);
        rump_pub_lwproc_releaselwp();
    }
    IS(lwproc_count_lwps((struct proc *)(void *)lwps[1], &count), EINVAL);
}

/* Others make and end meanwhile: who is there throughout is listed once. */
static int stop;

static void *churns(void *arg)
{
    (void)arg;
    OK(lwproc_kernel_use(kernel));
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
        struct lwp *first;

        OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
        first = rump_pub_lwproc_curlwp();
        OK(rump_pub_lwproc_newlwp(lwproc_getpid()));
        rump_pub_lwproc_releaselwp();
        rump_pub_lwproc_switch(first);
        rump_pub_lwproc_releaselwp();
    }
    return NULL;
}

static void lists_while_others_run(void)
{
    static int list[1 << 16];
    pthread_t thread;
    size_t count, room = sizeof(list) / sizeof(list[0]);
    struct proc *own;
    int pid, i;

    stop = 0;
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    pid = lwproc_getpid();
    own = lwproc_curproc();
    OK(pthread_create(&thread, NULL, churns, NULL));
    for (i = 0; i < 200; i++) {
        OK(lwproc_list_procs(list, room, &count));
        CHECK(contains(list, count < room ? count : room, pid));
        OK(lwproc_list_lwps(own, list, room, &count));
        IS(count, 1);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    OK(pthread_join(thread, NULL));
    rump_pub_lwproc_releaselwp();
}

static void handles(void)
{
    struct lwproc_handle *h = NULL, *again, *own;
    struct lwproc_kernel *other;
    struct timespec past = { 0, 0 };
    struct lwp *parent, *child;
    pid_t pid, got;
    int ended, status, signo, i;

    IS(lwproc_handle_open(12345, &h), ESRCH);
    IS(lwproc_handle_open(1, NULL), EINVAL);
    CHECK(h == NULL);
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    parent = rump_pub_lwproc_curlwp();
    OK(lwproc_handle_open(lwproc_getpid(), &own));
    OK(rump_pub_lwproc_rfork(0));
    child = rump_pub_lwproc_curlwp();
    pid = lwproc_getpid();
    OK(lwproc_handle_open(pid, &h));
    IS(lwproc_handle_pid(h), pid);
    /* Its own child it is not. */
    IS(lwproc_handle_wait(h, LWPROC_WNOHANG, &got, NULL, NULL), ECHILD);
    rump_pub_lwproc_switch(parent);

    OK(lwproc_handle_signal(h, 0));
    OK(lwproc_handle_signal(h, 15));
    IS(lwproc_handle_signal(h, 1000), EINVAL);
    ended = -1;
    status = -1;
    OK(lwproc_handle_status(h, &ended, &status));
    IS(ended, 0);
    IS(status, -1);
    IS(lwproc_handle_exited(h, &status, &past), ETIMEDOUT);
    IS(lwproc_handle_wait(h, 0, &got, &status, &past), ETIMEDOUT);
    OK(lwproc_handle_wait(h, LWPROC_WNOHANG, &got, &status, NULL));
    IS(got, 0);
    IS(lwproc_handle_wait(h, LWPROC_WNOWAIT, &got, &status, NULL), EINVAL);
    IS(lwproc_handle_wait(NULL, 0, &got, &status, NULL), EINVAL);
    IS(lwproc_handle_exited(NULL, &status, NULL), EINVAL);
    IS(lwproc_handle_status(NULL, &ended, &status), EINVAL);
    IS(lwproc_handle_status(h, NULL, &status), EINVAL);
    IS(lwproc_handle_signal(NULL, 0), EINVAL);
    lwproc_handle_close(NULL);

    rump_pub_lwproc_switch(child);
    OK(lwproc_sigtake(&signo));
    IS(signo, 15);
    OK(lwproc_exit(7));
    rump_pub_lwproc_switch(parent);
    OK(lwproc_handle_exited(h, &status, NULL));
    IS(status, 7 << 8);
    OK(lwproc_handle_exited(h, NULL, &past));
    OK(lwproc_handle_status(h, &ended, &status));
    IS(ended, 1);
    IS(status, 7 << 8);
    OK(lwproc_handle_open(pid, &again));
    OK(lwproc_handle_signal(again, 15));
    OK(lwproc_handle_wait(again, 0, &got, &status, NULL));
    IS(got, pid);
    IS(status, 7 << 8);
    lwproc_handle_close(again);
    IS(lwproc_handle_wait(h, 0, &got, &status, NULL), ECHILD);
    IS(lwproc_handle_signal(h, 0), ESRCH);
    OK(lwproc_handle_status(h, &ended, NULL));
    IS(ended, 1);

    /* Whoever has its number now, it is not meant. */
    for (i = 0, got = 0; got != pid && i < 5000; i++) {
        OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
        got = lwproc_getpid();
        if (got == pid) {
            IS(lwproc_handle_signal(h, 0), ESRCH);
            OK(lwproc_handle_status(h, &ended, &status));
            IS(ended, 1);
        }
        rump_pub_lwproc_releaselwp();
        rump_pub_lwproc_switch(parent);
        OK(lwproc_wait(-1, 0, NULL, NULL));
    }
    /* Ended from outside, parked as it is. */
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    OK(lwproc_handle_open(lwproc_getpid(), &again));
    rump_pub_lwproc_switch(parent);
    OK(lwproc_handle_end(again, 9));
    IS(lwproc_handle_end(again, 8), ESRCH);
    OK(lwproc_handle_wait(again, 0, NULL, &status, NULL));
    IS(status, 9 << 8);
    lwproc_handle_close(again);
    OK(lwproc_handle_open(1, &again));
    IS(lwproc_handle_end(again, 9), EPERM);
    lwproc_handle_close(again);
    IS(lwproc_handle_end(NULL, 9), EINVAL);
    /* In another kernel, and after its own. */
    OK(lwproc_kernel_create(NULL, &other));
    OK(lwproc_kernel_use(other));
    IS(lwproc_handle_signal(own, 0), EXDEV);
    IS(lwproc_handle_wait(own, LWPROC_WNOHANG, NULL, NULL, NULL), ECHILD);
    IS(lwproc_handle_exited(own, NULL, &past), ETIMEDOUT);
    OK(lwproc_handle_exited(h, NULL, NULL));
    OK(lwproc_handle_status(own, &ended, NULL));
    IS(ended, 0);
    OK(lwproc_kernel_destroy(other, NULL));
    OK(lwproc_kernel_use(kernel));
    rump_pub_lwproc_releaselwp();
    OK(lwproc_handle_status(own, &ended, &status));
    IS(ended, 1);
    IS(status, 0);
    lwproc_handle_close(h);
    lwproc_handle_close(own);
    IS(got, pid);
}

/* A handle of a process that ends in another thread; left open until the kernel has gone. */
static struct lwproc_handle *left_open;

static void *waits(void *status)
{
    OK(lwproc_kernel_use(kernel));
    OK(lwproc_handle_exited(left_open, (int *)status, NULL));
    return NULL;
}

static void exits(void)
{
    int one = -1, two = -1;
    pthread_t first, second;

    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    OK(lwproc_handle_open(lwproc_getpid(), &left_open));
    OK(pthread_create(&first, NULL, waits, &one));
    OK(pthread_create(&second, NULL, waits, &two));
    usleep(2000);
    OK(lwproc_exit_signal(9, 1));
    OK(pthread_join(first, NULL));
    OK(pthread_join(second, NULL));
    IS(one, 9 | 0x80);
    IS(two, one);
}

static void *waits_for_any(void *parent)
{
    pid_t got = -1, same = -1;
    int status = -1, i;

    OK(lwproc_kernel_use(kernel));
    OK(rump_pub_lwproc_newlwp(*(pid_t *)parent));
    OK(lwproc_wait(-1, LWPROC_WNOWAIT, &got, &status));
    IS(status, 3 << 8);
    for (i = 0; i < 3; i++) {
        OK(lwproc_wait(got, LWPROC_WNOWAIT | (i == 0 ? LWPROC_WNOHANG : 0), &same, &status));
        IS(same, got);
        IS(status, 3 << 8);
    }
    *(pid_t *)parent = got;
    rump_pub_lwproc_releaselwp();
    return NULL;
}

static void reaps_nothing(void)
{
    struct lwproc_counts counts;
    struct lwp *parent, *child;
    pthread_t thread;
    pid_t pid, arg, got = -1;

    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    parent = rump_pub_lwproc_curlwp();
    arg = lwproc_getpid();
    IS(lwproc_wait(-1, LWPROC_WNOWAIT, NULL, NULL), ECHILD);
    IS(lwproc_wait(-1, 1 << 30, NULL, NULL), EINVAL);
    OK(rump_pub_lwproc_rfork(0));
    child = rump_pub_lwproc_curlwp();
    pid = lwproc_getpid();
    rump_pub_lwproc_switch(parent);
    OK(lwproc_wait(-1, LWPROC_WNOWAIT | LWPROC_WNOHANG, &got, NULL));
    IS(got, 0);
    OK(pthread_create(&thread, NULL, waits_for_any, &arg));
    usleep(2000);
    rump_pub_lwproc_switch(child);
    OK(lwproc_exit(3));
    rump_pub_lwproc_switch(parent);
    OK(pthread_join(thread, NULL));
    IS(arg, pid);
    OK(lwproc_count(&counts));
    IS(counts.zombies, 1);
    OK(lwproc_wait(0, 0, &got, NULL));
    IS(got, pid);
    IS(lwproc_wait(-1, LWPROC_WNOWAIT, NULL, NULL), ECHILD);
    rump_pub_lwproc_releaselwp();
}

static int looking;

static void *looks_all_the_time(void *parent)
{
    pid_t got;
    int answer;

    OK(lwproc_kernel_use(kernel));
    OK(rump_pub_lwproc_newlwp(*(pid_t *)parent));
    while (__atomic_load_n(&looking, __ATOMIC_ACQUIRE)) {
        answer = lwproc_wait(-1, LWPROC_WNOWAIT | LWPROC_WNOHANG, &got, NULL);
        CHECK(answer == 0 || answer == ECHILD);
    }
    rump_pub_lwproc_releaselwp();
    return NULL;
}

/* A look of another LWP hides no child. */
static void hides_nothing(void)
{
    struct lwp *parent;
    pthread_t thread;
    pid_t pid, arg, got;
    int i;

    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    parent = rump_pub_lwproc_curlwp();
    arg = lwproc_getpid();
    looking = 1;
    OK(pthread_create(&thread, NULL, looks_all_the_time, &arg));
    for (i = 0; i < 3000; i++) {
        OK(rump_pub_lwproc_rfork(0));
        pid = lwproc_getpid();
        OK(lwproc_exit(3));
        rump_pub_lwproc_switch(parent);
        OK(lwproc_wait(i % 2 == 0 ? pid : -1, LWPROC_WNOHANG, &got, NULL));
        IS(got, pid);
    }
    __atomic_store_n(&looking, 0, __ATOMIC_RELEASE);
    OK(pthread_join(thread, NULL));
    rump_pub_lwproc_releaselwp();
}

/* A signal for one LWP of a process. */
static void to_one_lwp(void)
{
    struct lwp *first, *second;
    uint64_t set;
    pid_t pid;
    int lid, other, signo;

    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    pid = lwproc_getpid();
    first = rump_pub_lwproc_curlwp();
    OK(rump_pub_lwproc_newlwp(pid));
    second = rump_pub_lwproc_curlwp();
    lid = lwproc_getlid();
    rump_pub_lwproc_switch(first);
    other = lwproc_getlid();
    OK(lwproc_tgkill(pid, lid, 15));
    OK(lwproc_tgkill(pid, other, 0));
    OK(lwproc_sigpending(&set));
    IS(set, 0);
    /* The LWP is another process's, or there is none. */
    IS(lwproc_tgkill(1, lid, 15), ESRCH);
    IS(lwproc_tgkill(pid, 1, 15), ESRCH);
    IS(lwproc_tgkill(pid, INT_MAX, 15), ESRCH);
    IS(lwproc_tgkill(-1, lid, 15), ESRCH);
    IS(lwproc_tgkill(pid, lid, 1000), EINVAL);
    rump_pub_lwproc_switch(second);
    OK(lwproc_sigtake(&signo));
    IS(signo, 15);
    OK(lwproc_exit_group(0));
}

int main(void)
{
    static void (*const tests[])(void) = {
        listing, lists_while_others_run, handles, exits, reaps_nothing, hides_nothing, to_one_lwp,
    };
    size_t i;

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        struct lwproc_config config = { 0 };
        struct lwproc_leftover left;
        int ended, status;

        config.sigmodel = LWPROC_SIGMODEL_RECORD;
        config.flags = LWPROC_WAIT;
        /* A number soon comes again. */
        config.id_capacity = (1 << 30) - 1;
        OK(lwproc_kernel_create(&config, &kernel));
        OK(lwproc_kernel_use(kernel));
        tests[i]();
        OK(lwproc_kernel_destroy(kernel, &left));
        if (left_open != NULL) {
            OK(lwproc_handle_status(left_open, &ended, &status));
            IS(ended, 1);
            IS(status, 9 | 0x80);
            lwproc_handle_close(left_open);
            left_open = NULL;
        }
    }
    return 0;
}
