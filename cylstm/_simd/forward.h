/* forward.h: all steps of the forward pass for a range of batch rows.
 *
 *     z_g = x W_g + h U_g + b_g                    g = i, f, c, o         (1)
 *     i, f, o = recurrent_activation(z), g = activation(z_c)              (2)
 *     c' = f c + i g                                                      (3)
 *     h' = o activation(c')                                               (4)
 *
 * A step goes through the unit blocks; for each, through tiles of up to 6 rows: the product leaves
 * the tile's z in a small work space (in the L1 cache, 1.5 KB), and `update` turns it into c' and
 * h'. h has two buffers a row: tiles of later unit blocks still read the old one.
 */

#define TILE_STRIDE WIDEST

/* Where one active row reads and writes in one step. */
typedef struct {
    REAL *c, *next_h;                           /* the row's state, padded to whole blocks */
    REAL *output, *gates, *cells, *next_hidden; /* the caller's arrays, or NULL */
} forward_row;

typedef struct {
    const lstm_problem *p;
    int64_t first, rows; /* the range of the batch */
    int64_t padded;      /* units in whole blocks */
    lstm_team *team;
    int member;
    int64_t begin, end;        /* the unit blocks of this member */
    int64_t ahead;             /* steps whose input product is made at once; 0: in each step */
    REAL *h[2], *c;            /* (rows, padded) */
    REAL *z;                   /* (ahead * rows, 4 padded) */
    REAL *masked_x, *masked_h; /* (G, active rows, D or U): dropout */
    REAL *tile[MAX_ROWS];      /* z of one tile */
    forward_row *active;       /* the rows that are not masked in this step ... */
    const REAL **x_rows, **h_rows, **starts; /* ... and their factors and starting values */
    REAL **z_rows;
    int64_t *z_of_row; /* where in z the next active step of a row is */
    uint8_t *turn;     /* which of the two h buffers holds the row's state */
    uint8_t *begun;    /* whether the row had an unmasked step */
} forward_run;

/* Equations (2) to (4) for n rows and one unit block that starts at `unit`; z holds 4 vectors a
 * row. */
INLINE void update(int activation, int recurrent, int64_t units, int64_t unit, int64_t n,
                   const forward_row *rows, const REAL *z)
{
    const int64_t some = units - unit;
    for (int64_t r = 0; r < n; r++, z += TILE_STRIDE) {
        vec i = activation_of(recurrent, vec_load(z));
        vec f = activation_of(recurrent, vec_load(z + LANES));
        vec g = activation_of(activation, vec_load(z + 2 * LANES));
        vec o = activation_of(recurrent, vec_load(z + 3 * LANES));
        vec c = vec_fma(f, vec_load(rows[r].c + unit), i * g);
        vec h = o * activation_of(activation, c);
        vec_store(rows[r].c + unit, c);
        vec_store(rows[r].next_h + unit, h);
        if (some >= LANES) {
            if (rows[r].output)
                vec_store(rows[r].output + unit, h);
            if (rows[r].next_hidden)
                vec_store(rows[r].next_hidden + unit, h);
            if (rows[r].cells)
                vec_store(rows[r].cells + unit, c);
            if (rows[r].gates) {
                vec_store(rows[r].gates + unit, i);
                vec_store(rows[r].gates + units + unit, f);
                vec_store(rows[r].gates + 2 * units + unit, g);
                vec_store(rows[r].gates + 3 * units + unit, o);
            }
        } else {
            if (rows[r].output)
                vec_store_some(rows[r].output + unit, h, some);
            if (rows[r].next_hidden)
                vec_store_some(rows[r].next_hidden + unit, h, some);
            if (rows[r].cells)
                vec_store_some(rows[r].cells + unit, c, some);
            if (rows[r].gates) {
                vec_store_some(rows[r].gates + unit, i, some);
                vec_store_some(rows[r].gates + units + unit, f, some);
                vec_store_some(rows[r].gates + 2 * units + unit, g, some);
                vec_store_some(rows[r].gates + 3 * units + unit, o, some);
            }
        }
    }
}

typedef void (*update_fn)(const lstm_problem *, int64_t, int64_t, const forward_row *,
                          const REAL *);
LOCAL void update_tanh_sigmoid(const lstm_problem *p, int64_t unit, int64_t n,
                               const forward_row *rows, const REAL *z)
{
    update(LSTM_TANH, LSTM_SIGMOID, p->units, unit, n, rows, z);
}
LOCAL void update_tanh_hard_sigmoid(const lstm_problem *p, int64_t unit, int64_t n,
                                    const forward_row *rows, const REAL *z)
{
    update(LSTM_TANH, LSTM_HARD_SIGMOID, p->units, unit, n, rows, z);
}
LOCAL void update_other(const lstm_problem *p, int64_t unit, int64_t n, const forward_row *rows,
                        const REAL *z)
{
    update(p->activation, p->recurrent_activation, p->units, unit, n, rows, z);
}
INLINE update_fn update_for(const lstm_problem *p)
{
    if (p->activation == LSTM_TANH && p->recurrent_activation == LSTM_SIGMOID)
        return update_tanh_sigmoid;
    if (p->activation == LSTM_TANH && p->recurrent_activation == LSTM_HARD_SIGMOID)
        return update_tanh_hard_sigmoid;
    return update_other;
}

/* The row of the batch at a place of the ranges that the kernels are given */
INLINE int64_t FN(batch_row)(const lstm_problem *p, int64_t place)
{
    return p->order ? p->order[place] : place;
}

/* The states (B, U) of a range of rows, padded with zeros; `from` NULL: all zeros. */
LOCAL void take_states(const lstm_problem *p, int64_t first, int64_t rows, int64_t padded,
                       const REAL *from, REAL *to)
{
    memset(to, 0, (size_t)(rows * padded) * sizeof(REAL));
    for (int64_t r = 0; from && r < rows; r++)
        memcpy(to + r * padded, from + FN(batch_row)(p, first + r) * p->units,
               (size_t)p->units * sizeof(REAL));
}

/* to[g][i] = from * masks[g]: the copies of one row that gated products read */
LOCAL void apply_masks(int groups, int64_t n, const REAL *from, const REAL *masks,
                       int64_t masks_stride, REAL *to, int64_t to_stride)
{
    for (int g = 0; g < groups; g++)
        for (int64_t i = 0; i < n; i++)
            to[g * to_stride + i] = from[i] * masks[g * masks_stride + i];
}

/* How many steps' input products to make in one large product before the loop.
 *
 * With few rows a step streams its weights from the cache for little arithmetic. Time steps are as
 * good as rows: the input weights are then read once for many steps. Measured: 13 % less time for 1
 * row (D = U / 2), 4 to 19 % for 2 and 3, 1 to 2 % more from 4 on, where a tile does enough
 * arithmetic for each weight. */
INLINE int64_t FN(steps_ahead)(const lstm_problem *p, int64_t rows, int64_t padded)
{
    const int64_t steps = p->end - p->begin;
    if (steps < 2 || rows < 1 || rows > 3)
        return 0;
    int64_t fit = (256 << 10) / (rows * 4 * padded * (int64_t)sizeof(REAL)), least = 48 / rows;
    fit = fit < least ? least : fit;
    return fit < steps ? fit : steps;
}

/* `count` is a product of sizes: of lstm_times unless it is one of few */
#define TAKE(member, type, count)                                                                  \
    run->member = (type *)lstm_lay(space, (count), (int64_t)sizeof(type))

/* What each member of a team has for itself */
LOCAL void forward_own_layout(forward_run *run, lstm_layout *space)
{
    const lstm_problem *p = run->p;
    const int64_t rows = run->rows, listed = run->ahead ? lstm_times(run->ahead, rows) : rows;
    const int64_t groups_x = p->input_masks ? p->input_groups : 0,
                  groups_h = p->recurrent_masks ? p->recurrent_groups : 0;
    TAKE(z, REAL, lstm_times(lstm_times(run->ahead, rows), lstm_times(4, run->padded)));
    TAKE(masked_x, REAL, lstm_times(groups_x, lstm_times(listed, p->inputs)));
    TAKE(masked_h, REAL, lstm_times(groups_h, lstm_times(rows, p->units)));
    TAKE(tile[0], REAL, MAX_ROWS * TILE_STRIDE);
    for (int r = 1; r < MAX_ROWS; r++)
        run->tile[r] = run->tile[0] + r * TILE_STRIDE;
    TAKE(active, forward_row, rows);
    TAKE(x_rows, const REAL *, listed);
    TAKE(h_rows, const REAL *, rows);
    TAKE(starts, const REAL *, listed);
    TAKE(z_rows, REAL *, listed);
    TAKE(z_of_row, int64_t, rows);
    TAKE(turn, uint8_t, rows);
    TAKE(begun, uint8_t, rows);
}

/* Lays the work space out from `at` on; returns its size. With `at` NULL only the size matters. */
LOCAL int64_t forward_layout(forward_run *run, const lstm_problem *p, int64_t first, int64_t rows,
                             lstm_team *team, int member, char *at)
{
    lstm_layout shared = {at, 0}, own = {NULL, 0}, *space = &shared;
    const int members = team ? team->members : 1;
    run->p = p;
    run->team = team;
    run->member = member;
    run->first = first;
    run->rows = rows;
    run->padded = (p->units + LANES - 1) / LANES * LANES;
    run->ahead = FN(steps_ahead)(p, rows, run->padded);
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

LOCAL int64_t forward_work(const lstm_problem *p, int64_t rows, int members)
{
    /* the last block of a batch may be one with few rows, which make input products ahead */
    lstm_team team = {members, 0, 0, 0, 0};
    int64_t most = 0;
    for (int64_t n = rows; n > 0; n = n > 4 ? 3 : n - 1) {
        forward_run run;
        int64_t size = forward_layout(&run, p, 0, n, &team, 0, NULL);
        most = size > most ? size : most;
    }
    return most;
}

INLINE int64_t FN(time_of)(const lstm_problem *p, int64_t step)
{
    return p->go_backwards ? p->steps - 1 - step : step;
}

/* The least input time of this call */
INLINE int64_t FN(first_time)(const lstm_problem *p)
{
    return p->go_backwards ? p->steps - p->end : p->begin;
}

INLINE int FN(is_masked)(const lstm_problem *p, int64_t row, int64_t time)
{
    return p->mask && !p->mask[row * p->steps + time];
}

/* Row `index` of the range at `time`: x, or its masked copies in slot `slot` of `slots`. */
INLINE const REAL *FN(input_row)(forward_run *run, int64_t row, int64_t time, int64_t slot,
                                 int64_t slots)
{
    const lstm_problem *p = run->p;
    const REAL *x = (const REAL *)p->x + row * p->x_row_stride + time * p->x_step_stride;
    if (!p->input_masks)
        return x;
    REAL *copy = run->masked_x + slot * p->inputs;
    apply_masks(p->input_groups, p->inputs, x, (const REAL *)p->input_masks + row * p->inputs,
                p->batch * p->inputs, copy, slots * p->inputs);
    return copy;
}

/* The product of one tile and one unit block; a gated tile reads other copies of its rows for every
 * gate. */
INLINE void products_of_unit_block(int64_t rows, const operand *parts, int count, int gated,
                                   const REAL *const *start, int64_t column, REAL *const *out,
                                   int64_t out_column)
{
    if (!gated) {
        for (int done = 0, taken; done < PANELS_OF_BLOCK; done += taken) {
            operand at[2];
            for (int part = 0; part < count; part++) {
                at[part] = parts[part];
                at[part].panel += done * parts[part].depth * PANEL * LANES;
            }
            product_fn tile = FN(widest_product)(rows, PANELS_OF_BLOCK - done, &taken);
            tile(at, count, start, column + done * PANEL * LANES, out,
                 out_column + done * PANEL * LANES);
        }
        return;
    }
    for (int done = 0; done < PANELS_OF_BLOCK; done++) {
        operand at[2];
        const REAL *shifted[2][MAX_ROWS];
        for (int part = 0; part < count; part++) {
            at[part] = parts[part];
            at[part].panel += done * parts[part].depth * PANEL * LANES;
            for (int64_t r = 0; r < rows; r++)
                shifted[part][r] = parts[part].rows[r] + done * PANEL * parts[part].gate_stride;
            at[part].rows = shifted[part];
        }
        gated_products[rows - 1](at, count, start, column + done * PANEL * LANES, out,
                                 out_column + done * PANEL * LANES);
    }
}

/* z = bias + x W for the active rows of steps [step, end) and the units of this member */
LOCAL void forward_inputs(forward_run *run, int64_t step, int64_t end)
{
    const lstm_problem *p = run->p;
    const int64_t slots = run->ahead * run->rows;
    int64_t n = 0;
    for (int64_t r = 0; r < run->rows; r++) {
        const int64_t row = FN(batch_row)(p, run->first + r);
        run->z_of_row[r] = n;
        for (int64_t s = step; s < end; s++) {
            int64_t time = FN(time_of)(p, s);
            if (FN(is_masked)(p, row, time))
                continue;
            run->x_rows[n] = FN(input_row)(run, row, time, n, slots);
            run->starts[n] = (const REAL *)p->bias_pack + run->begin * BLOCK;
            run->z_rows[n] = run->z + n * 4 * run->padded + run->begin * BLOCK;
            n++;
        }
    }
    int gated = p->input_masks && p->input_groups > 1;
    if (!gated) {
        multiply_rows(n, (run->end - run->begin) * BLOCK, p->inputs, run->x_rows,
                      (const REAL *)p->kernel_pack + run->begin * BLOCK * p->inputs, run->starts,
                      run->z_rows, NULL, NULL);
        return;
    }
    for (int64_t block = run->begin; block < run->end; block++)
        for (int64_t i = 0, rows; i < n; i += rows) {
            rows = tile_rows(n - i);
            operand part = {run->x_rows + i, p->inputs,
                            (const REAL *)p->kernel_pack + block * BLOCK * p->inputs,
                            slots * p->inputs};
            products_of_unit_block(rows, &part, 1, 1, run->starts + i, (block - run->begin) * BLOCK,
                                   run->z_rows + i, (block - run->begin) * BLOCK);
        }
}

/* A masked step carries the state of row r, and fills what the caller wants of it. */
LOCAL void forward_carry(forward_run *run, int64_t r, const forward_row *row, const REAL *h)
{
    const lstm_problem *p = run->p;
    const size_t size = (size_t)p->units * sizeof(REAL);
    if (row->output) {
        if (p->zero_leading && !run->begun[r])
            memset(row->output, 0, size);
        else
            memcpy(row->output, h, size);
    }
    if (row->cells)
        memcpy(row->cells, row->c, size);
    if (row->gates)
        memset(row->gates, 0, 4 * size);
    if (row->next_hidden)
        memcpy(row->next_hidden, h, size);
}

/* Lists the rows that are active in `step`, and carries the others. Returns how many are active. */
LOCAL int64_t forward_select(forward_run *run, int64_t step)
{
    const lstm_problem *p = run->p;
    const int64_t units = p->units, time = FN(time_of)(p, step);
    int64_t n = 0;
    for (int64_t r = 0; r < run->rows; r++) {
        const int64_t row = FN(batch_row)(p, run->first + r), at = row * p->steps + time;
        REAL *h = run->h[run->turn[r]] + r * run->padded;
        forward_row line = {
            run->c + r * run->padded,
            run->h[!run->turn[r]] + r * run->padded,
            p->outputs ? (REAL *)p->outputs + (row * p->steps + step) * units : NULL,
            p->gates ? (REAL *)p->gates + at * 4 * units : NULL,
            p->cells ? (REAL *)p->cells + at * units : NULL,
            p->hidden && step + 1 < p->steps
                ? (REAL *)p->hidden + (row * p->steps + FN(time_of)(p, step + 1)) * units
                : NULL};
        if (FN(is_masked)(p, row, time)) {
            if (run->member == 0)
                forward_carry(run, r, &line, h);
            continue;
        }
        run->active[n] = line;
        if (run->ahead)
            run->starts[n] = run->z + run->z_of_row[r]++ * 4 * run->padded;
        else {
            run->starts[n] = p->bias_pack;
            run->x_rows[n] = FN(input_row)(run, row, time, n, run->rows);
        }
        run->h_rows[n] = h;
        if (p->recurrent_masks) {
            REAL *copy = run->masked_h + n * units;
            apply_masks(p->recurrent_groups, units, h,
                        (const REAL *)p->recurrent_masks + row * units, p->batch * units, copy,
                        run->rows * units);
            run->h_rows[n] = copy;
        }
        run->turn[r] = !run->turn[r];
        run->begun[r] = 1;
        n++;
    }
    return n;
}

/* Brings the lines that `update` will write while the product runs: training forward takes 2 to 3 %
 * less time. */
INLINE void prefetch_caches(const forward_row *row, int64_t units, int64_t unit)
{
    for (int g = 0; g < 4; g++)
        LSTM_PREFETCH(row->gates + g * units + unit);
    if (row->cells)
        LSTM_PREFETCH(row->cells + unit);
    if (row->next_hidden)
        LSTM_PREFETCH(row->next_hidden + unit);
    if (row->output)
        LSTM_PREFETCH(row->output + unit);
}

/* Equations (1) to (4) for the n active rows of one step and the units of this member. Odd steps go
 * through the unit blocks downwards: what is left of the weights in a cache that they do not fit in
 * is then the first to be read again (batch 1, weights of 1 to 4 MB: 2 to 7 % less time). */
LOCAL void forward_step(forward_run *run, int64_t n, int downwards, update_fn finish)
{
    const lstm_problem *p = run->p;
    const int gated_x = p->input_masks && p->input_groups > 1,
              gated_h = p->recurrent_masks && p->recurrent_groups > 1;
    const REAL *kernel = p->kernel_pack, *recurrent = p->recurrent_pack;
    for (int64_t done = 0; done < run->end - run->begin; done++) {
        const int64_t block = downwards ? run->end - 1 - done : run->begin + done;
        for (int64_t i = 0, rows; i < n; i += rows) {
            rows = tile_rows(n - i);
            operand parts[2] = {{run->x_rows + i, p->inputs, kernel + block * BLOCK * p->inputs,
                                 gated_x ? run->rows * p->inputs : 0},
                                {run->h_rows + i, p->units, recurrent + block * BLOCK * p->units,
                                 gated_h ? run->rows * p->units : 0}};
            if (p->gates)
                for (int64_t r = i; r < i + rows; r++)
                    prefetch_caches(&run->active[r], p->units, block * LANES);
            if (run->ahead)
                products_of_unit_block(rows, parts + 1, 1, gated_h, run->starts + i, block * BLOCK,
                                       run->tile, 0);
            else
                products_of_unit_block(rows, parts, 2, gated_x || gated_h, run->starts + i,
                                       block * BLOCK, run->tile, 0);
            finish(p, block * LANES, rows, run->active + i, run->tile[0]);
        }
    }
}

/* Whether a row had an unmasked step before this call */
INLINE int FN(has_begun)(const lstm_problem *p, int64_t row)
{
    for (int64_t step = 0; step < p->begin; step++)
        if (!FN(is_masked)(p, row, FN(time_of)(p, step)))
            return 1;
    return 0;
}

/* Where the state begins: member 0 writes what all read, or each its own copy. */
LOCAL void forward_start(forward_run *run)
{
    const lstm_problem *p = run->p;
    const int64_t units = p->units, first = run->first;
    take_states(p, first, run->rows, run->padded, p->initial_h, run->h[0]);
    take_states(p, first, run->rows, run->padded, p->initial_c, run->c);
    if (run->member == 0 && p->hidden && p->begin < p->end)
        for (int64_t r = 0; r < run->rows; r++) {
            const int64_t row = FN(batch_row)(p, first + r);
            memcpy((REAL *)p->hidden + (row * p->steps + FN(time_of)(p, p->begin)) * units,
                   run->h[0] + r * run->padded, (size_t)units * sizeof(REAL));
        }
}

/* The steps of this call for `rows` rows of the batch from `first` on. */
LOCAL int64_t forward(const lstm_problem *p, int64_t first, int64_t rows, void *work,
                      lstm_team *team, int member)
{
    forward_run run;
    const int64_t units = p->units;
    int64_t step = p->begin;
    int leave = 0;
    const update_fn finish = update_for(p);
    forward_layout(&run, p, first, rows, team, member, work);
    memset(run.turn, 0, (size_t)rows);
    for (int64_t r = 0; r < rows; r++)
        run.begun[r] = p->zero_leading && FN(has_begun)(p, FN(batch_row)(p, first + r));
    if (member == 0 || team->apart)
        forward_start(&run);
    if (team)
        lstm_team_wait(team);

    for (; step < p->end && !leave; step++) {
        if (run.ahead && (step - p->begin) % run.ahead == 0)
            forward_inputs(&run, step, step + run.ahead < p->end ? step + run.ahead : p->end);
        int64_t n = forward_select(&run, step);
        forward_step(&run, n, (int)((step + p->odd) & 1), finish);
        if (team)
            leave = lstm_team_wait(team);
    }

    /* the units that this member has to give */
    const int apart = team && team->apart;
    const int64_t from = apart ? run.begin * LANES : 0;
    const int64_t to = apart && run.end * LANES < units ? run.end * LANES : units;
    for (int64_t r = 0; (member == 0 || apart) && r < rows; r++) {
        const int64_t row = FN(batch_row)(p, first + r) * units + from, at = r * run.padded + from;
        const size_t size = (size_t)(to - from) * sizeof(REAL);
        if (p->final_h)
            memcpy((REAL *)p->final_h + row, run.h[run.turn[r]] + at, size);
        if (p->final_c)
            memcpy((REAL *)p->final_c + row, run.c + at, size);
    }
    return step;
}
