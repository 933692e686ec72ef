/* affine.c: products with a bias and an activation, on several threads. */
#include <string.h>
#include "engine.h"
#include "memory.h"

/* Outputs of a part from which it reads the matrix often enough; with fewer, each part takes columns */
#define ENOUGH_ROWS 48

typedef struct {
    const lstm_affine *call;
    int row_parts, column_parts;
    char *work;
    int64_t work_size; /* of each part */
} sharing;

double lstm_affine_operations(const lstm_affine *call)
{
    return 2.0 * (double)call->batch * (double)call->count * (double)call->columns *
           (double)call->features * (double)call->size;
}

int lstm_affine_pack(lstm_affine *call, const void *matrix, const void *bias)
{
    const lstm_kernels *k = call->kernels;
    const int64_t depth = lstm_times(call->size, call->features), columns = call->columns;
    const int64_t item = (int64_t)k->item;
    const int64_t matrix_size = lstm_lines(lstm_times(k->columns_size(columns, depth), item));
    const int64_t bias_size = lstm_lines(lstm_times(k->columns_size(columns, 1), item));
    char *block = lstm_take(lstm_plus(matrix_size, bias_size));
    if (!block)
        return 0;
    k->pack_matrix(depth, columns, matrix, columns, 1, block);
    if (bias)
        k->pack_matrix(1, columns, bias, columns, 1, block + matrix_size);
    else
        memset(block + matrix_size, 0, (size_t)bias_size);
    call->matrix = block;
    call->bias = block + matrix_size;
    return 1;
}

/* How the work is shared out: by rows or by columns */
static sharing share(const lstm_affine *call, int threads)
{
    const int64_t panels = (call->columns + LSTM_COLUMNS - 1) / LSTM_COLUMNS;
    sharing run = {call, 1, 1, NULL, call->kernels->affine_work(call)};
    if (call->batch * call->count / threads >= ENOUGH_ROWS)
        run.row_parts = threads;
    else if (panels > 1 && call->activation < lstm_elementwise_count)
        run.column_parts = panels < threads ? (int)panels : threads;
    return run;
}

static void compute_part(void *context, int part)
{
    const sharing *run = context;
    const lstm_affine *call = run->call;
    const int64_t rows = call->batch * call->count, i = part % run->row_parts;
    const int64_t panels = (call->columns + LSTM_COLUMNS - 1) / LSTM_COLUMNS, j = part / run->row_parts;
    const int64_t first = rows * i / run->row_parts, last = rows * (i + 1) / run->row_parts;
    const int64_t column = panels * j / run->column_parts * LSTM_COLUMNS;
    const int64_t next = panels * (j + 1) / run->column_parts * LSTM_COLUMNS;
    const uint64_t saved = lstm_flush_denormals();
    call->kernels->affine(call, first, last - first, column,
                          (next < call->columns ? next : call->columns) - column,
                          run->work + part * run->work_size);
    lstm_restore(saved);
}

int64_t lstm_affine_work(const lstm_affine *call, int threads)
{
    const sharing run = share(call, threads);
    return lstm_times(run.row_parts * run.column_parts, run.work_size);
}

void lstm_affine_run(const lstm_affine *call, void *work, lstm_pool *pool, int threads)
{
    sharing run = share(call, threads);
    run.work = work;
    lstm_pool_run(pool, run.row_parts * run.column_parts, compute_part, &run,
                  lstm_affine_operations(call) > LSTM_EAGER_WORK);
}
