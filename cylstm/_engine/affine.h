/* affine.h: y = activation(bias + window W), for ranges of windows and columns.
 *
 * Windows that lie side by side in memory are read where they are; others, at the ends of sequences
 * or with gaps, are copied first. Some rows at a time go through the panels of W, so that each is
 * read from memory once for them; of a deep W through LSTM_DEPTH rows of a panel at a time, which
 * the caches hold. That changes no bit: what waits in between is the chain as far as it goes.
 *
 * An activation of whole rows (softmax) follows when all columns are there.
 */

#define AFFINE_ROWS 48

/* The window of output `index`: where it lies in the inputs, or its copy */
INLINE const REAL *window_of(const lstm_affine *call, int64_t index, REAL *copy)
{
    const int64_t size = call->size, features = call->features;
    const int64_t begin = index % call->count * call->stride - call->before;
    const REAL *x = (const REAL *)call->x + index / call->count * call->x_row_stride;
    const int together = size == 1 || (call->dilation == 1 && call->x_step_stride == features);
    if (together && begin >= 0 && begin + size <= call->steps)
        return x + begin * call->x_step_stride;
    for (int64_t k = 0; k < size; k++) {
        const int64_t time = begin + k * call->dilation;
        if (time >= 0 && time < call->steps)
            memcpy(copy + k * features, x + time * call->x_step_stride,
                   (size_t)features * sizeof(REAL));
        else
            memset(copy + k * features, 0, (size_t)features * sizeof(REAL));
    }
    return copy;
}

/* Bytes of the copies; rows are no windows and need none */
LOCAL int64_t affine_work(const lstm_affine *call)
{
    const int64_t depth = lstm_times(call->size, call->features);
    if (call->size == 1 && call->steps == 1 && call->count == 1 && call->before == 0)
        return 0;
    return lstm_lines(lstm_times(AFFINE_ROWS, lstm_times(depth, sizeof(REAL))));
}

/* n <= AFFINE_ROWS windows against vectors [v, end) of columns; y: where their outputs begin */
LOCAL void affine_rows(const lstm_affine *call, int activation, int64_t n, const REAL *const *x,
                       int64_t v, int64_t end, REAL *const *y)
{
    const int64_t depth = call->size * call->features;
    REAL sums[AFFINE_ROWS * PANEL * LANES], *out[AFFINE_ROWS];
    const REAL *at[MAX_ROWS], *start[MAX_ROWS];
    for (int taken; v < end; v += taken * PANEL) {
        const int64_t width = end - v < PANEL ? end - v : PANEL;
        product_fn wide = NULL;
        taken = 1;
        if (n <= MAX_ROWS && width == PANEL)
            wide = widest_product(n, (end - v) / PANEL, &taken);
        for (int64_t r = 0; r < n; r++)
            out[r] = sums + r * taken * width * LANES;
        const int64_t together = n <= MAX_ROWS && depth > LSTM_DEPTH ? depth : LSTM_DEPTH;
        for (int64_t k = 0; k == 0 || k < depth; k += together)
            for (int64_t i = 0, rows; i < n; i += rows) {
                rows = tile_rows(n - i);
                for (int64_t r = 0; r < rows; r++) {
                    at[r] = x[i + r] + k;
                    start[r] = k ? out[i + r] : (const REAL *)call->bias + v * LANES;
                }
                const REAL *panel = (const REAL *)call->matrix + (v * depth + k * width) * LANES;
                operand part = {at, depth - k < together ? depth - k : together, panel, 0, NULL, 0};
                product_fn tile = wide ? wide : products[width - 1][rows - 1];
                tile(&part, 1, 0, start, 0, out + i, 0);
            }
        const int64_t left = call->columns - v * LANES, lanes = taken * width * LANES;
        for (int64_t r = 0; r < n; r++)
            activate_array(activation, left < lanes ? left : lanes, out[r],
                           y[r] + v * LANES);
    }
}

LOCAL void affine(const lstm_affine *call, int64_t first, int64_t rows, int64_t column,
                  int64_t columns, void *work)
{
    const int64_t depth = call->size * call->features;
    const int by_rows = call->activation >= lstm_elementwise_count;
    const REAL *x[AFFINE_ROWS];
    REAL *y[AFFINE_ROWS];
    for (int64_t n; rows > 0; first += n, rows -= n) {
        n = rows < AFFINE_ROWS ? rows : AFFINE_ROWS;
        for (int64_t r = 0; r < n; r++) {
            const int64_t at = first + r;
            x[r] = window_of(call, at, (REAL *)work + r * depth);
            y[r] = (REAL *)call->outputs + at / call->count * call->y_row_stride +
                   at % call->count * call->columns;
        }
        affine_rows(call, by_rows ? lstm_linear : call->activation, n, x, column / LANES,
                    (column + columns + LANES - 1) / LANES, y);
        for (int64_t r = 0; by_rows && r < n; r++)
            activate_row(call->activation, columns, y[r]);
    }
}
