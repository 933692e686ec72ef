# Whole passes by BLAS, for activations that the fused kernels do not have: softmax.
# Included by `_blas`.

# The cell: one row of the batch at one step -------------------------------------------------------


cdef inline void cell_forward(
    int activation,
    int recurrent_activation,
    Py_ssize_t units,
    const real* bias,           # IN  (4 units) or NULL
    real* z,                    # OUT (4 units): z becomes i, f, g, o
    real* c,                    # OUT (units): c' becomes c
    real* h,                    # OUT (units)
) noexcept nogil:
    """(F3) to (F5)."""
    cdef real* i = z
    cdef real* f = z + units
    cdef real* g = z + 2 * units
    cdef real* o = z + 3 * units
    cdef Py_ssize_t j
    # (F3) i, f, g, o = sigma(z_i + w_i), sigma(z_f + w_f), phi(z_c + w_c), sigma(z_o + w_o)
    if bias != NULL:
        for j in range(4 * units):
            z[j] += bias[j]
    activate(recurrent_activation, units, i)
    activate(recurrent_activation, units, f)
    activate(activation, units, g)
    activate(recurrent_activation, units, o)
    # (F4) c = f * c' + i * g
    for j in range(units):
        c[j] = f[j] * c[j] + i[j] * g[j]
    # (F5) h = o * phi(c)
    memcpy(h, c, units * sizeof(real))
    activate(activation, units, h)
    for j in range(units):
        h[j] *= o[j]


cdef inline void cell_backward(
    int activation,
    int recurrent_activation,
    Py_ssize_t units,
    const real* gates,          # IN  (4 units): i, f, g, o
    const real* c,              # IN  (units)
    const real* c_before,       # IN  (units): c'
    const real* dh,             # IN  (units)
    real* dc,                   # OUT (units): dc becomes dc'
    real* dz,                   # OUT (4 units)
    real* work,                 # (2 units)
) noexcept nogil:
    """(B5) to (B3)."""
    cdef const real* i = gates
    cdef const real* f = gates + units
    cdef const real* g = gates + 2 * units
    cdef const real* o = gates + 3 * units
    cdef real* phi = work
    cdef real* d_phi = work + units
    cdef Py_ssize_t j
    # (B5) do = dh * phi(c), dc += phi'(c) (dh * o)
    memcpy(phi, c, units * sizeof(real))
    activate(activation, units, phi)
    for j in range(units):
        dz[3 * units + j] = dh[j] * phi[j]
        d_phi[j] = dh[j] * o[j]
    activate_vjp(activation, units, phi, d_phi)
    for j in range(units):
        dc[j] += d_phi[j]
    # (B4) di = dc * g, df = dc * c', dg = dc * i, dc' = dc * f
    for j in range(units):
        dz[j] = dc[j] * g[j]
        dz[units + j] = dc[j] * c_before[j]
        dz[2 * units + j] = dc[j] * i[j]
        dc[j] *= f[j]
    # (B3) dz = sigma'(z_i) di, sigma'(z_f) df, phi'(z_c) dg, sigma'(z_o) do
    activate_vjp(recurrent_activation, units, i, dz)
    activate_vjp(recurrent_activation, units, f, dz + units)
    activate_vjp(activation, units, g, dz + 2 * units)
    activate_vjp(recurrent_activation, units, o, dz + 3 * units)


# The sequence: some rows of the batch at all steps ------------------------------------------------


cdef inline Py_ssize_t steps_in_block(Py_ssize_t timesteps, Py_ssize_t step_size) noexcept nogil:
    """For how many steps z is computed at a time where it is not kept."""
    return max(1, min(timesteps, BLOCK // max(1, step_size)))


cdef inline double step_flops(Py_ssize_t rows, Py_ssize_t units) noexcept nogil:
    """Roughly the floating point operations of a step."""
    return 8.0 * rows * (units + 16) * units


cdef inline const real* row_masks(const real[:, :, ::1] masks, Py_ssize_t first) noexcept nogil:
    """The dropout masks of the rows from `first` on, or NULL."""
    if masks is None:
        return NULL
    return &masks[0, first, 0]


cdef inline int forward_rows(
    Py_ssize_t first,                       # rows first <= b < last
    Py_ssize_t last,
    const real[:, :, ::1] inputs,           # IN
    const real[:, ::1] kernel,              # IN
    const real[:, ::1] recurrent_kernel,    # IN
    const real[::1] bias,                   # IN  or None
    const real[:, ::1] initial_h,           # IN
    const real[:, ::1] initial_c,           # IN
    const unsigned char[:, ::1] mask,       # IN  or None
    const real[:, :, ::1] input_masks,      # IN  or None
    const real[:, :, ::1] recurrent_masks,  # IN  or None
    int activation,
    int recurrent_activation,
    bint go_backwards,
    bint zero_leading,
    real[:, :, ::1] outputs,                # OUT or None
    real[:, ::1] final_h,                   # OUT; h of now in the meantime
    real[:, ::1] final_c,                   # OUT; c of now in the meantime
    real[:, :, ::1] gates,                  # OUT or None
    real[:, :, ::1] cells,                  # OUT or None
    real[:, :, ::1] hidden,                 # OUT or None
    real* work,
    Py_ssize_t limit,
) except -1 nogil:
    """(F1) to (F5) over all steps. Rows do not depend on each other."""
    cdef Py_ssize_t batch = inputs.shape[0], timesteps = inputs.shape[1]
    cdef Py_ssize_t input_dim = inputs.shape[2], units = initial_h.shape[1]
    cdef Py_ssize_t rows = last - first, state_size = units * sizeof(real)
    cdef Py_ssize_t b, s, t, block, steps, start, done = 0
    cdef double flops = 0
    cdef const real* x
    cdef const real* w = NULL
    cdef const real* m = row_masks(input_masks, first)
    cdef const real* n = row_masks(recurrent_masks, first)
    cdef Py_ssize_t m_gates = 0 if input_masks is None else input_masks.shape[0]
    cdef Py_ssize_t n_gates = 0 if recurrent_masks is None else recurrent_masks.shape[0]
    cdef real* h = &final_h[first, 0]
    cdef real* c = &final_c[first, 0]
    cdef real* z
    cdef real* gathered
    cdef real* masked
    cdef real* output
    if bias is not None:
        w = &bias[0]

    memcpy(h, &initial_h[first, 0], rows * state_size)
    memcpy(c, &initial_c[first, 0], rows * state_size)
    if rows == 0:
        return 0
    # z is kept for all steps where the caller wants the gates; otherwise a block of steps at a time
    block = timesteps if gates is not None else steps_in_block(timesteps, rows * 4 * units)
    z = work if gates is None else &gates[first, 0, 0]
    gathered = work + (rows * block * 4 * units if gates is None else 0)
    masked = gathered + (0 if block == timesteps else rows * block * input_dim)

    while done < timesteps:
        # steps done <= s < done + steps at times start <= t < start + steps
        steps = min(block, timesteps - done)
        start = timesteps - done - steps if go_backwards else done
        x = &inputs[first, 0, 0] + start * input_dim
        if steps < timesteps and rows > 1:
            for b in range(rows):
                memcpy(gathered + b * steps * input_dim, x + b * timesteps * input_dim,
                       steps * input_dim * sizeof(real))
            x = gathered
        # (F1) z_g = (x * m_g) W_g
        gate_product(rows * steps, input_dim, units, x, &kernel[0, 0], m, m_gates,
                     batch * input_dim, steps, <real>0, z, 4 * units, masked, limit)

        for s in range(done, done + steps):
            t = timesteps - 1 - s if go_backwards else s
            if hidden is not None:
                for b in range(rows):
                    memcpy(&hidden[first + b, t, 0], h + b * units, state_size)
            # (F2) z_g += (h' * n_g) U_g
            gate_product(rows, units, units, <const real*>h, &recurrent_kernel[0, 0], n, n_gates,
                         batch * units, 1, <real>1, z + (t - start) * 4 * units,
                         steps * 4 * units, masked, limit)
            for b in range(rows):
                if mask is None or mask[first + b, t]:
                    # (F3) to (F5)
                    cell_forward(activation, recurrent_activation, units, w,
                                 z + (b * steps + t - start) * 4 * units, c + b * units,
                                 h + b * units)
                elif gates is not None:
                    memset(&gates[first + b, t, 0], 0, 4 * state_size)
                if outputs is not None:
                    output = &outputs[first + b, s, 0]
                    if mask is None or mask[first + b, t] or not zero_leading:
                        memcpy(output, h + b * units, state_size)
                    elif s == 0:
                        memset(output, 0, state_size)
                    else:
                        memcpy(output, output - units, state_size)
                if cells is not None:
                    memcpy(&cells[first + b, t, 0], c + b * units, state_size)
            flops += step_flops(rows, units)
            if flops > PATIENCE:
                flops = 0
                check_signals()
        done += steps
    return 0


cdef inline bint has_live_step(
    const unsigned char* mask, Py_ssize_t timesteps, bint go_backwards, Py_ssize_t s
) noexcept nogil:
    """Whether the mask of a row is true at a step before s."""
    while s > 0:
        s -= 1
        if mask[timesteps - 1 - s if go_backwards else s]:
            return True
    return False


cdef inline int backward_rows(
    Py_ssize_t first,                       # rows first <= b < last
    Py_ssize_t last,
    const real[:, ::1] recurrent_kernel,    # IN
    const real[:, ::1] initial_c,           # IN
    const unsigned char[:, ::1] mask,       # IN  or None
    const real[:, :, ::1] recurrent_masks,  # IN  or None
    int activation,
    int recurrent_activation,
    bint go_backwards,
    bint zero_leading,
    const real[:, :, ::1] gates,            # IN
    const real[:, :, ::1] cells,            # IN
    const real[:, :, ::1] d_outputs,        # IN  or None
    const real[:, ::1] d_final_h,           # IN  or None
    const real[:, ::1] d_final_c,           # IN  or None
    real[:, ::1] d_initial_h,               # OUT; dh of now in the meantime
    real[:, ::1] d_initial_c,               # OUT; dc of now in the meantime
    real* dz,                               # OUT (batch, timesteps, 4 units)
    real* started,                          # (batch)
    real* carried,                          # (batch, units) if there is a mask
    real* cell_work,                        # (2 units)
    real* masked,                           # (masked_rows, units) if there are recurrent masks
    Py_ssize_t limit,
) except -1 nogil:
    """(B5) to (B2) over all steps, except dU. Rows do not depend on each other."""
    cdef Py_ssize_t batch = gates.shape[0], timesteps = gates.shape[1], units = cells.shape[2]
    cdef Py_ssize_t rows = last - first, state_size = units * sizeof(real)
    cdef Py_ssize_t b, s, t, before, j
    cdef double flops = 0
    cdef bint live, leading = mask is not None and zero_leading
    cdef const real* n = row_masks(recurrent_masks, first)
    cdef Py_ssize_t n_gates = 0 if recurrent_masks is None else recurrent_masks.shape[0]
    cdef const real* d_output
    cdef const real* c_before
    cdef real* dz_row
    cdef real* dh
    cdef real* dc

    if d_final_h is None:
        memset(&d_initial_h[first, 0], 0, rows * state_size)
    else:
        memcpy(&d_initial_h[first, 0], &d_final_h[first, 0], rows * state_size)
    if d_final_c is None:
        memset(&d_initial_c[first, 0], 0, rows * state_size)
    else:
        memcpy(&d_initial_c[first, 0], &d_final_c[first, 0], rows * state_size)
    if rows == 0:
        return 0
    if leading:
        for b in range(first, last):
            started[b] = has_live_step(&mask[b, 0], timesteps, go_backwards, timesteps)

    for s in range(timesteps - 1, -1, -1):
        t = timesteps - 1 - s if go_backwards else s
        before = t + 1 if go_backwards else t - 1
        for b in range(first, last):
            dh = &d_initial_h[b, 0]
            dc = &d_initial_c[b, 0]
            dz_row = dz + (b * timesteps + t) * 4 * units
            live = mask is None or mask[b, t]
            if leading and live:
                started[b] = has_live_step(&mask[b, 0], timesteps, go_backwards, s)
            # the output of a masked step is h', or a constant 0 before the first live one
            if d_outputs is not None and (live or not leading or started[b] != 0):
                d_output = &d_outputs[b, s, 0]
                for j in range(units):
                    dh[j] += d_output[j]
            if live:
                c_before = &initial_c[b, 0] if s == 0 else &cells[b, before, 0]
                # (B5) to (B3)
                cell_backward(activation, recurrent_activation, units, &gates[b, t, 0],
                              &cells[b, t, 0], c_before, <const real*>dh, dc, dz_row, cell_work)
                memset(dh, 0, state_size)
            else:
                memset(dz_row, 0, 4 * state_size)
                memcpy(carried + b * units, dh, state_size)
        # (B2) dh' = sum_g n_g * (dz_g U_g^T), and dh' = dh where the step is masked
        gate_product_backward(rows, units, units,
                              <const real*>dz + (first * timesteps + t) * 4 * units,
                              timesteps * 4 * units, &recurrent_kernel[0, 0], n, n_gates,
                              batch * units, 1, &d_initial_h[first, 0], masked, limit)
        for b in range(first, last):
            if mask is not None and not mask[b, t]:  # 0 U^T is not 0 where U is not finite
                memcpy(&d_initial_h[b, 0], carried + b * units, state_size)
        flops += step_flops(rows, units)
        if flops > PATIENCE:
            flops = 0
            check_signals()
    return 0


# With work space ---------------------------------------------------------------------------------


cdef inline int forward_by_blas(
    const real[:, :, ::1] inputs,
    const real[:, ::1] kernel,
    const real[:, ::1] recurrent_kernel,
    const real[::1] bias,
    const real[:, ::1] initial_h,
    const real[:, ::1] initial_c,
    const unsigned char[:, ::1] mask,
    const real[:, :, ::1] input_masks,
    const real[:, :, ::1] recurrent_masks,
    int activation,
    int recurrent_activation,
    bint go_backwards,
    bint zero_leading,
    real[:, :, ::1] outputs,
    real[:, ::1] final_h,
    real[:, ::1] final_c,
    real[:, :, ::1] gates,
    real[:, :, ::1] cells,
    real[:, :, ::1] hidden,
    Py_ssize_t limit,
) except -1 nogil:
    """(F1) to (F5) for the whole batch."""
    cdef Py_ssize_t batch = inputs.shape[0], timesteps = inputs.shape[1]
    cdef Py_ssize_t input_dim = inputs.shape[2], units = initial_h.shape[1]
    cdef Py_ssize_t block = timesteps
    cdef int64_t size = 0, masked = 0, step_size = lstm_times(batch, lstm_times(4, units))
    cdef real* work
    if batch == 0:
        return 0
    if gates is None:
        block = steps_in_block(timesteps, step_size)
        size = lstm_times(block, step_size)
    if block < timesteps:
        size = lstm_plus(size, lstm_times(lstm_times(batch, block), input_dim))
    if input_masks is not None:
        masked = lstm_times(min(lstm_times(batch, block), masked_rows(input_dim)), input_dim)
    if recurrent_masks is not None:
        masked = max(masked, lstm_times(min(batch, masked_rows(units)), units))
    work = <real*>take_memory(lstm_times(lstm_plus(size, masked), sizeof(real)))
    try:
        forward_rows(0, batch, inputs, kernel, recurrent_kernel, bias, initial_h, initial_c, mask,
                     input_masks, recurrent_masks, activation, recurrent_activation, go_backwards,
                     zero_leading, outputs, final_h, final_c, gates, cells, hidden, work, limit)
    finally:
        give_memory(work)
    return 0


cdef inline int backward_by_blas(
    const real[:, :, ::1] inputs,
    const real[:, ::1] kernel,
    const real[:, ::1] recurrent_kernel,
    const real[:, ::1] initial_c,
    const unsigned char[:, ::1] mask,
    const real[:, :, ::1] input_masks,
    const real[:, :, ::1] recurrent_masks,
    int activation,
    int recurrent_activation,
    bint go_backwards,
    bint zero_leading,
    const real[:, :, ::1] gates,
    const real[:, :, ::1] cells,
    const real[:, :, ::1] hidden,
    const real[:, :, ::1] d_outputs,
    const real[:, ::1] d_final_h,
    const real[:, ::1] d_final_c,
    real[:, :, ::1] d_inputs,
    real[:, ::1] d_initial_h,
    real[:, ::1] d_initial_c,
    real[:, ::1] d_kernel,
    real[:, ::1] d_recurrent_kernel,
    real[::1] d_bias,
    Py_ssize_t limit,
) except -1 nogil:
    """(B5) to (B1) for the whole batch."""
    cdef Py_ssize_t batch = inputs.shape[0], timesteps = inputs.shape[1]
    cdef Py_ssize_t input_dim = inputs.shape[2], units = recurrent_kernel.shape[0]
    cdef Py_ssize_t rows = lstm_times(batch, timesteps)
    cdef int64_t size = 0, state_size = 0, copy_size = 0
    cdef int64_t dz_size = lstm_times(rows, lstm_times(4, units))
    cdef Py_ssize_t m_gates = 0 if input_masks is None else input_masks.shape[0]
    cdef Py_ssize_t n_gates = 0 if recurrent_masks is None else recurrent_masks.shape[0]
    cdef const real* m = row_masks(input_masks, 0)
    cdef const real* n = row_masks(recurrent_masks, 0)
    cdef const real* x = &inputs[0, 0, 0]
    cdef const real* h = &hidden[0, 0, 0]
    cdef const unsigned char* live = NULL if mask is None else &mask[0, 0]
    cdef bint copy_x = False, copy_h = False
    cdef Py_ssize_t r
    cdef real* dz
    cdef real* started
    cdef real* carried
    cdef real* row_work
    cdef real* masked
    cdef real* copy
    if input_masks is not None:
        size = lstm_times(min(rows, masked_rows(input_dim)), input_dim)
    if recurrent_masks is not None:
        size = max(size, lstm_times(min(max(rows, batch), masked_rows(units)), units))
    if live != NULL:  # what masked steps hold must not be multiplied, not even by 0
        copy_x = m == NULL and not is_finite_where_masked(rows, input_dim, x, live)
        copy_h = n == NULL and not is_finite_where_masked(rows, units, h, live)
        state_size = lstm_times(batch, units)
    if copy_x or copy_h:
        copy_size = lstm_times(rows, max(input_dim, units))
    size = lstm_plus(size, lstm_plus(lstm_plus(batch, state_size), lstm_times(4, units)))
    size = lstm_plus(lstm_plus(dz_size, size), copy_size)
    dz = <real*>take_memory(lstm_times(size, sizeof(real)))
    copy = dz + dz_size
    started = copy + copy_size
    carried = started + batch
    row_work = carried + state_size
    masked = row_work + 4 * units
    try:
        backward_rows(0, batch, recurrent_kernel, initial_c, mask, recurrent_masks, activation,
                      recurrent_activation, go_backwards, zero_leading, gates, cells, d_outputs,
                      d_final_h, d_final_c, d_initial_h, d_initial_c, dz, started, carried,
                      row_work, masked, limit)
        # (B2) dU_g = sum_bt (h' * n_g)^T dz_g
        if copy_h:
            h = without_masked_rows(rows, units, h, live, copy)
        weights_gradient(rows, units, units, h, <const real*>dz, n, n_gates, batch * units,
                         timesteps, live, &d_recurrent_kernel[0, 0], masked, limit)
        # (B1) dx = sum_g m_g * (dz_g W_g^T), dW_g = sum_bt (x * m_g)^T dz_g, dw = sum_bt dz
        if d_inputs is not None:
            memset(&d_inputs[0, 0, 0], 0, rows * input_dim * sizeof(real))
            gate_product_backward(rows, input_dim, units, <const real*>dz, 4 * units,
                                  &kernel[0, 0], m, m_gates, batch * input_dim, timesteps,
                                  &d_inputs[0, 0, 0], masked, limit)
            for r in range(rows if live != NULL else 0):
                if not live[r]:  # 0 W^T is not 0 where W is not finite
                    memset(&d_inputs[0, 0, 0] + r * input_dim, 0, input_dim * sizeof(real))
        if copy_x:
            x = without_masked_rows(rows, input_dim, x, live, copy)
        weights_gradient(rows, input_dim, units, x, <const real*>dz, m, m_gates,
                         batch * input_dim, timesteps, live, &d_kernel[0, 0], masked, limit)
        if d_bias is not None:
            sum_rows(rows, 4 * units, <const real*>dz, &d_bias[0], row_work)
    finally:
        give_memory(dz)
    return 0
