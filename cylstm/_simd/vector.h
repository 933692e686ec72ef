/* vector.h: one vector of LANES elements, the same few operations on every instruction set.
 *
 * a + b, a - b, a * b, a / b, -a are the compiler's own operators, which GCC and clang define for
 * vector types; without them (MSVC) a "vector" is a single number and the same source is plain
 * scalar C. Only what operators cannot say is a function here.
 *
 * min, max: the result is the second argument if one is NaN, so `vec_min(limit, x)` lets a NaN in x
 * pass.
 */

#undef REAL
#undef LANES
#undef PANEL
#undef LSTM_TARGET
#undef BITS

#if LSTM_DOUBLE
#define REAL double
#define BITS int64_t
#else
#define REAL float
#define BITS int32_t
#endif

/* PANEL: how many vectors of packed weights stand side by side. A tile of 6 rows has 6 PANEL
 * accumulators, which together with PANEL weights and a broadcast fill the 32 registers of AVX-512
 * (29) or the 16 of AVX2 (15). */

#if LSTM_LEVEL ==                                                                                  \
    2 /* ------------------------------------------------------------------------- AVX-512 */

#define LSTM_TARGET __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")))
#define PANEL 4
#if LSTM_DOUBLE
#define LANES 8
#define MM(operation) _mm512_##operation##_pd
#define MASK __mmask8
#define EXPONENT_ONE 0x3ff0000000000000LL
typedef __m512d vec;
#else
#define LANES 16
#define MM(operation) _mm512_##operation##_ps
#define MASK __mmask16
#define EXPONENT_ONE 0x3f800000
typedef __m512 vec;
#endif

INLINE vec vec_set1(REAL a) { return MM(set1)(a); }
INLINE vec vec_load(const REAL *p) { return MM(loadu)(p); }
INLINE void vec_store(REAL *p, vec a) { MM(storeu)(p, a); }
INLINE vec vec_load_some(const REAL *p, int64_t n)
{
    return MM(maskz_loadu)((MASK)((1u << n) - 1), p);
}
INLINE void vec_store_some(REAL *p, vec a, int64_t n)
{
    MM(mask_storeu)(p, (MASK)((1u << n) - 1), a);
}
INLINE vec vec_fma(vec a, vec b, vec c) { return MM(fmadd)(a, b, c); }
INLINE vec vec_fnma(vec a, vec b, vec c) { return MM(fnmadd)(a, b, c); }
INLINE vec vec_min(vec a, vec b) { return MM(min)(a, b); }
INLINE vec vec_max(vec a, vec b) { return MM(max)(a, b); }
INLINE vec vec_abs(vec a) { return MM(andnot)(MM(set1)((REAL)-0.0), a); }
/* size with the sign of a; size must not be negative */
INLINE vec vec_sign_of(vec a, vec size) { return MM(or)(MM (and)(MM(set1)((REAL)-0.0), a), size); }
/* a > 0 ? yes : no, lane by lane */
INLINE vec vec_positive(vec a, vec yes, vec no)
{
#if LSTM_DOUBLE
    return _mm512_mask_blend_pd(_mm512_cmp_pd_mask(a, _mm512_setzero_pd(), _CMP_GT_OQ), no, yes);
#else
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, _mm512_setzero_ps(), _CMP_GT_OQ), no, yes);
#endif
}
/* 2^n, where n is what `shifted` = n + 1.5 * 2^(mantissa bits) holds in its low bits */
INLINE vec vec_power_of_two(vec shifted)
{
#if LSTM_DOUBLE
    __m512i n = _mm512_castpd_si512(shifted);
    return _mm512_castsi512_pd(
        _mm512_add_epi64(_mm512_slli_epi64(n, 52), _mm512_set1_epi64(EXPONENT_ONE)));
#else
    __m512i n = _mm512_castps_si512(shifted);
    return _mm512_castsi512_ps(
        _mm512_add_epi32(_mm512_slli_epi32(n, 23), _mm512_set1_epi32(EXPONENT_ONE)));
#endif
}

#undef MASK

#elif LSTM_LEVEL ==                                                                                \
    1 /* --------------------------------------------------------------------------- AVX2 */

#define LSTM_TARGET __attribute__((target("avx2,fma")))
#define PANEL 2
#if LSTM_DOUBLE
#define LANES 4
#define MM(operation) _mm256_##operation##_pd
#define EXPONENT_ONE 0x3ff0000000000000LL
typedef __m256d vec;
#else
#define LANES 8
#define MM(operation) _mm256_##operation##_ps
#define EXPONENT_ONE 0x3f800000
typedef __m256 vec;
#endif

INLINE __m256i vec_bits(int64_t n) /* the first n lanes */
{
#if LSTM_DOUBLE
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
#else
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
#endif
}
INLINE vec vec_set1(REAL a) { return MM(set1)(a); }
INLINE vec vec_load(const REAL *p) { return MM(loadu)(p); }
INLINE void vec_store(REAL *p, vec a) { MM(storeu)(p, a); }
INLINE vec vec_load_some(const REAL *p, int64_t n) { return MM(maskload)(p, vec_bits(n)); }
INLINE void vec_store_some(REAL *p, vec a, int64_t n) { MM(maskstore)(p, vec_bits(n), a); }
INLINE vec vec_fma(vec a, vec b, vec c) { return MM(fmadd)(a, b, c); }
INLINE vec vec_fnma(vec a, vec b, vec c) { return MM(fnmadd)(a, b, c); }
INLINE vec vec_min(vec a, vec b) { return MM(min)(a, b); }
INLINE vec vec_max(vec a, vec b) { return MM(max)(a, b); }
INLINE vec vec_abs(vec a) { return MM(andnot)(MM(set1)((REAL)-0.0), a); }
INLINE vec vec_sign_of(vec a, vec size) { return MM(or)(MM (and)(MM(set1)((REAL)-0.0), a), size); }
INLINE vec vec_positive(vec a, vec yes, vec no)
{
    return MM(blendv)(no, yes, MM(cmp)(a, MM(set1)((REAL)0), _CMP_GT_OQ));
}
INLINE vec vec_power_of_two(vec shifted)
{
#if LSTM_DOUBLE
    __m256i n = _mm256_castpd_si256(shifted);
    return _mm256_castsi256_pd(
        _mm256_add_epi64(_mm256_slli_epi64(n, 52), _mm256_set1_epi64x(EXPONENT_ONE)));
#else
    __m256i n = _mm256_castps_si256(shifted);
    return _mm256_castsi256_ps(
        _mm256_add_epi32(_mm256_slli_epi32(n, 23), _mm256_set1_epi32(EXPONENT_ONE)));
#endif
}

#else /* ----------------------------------------------- generic: SSE2, NEON, or one number at a   \
         time */

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
#else
#define LANES 1
typedef REAL vec;
typedef BITS vec_bits;
#define SELECT(condition, yes, no) ((condition) ? (yes) : (no))
LSTM_ALWAYS_INLINE BITS FN(as_bits)(REAL a)
{
    BITS b;
    memcpy(&b, &a, sizeof b);
    return b;
}
LSTM_ALWAYS_INLINE REAL FN(as_real)(BITS b)
{
    REAL a;
    memcpy(&a, &b, sizeof a);
    return a;
}
#define AS_BITS(a) FN(as_bits)(a)
#define AS_REAL(bits) FN(as_real)(bits)
#endif
#if LSTM_DOUBLE
#define EXPONENT_SHIFT 52
#define EXPONENT_ONE 0x3ff0000000000000LL
#define SIGN_BIT INT64_MIN
#else
#define EXPONENT_SHIFT 23
#define EXPONENT_ONE 0x3f800000
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
INLINE vec vec_load_some(const REAL *p, int64_t n)
{
    vec a = {0};
    memcpy(&a, p, (size_t)n * sizeof *p);
    return a;
}
INLINE void vec_store_some(REAL *p, vec a, int64_t n) { memcpy(p, &a, (size_t)n * sizeof *p); }
INLINE vec vec_fma(vec a, vec b, vec c) { return a * b + c; }
INLINE vec vec_fnma(vec a, vec b, vec c) { return c - a * b; }
INLINE vec vec_min(vec a, vec b) { return SELECT(a < b, a, b); }
INLINE vec vec_max(vec a, vec b) { return SELECT(a > b, a, b); }
INLINE vec vec_abs(vec a) { return AS_REAL(AS_BITS(a) & ~SIGN_BIT); }
INLINE vec vec_sign_of(vec a, vec size) { return AS_REAL((AS_BITS(a) & SIGN_BIT) | AS_BITS(size)); }
INLINE vec vec_positive(vec a, vec yes, vec no) { return SELECT(a > (vec){0}, yes, no); }
INLINE vec vec_power_of_two(vec shifted)
{
    return AS_REAL((AS_BITS(shifted) << EXPONENT_SHIFT) + EXPONENT_ONE);
}

#undef SELECT
#undef AS_BITS
#undef AS_REAL
#undef SIGN_BIT

#endif

#undef MM
#undef EXPONENT_SHIFT
#undef EXPONENT_ONE
