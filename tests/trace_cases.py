"""Functions as users write them, with plain NumPy: those that are followed, those refused."""

import math

import numpy as np
import scipy.special

from cylstm import backend as K
from cylstm._trace import differentiate
from cylstm.testing import numerical_gradient

RNG = np.random.default_rng(10)
# Far enough from one another that finite differences cross no kink.
X, Y = RNG.permutation(np.linspace(0.3, 2, 24)).reshape(2, 3, 4)
B = RNG.permutation(np.linspace(0.35, 1.95, 4))
T = RNG.permutation(np.linspace(0.3, 2, 24)).reshape(2, 3, 4)
SQUARE = RNG.uniform(0.3, 2, (3, 3)) + 3 * np.eye(3)
C = RNG.uniform(0, 1, (3, 4)) > 0.5


def worst_error(function, *points):
    """The greatest distance of the gradients from finite differences, in float64."""
    value, pullback = differentiate(function, points)
    weights = np.cos(np.arange(np.size(value))).reshape(np.shape(value))
    found, worst = pullback(weights)[0], 0.0
    for i, point in enumerate(points):

        def total(moved, i=i):
            value = function(*points[:i], moved, *points[i + 1 :])
            return float((np.asarray(value) * weights).sum())

        worst = max(worst, np.abs(found[i] - numerical_gradient(total, point)).max())
        assert found[i].dtype == point.dtype
    return worst


# Plain NumPy in a user's function: everything here has its derivative.
NUMPY = {
    "dot": (lambda x, y: np.dot(x, y.T), X, Y),
    "dot_vector": (lambda x, b: np.dot(x, b), X, B),
    "dot_many": (lambda t, y: np.dot(t, y.T), T, Y),
    "method_dot": (lambda x, y: x.dot(y.T), X, Y),
    "matmul_many": (lambda t, y: t @ y.T, T, Y),
    "matmul_vector": (lambda t, b: t @ b, T, B),
    "inner": (lambda x, y: np.inner(x, y), X, Y),
    "outer": (lambda b, x: np.outer(b, x[0]), B, X),
    "tensordot": (lambda x, y: np.tensordot(x, y, axes=([0, 1], [0, 1])), X, Y),
    "einsum": (lambda t, y: np.einsum("bij,kj->bik", t, y), T, Y),
    "kron": (lambda x, b: np.kron(x, b), X, B),
    "clip": (lambda x: np.clip(x, 0.5, 1.5), X),
    "clip_by_name": (lambda x: np.clip(x, a_min=0.5, a_max=None), X),
    "clip_method": (lambda x: x.clip(0.5, 1.5), X),
    "where": (lambda x, y: np.where(x > y, x * y, y), X, Y),
    "where_wide": (lambda x, b: np.where(C, x, b), X, B),
    "where_scalar": (lambda x, b: np.where(x > 1, b[0], 0.5), X, B),
    "concatenate": (lambda x, y: np.concatenate([x, y, np.ones((1, 4))]), X, Y),
    "concatenate_last": (lambda x, y: np.concatenate((x, y), axis=-1), X, Y),
    "concatenate_flat": (lambda x, b: np.concatenate([x, b], axis=None), X, B),
    "stack": (lambda x, y: np.stack([x, y], axis=-1), X, Y),
    "vstack": (lambda x, b: np.vstack([x, b]), X, B),
    "hstack": (lambda x, y: np.hstack([x, y]), X, Y),
    "hstack_1d": (lambda b, x: np.hstack([b, x[0]]), B, X),
    "split": (lambda x: np.split(x, 2, axis=1)[0] * np.split(x, 2, axis=-1)[1], X),
    "array_split": (lambda x: np.array_split(x, 3, axis=1)[1], X),
    "take": (lambda x: np.take(x, [0, 2, 2], axis=-1), X),
    "take_flat": (lambda x: np.take(x, [[0, 5], [5, 5]]), X),
    "flip": (lambda x: np.flip(x, -1) * np.flip(x) * x[::-1], X),
    "fliplr": (lambda x: np.fliplr(x) * np.flipud(x), X),
    "roll": (lambda x: np.roll(x, 1, axis=-1) * x, X),
    "pad": (lambda x: np.pad(x, ((1, 0), (0, 2))) ** 2, X),
    "pad_number": (lambda x: np.pad(x, 1), X),
    "repeat": (lambda x: np.repeat(x, 2, axis=-1), X),
    "repeat_first": (lambda x: np.repeat(x, 3, axis=0), X),
    "repeat_flat": (lambda x: x.repeat(2), X),
    "repeat_each": (lambda x: np.repeat(x, [1, 0, 2], axis=0), X),
    "tile": (lambda x: np.tile(x, (2, 3)), X),
    "tile_number": (lambda b: np.tile(b, 3), B),
    "broadcast_to": (lambda b: np.broadcast_to(b, (3, 4)), B),
    "expand_dims": (lambda x: np.expand_dims(x, -2), X),
    "newaxis": (lambda b: b[:, None] * b[None, :], B),
    "squeeze": (lambda x: np.squeeze(x[:1]), X),
    "reshape": (lambda x: np.reshape(x, (2, -1)) * x.reshape(2, 6) * x.reshape((2, 6)), X),
    "transpose": (lambda t: np.transpose(t, (2, 0, 1)) * t.transpose(2, 0, 1), T),
    "transpose_negative": (lambda t: np.transpose(t, (-1, 0, 1)), T),
    "T": (lambda x: x.T * 2, X),
    "swapaxes": (lambda t: np.swapaxes(t, -1, 0) * t.swapaxes(-1, 0), T),
    "moveaxis": (lambda t: np.moveaxis(t, -1, 0), T),
    "rollaxis": (lambda t: np.rollaxis(t, 2), T),
    "ravel": (lambda x: x.ravel() * np.ravel(x) * x.flatten(), X),
    "diag": (lambda b: np.diag(b), B),
    "diagonal": (lambda t: np.diagonal(t) * np.diagonal(t, -1, 2, 0)[0, 0], T),
    "trace": (lambda s: np.trace(s), SQUARE),
    "triu": (lambda s: np.triu(s, 1) + np.tril(s), SQUARE),
    "sum": (lambda t: np.sum(t, axis=(0, -1)) * t.sum(axis=-1)[0], T),
    "sum_kept": (lambda t: t / t.sum(axis=-1, keepdims=True), T),
    "mean": (lambda t: np.mean(t, axis=-1) ** 2 + t.mean(), T),
    "mean_axes": (lambda t: np.mean(t, axis=(0, -1), keepdims=True), T),
    "var": (lambda t: np.var(t, axis=-1) + t.var(axis=0, keepdims=True).sum(), T),
    "std": (lambda t: np.std(t, axis=-2) + np.std(t, ddof=1), T),
    "prod": (lambda t: np.prod(t, axis=-1) * t.prod(axis=(1, 2)).sum(), T),
    "prod_zero": (lambda x: np.prod(x * (x > 1), axis=-1), X),
    "max": (lambda t: np.max(t, axis=-1) + t.max(axis=0, keepdims=True).sum(), T),
    "amin": (lambda t: np.min(t, axis=(0, 1)) + np.amin(t) + np.amax(t), T),
    "cumsum": (lambda t: np.cumsum(t, axis=-1) * t.cumsum(axis=0), T),
    "cumsum_flat": (lambda x: np.cumsum(x), X),
    "cumprod": (lambda t: np.cumprod(t, axis=-1), T),
    "diff": (lambda x: np.diff(x, axis=-1) ** 2, X),
    "sort": (lambda b: np.sort(b), B),
    "logaddexp": (lambda x, y: np.logaddexp(x, y), X, Y),
    "maximum": (lambda x, b: np.maximum(x, b), X, B),
    "minimum": (lambda x: np.minimum(x, 1.0), X),
    "fmax": (lambda x, y: np.fmax(x, y), X, Y),
    "power": (lambda x, y: x**y + 2.0**x + x**3, X, Y),
    "divide": (lambda x, b: x / b + 1.0 / x, X, B),
    "subtract": (lambda x, b: b - x - 1, X, B),
    "mod": (lambda x: np.mod(x, 0.7), X),
    "absolute": (lambda x: np.abs(-x) + abs(x) + np.fabs(x), X),
    "negative": (lambda x: -x + +x * 2, X),
    "square": (lambda x: np.square(x) + np.sqrt(x) + np.reciprocal(x), X),
    "exp": (lambda x: np.exp(x) + np.expm1(x) + np.exp2(x), X),
    "log": (lambda x: np.log(x) + np.log1p(x) + np.log2(x) + np.log10(x), X),
    "sin": (lambda x: np.sin(x) + np.cos(x) + np.tan(x / 2), X),
    "arcsin": (lambda x: np.arcsin(x / 3) + np.arccos(x / 3) + np.arctan(x), X),
    "sinh": (lambda x: np.sinh(x) + np.cosh(x) + np.tanh(x) + np.arcsinh(x), X),
    "logistic": (lambda x: scipy.special.expit(x) + scipy.special.erf(x), X),
    "gammaln": (lambda x: scipy.special.gammaln(x), X),
    "norm": (lambda x: np.linalg.norm(x), X),
    "norm_rows": (lambda x: np.linalg.norm(x, axis=-1), X),
    "inv": (lambda s: np.linalg.inv(s), SQUARE),
    "solve": (lambda s, x: np.linalg.solve(s, x), SQUARE, X),
    "det": (lambda s: np.linalg.det(s), SQUARE),
    "cholesky": (lambda s: np.linalg.cholesky(s @ s.T), SQUARE),
    "slices": (lambda t: t[:, 0, 1:] * t[..., -1, :-1] + t[1, ::2, ::-1][0, :3], T),
    "repeated_index": (lambda x: x[[0, 0, 2]] * x[np.array([1, 0, 0])], X),
    "mask": (lambda x: x[C] * 2, X),
    "mask_of_its_own": (lambda x: np.sum(x[x > 1.0] ** 2), X),
    "pairs": (lambda x: x[np.arange(3), [0, 3, 3]], X),
    "own_index": (lambda x: x[np.argmax(x, axis=0), np.arange(4)], X),
    "argmax_index": (lambda b: b[np.argmax(b)] * b, B),
    "add_reduce": (lambda x: np.add.reduce(x) * np.maximum.reduce(x, axis=0), X),
    "by_name": (lambda x: np.sum(a=x, axis=-1), X),
    "astype": (lambda x: x.astype("float64") * (x > 1).astype("float64"), X),
    "copy": (lambda x: np.copy(x) * x.copy(), X),
    "nan_to_num": (lambda x: np.nan_to_num(x), X),
    "iterated": (lambda x: sum(row * i for i, row in enumerate(x)), X),
    "unpacked": (lambda x: (lambda a, b, c: a * b - c)(*x), X),
    "constants": (lambda x: x * np.ones_like(x) + np.zeros_like(x) + np.full_like(x, 3.0), X),
    "list": (lambda x: [[1.0, 2.0, 3.0, 4.0]] * x, X),
}


def assigned(x):
    filled = np.zeros((3, 4))
    filled[:] = x
    return filled


def added_into(x):
    total = np.zeros((3, 4))
    total += x
    return total


def written_to(x):
    x[0] = 1.0
    return x


REFUSED = {
    "array": lambda x: np.array(x) * 2,
    "asarray": lambda x: np.asarray(x) * x,
    "array_of_list": lambda x: np.array([x, x]),
    "assigned": assigned,
    "added_into": added_into,
    "written_to": written_to,
    "out": lambda x: np.multiply(x, x, out=np.zeros((3, 4))),
    "math": lambda x: math.exp(x[0, 0]) * x,
    "float": lambda x: float(x[0, 0]) * x,
    "int": lambda x: int(x[0, 0]) * x,
    "item": lambda x: x[0, 0].item() * x,
    "tolist": lambda x: np.sum(x.tolist()) * x,
    "index": lambda x: X[x[0]],
    "block": lambda x: np.block([[x, x]]),
    "several": lambda x: np.linalg.svd(x)[0],
    "accumulate": lambda x: np.add.accumulate(x),
    "outer_method": lambda x: np.add.outer(x, x),
    "where_argument": lambda x: np.sum(x, where=C),
    "initial": lambda x: np.max(x, axis=0, initial=1.0),
    "no_rule": lambda x: np.heaviside(x, x),
    "view": lambda x: x.view("int64"),
    "pad_mode": lambda x: np.pad(x, 1, mode="edge"),
    "plain_number": lambda x: 1.0,
    "plain_array": lambda x: np.ones(3),
    "none": lambda x: None,
    "evaluated": lambda x: np.sum(K.eval(x)),
    "get_value": lambda x: [x, K.get_value(x) * 2],
    "variable": lambda x: K.zeros((3, 4)),
}
