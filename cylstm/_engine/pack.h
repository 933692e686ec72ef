/* pack.h: weights in the order in which the products of tile.h read them.
 *
 * A packed matrix (depth, columns) is cut into panels of PANEL vectors, each stored as
 * [depth][PANEL][LANES], so that a product reads it as one stream. The last panel of `pack_matrix`
 * may be narrower. Gate matrices have their columns in the order [unit block][gate][lane]: one unit
 * block is LSTM_GATES vectors. The last block, of `some` units, is [gate][some] where some < LANES: as
 * few vectors as 4 some numbers need (100 units, AVX-512: 25 vectors in place of 28).
 *
 * A matrix that is given has its number (k, column) at from[k * deep + column * wide]; one of the two
 * is 1. So it may as well be the transpose of what lies in memory.
 */

LOCAL int64_t columns_size(int64_t columns, int64_t depth)
{
    return lstm_times(lstm_times(depth, (columns - 1 + LANES) / LANES), LANES);
}

LOCAL int64_t gates_size(int64_t depth, int64_t units)
{
    return columns_size(lstm_times(LSTM_GATES, units), depth);
}

/* The vectors of a unit block before which there are so many units */
INLINE int64_t block_vectors(int64_t units, int64_t unit)
{
    const int64_t some = units - unit;
    return some < LANES ? (LSTM_GATES * some + LANES - 1) / LANES : LSTM_GATES;
}

/* `lanes` columns -> a vector for each k, `apart` from each other, zeros in lanes beyond */
LOCAL void pack_vectors(int64_t depth, int64_t lanes, const REAL *from, int64_t deep, int64_t wide,
                        REAL *to, int64_t apart)
{
    if (wide == 1) {
        for (int64_t k = 0; k < depth; k++, from += deep, to += apart)
            vec_store(to, lanes < LANES ? vec_load_some(from, lanes) : vec_load(from));
        return;
    }
    for (int64_t k = 0; k < depth; k += LANES, from += LANES) {
        const int64_t some = depth - k < LANES ? depth - k : LANES;
        vec square[LANES];
        LSTM_UNROLL
        for (int lane = 0; lane < LANES; lane++)
            square[lane] = vec_load_some(from + lane * wide, lane < lanes ? some : 0);
        vec_transpose(square);
        LSTM_UNROLL
        for (int i = 0; i < LANES; i++, to += apart)
            if (i < some)
                vec_store(to, square[i]);
    }
}

/* Rows of a panel that are packed vector by vector: they are read again from the caches. */
#define PACK_DEPTH 64

/* (depth, columns) -> [panel][k][vector of the panel][lane] */
LOCAL void pack_matrix(int64_t depth, int64_t columns, const void *from, int64_t deep, int64_t wide,
                       void *to)
{
    const int64_t vectors = (columns + LANES - 1) / LANES;
    REAL *packed = to;
    for (int64_t v = 0; v < vectors; v += PANEL) {
        const int64_t width = vectors - v < PANEL ? vectors - v : PANEL;
        for (int64_t k = 0, some; k < depth; k += some, packed += some * width * LANES) {
            some = depth - k < PACK_DEPTH ? depth - k : PACK_DEPTH;
            for (int64_t i = 0; i < width; i++) {
                const int64_t column = (v + i) * LANES, left = columns - column;
                pack_vectors(some, left < LANES ? left : LANES,
                             (const REAL *)from + k * deep + column * wide, deep, wide,
                             packed + i * LANES, width * LANES);
            }
        }
    }
}

/* The last block of (depth, 4U), of `some` units < LANES -> [panel][k][vector of the panel][lane] */
LOCAL void pack_last_gates(int64_t depth, int64_t units, int64_t some, const REAL *from, int64_t deep,
                           int64_t wide, REAL *packed)
{
    const int64_t vectors = block_vectors(some, 0);
    for (int64_t k = 0; k < depth; k++, from += deep) {
        REAL line[BLOCK] = {0};
        for (int64_t gate = 0; gate < LSTM_GATES; gate++)
            for (int64_t unit = 0; unit < some; unit++)
                line[gate * some + unit] = from[(gate * units + unit) * wide];
        for (int64_t v = 0; v < vectors; v += PANEL) {
            const int64_t lanes = (vectors - v < PANEL ? vectors - v : PANEL) * LANES;
            memcpy(packed + v * LANES * depth + k * lanes, line + v * LANES,
                   (size_t)lanes * sizeof(REAL));
        }
    }
}

/* Units [unit, end) of (depth, 4U) -> [unit block][panel][k][gate of the panel][lane], where `to` is
 * the place of all of them; a range begins and ends with whole blocks. */
LOCAL void pack_gates(int64_t depth, int64_t units, int64_t unit, int64_t end, const void *from,
                      int64_t deep, int64_t wide, void *to)
{
    REAL *packed = (REAL *)to + LSTM_GATES * unit * depth;
    if (!from) {
        memset(to, 0, (size_t)gates_size(depth, units) * sizeof(REAL));
        return;
    }
    for (; end - unit >= LANES; unit += LANES)
        for (int gate = 0; gate < LSTM_GATES; gate += PANEL)
            for (int64_t k = 0, some; k < depth; k += some, packed += some * PANEL * LANES) {
                some = depth - k < PACK_DEPTH ? depth - k : PACK_DEPTH;
                for (int v = 0; v < PANEL; v++)
                    pack_vectors(some, LANES,
                                 (const REAL *)from + k * deep + ((gate + v) * units + unit) * wide,
                                 deep, wide, packed + v * LANES, PANEL * LANES);
            }
    if (unit < end)
        pack_last_gates(depth, units, end - unit, (const REAL *)from + unit * wide, deep, wide,
                        packed);
}
