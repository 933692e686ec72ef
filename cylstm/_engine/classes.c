/* classes.c: rows of probabilities of classes: their cross-entropy, and back through a softmax. Rows are
 * short: NumPy takes longer for a single sum along them. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O2") /* half the time of -Os */
#endif
#include "engine.h"

/* Sums have four chains, as each addition waits for the one before. What is NaN stays NaN. */
#define CLASSES(REAL)                                                                              \
    static inline REAL clip_##REAL(REAL x, REAL least)                                             \
    {                                                                                              \
        return x < least ? least : x > 1 - least ? 1 - least : x;                                  \
    }                                                                                              \
    static void classes_##REAL(int64_t rows, int64_t n, const REAL *p, const int64_t *numbers,     \
                               const REAL *dp, REAL least, int whole, REAL *out)                   \
    {                                                                                              \
        for (; rows > 0; rows--, p += n) {                                                         \
            REAL sums[4] = {0}, sum;                                                               \
            int64_t k = 0;                                                                         \
            if (dp) {                                                                              \
                for (; k + 4 <= n; k += 4)                                                         \
                    for (int c = 0; c < 4; c++)                                                    \
                        sums[c] += p[k + c] * dp[k + c];                                           \
                sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);                                   \
                for (; k < n; k++)                                                                 \
                    sum += p[k] * dp[k];                                                           \
                for (k = 0; k < n; k++)                                                            \
                    out[k] = p[k] * (dp[k] - sum);                                                 \
                dp += n;                                                                           \
                out += n;                                                                          \
                continue;                                                                          \
            }                                                                                      \
            for (; k + 4 <= n; k += 4)                                                             \
                for (int c = 0; c < 4; c++)                                                        \
                    sums[c] += clip_##REAL(p[k + c], least);                                       \
            sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);                                       \
            for (; k < n; k++)                                                                     \
                sum += clip_##REAL(p[k], least);                                                   \
            const int64_t chosen = *numbers++;                                                     \
            const REAL one = clip_##REAL(p[chosen], least);                                        \
            if (!whole) {                                                                          \
                *out++ = sum / one;                                                                \
                continue;                                                                          \
            }                                                                                      \
            sum = 1 / sum;                                                                         \
            for (k = 0; k < n; k++)                                                                \
                out[k] = p[k] >= least && p[k] <= 1 - least ? sum : 0 * sum;                       \
            if (one == p[chosen])                                                                  \
                out[chosen] -= 1 / one;                                                            \
            out += n;                                                                              \
        }                                                                                          \
    }

CLASSES(float)
CLASSES(double)

void lstm_classes(int is_double, int64_t rows, int64_t classes, const void *p,
                  const int64_t *numbers, const void *dp, double least, int whole, void *out)
{
    if (is_double)
        classes_double(rows, classes, p, numbers, dp, least, whole, out);
    else
        classes_float(rows, classes, p, numbers, dp, (float)least, whole, out);
}
