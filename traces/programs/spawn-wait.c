/* Every way to make a child and to wait for it; signals to the living, the dead and the gone. */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static pid_t exits(int code) {
    pid_t child = fork();
    if (child == 0) _exit(code);
    return child;
}

static pid_t stays(void) {
    pid_t child = fork();
    if (child == 0) for (;;) pause();
    return child;
}

static void everything(void) {
    int status;
    siginfo_t info;

    /* posix_spawn, with a name that is there and one that is not. */
    char *args[] = {"true", NULL};
    pid_t child;
    posix_spawnp(&child, "true", NULL, NULL, args, environ);
    waitpid(child, &status, 0);
    if (posix_spawnp(&child, "not-there", NULL, NULL, args, environ) == 0) waitpid(child, &status, 0);

    /* vfork: one that execs, one that exits. */
    if ((child = vfork()) == 0) { execl("/bin/true", "true", (char *)NULL); _exit(127); }
    waitpid(child, &status, 0);
    if ((child = vfork()) == 0) _exit(6);
    wait(&status);

    /* WNOHANG: none, alive, dead, gone. */
    waitpid(-1, &status, WNOHANG);
    child = stays();
    waitpid(-1, &status, WNOHANG);
    waitpid(child, &status, WNOHANG);
    kill(child, 0);
    kill(child, SIGTERM);
    usleep(10000);
    kill(child, 0);
    waitpid(child, &status, WNOHANG);
    kill(child, 0);
    waitpid(child, &status, WNOHANG);

    /* Deaths by signal. */
    kill(child = stays(), SIGKILL);
    waitpid(child, &status, 0);
    if ((child = fork()) == 0) abort();
    waitpid(child, &status, 0);
    if ((child = fork()) == 0) { raise(SIGUSR1); _exit(0); }
    waitpid(child, NULL, 0);

    /* waitid: looking without reaping, by pid, for any, for none. */
    child = exits(3);
    waitid(P_PID, child, &info, WEXITED | WNOWAIT);
    waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT);
    waitid(P_PID, child, &info, WEXITED);
    child = stays();
    waitid(P_ALL, 0, &info, WEXITED | WNOHANG);
    kill(child, SIGINT);
    waitid(P_ALL, 0, &info, WEXITED);
    waitid(P_ALL, 0, &info, WEXITED);

    /* Several dead at once, waited for in another order. */
    pid_t first = exits(10), second = exits(11), third = exits(300);
    usleep(10000);
    waitpid(third, &status, 0);
    waitpid(first, &status, 0);
    waitpid(second, &status, 0);

    /* A stop and a continue are no deaths. */
    child = stays();
    kill(child, SIGSTOP);
    waitpid(child, &status, WUNTRACED);
    kill(child, SIGCONT);
    waitpid(child, &status, WCONTINUED);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);

    /* A sibling (CLONE_PARENT): the parent's child, not ours. */
    if ((child = fork()) == 0) {
        if (syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0) == 0) {
            syscall(SYS_getppid);
            _exit(8);
        }
        waitpid(-1, &status, 0);
        _exit(0);
    }
    wait(&status);
    wait(&status);
    wait(&status);
}

int main(void) {
    everything();
    everything();
    return 2;
}
