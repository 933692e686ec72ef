# cython: cdivision=True
"""Whole passes through the fused kernels: on several threads, a piece of the sequence at a time.

The notation is that of `_core`. Rows of the batch do not depend on each other, nor do columns of
the gradients of the weights: each part of a job takes a range of them. The pieces of the sequence,
between which signals are looked at, do not depend on the threads, so neither do the results.
"""

from libc.stdlib cimport qsort

from cylstm._kernels cimport (
    int64_t, lstm_flush_denormals, lstm_give, lstm_kernels, lstm_lines, lstm_plus, lstm_pool,
    lstm_pool_run, lstm_problem, lstm_restore, lstm_take, lstm_team, lstm_team_run, lstm_times,
    size_t, uint64_t,
)
from cylstm._shared cimport PATIENCE, check_signals


cdef enum:
    # A part of fewer rows reads the weights for too little arithmetic to be worth a thread.
    LEAST_ROWS = 4
    # Bytes of recurrent weights from which threads share the units of each step.
    LEAST_TEAM_WEIGHTS = 65536
    # Columns of the gradients of the weights come in whole panels of vectors.
    COLUMNS = 64
    # dz is kept for so many pairs of a row and a step at least: what the kernels sum at a time.
    LEAST_PAIRS = 512
    # Operations from which a call wakes threads that sleep. At some 100 of them a nanosecond this
    # is 0.3 ms, next to 0.04 ms for waking one.
    EAGER_WORK = 30000000
    # Operations below which one thread computes the gradients of weights and inputs.
    SHARED_GRADIENTS = 4000000
    # Numbers of dz that are kept where that is more.
    DZ_SIZE = 524288


# Each thread copies the problem to its own stack: all around the original the caller writes.
cdef struct Pass:
    const lstm_kernels* kernels
    lstm_problem* problem
    int members                 # threads that share the units of each step, or 1
    bint apart                  # whether they need not meet, in a single step
    int row_parts
    int column_parts            # of the gradients of the weights
    int pair_parts              # of the gradients of the inputs
    bint eager                  # whether there is enough work to wake sleeping threads
    int64_t reached             # how far the members came
    char* work
    int64_t work_size           # of each part, or of all members


cdef inline void* allocate(int64_t size) except NULL nogil:
    """So many bytes at least, at a cache line; `lstm_give` takes them back."""
    cdef void* memory = lstm_take(size)
    if memory == NULL:
        with gil:
            raise MemoryError(f"no memory for {size} bytes of work space")
    return memory


cdef inline int64_t part_begin(int64_t count, int part, int parts) noexcept nogil:
    """Where a part of a range begins; part = parts is its end. The first may have one more."""
    return part * (count // parts) + min(<int64_t>part, count % parts)


cdef inline int count_parts(int64_t rows, int64_t least, int most) noexcept nogil:
    """How many parts of at least so many rows there are, but at least 1 and not more than most."""
    return <int>max(1, min(<int64_t>most, rows // least))


cdef inline int64_t steps_of_piece(const lstm_problem* p, int64_t pairs) noexcept nogil:
    """How many steps have so many pairs of a row and a step, but not more than a few milliseconds
    of work."""
    cdef double flops = 8.0 * (p.inputs + p.units + 16) * p.units
    pairs = min(pairs, <int64_t>(PATIENCE / flops) + 1)
    return max(<int64_t>1, min(p.steps, pairs // max(<int64_t>1, p.batch)))


cdef inline double operations(const lstm_problem* p) noexcept nogil:
    """The floating point operations of the products of a pass."""
    return 8.0 * p.batch * p.steps * p.units * (p.inputs + p.units)


cdef inline int64_t count_members(
    const lstm_kernels* kernels, const lstm_problem* p, int threads
) noexcept nogil:
    """How many threads are to share the units of each step: one unless there are few rows."""
    cdef int64_t recurrent_size = lstm_times(lstm_times(4 * p.units, p.units), kernels.item)
    if p.batch == 0 or p.batch >= 2 * LEAST_ROWS or recurrent_size < LEAST_TEAM_WEIGHTS:
        return 1
    return max(<int64_t>1, min(<int64_t>threads, p.units // (4 * kernels.lanes)))


cdef inline int compare_numbers(const void* a, const void* b) noexcept nogil:
    cdef int64_t first = (<const int64_t*>a)[0], second = (<const int64_t*>b)[0]
    return (first > second) - (first < second)


cdef inline void deal_rows(Pass* run, int64_t* order) noexcept nogil:
    """Share rows of ragged length out evenly: each part has as many active ones in every step.

    From the longest to the shortest they are dealt like cards, in every second round from the last
    part to the first. `order` has room for twice the rows.
    """
    cdef lstm_problem* p = run.problem
    cdef int64_t parts = run.row_parts, row, step, masked, part
    cdef int64_t* keys = order + p.batch
    if p.mask == NULL or parts < 2:
        return
    for row in range(p.batch):
        masked = 0
        for step in range(p.steps):
            masked += p.mask[row * p.steps + step] == 0
        keys[row] = masked * p.batch + row
    qsort(keys, <size_t>p.batch, sizeof(int64_t), compare_numbers)
    for row in range(p.batch):
        part = row % parts
        if row // parts % 2 and row // parts < p.batch // parts:
            part = parts - 1 - part
        order[part_begin(p.batch, <int>part, <int>parts) + row // parts] = keys[row] % p.batch
    p.order = order


cdef inline int64_t order_size(const lstm_problem* p) noexcept nogil:
    """The bytes that `deal_rows` needs."""
    return 0 if p.mask == NULL else lstm_times(p.batch, 2 * sizeof(int64_t))


cdef inline int64_t states_size(
    const lstm_problem* p, const lstm_kernels* kernels
) noexcept nogil:
    """The bytes of h, or of c."""
    return lstm_times(lstm_times(p.batch, p.units), kernels.item)


# Forward ------------------------------------------------------------------------------------------


cdef inline void forward_part(void* context, int part) noexcept nogil:
    """(F1) to (F5) for some rows."""
    cdef Pass* run = <Pass*>context
    cdef lstm_problem p = run.problem[0]
    cdef int64_t first = part_begin(p.batch, part, run.row_parts)
    cdef int64_t last = part_begin(p.batch, part + 1, run.row_parts)
    cdef uint64_t saved = lstm_flush_denormals()
    run.kernels.forward(&p, first, last - first, run.work + part * run.work_size, NULL, 0)
    lstm_restore(saved)


cdef inline void forward_member(void* context, lstm_team* team, int member) noexcept nogil:
    """(F1) to (F5) for some units."""
    cdef Pass* run = <Pass*>context
    cdef lstm_problem p = run.problem[0]
    cdef uint64_t saved = lstm_flush_denormals()
    cdef int64_t reached = run.kernels.forward(&p, 0, p.batch, run.work, team, member)
    if member == 0:
        run.reached = reached
    lstm_restore(saved)


cdef inline void forward_member_apart(void* context, int member) noexcept nogil:
    """(F1) to (F5) of one step for some units."""
    cdef Pass* run = <Pass*>context
    cdef lstm_problem p = run.problem[0]
    cdef lstm_team team
    cdef uint64_t saved = lstm_flush_denormals()
    team.members = run.members
    team.arrived = team.generation = team.leave = 0
    team.apart = 1
    run.kernels.forward(&p, 0, p.batch, run.work + member * run.work_size, &team, member)
    lstm_restore(saved)


cdef inline int64_t plan_forward(Pass* run, int threads) noexcept nogil:
    """Share the work out; return the size of the work space that it needs."""
    cdef lstm_problem* p = run.problem
    run.members = <int>count_members(run.kernels, p, threads)
    run.row_parts = count_parts(p.batch, LEAST_ROWS, threads)
    run.eager = operations(p) > EAGER_WORK
    run.apart = run.members > 1 and p.steps == 1
    if run.members > 1:
        run.row_parts = 1
        run.work_size = run.kernels.forward_work(p, p.batch, run.members)
        if run.apart:
            return lstm_times(run.members, run.work_size)
    else:
        # the ranges of rows differ by one at most
        run.work_size = run.kernels.forward_work(p, p.batch // run.row_parts + 1, 1)
    return lstm_times(run.row_parts, run.work_size)


cdef inline void forward_piece(Pass* run, lstm_pool* pool) noexcept nogil:
    """(F1) to (F5) over the steps from `begin` to `end` of the problem."""
    cdef lstm_problem* p = run.problem
    if run.members == 1:
        lstm_pool_run(pool, run.row_parts, forward_part, run, run.eager)
        return
    if run.apart:
        lstm_pool_run(pool, run.members, forward_member_apart, run, run.eager)
        return
    lstm_team_run(pool, run.members, forward_member, run, run.eager)
    if run.reached < p.end:  # the threads could not go on together
        p.begin = run.reached
        p.initial_h = p.final_h
        p.initial_c = p.final_c
        forward_member(run, NULL, 0)


cdef inline int run_forward(
    const lstm_kernels* kernels, lstm_problem* p, lstm_pool* pool, int threads
) except -1 nogil:
    """(F1) to (F5) over all steps."""
    cdef Pass run
    cdef int64_t steps = steps_of_piece(p, lstm_times(p.batch, p.steps))
    cdef int64_t work_size, state_size = states_size(p, kernels)
    cdef char* state
    if p.batch == 0:
        p.steps = 0
    run.kernels = kernels
    run.problem = p
    p.begin = 0
    p.end = min(p.steps, steps)
    work_size = plan_forward(&run, threads)
    run.work = <char*>allocate(
        lstm_plus(lstm_plus(work_size, order_size(p)), lstm_times(2, state_size))
    )
    deal_rows(&run, <int64_t*>(run.work + work_size))
    state = run.work + work_size + order_size(p)
    if p.final_h == NULL:
        p.final_h = state
    if p.final_c == NULL:
        p.final_c = state + state_size
    try:
        while True:
            forward_piece(&run, pool)
            if p.end >= p.steps:
                return 0
            check_signals()
            p.begin = p.end
            p.end = min(p.steps, p.end + steps)
            p.initial_h = p.final_h
            p.initial_c = p.final_c
    finally:
        lstm_give(run.work)


# Backward -----------------------------------------------------------------------------------------


cdef inline void backward_part(void* context, int part) noexcept nogil:
    """(B5) to (B2) for some rows, except dU."""
    cdef Pass* run = <Pass*>context
    cdef lstm_problem p = run.problem[0]
    cdef int64_t first = part_begin(p.batch, part, run.row_parts)
    cdef int64_t last = part_begin(p.batch, part + 1, run.row_parts)
    cdef uint64_t saved = lstm_flush_denormals()
    run.kernels.backward(&p, first, last - first, run.work + part * run.work_size, NULL, 0)
    lstm_restore(saved)


cdef inline void backward_member(void* context, lstm_team* team, int member) noexcept nogil:
    """(B5) to (B2) for some units, except dU."""
    cdef Pass* run = <Pass*>context
    cdef lstm_problem p = run.problem[0]
    cdef uint64_t saved = lstm_flush_denormals()
    cdef int64_t reached = run.kernels.backward(&p, 0, p.batch, run.work, team, member)
    if member == 0:
        run.reached = reached
    lstm_restore(saved)


cdef inline void backward_piece(Pass* run, lstm_pool* pool) noexcept nogil:
    """(B5) to (B2), except dU, over the steps from `begin` to `end` of the problem."""
    cdef lstm_problem* p = run.problem
    p.from_ = p.end
    if run.members == 1:
        lstm_pool_run(pool, run.row_parts, backward_part, run, run.eager)
        return
    lstm_team_run(pool, run.members, backward_member, run, run.eager)
    if run.reached > p.begin:  # the threads could not go on together
        p.from_ = run.reached
        p.d_final_h = p.d_initial_h
        p.d_final_c = p.d_initial_c
        backward_member(run, NULL, 0)


cdef inline void gradients_part(void* context, int part) noexcept nogil:
    """(B2) and (B1): dU, dW and dw for some columns, or dx for some pairs of a row and a step."""
    cdef Pass* run = <Pass*>context
    cdef lstm_problem p = run.problem[0]
    cdef int64_t first, last, panels = (4 * p.units + COLUMNS - 1) // COLUMNS
    cdef int64_t pairs = p.batch * (p.end - p.begin)
    cdef uint64_t saved = lstm_flush_denormals()
    if part < run.column_parts:
        first = COLUMNS * part_begin(panels, part, run.column_parts)
        last = min(4 * p.units, COLUMNS * part_begin(panels, part + 1, run.column_parts))
        run.kernels.weight_gradients(&p, first, last - first, run.work + part * run.work_size)
    else:
        part -= run.column_parts
        first = part_begin(pairs, part, run.pair_parts)
        last = part_begin(pairs, part + 1, run.pair_parts)
        run.kernels.input_gradients(&p, first, last - first)
    lstm_restore(saved)


cdef inline int run_backward(
    const lstm_kernels* kernels, lstm_problem* p, lstm_pool* pool, int threads
) except -1 nogil:
    """(B5) to (B1) over all steps.

    dz is kept for a piece of the sequence only, long enough for the products with it to be large.
    """
    cdef Pass run
    cdef int64_t pairs = max(<int64_t>LEAST_PAIRS, DZ_SIZE // (4 * p.units))
    cdef int64_t steps = max(<int64_t>1, min(p.steps, pairs // max(<int64_t>1, p.batch)))
    cdef int64_t dz_size = lstm_lines(
        lstm_times(lstm_times(p.batch, steps), lstm_times(4 * p.units, kernels.item))
    )
    cdef int64_t parts_size, state_size = states_size(p, kernels)
    cdef char* state
    if p.batch == 0:
        p.steps = 0
    run.kernels = kernels
    run.problem = p
    run.members = <int>count_members(kernels, p, threads)
    run.row_parts = count_parts(p.batch, LEAST_ROWS, threads)
    run.eager = operations(p) > EAGER_WORK
    if operations(p) < SHARED_GRADIENTS:
        threads = 1
    run.column_parts = count_parts(4 * p.units, COLUMNS, threads)
    run.pair_parts = 0 if p.d_inputs == NULL else threads
    p.end = p.steps
    p.begin = max(<int64_t>0, p.steps - steps)
    run.work_size = max(kernels.backward_work(p, p.batch // run.row_parts + 1, run.members),
                        kernels.weight_gradients_work(p))
    parts_size = lstm_times(max(run.row_parts, run.column_parts), run.work_size)
    run.work = <char*>allocate(
        lstm_plus(lstm_plus(dz_size, parts_size),
                  lstm_plus(order_size(p), lstm_times(2, state_size)))
    )
    p.dz = run.work
    run.work += dz_size
    deal_rows(&run, <int64_t*>(run.work + parts_size))
    state = run.work + parts_size + order_size(p)
    p.skip_initial = p.d_initial_h == NULL
    if p.d_initial_h == NULL:
        p.d_initial_h = state
    if p.d_initial_c == NULL:
        p.d_initial_c = state + state_size
    try:
        while True:
            backward_piece(&run, pool)
            check_signals()
            lstm_pool_run(pool, run.column_parts + run.pair_parts, gradients_part, &run, run.eager)
            if p.begin == 0:
                return 0
            check_signals()
            p.end = p.begin
            p.begin = max(<int64_t>0, p.end - steps)
            p.d_final_h = p.d_initial_h
            p.d_final_c = p.d_initial_c
            p.add_gradients = 1
    finally:
        lstm_give(p.dz)
