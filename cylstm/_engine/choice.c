/* choice.c: which kernels this CPU runs, weights packed for them, and denormal numbers. */
#include "engine.h"
#include "isa/list.h"
#include "memory.h"

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

static int64_t bytes_of(const lstm_kernels *kernels, int64_t count)
{
    return lstm_lines(lstm_times(count, (int64_t)kernels->item));
}

/* Before the panels, which begin at a page: 3 % less time for batch 1, 1536 units and AVX2 */
#define HEAD 4096
_Static_assert(sizeof(lstm_weights) <= HEAD, "they stand in the head");

/* A matrix (depth, 4U), as it lies in memory, for one of the passes */
static void pack(const lstm_kernels *k, const lstm_shape *shape, int64_t depth, const void *from,
                 int transposed, void *to)
{
    const int64_t columns = LSTM_GATES * shape->units;
    const int64_t deep = shape->gates_first ? 1 : columns, wide = shape->gates_first ? depth : 1;
    if (transposed)
        k->pack_matrix(columns, depth, from, wide, deep, to);
    else
        k->pack_gates(depth, shape->units, from, deep, wide, to);
}

lstm_weights *lstm_pack(const lstm_kernels *k, const lstm_shape *shape, const lstm_weights *given,
                        int transposed)
{
    const int64_t inputs = shape->inputs, units = shape->units,
                  columns = lstm_times(LSTM_GATES, units);
    const int64_t kernel_size = bytes_of(k, transposed ? k->columns_size(inputs, columns)
                                                       : k->gates_size(inputs, units));
    const int64_t recurrent_size = bytes_of(k, transposed ? k->columns_size(units, columns)
                                                          : k->gates_size(units, units));
    const int64_t bias_size = transposed ? 0 : bytes_of(k, k->gates_size(1, units));
    char *block = lstm_take(lstm_plus(lstm_plus(HEAD, kernel_size),
                                      lstm_plus(recurrent_size, bias_size)));
    if (!block)
        return NULL;
    char *kernel = block + HEAD, *recurrent = kernel + kernel_size, *bias = recurrent + recurrent_size;
    pack(k, shape, inputs, given->kernel, transposed, kernel);
    pack(k, shape, units, given->recurrent, transposed, recurrent);
    if (!transposed)
        k->pack_gates(1, units, given->bias, columns, 1, bias);
    *(lstm_weights *)(void *)block = (lstm_weights){kernel, recurrent, bias, NULL};
    return (lstm_weights *)(void *)block;
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
