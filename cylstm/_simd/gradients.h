/* gradients.h: what follows from dz, with no order in time. N: all unmasked pairs of a row and a
 * step.
 *
 *     d_kernel = x^T dz,   d_recurrent_kernel = h^T dz,   d_bias = sum of dz (weight_gradients)
 *     d_inputs = dz W^T (input_gradients)
 *
 * The weight gradients go through N in chunks of DEPTH pairs. The chunk's columns of dz are copied
 * to a panel [DEPTH][PANEL][LANES], its rows of x and h to panels [DEPTH][6]: this skips masked
 * steps, applies dropout, and lets a tile read two dense streams. The copies are 2 to 3 % of the
 * work. Every number is a sum over chunks in the order of rows and steps: how the columns are split
 * among threads changes no bit.
 */

#define DEPTH 512 /* the panel, 128 KB, stays in the L2 cache; 6 rows of factors in the L1 */
#define COLUMNS (PANEL * LANES)
#define FACTOR_STRIDE                                                                              \
    (DEPTH * MAX_ROWS + 16) /* not a power of two: panels would share their cache sets */

/* to[r][v] (+)= sum over k of a[k][r] b[k][v]: `rows` numbers against PANEL vectors, both
 * contiguous for each k; added if `add`. Not to clear `to` before saves up to a half of short
 * sums. */
INLINE void outer_product(const int rows, int64_t depth, const REAL *a, const REAL *b, REAL *to,
                          int64_t to_stride, int add)
{
    vec sum[MAX_ROWS][PANEL];
    LSTM_UNROLL
    for (int r = 0; r < rows; r++)
        LSTM_UNROLL
    for (int v = 0; v < PANEL; v++) {
        LSTM_PREFETCH(to + r * to_stride + v * LANES);
        sum[r][v] = vec_set1(0);
    }
    for (int64_t k = 0; k < depth; k++, a += MAX_ROWS, b += COLUMNS) {
        vec w[PANEL];
        LSTM_UNROLL
        for (int v = 0; v < PANEL; v++)
            w[v] = vec_load(b + v * LANES);
        LSTM_UNROLL
        for (int r = 0; r < rows; r++)
            LSTM_UNROLL
        for (int v = 0; v < PANEL; v++)
            sum[r][v] = vec_fma(vec_set1(a[r]), w[v], sum[r][v]);
    }
    LSTM_UNROLL
    for (int r = 0; r < rows; r++)
        LSTM_UNROLL
    for (int v = 0; v < PANEL; v++)
    {
        REAL *at = to + r * to_stride + v * LANES;
        if (add)
            sum[r][v] = vec_load(at) + sum[r][v];
        vec_store(at, sum[r][v]);
    }
}

typedef void (*outer_product_fn)(int64_t, const REAL *, const REAL *, REAL *, int64_t, int);
#define OUTER_PRODUCT(rows)                                                                        \
    LOCAL void FN(outer_product_##rows)(int64_t depth, const REAL *a, const REAL *b, REAL *to,     \
                                        int64_t to_stride, int add)                                \
    {                                                                                              \
        outer_product(rows, depth, a, b, to, to_stride, add);                                      \
    }
OUTER_PRODUCT(1)
OUTER_PRODUCT(2)
OUTER_PRODUCT(3)
OUTER_PRODUCT(4)
OUTER_PRODUCT(5)
OUTER_PRODUCT(6)
#undef OUTER_PRODUCT
static const outer_product_fn outer_products[MAX_ROWS] = {FN(outer_product_1), FN(outer_product_2),
                                                          FN(outer_product_3), FN(outer_product_4),
                                                          FN(outer_product_5), FN(outer_product_6)};

/* One factor of the weight gradients: x or h. */
typedef struct {
    const REAL *rows;
    int64_t row_stride, step_stride, size;
    const REAL *masks; /* (G, B, size) or NULL */
    int groups;
    REAL *gradient; /* OUT (size, 4U) */
    REAL *panels;   /* [size / 6][FACTOR_STRIDE] */
} gradient_factor;

typedef struct {
    const lstm_problem *p;
    gradient_factor factors[2];
    int64_t *pairs; /* of this chunk: row of the batch, time */
    REAL *panel;    /* [DEPTH][PANEL][LANES] of dz */
    REAL *row;      /* one row of a factor with its dropout mask */
    REAL *tile;     /* a tile at the right margin */
} gradient_run;

LOCAL int64_t gradient_layout(gradient_run *run, const lstm_problem *p, char *at)
{
    lstm_layout whole = {at, 0}, *space = &whole;
    run->p = p;
    run->factors[0] =
        (gradient_factor){p->x,           p->x_row_stride, p->x_step_stride, p->inputs,
                          p->input_masks, p->input_groups, p->d_kernel,      NULL};
    run->factors[1] = (gradient_factor){
        p->hidden,           p->steps * p->units,   p->units, p->units, p->recurrent_masks,
        p->recurrent_groups, p->d_recurrent_kernel, NULL};
    for (int f = 0; f < 2; f++) {
        TAKE(factors[f].panels, REAL,
             lstm_times((run->factors[f].size - 1 + MAX_ROWS) / MAX_ROWS, FACTOR_STRIDE));
    }
    TAKE(pairs, int64_t, 2 * DEPTH);
    TAKE(panel, REAL, DEPTH * COLUMNS);
    TAKE(row, REAL, p->inputs > p->units ? p->inputs : p->units);
    TAKE(tile, REAL, MAX_ROWS * COLUMNS);
    return whole.size;
}

LOCAL int64_t weight_gradients_work(const lstm_problem *p)
{
    gradient_run run;
    return gradient_layout(&run, p, NULL);
}

/* Where x or h of pair k of the chunk is */
INLINE const REAL *FN(factor_row)(const gradient_run *run, const gradient_factor *factor, int64_t k)
{
    return factor->rows + run->pairs[2 * k] * factor->row_stride +
           run->pairs[2 * k + 1] * factor->step_stride;
}

/* The columns of dz of pair k of the chunk */
INLINE const REAL *FN(dz_columns)(const gradient_run *run, int64_t k, int64_t column)
{
    return FN(dz_row)(run->p, run->pairs[2 * k], run->pairs[2 * k + 1]) + column;
}

/* Rows of x or h of the chunk's n pairs -> panels [size / 6][k][6] */
LOCAL void pack_factor(gradient_run *run, const gradient_factor *factor, int64_t n, int group)
{
    const int64_t size = factor->size, whole = size / MAX_ROWS, rest = size % MAX_ROWS;
    for (int64_t k = 0; k < n; k++) {
        const REAL *from = FN(factor_row)(run, factor, k);
        REAL *to = factor->panels + k * MAX_ROWS;
        if (k + 4 < n) /* the whole gradient of the weights takes 1 to 6 % less time */
            for (int64_t i = 0; i < size; i += LSTM_LINE / sizeof(REAL))
                LSTM_PREFETCH(FN(factor_row)(run, factor, k + 4) + i);
        if (factor->masks) {
            const int64_t g = factor->groups > 1 ? group : 0;
            const int64_t of = g * run->p->batch + run->pairs[2 * k];
            apply_masks(1, size, from, factor->masks + of * size, 0, run->row, 0);
            from = run->row;
        }
        for (int64_t i = 0; i < whole; i++)
            memcpy(to + i * FACTOR_STRIDE, from + i * MAX_ROWS, MAX_ROWS * sizeof(REAL));
        if (rest)
            memcpy(to + whole * FACTOR_STRIDE, from + whole * MAX_ROWS,
                   (size_t)rest * sizeof(REAL));
    }
}

/* Columns [column, column + some) of the chunk's n pairs of dz -> a panel; their sum is added to
 * d_bias. */
LOCAL void pack_dz(gradient_run *run, int64_t n, int64_t column, int64_t some, REAL *panel)
{
    const lstm_problem *p = run->p;
    vec sum[PANEL];
    for (int v = 0; v < PANEL; v++)
        sum[v] = vec_set1(0);
    for (int64_t k = 0; k < n; k++) {
        const REAL *from = FN(dz_columns)(run, k, column);
        if (k + 8 < n) /* 1 % less time */
            for (int v = 0; v < PANEL; v++)
                LSTM_PREFETCH(FN(dz_columns)(run, k + 8, column) + v * LANES);
        for (int v = 0; v < PANEL; v++) {
            const int64_t left = some - v * LANES;
            vec dz = left >= LANES ? vec_load(from + v * LANES)
                                   : vec_load_some(from + v * LANES, left > 0 ? left : 0);
            vec_store(panel + k * COLUMNS + v * LANES, dz);
            sum[v] = sum[v] + dz;
        }
    }
    if (p->d_bias) {
        REAL total[COLUMNS], *d_bias = (REAL *)p->d_bias + column;
        for (int v = 0; v < PANEL; v++)
            vec_store(total + v * LANES, sum[v]);
        for (int64_t i = 0; i < some; i++)
            d_bias[i] += total[i];
    }
}

/* gradient[:, column : end] += factor^T panels for the chunk's n pairs */
LOCAL void add_outer_products(gradient_run *run, const gradient_factor *factor, int64_t n,
                              int64_t column, int64_t end, int add)
{
    const int64_t stride = 4 * run->p->units;
    for (int64_t i = 0; i < factor->size; i += MAX_ROWS) {
        const int64_t rows = factor->size - i < MAX_ROWS ? factor->size - i : MAX_ROWS;
        const REAL *a = factor->panels + i / MAX_ROWS * FACTOR_STRIDE, *panel = run->panel;
        for (int64_t at = column; at < end; at += COLUMNS, panel += n * COLUMNS) {
            REAL *to = factor->gradient + i * stride + at;
            if (end - at >= COLUMNS) {
                outer_products[rows - 1](n, a, panel, to, stride, add);
                continue;
            }
            outer_products[rows - 1](n, a, panel, run->tile, COLUMNS, 0);
            for (int64_t r = 0; r < rows; r++)
                for (int64_t j = 0; j < end - at; j++) {
                    const REAL sum = run->tile[r * COLUMNS + j];
                    to[r * stride + j] = add ? to[r * stride + j] + sum : sum;
                }
        }
    }
}

/* The chunk's part of columns [column, end) */
LOCAL void add_chunk(gradient_run *run, int64_t n, int64_t column, int64_t end, int add)
{
    const int64_t units = run->p->units, width = DEPTH / (n ? n : 1) * COLUMNS;
    const int gated = (run->factors[0].masks && run->factors[0].groups > 1) ||
                      (run->factors[1].masks && run->factors[1].groups > 1);
    while (column < end) {
        /* with dropout masks for each gate a panel may not reach into the next gate */
        const int64_t gate = column / units,
                      stop = gated && (gate + 1) * units < end ? (gate + 1) * units : end;
        for (int f = 0; f < 2; f++)
            pack_factor(run, &run->factors[f], n, (int)gate);
        for (int64_t last; column < stop; column = last) {
            last = stop - column < width ? stop : column + width;
            for (int64_t at = column; at < last; at += COLUMNS)
                pack_dz(run, n, at, last - at < COLUMNS ? last - at : COLUMNS,
                        run->panel + (at - column) * n);
            for (int f = 0; f < 2; f++)
                add_outer_products(run, &run->factors[f], n, column, last, add);
        }
    }
}

/* Columns [column, column + columns) of d_kernel, d_recurrent_kernel, d_bias */
LOCAL void weight_gradients(const lstm_problem *p, int64_t column, int64_t columns, void *work)
{
    gradient_run run;
    gradient_layout(&run, p, work);
    int add = p->add_gradients;
    if (!add && p->d_bias)
        memset((REAL *)p->d_bias + column, 0, (size_t)columns * sizeof(REAL));
    const int64_t begin = FN(first_time)(p), end = begin + p->end - p->begin;
    int64_t n = 0;
    for (int64_t row = 0; row < p->batch; row++)
        for (int64_t time = begin; time < end; time++) {
            if (FN(is_masked)(p, row, time))
                continue;
            run.pairs[2 * n] = row;
            run.pairs[2 * n + 1] = time;
            if (++n == DEPTH) {
                add_chunk(&run, n, column, column + columns, add);
                add = 1;
                n = 0;
            }
        }
    if (n || !add) /* without any pair the sums are zero */
        add_chunk(&run, n, column, column + columns, add);
}

/* d_inputs = sum over g of masks[g] * (dz_g W_g^T); 0 at masked steps. kernel_transposed_pack is
 * packed as (D, 4U), so that gates are neighbours in its depth. */
LOCAL void input_gradients(const lstm_problem *p, int64_t first, int64_t pairs)
{
    const int groups = p->input_masks ? p->input_groups : 1;
    const int64_t inputs = p->inputs, depth = 4 * p->units / groups,
                  vectors = (inputs + LANES - 1) / LANES;
    REAL zeros[COLUMNS] = {0}, sums[MAX_ROWS][COLUMNS];
    const REAL *starts[MAX_ROWS] = {zeros, zeros, zeros, zeros, zeros, zeros};
    const int64_t steps = p->end - p->begin;
    int64_t pair = first;
    while (pair < first + pairs) {
        const REAL *dz[MAX_ROWS];
        REAL *dx[MAX_ROWS], *to[MAX_ROWS];
        int64_t of[MAX_ROWS], n = 0;
        for (; pair < first + pairs && n < MAX_ROWS; pair++) {
            const int64_t row = pair / steps, time = FN(first_time)(p) + pair % steps;
            REAL *at = (REAL *)p->d_inputs + (row * p->steps + time) * inputs;
            if (FN(is_masked)(p, row, time)) {
                memset(at, 0, (size_t)inputs * sizeof(REAL));
                continue;
            }
            of[n] = row;
            dx[n] = at;
            dz[n++] = FN(dz_row)(p, row, time);
        }
        for (int64_t v = 0; n && v < vectors; v += PANEL) {
            const int64_t width = vectors - v < PANEL ? vectors - v : PANEL, column = v * LANES;
            const int64_t some = inputs - column < width * LANES ? inputs - column : width * LANES;
            const REAL *panel = (const REAL *)p->kernel_transposed_pack + column * 4 * p->units;
            const int direct = !p->input_masks && some == width * LANES;
            for (int g = 0; g < groups; g++) {
                const REAL *a[MAX_ROWS];
                for (int64_t r = 0; r < n; r++) {
                    a[r] = dz[r] + g * depth;
                    to[r] = direct ? dx[r] + column : sums[r];
                }
                operand part = {a, depth, panel + g * depth * width * LANES, 0};
                products[width - 1][n - 1](&part, 1, starts, 0, to, 0);
                for (int64_t r = 0; r < n && !direct; r++) {
                    if (!p->input_masks) {
                        memcpy(dx[r] + column, sums[r], (size_t)some * sizeof(REAL));
                        continue;
                    }
                    const REAL *masks = (const REAL *)p->input_masks +
                                        (g * p->batch + of[r]) * inputs + column;
                    for (int64_t j = 0; j < some; j++)
                        dx[r][column + j] =
                            (g ? dx[r][column + j] : (REAL)0) + masks[j] * sums[r][j];
                }
            }
        }
    }
}
