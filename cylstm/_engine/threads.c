/* threads.c: see threads.h. Needs GNU atomics and POSIX threads; elsewhere everything runs in the
 * caller. */
#if defined(__linux__)
#define _GNU_SOURCE /* sched_setaffinity */
#endif
#include <stddef.h>
#include "threads.h"
#include "claim.h"

#if defined(__GNUC__) && !defined(_WIN32)

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#define LOAD(place) __atomic_load_n(&(place), __ATOMIC_ACQUIRE)
#define STORE(place, value) __atomic_store_n(&(place), (value), __ATOMIC_RELEASE)
#define ADD(place, value) __atomic_fetch_add(&(place), (value), __ATOMIC_ACQ_REL)

#define MOST_SERVERS LSTM_MOST_THREADS

/* A server that sleeps, under the mutex of the pool. */
typedef struct {
    int thread; /* as the system numbers it; 0: none */
    int moved;  /* whether it has to set `cpus` when it wakes */
#if defined(__linux__)
    cpu_set_t cpus;
#endif
} sleeper;

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
    lstm_parallel parallel; /* OpenMP's entry, whose threads serve, or NULL */
    unsigned threads;       /* how many of them, with the caller */
    char entered;           /* a caller has them */
    int left_it, came;      /* how many have returned, and how many came the last time */
    int forks;     /* how many forks lay behind when the pool was opened */
    int64_t ended; /* when the last job did, in nanoseconds */
    int row;       /* how many jobs have begun shortly after the one before */
    int64_t left, rest; /* when a team had to leave, and how long there is to be none after it */
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    sleeper asleep[MOST_SERVERS];
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

/* Each LOOP small jobs in a row wake the servers; if they are not there after AWAITED of them,
 * somebody else has their cores. */
#define LOOP 8
#define AWAITED 64
/* In nanoseconds: less than a server spins before it sleeps; */
#define SHORTLY 15000
/* less than a thread of OpenMP does (GNU's: some milliseconds); */
#define OPENMP_SPINS 1000000
/* how long a member of a team waits until it says that another one has lost its core (a virtual
 * machine takes one away for 0.1 to 1 ms some ten times a second even when it has nothing to do); */
#define LATE 1000000
/* and how long there is no team after that: at first, and at most. */
#define FIRST_REST 5000000
#define LAST_REST 1000000000
/* A server that was in a team spins as long as that took, if it was not longer than this: for longer
 * ones waking it is not much, and maybe it had no core. (Spinning after other jobs too is no gain: an
 * epoch of `fit` on two threads took 1.03 to 1.05 times the time.) */
#define SHORT_TEAM 300000

static int64_t nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * (int64_t)1000000000 + now.tv_nsec;
}

lstm_pool *lstm_pool_open(lstm_parallel parallel, int threads)
{
    static int watched; /* not pthread_once, which needs GLIBC 2.34 */
    lstm_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return NULL;
    if (!__atomic_exchange_n(&watched, 1, __ATOMIC_ACQ_REL))
        pthread_atfork(NULL, NULL, count_fork);
    pool->forks = forks;
    pool->parallel = parallel;
    pool->closed = parallel != NULL;
    pool->threads = (unsigned)threads;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    return pool;
}

static int parts_left(uint64_t word) { return (word & 0xffff) < (word >> 16 & 0xffff); }

static void join_team(void *context, int part);

/* Does parts of the current job as long as there are any. Returns whether it was in a team. */
static int take_parts(lstm_pool *pool)
{
    uint64_t word = LOAD(pool->word);
    int together = 0;
    while (parts_left(word)) {
        if (!__atomic_compare_exchange_n(&pool->word, &word, word + 1, 0, __ATOMIC_ACQ_REL,
                                         __ATOMIC_ACQUIRE))
            continue;
        together = pool->job == join_team;
        pool->job(pool->context, (int)(word & 0xffff));
        ADD(pool->done, 1);
        word = LOAD(pool->word);
    }
    return together;
}

/* Linux may put a thread that wakes on the very core of the one that wakes it, where it waits for
 * milliseconds while another core is idle: a virtual machine takes an idle core for one that the
 * host has taken away. So the waker keeps sleepers off its own core, and they undo that at once. */
static void keep_off_this_core(lstm_pool *pool)
{
#if defined(__linux__)
    const int here = sched_getcpu();
    for (int i = 0; i < MOST_SERVERS && here >= 0; i++) {
        sleeper *s = &pool->asleep[i];
        cpu_set_t others;
        if (!s->thread || s->moved || sched_getaffinity(s->thread, sizeof s->cpus, &s->cpus))
            continue;
        others = s->cpus;
        CPU_CLR((size_t)here, &others);
        s->moved = CPU_COUNT(&others) && !sched_setaffinity(s->thread, sizeof others, &others);
    }
#else
    (void)pool;
#endif
}

static void sleep_until_woken(lstm_pool *pool)
{
    int place = 0, moved = 0;
    pthread_mutex_lock(&pool->mutex);
    while (place < MOST_SERVERS - 1 && pool->asleep[place].thread)
        place++;
#if defined(__linux__)
    cpu_set_t cpus;
    pool->asleep[place] = (sleeper){(int)syscall(SYS_gettid), 0, {{0}}};
#endif
    ADD(pool->sleepers, 1);
    /* even if the job is done when it wakes, it stays awake for the next one */
    if (!parts_left(LOAD(pool->word)) && !pool->closed)
        pthread_cond_wait(&pool->wake, &pool->mutex);
    ADD(pool->sleepers, -1);
#if defined(__linux__)
    moved = pool->asleep[place].moved;
    cpus = pool->asleep[place].cpus;
#endif
    pool->asleep[place].thread = 0;
    pthread_mutex_unlock(&pool->mutex);
#if defined(__linux__)
    if (moved)
        sched_setaffinity(0, sizeof cpus, &cpus);
#endif
}

void lstm_pool_serve(lstm_pool *pool)
{
    ADD(pool->servers, 1);
    while (!LOAD(pool->closed)) {
        const int64_t begun = nanoseconds();
        const int together = take_parts(pool);
        const int64_t now = nanoseconds();
        const int64_t until = together && now - begun < SHORT_TEAM ? 2 * now - begun : now;
        for (int i = 0; i < LSTM_SPIN || nanoseconds() < until; i++) {
            if (parts_left(LOAD(pool->word)) || LOAD(pool->closed))
                break;
            pause_briefly();
        }
        if (!parts_left(LOAD(pool->word)) && !LOAD(pool->closed))
            sleep_until_woken(pool);
    }
    ADD(pool->servers, -1);
}

/* Servers return when they have finished their parts. */
static void dismiss(lstm_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    STORE(pool->closed, 1);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
}

void lstm_pool_close(lstm_pool *pool)
{
    if (pool->forks != forks)
        return;
    dismiss(pool);
    for (int round = 0; LOAD(pool->servers);)
        wait_round(&round);
}

void lstm_pool_free(lstm_pool *pool) { free(pool); }

typedef struct {
    lstm_pool *pool;
    pthread_t caller;
    void (*job)(void *);
    void *context;
    int asleep; /* whether OpenMP's threads are likely to be */
} entrance;

/* Waits until as many have come, or have left, as did the last time. A thread that wakes may have been
 * put on this core, see keep_off_this_core: OpenMP's cannot be kept off, but the caller sleeps for a
 * moment and lets it in. With all that spins in its place, as OpenMP at the end of a region, it is
 * let in after 4 to 8 ms. */
static void let_in(const lstm_pool *pool, const int *number)
{
    const struct timespec moment = {0, 1000};
    for (int round = 0; round < LSTM_SPIN + 20 && LOAD(*number) < pool->came; round++)
        if (round < LSTM_SPIN)
            pause_briefly();
        else
            nanosleep(&moment, NULL);
}

static void enter(void *context)
{
    const entrance *e = context;
    lstm_pool *pool = e->pool;
    if (!pthread_equal(pthread_self(), e->caller)) {
        lstm_pool_serve(pool);
        ADD(pool->left_it, 1);
        return;
    }
    if (e->asleep)
        let_in(pool, &pool->servers);
    e->job(e->context);
    dismiss(pool);
    let_in(pool, &pool->left_it);
}

void lstm_pool_enter(lstm_pool *pool, void (*job)(void *), void *context, int eager)
{
    entrance e = {pool, pthread_self(), job, context, 0};
    if (pool && pool->parallel)
        e.asleep = nanoseconds() - LOAD(pool->ended) > OPENMP_SPINS;
    if (!pool || !pool->parallel || pool->forks != forks || (e.asleep && !eager) ||
        !lstm_claim(&pool->entered)) {
        job(context);
    } else {
        STORE(pool->closed, 0);
        pool->left_it = 0;
        pool->parallel(enter, &e, pool->threads, 0);
        pool->came = pool->left_it;
        lstm_release(&pool->entered);
    }
    if (pool)
        STORE(pool->ended, nanoseconds());
}

/* Whether somebody else needed the servers' cores a short time ago. */
static int is_resting(const lstm_pool *pool)
{
    const int64_t rest = LOAD(pool->rest);
    return rest && nanoseconds() - LOAD(pool->left) < rest;
}

/* A server has no core, or has lost it: there is a rest, a longer one if that happens again soon. */
static void note_late(lstm_pool *pool)
{
    const int64_t now = nanoseconds(), last = LOAD(pool->rest);
    const int64_t next = 4 * last < LAST_REST ? 4 * last : LAST_REST;
    const int again = last && now - LOAD(pool->left) < 2 * last;
    STORE(pool->rest, again ? next : FIRST_REST);
    STORE(pool->left, now);
}

/* Whether the servers are to be called for a job. The answer may be out of date: it only saves
 * time. */
static int is_worth_calling(lstm_pool *pool, int eager)
{
    int row;
    if (!pool || pool->forks != forks || LOAD(pool->busy))
        return 0;
    if (pool->parallel) /* they are awake, or about to be */
        return !LOAD(pool->closed);
    if (!LOAD(pool->servers))
        return 0;
    if (eager)
        return 1;
    if (is_resting(pool))
        return 0;
    if (LOAD(pool->sleepers) < LOAD(pool->servers))
        return 1;
    if (nanoseconds() - LOAD(pool->ended) > SHORTLY) {
        STORE(pool->row, 0);
        return 0;
    }
    row = ADD(pool->row, 1) + 1;
    if (row > AWAITED) {
        STORE(pool->row, 0);
        note_late(pool);
    }
    return row % LOOP == 0;
}

/* How many more servers are to wake for a team. */
static int count_missing(lstm_pool *pool, int members)
{
    const int sleepers = LOAD(pool->sleepers);
    const int missing = members - 1 - (LOAD(pool->servers) - sleepers);
    return missing < sleepers ? missing : sleepers;
}

int lstm_team_missing(lstm_pool *pool, int members) { return count_missing(pool, members) > 0; }

int lstm_team_wake(lstm_pool *pool, int members)
{
    int missing;
    if (!pool || pool->forks != forks || count_missing(pool, members) <= 0 || is_resting(pool))
        return 0;
    pthread_mutex_lock(&pool->mutex);
    missing = count_missing(pool, members);
    keep_off_this_core(pool);
    for (int i = 0; i < missing; i++)
        pthread_cond_signal(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
    return missing > 0;
}

/* All parts, with the servers. Returns 0, and nothing is done, if another caller has them. */
static int share(lstm_pool *pool, int parts, void (*job)(void *, int), void *context)
{
    int expected = 0;
    int64_t since = 0;
    if (!__atomic_compare_exchange_n(&pool->busy, &expected, 1, 0, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE))
        return 0;
    pool->job = job;
    pool->context = context;
    pool->done = 0;
    /* the caller takes part 0 here; the lock keeps a server from falling asleep between its look
     * and its sleep */
    pthread_mutex_lock(&pool->mutex);
    STORE(pool->word, ((pool->word >> 32) + 1) << 32 | (uint64_t)parts << 16 | 1);
    if (LOAD(pool->sleepers)) {
        keep_off_this_core(pool);
        pthread_cond_broadcast(&pool->wake);
    }
    pthread_mutex_unlock(&pool->mutex);
    job(context, 0);
    ADD(pool->done, 1);
    take_parts(pool);
    for (int round = 0; LOAD(pool->done) < parts;) {
        wait_round(&round);
        if (round >= LSTM_SPIN && !since)
            since = nanoseconds();
    }
    if (since && nanoseconds() - since > LATE)
        note_late(pool);
    STORE(pool->busy, 0);
    return 1;
}

void lstm_pool_run(lstm_pool *pool, int parts, void (*job)(void *, int), void *context, int eager)
{
    if (parts < 2 || parts > 0xffff || !is_worth_calling(pool, eager) ||
        !share(pool, parts, job, context))
        for (int part = 0; part < parts; part++)
            job(context, part);
    if (pool && !eager)
        STORE(pool->ended, nanoseconds());
}

/* A team gathers before it works, as its members wait for each other. */
typedef struct {
    lstm_team team;
    void (*job)(void *, lstm_team *, int);
    void *context;
    int wanted;
    int patience; /* for how many pauses the caller waits for servers */
    int joined;   /* servers that came; CLOSED added when the caller begins */
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
    for (round = 0; round < g->patience && LOAD(g->joined) < g->wanted - 1; round++)
        pause_briefly();
    g->team.members = (__atomic_fetch_or(&g->joined, CLOSED, __ATOMIC_ACQ_REL) & (CLOSED - 1)) + 1;
    STORE(g->ready, 1);
    g->job(g->context, g->team.members > 1 ? &g->team : NULL, 0);
}

void lstm_team_run(lstm_pool *pool, int members, void (*job)(void *, lstm_team *, int),
                   void *context, int eager)
{
    gathering g = {{1, 0, 0, 0, 0}, job, context, members, LSTM_SPIN / 10, 0, 0};
    int alone = 1;
    if (members > 1 && is_worth_calling(pool, eager) && !is_resting(pool)) {
        if (LOAD(pool->sleepers) || LOAD(pool->servers) < members - 1)
            g.patience = 3 * LSTM_SPIN;
        alone = !share(pool, members, join_team, &g);
    }
    if (alone)
        job(context, NULL, 0);
    else if (g.team.leave)
        note_late(pool);
    if (pool && !eager)
        STORE(pool->ended, nanoseconds());
}

int lstm_team_wait(lstm_team *team)
{
    const int generation = LOAD(team->generation);
    int leave;
    if (team->apart)
        return 0;
    if (ADD(team->arrived, 1) + 1 == team->members) {
        STORE(team->arrived, 0);
        STORE(team->generation, generation + 1);
    } else {
        int64_t since = 0;
        for (int round = 0; LOAD(team->generation) == generation;) {
            wait_round(&round);
            if (round >= LSTM_SPIN && !since)
                since = nanoseconds();
        }
        /* It takes effect one generation later, when all have seen it. */
        if (since && nanoseconds() - since > LATE && !LOAD(team->leave))
            STORE(team->leave, generation + 2);
    }
    leave = LOAD(team->leave);
    return leave && leave <= generation + 1;
}

#else

lstm_pool *lstm_pool_open(lstm_parallel parallel, int threads)
{
    (void)parallel;
    (void)threads;
    return NULL;
}
void lstm_pool_enter(lstm_pool *pool, void (*job)(void *), void *context, int eager)
{
    (void)pool;
    (void)eager;
    job(context);
}
void lstm_pool_serve(lstm_pool *pool) { (void)pool; }
void lstm_pool_close(lstm_pool *pool) { (void)pool; }
void lstm_pool_free(lstm_pool *pool) { (void)pool; }
void lstm_pool_run(lstm_pool *pool, int parts, void (*job)(void *, int), void *context, int eager)
{
    (void)pool;
    (void)eager;
    for (int part = 0; part < parts; part++)
        job(context, part);
}
void lstm_team_run(lstm_pool *pool, int members, void (*job)(void *, lstm_team *, int),
                   void *context, int eager)
{
    (void)pool;
    (void)members;
    (void)eager;
    job(context, NULL, 0);
}
int lstm_team_wake(lstm_pool *pool, int members)
{
    (void)pool;
    (void)members;
    return 0;
}
int lstm_team_missing(lstm_pool *pool, int members) { return lstm_team_wake(pool, members); }
int lstm_team_wait(lstm_team *team)
{
    (void)team;
    return 0;
}

#endif
