/* tile.h: the one product that everything rests on, of rows and a packed matrix (pack.h). */

#define BLOCK (LSTM_GATES * LANES) /* columns of a unit block */
#define PANELS_OF_BLOCK (LSTM_GATES / PANEL)
#define MAX_ROWS 6
#define WIDEST (2 * BLOCK) /* columns of the widest tile: one row against two unit blocks */
#define TILE_STRIDE WIDEST

/* One factor of a product: rows of numbers, and the packed panel to multiply them with. */
typedef struct {
    const REAL *const *rows; /* where the row of each tile row starts */
    int64_t depth;
    const REAL *panel;
    int64_t gate_stride; /* gated tiles: distance between a row's copies for neighbouring gates */
    const char *next;    /* tiles that look ahead: what is read later, brought to the L2 cache now, */
    int64_t next_step;   /* so many bytes further with each k */
} operand;

/* out[r][column] = start[r][column] + sum over parts, k of part.rows[r][k] * panel[k][column], with
 * the panel of each part that is `after` panels after the one it names (of its unit block).
 *
 * A tile of `rows` x (`panels` * `width`) vectors stays in registers over all parts. The loop over
 * k reads `width` contiguous vectors of weights and broadcasts one number a row. Measured: 6 x 4
 * vectors of AVX-512 run at 94 to 97 % of the FMA peak. Few rows take several panels at once, to
 * have 8 accumulators for the 4 cycles a multiply-add takes. rows, width, panels, gated, ahead are
 * constants wherever this is inlined. */
INLINE void product(const int rows, const int width, const int panels, const int gated,
                    const int ahead, const operand *parts, int count, int64_t after, const REAL *const *start,
                    int64_t start_column, REAL *const *out, int64_t out_column)
{
    vec sum[MAX_ROWS][8];
    LSTM_UNROLL
    for (int r = 0; r < rows; r++)
        LSTM_UNROLL
    for (int v = 0; v < panels * width; v++)
        sum[r][v] = vec_load(start[r] + start_column + v * LANES);

    for (int part = 0; part < count; part++) {
        const int64_t depth = parts[part].depth, gate_stride = gated ? parts[part].gate_stride : 0;
        const int64_t next_panel = depth * width * LANES;
        const int64_t skipped = PANELS_OF_BLOCK > 1 ? after * depth * PANEL * LANES : 0;
        const REAL *weights = parts[part].panel + skipped, *a[MAX_ROWS];
        const char *next = parts[part].next;
        const int64_t next_step = parts[part].next_step;
        LSTM_UNROLL
        for (int r = 0; r < rows; r++)
            a[r] = parts[part].rows[r];
        for (int64_t k = 0; k < depth; k++, weights += width * LANES) {
            vec w[8];
            if (ahead) {
                LSTM_PREFETCH_L2(next);
                next += next_step;
            }
            LSTM_UNROLL
            for (int p = 0; p < panels; p++)
                LSTM_UNROLL
            for (int v = 0; v < width; v++)
                w[p * width + v] = vec_load(weights + p * next_panel + v * LANES);
            LSTM_UNROLL
            for (int r = 0; r < rows; r++)
                LSTM_UNROLL
            for (int v = 0; v < panels * width; v++)
                sum[r][v] = vec_fma(vec_set1(a[r][k + v * gate_stride]), w[v], sum[r][v]);
        }
    }

    LSTM_UNROLL
    for (int r = 0; r < rows; r++)
        LSTM_UNROLL
    for (int v = 0; v < panels * width; v++)
        vec_store(out[r] + out_column + v * LANES, sum[r][v]);
}

typedef void (*product_fn)(const operand *, int, int64_t, const REAL *const *, int64_t,
                           REAL *const *, int64_t);

#define NAMED(rows, width, panels, kind) product_##rows##_##width##_##panels##_##kind
#define PRODUCT(rows, width, panels, kind)                                                         \
    LOCAL void NAMED(rows, width, panels, kind)(                                                   \
        const operand *parts, int count, int64_t after, const REAL *const *start,                  \
        int64_t start_column, REAL *const *out, int64_t out_column)                                \
    {                                                                                              \
        enum { plain, gated, ahead };                                                              \
        product(rows, width, panels, kind == gated, kind == ahead, parts, count, after, start,     \
                start_column, out, out_column);                                                    \
    }
#define PRODUCTS(width, kind)                                                                      \
    PRODUCT(1, width, 1, kind)                                                                     \
    PRODUCT(2, width, 1, kind)                                                                     \
    PRODUCT(3, width, 1, kind)                                                                     \
    PRODUCT(4, width, 1, kind)                                                                     \
    PRODUCT(5, width, 1, kind)                                                                     \
    PRODUCT(6, width, 1, kind)
#define ROW(width, kind)                                                                           \
    {NAMED(1, width, 1, kind), NAMED(2, width, 1, kind), NAMED(3, width, 1, kind),                 \
     NAMED(4, width, 1, kind), NAMED(5, width, 1, kind), NAMED(6, width, 1, kind)}

/* products[width - 1][rows - 1] are the tiles of one panel; wide_products take several, for few
 * rows. */
PRODUCTS(1, plain)
PRODUCTS(2, plain)
#if PANEL == 4
PRODUCTS(3, plain)
PRODUCTS(4, plain)
PRODUCTS(4, gated)
PRODUCT(1, 4, 2, plain)
static const product_fn products[4][MAX_ROWS] = {ROW(1, plain), ROW(2, plain), ROW(3, plain),
                                                 ROW(4, plain)};
static const product_fn gated_products[MAX_ROWS] = ROW(4, gated);
#define ahead_products products[PANEL - 1] /* no gain with AVX-512 */
#else
PRODUCTS(2, gated)
PRODUCTS(2, ahead)
PRODUCT(1, 2, 2, plain)
PRODUCT(1, 2, 4, plain)
PRODUCT(2, 2, 2, plain)
PRODUCT(3, 2, 2, plain)
static const product_fn products[2][MAX_ROWS] = {ROW(1, plain), ROW(2, plain)};
static const product_fn gated_products[MAX_ROWS] = ROW(2, gated);
static const product_fn ahead_products[MAX_ROWS] = ROW(2, ahead);
#endif

/* The tile for some rows when `panels` full panels are left: *taken is how many of them it does. */
INLINE product_fn widest_product(int64_t rows, int64_t panels, int *taken)
{
#if PANEL == 4
    if (rows == 1 && panels >= 2) {
        *taken = 2;
        return NAMED(1, 4, 2, plain);
    }
#else
    if (rows == 1 && panels >= 4) {
        *taken = 4;
        return NAMED(1, 2, 4, plain);
    }
    if (rows <= 3 && panels >= 2) {
        *taken = 2;
        return rows == 1 ? NAMED(1, 2, 2, plain) : rows == 2 ? NAMED(2, 2, 2, plain) : NAMED(3, 2, 2, plain);
    }
#endif
    *taken = 1;
    return products[PANEL - 1][rows - 1];
}

/* How many of `left` rows the next tile of one panel takes: as few tiles as possible, of nearly equal
 * height (8 rows are 4 + 4). */
INLINE int64_t tile_rows(int64_t left)
{
    int64_t tiles = (left + MAX_ROWS - 1) / MAX_ROWS;
    return (left + tiles - 1) / tiles;
}

/* The same for tiles of a whole unit block: of two panels, 3 rows have 12 accumulators, and 4 rows of
 * one panel but 8 (8 rows are 5 + 3: 4 % less time). */
INLINE int64_t block_tile_rows(int64_t left)
{
    if (PANELS_OF_BLOCK == 1)
        return tile_rows(left);
    return left > MAX_ROWS + 2 ? MAX_ROWS : left > MAX_ROWS ? left - 3 : left;
}

/* What is done before each tile of rows [i, i + rows) and columns [column, column + columns). */
typedef void (*before_tile_fn)(const void *context, int64_t i, int64_t rows, int64_t column,
                               int64_t columns);

/* out[i][column] = start[i][column] + sum_k a[i][k] pack[k][column] for n rows and all columns of
 * one packed matrix. `before` may be NULL. */
LOCAL void multiply_rows(int64_t n, int64_t columns, int64_t depth, const REAL *const *a,
                         const REAL *pack, const REAL *const *start, REAL *const *out,
                         before_tile_fn before, const void *context)
{
    const int64_t vectors = (columns + LANES - 1) / LANES;
    int taken;
    for (int64_t v = 0; v < vectors; v += taken * PANEL) {
        int64_t width = vectors - v < PANEL ? vectors - v : PANEL;
        taken = 1;
        for (int64_t i = 0, rows; i < n; i += rows) {
            rows = tile_rows(n - i);
            operand part = {a + i, depth, pack + v * LANES * depth, 0, NULL, 0};
            product_fn tile = width < PANEL ? products[width - 1][rows - 1]
                              : n == rows ? widest_product(rows, (vectors - v) / PANEL, &taken)
                                          : products[PANEL - 1][rows - 1];
            if (before)
                before(context, i, rows, v * LANES, taken * width * LANES);
            tile(&part, 1, 0, start + i, v * LANES, out + i, v * LANES);
        }
    }
}

/* out[r] = sum over g of masks[g] * (a_g[r] pack_g), for n rows of numbers of which each group of
 * gates has its part of the depth, and the first columns of a packed matrix. The masks are (groups,
 * B, width), and row r is of row_of[r]; no groups: no masks. */
LOCAL void pull_rows(int64_t columns, int64_t n, const REAL *const *a, int64_t depth,
                     const REAL *pack, int groups, const REAL *masks, int64_t batch, int64_t width,
                     const int64_t *row_of, REAL *const *out)
{
    const int64_t vectors = (columns + LANES - 1) / LANES, part = groups ? depth / groups : depth;
    REAL zeros[PANEL * LANES] = {0}, sums[MAX_ROWS][PANEL * LANES], *to[MAX_ROWS];
    const REAL *starts[MAX_ROWS] = {zeros, zeros, zeros, zeros, zeros, zeros}, *part_of[MAX_ROWS];
    for (int64_t v = 0; v < vectors; v += PANEL) {
        const int64_t some = vectors - v < PANEL ? vectors - v : PANEL, column = v * LANES;
        const int64_t lanes = columns - column < some * LANES ? columns - column : some * LANES;
        const int direct = !groups && lanes == some * LANES;
        for (int64_t i = 0, rows; i < n; i += rows) {
            rows = tile_rows(n - i);
            for (int g = 0; g < (groups ? groups : 1); g++) {
                for (int64_t r = 0; r < rows; r++) {
                    part_of[r] = a[i + r] + g * part;
                    to[r] = direct ? out[i + r] + column : sums[r];
                }
                operand one = {part_of, part, pack + column * depth + g * part * some * LANES, 0, NULL, 0};
                products[some - 1][rows - 1](&one, 1, 0, starts, 0, to, 0);
                for (int64_t r = 0; r < rows && !direct; r++) {
                    REAL *at = out[i + r] + column;
                    if (!groups) {
                        memcpy(at, sums[r], (size_t)lanes * sizeof(REAL));
                        continue;
                    }
                    const REAL *mask = masks + (g * batch + row_of[i + r]) * width + column;
                    for (int64_t k = 0; k < lanes; k++)
                        at[k] = (g ? at[k] : (REAL)0) + mask[k] * sums[r][k];
                }
            }
        }
    }
}
