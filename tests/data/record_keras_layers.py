"""Layers that Keras 2.0.9 has and TensorFlow 1.4's documentation does not, and character taggers.

Runs under Python 3.6 with keras==2.0.9 and tensorflow==1.4.1:

    python record_keras_layers.py keras_layers.json

"cases": layers in float64, each with its class and arguments, inputs, weights, outputs, the penalty
of its losses, and the gradients of sum(outputs * cotangents) with respect to every input and weight.
"alpha_dropout": what a dropped and a kept input becomes. "gaussian_dropout": the spread of a million
factors. "chains": models in float32 of layers one after the other, with what they predict and
whether each layer's output has a mask. "taggers": the same for words beside their characters.
"names": what a first layer is called, and "configs" what its config holds.
"""
import json
import os
import sys

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
import numpy as np
import keras
from keras import backend as K
from keras import layers, models

KINKED = np.array([[-1., 0., 2., -0.5], [3., -0.25, 0.5, 0.25]])
EQUAL = [np.array([[1., 5., 2., 0.]]), np.array([[1., 2., 9., 0.]]), np.array([[1., 2., 0., 0.]])]
CHARACTERS = np.array([[[1, 4, 2, 0, 0], [3, 0, 0, 0, 0], [0, 0, 0, 0, 0]],
                       [[2, 2, 2, 5, 1], [5, 3, 0, 0, 0], [1, 4, 4, 2, 0]]])
WORDS = np.array([[3, 1, 0], [2, 4, 4]])


def spec(name, inner=None, **arguments):
    return {'layer': name, 'arguments': arguments, 'inner': inner}


def cases():
    """(spec, inputs or their shapes) of each case."""
    for alpha in [-2., -0.5, 0., 0.3, 1.5]:
        yield spec('LeakyReLU', alpha=alpha), [KINKED]
    for alpha in [-0.5, 0., 0.7, 1.]:
        yield spec('ELU', alpha=alpha), [KINKED]
        yield spec('ELU', alpha=alpha), [(2, 3, 4)]
    for theta in [-0.5, 0., 0.25, 1.]:
        yield spec('ThresholdedReLU', theta=theta), [KINKED]
    yield spec('PReLU'), [KINKED]
    for axes in [None, 1, [1], [2], [1, 2], [1, 1]]:
        yield spec('PReLU', shared_axes=axes), [(2, 3, 4)]
    yield spec('PReLU', shared_axes=[1, 3]), [(2, 3, 2, 4)]
    yield spec('PReLU', shared_axes=[2], alpha_regularizer='l1', alpha_constraint='non_neg'), [
        (2, 3, 4)]
    for factors in [(0., 0.), (0.5, 0.25), (-0.1, 2.)]:
        yield spec('ActivityRegularization', l1=factors[0], l2=factors[1]), [KINKED]
    for padding in [0, 1, (2, 0), [0, 3]]:
        yield spec('ZeroPadding1D', padding=padding), [(2, 3, 2)]
    for cropping in [0, 1, (2, 0), [0, 3], (1, 3)]:
        yield spec('Cropping1D', cropping=cropping), [(2, 5, 2)]
    for size in [1, 2, 3]:
        yield spec('UpSampling1D', size=size), [(2, 3, 2)]
    yield spec('Minimum'), EQUAL[:2]
    yield spec('Minimum'), EQUAL
    yield spec('Minimum'), [(2, 3, 4), (2, 1, 4), (2, 4)]


def chains():
    """The layers of each model of characters (rows, words, characters)."""
    timed = lambda inner: spec('TimeDistributed', inner)
    lstm = spec('LSTM', units=3)
    tags = [spec('Bidirectional', spec('LSTM', units=2, return_sequences=True)),
            timed(spec('Dense', units=2, activation='softmax'))]
    for arguments in [{}, {'input_length': 5}, {'mask_zero': True}]:
        embedding = timed(spec('Embedding', input_dim=6, output_dim=4, **arguments))
        yield [embedding, timed(lstm)] + tags
        yield [embedding, timed(spec('Bidirectional', lstm))] + tags
        yield [embedding, timed(spec('Conv1D', filters=3, kernel_size=3, activation='relu')),
               timed(spec('GlobalMaxPooling1D'))] + tags
    yield [timed(spec('Embedding', input_dim=6, output_dim=4, mask_zero=True)),
           timed(timed(spec('Dense', units=3))), timed(spec('Flatten'))] + tags
    yield [spec('Embedding', input_dim=6, output_dim=4, input_length=[3, 5]),
           timed(spec('Masking')), timed(lstm)] + tags
    yield [spec('Embedding', input_dim=6, output_dim=4, input_length=[None, 5]),
           timed(spec('Flatten'))] + tags
    yield [spec('Embedding', input_dim=6, output_dim=4, mask_zero=True), timed(spec('Flatten'))]


def made(description, **more):
    arguments = dict(description['arguments'], **more)
    if description['inner']:
        arguments['layer'] = made(description['inner'])
    return getattr(layers, description['layer'])(**arguments)


def listed(array):
    return np.round(np.asarray(array, 'float64'), 13).tolist()


def drawn(rng, weights):
    return [np.round(rng.randn(*K.int_shape(w)), 2) for w in weights]


def record_case(rng, description, given):
    values = [np.round(rng.randn(*x), 3) if isinstance(x, tuple) else x for x in given]
    inputs = [layers.Input(x.shape[1:]) for x in values]
    layer = made(description)
    output = layer(inputs if len(inputs) > 1 else inputs[0])
    weights = drawn(rng, layer.weights)
    layer.set_weights(weights)
    session, feed = K.get_session(), dict(zip(inputs, values))
    cotangents = np.round(rng.randn(*session.run(output, feed).shape), 2)
    gradients = K.gradients(K.sum(output * cotangents), inputs + layer.weights)
    results, found = session.run([output, gradients], feed)
    penalties = session.run([x for x in layer.losses if not isinstance(x, float)], feed)
    return {
        'spec': description, 'inputs': [x.tolist() for x in values],
        'weights': [w.tolist() for w in weights], 'outputs': listed(results),
        'cotangents': cotangents.tolist(), 'penalty': float(sum(penalties)),
        'input_gradients': [listed(g) for g in found[:len(inputs)]],
        'weight_gradients': [listed(g) for g in found[len(inputs):]],
    }


def record_alpha_dropout(rate):
    x = layers.Input((1,))
    y = layers.AlphaDropout(rate)(x, training=True)
    for value in [-1.5, 0., 2.]:
        results = K.get_session().run(y, {x: np.full((200, 1), value)})
        dropped, kept = sorted(set(results.ravel()))
        yield {'rate': rate, 'input': value, 'dropped': dropped, 'kept': kept}


def record_gaussian_dropout(rate):
    x = layers.Input((1000,))
    y = layers.GaussianDropout(rate)(x, training=True)
    results = K.get_session().run(y, {x: np.ones((1000, 1000))})
    return {'rate': rate, 'mean': float(results.mean()), 'deviation': float(results.std())}


def predicted(rng, model, values):
    weights = drawn(rng, model.weights)
    model.set_weights(weights)
    return {'weights': [w.tolist() for w in weights], 'outputs': listed(model.predict(values))}


def masked(layer):
    return layer.get_output_mask_at(0) is not None


def record_chain(rng, descriptions):
    x = y = layers.Input((3, 5))
    stack = [made(description) for description in descriptions]
    for layer in stack:
        y = layer(y)
    return dict(predicted(rng, models.Model(x, y), CHARACTERS), layers=descriptions,
                masked=[masked(layer) for layer in stack])


def record_tagger(rng, mask_zero, convolution):
    timed = layers.TimeDistributed
    words, characters = layers.Input((None,)), layers.Input((None, 5), dtype='int32')
    x = timed(layers.Embedding(6, 4, mask_zero=mask_zero, input_length=5))(characters)
    if convolution:
        x = timed(layers.GlobalMaxPooling1D())(timed(layers.Conv1D(3, 3, padding='same'))(x))
    else:
        x = timed(layers.LSTM(3))(x)
    join = layers.Concatenate()
    x = join([layers.Embedding(5, 4, mask_zero=True)(words), x])
    both = layers.Bidirectional(layers.LSTM(2, return_sequences=True))
    x = timed(layers.Dense(2, activation='softmax'))(both(x))
    found = predicted(rng, models.Model([words, characters], x), [WORDS, CHARACTERS])
    return dict(found, mask_zero=mask_zero, convolution=convolution,
                masked=[masked(join), masked(both)])


def record_configs():
    for layer in [layers.PReLU(shared_axes=1), layers.ELU(), layers.ThresholdedReLU(2),
                  layers.GaussianDropout(.3), layers.AlphaDropout(.3),
                  layers.ActivityRegularization(.1, .2), layers.ZeroPadding1D(3),
                  layers.Cropping1D(), layers.UpSampling1D(), layers.Minimum()]:
        yield {'layer': type(layer).__name__, 'config': layer.get_config()}


def main():
    rng = np.random.RandomState(0)
    K.set_floatx('float64')
    found = {
        'configs': list(record_configs()),
        'cases': [record_case(rng, *case) for case in cases()],
        'alpha_dropout': [row for rate in (0.1, 0.5, 0.8) for row in record_alpha_dropout(rate)],
        'gaussian_dropout': [record_gaussian_dropout(rate) for rate in (0.1, 0.5, 0.8)],
    }
    K.set_floatx('float32')
    found['chains'] = [record_chain(rng, chain) for chain in chains()]
    found['taggers'] = [record_tagger(rng, mask, convolution)
                        for mask in (False, True) for convolution in (False, True)]
    with open(sys.argv[1], 'w') as stream:
        stream.write('{"keras": "%s"' % keras.__version__)
        for name in sorted(found):
            rows = ',\n'.join(json.dumps(row, sort_keys=True, separators=(',', ':'))
                              for row in found[name])
            stream.write(',\n"%s": [\n%s\n]' % (name, rows))
        stream.write('}\n')


if __name__ == '__main__':
    main()
