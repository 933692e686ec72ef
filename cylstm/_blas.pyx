# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, binding=False, auto_pickle=False, embedsignature=True
# cython: embedsignature.format=clinic, freethreading_compatible=True
"""Products by BLAS: `GEMM` is what makes a `_core.Cell` one of the engine `blas`.

This is the only file that names SciPy, whose linear algebra takes longer to import than all the
rest: whoever needs the engine imports this extension then.

BLAS is column-major and counts in C `int`. Here matrices are row-major, sizes are 64 bits wide, and
a product that is too large for an `int` is split. It has no threads of ours; its own, and how many
rows it is given at once, may change the last bits of a result.
"""

from cpython.pycapsule cimport PyCapsule_New
from libc.stdint cimport int64_t
from libc.string cimport memset

from scipy.linalg.cython_blas cimport dgemm, dgemv, sgemm, sgemv

from cylstm._engine cimport lstm_gemm


ctypedef fused real:
    float
    double


# The largest integer that BLAS is given. Tests lower it to see products split.
cdef int64_t _limit = 2**31 - 1


def set_limit(int64_t limit):
    """Let BLAS be given integers up to this one; returns the one before."""
    global _limit
    before, _limit = _limit, limit
    return before


cdef void gemm(
    bint transpose_a, bint transpose_b, int64_t m, int64_t n, int64_t k,
    const real* a,          # IN  (m, k), or (k, m) if transposed
    int64_t lda,
    const real* b,          # IN  (k, n), or (n, k) if transposed
    int64_t ldb,
    bint add,
    real* c,                # OUT (m, n)
    int64_t ldc,
) noexcept nogil:
    """C = op(A) op(B), or C += op(A) op(B).

    Each of m, n, k may exceed the limit. So may a leading dimension: the matrix is then taken in
    pieces of one row, where the distance to the next row does not matter.
    """
    cdef int64_t limit = _limit, most_m = limit, most_n = limit, most_k = limit
    cdef int64_t i, j, p = 0, size_m, size_n, size_k
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
    if not add:  # some BLAS multiply what they find by 0, and NaN stays NaN
        for i in range(m):
            memset(c + i * ldc, 0, <size_t>n * sizeof(real))
    while p < k:
        size_k = min(most_k, k - p)
        i = 0
        while i < m:
            size_m = min(most_m, m - i)
            j = 0
            while j < n:
                size_n = min(most_n, n - j)
                a_piece = a + p * lda + i if transpose_a else a + i * lda + p
                b_piece = b + j * ldb + p if transpose_b else b + p * ldb + j
                gemm_piece(transpose_a, transpose_b, <int>size_m, <int>size_n, <int>size_k, a_piece,
                           lda, b_piece, ldb, c + i * ldc + j, ldc, limit)
                j += size_n
            i += size_m
        p += size_k


cdef void gemm_piece(
    bint transpose_a, bint transpose_b, int m, int n, int k, const real* a, int64_t lda,
    const real* b, int64_t ldb, real* c, int64_t ldc, int64_t limit,
) noexcept nogil:
    """C += op(A) op(B), all sizes positive and within the limit.

    A row-major matrix is the transpose of a column-major one, so BLAS computes
    C' += op(B)' op(A)'. A product with one row is a matrix times a vector: gemv is up to ten times
    as fast as gemm there.
    """
    # A leading dimension beyond the limit belongs to a matrix of one row: any legal value will do.
    cdef int stride_a = <int>lda if lda <= limit else (m if transpose_a else k)
    cdef int stride_b = <int>ldb if ldb <= limit else (k if transpose_b else n)
    cdef int stride_c = <int>ldc if ldc <= limit else n
    cdef int step_a = stride_a if transpose_a else 1
    cdef int height_b = k if transpose_b else n
    cdef int width_b = n if transpose_b else k
    cdef int one = 1
    cdef real unit = 1
    cdef char letter_a = b"T" if transpose_a else b"N"
    cdef char letter_b = b"T" if transpose_b else b"N"
    if m == 1:
        if real is float:
            sgemv(&letter_b, &height_b, &width_b, &unit, <float*>b, &stride_b, <float*>a, &step_a,
                  &unit, c, &one)
        else:
            dgemv(&letter_b, &height_b, &width_b, &unit, <double*>b, &stride_b, <double*>a, &step_a,
                  &unit, c, &one)
    elif real is float:
        sgemm(&letter_b, &letter_a, &n, &m, &k, &unit, <float*>b, &stride_b, <float*>a, &stride_a,
              &unit, c, &stride_c)
    else:
        dgemm(&letter_b, &letter_a, &n, &m, &k, &unit, <double*>b, &stride_b, <double*>a, &stride_a,
              &unit, c, &stride_c)


cdef void gemm_f32(
    int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k, const void* a, int64_t lda,
    const void* b, int64_t ldb, int add, void* c, int64_t ldc,
) noexcept nogil:
    gemm[float](transpose_a, transpose_b, m, n, k, <float*>a, lda, <float*>b, ldb, add, <float*>c,
                ldc)


cdef void gemm_f64(
    int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k, const void* a, int64_t lda,
    const void* b, int64_t ldb, int add, void* c, int64_t ldc,
) noexcept nogil:
    gemm[double](transpose_a, transpose_b, m, n, k, <double*>a, lda, <double*>b, ldb, add,
                 <double*>c, ldc)


cdef lstm_gemm[2] gemms = [gemm_f32, gemm_f64]

# For float32 and float64
GEMM = PyCapsule_New(&gemms, b"cylstm._blas.GEMM", NULL)
