/* Threads that end while others run, a leader that ends first, execve from a thread. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void ask(void) {
    syscall(SYS_getpid);
    syscall(SYS_gettid);
    syscall(SYS_getppid);
}

static void *brief(void *arg) { ask(); return arg; }
static void *forever(void *arg) { ask(); for (;;) pause(); return arg; }
static void *ends_all(void *arg) { ask(); usleep(4000); ask(); exit(7); return arg; }
static void *execs(void *arg) {
    usleep(6000);
    ask();
    execl("/bin/true", "true", (char *)NULL);
    return arg;
}
static void *forks(void *arg) {
    pid_t child = fork();
    if (child == 0) { ask(); _exit(9); }
    int status;
    waitpid(child, &status, 0);
    return arg;
}

static void start(void *(*run)(void *)) {
    pthread_t thread;
    pthread_create(&thread, NULL, run, NULL);
    pthread_detach(thread);
}

static void child(void (*body)(void)) {
    pid_t child = fork();
    if (child == 0) { body(); _exit(0); }
    int status;
    waitpid(child, &status, 0);
}

static void joined(void) {
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, i % 2 ? forks : brief, NULL);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
}
static void exit_group_by_a_thread(void) { start(forever); start(forever); start(ends_all); pause(); }
static void leader_ends_first(void) { start(ends_all); pthread_exit(NULL); }
static void execve_by_a_thread(void) { start(forever); start(execs); pause(); }
static void execve_after_the_leader(void) { start(execs); pthread_exit(NULL); }
static void execve_by_the_leader(void) {
    start(forever);
    start(forever);
    usleep(3000);
    execl("/bin/true", "true", (char *)NULL);
}
static void killed_together(void) { start(forever); start(forever); usleep(3000); abort(); }

static pid_t dead_tid;
static void *leaves_tid(void *arg) { dead_tid = syscall(SYS_gettid); return arg; }
static void tgkill_to_the_dead(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, leaves_tid, NULL);
    pthread_join(thread, NULL);
    usleep(3000);
    syscall(SYS_tgkill, getpid(), dead_tid, 0);
    syscall(SYS_tgkill, getpid(), getpid(), 0);
}

int main(void) {
    ask();
    child(joined);
    child(exit_group_by_a_thread);
    child(leader_ends_first);
    child(execve_by_a_thread);
    child(execve_after_the_leader);
    child(execve_by_the_leader);
    child(killed_together);
    child(tgkill_to_the_dead);
    return 0;
}
