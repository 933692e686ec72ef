/* passes.c: whole passes through the kernels, on several threads, a piece of the sequence at a time.
 *
 * Rows of the batch do not depend on each other, nor do columns of the gradients of the weights: each
 * part of a job takes a range of them. The pieces, between which interruptions are looked for, do not
 * depend on the threads, so neither do the results. A gemm has threads of its own, or none: a call
 * with one is one part.
 */
#include <stdlib.h>
#include <string.h>
#include "engine.h"
#include "memory.h"

/* A part of fewer rows reads the weights for too little arithmetic to be worth a thread, where there
 * are more: two threads take 0.6 times the time of one for 4 rows, 0.65 for 2. */
#define LEAST_ROWS 2
/* Bytes of recurrent weights from which threads share the units of each step, and the rows up to which
 * they do. */
#define LEAST_TEAM_WEIGHTS 65536
#define MOST_TEAM_ROWS 7
/* Operations for which a team that sleeps is woken: 0.08 ms, next to 0.01 for waking it and as much
 * until it comes, at best. Until then one thread goes on in pieces of so many, of some steps at least
 * as they share the reading of input weights, at most so many times. */
#define TEAM_WORK 10e6
#define ALONE_WORK 2e6
#define ALONE_STEPS 4
#define ALONE_TIMES 8
/* Operations below which one thread computes the gradients of weights and inputs. */
#define SHARED_GRADIENTS 4e6
/* Numbers of dz that are kept, where that is more than LSTM_DEPTH pairs have. */
#define DZ_SIZE 524288
/* Operations between two looks at interruptions: some milliseconds. */
#define PATIENCE 268435456.0

typedef struct {
    const lstm_call *call;
    lstm_piece piece;
    int64_t (*compute)(const lstm_call *, const lstm_piece *, int64_t, int64_t, void *, lstm_team *,
                       int); /* forward or backward */
    int members;      /* threads that share the units of each step, or 1 */
    int apart;        /* whether they need not meet, in a single step */
    int row_parts;
    int column_parts; /* of the gradients of the weights */
    int pair_parts;   /* of the gradients of the inputs */
    int eager;        /* whether there is enough work to wake sleeping threads */
    double step_work; /* operations of a step */
    int64_t reached;  /* how far the members came */
    char *work;
    int64_t work_size; /* of each part, or of all members */
} pass;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

double lstm_operations(const lstm_shape *shape)
{
    return 2.0 * LSTM_GATES * (double)shape->batch * (double)shape->steps * (double)shape->units *
           (double)(shape->inputs + shape->units);
}

/* Where a part of a range begins; part = parts is its end. The first may have one more. */
static int64_t part_begin(int64_t count, int part, int parts)
{
    return part * (count / parts) + least(part, count % parts);
}

/* How many parts of at least so many rows there are, but at least 1 and not more than `limit` */
static int count_parts(int64_t rows, int64_t fewest, int limit)
{
    return (int)most(1, least(limit, rows / fewest));
}

/* How many steps have so many pairs of a row and a step, at least 1 */
static int64_t steps_with(const lstm_shape *shape, int64_t pairs)
{
    return most(1, least(shape->steps, pairs / most(1, shape->batch)));
}

/* How many threads are to share the units of each step: one unless there are few rows. */
static int count_members(const lstm_call *call, int threads)
{
    const lstm_shape *shape = &call->shape;
    const int64_t size = lstm_times(lstm_times(LSTM_GATES * shape->units, shape->units),
                                    (int64_t)call->kernels->item);
    if (shape->batch == 0 || shape->batch > MOST_TEAM_ROWS || size < LEAST_TEAM_WEIGHTS)
        return 1;
    return (int)most(1, least(threads, shape->units / (4 * call->kernels->lanes)));
}

static int compare_numbers(const void *a, const void *b)
{
    const int64_t first = *(const int64_t *)a, second = *(const int64_t *)b;
    return (first > second) - (first < second);
}

/* Bytes that `deal_rows` needs */
static int64_t order_size(const lstm_call *call)
{
    return call->arrays.mask ? lstm_times(call->shape.batch, 2 * sizeof(int64_t)) : 0;
}

/* Shares rows of ragged length out evenly: each part has as many active ones in every step. From the
 * longest to the shortest they are dealt like cards, in every second round from the last part to the
 * first. */
static void deal_rows(pass *run, int64_t *order)
{
    const lstm_shape *shape = &run->call->shape;
    const uint8_t *mask = run->call->arrays.mask;
    const int64_t batch = shape->batch, parts = run->row_parts;
    int64_t *keys = order + batch;
    if (!mask || parts < 2)
        return;
    for (int64_t row = 0; row < batch; row++) {
        int64_t masked = 0;
        for (int64_t step = 0; step < shape->steps; step++)
            masked += mask[row * shape->steps + step] == 0;
        keys[row] = masked * batch + row;
    }
    qsort(keys, (size_t)batch, sizeof *keys, compare_numbers);
    for (int64_t row = 0; row < batch; row++) {
        int64_t part = row % parts;
        if (row / parts % 2 && row / parts < batch / parts)
            part = parts - 1 - part;
        order[part_begin(batch, (int)part, (int)parts) + row / parts] = keys[row] % batch;
    }
    run->piece.order = order;
}

/* h or c, of all rows: in bytes */
static int64_t state_size(const lstm_call *call)
{
    return lstm_times(lstm_times(call->shape.batch, call->shape.units),
                      (int64_t)call->kernels->item);
}

/* What both passes begin with: how the rows are shared. Without rows there are no steps. */
static void begin_pass(pass *run, lstm_call *call, int *threads)
{
    memset(run, 0, sizeof *run);
    if (call->shape.batch == 0)
        call->shape.steps = 0;
    if (call->weights.gemm)
        *threads = 1;
    run->call = call;
    run->members = count_members(call, *threads);
    const int64_t fewest = call->shape.batch < 2 * LEAST_ROWS ? 1 : LEAST_ROWS;
    run->row_parts = run->members > 1 ? 1 : count_parts(call->shape.batch, fewest, *threads);
    run->eager = lstm_operations(&call->shape) > LSTM_EAGER_WORK;
    run->step_work = lstm_operations(&call->shape) / (double)most(1, call->shape.steps);
}

/* Forward ---------------------------------------------------------------------------------------- */

/* Each thread copies the piece to its own stack: the caller writes around the original. */
static void rows_part(void *context, int part)
{
    const pass *run = context;
    const lstm_piece piece = run->piece;
    const int64_t first = part_begin(run->call->shape.batch, part, run->row_parts);
    const int64_t last = part_begin(run->call->shape.batch, part + 1, run->row_parts);
    const uint64_t saved = lstm_flush_denormals();
    run->compute(run->call, &piece, first, last - first, run->work + part * run->work_size, NULL, 0);
    lstm_restore(saved);
}

static void units_part(void *context, lstm_team *team, int member)
{
    pass *run = context;
    const lstm_piece piece = run->piece;
    const uint64_t saved = lstm_flush_denormals();
    char *work = run->work + (team && team->apart ? member * run->work_size : 0);
    const int64_t reached =
        run->compute(run->call, &piece, 0, run->call->shape.batch, work, team, member);
    if (member == 0)
        run->reached = reached;
    lstm_restore(saved);
}

/* One step for some units */
static void units_part_apart(void *context, int member)
{
    lstm_team team = {((pass *)context)->members, 0, 0, 0, 1};
    units_part(context, &team, member);
}

/* Shares the work out; returns the size of the work space that it needs. */
static int64_t plan_forward(pass *run)
{
    run->compute = run->call->kernels->forward;
    run->apart = run->members > 1 && run->call->shape.steps == 1;
    run->work_size = run->call->kernels->forward_work(run->call, &run->piece, part_begin(run->call->shape.batch, 1, run->row_parts),
                                                      run->members);
    return lstm_times(run->apart ? run->members : run->row_parts, run->work_size);
}

/* The next piece, if there is one, goes on from the final states. */
static void go_on(pass *run, int64_t begin)
{
    run->piece.begin = begin;
    run->piece.h = run->call->arrays.final_h;
    run->piece.c = run->call->arrays.final_c;
}

/* Wakes threads for a team, and goes on alone until they are there. */
static void go_on_alone(pass *run, lstm_pool *pool, int64_t few)
{
    const int64_t end = run->piece.end;
    if (run->step_work * (double)(end - run->piece.begin) < TEAM_WORK ||
        !lstm_team_wake(pool, run->members))
        return;
    for (int i = 0; i < ALONE_TIMES && end - run->piece.begin > 2 * few; i++) {
        run->piece.end = run->piece.begin + few;
        units_part(run, NULL, 0);
        go_on(run, run->piece.end);
        if (!lstm_team_missing(pool, run->members))
            break;
    }
    run->piece.end = end;
}

static void forward_piece(pass *run, lstm_pool *pool)
{
    if (run->apart)
        lstm_pool_run(pool, run->members, units_part_apart, run, run->eager);
    else if (run->members == 1)
        lstm_pool_run(pool, run->row_parts, rows_part, run, run->eager);
    else {
        const int64_t few = (int64_t)(ALONE_WORK / run->step_work);
        if (few >= ALONE_STEPS)
            go_on_alone(run, pool, few);
        lstm_team_run(pool, run->members, units_part, run, run->eager && few < ALONE_STEPS);
        if (run->reached < run->piece.end) { /* the threads could not go on together */
            go_on(run, run->reached);
            units_part(run, NULL, 0);
        }
    }
}

int lstm_forward(const lstm_call *given, lstm_pool *pool, int threads, lstm_question interrupted)
{
    lstm_call call = *given;
    lstm_arrays *arrays = &call.arrays;
    lstm_shape *shape = &call.shape;
    pass run;
    begin_pass(&run, &call, &threads);
    const int64_t pairs = (int64_t)(PATIENCE / (8.0 * (double)(shape->inputs + shape->units + 16) *
                                                (double)shape->units));
    const int64_t steps = steps_with(shape, pairs + 1), size = state_size(&call);
    run.piece.h = arrays->initial_h;
    run.piece.c = arrays->initial_c;
    run.piece.end = least(shape->steps, steps);
    const int64_t work_size = plan_forward(&run), ordered = order_size(&call);
    char *block = lstm_take(lstm_plus(lstm_plus(work_size, ordered), lstm_times(2, size)));
    int status = LSTM_DONE;
    if (!block)
        return LSTM_NO_MEMORY;
    run.work = block;
    deal_rows(&run, (int64_t *)(block + work_size));
    if (!arrays->final_h)
        arrays->final_h = block + work_size + ordered;
    if (!arrays->final_c)
        arrays->final_c = block + work_size + ordered + size;
    for (;;) {
        forward_piece(&run, pool);
        if (run.piece.end >= shape->steps)
            break;
        status = interrupted();
        if (status)
            break;
        go_on(&run, run.piece.end);
        run.piece.end = least(shape->steps, run.piece.end + steps);
    }
    lstm_give(block);
    return status;
}

/* Backward --------------------------------------------------------------------------------------- */

static void go_back(pass *run)
{
    run->piece.h = run->call->arrays.d_initial_h;
    run->piece.c = run->call->arrays.d_initial_c;
}

/* dz and the gradients of the states, over the steps of the piece */
static void backward_piece(pass *run, lstm_pool *pool)
{
    run->piece.from = run->piece.end;
    if (run->members == 1) {
        lstm_pool_run(pool, run->row_parts, rows_part, run, run->eager);
        return;
    }
    lstm_team_run(pool, run->members, units_part, run, run->eager);
    if (run->reached > run->piece.begin) { /* the threads could not go on together */
        run->piece.from = run->reached;
        go_back(run);
        units_part(run, NULL, 0);
    }
}

/* The gradients of some columns of the weights, or of the inputs for some pairs of a row and a step */
static void gradients_part(void *context, int part)
{
    const pass *run = context;
    const lstm_piece piece = run->piece;
    const lstm_call *call = run->call;
    const int64_t columns = LSTM_GATES * call->shape.units,
                  panels = (columns + LSTM_COLUMNS - 1) / LSTM_COLUMNS,
                  pairs = call->shape.batch * (piece.end - piece.begin);
    const uint64_t saved = lstm_flush_denormals();
    if (part < run->column_parts) {
        const int64_t first = LSTM_COLUMNS * part_begin(panels, part, run->column_parts);
        const int64_t last =
            least(columns, LSTM_COLUMNS * part_begin(panels, part + 1, run->column_parts));
        call->kernels->weight_gradients(call, &piece, first, last - first,
                                        run->work + part * run->work_size);
    } else {
        part -= run->column_parts;
        const int64_t first = part_begin(pairs, part, run->pair_parts);
        const int64_t last = part_begin(pairs, part + 1, run->pair_parts);
        call->kernels->input_gradients(call, &piece, first, last - first, run->work);
    }
    lstm_restore(saved);
}

/* dz is kept for a piece of the sequence only, long enough for the products with it to be large. */
int lstm_backward(const lstm_call *given, lstm_pool *pool, int threads, lstm_question interrupted)
{
    lstm_call call = *given;
    lstm_arrays *arrays = &call.arrays;
    lstm_shape *shape = &call.shape;
    pass run;
    begin_pass(&run, &call, &threads);
    run.compute = call.kernels->backward;
    if (call.weights.gemm)
        pool = NULL; /* its parts share one work space */
    const int64_t width = LSTM_GATES * shape->units;
    const int64_t steps = steps_with(shape, most(LSTM_DEPTH, DZ_SIZE / width));
    const int64_t dz_size = lstm_lines(lstm_times(lstm_times(shape->batch, steps),
                                                  lstm_times(width, (int64_t)call.kernels->item)));
    if (lstm_operations(shape) < SHARED_GRADIENTS)
        threads = 1;
    run.column_parts = arrays->d_kernel ? count_parts(width, LSTM_COLUMNS, threads) : 0;
    run.pair_parts = arrays->d_inputs ? threads : 0;
    run.work_size = most(call.kernels->backward_work(&call, part_begin(shape->batch, 1, run.row_parts), run.members),
                         call.kernels->gradients_work(&call));
    const int64_t parts_size = lstm_times(most(run.row_parts, run.column_parts), run.work_size);
    const int64_t ordered = order_size(&call), size = state_size(&call);
    char *block = lstm_take(lstm_plus(lstm_plus(dz_size, parts_size),
                                      lstm_plus(ordered, lstm_times(2, size))));
    int status = LSTM_DONE;
    if (!block)
        return LSTM_NO_MEMORY;
    run.work = block + dz_size;
    deal_rows(&run, (int64_t *)(run.work + parts_size));
    run.piece.dz = block;
    run.piece.h = arrays->d_final_h;
    run.piece.c = arrays->d_final_c;
    run.piece.end = shape->steps;
    run.piece.skip_initial = !arrays->d_initial_h;
    if (!arrays->d_initial_h)
        arrays->d_initial_h = run.work + parts_size + ordered;
    if (!arrays->d_initial_c)
        arrays->d_initial_c = run.work + parts_size + ordered + size;
    for (;;) {
        run.piece.begin = most(0, run.piece.end - steps);
        backward_piece(&run, pool);
        status = interrupted();
        if (status)
            break;
        lstm_pool_run(pool, run.column_parts + run.pair_parts, gradients_part, &run, run.eager);
        if (run.piece.begin == 0 || (status = interrupted()) != LSTM_DONE)
            break;
        run.piece.end = run.piece.begin;
        go_back(&run);
        run.piece.add = 1;
    }
    lstm_give(block);
    return status;
}

/* Step by step ----------------------------------------------------------------------------------- */

struct lstm_stream {
    lstm_call call;
    pass run;
    char *final; /* the new states, where they may not be written over the old ones */
    void *h, *c;
};

lstm_stream *lstm_stream_open(const lstm_call *call, int threads)
{
    lstm_stream *stream = lstm_take(sizeof *stream);
    if (!stream)
        return NULL;
    stream->call = *call;
    stream->h = call->arrays.final_h;
    stream->c = call->arrays.final_c;
    begin_pass(&stream->run, &stream->call, &threads);
    stream->run.piece.end = 1;
    stream->run.piece.h = stream->h;
    stream->run.piece.c = stream->c;
    const int64_t work_size = plan_forward(&stream->run), size = state_size(call);
    stream->run.work = lstm_take(lstm_plus(work_size, lstm_times(2, size)));
    if (!stream->run.work) {
        lstm_give(stream);
        return NULL;
    }
    stream->final = stream->run.work + work_size;
    if (stream->run.apart) {
        stream->call.arrays.final_h = stream->final;
        stream->call.arrays.final_c = stream->final + size;
    }
    return stream;
}

void lstm_stream_step(lstm_stream *stream, const void *x, int64_t row_stride, lstm_pool *pool)
{
    stream->call.arrays.x = x;
    stream->call.arrays.x_row_stride = row_stride;
    forward_piece(&stream->run, pool);
    if (stream->run.apart) {
        const size_t size = (size_t)state_size(&stream->call);
        memcpy(stream->h, stream->final, size);
        memcpy(stream->c, stream->final + size, size);
    }
    /* for what the caches still hold of the weights: up to 8 % less time */
    stream->run.piece.odd = !stream->run.piece.odd;
}

void lstm_stream_close(lstm_stream *stream)
{
    if (stream)
        lstm_give(stream->run.work);
    lstm_give(stream);
}
