/* activations.h: functions on one vector, and their derivatives from the result; and on a row.
 *
 * Largest errors against the exact value, in units in the last place, float32 / float64: tanh 2.0 /
 * 2.1 (2.3 without fused multiply-add), sigmoid 2.0 / 2.0, hard_sigmoid 0.5 / 0.5, hard_sigmoid_6 1 / 1, elu 1.2 / 1.2,
 * selu 1.8 / 3.2, softplus 2.7 / 2.7, softsign 1.5 / 1.5; of tanh and sigmoid in float32 over all
 * arguments (1.99 and 1.9991), of the others over millions. NaN gives NaN. Results below the
 * smallest normal number are 0, and such arguments count as 0: the kernels run with denormals
 * flushed.
 *
 * Everything rests on one polynomial: with n = round(x / ln 2) and r = x - n ln 2, |r| <= ln(2)/2,
 *     q = expm1(r) = r + r^2 P(r),    s = 2^n,    exp(x) = s q + s,    expm1(x) = s q + (s - 1).
 * P is minimax (degree 4 for float32, 9 for float64): error of q below 0.1 ulp. ln 2 is split in
 * two parts, the first short enough for n ln2_high to be exact without a fused multiply-add.
 *
 * exp(-x) and exp(2x) are had from x by other constants, in place of a negation or a sum; and 2^n from
 * the sum that rounds, without another one: 10 % fewer instructions a cell, 1 to 3 % less time.
 */

#if LSTM_DOUBLE
#define R(constant) constant
#define SHIFT                                                                                      \
    6755399441056767.0 /* 1.5 * 2^52 + 1023: adding it rounds to an integer; the low bits hold this   \
                          integer with the bias of exponents */
#define LN2_HIGH 6.93145751953125e-1
#define LN2_LOW 1.42860682030941723212e-6
#define EXP_LOWEST                                                                                 \
    -708.3964185322643 /* exp is just below the smallest normal number: flushed to 0 */
#define EXP_HIGHEST 709.4
#define TANH_SATURATED 20.0 /* its tanh rounds to 1 */
#else
#define R(constant) constant##f
#define SHIFT 12583039.0f /* 1.5 * 2^23 + 127 */
#define LN2_HIGH 0.693359375f
#define LN2_LOW -2.12194440e-4f
#define EXP_LOWEST -87.33655f
#define EXP_HIGHEST 88.37f
#define TANH_SATURATED 10.0f
#endif

/* Of exp(scale x), with a `scale` of 1, 2 or -1: s as above, r = x - n ln2 / scale, and p such that
 * expm1(scale r) / scale = r + r^2 p. EXP_LOWEST <= scale x <= EXP_HIGHEST or NaN. */
INLINE vec exp_parts(const int scale, vec x, vec *r_of_x, vec *p_of_r)
{
#define P(coefficient, power) vec_set1((REAL)(power) * R(coefficient)) /* exact: powers of two */
    const REAL k = (REAL)scale, k2 = k * k, k3 = k2 * k, k4 = k2 * k2, k5 = k4 * k;
    vec shifted = vec_fma(x, vec_set1(k * R(1.44269504088896341)), vec_set1(SHIFT));
    vec n = shifted - vec_set1(SHIFT);
    vec r = vec_fnma(n, vec_set1(LN2_LOW / k), vec_fnma(n, vec_set1(LN2_HIGH / k), x));
#if LSTM_DOUBLE
    vec p = P(2.51100941552323772e-8, k5 * k5);
    p = vec_fma(p, r, P(2.76201396375758994e-7, k5 * k4));
    p = vec_fma(p, r, P(2.75572422190691534e-6, k4 * k4));
    p = vec_fma(p, r, P(0.0000248015211880036557, k4 * k3));
    p = vec_fma(p, r, P(0.00019841269886695201, k3 * k3));
    p = vec_fma(p, r, P(0.00138888889172834656, k5));
    p = vec_fma(p, r, P(0.0083333333333221731, k4));
    p = vec_fma(p, r, P(0.0416666666666239875, k3));
    p = vec_fma(p, r, P(0.166666666666666746, k2));
    p = vec_fma(p, r, P(0.500000000000000103, k));
#else
    vec p = P(0.0013941166, k5);
    p = vec_fma(p, r, P(0.00836320516, k4));
    p = vec_fma(p, r, P(0.0416663747, k3));
    p = vec_fma(p, r, P(0.166665768, k2));
    p = vec_fma(p, r, P(0.500000003, k));
#endif
#undef P
    *r_of_x = r;
    *p_of_r = p;
    return vec_power_of_two(shifted);
}

INLINE vec vec_exp(vec x)
{
    vec r, p, s = exp_parts(1, x, &r, &p);
    /* s q + s would lose a tiny s q where there is no fused multiply-add */
    return s * (vec_fma(r * r, p, r) + vec_set1(R(1.0)));
}

INLINE vec vec_expm1(vec x)
{
    vec r, p, s = exp_parts(1, x, &r, &p);
    return vec_fma(s, vec_fma(r * r, p, r), s - vec_set1(R(1.0)));
}

/* 1 / (1 + exp(-x)); the denominator is summed as (s q + 1) + s: 2.0 ulp, and 2.4 as (s q + s) + 1
 */
INLINE vec act_sigmoid(vec x)
{
    vec one = vec_set1(R(1.0));
    vec r, p, s = exp_parts(-1, vec_min(vec_set1(-EXP_LOWEST), vec_max(vec_set1(-EXP_HIGHEST), x)),
                            &r, &p);
    return one / (vec_fnma(s, vec_fma(r * r, p, r), one) + s);
}

/* y = e / (e + 1) with e = expm1(2|x|) / 2, and the sign of x. For e < 1/2 the same value is e - y e,
 * where the errors of the quotient count little: 2.4 ulp without it, 2.0 with it. */
INLINE vec act_tanh(vec x)
{
    const vec half = vec_set1(R(0.5));
    vec r, p, s = exp_parts(2, vec_min(vec_set1(TANH_SATURATED), vec_abs(x)), &r, &p);
#if !HAS_FMA
    vec e = s * (r * r * p) + (s * r + (half * s - half)); /* with s q it would be 2.1 ulp */
#else
    vec e = vec_fma(s, vec_fma(r * r, p, r), vec_fma(half, s, -half));
#endif
    vec y = e / (e + vec_set1(R(1.0)));
    return vec_sign_of(x, vec_by_sign(half - e, y, vec_fnma(e, y, e)));
}

#define SIXTH (R(1.0) / R(6.0))

/* clip(slope x + 0.5, 0, 1) */
INLINE vec clipped(vec slope, vec x)
{
    return vec_max(vec_set1(R(0.0)), vec_min(vec_set1(R(1.0)), vec_fma(slope, x, vec_set1(R(0.5)))));
}
INLINE vec act_hard_sigmoid(vec x) { return clipped(vec_set1(R(0.2)), x); }
INLINE vec act_hard_sigmoid_6(vec x) { return clipped(vec_set1(SIXTH), x); }

/* log(1 + exp(x)) = max(x, 0) + log1p(u), u = exp(-|x|); log1p(u) = 2 atanh(w), w = u / (2 + u) <=
 * 1/3 */
INLINE vec act_softplus(vec x)
{
    vec u = vec_exp(-vec_min(vec_set1(-EXP_LOWEST), vec_abs(x)));
    vec w =
        (u + u) / (u + vec_set1(R(2.0))); /* twice the w above: no denormal number for small u */
    vec y = w * w * vec_set1(R(0.25));
#if LSTM_DOUBLE
    vec p = vec_set1(0.0850977019037845481);
    p = vec_fma(p, y, vec_set1(0.0416979896352037462));
    p = vec_fma(p, y, vec_set1(0.0605309865369233619));
    p = vec_fma(p, y, vec_set1(0.066504800616553599));
    p = vec_fma(p, y, vec_set1(0.0769328045008144918));
    p = vec_fma(p, y, vec_set1(0.0909087194080070864));
    p = vec_fma(p, y, vec_set1(0.11111111985439055));
    p = vec_fma(p, y, vec_set1(0.14285714273918501));
    p = vec_fma(p, y, vec_set1(0.200000000000786805));
    p = vec_fma(p, y, vec_set1(0.333333333333331518));
#else
    vec p = vec_set1(0.140125517f);
    p = vec_fma(p, y, vec_set1(0.139995109f));
    p = vec_fma(p, y, vec_set1(0.200108528f));
    p = vec_fma(p, y, vec_set1(0.333332065f));
#endif
    return vec_max(vec_set1(R(0.0)), x) + vec_fma(w * y, p, w);
}

#define SELU_SCALE R(1.0507009873554804934)
#define SELU_ALPHA R(1.6732632423543772848)

INLINE vec act_linear(vec x) { return x; }
INLINE vec act_relu(vec x) { return vec_max(vec_set1(R(0.0)), x); }
/* exp(x) - 1 where x is negative, else 0 */
INLINE vec below_zero(vec x)
{
    return vec_expm1(vec_max(vec_set1(EXP_LOWEST), vec_min(vec_set1(R(0.0)), x)));
}
INLINE vec act_elu(vec x) { return vec_positive(x, x, below_zero(x)); }
INLINE vec act_selu(vec x)
{
    return vec_positive(x, vec_set1(SELU_SCALE) * x,
                        vec_set1(SELU_SCALE * SELU_ALPHA) * below_zero(x));
}
INLINE vec act_softsign(vec x) { return x / (vec_set1(R(1.0)) + vec_abs(x)); }

/* What the gradient d of y = f(x) becomes for x, from y alone. At kinks: 0 where y does not tell the
 * side. Where f is constant it is 0 whatever d is: infinite or NaN, too. */
INLINE vec grad_linear(vec y, vec d) { (void)y; return d; }
INLINE vec grad_tanh(vec y, vec d) { return d * vec_fnma(y, y, vec_set1(R(1.0))); }
INLINE vec grad_sigmoid(vec y, vec d) { return d * vec_fnma(y, y, y); }
/* d where 0 < y < 1, else 0 */
INLINE vec unless_clipped(vec y, vec d)
{
    const vec zero = vec_set1(R(0.0)), one = vec_set1(R(1.0));
    return vec_positive(y, vec_positive(one - y, d, zero), zero);
}
INLINE vec grad_hard_sigmoid(vec y, vec d) { return unless_clipped(y, vec_set1(R(0.2)) * d); }
INLINE vec grad_hard_sigmoid_6(vec y, vec d) { return unless_clipped(y, vec_set1(SIXTH) * d); }
INLINE vec grad_relu(vec y, vec d) { return vec_positive(y, d, vec_set1(R(0.0))); }
INLINE vec grad_elu(vec y, vec d) { return vec_positive(-y, d * (y + vec_set1(R(1.0))), d); }
INLINE vec grad_selu(vec y, vec d)
{
    return d * vec_positive(y, vec_set1(SELU_SCALE), y + vec_set1(SELU_SCALE * SELU_ALPHA));
}
INLINE vec grad_softplus(vec y, vec d) { return d * -vec_expm1(vec_max(vec_set1(EXP_LOWEST), -y)); }
INLINE vec grad_softsign(vec y, vec d)
{
    const vec rest = vec_set1(R(1.0)) - vec_abs(y);
    return d * (rest * rest);
}

/* Inlined with a constant `activation` each of these is one function; with a variable one, a switch. */
INLINE vec activation_of(int activation, vec x)
{
#define CASE(name) case lstm_##name: return act_##name(x);
    switch (activation) {
        LSTM_ELEMENTWISE(CASE)
    default: return x;
    }
#undef CASE
}
INLINE vec gradient_of(int activation, vec y, vec d)
{
#define CASE(name) case lstm_##name: return grad_##name(y, d);
    switch (activation) {
        LSTM_ELEMENTWISE(CASE)
    default: return d;
    }
#undef CASE
}

/* The same by a call: inlined with variable numbers, the switches of a cell multiply to 150 KB. */
LOCAL vec any_activation(int activation, vec x) { return activation_of(activation, x); }
LOCAL vec any_gradient(int activation, vec y, vec d) { return gradient_of(activation, y, d); }

LOCAL void activate_array(int activation, int64_t n, const void *from, void *to)
{
    const REAL *x = from;
    REAL *y = to;
    for (; n >= LANES; n -= LANES, x += LANES, y += LANES)
        vec_store(y, activation_of(activation, vec_load(x)));
    if (n)
        vec_store_some(y, activation_of(activation, vec_load_some(x, n)), n);
}

/* x becomes exp(x - max x) / sum over k of exp(x[k] - max x). NaN and infinity spread to all. Few numbers
 * wait in `room`: to read one after a store of some lanes takes until it is done. */
LOCAL void softmax_row(int64_t n, REAL *x)
{
    enum { CHAINS = 8 }; /* of sums: a chain waits for each of its additions (20,000 units: 0.6 of the
                          * time of one chain) */
    REAL top = x[0], room[LANES], *e = n < LANES ? room : x;
    double sums[CHAINS] = {0}, sum = 0;
    int64_t k;
    for (k = 1; k < n; k++)
        top = x[k] > top ? x[k] : top;
    for (k = 0; k < n; k += LANES) {
        const int64_t some = n - k;
        vec d = (some < LANES ? vec_load_some(x + k, some) : vec_load(x + k)) - vec_set1(top);
        d = vec_exp(vec_max(vec_set1(EXP_LOWEST), d));
        if (some < LANES && e == x)
            vec_store_some(x + k, d, some);
        else
            vec_store(e + k, d);
    }
    for (k = 0; k + CHAINS <= n; k += CHAINS)
        for (int c = 0; c < CHAINS; c++)
            sums[c] += (double)e[k + c];
    for (int c = 0; k + c < n; c++)
        sums[c] += (double)e[k + c];
    for (int c = 0; c < CHAINS; c++)
        sum += sums[c];
    sum = 1 / sum;
    for (k = 0; k < n; k++)
        x[k] = (REAL)((double)e[k] * sum);
}

/* x becomes y = activation(x), for a whole row */
LOCAL void activate_row(int activation, int64_t n, REAL *x)
{
    if (activation == lstm_softmax)
        softmax_row(n, x);
    else
        activate_array(activation, n, x, x);
}

/* The gradient d of such a y becomes that of x */
LOCAL void pull_row(int activation, int64_t n, const REAL *y, REAL *d)
{
    if (activation == lstm_softmax) {
        double dot = 0;
        for (int64_t k = 0; k < n; k++)
            dot += (double)y[k] * (double)d[k];
        for (int64_t k = 0; k < n; k++)
            d[k] = y[k] * (d[k] - (REAL)dot);
        return;
    }
    for (int64_t k = 0; k < n; k += LANES) {
        const int64_t some = n - k < LANES ? n - k : LANES;
        vec_store_some(d + k,
                       gradient_of(activation, vec_load_some(y + k, some),
                                   vec_load_some(d + k, some)),
                       some);
    }
}
