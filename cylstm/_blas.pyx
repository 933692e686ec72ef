# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, embedsignature=False, freethreading_compatible=True
"""Whole passes by BLAS: what the fused kernels of `_core` do not have, which is softmax.

The notation is that of `_core`. This is the only file that names SciPy, whose linear algebra takes
longer to import than all the rest: whoever needs a pass by BLAS imports this extension then.

BLAS is column-major and counts in C `int`. Here matrices are row-major, sizes are `Py_ssize_t` and
come by value, and a product that is too large for an `int` is split. `limit` is the largest integer
that BLAS may be given.
"""

from libc.math cimport fabs
from libc.string cimport memcpy, memset

from scipy.linalg.cython_blas cimport dgemm, dgemv, sgemm, sgemv

from cylstm._core cimport give_memory, take_memory
from cylstm._kernels cimport int64_t, lstm_plus, lstm_times
from cylstm._shared cimport (
    PATIENCE, check_signals, expect, expect_gradients, expect_inputs, expect_results, real,
)


# The largest integer that BLAS is given. Tests lower it to see products split.
_INT_MAX = 2**31 - 1


# Products -----------------------------------------------------------------------------------------


cdef inline void blas_gemm(
    bint transpose_a,
    bint transpose_b,
    Py_ssize_t m,
    Py_ssize_t n,
    Py_ssize_t k,
    real alpha,
    const real* a,          # IN  (m, k), or (k, m) if transposed
    Py_ssize_t lda,
    const real* b,          # IN  (k, n), or (n, k) if transposed
    Py_ssize_t ldb,
    real beta,
    real* c,                # OUT (m, n)
    Py_ssize_t ldc,
    Py_ssize_t limit,
) noexcept nogil:
    """C = alpha op(A) op(B) + beta C. C is not read when beta is 0.

    Each of m, n, k may exceed the limit. So may a leading dimension: the matrix is then taken in
    pieces of one row, where the distance to the next row does not matter.
    """
    cdef Py_ssize_t most_m = limit, most_n = limit, most_k = limit
    cdef Py_ssize_t i, j, p, size_m, size_n, size_k
    cdef const real* a_piece
    cdef const real* b_piece
    if lda > limit:
        if transpose_a:
            most_k = 1
        else:
            most_m = 1
    if ldb > limit:
        if transpose_b:
            most_n = 1
        else:
            most_k = 1
    if ldc > limit:
        most_m = 1
    if k == 0:
        scale(m, n, beta, c, ldc)
        return
    i = 0
    while i < m:
        size_m = min(most_m, m - i)
        j = 0
        while j < n:
            size_n = min(most_n, n - j)
            p = 0
            while p < k:
                size_k = min(most_k, k - p)
                a_piece = a + p * lda + i if transpose_a else a + i * lda + p
                b_piece = b + j * ldb + p if transpose_b else b + p * ldb + j
                gemm_piece(
                    transpose_a, transpose_b, <int>size_m, <int>size_n, <int>size_k, alpha,
                    a_piece, lda, b_piece, ldb, beta if p == 0 else 1, c + i * ldc + j, ldc, limit,
                )
                p += size_k
            j += size_n
        i += size_m


cdef inline void gemm_piece(
    bint transpose_a,
    bint transpose_b,
    int m,
    int n,
    int k,
    real alpha,
    const real* a,
    Py_ssize_t lda,
    const real* b,
    Py_ssize_t ldb,
    real beta,
    real* c,
    Py_ssize_t ldc,
    Py_ssize_t limit,
) noexcept nogil:
    """C = alpha op(A) op(B) + beta C, all sizes positive and within the limit.

    A row-major matrix is the transpose of a column-major one, so BLAS computes
    C' = alpha op(B)' op(A)' + beta C'. A product with one row is a matrix times a vector,
    c' = alpha op(B)' a' + beta c': gemv is up to ten times as fast as gemm there.
    """
    # A leading dimension beyond the limit belongs to a matrix of one row: any legal value will do.
    cdef int stride_a = <int>lda if lda <= limit else (m if transpose_a else k)
    cdef int stride_b = <int>ldb if ldb <= limit else (k if transpose_b else n)
    cdef int stride_c = <int>ldc if ldc <= limit else n
    cdef int step_a = stride_a if transpose_a else 1
    cdef int height_b = k if transpose_b else n
    cdef int width_b = n if transpose_b else k
    cdef int one = 1
    cdef char letter_a = b"T" if transpose_a else b"N"
    cdef char letter_b = b"T" if transpose_b else b"N"
    if m == 1:
        if beta == 0:  # some gemv multiply what they find by beta, and NaN stays NaN
            scale(1, n, beta, c, n)
            beta = 1
        if real is float:
            sgemv(&letter_b, &height_b, &width_b, &alpha,
                  <float*>b, &stride_b, <float*>a, &step_a, &beta, c, &one)
        else:
            dgemv(&letter_b, &height_b, &width_b, &alpha,
                  <double*>b, &stride_b, <double*>a, &step_a, &beta, c, &one)
    elif real is float:
        sgemm(&letter_b, &letter_a, &n, &m, &k, &alpha,
              <float*>b, &stride_b, <float*>a, &stride_a, &beta, c, &stride_c)
    else:
        dgemm(&letter_b, &letter_a, &n, &m, &k, &alpha,
              <double*>b, &stride_b, <double*>a, &stride_a, &beta, c, &stride_c)


cdef inline void scale(
    Py_ssize_t m, Py_ssize_t n, real beta, real* c, Py_ssize_t ldc
) noexcept nogil:
    """C = beta C. C is not read when beta is 0."""
    cdef Py_ssize_t i, j
    for i in range(m):
        for j in range(n):
            c[i * ldc + j] = beta * c[i * ldc + j] if beta != 0 else 0


include "_activations.pxi"
include "_products.pxi"
include "_blas_passes.pxi"


# What Python calls --------------------------------------------------------------------------------


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
    packed,
    pool,
):
    """Run the sequence, with any activation: see `cylstm._core.lstm_forward`.

    packed and pool, which speed the fused kernels up, have no meaning here.
    """
    cdef Py_ssize_t batch = inputs.shape[0], timesteps = inputs.shape[1]
    cdef Py_ssize_t units = recurrent_kernel.shape[0], limit = _INT_MAX
    expect_inputs(inputs, kernel, recurrent_kernel, bias, initial_h, initial_c, mask, input_masks,
                  recurrent_masks, activation, recurrent_activation)
    expect_results(batch, timesteps, units, outputs, final_h, final_c, gates, cells, hidden)
    with nogil:
        forward_by_blas(
            inputs, kernel, recurrent_kernel, bias, initial_h, initial_c, mask, input_masks,
            recurrent_masks, activation, recurrent_activation, go_backwards, zero_leading,
            outputs, final_h, final_c, gates, cells, hidden, limit,
        )


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
    packed,
    pool,
):
    """Back-propagate through the sequence: see `cylstm._core.lstm_backward`.

    packed and pool have no meaning here.
    """
    cdef Py_ssize_t batch = inputs.shape[0], timesteps = inputs.shape[1]
    cdef Py_ssize_t input_dim = inputs.shape[2], units = recurrent_kernel.shape[0]
    cdef Py_ssize_t limit = _INT_MAX
    expect_inputs(inputs, kernel, recurrent_kernel, bias, initial_h, initial_c, mask, input_masks,
                  recurrent_masks, activation, recurrent_activation)
    expect_gradients(batch, timesteps, input_dim, units, gates, cells, hidden, d_outputs, d_final_h,
                     d_final_c, d_inputs, d_initial_h, d_initial_c, d_kernel, d_recurrent_kernel,
                     d_bias)
    with nogil:
        backward_by_blas(
            inputs, kernel, recurrent_kernel, initial_c, mask, input_masks, recurrent_masks,
            activation, recurrent_activation, go_backwards, zero_leading, gates, cells, hidden,
            d_outputs, d_final_h, d_final_c, d_inputs, d_initial_h, d_initial_c, d_kernel,
            d_recurrent_kernel, d_bias, limit,
        )


cdef int expect_rows(str name, const Py_ssize_t* shape, const Py_ssize_t* strides,
                     Py_ssize_t size) except -1:
    """Raise ValueError if the rows of a matrix are not contiguous and apart from each other."""
    if shape[1] > 1 and strides[1] != size or shape[0] > 1 and (
            strides[0] < shape[1] * size or strides[0] % size != 0):
        raise ValueError(f"{name} must have contiguous rows that do not overlap")
    return 0


def gemm(
    *,
    double alpha,
    const real[:, :] a not None,        # IN  (m, k), or (k, m) if transposed
    bint transpose_a,
    const real[:, :] b not None,        # IN  (k, n), or (n, k) if transposed
    bint transpose_b,
    double beta,
    real[:, :] c not None,              # OUT (m, n)
):
    """c = alpha op(a) op(b) + beta c, the product that the passes are made of: for its tests."""
    cdef Py_ssize_t m = a.shape[1] if transpose_a else a.shape[0]
    cdef Py_ssize_t k = a.shape[0] if transpose_a else a.shape[1]
    cdef Py_ssize_t n = c.shape[1], size = sizeof(real), limit = _INT_MAX
    expect("b", &b.shape[0], 2, n if transpose_b else k, k if transpose_b else n)
    expect("c", &c.shape[0], 2, m, n)
    expect_rows("a", &a.shape[0], &a.strides[0], size)
    expect_rows("b", &b.shape[0], &b.strides[0], size)
    expect_rows("c", &c.shape[0], &c.strides[0], size)
    with nogil:
        blas_gemm(transpose_a, transpose_b, m, n, k, <real>alpha, &a[0, 0],
                  max(a.shape[1], a.strides[0] // size), &b[0, 0],
                  max(b.shape[1], b.strides[0] // size), <real>beta, &c[0, 0],
                  max(n, c.strides[0] // size), limit)
