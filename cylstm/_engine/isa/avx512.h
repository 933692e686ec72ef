/* isa/avx512.h: vectors of 64 bytes, for CPUs with AVX-512 F, DQ, BW and VL. See generic.h. */
#if LSTM_X86
#include <immintrin.h>

#define HAS_FMA 1
#define LSTM_TARGET __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")))
#define PANEL 4
#if LSTM_DOUBLE
#define LANES 8
#define MM(operation) _mm512_##operation##_pd
#define MASK __mmask8
typedef __m512d vec;
#else
#define LANES 16
#define MM(operation) _mm512_##operation##_ps
#define MASK __mmask16
typedef __m512 vec;
#endif

INLINE vec vec_set1(REAL a) { return MM(set1)(a); }
INLINE vec vec_load(const REAL *p) { return MM(loadu)(p); }
INLINE void vec_store(REAL *p, vec a) { MM(storeu)(p, a); }
INLINE void vec_stream(REAL *p, vec a) { MM(stream)(p, a); }
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
INLINE vec vec_sqrt(vec a) { return MM(sqrt)(a); }
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
/* negative where the sign bit of a is set, else other */
INLINE vec vec_by_sign(vec a, vec negative, vec other)
{
#if LSTM_DOUBLE
    return _mm512_mask_blend_pd(_mm512_movepi64_mask(_mm512_castpd_si512(a)), other, negative);
#else
    return _mm512_mask_blend_ps(_mm512_movepi32_mask(_mm512_castps_si512(a)), other, negative);
#endif
}
/* 2^n, where `shifted` holds n + the bias of exponents in its low bits */
INLINE vec vec_power_of_two(vec shifted)
{
#if LSTM_DOUBLE
    return _mm512_castsi512_pd(_mm512_slli_epi64(_mm512_castpd_si512(shifted), 52));
#else
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(shifted), 23));
#endif
}
/* Each stage swaps what is beside the diagonal of squares of twice its size. */
INLINE void vec_transpose(vec *square)
{
#if LSTM_DOUBLE
    const __m512i at = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
#define INDEX(operation) _mm512_##operation##_epi64
#define INDICES _mm512_set1_epi64
#else
    const __m512i at = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#define INDEX(operation) _mm512_##operation##_epi32
#define INDICES _mm512_set1_epi32
#endif
    LSTM_UNROLL
    for (int size = 1; size < LANES; size *= 2) {
        const MASK odd = (MASK)(0xffff / ((1 << size) + 1) << size);
        const __m512i low = INDEX(mask_add)(at, odd, at, INDICES(LANES - size));
        const __m512i high = INDEX(add)(low, INDICES(size));
        LSTM_UNROLL
        for (int i = 0; i < LANES; i++)
            if (!(i & size)) {
                const vec a = square[i], b = square[i + size];
                square[i] = MM(permutex2var)(a, low, b);
                square[i + size] = MM(permutex2var)(a, high, b);
            }
    }
#undef INDEX
#undef INDICES
}

#endif
