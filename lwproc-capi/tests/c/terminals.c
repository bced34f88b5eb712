/* Controlling terminals: who has one, who is in the foreground, who may read and write. */
#include "check.h"

static struct lwproc_terminal *tty, *other;
static struct lwp *shell, *job;
static pid_t shell_pid, job_pid;

static void is_of(pid_t sid, pid_t pgid)
{
    pid_t has[2] = { -1, -1 };

    OK(lwproc_terminal_look(tty, &has[0], &has[1]));
    IS(has[0], sid);
    IS(has[1], pgid);
}

static void controls(int want)
{
    int answer = -1;

    OK(lwproc_terminal_controls(tty, &answer));
    IS(answer, want);
    OK(lwproc_terminal_controls(other, &answer));
    IS(answer, 0);
}

static void takes(int signo)
{
    int got;

    OK(lwproc_sigtake(&got));
    IS(got, signo);
}

/* A session with a terminal, and a child in a group of its own. The current process is the
 * leader. */
static void a_shell(void)
{
    pid_t got;

    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    shell = rump_pub_lwproc_curlwp();
    shell_pid = lwproc_getpid();
    OK(lwproc_terminal_create(&tty));
    OK(lwproc_terminal_create(&other));
    OK(lwproc_terminal_look(tty, NULL, NULL));
    is_of(0, 0);
    IS(lwproc_terminal_acquire(tty), EPERM);
    OK(lwproc_setsid(NULL));
    IS(lwproc_terminal_foreground(tty, &got), ENOTTY);
    IS(lwproc_terminal_session(tty, &got), ENOTTY);
    IS(lwproc_terminal_setforeground(tty, shell_pid), ENOTTY);
    IS(lwproc_terminal_give_up(tty), ENOTTY);
    controls(0);
    OK(lwproc_terminal_acquire(tty));
    IS(lwproc_terminal_acquire(other), EPERM);
    controls(1);
    is_of(shell_pid, shell_pid);
    OK(lwproc_terminal_session(tty, &got));
    IS(got, shell_pid);
    OK(lwproc_fork(NULL, &job, &job_pid));
    OK(lwproc_setpgid(job_pid, job_pid));
    IS(lwproc_terminal_setforeground(tty, -5), EINVAL);
    OK(lwproc_terminal_foreground(tty, &got));
    IS(got, shell_pid);
}

static void goes(struct lwp *l)
{
    rump_pub_lwproc_switch(l);
    rump_pub_lwproc_releaselwp();
}

static void is_over(void)
{
    lwproc_terminal_destroy(tty);
    lwproc_terminal_destroy(other);
    lwproc_terminal_destroy(NULL);
}

static void foreground(void)
{
    a_shell();
    OK(lwproc_terminal_may_read(tty));
    OK(lwproc_terminal_may_write(tty, 1));
    rump_pub_lwproc_switch(job);
    /* In the background. */
    IS(lwproc_terminal_may_read(tty), EINTR);
    takes(21);
    OK(lwproc_terminal_may_write(tty, 0));
    takes(0);
    IS(lwproc_terminal_may_write(tty, 1), EINTR);
    takes(22);
    IS(lwproc_terminal_may_change(tty), EINTR);
    takes(22);
    IS(lwproc_terminal_setforeground(tty, job_pid), EINTR);
    takes(22);
    OK(lwproc_sigmask((1u << 20) | (1u << 21), NULL));
    IS(lwproc_terminal_may_read(tty), EIO);
    OK(lwproc_terminal_may_write(tty, 1));
    OK(lwproc_sigmask(0, NULL));
    takes(0);
    rump_pub_lwproc_switch(shell);
    OK(lwproc_terminal_setforeground(tty, job_pid));
    is_of(shell_pid, job_pid);
    OK(lwproc_terminal_signal(tty, 2));
    IS(lwproc_terminal_signal(tty, 65), EINVAL);
    takes(0);
    rump_pub_lwproc_switch(job);
    OK(lwproc_terminal_may_read(tty));
    takes(2);
    /* A member gives it up: the others keep it. */
    OK(lwproc_terminal_give_up(tty));
    controls(0);
    rump_pub_lwproc_releaselwp();
    goes(shell);
    is_of(0, 0);
    is_over();
}

/* The line goes. By NetBSD's rules the leader hears of it. */
static void hang_up(void)
{
    a_shell();
    OK(lwproc_terminal_hang_up(tty));
    is_of(0, 0);
    controls(0);
    takes(1);
    takes(0);
    IS(lwproc_terminal_give_up(tty), ENOTTY);
    /* Another may be had from then on. */
    OK(lwproc_terminal_acquire(other));
    OK(lwproc_terminal_hang_up(other));
    goes(job);
    goes(shell);
    is_over();
}

/* Another session takes it: the superuser may. */
static void steal(void)
{
    a_shell();
    rump_pub_lwproc_switch(job);
    OK(lwproc_setpgid(0, shell_pid));
    OK(lwproc_setsid(NULL));
    IS(lwproc_terminal_acquire(tty), EPERM);
    OK(lwproc_seteuid(7));
    IS(lwproc_terminal_steal(tty), EPERM);
    OK(lwproc_seteuid(0));
    OK(lwproc_terminal_steal(tty));
    is_of(job_pid, job_pid);
    rump_pub_lwproc_switch(shell);
    controls(0);
    /* The leader keeps what it has, by these rules. */
    rump_pub_lwproc_switch(job);
    IS(lwproc_terminal_give_up(tty), EINVAL);
    rump_pub_lwproc_releaselwp();
    goes(shell);
    is_over();
}

static void elsewhere(void)
{
    struct lwproc_kernel *own = lwproc_kernel_current(), *second;
    pid_t sid;

    OK(lwproc_terminal_create(&tty));
    IS(lwproc_terminal_create(NULL), EINVAL);
    IS(lwproc_terminal_acquire(NULL), EINVAL);
    IS(lwproc_terminal_look(NULL, &sid, NULL), EINVAL);
    OK(lwproc_kernel_create(NULL, &second));
    OK(lwproc_kernel_use(second));
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    OK(lwproc_setsid(NULL));
    IS(lwproc_terminal_acquire(tty), EXDEV);
    IS(lwproc_terminal_hang_up(tty), EXDEV);
    IS(lwproc_terminal_signal(tty, 1), EXDEV);
    rump_pub_lwproc_releaselwp();
    OK(lwproc_kernel_destroy(second, NULL));
    OK(lwproc_kernel_use(own));
    lwproc_terminal_destroy(tty);
}

int main(void)
{
    static void (*const tests[])(void) = { foreground, hang_up, steal, elsewhere };
    struct lwproc_terminal *last;
    size_t i;

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        struct lwproc_config config = { 0 };
        struct lwproc_kernel *kernel;
        struct lwproc_leftover left;

        config.sigmodel = LWPROC_SIGMODEL_RECORD;
        OK(lwproc_kernel_create(&config, &kernel));
        OK(lwproc_kernel_use(kernel));
        tests[i]();
        is_implicit();
        /* It keeps nothing of the kernel, and outlives it. */
        OK(lwproc_terminal_create(&last));
        OK(lwproc_kernel_destroy(kernel, &left));
        IS(left.lwps, 0);
        lwproc_terminal_destroy(last);
    }
    return 0;
}
