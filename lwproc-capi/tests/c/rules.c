/* Rules, stops and continuations, what a process does with a signal, waits for either. */
#include "check.h"
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static struct lwproc_kernel *kernel;

static void begin(struct lwproc_config *config)
{
    config->flags |= LWPROC_WAIT;
    config->sigmodel = LWPROC_SIGMODEL_RECORD;
    OK(lwproc_kernel_create(config, &kernel));
    OK(lwproc_kernel_use(kernel));
}

static void end(void)
{
    struct lwproc_leftover left;

    is_implicit();
    OK(lwproc_kernel_destroy(kernel, &left));
    IS(left.lwps, 0);
    IS(left.zombies, 0);
}

/* As the current process, whose children are told of by SIGCHLD, waits for it. */
static void is_sent(int signo)
{
    int got;

    OK(lwproc_sigtake(&got));
    IS(got, signo);
}

static void configurations(void)
{
    struct lwproc_config config = { 0 };

    config.rules = 2;
    IS(lwproc_kernel_create(&config, &kernel), EINVAL);
    config.rules = LWPROC_RULES_LINUX;
    config.jobs = 3;
    IS(lwproc_kernel_create(&config, &kernel), EINVAL);
    config.jobs = LWPROC_JOBS_OF_RULES;
    config.differs = UINT64_C(1) << 63;
    IS(lwproc_kernel_create(&config, &kernel), EINVAL);

    /* One case each: of Linux among NetBSD's, of NetBSD among Linux's. */
    config.rules = LWPROC_RULES_NETBSD;
    config.differs = LWPROC_DIFFERS_BAD_SIGNAL_FOR_NOBODY;
    begin(&config);
    IS(lwproc_kill(12345, 99), ESRCH);
    IS(lwproc_setpgid(-5, 0), ESRCH);
    end();
    config.rules = LWPROC_RULES_LINUX;
    begin(&config);
    IS(lwproc_kill(12345, 99), EINVAL);
    IS(lwproc_setpgid(-5, 0), EINVAL);
    end();
}

/* SIGCHLD is 17 by Linux's numbers, 20 by NetBSD's, and only where it is asked for. */
static void told_of_children(int rules, unsigned int flags, int jobs, int signo)
{
    struct lwproc_config config = { 0 };
    struct lwp *parent;

    config.rules = rules;
    config.flags = flags;
    config.jobs = jobs;
    begin(&config);
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    parent = rump_pub_lwproc_curlwp();
    if (jobs != LWPROC_JOBS_PROGRAM && rules == LWPROC_RULES_LINUX)
        OK(lwproc_setdisposition(17, LWPROC_SIG_CATCH, NULL));
    OK(rump_pub_lwproc_rfork(0));
    OK(lwproc_exit(0));
    rump_pub_lwproc_switch(parent);
    is_sent(signo);
    OK(lwproc_wait(-1, 0, NULL, NULL));
    rump_pub_lwproc_releaselwp();
    end();
}

static void dispositions(void)
{
    struct lwproc_config config = { 0 };
    uint64_t set;
    int does;

    begin(&config);
    IS(lwproc_setdisposition(1, LWPROC_SIG_IGNORE, &does), ENOSYS);
    IS(lwproc_getdisposition(1, &does), ENOSYS);
    end();

    config.rules = LWPROC_RULES_LINUX;
    begin(&config);
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    IS(lwproc_setdisposition(9, LWPROC_SIG_IGNORE, NULL), EINVAL);
    IS(lwproc_setdisposition(19, LWPROC_SIG_CATCH, NULL), EINVAL);
    IS(lwproc_setdisposition(65, LWPROC_SIG_CATCH, NULL), EINVAL);
    IS(lwproc_setdisposition(1, 3, NULL), EINVAL);
    OK(lwproc_setdisposition(10, LWPROC_SIG_CATCH, &does));
    IS(does, LWPROC_SIG_DEFAULT);
    OK(lwproc_setdisposition(12, LWPROC_SIG_IGNORE, NULL));
    OK(lwproc_kill(lwproc_getpid(), 10));
    OK(lwproc_kill(lwproc_getpid(), 12));
    OK(lwproc_sigpending(&set));
    IS(set, 1u << 9);
    /* What is ignored from now on is pending no more. */
    OK(lwproc_setdisposition(10, LWPROC_SIG_IGNORE, &does));
    IS(does, LWPROC_SIG_CATCH);
    OK(lwproc_sigpending(&set));
    IS(set, 0);
    OK(lwproc_setdisposition(10, LWPROC_SIG_CATCH, NULL));
    OK(lwproc_drain());
    OK(lwproc_execnotify("prog"));
    OK(lwproc_getdisposition(10, &does));
    IS(does, LWPROC_SIG_DEFAULT);
    OK(lwproc_getdisposition(12, &does));
    IS(does, LWPROC_SIG_IGNORE);
    rump_pub_lwproc_releaselwp();
    IS(lwproc_wait(-1, 0, NULL, NULL), ECHILD);
    end();
}

static int entered;

/* A thread of the child: once that is stopped it does not come in. */
static void *enters(void *l)
{
    struct timespec past = { 0, 0 };

    OK(lwproc_kernel_use(kernel));
    IS(lwproc_try_switch((struct lwp *)l), 0);
    __atomic_store_n(&entered, 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(&entered, __ATOMIC_ACQUIRE) == 1)
        usleep(100);
    IS(lwproc_schedule_until(&past), ETIMEDOUT);
    __atomic_store_n(&entered, 3, __ATOMIC_RELEASE);
    rump_schedule();
    rump_unschedule();
    /* One that has ended is not found as one that goes on. */
    while (__atomic_load_n(&entered, __ATOMIC_ACQUIRE) == 3)
        usleep(100);
    OK(lwproc_exit(5));
    return NULL;
}

static void job_control(void)
{
    struct lwproc_config config = { 0 };
    int all = LWPROC_WEXITED | LWPROC_WSTOPPED | LWPROC_WCONTINUED;
    struct lwp *child;
    struct proc *p;
    pthread_t thread;
    pid_t pid, got;
    int status, state;

    config.rules = LWPROC_RULES_LINUX;
    begin(&config);
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    OK(lwproc_setsid(NULL));
    OK(lwproc_fork(NULL, &child, &pid));
    p = lwproc_proc_find(pid);
    OK(lwproc_state(p, &state));
    IS(state, LWPROC_STATE_ACTIVE);
    OK(pthread_create(&thread, NULL, enters, child));
    while (!__atomic_load_n(&entered, __ATOMIC_ACQUIRE))
        usleep(100);
    OK(lwproc_kill(pid, 19));
    OK(lwproc_state(p, &state));
    IS(state, LWPROC_STATE_STOPPED);
    __atomic_store_n(&entered, 2, __ATOMIC_RELEASE);
    while (__atomic_load_n(&entered, __ATOMIC_ACQUIRE) != 3)
        usleep(100);

    /* Found by who asks for it, once; a look leaves it. */
    OK(lwproc_wait(-1, LWPROC_WNOHANG, &got, &status));
    IS(got, 0);
    OK(lwproc_wait(-1, LWPROC_WNOHANG | LWPROC_WCONTINUED, &got, &status));
    IS(got, 0);
    OK(lwproc_wait(-1, LWPROC_WSTOPPED | LWPROC_WNOWAIT, &got, &status));
    IS(got, pid);
    OK(lwproc_wait(pid, LWPROC_WSTOPPED, &got, &status));
    IS(got, pid);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == 19);
    OK(lwproc_wait(-1, LWPROC_WNOHANG | all, &got, &status));
    IS(got, 0);

    OK(lwproc_kill(pid, 18));
    OK(lwproc_wait(-1, LWPROC_WCONTINUED, &got, &status));
    IS(got, pid);
    CHECK(WIFCONTINUED(status));
    __atomic_store_n(&entered, 4, __ATOMIC_RELEASE);
    OK(lwproc_wait(-1, all, &got, &status));
    IS(got, pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 5);
    IS(lwproc_wait(-1, all, NULL, NULL), ECHILD);
    IS(lwproc_wait(-1, 1 << 30, NULL, NULL), EINVAL);
    OK(pthread_join(thread, NULL));
    IS(lwproc_state(p, &state), EINVAL);
    rump_pub_lwproc_releaselwp();
    end();
}

int main(void)
{
    configurations();
    told_of_children(LWPROC_RULES_NETBSD, 0, LWPROC_JOBS_OF_RULES, 0);
    told_of_children(LWPROC_RULES_NETBSD, LWPROC_SIGCHLD, LWPROC_JOBS_OF_RULES, 20);
    told_of_children(LWPROC_RULES_LINUX, LWPROC_SIGCHLD, LWPROC_JOBS_PROGRAM, 17);
    told_of_children(LWPROC_RULES_LINUX, 0, LWPROC_JOBS_KERNEL, 17);
    dispositions();
    job_control();
    return 0;
}
