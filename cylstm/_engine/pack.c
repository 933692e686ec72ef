/* pack.c: weights packed for the kernels of a CPU, on several threads. */
#include "engine.h"
#include "memory.h"

/* How many operations of a pass take as long as packing a number */
#define OPERATIONS 30.0
/* Units that a part takes together at least; LSTM_COLUMNS are of as many */
#define UNITS (LSTM_COLUMNS / LSTM_GATES)

/* Before the panels, which begin at a page: 3 % less time for batch 1, 1536 units and AVX2 */
#define HEAD 4096
_Static_assert(sizeof(lstm_weights) <= HEAD, "they stand in the head");

typedef struct {
    const lstm_kernels *kernels;
    const lstm_shape *shape;
    const lstm_weights *given;
    int transposed, parts;
    char *kernel, *recurrent; /* OUT */
} packing;

double lstm_pack_operations(const lstm_shape *shape)
{
    return OPERATIONS * LSTM_GATES * (double)shape->units * (double)(shape->inputs + shape->units);
}

/* Where a part of a range begins, at whole groups of numbers; part = parts is its end. */
static int64_t part_begin(int64_t count, int64_t group, int part, int parts)
{
    const int64_t at = (count + group - 1) / group * part / parts * group;
    return at < count ? at : count;
}

/* A part of a matrix (depth, 4U) for the pass of the packing */
static void pack_part(const packing *job, int64_t depth, const void *from, int part, void *to)
{
    const lstm_kernels *k = job->kernels;
    const int64_t units = job->shape->units, columns = LSTM_GATES * units;
    const int64_t item = (int64_t)k->item, group = job->transposed ? LSTM_COLUMNS : UNITS;
    const int64_t count = job->transposed ? depth : units;
    const int64_t first = part_begin(count, group, part, job->parts);
    const int64_t last = part_begin(count, group, part + 1, job->parts);
    const int64_t deep = job->shape->gates_first ? 1 : columns;
    const int64_t wide = job->shape->gates_first ? depth : 1;
    if (job->transposed)
        k->pack_matrix(columns, last - first, (const char *)from + first * deep * item, wide, deep,
                       (char *)to + first * columns * item);
    else
        k->pack_gates(depth, units, first, last, from, deep, wide, to);
}

static void pack_parts(void *context, int part)
{
    const packing *job = context;
    pack_part(job, job->shape->inputs, job->given->kernel, part, job->kernel);
    pack_part(job, job->shape->units, job->given->recurrent, part, job->recurrent);
}

static int64_t bytes_of(const lstm_kernels *kernels, int64_t count)
{
    return lstm_lines(lstm_times(count, (int64_t)kernels->item));
}

lstm_weights *lstm_pack(const lstm_kernels *k, const lstm_shape *shape, const lstm_weights *given,
                        int transposed, lstm_pool *pool, int threads)
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
    packing job = {k, shape, given, transposed, threads, kernel, recurrent};
    lstm_pool_run(pool, threads, pack_parts, &job, lstm_pack_operations(shape) > LSTM_EAGER_WORK);
    if (!transposed)
        k->pack_gates(1, units, 0, units, given->bias, columns, 1, bias);
    *(lstm_weights *)(void *)block = (lstm_weights){kernel, recurrent, bias, NULL};
    return (lstm_weights *)(void *)block;
}
