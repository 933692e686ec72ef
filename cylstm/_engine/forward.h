/* forward.h: all steps of the forward pass for a range of batch rows.
 *
 * A step goes through the unit blocks; for each, through tiles of up to 6 rows: the product leaves
 * the tile's z in a small work space (in the L1 cache, 1.5 KB), and the cell's `finish` turns it into
 * c' and h'. With a gemm the product is that of all rows and units at once. h has two buffers a row:
 * tiles of later unit blocks still read the old one.
 */

typedef struct {
    const lstm_call *call;
    const lstm_shape *shape;
    const lstm_arrays *arrays;
    const lstm_piece *piece;
    int64_t first, rows; /* the range of the batch */
    int64_t padded;      /* units in whole blocks */
    int64_t width;       /* numbers of a row of z: 4 padded or, with a gemm, 4 units */
    lstm_team *team;
    int member;
    int64_t begin, end;        /* the unit blocks of this member */
    int64_t ahead;             /* steps whose input product is made at once; 0: in each step */
    REAL *h[2], *c;            /* (rows, padded) */
    REAL *z;                   /* (ahead * rows, width) */
    REAL *masked_x, *masked_h; /* (G, active rows, D or U): dropout */
    REAL *tile[2][MAX_ROWS];   /* z of one tile, and of the last unit block where it waits */
    REAL *now, *room;          /* with a gemm: z of the step, and room for gathered rows */
    forward_row *active;       /* the rows that are not masked in this step ... */
    const REAL **x_rows, **h_rows, **starts; /* ... and their factors and starting values */
    const REAL **soon; /* of a table: the rows that are read in the next step */
    REAL **z_rows;
    int64_t *z_of_row; /* where in z the next active step of a row is */
    uint8_t *turn;     /* which of the two h buffers holds the row's state */
    uint8_t *begun;    /* whether the row had an unmasked step */
} forward_run;

/* How many steps' input products to make in one large product before the loop.
 *
 * With few rows a step streams its weights from the cache for little arithmetic. Time steps are as
 * good as rows: the input weights are then read once for many steps. Measured: 13 % less time for 1
 * row (D = U / 2), 4 to 19 % for 2 and 3, 1 to 2 % more from 4 on, where a tile does enough
 * arithmetic for each weight. */
INLINE int64_t steps_ahead(const lstm_call *call, const lstm_piece *piece, int64_t rows,
                           int64_t padded)
{
    const int64_t steps = piece->end - piece->begin;
    if (call->weights.gemm) { /* z of some 4 MB, and of one step at least */
        const int64_t fit = (1 << 18) / lstm_plus(lstm_times(rows, padded), 1);
        return fit < 1 || steps < 1 ? 1 : fit < steps ? fit : steps;
    }
    if (steps < 2 || rows < 1 || rows > 3 || call->arrays.indices)
        return 0;
    int64_t fit = (256 << 10) / (rows * LSTM_GATES * padded * (int64_t)sizeof(REAL)),
            least = 48 / rows;
    fit = fit < least ? least : fit;
    return fit < steps ? fit : steps;
}

/* What each member of a team has for itself */
LOCAL void forward_own_layout(forward_run *run, lstm_layout *space)
{
    const lstm_shape *shape = run->shape;
    const int64_t rows = run->rows, listed = run->ahead ? lstm_times(run->ahead, rows) : rows;
    TAKE(z, REAL, lstm_times(listed, run->ahead ? run->width : 0));
    TAKE(masked_x, REAL, lstm_times(shape->input_groups, lstm_times(listed, shape->inputs)));
    TAKE(masked_h, REAL, lstm_times(shape->recurrent_groups, lstm_times(rows, shape->units)));
    if (run->call->weights.gemm) { /* a vector may reach beyond the last unit of a row of z */
        TAKE(now, REAL, lstm_plus(lstm_times(rows, run->width), LANES));
        TAKE(room, REAL, lstm_plus(lstm_times(listed, shape->inputs),
                                   lstm_times(lstm_plus(rows, 1), shape->units)));
    }
    TAKE(tile[0][0], REAL, 2 * MAX_ROWS * TILE_STRIDE);
    for (int r = 1; r < 2 * MAX_ROWS; r++)
        run->tile[r / MAX_ROWS][r % MAX_ROWS] = run->tile[0][0] + r * TILE_STRIDE;
    TAKE(active, forward_row, rows);
    TAKE(x_rows, const REAL *, listed);
    TAKE(h_rows, const REAL *, rows);
    TAKE(starts, const REAL *, listed);
    TAKE(soon, const REAL *, rows);
    TAKE(z_rows, REAL *, listed);
    TAKE(z_of_row, int64_t, rows);
    TAKE(turn, uint8_t, rows);
    TAKE(begun, uint8_t, rows);
}

/* Lays the work space out from `at` on; returns its size. With `at` NULL only the size matters. */
LOCAL int64_t forward_layout(forward_run *run, const lstm_call *call, const lstm_piece *piece,
                             int64_t first, int64_t rows, lstm_team *team, int member, char *at)
{
    lstm_layout shared = {at, 0}, own = {NULL, 0}, *space = &shared;
    const int members = team ? team->members : 1;
    run->call = call;
    run->shape = &call->shape;
    run->arrays = &call->arrays;
    run->piece = piece;
    run->team = team;
    run->member = member;
    run->first = first;
    run->rows = rows;
    run->padded = (call->shape.units + LANES - 1) / LANES * LANES;
    run->width = lstm_times(LSTM_GATES, call->weights.gemm ? call->shape.units : run->padded);
    run->ahead = steps_ahead(call, piece, rows, run->padded);
    run->begin = run->padded / LANES * member / members;
    run->end = run->padded / LANES * (member + 1) / members;
    TAKE(h[0], REAL, lstm_times(rows, run->padded));
    TAKE(h[1], REAL, lstm_times(rows, run->padded));
    TAKE(c, REAL, lstm_times(rows, run->padded));
    forward_own_layout(run, &own);
    if (at)
        forward_own_layout(run, &(lstm_layout){at + shared.size + member * own.size, 0});
    return lstm_plus(shared.size, lstm_times(members, own.size));
}

LOCAL int64_t forward_work(const lstm_call *call, const lstm_piece *piece, int64_t rows,
                           int members)
{
    /* the last block of a batch may be one with few rows, which make input products ahead */
    lstm_team team = {members, 0, 0, 0, 0};
    int64_t most = 0;
    for (int64_t n = rows; n > 0; n = n > 4 ? 3 : n - 1) {
        forward_run run;
        int64_t size = forward_layout(&run, call, piece, 0, n, &team, 0, NULL);
        most = size > most ? size : most;
    }
    return most;
}

/* Row `index` of the range at `time`: x, or its masked copies in slot `slot` of `slots`. */
INLINE const REAL *input_row(forward_run *run, int64_t row, int64_t time, int64_t slot,
                             int64_t slots)
{
    const lstm_shape *shape = run->shape;
    const lstm_arrays *arrays = run->arrays;
    const int64_t inputs = shape->inputs;
    const REAL *x =
        (const REAL *)arrays->x + row * arrays->x_row_stride + time * arrays->x_step_stride;
    if (!arrays->input_masks)
        return x;
    REAL *copy = run->masked_x + slot * inputs;
    apply_masks(shape->input_groups, inputs, x, (const REAL *)arrays->input_masks + row * inputs,
                shape->batch * inputs, copy, slots * inputs);
    return copy;
}

/* The product of one tile and the last unit block, of `some` units: few vectors, of several gates. */
INLINE void products_of_last_block(int64_t rows, const operand *parts, int count, int64_t some,
                                   const REAL *const *start, int64_t column, REAL *const *out,
                                   int64_t out_column)
{
    const int64_t vectors = block_vectors(some, 0);
    for (int64_t v = 0; v < vectors; v += PANEL) {
        const int64_t width = vectors - v < PANEL ? vectors - v : PANEL;
        products[width - 1][rows - 1](parts, count, v / PANEL, start, column + v * LANES, out,
                                      out_column + v * LANES);
    }
}

/* The same for rows with a copy for each gate: of the products with a copy, what belongs to its gate */
LOCAL void gated_products_of_last_block(int64_t rows, const operand *parts, int count, int64_t some,
                                        const REAL *const *start, int64_t column, REAL *const *out,
                                        int64_t out_column)
{
    REAL sums[MAX_ROWS][BLOCK], *to[MAX_ROWS];
    for (int64_t r = 0; r < rows; r++)
        to[r] = sums[r];
    for (int gate = 0; gate < LSTM_GATES; gate++) {
        operand at[2];
        const REAL *shifted[2][MAX_ROWS];
        for (int part = 0; part < count; part++) {
            at[part] = parts[part];
            at[part].rows = shifted[part];
            for (int64_t r = 0; r < rows; r++)
                shifted[part][r] = parts[part].rows[r] + gate * parts[part].gate_stride;
        }
        products_of_last_block(rows, at, count, some, start, column, to, 0);
        for (int64_t r = 0; r < rows; r++)
            memcpy(out[r] + out_column + gate * some, sums[r] + gate * some,
                   (size_t)some * sizeof(REAL));
    }
}

/* The product of one tile and a unit block of `some` units or more; a gated tile reads other copies of its rows
 * for every gate. */
INLINE void products_of_unit_block(int64_t rows, const operand *parts, int count, int gated,
                                   int64_t some, const REAL *const *start, int64_t column,
                                   REAL *const *out, int64_t out_column)
{
    if (some < LANES && gated) {
        gated_products_of_last_block(rows, parts, count, some, start, column, out, out_column);
        return;
    }
    if (some < LANES) {
        products_of_last_block(rows, parts, count, some, start, column, out, out_column);
        return;
    }
    /* The parts as they stand. A copy would read in vectors what was just written in words: that is not
     * forwarded, so no tile could start before all that was before it had ended (AVX2: 2 to 7 % more
     * time, 24 % for one row). */
    if (!gated && parts->next) {
        for (int done = 0; done < PANELS_OF_BLOCK; done++)
            ahead_products[rows - 1](parts, count, done, start, column + done * PANEL * LANES, out,
                                     out_column + done * PANEL * LANES);
        return;
    }
    if (!gated) {
        for (int done = 0, taken; done < PANELS_OF_BLOCK; done += taken)
            widest_product(rows, PANELS_OF_BLOCK - done, &taken)(
                parts, count, done, start, column + done * PANEL * LANES, out,
                out_column + done * PANEL * LANES);
        return;
    }
    for (int done = 0; done < PANELS_OF_BLOCK; done++) {
        operand at[2];
        const REAL *shifted[2][MAX_ROWS];
        for (int part = 0; part < count; part++) {
            at[part] = parts[part];
            for (int64_t r = 0; r < rows; r++)
                shifted[part][r] = parts[part].rows[r] + done * PANEL * parts[part].gate_stride;
            at[part].rows = shifted[part];
        }
        gated_products[rows - 1](at, count, done, start, column + done * PANEL * LANES, out,
                                 out_column + done * PANEL * LANES);
    }
}

/* z = bias + x W for the active rows of steps [step, end) and the units of this member */
LOCAL void forward_inputs(forward_run *run, int64_t step, int64_t end)
{
    const lstm_shape *shape = run->shape;
    const lstm_weights *weights = &run->call->weights;
    const int64_t slots = run->ahead * run->rows, inputs = shape->inputs, from = run->begin * BLOCK;
    const REAL *kernel = (const REAL *)weights->kernel + from * inputs;
    int64_t n = 0;
    for (int64_t r = 0; r < run->rows; r++) {
        const int64_t row = batch_row(run->piece, run->first + r);
        run->z_of_row[r] = n;
        for (int64_t s = step; s < end; s++) {
            int64_t time = time_of(shape, s);
            if (is_masked(run->call, row, time))
                continue;
            run->x_rows[n] = input_row(run, row, time, n, slots);
            run->starts[n] = (const REAL *)weights->bias + from;
            run->z_rows[n] = run->z + n * run->width + from;
            n++;
        }
    }
    if (weights->gemm) {
        memset(run->z, 0, (size_t)(n * run->width) * sizeof(REAL));
        for (int64_t k = 0; weights->bias && k < n; k++)
            memcpy(run->z_rows[k], weights->bias, (size_t)run->width * sizeof(REAL));
        add_gate_products(weights->gemm, weights->kernel, shape->units, n, inputs, run->x_rows,
                          shape->input_groups, slots * inputs, run->room, run->z);
        return;
    }
    if (shape->input_groups <= 1) {
        const int64_t blocks = (run->end - run->begin) * BLOCK, left = LSTM_GATES * shape->units - from;
        multiply_rows(n, blocks < left ? blocks : left, inputs, run->x_rows, kernel, run->starts,
                      run->z_rows, NULL, NULL);
        return;
    }
    for (int64_t block = 0; block < run->end - run->begin; block++)
        for (int64_t i = 0, rows; i < n; i += rows) {
            rows = tile_rows(n - i);
            operand part = {run->x_rows + i, inputs, kernel + block * BLOCK * inputs,
                            slots * inputs, NULL, 0};
            products_of_unit_block(rows, &part, 1, 1, shape->units - (run->begin + block) * LANES,
                                   run->starts + i, block * BLOCK, run->z_rows + i, block * BLOCK);
        }
}

/* A masked step carries the state of row r, and fills what the caller wants of it. */
LOCAL void forward_carry(forward_run *run, int64_t r, const forward_row *row, const REAL *h)
{
    const size_t size = (size_t)run->shape->units * sizeof(REAL);
    if (row->output) {
        if (run->shape->zero_leading && !run->begun[r])
            memset(row->output, 0, size);
        else
            memcpy(row->output, h, size);
    }
    if (row->cells)
        memcpy(row->cells, row->c, size);
    if (row->gates)
        memset(row->gates, 0, LSTM_GATES * size);
    if (row->next_hidden)
        memcpy(row->next_hidden, h, size);
}

/* Where the row of the table for a row of the batch is */
INLINE const REAL *table_row(const lstm_call *call, int64_t row, int64_t time)
{
    return (const REAL *)call->weights.kernel +
           call->arrays.indices[row * call->shape.steps + time] *
               columns_size(LSTM_GATES * call->shape.units, 1);
}

/* Lists the rows that are active in `step`, and carries the others. Returns how many are active. */
LOCAL int64_t forward_select(forward_run *run, int64_t step)
{
    const lstm_shape *shape = run->shape;
    const lstm_arrays *arrays = run->arrays;
    const int64_t units = shape->units, time = time_of(shape, step);
    int64_t n = 0;
    for (int64_t r = 0; r < run->rows; r++) {
        const int64_t row = batch_row(run->piece, run->first + r), at = row * shape->steps + time;
        REAL *h = run->h[run->turn[r]] + r * run->padded;
        forward_row line = {
            run->c + r * run->padded,
            run->h[!run->turn[r]] + r * run->padded,
            arrays->outputs ? (REAL *)arrays->outputs + (row * shape->steps + step) * units : NULL,
            arrays->gates ? (REAL *)arrays->gates + at * LSTM_GATES * units : NULL,
            arrays->cells ? (REAL *)arrays->cells + at * units : NULL,
            arrays->hidden && step + 1 < shape->steps
                ? (REAL *)arrays->hidden + (row * shape->steps + time_of(shape, step + 1)) * units
                : NULL};
        if (is_masked(run->call, row, time)) {
            if (run->member == 0)
                forward_carry(run, r, &line, h);
            continue;
        }
        run->active[n] = line;
        if (run->ahead)
            run->starts[n] = run->z + run->z_of_row[r]++ * run->width;
        else if (arrays->indices) {
            run->starts[n] = table_row(run->call, row, time);
            run->soon[n] = table_row(run->call, row, time_of(shape, step + (step + 1 < shape->steps)));
        } else {
            run->starts[n] = run->call->weights.bias;
            run->x_rows[n] = input_row(run, row, time, n, run->rows);
        }
        run->h_rows[n] = h;
        if (arrays->recurrent_masks) {
            REAL *copy = run->masked_h + n * units;
            apply_masks(shape->recurrent_groups, units, h,
                        (const REAL *)arrays->recurrent_masks + row * units, shape->batch * units,
                        copy, run->rows * units);
            run->h_rows[n] = copy;
        }
        run->turn[r] = !run->turn[r];
        run->begun[r] = 1;
        n++;
    }
    return n;
}

/* Brings the lines that `finish` will write while the product runs: training forward takes 2 to 3 %
 * less time. */
INLINE void prefetch_caches(const forward_row *row, int64_t units, int64_t unit)
{
    for (int g = 0; g < LSTM_GATES; g++)
        LSTM_PREFETCH(row->gates + g * units + unit);
    if (row->cells)
        LSTM_PREFETCH(row->cells + unit);
    if (row->next_hidden)
        LSTM_PREFETCH(row->next_hidden + unit);
    if (row->output)
        LSTM_PREFETCH(row->output + unit);
}

/* Brings what the same tile will read of the table in the next step: of one of 41 MB, 128 units and 32
 * rows, the whole of a prediction takes 24 % less time. */
INLINE void prefetch_table(const REAL *const *soon, int64_t rows, int64_t column)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < BLOCK; i += LSTM_LINE / (int64_t)sizeof(REAL))
            LSTM_PREFETCH_L2(soon[r] + column + i);
}

/* Bytes of weights that a usual L2 cache is far from holding */
#define LARGE (4 << 20)

/* While the tile of rows [i, i + rows) of n reads its unit block, its share of the next one, `blocks`
 * away, comes to the L2 cache: with AVX2 2 and 3 % less time for 512 and 700 units on Zen 5, 7 to 9 %
 * on Zen 3. */
INLINE void look_ahead(operand *part, int blocks, int64_t i, int64_t rows, int64_t n)
{
    const int64_t size = part->depth * BLOCK * (int64_t)sizeof(REAL);
    part->next = (const char *)(part->panel + blocks * part->depth * BLOCK) + size * i / n;
    part->next_step = size * rows / n / part->depth;
}

/* (1) for the n active rows, of which this tile takes [i, i + rows), and one unit block. `ahead`: the
 * distance to the block that is next, where it is to be brought to the L2 cache, or 0. */
INLINE void forward_products(const forward_run *run, int64_t n, int64_t i, int64_t rows,
                             int64_t block, int ahead, REAL *const *z)
{
    const lstm_shape *shape = run->shape;
    const lstm_weights *weights = &run->call->weights;
    const int64_t inputs = shape->inputs, units = shape->units, some = units - block * LANES;
    const int gated_x = shape->input_groups > 1, gated_h = shape->recurrent_groups > 1;
    operand parts[2] = {{run->x_rows + i, inputs,
                         (const REAL *)weights->kernel + block * BLOCK * inputs,
                         gated_x ? run->rows * inputs : 0, NULL, 0},
                        {run->h_rows + i, units,
                         (const REAL *)weights->recurrent + block * BLOCK * units,
                         gated_h ? run->rows * units : 0, NULL, 0}};
    if (ahead)
        for (int part = inputs == 0; part < 2; part++)
            look_ahead(&parts[part], ahead, i, rows, n);
    if (run->ahead || run->arrays->indices)
        products_of_unit_block(rows, parts + 1, 1, gated_h, some, run->starts + i, block * BLOCK, z,
                               0);
    else
        products_of_unit_block(rows, parts, 2, gated_x || gated_h, some, run->starts + i,
                               block * BLOCK, z, 0);
}

/* (1) to (4) for the n active rows of one step and the units of this member. Odd steps go through
 * the unit blocks downwards: what is left of the weights in a cache that they do not fit in is then
 * the first to be read again (batch 1, weights of 1 to 4 MB: 2 to 7 % less time). Where a last block
 * has its gates close together, they are not read as they were written, which takes some 20
 * nanoseconds: with few rows it is computed first, and finished last. */
LOCAL void forward_step(forward_run *run, int64_t n, int downwards, const cell_pair *cell)
{
    const int64_t inputs = run->shape->inputs, units = run->shape->units, last = run->end - 1;
    const int large = PANEL == 2 && n > 3 * MAX_ROWS &&
                      (inputs + units) * units * LSTM_GATES * (int64_t)sizeof(REAL) > LARGE;
    const int waits = n > 0 && n <= MAX_ROWS && units < run->end * LANES;
    if (waits)
        forward_products(run, n, 0, n, last, 0, run->tile[1]);
    for (int64_t done = 0; done < run->end - run->begin; done++) {
        const int64_t block = downwards ? last - done : run->begin + done;
        const int ahead = !large || done == last - run->begin ? 0 : downwards ? -1 : 1;
        if (waits && block == last)
            continue;
        for (int64_t i = 0, rows; i < n; i += rows) {
            rows = block_tile_rows(n - i);
            if (run->arrays->gates)
                for (int64_t r = i; r < i + rows; r++)
                    prefetch_caches(&run->active[r], units, block * LANES);
            if (run->arrays->indices)
                prefetch_table(run->soon + i, rows, block * BLOCK);
            forward_products(run, n, i, rows, block, ahead, run->tile[0]);
            cell->tile(run->call, block * LANES, rows, run->active + i, run->tile[0][0]);
        }
    }
    if (waits)
        cell->tile(run->call, last * LANES, n, run->active, run->tile[1][0]);
}

/* The same with a gemm: all units at once, after the input products */
LOCAL void forward_step_wide(forward_run *run, int64_t n, const cell_pair *cell)
{
    const lstm_shape *shape = run->shape;
    const lstm_weights *weights = &run->call->weights;
    const int64_t units = shape->units;
    for (int64_t i = 0; i < n; i++)
        memcpy(run->now + i * run->width, run->starts[i], (size_t)run->width * sizeof(REAL));
    add_gate_products(weights->gemm, weights->recurrent, units, n, units, run->h_rows,
                      shape->recurrent_groups, run->rows * units, run->room, run->now);
    if (needs_rows(shape))
        finish_rows(run->call, n, run->active, run->now, run->room);
    else
        for (int64_t unit = 0; unit < units; unit += LANES)
            cell->wide(run->call, unit, n, run->active, run->now + unit);
}

/* Where the state begins: member 0 writes what all read, or each its own copy. */
LOCAL void forward_start(forward_run *run)
{
    const lstm_shape *shape = run->shape;
    const lstm_piece *piece = run->piece;
    const int64_t units = shape->units, first = run->first;
    REAL *hidden = run->arrays->hidden;
    take_states(units, piece, first, run->rows, run->padded, piece->h, run->h[0]);
    take_states(units, piece, first, run->rows, run->padded, piece->c, run->c);
    if (run->member == 0 && hidden && piece->begin < piece->end)
        for (int64_t r = 0; r < run->rows; r++) {
            const int64_t row = batch_row(piece, first + r);
            memcpy(hidden + (row * shape->steps + time_of(shape, piece->begin)) * units,
                   run->h[0] + r * run->padded, (size_t)units * sizeof(REAL));
        }
}

/* The final states: all of them, or of the units that this member has to give */
LOCAL void forward_end(const forward_run *run)
{
    const int64_t units = run->shape->units;
    const int apart = run->team && run->team->apart;
    const int64_t from = apart ? run->begin * LANES : 0;
    const int64_t to = apart && run->end * LANES < units ? run->end * LANES : units;
    const size_t size = (size_t)(to - from) * sizeof(REAL);
    if (run->member != 0 && !apart)
        return;
    for (int64_t r = 0; r < run->rows; r++) {
        const int64_t row = batch_row(run->piece, run->first + r) * units + from,
                      at = r * run->padded + from;
        memcpy((REAL *)run->arrays->final_h + row, run->h[run->turn[r]] + at, size);
        memcpy((REAL *)run->arrays->final_c + row, run->c + at, size);
    }
}

/* The steps of this piece for `rows` rows of the batch from `first` on. */
LOCAL int64_t forward(const lstm_call *call, const lstm_piece *piece, int64_t first, int64_t rows,
                      void *work, lstm_team *team, int member)
{
    forward_run run;
    const cell_pair cell = cell_for(call);
    int64_t step = piece->begin;
    int leave = 0;
    forward_layout(&run, call, piece, first, rows, team, member, work);
    memset(run.turn, 0, (size_t)rows);
    for (int64_t r = 0; r < rows; r++)
        run.begun[r] = call->shape.zero_leading &&
                       first_step(call, batch_row(piece, first + r), piece->begin) < piece->begin;
    if (member == 0 || team->apart)
        forward_start(&run);
    if (team)
        lstm_team_wait(team);

    for (; step < piece->end && !leave; step++) {
        if (run.ahead && (step - piece->begin) % run.ahead == 0)
            forward_inputs(&run, step,
                           step + run.ahead < piece->end ? step + run.ahead : piece->end);
        const int64_t n = forward_select(&run, step);
        if (call->weights.gemm)
            forward_step_wide(&run, n, &cell);
        else
            forward_step(&run, n, (int)((step + piece->odd) & 1), &cell);
        if (team)
            leave = lstm_team_wait(team);
    }
    forward_end(&run);
    return step;
}
