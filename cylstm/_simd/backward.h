/* backward.h: from the caches of the forward pass and the gradients of its results to dz, the
 * gradient of z, for all steps.
 *
 * Steps run backwards; the numbers are those of the equations of forward.h that they undo:
 *
 *     do = dh' a,   dc' += dh' o activation'(a)            with a = activation(c')    (4)
 *     di = dc' g,   df = dc' c,   dg = dc' i,   dc = dc' f                            (3)
 *     dz_i = di recurrent'(i), dz_f and dz_o alike, dz_c = dg activation'(g)          (2)
 *     dh = sum over g of dz_g U_g^T                                                   (1)
 *
 * The other products of (1), dW = x^T dz, dU = h^T dz, db = sum dz, dx = dz W^T, have no order in
 * time: they are left to one large product each over all rows and steps.
 */

typedef struct {
    const REAL *gates, *cells, *before, *d_output; /* of this step; `before`: c before the step */
    REAL *dh, *dc;                                 /* gradients of the row's state, padded */
    REAL *dz;
} backward_row;

typedef struct {
    const lstm_problem *p;
    int64_t first, rows, padded;
    int member;
    int64_t step;
    int64_t begin, end; /* the units of this member, whole panels */
    REAL *dh, *dc;      /* (rows, padded) */
    REAL *zeros;        /* (padded) */
    REAL *tile[MAX_ROWS];
    backward_row *active;
    const REAL **dz_rows, **starts;
    REAL **dh_rows;
    int64_t *row_of; /* batch row of an active row */
    int64_t *begins; /* first unmasked step of a row */
} backward_run;

/* Equations (4) to (2) for n rows and the units [begin, end) */
INLINE void undo(int activation, int recurrent, int64_t units, int64_t begin, int64_t end,
                 int64_t n, const backward_row *rows)
{
    for (int64_t r = 0; r < n; r++) {
        const backward_row row = rows[r], next = rows[r + 1 < n ? r + 1 : r];
        for (int64_t unit = begin; unit < end; unit += LANES) {
            const int64_t some = units - unit;
            /* the next row's lines: 1 to 3 % less time */
            for (int g = 0; g < 4; g++)
                LSTM_PREFETCH(next.gates + g * units + unit);
            LSTM_PREFETCH(next.cells + unit);
            LSTM_PREFETCH(next.before + unit);
            if (next.d_output)
                LSTM_PREFETCH(next.d_output + unit);
            if (next.dz != next.gates)
                for (int g = 0; g < 4; g++)
                    LSTM_PREFETCH(next.dz + g * units + unit);
            vec i, f, g, o, cell, before, dh = vec_load(row.dh + unit),
                                          dc = vec_load(row.dc + unit);
            if (some >= LANES) {
                i = vec_load(row.gates + unit);
                f = vec_load(row.gates + units + unit);
                g = vec_load(row.gates + 2 * units + unit);
                o = vec_load(row.gates + 3 * units + unit);
                cell = vec_load(row.cells + unit);
                before = vec_load(row.before + unit);
                if (row.d_output)
                    dh = dh + vec_load(row.d_output + unit);
            } else {
                i = vec_load_some(row.gates + unit, some);
                f = vec_load_some(row.gates + units + unit, some);
                g = vec_load_some(row.gates + 2 * units + unit, some);
                o = vec_load_some(row.gates + 3 * units + unit, some);
                cell = vec_load_some(row.cells + unit, some);
                before = vec_load_some(row.before + unit, some);
                if (row.d_output)
                    dh = dh + vec_load_some(row.d_output + unit, some);
            }
            vec a = activation_of(activation, cell);
            dc = dc + gradient_of(activation, a, dh * o);
            vec dz_i = gradient_of(recurrent, i, dc * g);
            vec dz_f = gradient_of(recurrent, f, dc * before);
            vec dz_g = gradient_of(activation, g, dc * i);
            vec dz_o = gradient_of(recurrent, o, dh * a);
            vec_store(row.dc + unit, dc * f);
            if (some >= LANES) {
                vec_store(row.dz + unit, dz_i);
                vec_store(row.dz + units + unit, dz_f);
                vec_store(row.dz + 2 * units + unit, dz_g);
                vec_store(row.dz + 3 * units + unit, dz_o);
            } else {
                vec_store_some(row.dz + unit, dz_i, some);
                vec_store_some(row.dz + units + unit, dz_f, some);
                vec_store_some(row.dz + 2 * units + unit, dz_g, some);
                vec_store_some(row.dz + 3 * units + unit, dz_o, some);
            }
        }
    }
}

typedef void (*undo_fn)(const backward_run *, int64_t);
LOCAL void undo_tanh_sigmoid(const backward_run *run, int64_t n)
{
    undo(LSTM_TANH, LSTM_SIGMOID, run->p->units, run->begin, run->end, n, run->active);
}
LOCAL void undo_tanh_hard_sigmoid(const backward_run *run, int64_t n)
{
    undo(LSTM_TANH, LSTM_HARD_SIGMOID, run->p->units, run->begin, run->end, n, run->active);
}
LOCAL void undo_other(const backward_run *run, int64_t n)
{
    undo(run->p->activation, run->p->recurrent_activation, run->p->units, run->begin, run->end, n,
         run->active);
}
INLINE undo_fn undo_for(const lstm_problem *p)
{
    if (p->activation == LSTM_TANH && p->recurrent_activation == LSTM_SIGMOID)
        return undo_tanh_sigmoid;
    if (p->activation == LSTM_TANH && p->recurrent_activation == LSTM_HARD_SIGMOID)
        return undo_tanh_hard_sigmoid;
    return undo_other;
}

/* What each member of a team has for itself */
LOCAL void backward_own_layout(backward_run *run, lstm_layout *space)
{
    TAKE(tile[0], REAL, MAX_ROWS * TILE_STRIDE);
    for (int r = 1; r < MAX_ROWS; r++)
        run->tile[r] = run->tile[0] + r * TILE_STRIDE;
    TAKE(active, backward_row, run->rows);
    TAKE(dz_rows, const REAL *, run->rows);
    TAKE(starts, const REAL *, run->rows);
    TAKE(dh_rows, REAL *, run->rows);
    TAKE(row_of, int64_t, run->rows);
    TAKE(begins, int64_t, run->rows);
}

LOCAL int64_t backward_layout(backward_run *run, const lstm_problem *p, int64_t first, int64_t rows,
                              lstm_team *team, int member, char *at)
{
    lstm_layout shared = {at, 0}, own = {NULL, 0}, *space = &shared;
    const int members = team ? team->members : 1;
    const int64_t panel = PANEL * LANES, panels = (p->units + panel - 1) / panel;
    run->p = p;
    run->member = member;
    run->first = first;
    run->rows = rows;
    run->padded = (p->units + LANES - 1) / LANES * LANES;
    run->begin = panels * member / members * panel;
    run->end = member + 1 < members ? panels * (member + 1) / members * panel : p->units;
    TAKE(dh, REAL, lstm_times(rows, run->padded));
    TAKE(dc, REAL, lstm_times(rows, run->padded));
    TAKE(zeros, REAL, run->padded);
    backward_own_layout(run, &own);
    if (at)
        backward_own_layout(run, &(lstm_layout){at + shared.size + member * own.size, 0});
    return lstm_plus(shared.size, lstm_times(members, own.size));
}

LOCAL int64_t backward_work(const lstm_problem *p, int64_t rows, int members)
{
    lstm_team team = {members, 0, 0, 0, 0};
    backward_run run;
    return backward_layout(&run, p, 0, rows, &team, 0, NULL);
}

/* Where dz is of a row of the batch at an input time */
INLINE REAL *FN(dz_row)(const lstm_problem *p, int64_t row, int64_t time)
{
    return (REAL *)p->dz + (row * (p->end - p->begin) + time - FN(first_time)(p)) * 4 * p->units;
}

/* Lists the rows that are active in `step`; a masked one passes its gradients through. */
LOCAL int64_t backward_select(backward_run *run, int64_t step)
{
    const lstm_problem *p = run->p;
    const int64_t units = p->units, time = FN(time_of)(p, step);
    int64_t n = 0;
    for (int64_t r = 0; r < run->rows; r++) {
        const int64_t row = FN(batch_row)(p, run->first + r), at = row * p->steps + time;
        const REAL *d_output =
            p->d_outputs ? (const REAL *)p->d_outputs + (row * p->steps + step) * units : NULL;
        const REAL *before = run->zeros;
        REAL *dh = run->dh + r * run->padded, *dz = FN(dz_row)(p, row, time);
        if (FN(is_masked)(p, row, time)) {
            if (run->member == 0)
                memset(dz, 0, (size_t)units * 4 * sizeof(REAL));
            if (d_output && !(p->zero_leading && step < run->begins[r]))
                for (int64_t unit = run->begin; unit < run->end; unit++)
                    dh[unit] += d_output[unit];
            continue;
        }
        if (step > 0)
            before = (const REAL *)p->cells + (row * p->steps + FN(time_of)(p, step - 1)) * units;
        else if (p->initial_c)
            before = (const REAL *)p->initial_c + row * units;
        run->active[n] = (backward_row){(const REAL *)p->gates + at * 4 * units,
                                        (const REAL *)p->cells + at * units,
                                        before,
                                        d_output,
                                        dh,
                                        run->dc + r * run->padded,
                                        dz};
        run->dz_rows[n] = dz;
        run->dh_rows[n] = dh + run->begin;
        run->row_of[n] = row;
        n++;
    }
    return n;
}

/* Equation (1) with dropout of h: dh = sum over g of masks[g] * (dz_g U_g^T), or masks[0] * (dz
 * U^T). */
LOCAL void masked_product(backward_run *run, int64_t n)
{
    const lstm_problem *p = run->p;
    const int64_t units = p->units, depth = 4 * units / p->recurrent_groups;
    const int64_t vectors = (run->end + LANES - 1) / LANES;
    for (int64_t v = run->begin / LANES; v < vectors; v += PANEL) {
        const int64_t width = vectors - v < PANEL ? vectors - v : PANEL, column = v * LANES;
        const int64_t lanes = units - column < width * LANES ? units - column : width * LANES;
        const REAL *panel = (const REAL *)p->transposed_pack + column * 4 * units;
        for (int64_t i = 0, rows; i < n; i += rows) {
            rows = tile_rows(n - i);
            for (int g = 0; g < p->recurrent_groups; g++) {
                const REAL *dz[MAX_ROWS];
                for (int64_t r = 0; r < rows; r++)
                    dz[r] = run->dz_rows[i + r] + g * depth;
                operand part = {dz, depth, panel + g * depth * width * LANES, 0};
                products[width - 1][rows - 1](&part, 1, run->starts, 0, run->tile, 0);
                for (int64_t r = 0; r < rows; r++) {
                    const REAL *masks = (const REAL *)p->recurrent_masks +
                                        (g * p->batch + run->row_of[i + r]) * units;
                    REAL *dh = run->dh_rows[i + r] + column - run->begin;
                    for (int64_t lane = 0; lane < lanes; lane++)
                        dh[lane] =
                            (g ? dh[lane] : (REAL)0) + masks[column + lane] * run->tile[r][lane];
                }
            }
        }
    }
}

/* Brings to the L2 cache what `undo` will read of the step before for the rows and units of a tile:
 * 4 to 8 % less time, and 40 % for 256 rows of 32 units. Beyond NEAR bytes it would drive the weights
 * out. */
#define NEAR (256 << 10)
LOCAL void prefetch_step_before(const void *context, int64_t i, int64_t rows, int64_t unit,
                                int64_t count)
{
    const backward_run *run = context;
    const lstm_problem *p = run->p;
    const int64_t units = p->units, step = run->step - 1, time = FN(time_of)(p, step),
                  before = step > 0 ? FN(time_of)(p, step - 1) : time;
    unit += run->begin;
    for (int64_t r = i; r < i + rows; r++) {
        const int64_t row = run->row_of[r] * p->steps;
        const REAL *gates = (const REAL *)p->gates + (row + time) * 4 * units;
        const REAL *cells = (const REAL *)p->cells + (row + before) * units;
        const REAL *d_output =
            p->d_outputs ? (const REAL *)p->d_outputs + (row + step) * units : cells;
        for (int64_t u = unit; u < unit + count; u += LSTM_LINE / sizeof(REAL)) {
            for (int g = 0; g < 4; g++)
                LSTM_PREFETCH_L2(gates + g * units + u);
            LSTM_PREFETCH_L2(cells + u);
            LSTM_PREFETCH_L2(d_output + u);
        }
    }
}

LOCAL void backward_start(backward_run *run)
{
    const lstm_problem *p = run->p;
    take_states(p, run->first, run->rows, run->padded, p->d_final_h, run->dh);
    take_states(p, run->first, run->rows, run->padded, p->d_final_c, run->dc);
    memset(run->zeros, 0, (size_t)run->padded * sizeof(REAL));
}

/* The steps of this call for `rows` rows of the batch from `first` on. A member needs dz of all
 * units for dh of its own, so a team meets once a step, between the two. */
LOCAL int64_t backward(const lstm_problem *p, int64_t first, int64_t rows, void *work,
                       lstm_team *team, int member)
{
    backward_run run;
    const int64_t units = p->units;
    const int near = lstm_times(rows, units * 6 * (int64_t)sizeof(REAL)) <= NEAR;
    int64_t step = p->from;
    int leave = 0;
    const undo_fn undo_rows = undo_for(p);
    backward_layout(&run, p, first, rows, team, member, work);
    for (int64_t r = 0; r < rows; r++) {
        const int64_t row = FN(batch_row)(p, first + r);
        run.starts[r] = run.zeros;
        run.begins[r] = 0;
        while (run.begins[r] < p->steps && FN(is_masked)(p, row, FN(time_of)(p, run.begins[r])))
            run.begins[r]++;
    }
    if (member == 0)
        backward_start(&run);
    if (team)
        lstm_team_wait(team);

    while (step > p->begin && !leave) {
        run.step = --step;
        int64_t n = backward_select(&run, step);
        undo_rows(&run, n);
        if (team)
            leave = lstm_team_wait(team);
        if (step == 0 && p->skip_initial)
            continue;
        if (p->recurrent_masks)
            masked_product(&run, n);
        else
            multiply_rows(n, run.end - run.begin, 4 * units, run.dz_rows,
                          (const REAL *)p->transposed_pack + run.begin * 4 * units, run.starts,
                          run.dh_rows, near && step > 0 ? prefetch_step_before : NULL, &run);
    }

    if (team)
        lstm_team_wait(team);
    for (int64_t r = 0; member == 0 && r < rows; r++) {
        const int64_t row = FN(batch_row)(p, first + r);
        memcpy((REAL *)p->d_initial_h + row * units, run.dh + r * run.padded,
               (size_t)units * sizeof(REAL));
        memcpy((REAL *)p->d_initial_c + row * units, run.dc + r * run.padded,
               (size_t)units * sizeof(REAL));
    }
    return step;
}
