/* isa/generic.h: vectors of 16 bytes in the compiler's own terms: SSE2, NEON; without them (MSVC) a
 * "vector" is a single number. And what a header of this folder has to define:
 *
 *   LSTM_TARGET  the attribute by which the compiler uses the instructions
 *   PANEL        how many vectors of packed weights stand side by side. A tile of 6 rows has 6 PANEL
 *                accumulators, which together with PANEL weights and a broadcast fill the registers:
 *                29 of the 32 of AVX-512, 15 of the 16 of AVX2.
 *   HAS_FMA      whether vec_fma rounds once
 *   vec_stream   stores past the caches, where that can be had: to an address that a vector's size divides
 *   LANES, vec   a vector of that many REAL; a + b, a - b, a * b, a / b, -a are the compiler's own
 *                operators, so that only what they cannot say is a function
 *
 * A header may include another one, and define LSTM_TARGET or a function anew.
 *
 * vec_min, vec_max: the result is the second argument if one is NaN, so `vec_min(limit, x)` lets a
 * NaN in x pass.
 */

#define HAS_FMA 0
#define LSTM_TARGET
#if defined(__aarch64__)
#define PANEL 4
#else
#define PANEL 2
#endif
#if defined(__GNUC__) || defined(__clang__)
#define LANES (16 / (int)sizeof(REAL))
typedef REAL vec __attribute__((vector_size(16)));
typedef BITS vec_bits __attribute__((vector_size(16)));
#define SELECT(condition, yes, no)                                                                 \
    ((vec)(((vec_bits)(yes) & (condition)) | ((vec_bits)(no) & ~(condition))))
#define AS_BITS(a) ((vec_bits)(a))
#define AS_REAL(bits) ((vec)(bits))
#define LANE(a, lane) (a)[lane]
#else
#define LANES 1
typedef REAL vec;
typedef BITS vec_bits;
#define SELECT(condition, yes, no) ((condition) ? (yes) : (no))
INLINE BITS as_bits(REAL a)
{
    BITS b;
    memcpy(&b, &a, sizeof b);
    return b;
}
INLINE REAL as_real(BITS b)
{
    REAL a;
    memcpy(&a, &b, sizeof a);
    return a;
}
#define AS_BITS(a) as_bits(a)
#define AS_REAL(bits) as_real(bits)
#define LANE(a, lane) (a)
#endif
#if LSTM_DOUBLE
#define EXPONENT_SHIFT 52
#define SIGN_BIT INT64_MIN
#else
#define EXPONENT_SHIFT 23
#define SIGN_BIT INT32_MIN
#endif

INLINE vec vec_set1(REAL a) { return a - (vec){0}; }
INLINE vec vec_load(const REAL *p)
{
    vec a;
    memcpy(&a, p, sizeof a);
    return a;
}
INLINE void vec_store(REAL *p, vec a) { memcpy(p, &a, sizeof a); }
INLINE void vec_stream(REAL *p, vec a) { vec_store(p, a); }
INLINE vec vec_load_some(const REAL *p, int64_t n)
{
    vec a = {0};
    if (n == LANES)
        return vec_load(p);
    memcpy(&a, p, (size_t)n * sizeof *p);
    return a;
}
INLINE void vec_store_some(REAL *p, vec a, int64_t n) { memcpy(p, &a, (size_t)n * sizeof *p); }
INLINE vec vec_fma(vec a, vec b, vec c) { return a * b + c; }
INLINE vec vec_fnma(vec a, vec b, vec c) { return c - a * b; }
INLINE vec vec_sqrt(vec a)
{
    REAL each[LANES];
    memcpy(each, &a, sizeof a);
    for (int i = 0; i < LANES; i++)
        each[i] = LSTM_DOUBLE ? (REAL)sqrt(each[i]) : (REAL)sqrtf((float)each[i]);
    memcpy(&a, each, sizeof a);
    return a;
}
INLINE vec vec_min(vec a, vec b) { return SELECT(a < b, a, b); }
INLINE vec vec_max(vec a, vec b) { return SELECT(a > b, a, b); }
INLINE vec vec_abs(vec a) { return AS_REAL(AS_BITS(a) & ~SIGN_BIT); }
INLINE vec vec_sign_of(vec a, vec size) { return AS_REAL((AS_BITS(a) & SIGN_BIT) | AS_BITS(size)); }
INLINE vec vec_positive(vec a, vec yes, vec no) { return SELECT(a > (vec){0}, yes, no); }
INLINE vec vec_by_sign(vec a, vec negative, vec other) { return SELECT(AS_BITS(a) < 0, negative, other); }
INLINE vec vec_power_of_two(vec shifted)
{
    return AS_REAL(AS_BITS(shifted) << EXPONENT_SHIFT);
}
/* LANES vectors as the rows of a square: its columns */
INLINE void vec_transpose(vec *square)
{
    LSTM_UNROLL
    for (int i = 0; i < LANES; i++)
        LSTM_UNROLL
    for (int j = 0; j < i; j++) {
        const REAL a = LANE(square[i], j);
        LANE(square[i], j) = LANE(square[j], i);
        LANE(square[j], i) = a;
    }
}
