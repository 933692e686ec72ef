/* cell.h: what makes it an LSTM. The products know no gates; the cell knows no products.
 *
 *     z_g = x W_g + h U_g + b_g                    g = i, f, c, o         (1)
 *     i, f, o = recurrent_activation(z), g = activation(z_c)              (2)
 *     c' = f c + i g                                                      (3)
 *     h' = o activation(c')                                               (4)
 *
 * The prime marks what comes after the step. `finish` computes (2) to (4) from z; `undo` takes the
 * gradients of h' and c' to those of z and c:
 *
 *     do = dh' a,   dc' += dh' o activation'(a)            with a = activation(c')    (4)
 *     di = dc' g,   df = dc' c,   dg = dc' i,   dc = dc' f                            (3)
 *     dz_i = di recurrent'(i), dz_f and dz_o alike, dz_c = dg activation'(g)          (2)
 */

enum { OWN_ROWS = 0 }; /* further weights of a variant, rows of `own`: it has none */

/* Where one active row reads and writes in one step. */
typedef struct {
    REAL *c, *next_h;                           /* the row's state, padded to whole blocks */
    REAL *output, *gates, *cells, *next_hidden; /* the caller's arrays, or NULL */
} forward_row;

typedef struct {
    const REAL *gates, *cells, *before, *d_output; /* of this step; `before`: c before the step */
    REAL *dh, *dc;                                 /* gradients of the row's state, padded */
    REAL *dz;
    int64_t row; /* of the batch */
} backward_row;

/* A vector of which `some` lanes are in the caller's array, or all of them where it is `whole` */
INLINE vec take(const REAL *from, const int whole, int64_t some)
{
    return whole ? vec_load(from) : vec_load_some(from, some);
}
INLINE void put(REAL *to, vec a, const int whole, int64_t some)
{
    if (whole)
        vec_store(to, a);
    else
        vec_store_some(to, a, some);
}

/* Activations that are constants are inlined (`fixed`), others called. */
INLINE vec apply(const int fixed, int activation, vec x)
{
    return fixed ? activation_of(activation, x) : any_activation(activation, x);
}
INLINE vec pull(const int fixed, int activation, vec y, vec d)
{
    return fixed ? gradient_of(activation, y, d) : any_gradient(activation, y, d);
}

/* c' of one row and the block of units that starts at `unit`. Gate g stands at z + g gate_stride. */
INLINE vec next_cell(const int whole, const int fixed, int activation, int recurrent, int64_t units,
                     int64_t unit, const forward_row *row, const REAL *z, int64_t gate_stride)
{
    const int64_t some = units - unit;
    const vec i = apply(fixed, recurrent, vec_load(z));
    const vec f = apply(fixed, recurrent, vec_load(z + gate_stride));
    const vec g = apply(fixed, activation, vec_load(z + 2 * gate_stride));
    const vec c = vec_fma(f, vec_load(row->c + unit), i * g);
    vec_store(row->c + unit, c);
    if (row->cells)
        put(row->cells + unit, c, whole, some);
    if (row->gates) {
        put(row->gates + unit, i, whole, some);
        put(row->gates + units + unit, f, whole, some);
        put(row->gates + 2 * units + unit, g, whole, some);
    }
    return c;
}

/* h' from c' */
INLINE void next_hidden(const int whole, const int fixed, int activation, int recurrent,
                        int64_t units, int64_t unit, const forward_row *row, const REAL *z,
                        int64_t gate_stride, vec c)
{
    const int64_t some = units - unit;
    const vec o = apply(fixed, recurrent, vec_load(z + 3 * gate_stride));
    const vec h = o * apply(fixed, activation, c);
    vec_store(row->next_h + unit, h);
    if (row->output)
        put(row->output + unit, h, whole, some);
    if (row->next_hidden)
        put(row->next_hidden + unit, h, whole, some);
    if (row->gates)
        put(row->gates + 3 * units + unit, o, whole, some);
}

/* (2) to (4) for n rows and a block of units; z of row r stands at z + r row_stride. First c' of all
 * rows, then h': so that rows do not wait for each other's chains of two activations (batches of 3 and
 * more: 4 to 5 % less time). One row keeps c' in a register (2 %). */
INLINE void finish_block(const int whole, const int fixed, int activation, int recurrent,
                         const lstm_call *call, int64_t unit, int64_t n, const forward_row *rows,
                         const REAL *z, int64_t row_stride, int64_t gate_stride)
{
    const int64_t units = call->shape.units;
    if (n == 1) {
        const vec c = next_cell(whole, fixed, activation, recurrent, units, unit, rows, z,
                                gate_stride);
        next_hidden(whole, fixed, activation, recurrent, units, unit, rows, z, gate_stride, c);
        return;
    }
    for (int64_t r = 0; r < n; r++)
        next_cell(whole, fixed, activation, recurrent, units, unit, rows + r, z + r * row_stride,
                  gate_stride);
    for (int64_t r = 0; r < n; r++)
        next_hidden(whole, fixed, activation, recurrent, units, unit, rows + r, z + r * row_stride,
                    gate_stride, vec_load(rows[r].c + unit));
}

/* The last block may be of fewer units than a vector has lanes, with its gates `last_stride` apart: what
 * the other lanes compute is written to the padding of c and h alone, which nothing reads. */
INLINE void finish(const int fixed, int activation, int recurrent, const lstm_call *call,
                   int64_t unit, int64_t n, const forward_row *rows, const REAL *z,
                   int64_t row_stride, int64_t gate_stride, int64_t last_stride)
{
    if (call->shape.units - unit >= LANES)
        finish_block(1, fixed, activation, recurrent, call, unit, n, rows, z, row_stride,
                     gate_stride);
    else
        finish_block(0, fixed, activation, recurrent, call, unit, n, rows, z, row_stride,
                     last_stride);
}

/* (4) to (2) for one row and a block of units */
INLINE void undo_block(const int whole, const int fixed, int activation, int recurrent,
                       const lstm_call *call, int64_t unit, backward_row row)
{
    const int64_t units = call->shape.units, some = units - unit;
    const vec i = take(row.gates + unit, whole, some);
    const vec f = take(row.gates + units + unit, whole, some);
    const vec g = take(row.gates + 2 * units + unit, whole, some);
    const vec o = take(row.gates + 3 * units + unit, whole, some);
    const vec before = take(row.before + unit, whole, some);
    const vec a = apply(fixed, activation, take(row.cells + unit, whole, some));
    vec dh = vec_load(row.dh + unit), dc = vec_load(row.dc + unit);
    if (row.d_output)
        dh = dh + take(row.d_output + unit, whole, some);
    dc = dc + pull(fixed, activation, a, dh * o);
    const vec dz_i = pull(fixed, recurrent, i, dc * g);
    const vec dz_f = pull(fixed, recurrent, f, dc * before);
    const vec dz_g = pull(fixed, activation, g, dc * i);
    const vec dz_o = pull(fixed, recurrent, o, dh * a);
    vec_store(row.dc + unit, dc * f);
    put(row.dz + unit, dz_i, whole, some);
    put(row.dz + units + unit, dz_f, whole, some);
    put(row.dz + 2 * units + unit, dz_g, whole, some);
    put(row.dz + 3 * units + unit, dz_o, whole, some);
}

/* (4) to (2) for n rows and the units [begin, end) */
INLINE void undo(const int fixed, int activation, int recurrent, const lstm_call *call,
                 int64_t begin, int64_t end, int64_t n, const backward_row *rows)
{
    const int64_t units = call->shape.units;
    for (int64_t r = 0; r < n; r++) {
        const backward_row row = rows[r], next = rows[r + 1 < n ? r + 1 : r];
        for (int64_t unit = begin; unit < end; unit += LANES) {
            /* the next row's lines: 1 to 3 % less time */
            for (int g = 0; g < LSTM_GATES; g++) {
                LSTM_PREFETCH(next.gates + g * units + unit);
                LSTM_PREFETCH(next.dz + g * units + unit);
            }
            LSTM_PREFETCH(next.cells + unit);
            LSTM_PREFETCH(next.before + unit);
            if (next.d_output)
                LSTM_PREFETCH(next.d_output + unit);
            if (units - unit >= LANES)
                undo_block(1, fixed, activation, recurrent, call, unit, row);
            else
                undo_block(0, fixed, activation, recurrent, call, unit, row);
        }
    }
}

/* The same where an activation needs all units of a row (softmax). z is (n, 4 units); `a` has room for
 * a row, and in undo_rows for two. */
LOCAL void finish_rows(const lstm_call *call, int64_t n, const forward_row *rows, REAL *z, REAL *a)
{
    const lstm_shape *s = &call->shape;
    const int64_t units = s->units;
    const size_t size = (size_t)units * sizeof(REAL);
    for (int64_t r = 0; r < n; r++, z += LSTM_GATES * units) {
        for (int g = 0; g < LSTM_GATES; g++)
            activate_row(g == 2 ? s->activation : s->recurrent_activation, units, z + g * units);
        for (int64_t unit = 0; unit < units; unit += LANES) /* (3); h waits for (4) */
            finish(1, lstm_linear, lstm_linear, call, unit, 1, rows + r, z + unit, 0, units, units);
        memcpy(a, rows[r].c, size);
        activate_row(s->activation, units, a);
        for (int64_t k = 0; k < units; k++)
            rows[r].next_h[k] = z[3 * units + k] * a[k];
        if (rows[r].output)
            memcpy(rows[r].output, rows[r].next_h, size);
        if (rows[r].next_hidden)
            memcpy(rows[r].next_hidden, rows[r].next_h, size);
    }
}

LOCAL void undo_rows(const lstm_call *call, int64_t n, const backward_row *rows, REAL *a)
{
    const lstm_shape *s = &call->shape;
    const int64_t units = s->units;
    for (int64_t r = 0; r < n; r++) {
        const backward_row row = rows[r];
        const REAL *i = row.gates, *f = i + units, *g = f + units, *o = g + units;
        REAL *dz = row.dz, *d = a + units;
        memcpy(a, row.cells, (size_t)units * sizeof(REAL));
        activate_row(s->activation, units, a);
        for (int64_t k = 0; k < units; k++) {
            const REAL dh = row.dh[k] + (row.d_output ? row.d_output[k] : 0);
            d[k] = dh * o[k];
            dz[3 * units + k] = dh * a[k];
        }
        pull_row(s->activation, units, a, d);
        for (int64_t k = 0; k < units; k++) {
            const REAL dc = row.dc[k] + d[k];
            dz[k] = dc * g[k];
            dz[units + k] = dc * row.before[k];
            dz[2 * units + k] = dc * i[k];
            row.dc[k] = dc * f[k];
        }
        for (int gate = 0; gate < LSTM_GATES; gate++)
            pull_row(gate == 2 ? s->activation : s->recurrent_activation, units, i + gate * units,
                     dz + gate * units);
    }
}

/* The common pairs of activations have code of their own; all others go through the switches. `tile`:
 * z is a tile of tile.h; `wide`: it is (n, 4 units). */
#define PAIRS(F)                                                                                   \
    F(tanh_sigmoid, 1, lstm_tanh, lstm_sigmoid)                                                    \
    F(tanh_hard_sigmoid, 1, lstm_tanh, lstm_hard_sigmoid)                                          \
    F(other, 0, call->shape.activation, call->shape.recurrent_activation)

#define PAIR(name, fixed, activation, recurrent)                                                   \
    LOCAL_BESIDE("finish")                                                                         \
    void finish_tile_##name(const lstm_call *call, int64_t unit, int64_t n,                        \
                            const forward_row *rows, const REAL *z)                                \
    {                                                                                              \
        finish(fixed, activation, recurrent, call, unit, n, rows, z, TILE_STRIDE, LANES,           \
               call->shape.units - unit);                                                          \
    }                                                                                              \
    LOCAL_BESIDE("finish")                                                                         \
    void finish_wide_##name(const lstm_call *call, int64_t unit, int64_t n,                        \
                            const forward_row *rows, const REAL *z)                                \
    {                                                                                              \
        const int64_t units = call->shape.units;                                                   \
        finish(fixed, activation, recurrent, call, unit, n, rows, z, LSTM_GATES * units, units,    \
               units);                                                                             \
    }                                                                                              \
    LOCAL void undo_##name(const lstm_call *call, int64_t begin, int64_t end, int64_t n,           \
                           const backward_row *rows)                                               \
    {                                                                                              \
        undo(fixed, activation, recurrent, call, begin, end, n, rows);                             \
    }
PAIRS(PAIR)
#undef PAIR

typedef struct {
    int activation, recurrent;
    void (*tile)(const lstm_call *, int64_t, int64_t, const forward_row *, const REAL *);
    void (*wide)(const lstm_call *, int64_t, int64_t, const forward_row *, const REAL *);
    void (*undo)(const lstm_call *, int64_t, int64_t, int64_t, const backward_row *);
} cell_pair;

INLINE cell_pair cell_for(const lstm_call *call)
{
#define PAIR(name, fixed, activation, recurrent)                                                   \
    {activation, recurrent, finish_tile_##name, finish_wide_##name, undo_##name},
    const cell_pair pairs[] = {PAIRS(PAIR)};
    int k = 0;
    while (pairs[k].activation != call->shape.activation ||
           pairs[k].recurrent != call->shape.recurrent_activation)
        k++;
    return pairs[k];
}

/* Whether an activation needs whole rows */
INLINE int needs_rows(const lstm_shape *s)
{
    return s->activation >= lstm_elementwise_count ||
           s->recurrent_activation >= lstm_elementwise_count;
}
