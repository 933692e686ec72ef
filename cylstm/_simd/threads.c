/* threads.c: see threads.h. Needs GNU atomics and POSIX threads; elsewhere everything runs in the
 * caller. */
#include "threads.h"

#if defined(__GNUC__) && !defined(_WIN32)

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#define LOAD(place) __atomic_load_n(&(place), __ATOMIC_ACQUIRE)
#define STORE(place, value) __atomic_store_n(&(place), (value), __ATOMIC_RELEASE)
#define ADD(place, value) __atomic_fetch_add(&(place), (value), __ATOMIC_ACQ_REL)

struct lstm_pool {
    /* One job: epoch << 32 | parts << 16 | parts taken. A part is taken by compare-and-swap of the
     * whole word, so that a server that wakes late cannot take a part of another job than the one
     * it saw. */
    uint64_t word;
    void (*job)(void *, int);
    void *context;
    int done; /* finished parts */
    int busy; /* a caller owns the pool */
    int servers, sleepers, closed;
    int forks; /* how many forks lay behind when the pool was opened */
    pthread_mutex_t mutex;
    pthread_cond_t wake;
};

static int forks; /* in this process's line of parents */
static void count_fork(void) { forks++; }

static void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Called in a loop that waits for another thread: after LSTM_SPIN rounds the core is offered to
 * others. */
static void wait_round(int *round)
{
    if (++*round < LSTM_SPIN)
        pause_briefly();
    else
        sched_yield();
}

lstm_pool *lstm_pool_open(void)
{
    static int watched; /* not pthread_once, which needs GLIBC 2.34 */
    lstm_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return NULL;
    if (!__atomic_exchange_n(&watched, 1, __ATOMIC_ACQ_REL))
        pthread_atfork(NULL, NULL, count_fork);
    pool->forks = forks;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    return pool;
}

static int parts_left(uint64_t word) { return (word & 0xffff) < (word >> 16 & 0xffff); }

/* Does parts of the current job as long as there are any. */
static void take_parts(lstm_pool *pool)
{
    uint64_t word = LOAD(pool->word);
    while (parts_left(word)) {
        if (!__atomic_compare_exchange_n(&pool->word, &word, word + 1, 0, __ATOMIC_ACQ_REL,
                                         __ATOMIC_ACQUIRE))
            continue;
        pool->job(pool->context, (int)(word & 0xffff));
        ADD(pool->done, 1);
        word = LOAD(pool->word);
    }
}

void lstm_pool_serve(lstm_pool *pool)
{
    ADD(pool->servers, 1);
    while (!LOAD(pool->closed)) {
        take_parts(pool);
        for (int i = 0; i < LSTM_SPIN && !parts_left(LOAD(pool->word)) && !LOAD(pool->closed); i++)
            pause_briefly();
        if (parts_left(LOAD(pool->word)) || LOAD(pool->closed))
            continue;
        pthread_mutex_lock(&pool->mutex);
        pool->sleepers++;
        while (!parts_left(LOAD(pool->word)) && !pool->closed)
            pthread_cond_wait(&pool->wake, &pool->mutex);
        pool->sleepers--;
        pthread_mutex_unlock(&pool->mutex);
    }
    ADD(pool->servers, -1);
}

void lstm_pool_close(lstm_pool *pool)
{
    if (pool->forks != forks)
        return;
    pthread_mutex_lock(&pool->mutex);
    STORE(pool->closed, 1);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
    for (int round = 0; LOAD(pool->servers);)
        wait_round(&round);
}

void lstm_pool_free(lstm_pool *pool) { free(pool); }

void lstm_pool_run(lstm_pool *pool, int parts, void (*job)(void *, int), void *context)
{
    int expected = 0;
    if (!pool || parts < 2 || parts > 0xffff || pool->forks != forks || !LOAD(pool->servers) ||
        !__atomic_compare_exchange_n(&pool->busy, &expected, 1, 0, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE)) {
        for (int part = 0; part < parts; part++)
            job(context, part);
        return;
    }
    pool->job = job;
    pool->context = context;
    pool->done = 0;
    /* the caller takes part 0 here; the lock keeps a server from falling asleep between its look
     * and its sleep */
    pthread_mutex_lock(&pool->mutex);
    STORE(pool->word, ((pool->word >> 32) + 1) << 32 | (uint64_t)parts << 16 | 1);
    if (pool->sleepers)
        pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
    job(context, 0);
    ADD(pool->done, 1);
    take_parts(pool);
    for (int round = 0; LOAD(pool->done) < parts;)
        wait_round(&round);
    STORE(pool->busy, 0);
}

/* A team gathers before it works, as its members wait for each other. */
typedef struct {
    lstm_team team;
    void (*job)(void *, lstm_team *, int);
    void *context;
    int wanted;
    int joined; /* servers that came; CLOSED added when the caller begins */
    int ready;
} gathering;

#define CLOSED 0x10000

static void join_team(void *context, int part)
{
    gathering *g = context;
    int round = 0;
    if (part > 0) {
        int member = ADD(g->joined, 1) + 1;
        if (member >= CLOSED)
            return;
        while (!LOAD(g->ready))
            wait_round(&round);
        g->job(g->context, &g->team, member);
        return;
    }
    for (round = 0; round < 3 * LSTM_SPIN && LOAD(g->joined) < g->wanted - 1; round++)
        pause_briefly();
    g->team.members = (__atomic_fetch_or(&g->joined, CLOSED, __ATOMIC_ACQ_REL) & (CLOSED - 1)) + 1;
    STORE(g->ready, 1);
    g->job(g->context, g->team.members > 1 ? &g->team : NULL, 0);
}

void lstm_team_run(lstm_pool *pool, int members, void (*job)(void *, lstm_team *, int),
                   void *context)
{
    gathering g = {{1, 0, 0}, job, context, members, 0, 0};
    if (!pool || members < 2 || pool->forks != forks || !LOAD(pool->servers) || LOAD(pool->busy)) {
        job(context, NULL, 0);
        return;
    }
    lstm_pool_run(pool, members, join_team, &g);
}

void lstm_team_wait(lstm_team *team)
{
    const int generation = LOAD(team->generation);
    if (ADD(team->arrived, 1) + 1 == team->members) {
        STORE(team->arrived, 0);
        STORE(team->generation, generation + 1);
        return;
    }
    for (int round = 0; LOAD(team->generation) == generation;)
        wait_round(&round);
}

#else

lstm_pool *lstm_pool_open(void) { return NULL; }
void lstm_pool_serve(lstm_pool *pool) { (void)pool; }
void lstm_pool_close(lstm_pool *pool) { (void)pool; }
void lstm_pool_free(lstm_pool *pool) { (void)pool; }
void lstm_pool_run(lstm_pool *pool, int parts, void (*job)(void *, int), void *context)
{
    (void)pool;
    for (int part = 0; part < parts; part++)
        job(context, part);
}
void lstm_team_run(lstm_pool *pool, int members, void (*job)(void *, lstm_team *, int),
                   void *context)
{
    (void)pool;
    (void)members;
    job(context, NULL, 0);
}
void lstm_team_wait(lstm_team *team) { (void)team; }

#endif
