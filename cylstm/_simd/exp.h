/* exp(x) and exp(x) - 1 for x <= 0, in float and double.
 *
 * Every activation of the LSTM needs the exponential of numbers that are not positive only. These
 * functions have no branches and no calls, so that loops over them vectorise on any instruction set;
 * calls of the C library would take most of the time of a forward pass.
 *
 *     x = n ln 2 + r,   |r| <= ln(2) / 2
 *     exp(x) = 2^n (1 + p),   exp(x) - 1 = 2^n p + (2^n - 1),   p = exp(r) - 1 = r + r^2 q(r)
 *
 * q is the polynomial through exp at the Chebyshev nodes of that interval; ln 2 is subtracted in two
 * parts, the first short enough for its product with n to be exact. n is rounded by adding and
 * subtracting 1.5 * 2^(mantissa bits), which leaves n in the lowest bits of the sum: this must not be
 * compiled with -fassociative-math. NaN gives NaN: comparisons keep the operand that may be NaN.
 *
 * Largest error found in 8 million numbers each: exp 1.1, exp - 1 1.4 units in the last place.
 */
#ifndef CYLSTM_EXP_H
#define CYLSTM_EXP_H

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

/* exp(x), x <= 0. Where 2^n would not be a normal number, n is raised and the result scaled back. */
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

#endif
