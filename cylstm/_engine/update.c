/* update.c: updates of variables on several threads; and the gradient of rows that were looked up. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3") /* sums of rows in vectors: half the time of -Os */
#endif
#include <string.h>
#include "engine.h"
#include "memory.h"
#if LSTM_X86
#include <immintrin.h>
#endif

typedef struct sharing {
    const lstm_update *updates;
    int count, parts;
} sharing;

static void update_part(void *context, int part)
{
    const sharing *run = context;
    const uint64_t saved = lstm_flush_denormals();
    for (int i = 0; i < run->count; i++) {
        const lstm_update *u = &run->updates[i];
        const int64_t unit = u->indices ? u->width : LSTM_LINE; /* no line of memory is shared */
        const int64_t units = u->width ? (u->size + unit - 1) / unit : 0;
        const int64_t first = units * part / run->parts * unit;
        const int64_t last = units * (part + 1) / run->parts * unit;
        if (first < u->size)
            u->kernels->update(u, first, last < u->size ? last : u->size);
    }
    lstm_restore(saved);
#if LSTM_X86
    _mm_sfence(); /* what was stored past the caches is there for all threads */
#endif
}

void lstm_update_run(const lstm_update *updates, int count, lstm_pool *pool, int threads)
{
    sharing run = {updates, count, threads};
    lstm_pool_run(pool, threads, update_part, &run, 1);
}

int64_t lstm_sum_rows(int is_double, int64_t size, int64_t count, int64_t width,
                      const int64_t *indices, const void *rows, int64_t *place, int64_t *unique,
                      void *sums)
{
    int64_t found = 0;
    memset(place, 0, (size_t)size * sizeof *place);
    for (int64_t i = 0; i < count; i++)
        place[indices[i]] = 1;
    for (int64_t row = 0; row < size; row++)
        if (place[row]) {
            unique[found] = row;
            place[row] = found++;
        }
    memset(sums, 0, (size_t)(found * width) * (is_double ? 8 : 4));
    for (int64_t i = 0; i < count; i++) {
        const int64_t to = place[indices[i]] * width, from = i * width;
        if (is_double)
            for (int64_t j = 0; j < width; j++)
                ((double *)sums)[to + j] += ((const double *)rows)[from + j];
        else
            for (int64_t j = 0; j < width; j++)
                ((float *)sums)[to + j] += ((const float *)rows)[from + j];
    }
    return found;
}
