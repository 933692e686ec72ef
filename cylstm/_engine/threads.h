/* threads.h: one job on several threads.
 *
 * A pool starts no thread itself: a thread that the host made (a Python thread that released the
 * GIL) calls `lstm_pool_serve` and stays there until `lstm_pool_close`. So Python decides how many
 * threads there are, and the module needs no pthread_create (GLIBC 2.34 on a new Debian).
 *
 * Nobody ever waits for a thread that has not begun: what no server has taken, the caller does. So
 * a job ends even if no server runs any more, as in the child of a fork. A second caller finds the
 * pool taken and works alone.
 *
 * Or the threads are those of OpenMP, of another library of the process which has them: they serve a
 * pool while `lstm_pool_enter` runs. Two sets of threads would fight for the CPUs, as OpenMP's go on
 * spinning for milliseconds when their work is done.
 *
 * A server that has nothing to do spins for LSTM_SPIN pauses, 30 to 50 microseconds, in which the
 * next job reaches it at once, and then sleeps; waking it takes 10 to 110. A small job (not `eager`)
 * wakes it only where jobs follow each other so closely that it will stay awake. After a short team it
 * spins for longer, as rows come one by one: what Python does between two predictions takes 40 to 60.
 */
#ifndef CYLSTM_THREADS_H
#define CYLSTM_THREADS_H

#include <stdint.h>
#include "compiler.h"

#define LSTM_SPIN 2000
#define LSTM_MOST_THREADS 256 /* of a pool, with the caller */

typedef struct lstm_pool lstm_pool;

/* Threads that share one call: each computes some of the units and waits for the others once a
 * step. It pays for few rows, for which a step is as fast as its weights are read: each core then
 * reads a part of them. NULL: alone. */
typedef struct lstm_team {
    int members;
    int arrived, generation; /* of the barrier; start with zeros */
    int leave;               /* the generation after which all leave, or 0 */
    int apart;               /* in one step they need not meet, which takes 5 to 25 % less time: each
                              * member has a work space of its own; no state may be both an initial
                              * and a final one */
} lstm_team;

/* Waits until all members of the team are here. Returns, to all of them alike, whether to give up
 * sharing: one had to wait so long that another seems to have lost its core to somebody else. */
LSTM_HIDDEN int lstm_team_wait(lstm_team *team);

/* OpenMP's GOMP_parallel: job(context) on the caller and other threads, until all have returned */
typedef void (*lstm_parallel)(void (*job)(void *context), void *context, unsigned threads,
                              unsigned flags);

/* `parallel` NULL: a pool of threads that call `lstm_pool_serve`. NULL: no memory, or no threads on
 * this system. */
LSTM_HIDDEN lstm_pool *lstm_pool_open(lstm_parallel parallel, int threads);
/* job(context) in the caller, with the threads of OpenMP in the pool if it is one of theirs, and they
 * are awake or the job is `eager` */
LSTM_HIDDEN void lstm_pool_enter(lstm_pool *pool, void (*job)(void *context), void *context,
                                 int eager);
LSTM_HIDDEN void lstm_pool_serve(lstm_pool *pool); /* works until the pool is closed */
LSTM_HIDDEN void lstm_pool_close(lstm_pool *pool); /* lets the servers return, and waits for them */
LSTM_HIDDEN void
lstm_pool_free(lstm_pool *pool); /* a closed pool, or one that came through a fork */

/* job(context, part) for part = 0..parts-1, in any order and on any of the threads. `pool` NULL:
 * all in the caller. */
LSTM_HIDDEN void lstm_pool_run(lstm_pool *pool, int parts, void (*job)(void *context, int part),
                               void *context, int eager);

/* job(context, team, member) on at most `members` threads at once, as many as are there within 0.1
 * ms; `team` is NULL if the caller is alone, and for a while after a team had to leave. */
LSTM_HIDDEN void lstm_team_run(lstm_pool *pool, int members,
                               void (*job)(void *context, lstm_team *team, int member),
                               void *context, int eager);

/* Wakes sleeping threads for a team, and returns whether there were some that it needs; whether some
 * still sleep. Meanwhile the caller has better things to do than to wait for them. */
LSTM_HIDDEN int lstm_team_wake(lstm_pool *pool, int members);
LSTM_HIDDEN int lstm_team_missing(lstm_pool *pool, int members);

#endif
