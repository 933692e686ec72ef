"""Row-major matrix products: the one door to BLAS.

BLAS is column-major and counts in C `int`. Here matrices are row-major, sizes are `Py_ssize_t` and
come by value, and a product that is too large for an `int` is split. `limit` is the largest integer
that BLAS may be given.
"""

from scipy.linalg.cython_blas cimport dgemm, dgemv, sgemm, sgemv


ctypedef fused real:
    float
    double


cdef inline void gemm(
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
