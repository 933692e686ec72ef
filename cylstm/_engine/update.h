/* update.h: an update of a variable by an optimizer, in one pass over the memory.
 *
 *     m' = keep_m m + add_m g,   v' = keep_v v + add_v g^2
 *     w' = w - (of_g g + of_m m') / (sqrt(of_v v') + epsilon)
 *
 * Without m the mean is left out, without v the division. A factor of 0 of g leaves g out, be it
 * infinite. Every number goes the same way, wherever a thread or a vector begins.
 */

/* Elements from which new values are stored past the caches, which would read what they replace: a
 * sixth less traffic, when memory is all that there is to wait for. */
#define BEYOND_CACHES (1 << 20)

INLINE vec load_at(const REAL *p, int64_t n)
{
    return n >= LANES ? vec_load(p) : vec_load_some(p, n);
}

INLINE void store_at(REAL *p, vec a, int64_t n)
{
    if (n >= LANES)
        vec_store(p, a);
    else
        vec_store_some(p, a, n);
}

/* Elements [first, last), whole rows if only some have a gradient. */
LOCAL void update(const lstm_update *u, int64_t first, int64_t last)
{
    const REAL *w = u->value, *m = u->slots[0], *v = u->slots[1];
    REAL *out = u->out, *new_m = u->new_slots[0], *new_v = u->new_slots[1];
    vec factors[8];
    for (int i = 0; i < 8; i++)
        factors[i] = vec_set1((REAL)u->factors[i]);
    const vec keep_m = factors[0], add_m = factors[1], keep_v = factors[2], add_v = factors[3];
    const vec of_g = factors[4], of_m = factors[5], of_v = factors[6], epsilon = factors[7];
    const int reads_g = u->factors[4] != 0;
    const int64_t width = u->indices ? u->width : last - first;
    const int past_caches = u->size >= BEYOND_CACHES && width % LANES == 0 &&
                            (uintptr_t)(out + first) % sizeof(vec) == 0;
    int64_t next = 0; /* of the rows that have a gradient */
    if (u->indices)
        while (next < u->count && u->indices[next] < first / width)
            next++;
    for (int64_t row = first; row < last; row += width) {
        const REAL *g = NULL;
        if (!u->indices)
            g = (const REAL *)u->gradient + row;
        else if (next < u->count && u->indices[next] == row / width)
            g = (const REAL *)u->gradient + width * next++;
        for (int64_t i = 0; i < width; i += LANES) {
            const int64_t at = row + i, n = width - i;
            const vec gradient = g ? load_at(g + i, n) : vec_set1(0);
            vec step = vec_set1(0);
            if (m) {
                const vec m1 = vec_fma(keep_m, load_at(m + at, n), add_m * gradient);
                store_at(new_m + at, m1, n);
                step = of_m * m1;
            }
            if (reads_g)
                step = vec_fma(of_g, gradient, step);
            if (v) {
                const vec v1 = vec_fma(keep_v, load_at(v + at, n), add_v * (gradient * gradient));
                store_at(new_v + at, v1, n);
                step = step / (vec_sqrt(of_v * v1) + epsilon);
            }
            const vec w1 = (w ? load_at(w + at, n) : vec_set1(0)) - step;
            if (past_caches)
                vec_stream(out + at, w1);
            else
                store_at(out + at, w1, n);
        }
    }
}
