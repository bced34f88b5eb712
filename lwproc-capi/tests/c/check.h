/* What the test programs share. */
#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <lwproc.h>

/* The condition holds, or the program ends. */
#define CHECK(condition)                                                                    \
    do {                                                                                    \
        if (!(condition)) {                                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                 \
            exit(1);                                                                        \
        }                                                                                   \
    } while (0)

/* The expression has that value: both are shown when it has not. */
#define IS(expression, value)                                                               \
    do {                                                                                    \
        long long is_ = (long long)(expression), want_ = (long long)(value);                \
        if (is_ != want_) {                                                                 \
            fprintf(stderr, "%s:%d: %s is %lld, not %s (%lld)\n", __FILE__, __LINE__,       \
                    #expression, is_, #value, want_);                                       \
            exit(1);                                                                        \
        }                                                                                   \
    } while (0)

/* The call succeeds. */
#define OK(call) IS(call, 0)

/* A thread with nothing of its own. */
static inline void is_implicit(void)
{
    CHECK(rump_pub_lwproc_curlwp() == NULL);
    IS(lwproc_getpid(), 1);
    IS(lwproc_getlid(), 0);
}

/* Only what a kernel is made with. */
static inline void is_empty(void)
{
    struct lwproc_counts counts;

    OK(lwproc_count(&counts));
    IS(counts.procs, 2);
    IS(counts.lwps, 2);
    IS(counts.zombies, 0);
    IS(counts.ids, 2);
}

#endif
