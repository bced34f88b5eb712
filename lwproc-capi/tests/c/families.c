/* Parents and children: clone children, siblings, subreapers, signals at the parent's end, an
 * init that waits. */
#include "check.h"
#include <sys/wait.h>

static struct lwp *parent;
static pid_t parent_pid;

static void begins(void)
{
    OK(rump_pub_lwproc_rfork(RUMP_RFCFDG));
    parent = rump_pub_lwproc_curlwp();
    parent_pid = lwproc_getpid();
}

static void takes(int signo)
{
    int got;

    OK(lwproc_sigtake(&got));
    IS(got, signo);
}

/* Runs as a parked LWP, and ends its process; back to the parent. */
static void ends(struct lwp *l, int code)
{
    rump_pub_lwproc_switch(l);
    OK(lwproc_exit(code));
    rump_pub_lwproc_switch(parent);
}

static void clone_children(void)
{
    struct lwproc_fork_args how = { 0 };
    struct timespec past = { 0, 0 };
    struct lwproc_handle *handle;
    struct lwp *l;
    pid_t pid, got;
    int status;

    begins();
    how.flags = LWPROC_FORK_CLONE;
    how.exit_signal = 12;
    OK(lwproc_setdisposition(12, LWPROC_SIG_CATCH, NULL));
    OK(lwproc_fork(&how, &l, &pid));
    IS(lwproc_wait(-1, LWPROC_WNOHANG, &got, NULL), ECHILD);
    OK(lwproc_handle_open(pid, &handle));
    IS(lwproc_handle_wait(handle, 0, &got, NULL, NULL), ECHILD);
    IS(lwproc_handle_wait(handle, LWPROC_WALL, &got, NULL, &past), ETIMEDOUT);
    ends(l, 3);
    takes(12);
    OK(lwproc_handle_wait(handle, LWPROC_WCLONE | LWPROC_WNOHANG, &got, &status, NULL));
    IS(got, pid);
    IS(WEXITSTATUS(status), 3);
    lwproc_handle_close(handle);
    /* One of each kind; which waits find which. */
    how.exit_signal = 0;
    OK(lwproc_fork(&how, &l, &pid));
    ends(l, 4);
    takes(0);
    OK(lwproc_fork(NULL, &l, NULL));
    IS(lwproc_handle_wait(NULL, LWPROC_WALL, NULL, NULL, NULL), EINVAL);
    OK(lwproc_wait(-1, LWPROC_WNOHANG, &got, NULL));
    IS(got, 0);
    OK(lwproc_wait(-1, LWPROC_WALL | LWPROC_WNOWAIT, &got, NULL));
    IS(got, pid);
    OK(lwproc_wait(-1, LWPROC_WCLONE, &got, &status));
    IS(got, pid);
    IS(WEXITSTATUS(status), 4);
    IS(lwproc_wait(-1, LWPROC_WCLONE, &got, NULL), ECHILD);
    ends(l, 5);
    OK(lwproc_wait(-1, LWPROC_WALL, &got, NULL));
    rump_pub_lwproc_releaselwp();
}

/* Each LWP's own children, and a child made for the parent. */
static void of_an_lwp(void)
{
    struct lwproc_fork_args how = { 0 };
    struct lwp *further, *l;
    pid_t pid, got;

    begins();
    OK(lwproc_fork(NULL, &l, &pid));
    OK(rump_pub_lwproc_newlwp(parent_pid));
    further = rump_pub_lwproc_curlwp();
    IS(lwproc_wait(-1, LWPROC_WNOTHREAD | LWPROC_WNOHANG, &got, NULL), ECHILD);
    OK(lwproc_wait(-1, LWPROC_WNOHANG, &got, NULL));
    rump_pub_lwproc_switch(parent);
    OK(lwproc_wait(-1, LWPROC_WNOTHREAD | LWPROC_WNOHANG, &got, NULL));
    IS(got, 0);
    rump_pub_lwproc_switch(further);
    rump_pub_lwproc_releaselwp();
    rump_pub_lwproc_switch(l);
    how.flags = LWPROC_FORK_SIBLING;
    OK(lwproc_fork(&how, &further, &got));
    rump_pub_lwproc_switch(further);
    IS(lwproc_getppid(), parent_pid);
    OK(lwproc_exit(0));
    rump_pub_lwproc_switch(parent);
    ends(l, 0);
    OK(lwproc_wait(pid, 0, NULL, NULL));
    OK(lwproc_wait(got, 0, NULL, NULL));
    rump_pub_lwproc_releaselwp();
    is_implicit();
    IS(lwproc_fork(&how, &l, NULL), EINVAL);
}

/* A child's end leaves its child to the parent, and tells it. */
static void orphans(void)
{
    struct lwp *child, *grandchild;
    pid_t child_pid, pid;
    int is_one, signo;

    IS(lwproc_setdeathsig(1), EINVAL);
    begins();
    OK(lwproc_getsubreaper(&is_one));
    IS(is_one, 0);
    OK(lwproc_setsubreaper(1));
    OK(lwproc_getsubreaper(&is_one));
    IS(is_one, 1);
    OK(lwproc_fork(NULL, &child, &child_pid));
    rump_pub_lwproc_switch(child);
    OK(lwproc_getsubreaper(&is_one));
    IS(is_one, 0);
    OK(lwproc_fork(NULL, &grandchild, &pid));
    rump_pub_lwproc_switch(grandchild);
    IS(lwproc_setdeathsig(65), EINVAL);
    OK(lwproc_getdeathsig(&signo));
    IS(signo, 0);
    OK(lwproc_setdisposition(10, LWPROC_SIG_CATCH, NULL));
    OK(lwproc_setdeathsig(10));
    OK(lwproc_getdeathsig(&signo));
    IS(signo, 10);
    IS(lwproc_getppid(), child_pid);
    rump_pub_lwproc_switch(parent);
    ends(child, 0);
    rump_pub_lwproc_switch(grandchild);
    takes(10);
    IS(lwproc_getppid(), parent_pid);
    rump_pub_lwproc_releaselwp();
    rump_pub_lwproc_switch(parent);
    OK(lwproc_wait(child_pid, 0, NULL, NULL));
    OK(lwproc_wait(pid, 0, NULL, NULL));
    OK(lwproc_setsubreaper(0));
    OK(lwproc_getsubreaper(&is_one));
    IS(is_one, 0);
    rump_pub_lwproc_releaselwp();
}

static void of_children(void)
{
    struct lwp *l;
    int flags;

    begins();
    IS(lwproc_setchildflags(4), EINVAL);
    OK(lwproc_setchildflags(LWPROC_CHILD_NOSTOP));
    OK(lwproc_getchildflags(&flags));
    IS(flags, LWPROC_CHILD_NOSTOP);
    OK(lwproc_setdisposition(17, LWPROC_SIG_CATCH, NULL));
    OK(lwproc_fork(NULL, &l, NULL));
    OK(lwproc_kill(lwproc_getpid() + 1, 19));
    takes(0);
    OK(lwproc_kill(lwproc_getpid() + 1, 9));
    OK(lwproc_wait(-1, 0, NULL, NULL));
    takes(17);
    OK(lwproc_setchildflags(LWPROC_CHILD_NOWAIT));
    OK(lwproc_fork(NULL, &l, NULL));
    ends(l, 0);
    IS(lwproc_wait(-1, 0, NULL, NULL), ECHILD);
    takes(17);
    rump_pub_lwproc_releaselwp();
}

static int zombies;

static void sink(void *arg, const struct lwproc_trace_event *event)
{
    if (event->kind == LWPROC_TRACE_ZOMBIE && zombies++ == 0) {
        IS(event->parent, *(pid_t *)arg);
        IS(WEXITSTATUS(event->status), 6);
    }
}

/* With LWPROC_INIT_WAITS an implicit thread finds what process 1 has inherited. */
static void init_waits(void)
{
    pid_t got, pid;
    int status;

    begins();
    OK(lwproc_kernel_settrace(sink, &parent_pid, NULL));
    OK(rump_pub_lwproc_rfork(0));
    pid = lwproc_getpid();
    OK(lwproc_exit(6));
    rump_pub_lwproc_switch(parent);
    rump_pub_lwproc_releaselwp();
    is_implicit();
    OK(lwproc_wait(pid, 0, &got, &status));
    IS(got, pid);
    IS(WEXITSTATUS(status), 6);
    OK(lwproc_wait(-1, 0, &got, NULL));
    IS(got, parent_pid);
    IS(lwproc_wait(-1, 0, NULL, NULL), ECHILD);
    /* The one that is inherited is told of once more. */
    IS(zombies, 3);
    OK(lwproc_kernel_settrace(NULL, NULL, NULL));
}

static void in_a_kernel(unsigned int flags, void (*test)(void))
{
    struct lwproc_config config = { 0 };
    struct lwproc_kernel *kernel;
    struct lwproc_leftover left;

    config.flags = LWPROC_WAIT | flags;
    config.sigmodel = LWPROC_SIGMODEL_RECORD;
    config.rules = LWPROC_RULES_LINUX;
    config.numbering = LWPROC_NUMBERING_CYCLIC;
    OK(lwproc_kernel_create(&config, &kernel));
    OK(lwproc_kernel_use(kernel));
    test();
    is_implicit();
    OK(lwproc_kernel_destroy(kernel, &left));
    IS(left.lwps, 0);
    IS(left.zombies, 0);
}

int main(void)
{
    in_a_kernel(0, clone_children);
    in_a_kernel(0, of_an_lwp);
    in_a_kernel(0, orphans);
    in_a_kernel(0, of_children);
    in_a_kernel(LWPROC_INIT_WAITS, init_waits);
    return 0;
}
