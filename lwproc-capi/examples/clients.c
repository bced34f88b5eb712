/*
 * Clients of the server: processes that send requests, check the answers, and die at random:
 * in an orderly way, in the middle of a line, or by SIGKILL. Each may connect once more as
 * the child that its own fork made.
 *
 *   clients SOCKET CLIENTS [SEED]
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static unsigned seed;

static unsigned next(unsigned below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 16) % below;
}

static FILE *from, *to;

/* Asks, and answers the first number of the answer. */
static int ask(const char *request, unsigned *second)
{
    char answer[128];
    int number;

    if (fputs(request, to) < 0 || fflush(to) != 0 ||
        fgets(answer, sizeof(answer), from) == NULL ||
        sscanf(answer, "%d %u", &number, second) < 1) {
        fprintf(stderr, "client: no answer to %s", request);
        exit(1);
    }
    return number;
}

static void check(int right, const char *what, int got)
{
    if (!right) {
        fprintf(stderr, "client: %s: got %d\n", what, got);
        exit(1);
    }
}

static void client(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int connection = -1, pid, opened = 0, got, i;
    unsigned uid = 0, ignored;
    char line[64];

    strcpy(address.sun_path, path);
    /* The server may be starting. */
    for (i = 0; i < 500 && connection < 0; i++) {
        connection = socket(AF_UNIX, SOCK_STREAM, 0);
        if (connect(connection, (struct sockaddr *)&address, sizeof(address)) != 0) {
            struct timespec pause = { 0, 20 * 1000 * 1000 };

            close(connection);
            connection = -1;
            nanosleep(&pause, NULL);
        }
    }
    if (connection < 0) {
        fprintf(stderr, "client: no server at %s\n", path);
        exit(1);
    }
    from = fdopen(connection, "r");
    to = fdopen(dup(connection), "w");
    if (from == NULL || to == NULL)
        exit(1);
    pid = ask("id\n", &uid);
    check(pid > 1 && uid == 0, "id", pid);
    for (i = 0;; i++) {
        switch (next(9)) {
        case 0:
        case 1:
            got = ask("open\n", &ignored);
            check(got == opened, "open", got);
            opened++;
            break;
        case 2:
            if (opened > 0) {
                snprintf(line, sizeof(line), "close %d\n", opened - 1);
                got = ask(line, &ignored);
                check(got == 0, line, got);
                opened--;
            }
            break;
        case 3:
            snprintf(line, sizeof(line), "dup %d\n", opened);
            got = ask(line, &ignored);
            check(got == -EBADF, line, got);
            break;
        case 4:
            got = ask("id\n", &ignored);
            check(got == pid && ignored == uid, "id", got);
            break;
        case 5:
            if (uid == 0) {
                uid = 100 + next(10);
                snprintf(line, sizeof(line), "setuid %u\n", uid);
                got = ask(line, &ignored);
                check(got == 0, line, got);
            }
            break;
        case 6:
            got = ask("fork\n", &ignored);
            check(got > pid || got > 1, "fork", got);
            if (next(2) == 0) {
                /* Goes on as the child, with copies of the files. */
                snprintf(line, sizeof(line), "adopt %d\n", got);
                pid = got;
                got = ask(line, &ignored);
                check(got == 0, line, got);
            }
            break;
        case 7:
            got = ask("exec program\n", &ignored);
            check(got == 0, "exec", got);
            break;
        default:
            if (i < 10)
                break;
            switch (next(3)) {
            case 0: /* in an orderly way */
                exit(0);
            case 1: /* in the middle of a request */
                fputs("ope", to);
                fflush(to);
                exit(0);
            default: /* with a request sent, and the answer not read */
                fputs("open\nfork\nid\n", to);
                fflush(to);
                kill(getpid(), SIGKILL);
            }
        }
    }
}

int main(int argc, char **argv)
{
    int clients, i, status, failed = 0, killed = 0;

    if (argc < 3 || (clients = atoi(argv[2])) <= 0) {
        fprintf(stderr, "usage: clients SOCKET CLIENTS [SEED]\n");
        return 2;
    }
    seed = argc > 3 ? (unsigned)atol(argv[3]) : (unsigned)time(NULL);
    printf("seed %u\n", seed);
    fflush(stdout);
    for (i = 0; i < clients; i++) {
        pid_t pid;

        next(2);
        pid = fork();
        if (pid < 0) {
            perror("clients: fork");
            return 1;
        }
        if (pid == 0)
            client(argv[1]);
    }
    while (wait(&status) > 0) {
        if (WIFSIGNALED(status))
            killed++;
        else if (WEXITSTATUS(status) != 0)
            failed++;
    }
    printf("%d clients, %d of them killed, %d failed\n", clients, killed, failed);
    return failed != 0;
}
