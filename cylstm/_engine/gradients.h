/* gradients.h: what follows from dz, with no order in time. N: all unmasked pairs of a row and a
 * step.
 *
 *     d_kernel = x^T dz,   d_recurrent_kernel = h^T dz,   d_bias = sum of dz (weight_gradients)
 *     d_inputs = dz W^T (input_gradients)
 *
 * The weight gradients go through N in chunks of DEPTH pairs. The chunk's columns of dz are copied
 * to a panel [DEPTH][PANEL][LANES], its rows of x and h to panels [DEPTH][6]: this skips masked
 * steps, applies dropout, and lets a tile read two dense streams. The copies are 2 to 3 % of the
 * work. Where gates come first the two change places, and so the transposed gradients are made with
 * the same products. Every number is a sum over chunks in the order of rows and steps: neither that
 * nor how the columns are split among threads changes a bit.
 */

#define DEPTH LSTM_DEPTH /* the panel, 128 KB, stays in the L2 cache; 6 rows of factors in the L1 */
#define COLUMNS (PANEL * LANES)
_Static_assert(LSTM_COLUMNS % COLUMNS == 0, "threads share whole panels");
#define FACTOR_STRIDE                                                                              \
    (DEPTH * MAX_ROWS + 16) /* not a power of two: panels would share their cache sets */

#define DZ_COLUMNS (64 * MAX_ROWS) /* of a chunk, where they are the rows of the gradients */

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
    LOCAL void outer_product_##rows(int64_t depth, const REAL *a, const REAL *b, REAL *to,     \
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
static const outer_product_fn outer_products[MAX_ROWS] = {outer_product_1, outer_product_2,
                                                          outer_product_3, outer_product_4,
                                                          outer_product_5, outer_product_6};

/* One factor of the weight gradients: x, h or dz. */
typedef struct {
    const REAL *rows; /* from the first time of the piece on */
    int64_t row_stride, step_stride, size;
    const REAL *masks; /* (G, B, size) or NULL */
    int groups;
    REAL *gradient; /* OUT of x and h: (size, 4U) or, gates first, (4U, size) */
    REAL *panels;   /* [(end - first) / 6][FACTOR_STRIDE] */
    int64_t first, end; /* the numbers of a row that are multiplied now */
} gradient_factor;

typedef struct {
    const lstm_call *call;
    gradient_factor factors[2], dz;
    int64_t *pairs; /* of this chunk: row of the batch, time from the first one of the piece on */
    REAL *panel;    /* [DEPTH][PANEL][LANES] of one factor */
    REAL *row;      /* one row of a factor with its dropout mask */
    REAL *tile;     /* a tile at the right margin */
    REAL *room;     /* with a gemm: for the rows of a factor and of dz */
    const REAL **a, **dz_rows;
} gradient_run;

LOCAL int64_t gradient_layout(gradient_run *run, const lstm_call *call, char *at)
{
    lstm_layout whole = {at, 0}, *space = &whole;
    const lstm_shape *shape = &call->shape;
    const lstm_arrays *arrays = &call->arrays;
    const int64_t inputs = shape->inputs, units = shape->units, width = lstm_times(LSTM_GATES, units);
    const int64_t widest = inputs > units ? inputs : units;
    run->call = call;
    run->factors[0] = (gradient_factor){
        arrays->x,           arrays->x_row_stride, arrays->x_step_stride, inputs,
        arrays->input_masks, shape->input_groups,  arrays->d_kernel,      NULL, 0, inputs};
    run->factors[1] = (gradient_factor){
        arrays->hidden,          shape->steps * units,    units,                      units,
        arrays->recurrent_masks, shape->recurrent_groups, arrays->d_recurrent_kernel, NULL, 0, units};
    run->dz = (gradient_factor){NULL, 0, width, width, NULL, 0, NULL, NULL, 0, width};
    TAKE(pairs, int64_t, 2 * DEPTH);
    TAKE(row, REAL, widest);
    if (call->weights.gemm) {
        TAKE(a, const REAL *, DEPTH);
        TAKE(dz_rows, const REAL *, DEPTH);
        TAKE(room, REAL, lstm_times(DEPTH, lstm_plus(width, widest)));
        return whole.size;
    }
    if (shape->gates_first)
        TAKE(dz.panels, REAL, DZ_COLUMNS / MAX_ROWS * FACTOR_STRIDE);
    for (int f = 0; f < 2 && !shape->gates_first; f++)
        TAKE(factors[f].panels, REAL,
             lstm_times((run->factors[f].size - 1 + MAX_ROWS) / MAX_ROWS, FACTOR_STRIDE));
    TAKE(panel, REAL, DEPTH * COLUMNS);
    TAKE(tile, REAL, MAX_ROWS * COLUMNS);
    return whole.size;
}

LOCAL int64_t gradients_work(const lstm_call *call)
{
    gradient_run run;
    return gradient_layout(&run, call, NULL);
}

/* Where the numbers of pair k of the chunk are */
INLINE const REAL *place_of(const gradient_run *run, const gradient_factor *factor, int64_t k)
{
    return factor->rows + run->pairs[2 * k] * factor->row_stride +
           run->pairs[2 * k + 1] * factor->step_stride;
}

/* Numbers [first, first + count) of pair k, with the dropout mask of a gate: in `room` if there is one */
INLINE const REAL *numbers_of(const gradient_run *run, const gradient_factor *factor, int64_t k,
                              int gate, int64_t first, int64_t count, REAL *room)
{
    const int64_t of = (factor->groups > 1 ? gate : 0) * run->call->shape.batch + run->pairs[2 * k];
    const REAL *from = place_of(run, factor, k) + first;
    if (!factor->masks)
        return from;
    apply_masks(1, count, from, factor->masks + of * factor->size + first, 0, room, 0);
    return room;
}

/* The rows of the chunk's n pairs -> panels [numbers / 6][k][6] */
LOCAL void pack_factor(gradient_run *run, const gradient_factor *factor, int64_t n, int gate)
{
    const int64_t first = factor->first, count = factor->end - first, whole = count / MAX_ROWS,
                  rest = count % MAX_ROWS;
    for (int64_t k = 0; k < n; k++) {
        REAL *to = factor->panels + k * MAX_ROWS;
        if (k + 4 < n) /* the whole gradient of the weights takes 1 to 6 % less time */
            for (int64_t i = first; i < factor->end; i += LSTM_LINE / sizeof(REAL))
                LSTM_PREFETCH(place_of(run, factor, k + 4) + i);
        const REAL *from = numbers_of(run, factor, k, gate, first, count, run->row);
        for (int64_t i = 0; i < whole; i++)
            memcpy(to + i * FACTOR_STRIDE, from + i * MAX_ROWS, MAX_ROWS * sizeof(REAL));
        if (rest)
            memcpy(to + whole * FACTOR_STRIDE, from + whole * MAX_ROWS,
                   (size_t)rest * sizeof(REAL));
    }
}

/* Numbers [first, first + some) of the chunk's n pairs -> a panel; their sums are added to `total`, if
 * that is given. */
LOCAL void pack_panel(gradient_run *run, const gradient_factor *factor, int64_t n, int gate,
                      int64_t first, int64_t some, REAL *panel, REAL *total)
{
    vec sum[PANEL];
    for (int v = 0; v < PANEL; v++)
        sum[v] = vec_set1(0);
    for (int64_t k = 0; k < n; k++) {
        const REAL *from = numbers_of(run, factor, k, gate, first, some, run->row);
        if (k + 8 < n) /* 1 % less time */
            for (int v = 0; v < PANEL; v++)
                LSTM_PREFETCH(place_of(run, factor, k + 8) + first + v * LANES);
        for (int v = 0; v < PANEL; v++) {
            const int64_t left = some - v * LANES;
            vec numbers = left >= LANES ? vec_load(from + v * LANES)
                                        : vec_load_some(from + v * LANES, left > 0 ? left : 0);
            vec_store(panel + k * COLUMNS + v * LANES, numbers);
            sum[v] = sum[v] + numbers;
        }
    }
    if (total) {
        REAL sums[COLUMNS];
        for (int v = 0; v < PANEL; v++)
            vec_store(sums + v * LANES, sum[v]);
        for (int64_t i = 0; i < some; i++)
            total[i] += sums[i];
    }
}

/* The same for as many panels from `first` on as there is room for; returns where they end. */
LOCAL int64_t pack_panels(gradient_run *run, const gradient_factor *factor, int64_t n, int gate,
                          int64_t first, REAL *total)
{
    const int64_t most = DEPTH / (n ? n : 1) * COLUMNS, left = factor->end - first;
    const int64_t end = left < most ? factor->end : first + most;
    REAL *panel = run->panel;
    for (int64_t at = first; at < end; at += COLUMNS, panel += n * COLUMNS)
        pack_panel(run, factor, n, gate, at, end - at < COLUMNS ? end - at : COLUMNS, panel,
                   total ? total + at : NULL);
    return end;
}

/* to[i][j] (+)= the sum over the chunk's n pairs of number i of the factor and number first + j of the
 * panels, for j < count; rows of `to` are `stride` apart. */
LOCAL void add_outer_products(const gradient_run *run, const gradient_factor *factor, int64_t n,
                              int64_t count, REAL *to, int64_t stride, int add)
{
    const int64_t size = factor->end - factor->first;
    for (int64_t i = 0; i < size; i += MAX_ROWS, to += MAX_ROWS * stride) {
        const int64_t rows = size - i < MAX_ROWS ? size - i : MAX_ROWS;
        const REAL *a = factor->panels + i / MAX_ROWS * FACTOR_STRIDE, *panel = run->panel;
        for (int64_t at = 0; at < count; at += COLUMNS, panel += n * COLUMNS) {
            if (count - at >= COLUMNS) {
                outer_products[rows - 1](n, a, panel, to + at, stride, add);
                continue;
            }
            outer_products[rows - 1](n, a, panel, run->tile, COLUMNS, 0);
            for (int64_t r = 0; r < rows; r++)
                for (int64_t j = 0; j < count - at; j++) {
                    const REAL sum = run->tile[r * COLUMNS + j];
                    REAL *one = to + r * stride + at + j;
                    *one = add ? *one + sum : sum;
                }
        }
    }
}

/* The chunk's part of the gradients, for the numbers of dz that its factor says */
LOCAL void add_products(gradient_run *run, int64_t n, int gate, int add)
{
    const int64_t width = run->dz.size;
    for (int f = 0; f < 2; f++)
        pack_factor(run, &run->factors[f], n, gate);
    for (int64_t at = run->dz.first, end; at < run->dz.end; at = end) {
        end = pack_panels(run, &run->dz, n, gate, at, run->call->arrays.d_bias);
        for (int f = 0; f < 2; f++)
            add_outer_products(run, &run->factors[f], n, end - at, run->factors[f].gradient + at,
                               width, add);
    }
}

/* The same for gradients that lie transposed: rows are those of dz */
LOCAL void add_products_gates_first(gradient_run *run, int64_t n, int gate, int add)
{
    const gradient_factor *dz = &run->dz;
    REAL *d_bias = run->call->arrays.d_bias;
    for (int64_t at = dz->first; d_bias && at < dz->end;) /* for the sums alone */
        at = pack_panels(run, dz, n, gate, at, d_bias);
    pack_factor(run, dz, n, gate);
    for (int f = 0; f < 2; f++) {
        const gradient_factor *factor = &run->factors[f];
        for (int64_t at = 0, end; at < factor->size; at = end) {
            end = pack_panels(run, factor, n, gate, at, NULL);
            add_outer_products(run, dz, n, end - at,
                               factor->gradient + dz->first * factor->size + at, factor->size, add);
        }
    }
}

/* The chunk's part of columns [column, end) */
LOCAL void add_chunk(gradient_run *run, int64_t n, int64_t column, int64_t end, int add)
{
    const lstm_shape *shape = &run->call->shape;
    const int64_t units = shape->units;
    const int gated = (run->factors[0].masks && run->factors[0].groups > 1) ||
                      (run->factors[1].masks && run->factors[1].groups > 1);
    for (; column < end; column = run->dz.end) {
        /* with dropout masks for each gate a panel may not reach into the next gate */
        const int64_t gate = column / units,
                      stop = gated && (gate + 1) * units < end ? (gate + 1) * units : end;
        run->dz.first = column;
        run->dz.end = shape->gates_first && stop - column > DZ_COLUMNS ? column + DZ_COLUMNS : stop;
        if (shape->gates_first)
            add_products_gates_first(run, n, (int)gate, add);
        else
            add_products(run, n, (int)gate, add);
    }
}

/* The chunk's part of all columns, with a gemm */
LOCAL void add_chunk_wide(gradient_run *run, int64_t n, int add)
{
    const lstm_call *call = run->call;
    const int64_t width = LSTM_GATES * call->shape.units;
    REAL *d_bias = call->arrays.d_bias, *room = run->room + DEPTH * width;
    int64_t dz_stride, stride;
    for (int64_t k = 0; k < n; k++)
        run->dz_rows[k] = place_of(run, &run->dz, k);
    const REAL *dz = n ? as_matrix(n, width, run->dz_rows, 0, run->room, &dz_stride) : NULL;
    for (int f = 0; f < 2; f++) {
        const gradient_factor *factor = &run->factors[f];
        const int groups = factor->groups > 1 ? factor->groups : 1;
        const int64_t part = width / groups, size = factor->size;
        for (int g = 0; g < groups; g++) {
            for (int64_t k = 0; k < n; k++)
                run->a[k] = numbers_of(run, factor, k, g, 0, size, room + k * size);
            REAL *to = factor->gradient + g * part;
            if (!n)
                for (int64_t i = 0; i < size; i++)
                    memset(to + i * width, 0, (size_t)part * sizeof(REAL));
            else {
                const REAL *a = as_matrix(n, size, run->a, 0, room, &stride);
                call->weights.gemm(1, 0, size, part, n, a, stride, dz + g * part, dz_stride, add, to,
                                   width);
            }
        }
    }
    for (int64_t k = 0; d_bias && k < n; k++)
        for (int64_t j = 0; j < width; j++)
            d_bias[j] += dz[k * dz_stride + j];
}

/* The chunk's part of columns [column, end) of the gradient of the table */
LOCAL void add_to_table(const gradient_run *run, int64_t n, int64_t begin, int64_t column, int64_t end)
{
    const int64_t width = run->dz.size;
    for (int64_t next; column < end; column = next) {
        next = end - column > LSTM_COLUMNS ? column + LSTM_COLUMNS : end;
        for (int64_t k = 0; k < n; k++) {
            const int64_t *pair = run->pairs + 2 * k,
                          at = pair[0] * run->call->shape.steps + begin + pair[1];
            REAL *to = (REAL *)run->call->arrays.d_kernel + run->call->arrays.indices[at] * width;
            const REAL *from = place_of(run, &run->dz, k);
            int64_t i = column;
            for (; i + LANES <= next; i += LANES)
                vec_store(to + i, vec_load(to + i) + vec_load(from + i));
            for (; i < next; i++)
                to[i] += from[i];
        }
    }
}

/* Columns [column, column + columns) of d_kernel, d_recurrent_kernel, d_bias */
LOCAL void weight_gradients(const lstm_call *call, const lstm_piece *piece, int64_t column,
                            int64_t columns, void *work)
{
    gradient_run run;
    const lstm_arrays *arrays = &call->arrays;
    const int64_t begin = first_time(&call->shape, piece), steps = piece->end - piece->begin;
    const int64_t total = call->shape.batch * steps;
    int64_t n = 0;
    int add = piece->add;
    gradient_layout(&run, call, work);
    run.factors[0].rows = (const REAL *)arrays->x + begin * arrays->x_step_stride;
    run.factors[1].rows = (const REAL *)arrays->hidden + begin * call->shape.units;
    run.dz.rows = piece->dz;
    run.dz.row_stride = steps * run.dz.size;
    if (!add && arrays->d_bias)
        memset((REAL *)arrays->d_bias + column, 0, (size_t)columns * sizeof(REAL));
    for (int64_t pair = 0; pair <= total; pair++) {
        if (pair < total && !is_masked(call, pair / steps, begin + pair % steps)) {
            run.pairs[2 * n] = pair / steps;
            run.pairs[2 * n++ + 1] = pair % steps;
        }
        if (n < DEPTH && (pair < total || (!n && add))) /* without any pair the sums are zero */
            continue;
        if (arrays->indices)
            add_to_table(&run, n, begin, column, column + columns);
        if (call->weights.gemm)
            add_chunk_wide(&run, n, add);
        else
            add_chunk(&run, n, column, column + columns, add);
        add = 1;
        n = 0;
    }
}

/* d_inputs = sum over g of masks[g] * (dz_g W_g^T); 0 at masked steps. */
LOCAL void input_gradients(const lstm_call *call, const lstm_piece *piece, int64_t first,
                           int64_t pairs, void *work)
{
    const lstm_shape *shape = &call->shape;
    const int64_t inputs = shape->inputs, steps = piece->end - piece->begin;
    const int wide = call->weights.gemm != NULL;
    const int64_t most = wide ? DEPTH : MAX_ROWS;
    const REAL *dz[DEPTH];
    REAL *dx[DEPTH];
    int64_t of[DEPTH], pair = first;
    while (pair < first + pairs) {
        int64_t n = 0;
        for (; pair < first + pairs && n < most; pair++) {
            const int64_t row = pair / steps, time = first_time(shape, piece) + pair % steps;
            REAL *at = (REAL *)call->arrays.d_inputs + (row * shape->steps + time) * inputs;
            if (is_masked(call, row, time)) {
                memset(at, 0, (size_t)inputs * sizeof(REAL));
                continue;
            }
            of[n] = row;
            dx[n] = at;
            dz[n++] = dz_row(shape, piece, row, time);
        }
        if (wide)
            pull_gate_products(call->weights.gemm, call->weights.kernel, shape->units, n, inputs, dz,
                               shape->input_groups, call->arrays.input_masks, shape->batch, of, work,
                               dx);
        else
            pull_rows(inputs, n, dz, LSTM_GATES * shape->units, call->weights.kernel,
                      shape->input_groups, call->arrays.input_masks, shape->batch, inputs, of, dx);
    }
}
