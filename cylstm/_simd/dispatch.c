/* dispatch.c: all kernels in one binary, and the choice among them. No compiler flags are needed
 * beyond -O2. Beside it threads.c and memory.c are compiled; the rest of the core sees lstm.h,
 * threads.h, memory.h, claim.h and sizes.h.
 */

#include <string.h>
#include "lstm.h"
#include "names.h"

#if (defined(__x86_64__) || defined(__i386__)) && (defined(__GNUC__) || defined(__clang__))
#define LSTM_X86 1
#include <cpuid.h>
#include <immintrin.h>
#else
#define LSTM_X86 0
#endif

#define LSTM_ISA generic
#define LSTM_LEVEL 0
#define LSTM_REAL f32
#define LSTM_DOUBLE 0
#include "kernels.h"
#undef LSTM_REAL
#undef LSTM_DOUBLE
#define LSTM_REAL f64
#define LSTM_DOUBLE 1
#include "kernels.h"
#undef LSTM_REAL
#undef LSTM_DOUBLE
#undef LSTM_ISA
#undef LSTM_LEVEL

#if LSTM_X86
#define LSTM_ISA avx2
#define LSTM_LEVEL 1
#define LSTM_REAL f32
#define LSTM_DOUBLE 0
#include "kernels.h"
#undef LSTM_REAL
#undef LSTM_DOUBLE
#define LSTM_REAL f64
#define LSTM_DOUBLE 1
#include "kernels.h"
#undef LSTM_REAL
#undef LSTM_DOUBLE
#undef LSTM_ISA
#undef LSTM_LEVEL

#define LSTM_ISA avx512
#define LSTM_LEVEL 2
#define LSTM_REAL f32
#define LSTM_DOUBLE 0
#include "kernels.h"
#undef LSTM_REAL
#undef LSTM_DOUBLE
#define LSTM_REAL f64
#define LSTM_DOUBLE 1
#include "kernels.h"
#undef LSTM_REAL
#undef LSTM_DOUBLE
#undef LSTM_ISA
#undef LSTM_LEVEL
#endif

/* 0 generic, 1 AVX2 and FMA, 2 AVX-512 F, DQ, BW, VL: what this CPU and its operating system can
 * do. Not __builtin_cpu_supports: it always says no where the compiler's runtime leaves its table
 * empty (zig). */
static int cpu_level(void)
{
#if LSTM_X86
    unsigned a, b, c, d, saved, high;
    const unsigned fma = 1u << 12, osxsave = 1u << 27, avx = 1u << 28;
    const unsigned avx2 = 1u << 5, avx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & (fma | osxsave | avx)) != (fma | osxsave | avx))
        return 0;
    __asm__ volatile("xgetbv"
                     : "=a"(saved), "=d"(high)
                     : "c"(0)); /* registers that the system saves: XCR0 */
    if ((saved & 0x06) != 0x06 || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & avx2))
        return 0;
    return (saved & 0xe6) == 0xe6 && (b & avx512) == avx512 ? 2 : 1;
#else
    return 0;
#endif
}

const lstm_kernels *lstm_find_kernels(const char *name, int is_double)
{
    static const lstm_kernels *const all[][2] = {
        {&lstm_kernels_generic_f32, &lstm_kernels_generic_f64},
#if LSTM_X86
        {&lstm_kernels_avx2_f32, &lstm_kernels_avx2_f64},
        {&lstm_kernels_avx512_f32, &lstm_kernels_avx512_f64},
#endif
    };
    for (int level = cpu_level(); level >= 0; level--)
        if (!name || strcmp(name, all[level][0]->name) == 0)
            return all[level][is_double != 0];
    return NULL;
}

uint64_t lstm_flush_denormals(void)
{
#if LSTM_X86
    unsigned saved = _mm_getcsr();
    _mm_setcsr(saved | 0x8040); /* flush to zero, denormals are zero */
    return saved;
#elif defined(__aarch64__) && defined(__GNUC__)
    uint64_t saved;
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved));
    __asm__ volatile("msr fpcr, %0" : : "r"(saved | 1u << 24));
    return saved;
#else
    return 0;
#endif
}
void lstm_restore(uint64_t saved)
{
#if LSTM_X86
    _mm_setcsr((unsigned)saved);
#elif defined(__aarch64__) && defined(__GNUC__)
    __asm__ volatile("msr fpcr, %0" : : "r"(saved));
#else
    (void)saved;
#endif
}
