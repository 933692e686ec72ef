/* isa/list.h: the instruction sets that there are kernels for, the best one last.
 *
 * F is given the name, whose vectors are in the header beside this one, and whether this CPU and its
 * operating system have it. setup.py reads the names, and compiles kernels.c for each.
 */
#ifndef CYLSTM_ISA_LIST_H
#define CYLSTM_ISA_LIST_H

#include "../compiler.h"

#if LSTM_X86
#define LSTM_ISAS(F)                                                                               \
    F(generic, 1)                                                                                  \
    F(avx2, x86_level() >= 1)                                                                      \
    F(avx512, x86_level() >= 2)

#include <cpuid.h>

/* 0, 1 with AVX2 and FMA, 2 with AVX-512 F, DQ, BW, VL. Not __builtin_cpu_supports: it always says no
 * where the compiler's runtime leaves its table empty (zig). */
static inline int x86_level(void)
{
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
}

#elif defined(__aarch64__) && defined(__GNUC__)
#define LSTM_ISAS(F)                                                                               \
    F(generic, 1)                                                                                  \
    F(neon, 1)
#else
#define LSTM_ISAS(F) F(generic, 1)
#endif

#define LSTM_ONE(name, available) +1
enum { LSTM_ISA_COUNT = 0 LSTM_ISAS(LSTM_ONE) };

#endif
