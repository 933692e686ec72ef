# Products with the weights of all gates, with and without dropout masks. Included by `_blas`.
#
# Long products are cut into blocks of rows, with a look at signals in between.

cdef enum:
    # Numbers in a block of z, or of masked rows: they stay in the second cache of a core. From
    # 2^15 to whole sequences nothing was faster by more than the noise of 10 %.
    BLOCK = 131072


cdef inline Py_ssize_t masked_rows(Py_ssize_t width) noexcept nogil:
    """How many rows of a matrix are multiplied by a dropout mask at a time."""
    return max(1, BLOCK // max(1, width))


cdef inline Py_ssize_t product_rows(Py_ssize_t width, Py_ssize_t units, bint masked) noexcept nogil:
    """How many rows are multiplied by (width, 4 units) weights at a time, between two looks at
    signals."""
    cdef Py_ssize_t rows = max(64, <Py_ssize_t>(PATIENCE / (8.0 * (width + 1) * (units + 1))))
    return min(rows, masked_rows(width)) if masked else rows


cdef inline void multiply_rows(
    Py_ssize_t first,           # rows first <= r < last of a
    Py_ssize_t last,
    Py_ssize_t width,
    Py_ssize_t period,
    const real* a,              # IN  (last, width)
    const real* mask,           # IN  (last / period, width)
    real* result,               # OUT (last - first, width)
    const unsigned char* live=NULL,  # IN  (last), 0: result_r = 0, whatever a_r and the mask are
) noexcept nogil:
    """result_r = a_r * mask_(r / period)."""
    cdef Py_ssize_t r, j
    cdef const real* a_row
    cdef const real* mask_row
    for r in range(first, last):
        if live != NULL and not live[r]:
            memset(result, 0, width * sizeof(real))
            result += width
            continue
        a_row = a + r * width
        mask_row = mask + r // period * width
        for j in range(width):
            result[j] = a_row[j] * mask_row[j]
        result += width


cdef inline void add_multiplied_rows(
    Py_ssize_t first,           # rows first <= r < last of the result
    Py_ssize_t last,
    Py_ssize_t width,
    Py_ssize_t period,
    const real* a,              # IN  (last - first, width)
    const real* mask,           # IN  (last / period, width)
    real* result,               # OUT (last, width)
) noexcept nogil:
    """result_r += a_r * mask_(r / period)."""
    cdef Py_ssize_t r, j
    cdef const real* mask_row
    cdef real* result_row
    for r in range(first, last):
        result_row = result + r * width
        mask_row = mask + r // period * width
        for j in range(width):
            result_row[j] += a[j] * mask_row[j]
        a += width


cdef inline int gate_product(
    Py_ssize_t rows,
    Py_ssize_t width,
    Py_ssize_t units,
    const real* a,              # IN  (rows, width)
    const real* weights,        # IN  (width, 4 units)
    const real* masks,          # IN  mask_gates of (rows / period, width), or NULL
    Py_ssize_t mask_gates,
    Py_ssize_t mask_size,       # from one gate's mask to the next
    Py_ssize_t period,
    real beta,
    real* z,                    # OUT (rows, 4 units)
    Py_ssize_t ldz,
    real* work,                 # (masked_rows, width) if there are masks
    Py_ssize_t limit,
) except -1 nogil:
    """z_g = (a * mask_g) weights_g + beta z_g: (F1) and (F2)."""
    cdef Py_ssize_t block = product_rows(width, units, masks != NULL)
    cdef Py_ssize_t first = 0, last, g
    while first < rows:
        last = min(rows, first + block)
        if masks == NULL:
            # z = a weights + beta z
            blas_gemm(False, False, last - first, 4 * units, width, <real>1, a + first * width,
                      width, weights, 4 * units, beta, z + first * ldz, ldz, limit)
        elif mask_gates == 1:
            multiply_rows(first, last, width, period, a, masks, work)
            # z = (a * mask) weights + beta z
            blas_gemm(False, False, last - first, 4 * units, width, <real>1, work, width,
                      weights, 4 * units, beta, z + first * ldz, ldz, limit)
        else:
            for g in range(4):
                multiply_rows(first, last, width, period, a, masks + g * mask_size, work)
                # z_g = (a * mask_g) weights_g + beta z_g
                blas_gemm(False, False, last - first, units, width, <real>1, work, width,
                          weights + g * units, 4 * units, beta, z + first * ldz + g * units, ldz,
                          limit)
        first = last
        if first < rows:
            check_signals()
    return 0


cdef inline int gate_product_backward(
    Py_ssize_t rows,
    Py_ssize_t width,
    Py_ssize_t units,
    const real* dz,             # IN  (rows, 4 units)
    Py_ssize_t ldz,
    const real* weights,        # IN  (width, 4 units)
    const real* masks,          # IN  mask_gates of (rows / period, width), or NULL
    Py_ssize_t mask_gates,
    Py_ssize_t mask_size,
    Py_ssize_t period,
    real* da,                   # OUT (rows, width), added to
    real* work,                 # (masked_rows, width) if there are masks
    Py_ssize_t limit,
) except -1 nogil:
    """da += sum_g mask_g * (dz_g weights_g^T): (B1) and (B2)."""
    cdef Py_ssize_t block = product_rows(width, units, masks != NULL)
    cdef Py_ssize_t first = 0, last, g
    while first < rows:
        last = min(rows, first + block)
        if masks == NULL:
            # da += dz weights^T
            blas_gemm(False, True, last - first, width, 4 * units, <real>1, dz + first * ldz, ldz,
                      weights, 4 * units, <real>1, da + first * width, width, limit)
        elif mask_gates == 1:
            # da += mask * (dz weights^T)
            blas_gemm(False, True, last - first, width, 4 * units, <real>1, dz + first * ldz, ldz,
                      weights, 4 * units, <real>0, work, width, limit)
            add_multiplied_rows(first, last, width, period, work, masks, da)
        else:
            for g in range(4):
                # da += mask_g * (dz_g weights_g^T)
                blas_gemm(False, True, last - first, width, units, <real>1,
                          dz + first * ldz + g * units, ldz, weights + g * units, 4 * units,
                          <real>0, work, width, limit)
                add_multiplied_rows(first, last, width, period, work, masks + g * mask_size, da)
        first = last
        if first < rows:
            check_signals()
    return 0


cdef inline int weights_gradient(
    Py_ssize_t rows,
    Py_ssize_t width,
    Py_ssize_t units,
    const real* a,              # IN  (rows, width)
    const real* dz,             # IN  (rows, 4 units)
    const real* masks,          # IN  mask_gates of (rows / period, width), or NULL
    Py_ssize_t mask_gates,
    Py_ssize_t mask_size,
    Py_ssize_t period,
    const unsigned char* live,  # IN  (rows) or NULL, 0: the row does not count
    real* d_weights,            # OUT (width, 4 units)
    real* work,                 # (masked_rows, width) if there are masks
    Py_ssize_t limit,
) except -1 nogil:
    """d_weights_g = (a * mask_g)^T dz_g: (B1) and (B2).

    dz is 0 in rows that do not count. Without dropout masks a must be finite there.
    """
    cdef Py_ssize_t block = product_rows(width, units, masks != NULL)
    cdef Py_ssize_t first = 0, last, g
    cdef const real* dz_row
    memset(d_weights, 0, width * 4 * units * sizeof(real))
    while first < rows:
        last = min(rows, first + block)
        dz_row = dz + first * 4 * units
        if masks == NULL:
            # d_weights += a^T dz
            blas_gemm(True, False, width, 4 * units, last - first, <real>1, a + first * width,
                      width, dz_row, 4 * units, <real>1, d_weights, 4 * units, limit)
        elif mask_gates == 1:
            multiply_rows(first, last, width, period, a, masks, work, live)
            # d_weights += (a * mask)^T dz
            blas_gemm(True, False, width, 4 * units, last - first, <real>1, work, width,
                      dz_row, 4 * units, <real>1, d_weights, 4 * units, limit)
        else:
            for g in range(4):
                multiply_rows(first, last, width, period, a, masks + g * mask_size, work, live)
                # d_weights_g += (a * mask_g)^T dz_g
                blas_gemm(True, False, width, units, last - first, <real>1, work, width,
                          dz_row + g * units, 4 * units, <real>1, d_weights + g * units,
                          4 * units, limit)
        first = last
        if first < rows:
            check_signals()
    return 0


cdef inline bint is_finite_where_masked(
    Py_ssize_t rows,
    Py_ssize_t width,
    const real* a,              # IN  (rows, width)
    const unsigned char* live,  # IN  (rows)
) noexcept nogil:
    """Whether the rows that do not count hold neither NaN nor infinity: 0 * a is then 0."""
    cdef Py_ssize_t r, j
    cdef real total
    for r in range(rows):
        if live[r]:
            continue
        total = 0
        for j in range(width):
            total += 0 * a[r * width + j]
        if total != 0:  # NaN is not 0 either
            return False
    return True


cdef inline const real* without_masked_rows(
    Py_ssize_t rows,
    Py_ssize_t width,
    const real* a,              # IN  (rows, width)
    const unsigned char* live,  # IN  (rows)
    real* copy,                 # (rows, width)
) noexcept nogil:
    """A copy of a in which the rows that do not count are 0."""
    cdef Py_ssize_t r
    for r in range(rows):
        if live[r]:
            memcpy(copy + r * width, a + r * width, width * sizeof(real))
        else:
            memset(copy + r * width, 0, width * sizeof(real))
    return copy


cdef inline void sum_rows(
    Py_ssize_t rows,
    Py_ssize_t width,
    const real* a,              # IN  (rows, width)
    real* total,                # OUT (width)
    real* work,                 # (width)
) noexcept nogil:
    """total = sum_r a_r, by parts, so that rounding does not grow with every row."""
    cdef Py_ssize_t r, j
    memset(total, 0, width * sizeof(real))
    memset(work, 0, width * sizeof(real))
    for r in range(rows):
        for j in range(width):
            work[j] += a[r * width + j]
        if r % 256 == 255 or r == rows - 1:
            for j in range(width):
                total[j] += work[j]
                work[j] = 0
