/*
 * A server in the shape of the rump kernel's: each client that connects to its Unix socket
 * is a process, and each of its requests runs as an LWP of that process.
 *
 *   hello       rfork(RUMP_RFCFDG), keep the LWP as the client's main one, switch(NULL)
 *   request     newlwp(pid), the work, releaselwp
 *   fork        switch(main), rfork(RUMP_RFFDG), switch(NULL): the child for whoever asks with
 *               its number
 *   exec        drain, switch(main), wait_alone, execnotify, switch(NULL)
 *   disconnect  drain, switch(main), exit_group
 *
 *   server SOCKET CLIENTS     serves that many connections, and then checks that nothing is
 *                             left
 *
 * A request is one line: "open", "close FD", "dup FD", "setuid UID", "id", "fork",
 * "adopt PID", "exec NAME"; the answer is a line: a number, which is negative for an errno,
 * or for "id" pid and uid.
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <lwproc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static atomic_long files_open;
static atomic_long processes_ended;

static void fail(const char *what, int error)
{
    fprintf(stderr, "server: %s: %s\n", what, strerror(error));
    exit(1);
}

static void must(const char *what, int error)
{
    if (error != 0)
        fail(what, error);
}

/* A client's process, and its main LWP. */
struct client {
    pid_t pid;
    struct lwp *main;
};

/* The children that forks have made, and that nobody has adopted yet. */
static pthread_mutex_t orphans_lock = PTHREAD_MUTEX_INITIALIZER;
static struct orphan {
    struct client client;
    struct orphan *next;
} *orphans;

static struct client hello(void)
{
    struct client client;

    must("rfork", rump_pub_lwproc_rfork(RUMP_RFCFDG));
    client.pid = lwproc_getpid();
    client.main = rump_pub_lwproc_curlwp();
    rump_pub_lwproc_switch(NULL);
    return client;
}

static void disconnect(struct client client)
{
    /* No request is under way: this thread makes them all. */
    rump_pub_lwproc_switch(client.main);
    must("exit_group", lwproc_exit_group(0));
}

static long fork_client(struct client client)
{
    struct orphan *orphan = malloc(sizeof(*orphan));

    if (orphan == NULL)
        return -ENOMEM;
    rump_pub_lwproc_switch(client.main);
    must("rfork", rump_pub_lwproc_rfork(RUMP_RFFDG));
    orphan->client.pid = lwproc_getpid();
    orphan->client.main = rump_pub_lwproc_curlwp();
    rump_pub_lwproc_switch(NULL);

    pthread_mutex_lock(&orphans_lock);
    orphan->next = orphans;
    orphans = orphan;
    pthread_mutex_unlock(&orphans_lock);
    return orphan->client.pid;
}

/* Takes a child over; 0 for the pid: any. */
static int adopt(pid_t pid, struct client *client)
{
    struct orphan **at, *found;

    pthread_mutex_lock(&orphans_lock);
    for (at = &orphans; *at != NULL && pid != 0 && (*at)->client.pid != pid;)
        at = &(*at)->next;
    found = *at;
    if (found != NULL)
        *at = found->next;
    pthread_mutex_unlock(&orphans_lock);
    if (found == NULL)
        return ESRCH;
    *client = found->client;
    free(found);
    return 0;
}

static long exec_client(struct client client, const char *name)
{
    int error;

    rump_pub_lwproc_switch(client.main);
    error = lwproc_drain();
    if (error == 0)
        error = lwproc_wait_alone();
    if (error == 0)
        error = lwproc_execnotify(name);
    rump_pub_lwproc_switch(NULL);
    return -error;
}

static void close_file(void *data)
{
    free(data);
    atomic_fetch_sub(&files_open, 1);
}

static long open_file(void)
{
    void *data = malloc(100);
    int fd, error;

    if (data == NULL)
        return -ENOMEM;
    atomic_fetch_add(&files_open, 1);
    error = lwproc_open(data, close_file, 0, &fd);
    if (error != 0) {
        close_file(data);
        return -error;
    }
    return fd;
}

/* Runs as an LWP of the client's process. */
static void request(const char *line, FILE *to)
{
    int number, fd, error;

    if (strcmp(line, "open\n") == 0) {
        fprintf(to, "%ld\n", open_file());
    } else if (sscanf(line, "close %d", &number) == 1) {
        fprintf(to, "%d\n", -lwproc_close(number));
    } else if (sscanf(line, "dup %d", &number) == 1) {
        error = lwproc_dup(number, &fd);
        fprintf(to, "%d\n", error == 0 ? fd : -error);
    } else if (sscanf(line, "setuid %d", &number) == 1) {
        fprintf(to, "%d\n", -lwproc_setuid((uid_t)number));
    } else if (strcmp(line, "id\n") == 0) {
        fprintf(to, "%d %u\n", (int)lwproc_getpid(), (unsigned)lwproc_getuid());
    } else {
        fprintf(to, "%d\n", -EINVAL);
    }
}

static void *serve(void *arg)
{
    int connection = *(int *)arg, number;
    FILE *from = fdopen(connection, "r"), *to = fdopen(dup(connection), "w");
    struct client client, other;
    char line[128], name[64];

    free(arg);
    if (from == NULL || to == NULL)
        fail("fdopen", errno);
    client = hello();
    while (fgets(line, sizeof(line), from) != NULL && strchr(line, '\n') != NULL) {
        if (strcmp(line, "fork\n") == 0) {
            fprintf(to, "%ld\n", fork_client(client));
        } else if (sscanf(line, "adopt %d", &number) == 1) {
            int error = adopt(number, &other);
            if (error == 0) {
                disconnect(client);
                client = other;
            }
            fprintf(to, "%d\n", -error);
        } else if (sscanf(line, "exec %63s", name) == 1) {
            fprintf(to, "%ld\n", exec_client(client, name));
        } else {
            must("newlwp", rump_pub_lwproc_newlwp(client.pid));
            request(line, to);
            rump_pub_lwproc_releaselwp();
        }
        if (fflush(to) != 0)
            break;
    }
    disconnect(client);
    fclose(from);
    fclose(to);
    return NULL;
}

static void ended(void *arg, const struct lwproc_ending *ending)
{
    (void)arg;
    (void)ending;
    atomic_fetch_add(&processes_ended, 1);
}

int main(int argc, char **argv)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct lwproc_counts counts;
    struct client orphan;
    pthread_t *threads;
    uint64_t hook;
    int listener, clients, i;

    if (argc != 3 || (clients = atoi(argv[2])) <= 0 ||
        strlen(argv[1]) >= sizeof(address.sun_path)) {
        fprintf(stderr, "usage: server SOCKET CLIENTS\n");
        return 2;
    }
    must("rump_init", rump_init());
    must("exithook", lwproc_exithook_establish(ended, NULL, &hook));
    strcpy(address.sun_path, argv[1]);
    threads = calloc((size_t)clients, sizeof(*threads));
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    if (threads == NULL || listener < 0 ||
        bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(listener, 64) != 0)
        fail(argv[1], errno);
    /* Writing to a client that has died is an error, and not the end. */
    signal(SIGPIPE, SIG_IGN);

    for (i = 0; i < clients; i++) {
        int *connection = malloc(sizeof(*connection));

        if (connection == NULL || (*connection = accept(listener, NULL, NULL)) < 0)
            fail("accept", errno);
        must("thread", pthread_create(&threads[i], NULL, serve, connection));
    }
    for (i = 0; i < clients; i++)
        must("join", pthread_join(threads[i], NULL));
    while (adopt(0, &orphan) == 0)
        disconnect(orphan);
    close(listener);
    unlink(argv[1]);
    free(threads);

    must("count", lwproc_count(&counts));
    printf("%d clients served, %ld processes ended; left: %zu processes, %zu LWPs, %ld files\n",
           clients, atomic_load(&processes_ended), counts.procs - 2, counts.lwps - 2,
           atomic_load(&files_open));
    return counts.procs != 2 || counts.lwps != 2 || counts.ids != 2 ||
           atomic_load(&files_open) != 0;
}
