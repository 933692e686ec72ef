"""Merging, convolution, pooling and normalization layers, computed by TensorFlow 1.4.1 itself.

Runs under Python 3.6 with tensorflow==1.4.1:

    python record_merge_conv_pool_norm.py merge_conv_pool_norm.json

Each case holds the constructor arguments, the inputs, the weights (also after the call, where it
updates them), the outputs, and the gradients of sum(outputs * cotangents) with respect to every
input and every trainable weight. Convolution and average pooling exist in float32 only there; the
rest is float64. The masks are what `compute_mask` of the merging layers returned.

Two things that TensorFlow 1.4 does not have as layers are put together from its operations: causal
padding (documented, but refused by Conv1D) is padding followed by a valid convolution, and
LayerNormalization is `moments` and `batch_normalization` of `tf.nn`.
"""
import json
import os
import sys

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
import numpy as np
import tensorflow as tf
from tensorflow.python.keras._impl.keras.layers import merge

K = tf.keras.backend
layers = tf.keras.layers


def merging():
    """(class, arguments, shapes of the inputs, further settings) of each case."""
    same = [(2, 3)] * 3
    ranks = [(2, 3, 4), (2, 1, 4), (2, 4)]
    for name in ['Add', 'Multiply', 'Average', 'Maximum']:
        yield name, {}, same, {'whole': name == 'Maximum'}
        yield name, {}, ranks, {'whole': name == 'Maximum'}
    yield 'Add', {}, [(2,), (2, 3, 2)], {}
    yield 'Subtract', {}, [(2, 3), (2, 3)], {}
    yield 'Subtract', {}, [(2, 4), (2, 3, 4)], {}
    yield 'Concatenate', {}, [(2, 3, 1), (2, 3, 4), (2, 3, 2)], {}
    yield 'Concatenate', {'axis': 1}, [(2, 3, 2), (2, 1, 2)], {}
    yield 'Dot', {'axes': 1}, [(3, 4), (3, 4)], {}
    yield 'Dot', {'axes': -1, 'normalize': True}, [(3, 4), (3, 4)], {'zero_row': True}
    yield 'Dot', {'axes': -1}, [(2, 3, 4), (2, 5, 4)], {}
    yield 'Dot', {'axes': 1}, [(2, 4, 3), (2, 4, 5)], {}
    yield 'Dot', {'axes': [1, 2]}, [(2, 4, 3), (2, 5, 4)], {}
    yield 'Dot', {'axes': [-1, -2]}, [(2, 3, 4), (2, 4, 5)], {}
    yield 'Dot', {'axes': [1, 2]}, [(2, 4), (2, 3, 4)], {}
    yield 'Dot', {'axes': [1, 1]}, [(2, 3), (2, 3, 4)], {}
    yield 'Dot', {'axes': [2, 1]}, [(2, 3, 4), (2, 4)], {}
    yield 'Dot', {'axes': [1, 1], 'normalize': True}, [(2, 3, 4), (2, 3, 5)], {}
    yield 'Dot', {'axes': 3}, [(2, 3, 4, 5), (2, 3, 2, 5)], {}
    yield 'Dot', {'axes': [3, 2]}, [(2, 3, 4, 5), (2, 3, 5, 2)], {}


def convolutions():
    for arguments in [
            {'kernel_size': 3}, {'kernel_size': 1}, {'kernel_size': [2], 'strides': 2},
            {'kernel_size': 3, 'strides': 3}, {'kernel_size': 7},
            {'kernel_size': 4, 'padding': 'same'}, {'kernel_size': 3, 'padding': 'SAME'},
            {'kernel_size': 3, 'strides': 2, 'padding': 'same'},
            {'kernel_size': 4, 'strides': 3, 'padding': 'same'},
            {'kernel_size': 2, 'strides': 4, 'padding': 'same'},
            {'kernel_size': 9, 'padding': 'same'}, {'kernel_size': 3, 'dilation_rate': 3},
            {'kernel_size': 2, 'dilation_rate': [2], 'padding': 'same'},
            {'kernel_size': 4, 'dilation_rate': 3, 'padding': 'same'},
            {'kernel_size': 3, 'padding': 'causal'},
            {'kernel_size': 3, 'dilation_rate': 2, 'padding': 'causal'},
            {'kernel_size': 4, 'strides': 2, 'padding': 'causal'},
            {'kernel_size': 2, 'use_bias': False, 'activation': 'tanh'},
            {'kernel_size': 2, 'activation': 'softmax'}, {'kernel_size': 2, 'activation': 'relu'}]:
        yield 'Conv1D', dict(arguments, filters=2), [(2, 7, 3)], {'dtype': 'float32'}


def pooling():
    for name in ['MaxPooling1D', 'AveragePooling1D']:
        dtype = 'float32' if name == 'AveragePooling1D' else 'float64'
        for arguments in [
                {}, {'pool_size': 3}, {'pool_size': 3, 'strides': 1}, {'pool_size': [7]},
                {'pool_size': 2, 'strides': [3]}, {'pool_size': 1},
                {'pool_size': 2, 'padding': 'same'}, {'pool_size': 4, 'padding': 'same'},
                {'pool_size': 3, 'strides': 1, 'padding': 'Same'},
                {'pool_size': 2, 'strides': 4, 'padding': 'same'},
                {'pool_size': 7, 'strides': 2, 'padding': 'same'}]:
            yield name, arguments, [(2, 7, 3)], {'dtype': dtype, 'whole': True}
    # The mean over windows longer than the sequence is left out: TensorFlow 1.4's gradient of it is
    # not that of its outputs, which are linear (0.143 where a step of 1 changes them by 0.2).
    yield ('MaxPooling1D', {'pool_size': 9, 'strides': 2, 'padding': 'same'}, [(2, 7, 3)],
           {'whole': True})
    yield 'GlobalMaxPooling1D', {}, [(2, 7, 3)], {'whole': True}
    yield 'GlobalAveragePooling1D', {}, [(2, 7, 3)], {}


def normalizations():
    for training in [True, False]:
        mode = {'training': training}
        yield 'BatchNormalization', {}, [(4, 3)], mode
        yield 'BatchNormalization', {'momentum': 0.75, 'epsilon': 0.1}, [(2, 5, 3)], mode
        yield 'BatchNormalization', {'axis': 1}, [(2, 5, 3)], mode
        yield 'BatchNormalization', {'axis': -2, 'scale': False}, [(2, 5, 3)], mode
        yield 'BatchNormalization', {'center': False}, [(2, 5, 3)], mode
        # On four axes TensorFlow takes another path, fused and in float32
        yield 'BatchNormalization', {}, [(2, 3, 2, 4)], dict(mode, dtype='float32')
        yield ('BatchNormalization', {'axis': 3, 'epsilon': 1e-6}, [(2, 3, 2, 4)],
               dict(mode, dtype='float32'))
        yield 'BatchNormalization', {'axis': 2}, [(2, 3, 2, 4)], mode
    yield 'LayerNormalization', {}, [(2, 3, 4)], {}
    yield 'LayerNormalization', {'axis': 1, 'epsilon': 0.1}, [(2, 3, 4)], {}
    yield 'LayerNormalization', {'axis': [1, 2]}, [(2, 3, 4)], {}
    yield 'LayerNormalization', {'axis': [-1], 'scale': False}, [(2, 4)], {}
    yield 'LayerNormalization', {'center': False}, [(2, 4)], {}


class LayerNormalization(object):
    """The formula of tf.keras 2 in the operations of TensorFlow 1.4."""

    def __init__(self, axis=-1, epsilon=1e-3, center=True, scale=True):
        self.axis = axis if isinstance(axis, list) else [axis]
        self.epsilon, self.center, self.scale = epsilon, center, scale

    def __call__(self, x):
        shape = x.get_shape().as_list()
        axes = [a % len(shape) for a in self.axis]
        broadcast = [n if i in axes else 1 for i, n in enumerate(shape)]
        make = lambda: K.variable(np.zeros([shape[a] for a in axes]))
        self.gamma = make() if self.scale else None
        self.beta = make() if self.center else None
        self.weights = [w for w in (self.gamma, self.beta) if w is not None]
        self.trainable_weights = self.weights
        self.updates = []
        mean, variance = tf.nn.moments(x, axes, keep_dims=True)
        spread = lambda w: None if w is None else tf.reshape(w, broadcast)
        return tf.nn.batch_normalization(
            x, mean, variance, spread(self.beta), spread(self.gamma), self.epsilon)


def call(name, arguments, inputs, settings):
    """The layer and its output."""
    if name == 'LayerNormalization':
        layer = LayerNormalization(**arguments)
        return layer, layer(inputs[0])
    cls = getattr(layers, name, None) or getattr(merge, name)
    if arguments.get('padding') == 'causal':
        span = arguments.get('dilation_rate', 1) * (arguments['kernel_size'] - 1)
        inputs = [tf.pad(inputs[0], [[0, 0], [span, 0], [0, 0]])]
        arguments = dict(arguments, padding='valid')
    layer = cls(**arguments)
    keywords = {'training': settings['training']} if 'training' in settings else {}
    return layer, layer(inputs if len(inputs) > 1 else inputs[0], **keywords)


def plain(array):
    """Nested lists of numbers, of 11 digits in float64 and of 8 in float32."""
    form = '%.8g' if array.dtype == 'float32' else '%.11g'
    return json.loads(json.dumps(array.tolist()), parse_float=lambda s: float(form % float(s)))


def record(rng, name, arguments, shapes, settings):
    dtype = settings.get('dtype', 'float64')
    K.clear_session()
    K.set_floatx(dtype)
    draw = lambda *shape: np.round(rng.randn(*shape), 0 if settings.get('whole') else 2)
    values = [draw(*shape).astype(dtype) for shape in shapes]
    if settings.get('zero_row'):
        values[0][1] = 0
    inputs = [tf.constant(v) for v in values]
    layer, output = call(name, arguments, inputs, settings)
    session = K.get_session()
    weights = [np.round(rng.rand(*w.get_shape().as_list()) + 0.3, 2) for w in layer.weights]
    session.run(tf.global_variables_initializer())
    for variable, weight in zip(layer.weights, weights):
        K.set_value(variable, weight)
    cotangents = np.round(rng.randn(*session.run(output).shape), 2).astype(dtype)
    wrt = inputs + layer.trainable_weights
    slopes = tf.gradients(tf.reduce_sum(output * cotangents), wrt)
    results, slopes, _ = session.run([output, slopes, layer.updates])
    after = [plain(w) for w in session.run(layer.weights)]
    found = {
        'layer': name, 'arguments': arguments, 'dtype': dtype,
        'training': settings.get('training'), 'inputs': [plain(v) for v in values],
        'weights': [plain(w) for w in weights], 'cotangents': plain(cotangents),
        'outputs': plain(results), 'input_gradients': [plain(s) for s in slopes[:len(inputs)]],
        'weight_gradients': [plain(s) for s in slopes[len(inputs):]],
    }
    if layer.updates:
        found['weights_after'] = after
    return found


def record_masks(rng):
    """What compute_mask of the merging layers makes of masks, None included."""
    given = [rng.rand(2, 3) > 0.4, rng.rand(2, 3) > 0.4, rng.rand(2, 2) > 0.4]
    cases = [('Add', {}, [0, 1]), ('Multiply', {}, [0, None]), ('Maximum', {}, [None, None]),
             ('Average', {}, [0, 1, None]), ('Concatenate', {}, [0, 1]),
             ('Concatenate', {}, [None, 1]), ('Concatenate', {'axis': 1}, [0, 2, 1]),
             ('Concatenate', {'axis': -2}, [2, 0]), ('Concatenate', {}, [None, None]),
             ('Dot', {'axes': 2}, [0, 1])]
    for name, arguments, picks in cases:
        K.clear_session()
        masks = [None if i is None else given[i] for i in picks]
        inputs = [tf.zeros((2, 3 if m is None else m.shape[1], 4)) for m in masks]
        layer = getattr(merge, name)(**arguments)
        result = layer.compute_mask(inputs, [None if m is None else tf.constant(m) for m in masks])
        yield {'layer': name, 'arguments': arguments,
               'masks': [None if m is None else m.tolist() for m in masks],
               'result': None if result is None else K.get_session().run(result).tolist()}


def main():
    rng = np.random.RandomState(0)
    table = [c for part in (merging, convolutions, pooling, normalizations) for c in part()]
    cases = [record(rng, *case) for case in table]
    lines = [',\n'.join(json.dumps(row, sort_keys=True, separators=(',', ':')) for row in rows)
             for rows in (cases, record_masks(rng))]
    with open(sys.argv[1], 'w') as stream:
        stream.write('{"tensorflow": "%s",\n"cases": [\n%s\n],\n"masks": [\n%s\n]}\n'
                     % (tf.__version__, lines[0], lines[1]))


if __name__ == '__main__':
    main()
