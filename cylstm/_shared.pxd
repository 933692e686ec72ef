# cython: boundscheck=False, wraparound=False, initializedcheck=False
"""What both extensions, `_core` and `_blas`, have in common: checks of arguments and of signals."""

from cpython.exc cimport PyErr_CheckSignals

from cylstm._kernels cimport LSTM_ACTIVATIONS, lstm_times


ctypedef fused real:
    float
    double


cdef enum:
    # Floating point operations between two looks at signals: some milliseconds.
    PATIENCE = 268435456


cdef inline int check_signals() except -1 with gil:
    """Run signal handlers: KeyboardInterrupt ends a long computation."""
    PyErr_CheckSignals()
    return 0


cdef inline int expect(
    str name, const Py_ssize_t* shape, int rank, Py_ssize_t n0, Py_ssize_t n1=0, Py_ssize_t n2=0
) except -1:
    """Raise ValueError if the shape is not (n0, n1, n2)[:rank]."""
    if shape[0] == n0 and (rank < 2 or shape[1] == n1) and (rank < 3 or shape[2] == n2):
        return 0
    given = (shape[0], shape[1], shape[2])[:rank]
    raise ValueError(f"{name} has the shape {given}, expected {(n0, n1, n2)[:rank]}")


cdef inline int expect_inputs(
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
) except -1:
    """Raise ValueError if what both passes read does not fit together."""
    cdef Py_ssize_t batch = inputs.shape[0], timesteps = inputs.shape[1]
    cdef Py_ssize_t input_dim = inputs.shape[2], units = recurrent_kernel.shape[0]
    cdef Py_ssize_t columns = lstm_times(4, units)
    expect("kernel", &kernel.shape[0], 2, input_dim, columns)
    expect("recurrent_kernel", &recurrent_kernel.shape[0], 2, units, columns)
    if bias is not None:
        expect("bias", &bias.shape[0], 1, columns)
    expect("initial_h", &initial_h.shape[0], 2, batch, units)
    expect("initial_c", &initial_c.shape[0], 2, batch, units)
    if mask is not None:
        expect("mask", &mask.shape[0], 2, batch, timesteps)
    if input_masks is not None:
        expect("input_masks", &input_masks.shape[0], 3,
               1 if input_masks.shape[0] == 1 else 4, batch, input_dim)
    if recurrent_masks is not None:
        expect("recurrent_masks", &recurrent_masks.shape[0], 3,
               1 if recurrent_masks.shape[0] == 1 else 4, batch, units)
    for number in (activation, recurrent_activation):
        if not 0 <= number <= LSTM_ACTIVATIONS:  # the last one is softmax
            raise ValueError(f"{number} is not the number of an activation in ACTIVATIONS")
    return 0


cdef inline int expect_results(
    Py_ssize_t batch,
    Py_ssize_t timesteps,
    Py_ssize_t units,
    real[:, :, ::1] outputs,
    real[:, ::1] final_h,
    real[:, ::1] final_c,
    real[:, :, ::1] gates,
    real[:, :, ::1] cells,
    real[:, :, ::1] hidden,
) except -1:
    """Raise ValueError if what the forward pass writes has other shapes."""
    if outputs is not None:
        expect("outputs", &outputs.shape[0], 3, batch, timesteps, units)
    expect("final_h", &final_h.shape[0], 2, batch, units)
    expect("final_c", &final_c.shape[0], 2, batch, units)
    if gates is not None:
        expect("gates", &gates.shape[0], 3, batch, timesteps, lstm_times(4, units))
    if cells is not None:
        expect("cells", &cells.shape[0], 3, batch, timesteps, units)
    if hidden is not None:
        expect("hidden", &hidden.shape[0], 3, batch, timesteps, units)
    return 0


cdef inline int expect_gradients(
    Py_ssize_t batch,
    Py_ssize_t timesteps,
    Py_ssize_t input_dim,
    Py_ssize_t units,
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
) except -1:
    """Raise ValueError if what only the backward pass reads, or what it writes, does not fit."""
    cdef Py_ssize_t columns = lstm_times(4, units)
    expect("gates", &gates.shape[0], 3, batch, timesteps, columns)
    expect("cells", &cells.shape[0], 3, batch, timesteps, units)
    expect("hidden", &hidden.shape[0], 3, batch, timesteps, units)
    if d_outputs is not None:
        expect("d_outputs", &d_outputs.shape[0], 3, batch, timesteps, units)
    if d_final_h is not None:
        expect("d_final_h", &d_final_h.shape[0], 2, batch, units)
    if d_final_c is not None:
        expect("d_final_c", &d_final_c.shape[0], 2, batch, units)
    if d_inputs is not None:
        expect("d_inputs", &d_inputs.shape[0], 3, batch, timesteps, input_dim)
    expect("d_initial_h", &d_initial_h.shape[0], 2, batch, units)
    expect("d_initial_c", &d_initial_c.shape[0], 2, batch, units)
    expect("d_kernel", &d_kernel.shape[0], 2, input_dim, columns)
    expect("d_recurrent_kernel", &d_recurrent_kernel.shape[0], 2, units, columns)
    if d_bias is not None:
        expect("d_bias", &d_bias.shape[0], 1, columns)
    return 0
