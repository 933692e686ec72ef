/* isa/neon.h: vectors of 16 bytes with the multiply-add of every 64-bit ARM CPU, which rounds once: the
 * results have the bits of AVX2 and AVX-512. All else is generic.h's. */
#if defined(__aarch64__) && defined(__GNUC__)
#include <arm_neon.h>

#define vec_fma generic_fma
#define vec_fnma generic_fnma
#include "generic.h"
#undef vec_fma
#undef vec_fnma
#undef HAS_FMA
#define HAS_FMA 1

#if LSTM_DOUBLE
INLINE vec vec_fma(vec a, vec b, vec c) { return (vec)vfmaq_f64(c, a, b); }
INLINE vec vec_fnma(vec a, vec b, vec c) { return (vec)vfmsq_f64(c, a, b); }
#else
INLINE vec vec_fma(vec a, vec b, vec c) { return (vec)vfmaq_f32(c, a, b); }
INLINE vec vec_fnma(vec a, vec b, vec c) { return (vec)vfmsq_f32(c, a, b); }
#endif

#endif
