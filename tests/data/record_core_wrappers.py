"""Core layers, embeddings and wrappers, computed by TensorFlow 1.4.1 itself.

Runs under Python 3.6 with tensorflow==1.4.1:

    python record_core_wrappers.py core_wrappers.json

Each case holds the layer (class name and arguments; that of a wrapper has its own layer under
"layer"), the input, the mask or None, the weights, the outputs, the output masks, and the gradients
of sum(outputs * cotangents) with respect to the input (None for indices) and every weight. All of
it is float64.

"penalties" holds what a wrapper around layers with regularizers answers: the number of its losses,
and the penalty that a model which contains it adds to its own loss, with the weights for it.
"""
import json
import os
import sys

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
import numpy as np
import tensorflow as tf

K = tf.keras.backend
layers = tf.keras.layers
MASKS = np.array([[1, 1, 1, 0], [0, 1, 0, 1], [0, 0, 0, 0]], bool)


def spec(name, inner=None, **arguments):
    return {'layer': name, 'arguments': arguments, 'inner': inner}


def cases():
    """(spec, shape of the input or the input, mask or None) of each case."""
    vectors, sequences, grids = (3, 5), (3, 4, 2), (2, 3, 4, 2)
    for shape in [vectors, sequences, grids]:
        yield spec('Dense', units=3, activation='tanh'), shape, None
    for activation in ['linear', 'relu', 'softmax', 'hard_sigmoid', 'selu', 'softplus']:
        yield spec('Dense', units=3, activation=activation), vectors, None
    yield spec('Dense', units=2, use_bias=False), sequences, MASKS
    for activation in ['softmax', 'elu', 'softsign', 'sigmoid']:
        yield spec('Activation', activation=activation), sequences, MASKS
    kinked = np.array([[-1., 0., 2., -0.]])
    for alpha in [0., .5, 2.]:
        yield spec('LeakyReLU', alpha=alpha), kinked, None
    yield spec('Activation', activation='relu'), kinked, None
    padded = np.array([[[1., 2.], [3., 3.], [3., 0.], [3., 3.]], [[0., 0.]] * 4])
    yield spec('Masking'), padded, None
    yield spec('Masking', mask_value=3.), padded, None
    yield spec('Masking', mask_value=3.), np.array([[3., 3.], [0., 3.]]), None
    yield spec('Flatten'), grids, None
    yield spec('Reshape', target_shape=[2, 4]), sequences, None
    yield spec('Reshape', target_shape=[2, -1, 3]), grids, None
    yield spec('Permute', dims=[2, 1]), sequences, None
    yield spec('Permute', dims=[3, 1, 2]), grids, None
    yield spec('RepeatVector', n=3), vectors, None
    words = np.array([[1, 4, 4, 0], [3, 1, 0, 0], [0, 0, 0, 0]])
    yield spec('Embedding', input_dim=6, output_dim=3), words, None
    yield spec('Embedding', input_dim=6, output_dim=3, mask_zero=True), words, None
    yield spec('Embedding', input_dim=5, output_dim=2), words.astype('float64'), None
    yield spec('TimeDistributed', spec('Dense', units=3, activation='tanh')), sequences, MASKS
    yield spec('TimeDistributed', spec('Flatten')), grids, None
    yield spec('TimeDistributed', spec('Reshape', target_shape=[8])), grids, None
    for mode in ['sum', 'mul', 'ave', 'concat', None]:
        for sequence in [True, False]:
            for mask in [None, MASKS]:
                inner = spec('LSTM', units=3, return_sequences=sequence,
                             go_backwards=mode in ('ave', 'concat') and mask is not None)
                yield spec('Bidirectional', inner, merge_mode=mode), sequences, mask


def made(description, **kwargs):
    arguments = dict(description['arguments'], **kwargs)
    if description['inner']:
        arguments['layer'] = made(description['inner'])
    return getattr(layers, description['layer'])(**arguments)


def as_list(value):
    return list(value) if isinstance(value, (list, tuple)) else [value]


def drawn(rng, shape):
    return rng.randn(*shape).round(3)  # short to write down, and exact


def listed(array):
    return np.asarray(array).round(13).tolist()


def weights_for(layer, rng):
    return [drawn(rng, K.int_shape(v)) for v in layer.weights]


def record(rng, description, given, mask):
    K.clear_session()
    x = drawn(rng, given) if isinstance(given, tuple) else given
    inputs = tf.placeholder(tf.as_dtype(x.dtype), [None] + list(x.shape[1:]))
    inputs._keras_mask = None if mask is None else tf.constant(mask)
    layer = made(description)
    outputs = as_list(layer(inputs, **({} if mask is None or description['layer'] in
                                       ('Dense', 'Activation', 'TimeDistributed')
                                       else {'mask': inputs._keras_mask})))
    masks = as_list(layer.compute_mask(inputs, inputs._keras_mask))
    masks *= len(outputs) if masks == [None] else 1  # as Keras reads a lone None
    weights = weights_for(layer, rng)
    for variable, value in zip(layer.weights, weights):
        K.set_value(variable, value)
    session = K.get_session()
    feed = {inputs: x}
    values = session.run(outputs, feed)
    cotangents = [drawn(rng, y.shape) for y in values]
    wanted = ([inputs] if x.dtype.kind == 'f' and 'Embedding' not in str(description) else [])
    loss = tf.add_n([tf.reduce_sum(y * d) for y, d in zip(outputs, cotangents)])
    gradients = tf.gradients(loss, wanted + layer.weights)
    gradients = [tf.convert_to_tensor(g) for g in gradients]
    gradients = [listed(g) for g in session.run(gradients, feed)]
    return {
        'spec': description, 'input': x.tolist(), 'mask': None if mask is None else mask.tolist(),
        'weights': [w.tolist() for w in weights],
        'outputs': [listed(y) for y in values],
        'output_masks': [None if m is None else session.run(m, feed).tolist() for m in masks],
        'cotangents': [d.tolist() for d in cotangents],
        'input_gradient': gradients[0] if wanted else None,
        'weight_gradients': gradients[len(wanted):],
    }


def record_penalties(rng):
    penalty = lambda: tf.keras.regularizers.l1_l2(.5, .25)
    table = [
        ('TimeDistributed', layers.Dense(2, kernel_regularizer=penalty())),
        ('Bidirectional', layers.LSTM(2, kernel_regularizer=penalty(),
                                      activity_regularizer=penalty())),
    ]
    for name, inner in table:
        layer = getattr(layers, name)(inner, input_shape=(3, 2))
        model = tf.keras.models.Sequential([layer])
        model.set_weights(weights_for(layer, rng))
        yield {
            'layer': name, 'weights': [w.tolist() for w in layer.get_weights()],
            'losses': len(layer.losses),
            'model_penalty': float(sum(K.get_session().run(model.losses))),
        }


def main():
    K.set_floatx('float64')
    rng = np.random.RandomState(0)
    rows = [record(rng, *case) for case in cases()]
    K.clear_session()
    parts = [',\n'.join(json.dumps(row, sort_keys=True, separators=(',', ':')) for row in part)
             for part in (rows, record_penalties(rng))]
    with open(sys.argv[1], 'w') as stream:
        stream.write('{"tensorflow": "%s",\n"cases": [\n%s\n],\n"penalties": [\n%s\n]}\n'
                     % (tf.__version__, parts[0], parts[1]))


if __name__ == '__main__':
    main()
