/* What one core can do: fused multiply-adds from registers, and reads of an array.

   Plain vectors of the compiler, as wide as the machine that it compiles for. */

#include <stddef.h>

#if defined(__AVX512F__)
#define WIDTH 64
#elif defined(__AVX__)
#define WIDTH 32
#else
#define WIDTH 16
#endif

typedef float floats __attribute__((vector_size(WIDTH)));
typedef double doubles __attribute__((vector_size(WIDTH)));
typedef long long words __attribute__((vector_size(WIDTH)));

/* Enough independent chains to hide the latency of two units, few enough for 16 registers. */
#define CHAINS 10

#define FMA(NAME, VECTOR, REAL)                                                      \
    double NAME(long repeats, REAL factor, REAL term)                                \
    {                                                                                \
        const VECTOR a = (VECTOR){0} + factor, b = (VECTOR){0} + term;               \
        VECTOR chain[CHAINS], sum = (VECTOR){0};                                     \
        for (int k = 0; k < CHAINS; k++)                                             \
            chain[k] = b * (REAL)k;                                                  \
        for (long r = 0; r < repeats; r++)                                           \
            for (int k = 0; k < CHAINS; k++)                                         \
                chain[k] = chain[k] * a + b;                                         \
        for (int k = 0; k < CHAINS; k++)                                             \
            sum += chain[k];                                                         \
        return (double)sum[0];                                                       \
    }

FMA(fma_float32, floats, float)
FMA(fma_float64, doubles, double)

/* The floating-point operations of one repeat. */
int fma_float32_operations(void) { return 2 * CHAINS * WIDTH / 4; }
int fma_float64_operations(void) { return 2 * CHAINS * WIDTH / 8; }

/* Read an array, of a multiple of 8 vectors and aligned to one, again and again. */
long long read_all(const void *array, size_t bytes, long repeats)
{
    const words *const vectors = array;
    const size_t n = bytes / WIDTH;
    words sums[8] = {{0}}, sum = {0};
    for (long r = 0; r < repeats; r++) {
        for (size_t i = 0; i < n; i += 8)
            for (int k = 0; k < 8; k++)
                sums[k] ^= vectors[i + k];
        __asm__ volatile("" ::: "memory");
    }
    for (int k = 0; k < 8; k++)
        sum ^= sums[k];
    return sum[0];
}
