/* gemm.h: the products by a gemm that the call brings, in place of tiles.
 *
 * Rows are gathered to a matrix first: masked steps, dropout and ragged lengths are then what they
 * are for tiles. The weights are read as they are, and z is (rows, 4 units), so that softmax finds
 * the units of a gate side by side.
 */

/* n rows as one matrix: themselves where they are evenly apart, or else copies in `room` */
LOCAL const REAL *as_matrix(int64_t n, int64_t depth, const REAL *const *rows, int64_t offset,
                            REAL *room, int64_t *stride)
{
    int64_t even = 1;
    *stride = n > 1 ? rows[1] - rows[0] : depth;
    while (even < n && rows[even] - rows[even - 1] == *stride)
        even++;
    if (even == n && *stride >= depth)
        return rows[0] + offset;
    *stride = depth;
    for (int64_t r = 0; r < n; r++)
        memcpy(room + r * depth, rows[r] + offset, (size_t)depth * sizeof(REAL));
    return room;
}

/* z (n, 4 units) += rows matrix; with `groups` the rows have copies for each, `apart` from each other.
 * `room` is for (n, depth). */
LOCAL void add_gate_products(lstm_gemm gemm, const REAL *matrix, int64_t units, int64_t n,
                             int64_t depth, const REAL *const *rows, int groups, int64_t apart,
                             REAL *room, REAL *z)
{
    const int64_t width = LSTM_GATES * units, part = groups ? width / groups : width;
    int64_t stride;
    for (int g = 0; n && g < (groups ? groups : 1); g++) {
        const REAL *a = as_matrix(n, depth, rows, g * apart, room, &stride);
        gemm(0, 0, n, part, depth, a, stride, matrix + g * part, width, 1, z + g * part, width);
    }
}

/* out[r] = sum over g of masks[g] * (dz_g matrix_g^T), for a matrix of (columns, 4 units); the masks
 * are (groups, B, columns), and row r of dz is of row_of[r]. `room` is for (n, 4 units + columns). */
LOCAL void pull_gate_products(lstm_gemm gemm, const REAL *matrix, int64_t units, int64_t n,
                              int64_t columns, const REAL *const *dz, int groups,
                              const REAL *masks, int64_t batch, const int64_t *row_of, REAL *room,
                              REAL *const *out)
{
    const int64_t width = LSTM_GATES * units, part = groups ? width / groups : width;
    REAL *sums = room + n * width;
    int64_t stride;
    if (!n)
        return;
    const REAL *a = as_matrix(n, width, dz, 0, room, &stride);
    for (int g = 0; g < (groups ? groups : 1); g++) {
        gemm(0, 1, n, columns, part, a + g * part, stride, matrix + g * part, width, 0, sums,
             columns);
        for (int64_t r = 0; r < n; r++) {
            const REAL *sum = sums + r * columns;
            if (!groups) {
                memcpy(out[r], sum, (size_t)columns * sizeof(REAL));
                continue;
            }
            const REAL *mask = masks + (g * batch + row_of[r]) * columns;
            for (int64_t k = 0; k < columns; k++)
                out[r][k] = (g ? out[r][k] : (REAL)0) + mask[k] * sum[k];
        }
    }
}
