"""Record what the functions of Keras 2.0.9's backend return on TensorFlow 1.4.1, and gradients.

Runs under Python 3.6 with keras==2.0.9 and tensorflow==1.4.1:

    python record_backend.py backend.json backend.npz

`CASES` is read by the tests as well: each case is a function of a backend and of inputs, named
after the function of the backend that it is for, and returns a list of tensors and plain values.
Gradients are those of the sum of all tensors of floats times the cosine of their positions.
"""

import json
import os
import sys

import numpy as np

STEPS = {
    "sum": lambda K: lambda x, s: (K.tanh(x * s[1] + s[0]), [K.tanh(x * s[1] + s[0]), s[1] * 0.5]),
    "constants": lambda K: lambda x, s: (s[0] * 0.5 + x * s[1], [s[0] * 0.5 + x * s[1]]),
}


def run_rnn(K, step, inputs, states, **arguments):
    last, outputs, states = K.rnn(STEPS[step](K), inputs, states, **arguments)
    return [last, outputs] + list(states)


def variables(K):
    v = K.variable([1.0, 2.0])
    K.set_value(v, [3.0, 4.0])
    w = K.variable([[1.0]], dtype="float64")
    K.batch_set_value([(w, [[7.0]])])
    return [K.get_value(v).tolist(), K.batch_get_value([w])[0].tolist(), K.dtype(w), K.ndim(w)]


def updated(K, update):
    v = K.variable([1.0, 2.0])
    K.get_value(v)
    return [K.eval(update(v)).tolist()]


def uids(K):
    K.clear_session()
    return [K.get_uid("some"), K.get_uid("some"), K.get_uid("other"), K.reset_uids(), K.get_uid("some")]


def scoped(K, x):
    with K.name_scope("part"):
        return [x * 2.0]


CASES = {
    "abs": lambda K, k: [K.abs(k)],
    "all": lambda K, b, k: [K.all(b), K.all(b, axis=1), K.all(k, axis=-1, keepdims=True)],
    "any": lambda K, b, k: [K.any(b), K.any(b, axis=0), K.any(k, axis=-1, keepdims=True)],
    "arange": lambda K: [
        K.arange(4), K.arange(-3), K.arange(2, 9, 3), K.arange(3, dtype="float32"), K.arange(5, 1, -2)
    ],
    "argmax": lambda K, k: [K.argmax(k), K.argmax(k, axis=0)],
    "argmin": lambda K, k: [K.argmin(k), K.argmin(k, axis=0)],
    "batch_dot": lambda K, t, t2, m, m2, u: [
        K.batch_dot(t, t2),
        K.batch_dot(t, t2, axes=(2, 1)),
        K.batch_dot(t, t, axes=2),
        K.batch_dot(t, t, axes=1),
        K.batch_dot(m, m2, axes=1),
        K.batch_dot(m, m2, axes=0),
        K.batch_dot(t, u, axes=(2, 1)),
        K.batch_dot(t, u, axes=[2, 1]),
        K.batch_dot(u, t, axes=(1, 2)),
    ],
    "batch_flatten": lambda K, t: [K.batch_flatten(t)],
    "batch_get_value": lambda K: variables(K),
    "batch_normalization": lambda K, m, v, w, p1, p2: [
        K.batch_normalization(m, v, p1, w, p2),
        K.batch_normalization(m, v, p1, None, p2, 0.1),
        K.batch_normalization(m, v, p1, w, None),
    ],
    "batch_set_value": lambda K: variables(K),
    "bias_add": lambda K, m, v, t, n, q: [
        K.bias_add(m, v),
        K.bias_add(t, v),
        K.bias_add(t, n, "channels_first"),
        K.bias_add(t, q),
        K.bias_add(t, K.transpose(q), "channels_first"),
    ],
    "binary_crossentropy": lambda K, prob, p, m: [
        K.binary_crossentropy(prob, p * 0.3),
        K.binary_crossentropy(prob, m, from_logits=True),
        K.binary_crossentropy(prob, p * 3.0),
    ],
    "cast": lambda K, m, b: [
        K.cast(m, "int32"), K.cast(b, "float32"), K.cast(m, "float64"), K.cast(m * 3.0, "bool")
    ],
    "cast_to_floatx": lambda K: [K.cast_to_floatx([1, 2]).tolist()],
    "categorical_crossentropy": lambda K, prob, p, m: [
        K.categorical_crossentropy(prob, p), K.categorical_crossentropy(prob, m, from_logits=True)
    ],
    "clear_session": lambda K: uids(K),
    "clip": lambda K, k: [
        K.clip(k, -0.5, 0.5), K.clip(k, 0.0, None), K.clip(k, 1, -1), K.clip(k, 0.0, np.inf)
    ],
    "concatenate": lambda K, m, m2, t: [
        K.concatenate([m, m2]), K.concatenate([m, m2, m], axis=0), K.concatenate([t, t], axis=-2)
    ],
    "constant": lambda K: [
        K.constant(3), K.constant([1, 2], "int32"), K.constant([1.0, 2.0], shape=(2, 2)),
        K.constant(np.arange(3.0)),
    ],
    "conv1d": lambda K, long, filters: [
        K.conv1d(long, filters),
        K.conv1d(long, filters, padding="same"),
        K.conv1d(long, filters, strides=2, padding="same"),
        K.conv1d(long, filters, strides=3),
        K.conv1d(long, filters, padding="causal", dilation_rate=2),
        K.conv1d(long, filters, padding="same", dilation_rate=2),
    ],
    "cos": lambda K, m: [K.cos(m)],
    "count_params": lambda K, t: [int(K.count_params(t))],
    "cumprod": lambda K, m, t: [K.cumprod(m), K.cumprod(t, axis=1), K.cumprod(t, axis=-1)],
    "cumsum": lambda K, m, t: [K.cumsum(m), K.cumsum(t, axis=1), K.cumsum(t, axis=-1)],
    "dot": lambda K, m, w2, t, h: [K.dot(m, w2), K.dot(t, w2), K.dot(t, h), K.dot(m, h)],
    "dtype": lambda K, m, i, b: [K.dtype(m), K.dtype(i), K.dtype(b)],
    "elu": lambda K, m: [K.elu(m), K.elu(m, 0.3)],
    "epsilon": lambda K: [K.epsilon()],
    "equal": lambda K, k, m: [K.equal(k, 0.0), K.equal(k, k), K.equal(m, k)],
    "eval": lambda K: [K.eval(K.variable([1.0, 2.0])).tolist()],
    "exp": lambda K, m: [K.exp(m)],
    "expand_dims": lambda K, m: [K.expand_dims(m), K.expand_dims(m, 0), K.expand_dims(m, 1)],
    "eye": lambda K: [K.eye(3)],
    "flatten": lambda K, t: [K.flatten(t)],
    "floatx": lambda K: [K.floatx()],
    "foldl": lambda K, m: [
        K.foldl(lambda a, x: a * 0.5 - x, m), K.foldl(lambda a, x: a - x * x, m, m[0] * 2.0)
    ],
    "foldr": lambda K, m: [
        K.foldr(lambda a, x: a * 0.5 - x, m), K.foldr(lambda a, x: a - x * x, m, m[0] * 2.0)
    ],
    "gather": lambda K, m, i, j: [K.gather(m, i), K.gather(m, j)],
    "get_uid": lambda K: uids(K),
    "get_value": lambda K: variables(K),
    "get_variable_shape": lambda K, t: [list(K.get_variable_shape(t))],
    "greater": lambda K, k, m: [K.greater(k, 0.0), K.greater(k, m)],
    "greater_equal": lambda K, k, m: [K.greater_equal(k, 0.0), K.greater_equal(k, m)],
    "hard_sigmoid": lambda K, m: [K.hard_sigmoid(m), K.hard_sigmoid(m * 3.0)],
    "identity": lambda K, m: [K.identity(m)],
    "image_data_format": lambda K: [K.image_data_format()],
    "image_dim_ordering": lambda K: [K.image_dim_ordering()],
    "in_test_phase": lambda K, m: [
        K.in_test_phase(m * 2.0, m, training=1), K.in_test_phase(m * 2.0, lambda: m, training=False)
    ],
    "in_top_k": lambda K, k, i: [K.in_top_k(k, i, n) for n in (1, 2, 3)],
    "in_train_phase": lambda K, m: [
        K.in_train_phase(m * 2.0, m, training=1),
        K.in_train_phase(lambda: m * 2.0, m, training=True),
        K.in_train_phase(m * 2.0, lambda: m, training=0),
    ],
    "int_shape": lambda K, t: [list(K.int_shape(t))],
    "is_keras_tensor": lambda K, m: [K.is_keras_tensor(m), K.is_keras_tensor(K.variable(1.0))],
    "is_sparse": lambda K, m: [K.is_sparse(m)],
    "l2_normalize": lambda K, m, t: [
        K.l2_normalize(m), K.l2_normalize(m, axis=-1), K.l2_normalize(t, 1), K.l2_normalize(m * 0.0)
    ],
    "less": lambda K, k, m: [K.less(k, 0.0), K.less(k, m)],
    "less_equal": lambda K, k, m: [K.less_equal(k, 0.0), K.less_equal(k, m)],
    "log": lambda K, p: [K.log(p), K.log(p * 0.0 + 1.0)],
    "logsumexp": lambda K, m, t: [
        K.logsumexp(m), K.logsumexp(m, axis=-1), K.logsumexp(t * 90.0, [0, 1], keepdims=True)
    ],
    "map_fn": lambda K, m: [K.map_fn(lambda x: K.sum(x * x), m), K.map_fn(lambda x: x * 2.0, m)],
    "max": lambda K, k, t: [
        K.max(k), K.max(k, axis=1), K.max(t, axis=[0, 2]), K.max(t, axis=-1, keepdims=True)
    ],
    "maximum": lambda K, k, m: [K.maximum(k, 0.0), K.maximum(k, k * 2.0), K.maximum(m, k)],
    "mean": lambda K, m, t, b, i: [
        K.mean(m), K.mean(t, axis=-1), K.mean(t, [0, 1], keepdims=True), K.mean(b), K.mean(i)
    ],
    "min": lambda K, k, t: [
        K.min(k), K.min(k, axis=1), K.min(t, axis=[0, 2]), K.min(t, axis=-1, keepdims=True)
    ],
    "minimum": lambda K, k, m: [K.minimum(k, 0.0), K.minimum(k, k * 2.0), K.minimum(m, k)],
    "moving_average_update": lambda K: updated(
        K, lambda v: K.moving_average_update(v, K.constant([5.0, 1.0]), 0.75)
    ),
    "name_scope": lambda K, m: scoped(K, m),
    "ndim": lambda K, m, t: [K.ndim(m), K.ndim(t)],
    "normalize_batch_in_training": lambda K, m, v, w, t: (
        list(K.normalize_batch_in_training(m, v, w, [0]))
        + list(K.normalize_batch_in_training(t, v, w, [0, 1]))
        + list(K.normalize_batch_in_training(t, None, None, [0, 2], 0.1))
    ),
    "not_equal": lambda K, k, m: [K.not_equal(k, 0.0), K.not_equal(k, m)],
    "one_hot": lambda K, i, j: [K.one_hot(i, 4), K.one_hot(j, 2)],
    "ones": lambda K: [K.ones((2, 3)), K.ones((2,), "float64")],
    "ones_like": lambda K, m, i: [K.ones_like(m), K.ones_like(i), K.ones_like(m, "int32")],
    "permute_dimensions": lambda K, t: [K.permute_dimensions(t, (0, 2, 1)), K.permute_dimensions(t, [2, 0, 1])],
    "pow": lambda K, p, m: [K.pow(m, 2), K.pow(p, 0.5), K.pow(p, m), K.pow(m, 3.0)],
    "print_tensor": lambda K, m: [K.print_tensor(m, "m")],
    "prod": lambda K, m, z: [
        K.prod(m), K.prod(z, axis=1), K.prod(z, axis=0, keepdims=True), K.prod(z, axis=[0, 1])
    ],
    "relu": lambda K, k, m: [
        K.relu(k), K.relu(m, alpha=0.3), K.relu(m, max_value=0.7), K.relu(m, 0.1, 0.5)
    ],
    "repeat": lambda K, m: [K.repeat(m, 3)],
    "repeat_elements": lambda K, t: [K.repeat_elements(t, 2, axis=1), K.repeat_elements(t, 3, axis=-1)],
    "reset_uids": lambda K: uids(K),
    "reshape": lambda K, t: [K.reshape(t, (4, -1)), K.reshape(t, [2, 2, 2, 3]), K.reshape(t, K.shape(t))],
    "reverse": lambda K, t: [K.reverse(t, 1), K.reverse(t, [0, 2])],
    "rnn": lambda K, t, s, s2, mask: (
        run_rnn(K, "sum", t, [s, s2])
        + run_rnn(K, "sum", t, [s, s2], go_backwards=True, unroll=True)
        + run_rnn(K, "sum", t, [s, s2], mask=mask)
        + run_rnn(K, "sum", t, [s, s2], mask=mask, unroll=True, go_backwards=True)
        + run_rnn(K, "sum", t, [s, s2], mask=mask, go_backwards=True)
        + run_rnn(K, "constants", t, [s], constants=[s2], unroll=True)
        + run_rnn(K, "constants", t, [s], constants=[s2], input_length=3)
    ),
    "round": lambda K, m, h2: [K.round(m * 5.0), K.round(h2)],
    "set_epsilon": lambda K: [K.set_epsilon(1e-7), K.epsilon()],
    "set_floatx": lambda K: [K.set_floatx("float32"), K.floatx()],
    "set_image_data_format": lambda K: [
        K.set_image_data_format("channels_last"), K.image_data_format()
    ],
    "set_image_dim_ordering": lambda K: [K.set_image_dim_ordering("tf"), K.image_dim_ordering()],
    "set_value": lambda K: variables(K),
    "shape": lambda K, t: [K.shape(t), K.shape(t)[1]],
    "sigmoid": lambda K, m: [K.sigmoid(m), K.sigmoid(m * 60.0)],
    "sign": lambda K, k: [K.sign(k)],
    "sin": lambda K, m: [K.sin(m)],
    "softmax": lambda K, m, t: [K.softmax(m), K.softmax(t), K.softmax(t * 50.0)],
    "softplus": lambda K, m: [K.softplus(m), K.softplus(m * 60.0)],
    "softsign": lambda K, m: [K.softsign(m)],
    "sparse_categorical_crossentropy": lambda K, i, p, m, c2, t: [
        K.sparse_categorical_crossentropy(i, p * 0.3),
        K.sparse_categorical_crossentropy(i, m, from_logits=True),
        K.sparse_categorical_crossentropy(K.expand_dims(K.cast(i, "float32")), p * 0.2),
        K.sparse_categorical_crossentropy(c2, t, from_logits=True),
    ],
    "sqrt": lambda K, p, m: [K.sqrt(p), K.sqrt(m)],
    "square": lambda K, m: [K.square(m)],
    "squeeze": lambda K, one: [K.squeeze(one, 1), K.squeeze(one, -1)],
    "stack": lambda K, m, m2: [K.stack([m, m2]), K.stack([m, m2], axis=1), K.stack([m, m2], -1)],
    "std": lambda K, m, t: [K.std(m), K.std(t, axis=1), K.std(t, [0, 2], keepdims=True)],
    "stop_gradient": lambda K, m: [K.stop_gradient(m) * m] + list(K.stop_gradient([m, m * 2.0])),
    "sum": lambda K, m, t, i: [
        K.sum(m), K.sum(t, axis=1), K.sum(t, [0, 2], keepdims=True), K.sum(t, axis=-1), K.sum(i)
    ],
    "switch": lambda K, m, m2, b, r, t: [
        K.switch(b, m, m2),
        K.switch(r, m, m2),
        K.switch(K.equal(K.sum(m), 0.0), lambda: m, lambda: m2),
        K.switch(K.constant(1.0), m, m2),
        K.switch(K.greater(t[:, :, 0:1], 0.0), t, t * 2.0),
        K.switch(K.greater(t[:, :, 0], 0.0), t, lambda: t * 2.0),
    ],
    "tanh": lambda K, m: [K.tanh(m)],
    "temporal_padding": lambda K, t: [K.temporal_padding(t), K.temporal_padding(t, (0, 2))],
    "tile": lambda K, v, m: [K.tile(v, 3), K.tile(m, [2, 1]), K.tile(m, (1, 2))],
    "to_dense": lambda K, m: [K.to_dense(m)],
    "transpose": lambda K, m, t: [K.transpose(m), K.transpose(t)],
    "update": lambda K: updated(K, lambda v: K.update(v, K.constant([5.0, 1.0]))),
    "update_add": lambda K: updated(K, lambda v: K.update_add(v, K.constant([5.0, 1.0]))),
    "update_sub": lambda K: updated(K, lambda v: K.update_sub(v, K.constant([5.0, 1.0]))),
    "var": lambda K, m, t, b: [K.var(m), K.var(t, axis=1), K.var(t, [0, 2], keepdims=True), K.var(b)],
    "variable": lambda K: variables(K),
    "zeros": lambda K: [K.zeros((2, 3)), K.zeros((2,), "float64")],
    "zeros_like": lambda K, m, i: [K.zeros_like(m), K.zeros_like(i), K.zeros_like(m, "int32")],
}


def inputs():
    """The inputs by name; k has ties and kinks, z has zeros."""
    rng = np.random.RandomState(10)
    shapes = {
        "m": (3, 4), "m2": (3, 4), "v": (4,), "w": (4,), "n": (3,), "q": (3, 4), "t": (2, 3, 4),
        "t2": (2, 4, 5), "u": (2, 4), "w2": (4, 5), "h": (3, 4, 2), "s": (2, 4), "s2": (2, 4),
        "one": (3, 1, 1), "long": (2, 8, 3), "filters": (3, 3, 2),
    }
    arrays = {name: rng.uniform(-2, 2, shape) for name, shape in sorted(shapes.items())}
    arrays["p"] = rng.uniform(0.2, 3, (3, 4))
    arrays["p1"], arrays["p2"] = rng.uniform(0.2, 3, (2, 4))
    prob = rng.uniform(0.1, 1, (3, 4))
    arrays["prob"] = prob / prob.sum(axis=1, keepdims=True)
    arrays["k"] = np.array([[-1, 0, 0, 1], [0.5, 0.5, -0.5, 2], [2, -1, 2, 2.0]])
    arrays["z"] = np.array([[2, 0, 3, 4], [0.5, 0, 0, 2], [2, -1, 2, 3.0]])
    arrays["h2"] = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])
    arrays = {name: array.astype("float32") for name, array in arrays.items()}
    arrays["i"] = np.array([2, 0, 1], "int32")
    arrays["j"] = np.array([[2, 0], [1, 1]], "int32")
    arrays["c2"] = np.array([[2, 0, 3], [1, 1, 0]], "int32")
    arrays["b"] = np.array([[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1]], bool)
    arrays["r"] = np.array([True, False, True])
    arrays["mask"] = np.array([[1, 0, 1], [0, 1, 0]], bool)
    return arrays


def names_of(case):
    """The names of the inputs of a case."""
    code = case.__code__
    return code.co_varnames[1 : code.co_argcount]


def cotangent(shape):
    return np.cos(np.arange(int(np.prod(shape)))).reshape(shape).astype("float32")


def main(json_path, npz_path):
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf
    from keras import backend as K

    arrays, described = {}, {}
    for name, array in inputs().items():
        arrays["inputs/" + name] = array
    for name, case in sorted(CASES.items()):
        K.clear_session()
        tensors = {
            n: K.variable(a) if a.dtype.kind == "f" else tf.constant(a)
            for n, a in inputs().items()
            if n in names_of(case)
        }
        results = case(K, *[tensors[n] for n in names_of(case)])
        values, total = [], []
        for number, result in enumerate(results):
            if not isinstance(result, (tf.Tensor, tf.Variable)):
                values.append(result)
                continue
            values.append(None)
            evaluated = K.get_session().run(result)
            arrays["%s/%d" % (name, number)] = evaluated
            if result.dtype.base_dtype in (tf.float32, tf.float64) and tensors:
                total.append(tf.reduce_sum(tf.cast(result, tf.float32) * cotangent(evaluated.shape)))
        floats = [n for n in tensors if arrays["inputs/" + n].dtype.kind == "f"]
        if total and floats:
            gradients = K.gradients(tf.add_n(total), [tensors[n] for n in floats])
            for n, gradient in zip(floats, gradients):
                if gradient is not None:
                    arrays["%s/d_%s" % (name, n)] = K.get_session().run(tf.convert_to_tensor(gradient))
        described[name] = values
    public = [
        n
        for n in dir(K)
        if n == "name_scope" or getattr(getattr(K, n), "__module__", "").startswith("keras.backend")
    ]
    public = [n for n in public if n[0] != "_"]
    with open(json_path, "w") as file:
        json.dump({"values": described, "public": public}, file, indent=1, sort_keys=True)
        file.write("\n")
    np.savez_compressed(npz_path, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
