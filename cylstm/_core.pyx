# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, embedsignature=False, freethreading_compatible=True
"""The compiled core: an LSTM over whole sequences, forward and backward, in float32 or float64.

Notation. All arrays are in C order; gates come in the order i, f, c, o.

    batch, timesteps, input_dim, units    the sizes; b < batch, t < timesteps
    s                   a step, in the order of processing: t = s, or timesteps - 1 - s backwards
    x  (b, t, input_dim)                  inputs
    h, c  (b, units)                      output and cell state of "now"; h', c' of the step before
    W  (input_dim, 4 units)               kernel; W_g: the columns of gate g
    U  (units, 4 units)                   recurrent_kernel; U_g likewise
    w  (4 units)                          bias
    z  (b, 4 units)                       what the gates are activated from
    i, f, g, o  (b, units)                the activated gates
    m_g  (b, input_dim), n_g  (b, units)  dropout masks of gate g, the same at every step
    d...                                  the gradient of the loss with respect to ...

With phi the activation and sigma the recurrent activation, a step is

    (F1)  z_g = (x * m_g) W_g
    (F2)  z_g += (h' * n_g) U_g
    (F3)  i, f, g, o = sigma(z_i + w_i), sigma(z_f + w_f), phi(z_c + w_c), sigma(z_o + w_o)
    (F4)  c = f * c' + i * g
    (F5)  h = o * phi(c)

and, with dh and dc what comes from later steps and from the output, its derivative is

    (B5)  do = dh * phi(c),  dc += phi'(c) (dh * o)
    (B4)  di = dc * g,  df = dc * c',  dg = dc * i,  dc' = dc * f
    (B3)  dz = sigma'(z_i) di, sigma'(z_f) df, phi'(z_c) dg, sigma'(z_o) do
    (B2)  dh' = sum_g n_g * (dz_g U_g^T),  dU_g = sum_bt (h' * n_g)^T dz_g
    (B1)  dx = sum_g m_g * (dz_g W_g^T),   dW_g = sum_bt (x * m_g)^T dz_g,  dw = sum_bt dz

A row of the batch whose mask is false at a step is carried over: h = h', c = c', dz = 0.

The functions below check that shapes agree, and nothing else. Callers bring every array; what they
leave at None is not computed. The fused kernels in `_simd` compute every pass except those with
softmax, which `_blas` computes.
"""

from cpython.buffer cimport (
    PyBUF_FORMAT, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_FillInfo, PyBuffer_IsContiguous,
    PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer,
)
from cpython.pyport cimport PY_SSIZE_T_MAX
from libc.math cimport sqrt, sqrtf
from libc.stdlib cimport getenv
from libc.string cimport memcpy, memset, strcmp

from cylstm._fused cimport (
    Pass, allocate, forward_piece, operations, plan_forward, run_backward, run_forward, states_size,
)
from cylstm._kernels cimport (
    LSTM_ACTIVATIONS, LSTM_KEPT_FROM, LSTM_MOST_THREADS, int64_t, lstm_claim,
    lstm_find_kernels, lstm_flush_denormals, lstm_give, lstm_kept, lstm_kernels, lstm_lines,
    lstm_plus, lstm_pool, lstm_pool_close, lstm_pool_free, lstm_pool_open, lstm_pool_serve,
    lstm_problem, lstm_release, lstm_restore, lstm_times, size_t, uint64_t,
)
from cylstm._shared cimport expect, expect_gradients, expect_inputs, expect_results, real

from numpy import empty as _numpy_empty
import numpy


cdef object ndarray = numpy.ndarray

ACTIVATIONS = {
    name: number
    for number, name in enumerate((
        "linear", "tanh", "sigmoid", "hard_sigmoid", "relu",
        "elu", "selu", "softplus", "softsign", "softmax",
    ))
}


# The instruction set ------------------------------------------------------------------------------

cdef const lstm_kernels* _kernels_f32 = NULL
cdef const lstm_kernels* _kernels_f64 = NULL


def isas():
    """The instruction sets with fused kernels that this CPU runs, the best one last."""
    return [name for name in ("generic", "avx2", "avx512")
            if lstm_find_kernels(name.encode(), False) != NULL]


def _choose_isa():
    """Choose the kernels: those named by CYLSTM_ISA, or else the best that this CPU runs."""
    global _kernels_f32, _kernels_f64
    cdef const char* name = getenv("CYLSTM_ISA")
    if name != NULL and name[0] == 0:
        name = NULL
    _kernels_f32 = lstm_find_kernels(name, False)
    _kernels_f64 = lstm_find_kernels(name, True)
    if _kernels_f32 == NULL:
        raise ValueError(
            f"The environment variable CYLSTM_ISA is {name.decode('utf-8', 'replace')!r}. This CPU "
            f"runs {', '.join(isas())}: set it to one of these, or leave it unset for the best."
        )


_choose_isa()


def isa():
    """The instruction set of the fused kernels: "generic", "avx2" or "avx512"."""
    return _kernels_f32.name.decode()


cdef inline const lstm_kernels* kernels_of(real witness) noexcept nogil:
    """The kernels for a type, known by any number of it."""
    if real is float:
        return _kernels_f32
    else:
        return _kernels_f64


def activate(int activation, const real[::1] x not None, real[::1] y not None):
    """y = activation(x), as the fused kernels compute it: for tests of their accuracy."""
    cdef const lstm_kernels* kernels = kernels_of(<real>0)
    cdef uint64_t saved
    expect("y", &y.shape[0], 1, x.shape[0])
    if not 0 <= activation < LSTM_ACTIVATIONS:
        raise ValueError(f"{activation} is not the number of an activation of the fused kernels")
    with nogil:
        saved = lstm_flush_denormals()
        kernels.activate(activation, x.shape[0], &x[0], &y[0])
        lstm_restore(saved)


include "_memory.pxi"
include "_pool.pxi"
include "_packed.pxi"
include "_quick.pxi"
include "_updates.pxi"


# What Python calls --------------------------------------------------------------------------------


cdef int expect_fused(int activation, int recurrent_activation) except -1:
    """Raise ValueError for softmax."""
    if LSTM_ACTIVATIONS in (activation, recurrent_activation):
        raise ValueError("the fused kernels have no softmax: cylstm._blas computes passes with it")
    return 0


cdef PackedWeights packed_for(
    PackedWeights packed,
    const real[:, ::1] kernel,
    const real[:, ::1] recurrent_kernel,
    const real[::1] bias,
    bint transposed,
):
    """The packed weights that were given, if they fit, or those of this call only."""
    if packed is None:
        return pack_weights(kernel=kernel, recurrent_kernel=recurrent_kernel, bias=bias,
                            transposed=transposed)
    if (packed.kernels != kernels_of(<real>0) or packed.input_dim != kernel.shape[0]
            or packed.units != recurrent_kernel.shape[0] or packed.transposed != transposed):
        raise ValueError(
            f"packed holds {'transposed ' if packed.transposed else ''}weights for "
            f"{packed.input_dim} inputs and {packed.units} units, expected "
            f"{'transposed ' if transposed else ''}ones of the same dtype for {kernel.shape[0]} "
            f"and {recurrent_kernel.shape[0]}"
        )
    return packed


cdef void describe(
    lstm_problem* p,
    const real[:, :, ::1] inputs,
    Py_ssize_t units,
    const real[:, ::1] initial_h,
    const real[:, ::1] initial_c,
    const unsigned char[:, ::1] mask,
    const real[:, :, ::1] input_masks,
    const real[:, :, ::1] recurrent_masks,
    int activation,
    int recurrent_activation,
    bint go_backwards,
    bint zero_leading,
) noexcept:
    """Enter what both passes read."""
    memset(p, 0, sizeof(p[0]))
    p.batch = inputs.shape[0]
    p.steps = inputs.shape[1]
    p.inputs = inputs.shape[2]
    p.units = units
    p.activation = activation
    p.recurrent_activation = recurrent_activation
    p.go_backwards = go_backwards
    p.zero_leading = zero_leading
    p.x = &inputs[0, 0, 0]
    p.x_row_stride = p.steps * p.inputs
    p.x_step_stride = p.inputs
    p.initial_h = &initial_h[0, 0]
    p.initial_c = &initial_c[0, 0]
    if mask is not None:
        p.mask = &mask[0, 0]
    if input_masks is not None:
        p.input_masks = &input_masks[0, 0, 0]
        p.input_groups = <int>input_masks.shape[0]
    if recurrent_masks is not None:
        p.recurrent_masks = &recurrent_masks[0, 0, 0]
        p.recurrent_groups = <int>recurrent_masks.shape[0]


def lstm_forward(
    *,
    const real[:, :, ::1] inputs not None,              # IN  (batch, timesteps, input_dim)
    const real[:, ::1] kernel not None,                 # IN  (input_dim, 4 units)
    const real[:, ::1] recurrent_kernel not None,       # IN  (units, 4 units)
    const real[::1] bias,                               # IN  (4 units)
    const real[:, ::1] initial_h not None,              # IN  (batch, units)
    const real[:, ::1] initial_c not None,              # IN  (batch, units)
    const unsigned char[:, ::1] mask,                   # IN  (batch, timesteps)
    const real[:, :, ::1] input_masks,                  # IN  (1 or 4, batch, input_dim)
    const real[:, :, ::1] recurrent_masks,              # IN  (1 or 4, batch, units)
    int activation,
    int recurrent_activation,
    bint go_backwards,
    bint zero_leading,
    real[:, :, ::1] outputs,                            # OUT (batch, timesteps, units), by step
    real[:, ::1] final_h not None,                      # OUT (batch, units)
    real[:, ::1] final_c not None,                      # OUT (batch, units)
    real[:, :, ::1] gates,                              # OUT (batch, timesteps, 4 units), by time
    real[:, :, ::1] cells,                              # OUT (batch, timesteps, units), by time
    real[:, :, ::1] hidden,                             # OUT (batch, timesteps, units), by time
    PackedWeights packed,                               # of pack_weights
    Pool pool,
):
    """Run the sequence: (F1) to (F5) of the module's notation.

    packed and pool may be None: the weights are then packed for this call only, or one thread
    computes. The result has the same bits in any case.

    At a masked step the output is h', the gates are 0, and cells holds c'. With zero_leading the
    output of masked steps before the first live one is 0. hidden holds h'.
    """
    cdef Py_ssize_t batch = inputs.shape[0], timesteps = inputs.shape[1]
    cdef Py_ssize_t units = recurrent_kernel.shape[0]
    cdef lstm_problem p
    cdef lstm_pool* threads = pool_of(pool)
    cdef int count = threads_of(pool)
    expect_inputs(inputs, kernel, recurrent_kernel, bias, initial_h, initial_c, mask, input_masks,
                  recurrent_masks, activation, recurrent_activation)
    expect_results(batch, timesteps, units, outputs, final_h, final_c, gates, cells, hidden)
    expect_fused(activation, recurrent_activation)
    packed = packed_for(packed, kernel, recurrent_kernel, bias, False)
    describe(&p, inputs, units, initial_h, initial_c, mask, input_masks, recurrent_masks,
             activation, recurrent_activation, go_backwards, zero_leading)
    p.kernel_pack = packed.kernel
    p.recurrent_pack = packed.recurrent
    p.bias_pack = packed.bias
    p.final_h = &final_h[0, 0]
    p.final_c = &final_c[0, 0]
    if outputs is not None:
        p.outputs = &outputs[0, 0, 0]
    if gates is not None:
        p.gates = &gates[0, 0, 0]
    if cells is not None:
        p.cells = &cells[0, 0, 0]
    if hidden is not None:
        p.hidden = &hidden[0, 0, 0]
    with nogil:
        run_forward(packed.kernels, &p, threads, count)


def lstm_backward(
    *,
    const real[:, :, ::1] inputs not None,              # IN  (batch, timesteps, input_dim)
    const real[:, ::1] kernel not None,                 # IN  (input_dim, 4 units)
    const real[:, ::1] recurrent_kernel not None,       # IN  (units, 4 units)
    const real[::1] bias,                               # IN  (4 units)
    const real[:, ::1] initial_h not None,              # IN  (batch, units)
    const real[:, ::1] initial_c not None,              # IN  (batch, units)
    const unsigned char[:, ::1] mask,                   # IN  (batch, timesteps)
    const real[:, :, ::1] input_masks,                  # IN  (1 or 4, batch, input_dim)
    const real[:, :, ::1] recurrent_masks,              # IN  (1 or 4, batch, units)
    int activation,
    int recurrent_activation,
    bint go_backwards,
    bint zero_leading,
    const real[:, :, ::1] gates not None,               # IN  (batch, timesteps, 4 units)
    const real[:, :, ::1] cells not None,               # IN  (batch, timesteps, units)
    const real[:, :, ::1] hidden not None,              # IN  (batch, timesteps, units)
    const real[:, :, ::1] d_outputs,                    # IN  (batch, timesteps, units), by step
    const real[:, ::1] d_final_h,                       # IN  (batch, units)
    const real[:, ::1] d_final_c,                       # IN  (batch, units)
    real[:, :, ::1] d_inputs,                           # OUT (batch, timesteps, input_dim)
    real[:, ::1] d_initial_h not None,                  # OUT (batch, units)
    real[:, ::1] d_initial_c not None,                  # OUT (batch, units)
    real[:, ::1] d_kernel not None,                     # OUT (input_dim, 4 units)
    real[:, ::1] d_recurrent_kernel not None,           # OUT (units, 4 units)
    real[::1] d_bias,                                   # OUT (4 units)
    PackedWeights packed,                               # of pack_weights, transposed
    Pool pool,
):
    """Back-propagate through the sequence: (B5) to (B1) of the module's notation.

    gates, cells and hidden are what `lstm_forward` left in them, given the same inputs. A gradient
    that is not given counts as 0. packed and pool may be None, as for `lstm_forward`.
    """
    cdef Py_ssize_t batch = inputs.shape[0], timesteps = inputs.shape[1]
    cdef Py_ssize_t input_dim = inputs.shape[2], units = recurrent_kernel.shape[0]
    cdef lstm_problem p
    cdef lstm_pool* threads = pool_of(pool)
    cdef int count = threads_of(pool)
    expect_inputs(inputs, kernel, recurrent_kernel, bias, initial_h, initial_c, mask, input_masks,
                  recurrent_masks, activation, recurrent_activation)
    expect_gradients(batch, timesteps, input_dim, units, gates, cells, hidden, d_outputs, d_final_h,
                     d_final_c, d_inputs, d_initial_h, d_initial_c, d_kernel, d_recurrent_kernel,
                     d_bias)
    expect_fused(activation, recurrent_activation)
    packed = packed_for(packed, kernel, recurrent_kernel, bias, True)
    describe(&p, inputs, units, initial_h, initial_c, mask, input_masks, recurrent_masks,
             activation, recurrent_activation, go_backwards, zero_leading)
    p.transposed_pack = packed.recurrent
    p.kernel_transposed_pack = packed.kernel
    p.gates = <void*>&gates[0, 0, 0]
    p.cells = <void*>&cells[0, 0, 0]
    p.hidden = <void*>&hidden[0, 0, 0]
    if d_outputs is not None:
        p.d_outputs = &d_outputs[0, 0, 0]
    if d_final_h is not None:
        p.d_final_h = &d_final_h[0, 0]
    if d_final_c is not None:
        p.d_final_c = &d_final_c[0, 0]
    if d_inputs is not None:
        p.d_inputs = &d_inputs[0, 0, 0]
    p.d_initial_h = &d_initial_h[0, 0]
    p.d_initial_c = &d_initial_c[0, 0]
    p.d_kernel = &d_kernel[0, 0]
    p.d_recurrent_kernel = &d_recurrent_kernel[0, 0]
    if d_bias is not None:
        p.d_bias = &d_bias[0]
    with nogil:
        run_backward(packed.kernels, &p, threads, count)
