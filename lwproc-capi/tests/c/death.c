/* What aborts does so by SIGABRT, after a message that names the LWP and the mistake. */
#include "check.h"
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static struct lwp *gone(void)
{
    struct lwp *l;

    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    l = rump_pub_lwproc_curlwp();
    rump_pub_lwproc_releaselwp();
    return l;
}

static void release_implicit(void) { rump_pub_lwproc_releaselwp(); }
static void release_twice(void)
{
    rump_schedule();
    OK(rump_lwproc_rfork(0));
    rump_lwproc_releaselwp();
    rump_lwproc_releaselwp();
}
static void release_held(void)
{
    rump_schedule();
    OK(rump_lwproc_rfork(0));
    rump__lwproc_lwphold();
    rump_lwproc_releaselwp();
}
static void switch_to_self(void)
{
    OK(rump_pub_lwproc_rfork(0));
    rump_pub_lwproc_switch(rump_pub_lwproc_curlwp());
}
static void switch_to_gone(void) { rump_pub_lwproc_switch(gone()); }
static void switch_to_foreign(void)
{
    int here;

    OK(rump_pub_lwproc_rfork(0));
    rump_pub_lwproc_switch((struct lwp *)(void *)&here);
}
static void switch_to_other_kernel(void)
{
    struct lwproc_kernel *kernel;
    struct lwp *l;

    OK(rump_pub_lwproc_rfork(0));
    l = rump_pub_lwproc_curlwp();
    rump_pub_lwproc_switch(NULL);
    OK(lwproc_kernel_create(NULL, &kernel));
    OK(lwproc_kernel_use(kernel));
    OK(rump_pub_lwproc_rfork(0));
    rump_pub_lwproc_switch(NULL);
    rump_pub_lwproc_switch(l);
}
static void unsleep_gone(void) { lwp_unsleep(gone(), 0); }
static void park_implicit(void) { rump_pub_lwproc_switch(NULL); }
static void park_exiting(void)
{
    rump_schedule();
    OK(rump_lwproc_rfork(0));
    rump_lwproc_releaselwp();
    rump_lwproc_switch(NULL);
}
static void usenative(void) { rump_pub_lwproc_sysent_usenative(); }
static void rele_implicit(void)
{
    rump_schedule();
    rump__lwproc_lwprele();
}
static void outside(void) { (void)rump_lwproc_rfork(0); }
static void schedule_twice(void)
{
    rump_schedule();
    rump_schedule();
}
static void unschedule(void) { rump_unschedule(); }
static void alloc_foreign(void)
{
    rump_schedule();
    (void)rump__lwproc_alloclwp((struct proc *)(void *)gone());
}
static void sigmodel_panic(void)
{
    struct lwproc_config config = { 0 };
    struct lwproc_kernel *kernel;

    config.sigmodel = LWPROC_SIGMODEL_PANIC;
    OK(lwproc_kernel_create(&config, &kernel));
    OK(lwproc_kernel_use(kernel));
    OK(rump_pub_lwproc_rfork(0));
    (void)lwproc_kill(lwproc_getpid(), 15);
}

static void calls_back(void *data)
{
    IS(rump_pub_lwproc_newlwp(0), EDEADLK);
    CHECK(data == NULL);
    (void)rump_pub_lwproc_curlwp();
}
static void call_from_callback(void)
{
    int fd;

    OK(lwproc_open(NULL, calls_back, 0, &fd));
    (void)lwproc_close(fd);
}

static void expect(void (*mistake)(void), int with_kernel, const char *message)
{
    char said[4096];
    size_t length = 0;
    ssize_t n;
    int fds[2], status;
    pid_t child;

    OK(pipe(fds));
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        (void)dup2(fds[1], 2);
        if (with_kernel)
            OK(rump_init());
        mistake();
        _exit(0);
    }
    close(fds[1]);
    while (length + 1 < sizeof(said) &&
           (n = read(fds[0], said + length, sizeof(said) - length - 1)) > 0)
        length += (size_t)n;
    said[length] = '\0';
    close(fds[0]);
    CHECK(waitpid(child, &status, 0) == child);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT || strstr(said, message) == NULL) {
        fprintf(stderr, "status %#x, wanted SIGABRT after\n  %s\nbut was said\n  %s\n", status,
                message, said);
        exit(1);
    }
}

static void curlwp(void) { (void)rump_pub_lwproc_curlwp(); }
static void getpid_(void) { (void)lwproc_getpid(); }

int main(void)
{
    int fd;

    /* Before rump_init: EINVAL, or an abort. */
    IS(rump_pub_lwproc_rfork(0), EINVAL);
    IS(rump_pub_lwproc_newlwp(0), EINVAL);
    IS(lwproc_try_switch(NULL), EINVAL);
    IS(lwproc_try_releaselwp(), EINVAL);
    IS(lwproc_try_schedule(), EINVAL);
    IS(lwproc_setuid(0), EINVAL);
    IS(lwproc_try_unsleep(NULL, NULL), EINVAL);
    IS(lwproc_biglock(), EINVAL);
    IS(lwproc_kernel_settrace(NULL, NULL, NULL), EINVAL);
    IS(lwproc_emul_setdefault(0), EINVAL);
    IS(lwproc_open(NULL, NULL, 0, &fd), EINVAL);
    CHECK(lwproc_kernel_current() == NULL);
    expect(curlwp, 0, "rump_pub_lwproc_curlwp: no kernel: rump_init has not been called");
    expect(getpid_, 0, "lwproc_getpid: no kernel");
    expect(release_implicit, 0, "rump_pub_lwproc_releaselwp: no kernel");

    expect(release_implicit, 1,
           "lwproc: rump_pub_lwproc_releaselwp: releasing non-pertinent lwp (by an implicit "
           "thread of process 1)");
    expect(release_twice, 1, "rump_lwproc_releaselwp: releasing non-pertinent lwp (by lwp 2:2)");
    expect(release_held, 1, "rump_lwproc_releaselwp: the lwp is held 1 times (by lwp 2:2)");
    expect(switch_to_self, 1,
           "rump_pub_lwproc_switch: lwp 2:2 already running (by lwp 2:2)");
    expect(switch_to_gone, 1, "rump_pub_lwproc_switch: lwp 2 has gone, or is of another");
    expect(switch_to_foreign, 1, "is not an lwp (by lwp 2:2)");
    expect(switch_to_other_kernel, 1, "lwp 2 has gone, or is of another kernel");
    expect(unsleep_gone, 1, "lwp_unsleep: lwp 2 has gone, or is of another");
    expect(park_implicit, 1, "switch to NULL without an lwp that lives on");
    expect(park_exiting, 1, "rump_lwproc_switch: switch to NULL without an lwp");
    expect(usenative, 1, "don't use sysent_usenative");
    expect(rele_implicit, 1, "rump__lwproc_lwprele: the lwp is not held");
    expect(outside, 1, "rump_lwproc_rfork: called outside rump_schedule");
    expect(schedule_twice, 1, "rump_schedule: the thread is scheduled already");
    expect(unschedule, 1, "rump_unschedule: called outside rump_schedule");
    expect(alloc_foreign, 1, "is not a process that lives");
    expect(sigmodel_panic, 1, "lwproc_kill: panic");
    expect(call_from_callback, 1, "rump_pub_lwproc_curlwp: called from a callback");
    return 0;
}
