"""Record what TensorFlow 1.4.1's Keras gives for losses, metrics and their weighted means.

Runs under Python 3.6 with tensorflow==1.4.1:

    python record_losses.py losses.json

Three lists: `losses` (values, and gradients of sum(upstream * values) with respect to the
predictions), `metrics` (values) and `weighted` (the masked, sample-weighted mean of a loss or
metric, and its gradient). Every number is the shortest decimal that reads back as itself.
"""

import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf
from tensorflow.python.keras._impl.keras import metrics
from tensorflow.python.keras._impl.keras.engine import training

K = tf.keras.backend
REGRESSION = [
    "mean_squared_error",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_logarithmic_error",
    "logcosh",
    "cosine_proximity",
    "poisson",
]
MARGIN = ["hinge", "squared_hinge", "categorical_hinge"]
PROBABILITY = [
    "binary_crossentropy",
    "categorical_crossentropy",
    "kullback_leibler_divergence",
]
SPARSE = "sparse_categorical_crossentropy"
SHAPES = [(3, 4), (2, 2, 3), (2, 1)]


def operands(rng, name, shape):
    """Pairs of targets and predictions for a loss: drawn, and at its edges."""
    rows = int(np.prod(shape[:-1]))
    classes = rng.randint(0, shape[-1], rows)
    one_hot = np.eye(shape[-1])[classes].reshape(shape)
    softmax = np.exp(rng.randn(*shape))
    softmax /= softmax.sum(-1, keepdims=True)
    if name in REGRESSION:
        true, pred = rng.randn(*shape), rng.randn(*shape)
        if name == "poisson":
            true, pred = np.abs(true), np.abs(pred)
        edges = true.copy()  # equal to the target in every second place, then zeros
        edges.flat[::2] += 0.5
        yield true, pred
        yield true, edges
        yield (
            np.where(rng.rand(*shape) < 0.5, 0, true),
            np.where(rng.rand(*shape) < 0.5, 0, pred),
        )
        yield np.zeros(shape), np.abs(pred) * 1e-4
        if name == "cosine_proximity":  # too short to be made unit vectors
            yield true * 1e-7, pred * 1e-7
        if name != "logcosh":  # its cosh overflows
            yield np.abs(true) * 1e3, np.abs(pred) * 20
    if name in MARGIN:
        signs = np.where(one_hot > 0, 1.0, -1.0) if name != "categorical_hinge" else one_hot
        yield signs, rng.randn(*shape)
        yield signs, rng.randint(-1, 2, shape) * 1.0  # ties, and 1 - t * p = 0
        yield signs, np.zeros(shape)
    if name in PROBABILITY:
        yield one_hot, softmax
        yield softmax, np.roll(softmax, 1, -1)
        yield one_hot, rng.rand(*shape) * 0.5 + 0.1  # not normalised
        yield one_hot, np.where(rng.rand(*shape) < 0.3, 1e-7, rng.rand(*shape))
        yield one_hot, np.where(rng.rand(*shape) < 0.3, 1e-9, 1.0)
        if name != "categorical_crossentropy":  # 0 / 0 there
            yield one_hot, one_hot
            yield one_hot, 1 - one_hot
            yield one_hot, np.roll(one_hot, 1, -1) * 1.2 - 0.1
    if name == SPARSE:
        numbers = classes.reshape(shape[:-1] + (1,)) * 1.0
        yield numbers, softmax
        yield numbers, rng.rand(*shape) * 0.5 + 0.1
        yield numbers, one_hot
        yield numbers, np.where(rng.rand(*shape) < 0.4, 1e-9, 1.0)


def evaluate(build):
    """The values of the tensors that a function builds, in a graph of their own."""
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(build())


def numbers(array):
    """An array as nested lists of short decimals."""
    if array is None:
        return None
    if array.dtype == np.float32:
        array = np.array([float(str(x)) for x in array.ravel()]).reshape(array.shape)
    return array.tolist()


def record_losses(rng):
    for name in REGRESSION + MARGIN + PROBABILITY + [SPARSE]:
        for dtype in ("float32", "float64"):
            K.set_floatx(dtype)
            for shape in SHAPES:
                if shape[-1] == 1 and name == "cosine_proximity":
                    continue  # its gradient is 0 there, and what is recorded is rounding
                pairs = list(operands(rng, name, shape))
                for true, pred in pairs[: 2 if len(shape) == 3 else None]:
                    true, pred = true.astype(dtype), pred.astype(dtype)
                    upstream = (rng.rand(*shape[:-1]) + 0.5).astype(dtype)

                    def build(name=name, true=true, pred=pred, upstream=upstream):
                        x = tf.constant(pred)
                        values = getattr(tf.keras.losses, name)(tf.constant(true), x)
                        return values, tf.gradients(values, x, tf.constant(upstream))[0]

                    values, slopes = evaluate(build)
                    yield {
                        "loss": name,
                        "dtype": dtype,
                        "y_true": numbers(true),
                        "y_pred": numbers(pred),
                        "upstream": numbers(upstream),
                        "values": numbers(values),
                        "gradient": numbers(slopes),
                    }


def record_metrics(rng):
    K.set_floatx("float32")
    for shape in SHAPES[:2]:
        for ties in (False, True):
            pred = rng.rand(*shape).astype("float32")
            if ties:
                pred = np.round(pred * 2) / 2
            classes = rng.randint(0, shape[-1], shape[:-1])
            one_hot = np.eye(shape[-1])[classes]
            cases = [
                ("binary_accuracy", one_hot, {}),
                ("categorical_accuracy", one_hot, {}),
                ("sparse_categorical_accuracy", classes[..., None], {}),
            ]
            if len(shape) == 2:
                cases += [("top_k_categorical_accuracy", one_hot, {"k": k}) for k in (1, 2, 3)]
                cases += [
                    ("sparse_top_k_categorical_accuracy", classes[..., None], {"k": k})
                    for k in (1, 2, 3)
                ]
            for name, true, arguments in cases:
                true = true.astype("float32")

                def build(name=name, true=true, pred=pred, arguments=arguments):
                    return getattr(metrics, name)(tf.constant(true), tf.constant(pred), **arguments)

                yield {
                    "metric": name,
                    "arguments": arguments,
                    "y_true": numbers(true),
                    "y_pred": numbers(pred),
                    "values": numbers(np.asarray(evaluate(build))),
                }


def draw_weighted(rng, name, dtype, shape, weight_shape, masked):
    classes = rng.randint(0, shape[-1], shape[:-1])
    true = classes[..., None] if name == SPARSE else np.eye(shape[-1])[classes]
    weight, mask = None, None
    if weight_shape is not None:
        weight = rng.rand(*weight_shape).astype(dtype)
        weight.flat[1] = 0
    if masked:
        mask = rng.rand(*shape[:-1]) < 0.6
        mask.flat[0], mask.flat[-1] = True, False
    return true.astype(dtype), rng.rand(*shape).astype(dtype), weight, mask


def record_weighted(rng):
    for name in [
        "mean_squared_error",
        "categorical_crossentropy",
        SPARSE,
        "categorical_accuracy",
    ]:
        function = getattr(tf.keras.losses, name, None) or getattr(metrics, name)
        for dtype in ("float32", "float64"):
            K.set_floatx(dtype)
            for shape in SHAPES[:2]:
                for weight_shape in [None] + [shape[: n + 1] for n in range(len(shape) - 1)]:
                    for masked in (False, True):
                        true, pred, weight, mask = draw_weighted(
                            rng, name, dtype, shape, weight_shape, masked
                        )

                        def build(
                            function=function,
                            true=true,
                            pred=pred,
                            weight=weight,
                            mask=mask,
                        ):
                            x = tf.constant(pred)
                            value = training._weighted_masked_objective(function)(
                                tf.constant(true),
                                x,
                                None if weight is None else tf.constant(weight),
                                None if mask is None else tf.constant(mask),
                            )
                            slopes = tf.gradients(value, x)[0]
                            return [value] if slopes is None else [value, slopes]

                        value, *slopes = evaluate(build)
                        yield {
                            "function": name,
                            "dtype": dtype,
                            "y_true": numbers(true),
                            "y_pred": numbers(pred),
                            "sample_weight": numbers(weight),
                            "mask": numbers(mask),
                            "value": numbers(np.asarray(value)),
                            "gradient": numbers(slopes[0]) if slopes else None,
                        }


if __name__ == "__main__":
    rng = np.random.RandomState(14)
    record = {
        "source": "tensorflow " + tf.__version__,
        "losses": list(record_losses(rng)),
        "metrics": list(record_metrics(rng)),
        "weighted": list(record_weighted(rng)),
    }
    with open(sys.argv[1], "w") as file:
        json.dump(record, file, sort_keys=True, separators=(",", ":"))
        file.write("\n")
    print({name: len(cases) for name, cases in record.items() if name != "source"})
