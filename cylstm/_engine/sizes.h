/* sizes.h: products and sums of sizes, for whatever decides how much memory is taken.
 *
 * What does not fit is LSTM_TOO_LARGE, and stays it: `lstm_take` has no memory for that. So nobody
 * between the shapes of a call and its work space has to look, and nothing is written before.
 * (An index into an array that exists needs no check: the product was checked when it was made.)
 */
#ifndef CYLSTM_SIZES_H
#define CYLSTM_SIZES_H

#include <stdint.h>

#define LSTM_TOO_LARGE INT64_MAX
#define LSTM_CACHE_LINE 64

/* a * b, of two sizes that are not negative */
static inline int64_t lstm_times(int64_t a, int64_t b)
{
#if defined(__GNUC__)
    int64_t product;
    return __builtin_mul_overflow(a, b, &product) ? LSTM_TOO_LARGE : product;
#else
    return b > 0 && a > INT64_MAX / b ? LSTM_TOO_LARGE : a * b;
#endif
}

/* a + b likewise */
static inline int64_t lstm_plus(int64_t a, int64_t b)
{
    return a > INT64_MAX - b ? LSTM_TOO_LARGE : a + b;
}

/* So many bytes in whole cache lines */
static inline int64_t lstm_lines(int64_t size)
{
    if (size > INT64_MAX - (LSTM_CACHE_LINE - 1))
        return LSTM_TOO_LARGE;
    return (size + LSTM_CACHE_LINE - 1) / LSTM_CACHE_LINE * LSTM_CACHE_LINE;
}

/* Work space that is laid out array by array; with `start` NULL only its size matters. */
typedef struct {
    char *start;
    int64_t size;
} lstm_layout;

/* The place of the next array */
static inline void *lstm_lay(lstm_layout *space, int64_t count, int64_t item)
{
    void *place = space->start ? space->start + space->size : 0;
    space->size = lstm_plus(space->size, lstm_lines(lstm_times(count, item)));
    return place;
}

#endif
