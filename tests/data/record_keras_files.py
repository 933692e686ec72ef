"""Small models in the files of other Keras versions, with what they predict and how they train on.

    python record_keras_files.py tf_keras OUT    # tf_keras 2.21 with tensorflow-cpu 2.21
    python record_keras_files.py keras3 OUT      # keras 3.15 with tensorflow-cpu 2.21
    python record_keras_files.py keras2 OUT      # keras 2.0.9 with tensorflow 1.4.1 (Python 3.6)
    python record_keras_files.py keras1 OUT      # keras 1.2.2 with tensorflow 1.4.1 (Python 3.6)

For each model: NAME.h5 (the model), NAME_w.h5 (its weights) and, with tf_keras and keras3,
NAME.keras and NAME.weights.h5; NAME.npz has the inputs x_0 ..., the predictions y_0 ..., the
targets t_0 and, of the models that train without random numbers, the predictions after one more
batch, z_0 ....
"""
import os
import sys

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
os.environ['KERAS_BACKEND'] = 'tensorflow'
import numpy as np

WHICH = sys.argv[1]
if WHICH == 'tf_keras':
    import tf_keras as keras
else:
    import keras
L = keras.layers
Sequential = keras.models.Sequential
Input = L.Input if hasattr(L, 'Input') else keras.Input


def stack(rng):
    """Masks, hard_sigmoid, both directions, a penalty."""
    model = Sequential()
    model.add(L.Masking(0., input_shape=(6, 3)))
    model.add(L.LSTM(4, return_sequences=True, recurrent_activation='hard_sigmoid',
                     kernel_regularizer=keras.regularizers.l2(.01)))
    model.add(L.Bidirectional(L.LSTM(3, recurrent_activation='sigmoid')))
    model.add(L.Dense(2, activation='softmax'))
    x = rng.randn(4, 6, 3)
    x[0, 4:] = 0
    x[1, :2] = 0
    return model, [x], np.eye(2)[rng.randint(2, size=4)], 'categorical_crossentropy', 'Adam', {}


def translator(rng):
    """A graph: states passed on, an embedding with a mask, a cell."""
    source, target = Input((5,), name='source'), Input((4, 2), name='target')
    _, h, c = L.LSTM(4, return_state=True, recurrent_activation='hard_sigmoid',
                     name='reader')(L.Embedding(9, 3, mask_zero=True, name='words')(source))
    y = L.LSTM(4, return_sequences=True, recurrent_activation='sigmoid',
               name='writer')(target, initial_state=[h, c])
    if WHICH in ('tf_keras', 'keras3'):
        y = L.RNN(L.LSTMCell(3, recurrent_activation='sigmoid'), return_sequences=True,
                  name='cells')(y)
    y = L.TimeDistributed(L.Dense(2, activation='softmax'), name='head')(y)
    x = rng.randint(1, 9, (3, 5))
    x[0, 3:] = 0
    return (keras.models.Model([source, target], y), [x, rng.randn(3, 4, 2)],
            np.eye(2)[rng.randint(2, size=(3, 4))], 'categorical_crossentropy', 'RMSprop', {})


def nested(rng):
    """Models within a model, each called twice; two kinds of weights in one of them."""
    a, b, x = Input((4, 2), name='a'), Input((4, 2), name='b'), Input((4, 2), name='x')
    inner = keras.models.Model(x, L.LSTM(3, name='lstm_of_graph')(x), name='graph')
    stack = Sequential([L.LSTM(3, input_shape=(4, 2), name='lstm_of_stack'),
                        L.BatchNormalization(name='norm_of_stack'),
                        L.Dense(2, name='dense_of_stack')], name='stack')
    y = L.concatenate([inner(a), stack(b), inner(b), stack(a)], name='joined')
    model = keras.models.Model([a, b], L.Dense(1, name='head')(y))
    options = dict(momentum=.9, nesterov=True)
    return model, [rng.randn(4, 4, 2), rng.randn(4, 4, 2)], rng.randn(4, 1), 'mse', 'SGD', options


def layers(rng):
    """Other layers around an LSTM."""
    model = Sequential()
    model.add(L.Conv1D(4, 3, padding='same', activation='relu', input_shape=(8, 3)))
    model.add(L.BatchNormalization())
    model.add(L.MaxPooling1D(2))
    model.add(L.Dropout(.2, seed=3) if WHICH != 'keras2' else L.Dropout(.2))
    model.add(L.LSTM(3, return_sequences=True, kernel_constraint=keras.constraints.max_norm(2.)))
    model.add(L.LeakyReLU())
    model.add(L.GlobalAveragePooling1D())
    model.add(L.Dense(2, activation='tanh', activity_regularizer=keras.regularizers.l1(.01)))
    return model, [rng.randn(4, 8, 3)], rng.randn(4, 2), 'mae', 'Adagrad', None


def old_stack(rng):
    """Keras 1: names of arguments, weights by gate, kernels with an axis more."""
    model = Sequential()
    model.add(L.Embedding(9, 4, input_length=6, W_regularizer=keras.regularizers.l2(.01)))
    model.add(L.Convolution1D(4, 3, border_mode='same'))
    model.add(L.LSTM(3, return_sequences=True, inner_activation='hard_sigmoid',
                     consume_less='cpu', W_regularizer=keras.regularizers.l2(.01)))
    model.add(L.LSTM(3, inner_activation='sigmoid', consume_less='gpu', return_sequences=True))
    model.add(L.Bidirectional(L.LSTM(2, U_regularizer=keras.regularizers.l1(.01))))
    model.add(L.Dense(2, activation='softmax', W_constraint=keras.constraints.maxnorm(2)))
    return (model, [rng.randint(0, 9, (4, 6))], np.eye(2)[rng.randint(2, size=4)],
            'categorical_crossentropy', 'Adam', {})


def old_graph(rng):
    """Keras 1: a graph with merged branches."""
    a = L.Input((4, 3), name='a')
    y = L.merge([L.LSTM(3, name='forth')(a), L.LSTM(3, name='back', go_backwards=True)(a)],
                mode='concat', name='joined')
    y = L.merge([y, L.Dense(6, name='same')(y)], mode='sum', name='added')
    model = keras.models.Model(a, L.Dense(1, name='head')(y))
    return model, [rng.randn(4, 4, 3)], rng.randn(4, 1), 'mse', 'SGD', {}


MODELS = [old_stack, old_graph] if WHICH == 'keras1' else [stack, translator, nested, layers]


def make_variances_positive(model):
    for layer in model.layers:
        if hasattr(layer, 'layers'):
            make_variances_positive(layer)
        elif type(layer).__name__.startswith('BatchNorm'):
            layer.set_weights([np.abs(w) + .5 for w in layer.get_weights()])


def predictions(model, inputs):
    outputs = model.predict(inputs if len(inputs) > 1 else inputs[0], batch_size=len(inputs[0]))
    return outputs if isinstance(outputs, list) else [outputs]


def main():
    out = sys.argv[2]
    if not os.path.isdir(out):
        os.makedirs(out)
    rng = np.random.RandomState(1997)
    for build in MODELS:
        model, inputs, targets, loss, optimizer, options = build(rng)
        model.set_weights([rng.randn(*w.shape) * .4 for w in model.get_weights()])
        make_variances_positive(model)
        model.compile(getattr(keras.optimizers, optimizer)(**(options or {})), loss,
                      metrics=['accuracy'])
        model.train_on_batch(inputs if len(inputs) > 1 else inputs[0], targets)
        arrays = {'x_%d' % i: x for i, x in enumerate(inputs)}
        arrays.update({'y_%d' % i: y for i, y in enumerate(predictions(model, inputs))})
        arrays['t_0'] = targets
        path = os.path.join(out, build.__name__)
        if WHICH in ('tf_keras', 'keras3'):
            model.save(path + '.keras')  # first: to save .h5 makes Keras 3 forget the optimizer
            model.save_weights(path + '.weights.h5')
        model.save(path + '.h5')
        if WHICH != 'keras3':
            model.save_weights(path + '_w.h5')
        if options is not None:
            model.train_on_batch(inputs if len(inputs) > 1 else inputs[0], targets)
            arrays.update({'z_%d' % i: z for i, z in enumerate(predictions(model, inputs))})
        np.savez_compressed(path + '.npz', **arrays)
        print(build.__name__, sorted(arrays))


if __name__ == '__main__':
    main()
