/* choice.c: which kernels this CPU runs, and denormal numbers. */
#include "engine.h"
#include "isa/list.h"

#if LSTM_X86
#include <immintrin.h>
#endif

#define LSTM_DECLARE(name, available)                                                              \
    LSTM_HIDDEN extern const lstm_kernels lstm_kernels_##name##_f32, lstm_kernels_##name##_f64;
LSTM_ISAS(LSTM_DECLARE)

const lstm_kernels *lstm_kernels_at(int index, int is_double)
{
#define LSTM_ENTRY(name, available) {&lstm_kernels_##name##_f32, &lstm_kernels_##name##_f64},
    static const lstm_kernels *const all[][2] = {LSTM_ISAS(LSTM_ENTRY)};
#define LSTM_AVAILABLE(name, available) available,
    const int runs[] = {LSTM_ISAS(LSTM_AVAILABLE)};
    return index >= 0 && index < LSTM_ISA_COUNT && runs[index] ? all[index][is_double != 0] : NULL;
}

#define LSTM_NAME(name) #name,
const char *const lstm_activation_names[lstm_activation_count] = {LSTM_ELEMENTWISE(LSTM_NAME)
                                                                      LSTM_ROWWISE(LSTM_NAME)};

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
