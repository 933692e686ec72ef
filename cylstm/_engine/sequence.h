/* sequence.h: rows, steps and masks, as both passes go through them. */

/* The row of the batch at a place of the ranges that the kernels are given */
INLINE int64_t batch_row(const lstm_piece *piece, int64_t place)
{
    return piece->order ? piece->order[place] : place;
}

INLINE int64_t time_of(const lstm_shape *shape, int64_t step)
{
    return shape->go_backwards ? shape->steps - 1 - step : step;
}

/* The least input time of the piece */
INLINE int64_t first_time(const lstm_shape *shape, const lstm_piece *piece)
{
    return shape->go_backwards ? shape->steps - piece->end : piece->begin;
}

INLINE int is_masked(const lstm_call *call, int64_t row, int64_t time)
{
    return call->arrays.mask && !call->arrays.mask[row * call->shape.steps + time];
}

/* The first unmasked step of a row before `end`, or `end` */
INLINE int64_t first_step(const lstm_call *call, int64_t row, int64_t end)
{
    int64_t step = 0;
    while (step < end && is_masked(call, row, time_of(&call->shape, step)))
        step++;
    return step;
}

/* Where dz is of a row of the batch at an input time */
INLINE REAL *dz_row(const lstm_shape *shape, const lstm_piece *piece, int64_t row, int64_t time)
{
    return (REAL *)piece->dz + (row * (piece->end - piece->begin) + time - first_time(shape, piece)) *
                                   LSTM_GATES * shape->units;
}

/* The states (B, U) of a range of rows, padded with zeros; `from` NULL: all zeros. */
LOCAL void take_states(int64_t units, const lstm_piece *piece, int64_t first, int64_t rows,
                       int64_t padded, const REAL *from, REAL *to)
{
    memset(to, 0, (size_t)(rows * padded) * sizeof(REAL));
    for (int64_t r = 0; from && r < rows; r++)
        memcpy(to + r * padded, from + batch_row(piece, first + r) * units,
               (size_t)units * sizeof(REAL));
}

/* to[g][i] = from * masks[g]: the copies of one row that gated products read */
LOCAL void apply_masks(int groups, int64_t n, const REAL *from, const REAL *masks,
                       int64_t masks_stride, REAL *to, int64_t to_stride)
{
    for (int g = 0; g < groups; g++)
        for (int64_t i = 0; i < n; i++)
            to[g * to_stride + i] = from[i] * masks[g * masks_stride + i];
}

/* `count` is a product of sizes: of lstm_times unless it is one of few */
#define TAKE(member, type, count)                                                                  \
    run->member = (type *)lstm_lay(space, (count), (int64_t)sizeof(type))
