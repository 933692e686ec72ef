/* exp(x) and exp(x) - 1 for x <= 0, and log(1 + x) for 0 <= x <= 1, in float and double.
 *
 * Activations need these functions for such numbers only. There are no branches and no calls, so
 * that loops over arrays vectorise on any instruction set; the C library would take most of
 * the time of a forward pass.
 *
 *     x = n ln 2 + r,   |r| <= ln(2) / 2
 *     exp(x) = 2^n (1 + p),   exp(x) - 1 = 2^n p + (2^n - 1),   p = exp(r) - 1 = r + r^2 q(r)
 *
 *     s = x / (2 + x),   log(1 + x) = 2 atanh(s) = 2 s (1 + s^2 q(s^2)),   s^2 <= 1 / 9
 *
 * The polynomials q go through the functions at Chebyshev nodes. ln 2 is subtracted in two parts,
 * the first short enough for its product with n to be exact. n is rounded by adding and subtracting
 * 1.5 * 2^(mantissa bits), which leaves n in the lowest bits of the sum: this must not be compiled
 * with -fassociative-math. NaN gives NaN: comparisons keep the operand that may be NaN.
 *
 * Largest error found in 8 million numbers each, in units in the last place, for float and double
 * alike: exp 1.1, exp - 1 1.4, log(1 + x) 2.0.
 */
#ifndef CYLSTM_ELEMENTARY_H
#define CYLSTM_ELEMENTARY_H

#include <stdint.h>
#include <string.h>

/* p and, in *scaled, 1.5 * 2^23 + n */
static inline float cylstm_reduce_f32(float x, float *scaled)
{
    const float magic = 12582912.0f;
    const float sum = x * 1.44269504f + magic;
    const float n = sum - magic;
    const float r = (x - n * 0.693115234375f) - n * 3.19461849e-5f;
    float q = 1.392617612e-3f;
    q = q * r + 8.363173075e-3f;
    q = q * r + 4.166655466e-2f;
    q = q * r + 1.666657703e-1f;
    q = q * r + 0.5f;
    *scaled = sum;
    return r + r * r * q;
}

static inline double cylstm_reduce_f64(double x, double *scaled)
{
    const double magic = 6755399441055744.0;
    const double sum = x * 1.4426950408889634 + magic;
    const double n = sum - magic;
    const double r = (x - n * 0.6931471804855391) - n * 7.440617110012397e-11;
    double q = 2.5100375832561234e-08;
    q = q * r + 2.7620075879983367e-07;
    q = q * r + 2.7557268480310024e-06;
    q = q * r + 2.4801521322368692e-05;
    q = q * r + 1.9841269863040545e-04;
    q = q * r + 1.3888888917196719e-03;
    q = q * r + 8.333333333330065e-03;
    q = q * r + 4.1666666666624164e-02;
    q = q * r + 0.16666666666666669;
    q = q * r + 0.5;
    *scaled = sum;
    return r + r * r * q;
}

/* 2^n, n from the lowest bits of the sum above; n within the exponents of normal numbers */
static inline float cylstm_power_f32(float scaled)
{
    uint32_t bits;
    float power;
    memcpy(&bits, &scaled, sizeof bits);
    bits = (bits << 23) + 0x3f800000u;
    memcpy(&power, &bits, sizeof power);
    return power;
}

static inline double cylstm_power_f64(double scaled)
{
    uint64_t bits;
    double power;
    memcpy(&bits, &scaled, sizeof bits);
    bits = (bits << 52) + 0x3ff0000000000000u;
    memcpy(&power, &bits, sizeof power);
    return power;
}

/* exp(x), x <= 0. Where 2^n is not a normal number, n is raised and the result scaled back. */
static inline float cylstm_exp_f32(float x)
{
    const float clamped = x < -104.0f ? -104.0f : x; /* exp is 0 below */
    const float raise = clamped < -80.0f ? 64.0f : 0.0f;
    const float lower = clamped < -80.0f ? 0x1p-64f : 1.0f;
    float sum;
    const float p = cylstm_reduce_f32(clamped, &sum);
    const float power = cylstm_power_f32(sum + raise);
    return (power + power * p) * lower;
}

static inline double cylstm_exp_f64(double x)
{
    const double clamped = x < -746.0 ? -746.0 : x;
    const double raise = clamped < -700.0 ? 512.0 : 0.0;
    const double lower = clamped < -700.0 ? 0x1p-512 : 1.0;
    double sum;
    const double p = cylstm_reduce_f64(clamped, &sum);
    const double power = cylstm_power_f64(sum + raise);
    return (power + power * p) * lower;
}

/* exp(x) - 1, x <= 0 */
static inline float cylstm_expm1_f32(float x)
{
    const float clamped = x < -20.0f ? -20.0f : x; /* -1 below */
    float sum;
    const float p = cylstm_reduce_f32(clamped, &sum);
    const float power = cylstm_power_f32(sum);
    return power * p + (power - 1.0f);
}

static inline double cylstm_expm1_f64(double x)
{
    const double clamped = x < -40.0 ? -40.0 : x;
    double sum;
    const double p = cylstm_reduce_f64(clamped, &sum);
    const double power = cylstm_power_f64(sum);
    return power * p + (power - 1.0);
}

/* log(1 + x), 0 <= x <= 1 */
static inline float cylstm_log1p_f32(float x)
{
    const float s = x / (2.0f + x);
    const float u = s * s;
    float q = 1.161216461e-1f;
    q = q * u + 1.085328790e-1f;
    q = q * u + 1.429617900e-1f;
    q = q * u + 1.999985317e-1f;
    q = q * u + 3.333333366e-1f;
    return 2.0f * s + 2.0f * s * (u * q);
}

static inline double cylstm_log1p_f64(double x)
{
    const double s = x / (2.0 + x);
    const double u = s * s;
    double q = 0.08082022805971766;
    q = q * u + 0.04400369243072337;
    q = q * u + 0.06000536404795356;
    q = q * u + 0.06657072104827468;
    q = q * u + 0.07692785032479312;
    q = q * u + 0.09090894718066429;
    q = q * u + 0.11111111358713932;
    q = q * u + 0.1428571428355438;
    q = q * u + 0.20000000000007292;
    q = q * u + 0.3333333333333333;
    return 2.0 * s + 2.0 * s * (u * q);
}

#endif
