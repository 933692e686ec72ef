/* isa/avx2.h: vectors of 32 bytes, for CPUs with AVX2 and FMA. See generic.h. */
#if LSTM_X86
#include <immintrin.h>

#define HAS_FMA 1
#define LSTM_TARGET __attribute__((target("avx2,fma")))
#define PANEL 2
#if LSTM_DOUBLE
#define LANES 4
#define MM(operation) _mm256_##operation##_pd
#define AS_DOUBLE(a) (a)
#define FROM_DOUBLE(a) (a)
typedef __m256d vec;
#else
#define LANES 8
#define MM(operation) _mm256_##operation##_ps
#define AS_DOUBLE(a) _mm256_castps_pd(a)
#define FROM_DOUBLE(a) _mm256_castpd_ps(a)
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
INLINE void vec_stream(REAL *p, vec a) { MM(stream)(p, a); }
INLINE vec vec_load_some(const REAL *p, int64_t n) { return MM(maskload)(p, vec_bits(n)); }
INLINE void vec_store_some(REAL *p, vec a, int64_t n) { MM(maskstore)(p, vec_bits(n), a); }
INLINE vec vec_fma(vec a, vec b, vec c) { return MM(fmadd)(a, b, c); }
INLINE vec vec_fnma(vec a, vec b, vec c) { return MM(fnmadd)(a, b, c); }
INLINE vec vec_sqrt(vec a) { return MM(sqrt)(a); }
INLINE vec vec_min(vec a, vec b) { return MM(min)(a, b); }
INLINE vec vec_max(vec a, vec b) { return MM(max)(a, b); }
INLINE vec vec_abs(vec a) { return MM(andnot)(MM(set1)((REAL)-0.0), a); }
INLINE vec vec_sign_of(vec a, vec size) { return MM(or)(MM (and)(MM(set1)((REAL)-0.0), a), size); }
INLINE vec vec_positive(vec a, vec yes, vec no)
{
    return MM(blendv)(no, yes, MM(cmp)(a, MM(set1)((REAL)0), _CMP_GT_OQ));
}
INLINE vec vec_by_sign(vec a, vec negative, vec other) { return MM(blendv)(other, negative, a); }
INLINE vec vec_power_of_two(vec shifted)
{
#if LSTM_DOUBLE
    return _mm256_castsi256_pd(_mm256_slli_epi64(_mm256_castpd_si256(shifted), 52));
#else
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(shifted), 23));
#endif
}
/* Each stage swaps what is beside the diagonal of squares of twice its size. */
INLINE void vec_transpose(vec *square)
{
    LSTM_UNROLL
    for (int i = 0; i < LANES / 2; i++) {
        const vec a = square[i], b = square[i + LANES / 2];
        square[i] = MM(permute2f128)(a, b, 0x20);
        square[i + LANES / 2] = MM(permute2f128)(a, b, 0x31);
    }
    LSTM_UNROLL
    for (int i = 0; i < LANES; i++) {
        const int size = 16 / (int)sizeof(REAL) / 2;
        if (i & size)
            continue;
        const __m256d a = AS_DOUBLE(square[i]), b = AS_DOUBLE(square[i + size]);
        square[i] = FROM_DOUBLE(_mm256_unpacklo_pd(a, b));
        square[i + size] = FROM_DOUBLE(_mm256_unpackhi_pd(a, b));
    }
#if !LSTM_DOUBLE
    LSTM_UNROLL
    for (int i = 0; i < LANES; i += 2) {
        const vec a = square[i], b = square[i + 1];
        square[i] = _mm256_blend_ps(a, _mm256_moveldup_ps(b), 0xaa);
        square[i + 1] = _mm256_blend_ps(_mm256_movehdup_ps(a), b, 0xaa);
    }
#endif
}

#endif
