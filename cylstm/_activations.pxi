# Activations in place over one row of numbers, and their derivatives. Included by `_blas`.
#
# An activation is known by its place in `ACTIVATIONS` of `_core`. Derivatives are computed from
# y = f(x) alone. At a kink they are what TensorFlow gives where y tells the kink from its
# surroundings, and otherwise 0. NaN stays NaN: comparisons are written so that they keep an operand
# that is NaN.

cdef extern from "_simd/elementary.h" nogil:
    float cylstm_exp_f32(float x) noexcept
    double cylstm_exp_f64(double x) noexcept
    float cylstm_expm1_f32(float x) noexcept
    double cylstm_expm1_f64(double x) noexcept
    float cylstm_log1p_f32(float x) noexcept
    double cylstm_log1p_f64(double x) noexcept


cdef enum Activation:
    LINEAR
    TANH
    SIGMOID
    HARD_SIGMOID
    RELU
    ELU
    SELU
    SOFTPLUS
    SOFTSIGN
    SOFTMAX


# Klambauer et al. 2017, "Self-Normalizing Neural Networks", arXiv:1706.02515, equation 14.
cdef extern from *:
    """
    #define CYLSTM_SELU_ALPHA 1.6732632423543772848170429916717
    #define CYLSTM_SELU_SCALE 1.0507009873554804934193349852946
    """
    const double CYLSTM_SELU_ALPHA
    const double CYLSTM_SELU_SCALE


cdef inline real exp_negative(real x) noexcept nogil:
    """exp(x), x <= 0."""
    if real is float:
        return cylstm_exp_f32(x)
    else:
        return cylstm_exp_f64(x)


cdef inline real expm1_negative(real x) noexcept nogil:
    """exp(x) - 1, x <= 0."""
    if real is float:
        return cylstm_expm1_f32(x)
    else:
        return cylstm_expm1_f64(x)


cdef inline real tanh(real x) noexcept nogil:
    """With t = exp(-2 |x|) - 1: -t / (2 + t), and the sign of x."""
    cdef real t = expm1_negative(-2 * <real>fabs(x))
    cdef real y = -t / (2 + t)
    return -y if x < 0 else y


cdef inline real sigmoid(real x) noexcept nogil:
    """With e = exp(-|x|): 1 / (1 + e), or e / (1 + e) for negative x."""
    cdef real e = exp_negative(-<real>fabs(x))
    return (e if x < 0 else <real>1) / (1 + e)


cdef inline real hard_sigmoid(real x) noexcept nogil:
    cdef real y = <real>0.2 * x + <real>0.5
    y = 0 if y < 0 else y
    return 1 if y > 1 else y


cdef inline real relu(real x) noexcept nogil:
    return 0 if x < 0 else x


cdef inline real elu(real x) noexcept nogil:
    cdef real below = expm1_negative(0 if x > 0 else x)
    return x if x > 0 else below


cdef inline real selu(real x) noexcept nogil:
    cdef real below = <real>CYLSTM_SELU_ALPHA * expm1_negative(0 if x > 0 else x)
    return <real>CYLSTM_SELU_SCALE * (x if x > 0 else below)


cdef inline real softplus(real x) noexcept nogil:
    """log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|))."""
    cdef real e = exp_negative(-<real>fabs(x))
    if real is float:
        return relu(x) + cylstm_log1p_f32(e)
    else:
        return relu(x) + cylstm_log1p_f64(e)


cdef inline real softsign(real x) noexcept nogil:
    return x / (1 + <real>fabs(x))


cdef inline void softmax(Py_ssize_t n, real* x) noexcept nogil:
    """exp(x - max x) / sum exp(x - max x)."""
    cdef Py_ssize_t j
    cdef real largest, total = 0
    if n == 0:
        return
    largest = x[0]
    for j in range(1, n):
        largest = x[j] if x[j] > largest else largest
    for j in range(n):
        x[j] = exp_negative(x[j] - largest)
    for j in range(n):
        total += x[j]
    for j in range(n):
        x[j] /= total


cdef inline void activate(int activation, Py_ssize_t n, real* x) noexcept nogil:
    """x = f(x)."""
    cdef Py_ssize_t j
    if activation == TANH:
        for j in range(n):
            x[j] = tanh(x[j])
    elif activation == SIGMOID:
        for j in range(n):
            x[j] = sigmoid(x[j])
    elif activation == HARD_SIGMOID:
        for j in range(n):
            x[j] = hard_sigmoid(x[j])
    elif activation == RELU:
        for j in range(n):
            x[j] = relu(x[j])
    elif activation == ELU:
        for j in range(n):
            x[j] = elu(x[j])
    elif activation == SELU:
        for j in range(n):
            x[j] = selu(x[j])
    elif activation == SOFTPLUS:
        for j in range(n):
            x[j] = softplus(x[j])
    elif activation == SOFTSIGN:
        for j in range(n):
            x[j] = softsign(x[j])
    elif activation == SOFTMAX:
        softmax(n, x)


cdef inline void softmax_vjp(Py_ssize_t n, const real* y, real* d) noexcept nogil:
    """d = y (d - sum d y)."""
    cdef Py_ssize_t j
    cdef real total = 0
    for j in range(n):
        total += d[j] * y[j]
    for j in range(n):
        d[j] = y[j] * (d[j] - total)


cdef inline void activate_vjp(
    int activation, Py_ssize_t n, const real* y, real* d
) noexcept nogil:
    """d = f'(x) d, with y = f(x): the gradient of y becomes that of x."""
    cdef Py_ssize_t j
    cdef real one = 1
    cdef real scale = <real>CYLSTM_SELU_SCALE
    cdef real slope = <real>(CYLSTM_SELU_SCALE * CYLSTM_SELU_ALPHA)
    if activation == TANH:
        for j in range(n):
            d[j] *= one - y[j] * y[j]
    elif activation == SIGMOID:
        for j in range(n):
            d[j] = d[j] * y[j] * (one - y[j])
    elif activation == HARD_SIGMOID:
        for j in range(n):
            d[j] = <real>0.2 * d[j] if y[j] > 0 and y[j] < 1 else 0
    elif activation == RELU:
        for j in range(n):
            d[j] = d[j] if y[j] > 0 else 0
    elif activation == ELU:
        for j in range(n):
            d[j] = d[j] * (y[j] + one) if y[j] < 0 else d[j]
    elif activation == SELU:
        for j in range(n):
            d[j] *= scale if y[j] > 0 else y[j] + slope
    elif activation == SOFTPLUS:  # f' = sigmoid(x) = 1 - exp(-y)
        for j in range(n):
            d[j] *= -expm1_negative(-y[j])
    elif activation == SOFTSIGN:
        for j in range(n):
            d[j] *= (one - <real>fabs(y[j])) * (one - <real>fabs(y[j]))
    elif activation == SOFTMAX:
        softmax_vjp(n, y, d)
