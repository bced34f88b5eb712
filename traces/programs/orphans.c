/* Grandchildren that outlive their parents, and ask who their parent is before and after. */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void ask(void) { syscall(SYS_getppid); }

/* The parent ends while its child asks on and on. */
static void left_behind(int by_signal) {
    if (fork() == 0) {
        ask();
        if (fork() == 0) {
            ask();
            for (int i = 0; i < 40; i++) {
                ask();
                usleep(500);
            }
            _exit(5);
        }
        usleep(3000);
        if (by_signal) kill(getpid(), SIGKILL);
        _exit(1);
    }
    int status;
    wait(&status);
}

int main(void) {
    ask();
    left_behind(0);
    left_behind(1);
    /* A chain: each link ends before the one below it. */
    if (fork() == 0) {
        for (int i = 0; i < 6; i++) {
            if (fork() != 0) {
                usleep(2000);
                _exit(i);
            }
            usleep(1000);
            ask();
        }
        usleep(15000);
        ask();
        _exit(0);
    }
    int status;
    wait(&status);
    usleep(60000);
    return waitpid(-1, &status, 0) == -1 ? 0 : 1;
}
