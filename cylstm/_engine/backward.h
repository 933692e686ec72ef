/* backward.h: from the caches of the forward pass and the gradients of its results to dz, the
 * gradient of z, for all steps. Steps run backwards: for each the cell's `undo`, and then
 *
 *     dh = sum over g of dz_g U_g^T
 *
 * The other products, dW = x^T dz, dU = h^T dz, db = sum dz, dx = dz W^T, have no order in time: they
 * are left to one large product each over all rows and steps (gradients.h).
 */

typedef struct {
    const lstm_call *call;
    const lstm_shape *shape;
    const lstm_arrays *arrays;
    const lstm_piece *piece;
    int64_t first, rows, padded;
    int member;
    int64_t step;
    int64_t begin, end; /* the units of this member, whole panels */
    REAL *dh, *dc;      /* (rows, padded) */
    REAL *zeros;        /* (padded) */
    REAL *room; /* with a gemm: for gathered rows and products */
    backward_row *active;
    const REAL **dz_rows, **starts;
    REAL **dh_rows;
    int64_t *row_of; /* batch row of an active row */
    int64_t *begins; /* first unmasked step of a row */
} backward_run;

/* What each member of a team has for itself */
LOCAL void backward_own_layout(backward_run *run, lstm_layout *space)
{
    if (run->call->weights.gemm)
        TAKE(room, REAL, lstm_times(lstm_plus(run->rows, 1),
                                    lstm_times(LSTM_GATES + 1, run->shape->units)));
    TAKE(active, backward_row, run->rows);
    TAKE(dz_rows, const REAL *, run->rows);
    TAKE(starts, const REAL *, run->rows);
    TAKE(dh_rows, REAL *, run->rows);
    TAKE(row_of, int64_t, run->rows);
    TAKE(begins, int64_t, run->rows);
}

LOCAL int64_t backward_layout(backward_run *run, const lstm_call *call, int64_t first, int64_t rows,
                              lstm_team *team, int member, char *at)
{
    lstm_layout shared = {at, 0}, own = {NULL, 0}, *space = &shared;
    const int members = team ? team->members : 1;
    const int64_t units = call->shape.units, panel = PANEL * LANES;
    const int64_t panels = (units + panel - 1) / panel;
    run->call = call;
    run->shape = &call->shape;
    run->arrays = &call->arrays;
    run->member = member;
    run->first = first;
    run->rows = rows;
    run->padded = (units + LANES - 1) / LANES * LANES;
    run->begin = panels * member / members * panel;
    run->end = member + 1 < members ? panels * (member + 1) / members * panel : units;
    TAKE(dh, REAL, lstm_times(rows, run->padded));
    TAKE(dc, REAL, lstm_times(rows, run->padded));
    TAKE(zeros, REAL, run->padded);
    backward_own_layout(run, &own);
    if (at)
        backward_own_layout(run, &(lstm_layout){at + shared.size + member * own.size, 0});
    return lstm_plus(shared.size, lstm_times(members, own.size));
}

LOCAL int64_t backward_work(const lstm_call *call, int64_t rows, int members)
{
    lstm_team team = {members, 0, 0, 0, 0};
    backward_run run;
    return backward_layout(&run, call, 0, rows, &team, 0, NULL);
}

/* Lists the rows that are active in `step`; a masked one passes its gradients through. */
LOCAL int64_t backward_select(backward_run *run, int64_t step)
{
    const lstm_shape *shape = run->shape;
    const lstm_arrays *arrays = run->arrays;
    const int64_t units = shape->units, time = time_of(shape, step);
    const REAL *cells = arrays->cells, *gates = arrays->gates, *d_outputs = arrays->d_outputs;
    int64_t n = 0;
    for (int64_t r = 0; r < run->rows; r++) {
        const int64_t row = batch_row(run->piece, run->first + r), at = row * shape->steps + time;
        const REAL *d_output = d_outputs ? d_outputs + (row * shape->steps + step) * units : NULL;
        const REAL *before = run->zeros;
        REAL *dh = run->dh + r * run->padded, *dz = dz_row(shape, run->piece, row, time);
        if (is_masked(run->call, row, time)) {
            if (run->member == 0)
                memset(dz, 0, (size_t)units * LSTM_GATES * sizeof(REAL));
            if (d_output && !(shape->zero_leading && step < run->begins[r]))
                for (int64_t unit = run->begin; unit < run->end; unit++)
                    dh[unit] += d_output[unit];
            continue;
        }
        if (step > 0)
            before = cells + (row * shape->steps + time_of(shape, step - 1)) * units;
        else if (arrays->initial_c)
            before = (const REAL *)arrays->initial_c + row * units;
        run->active[n] = (backward_row){gates + at * LSTM_GATES * units,
                                        cells + at * units,
                                        before,
                                        d_output,
                                        dh,
                                        run->dc + r * run->padded,
                                        dz,
                                        row};
        run->dz_rows[n] = dz;
        run->dh_rows[n] = dh + run->begin;
        run->row_of[n] = row;
        n++;
    }
    return n;
}

/* Brings to the L2 cache what `undo` will read of the step before for the rows and units of a tile:
 * 4 to 8 % less time, and 40 % for 256 rows of 32 units. Beyond NEAR bytes it would drive the weights
 * out. */
#define NEAR (256 << 10)
LOCAL void prefetch_step_before(const void *context, int64_t i, int64_t rows, int64_t unit,
                                int64_t count)
{
    const backward_run *run = context;
    const lstm_shape *shape = run->shape;
    const int64_t units = shape->units, step = run->step - 1, time = time_of(shape, step),
                  before = step > 0 ? time_of(shape, step - 1) : time;
    unit += run->begin;
    for (int64_t r = i; r < i + rows; r++) {
        const int64_t row = run->row_of[r] * shape->steps;
        const REAL *gates = (const REAL *)run->arrays->gates + (row + time) * LSTM_GATES * units;
        const REAL *cells = (const REAL *)run->arrays->cells + (row + before) * units;
        const REAL *d_output = run->arrays->d_outputs
                                   ? (const REAL *)run->arrays->d_outputs + (row + step) * units
                                   : cells;
        for (int64_t u = unit; u < unit + count; u += LSTM_LINE / sizeof(REAL)) {
            for (int g = 0; g < LSTM_GATES; g++)
                LSTM_PREFETCH_L2(gates + g * units + u);
            LSTM_PREFETCH_L2(cells + u);
            LSTM_PREFETCH_L2(d_output + u);
        }
    }
}

/* dh of the n active rows, from dz of all units */
LOCAL void backward_product(backward_run *run, int64_t n)
{
    const lstm_shape *shape = run->shape;
    const lstm_weights *weights = &run->call->weights;
    const int64_t units = shape->units, depth = LSTM_GATES * units, columns = run->end - run->begin;
    const REAL *pack = (const REAL *)weights->recurrent + run->begin * depth;
    const int near = run->rows * units * LSTM_CACHE * (int64_t)sizeof(REAL) <= NEAR;
    if (weights->gemm)
        pull_gate_products(weights->gemm, weights->recurrent, units, n, units, run->dz_rows,
                           shape->recurrent_groups, run->arrays->recurrent_masks, shape->batch,
                           run->row_of, run->room, run->dh_rows);
    else if (shape->recurrent_groups)
        pull_rows(columns, n, run->dz_rows, depth, pack, shape->recurrent_groups,
                  (const REAL *)run->arrays->recurrent_masks + run->begin, shape->batch, units,
                  run->row_of, run->dh_rows);
    else
        multiply_rows(n, columns, depth, run->dz_rows, pack, run->starts, run->dh_rows,
                      near && run->step > 0 ? prefetch_step_before : NULL, run);
}

/* The steps of this piece for `rows` rows of the batch from `first` on. A member needs dz of all
 * units for dh of its own, so a team meets once a step, between the two. */
LOCAL int64_t backward(const lstm_call *call, const lstm_piece *piece, int64_t first, int64_t rows,
                       void *work, lstm_team *team, int member)
{
    backward_run run;
    const lstm_shape *shape = &call->shape;
    const cell_pair cell = cell_for(call);
    const size_t size = (size_t)shape->units * sizeof(REAL);
    int64_t step = piece->from;
    int leave = 0;
    backward_layout(&run, call, first, rows, team, member, work);
    run.piece = piece;
    for (int64_t r = 0; r < rows; r++) {
        run.starts[r] = run.zeros;
        run.begins[r] = first_step(call, batch_row(piece, first + r), shape->steps);
    }
    if (member == 0) {
        take_states(shape->units, piece, first, rows, run.padded, piece->h, run.dh);
        take_states(shape->units, piece, first, rows, run.padded, piece->c, run.dc);
        memset(run.zeros, 0, (size_t)run.padded * sizeof(REAL));
    }
    if (team)
        lstm_team_wait(team);

    while (step > piece->begin && !leave) {
        run.step = --step;
        const int64_t n = backward_select(&run, step);
        if (needs_rows(shape))
            undo_rows(call, n, run.active, run.room);
        else
            cell.undo(call, run.begin, run.end, n, run.active);
        if (team)
            leave = lstm_team_wait(team);
        if (step > 0 || !piece->skip_initial)
            backward_product(&run, n);
    }

    if (team)
        lstm_team_wait(team);
    for (int64_t r = 0; member == 0 && r < rows; r++) {
        const int64_t row = batch_row(piece, first + r) * shape->units;
        memcpy((REAL *)call->arrays.d_initial_h + row, run.dh + r * run.padded, size);
        memcpy((REAL *)call->arrays.d_initial_c + row, run.dc + r * run.padded, size);
    }
    return step;
}
