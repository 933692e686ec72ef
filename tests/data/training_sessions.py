"""Training sessions that run under tf.keras of TensorFlow 1.4 and under cylstm alike.

Each is a function of the modules `layers` and `models` and of `Input`; it returns a dict of
numbers and names. As a program, under Python 3.6 with tensorflow==1.4.1, it records what
TensorFlow answers (with reading before writing, see record_ordered_training.py):

    python training_sessions.py OUT_FILE
"""
import json
import sys

import numpy as np

FLOAT = {'dtype': 'float64'}


def wave(*shape, **options):
    """Numbers without a pattern that the same formula gives everywhere."""
    start = options.get('start', 0.)
    return np.sin(.7 * np.arange(np.prod(shape)) ** 1.1 + start).reshape(shape)


def set_weights(model):
    model.set_weights([.5 * wave(*w.shape, start=i) for i, w in enumerate(model.get_weights())])
    return model


def outcome(model, history, **more):
    more['metrics_names'] = model.metrics_names
    more['history'] = history.history
    more['epoch'] = history.epoch
    return more


def two_ended(layers, models, Input):
    sequence = Input((4, 3), name='sequence', **FLOAT)
    extra = Input((2,), name='extra', **FLOAT)
    h = layers.LSTM(3, **FLOAT)(sequence)
    h = layers.Concatenate(**FLOAT)([h, extra])
    kind = layers.Dense(3, activation='softmax', name='kind', **FLOAT)(h)
    size = layers.Dense(1, name='size', **FLOAT)(h)
    return set_weights(models.Model([sequence, extra], [kind, size]))


X2 = {'sequence': wave(7, 4, 3), 'extra': wave(7, 2, start=2.)}
Y2 = {'kind': np.eye(3)[[0, 2, 1, 1, 0, 2, 2]], 'size': wave(7, 1, start=3.)}


def dicts(layers, models, Input):
    model = two_ended(layers, models, Input)
    model.compile('sgd', {'kind': 'categorical_crossentropy', 'size': 'mse'},
                  metrics={'kind': ['accuracy', 'mse'], 'size': 'mae'},
                  loss_weights={'size': .25})
    history = model.fit(X2, Y2, batch_size=3, epochs=2, shuffle=False, verbose=0,
                        class_weight={'kind': {0: 1., 1: 3., 2: .5}},
                        sample_weight={'size': np.array([1., 0., 2., 1., .5, 0., 4.])})
    return outcome(model, history, evaluation=model.evaluate(X2, Y2, batch_size=4, verbose=0),
                   predictions=model.predict(X2, batch_size=4))


def lists(layers, models, Input):
    model = two_ended(layers, models, Input)
    model.compile('adam', ['kullback_leibler_divergence', 'logcosh'], metrics=['accuracy', 'mae'],
                  loss_weights=[2., .5], weighted_metrics=['mse', 'accuracy'])
    x, y = [X2['sequence'], X2['extra']], [Y2['kind'], Y2['size']]
    weights = [np.array([1., 2., 0., 1., 1., 3., 1.]), np.array([.5, 0., 0., 1., 2., 1., 1.])]
    validation = ([a[:4] for a in x], [a[:4] for a in y], [w[:4] for w in weights])
    history = model.fit(x, y, batch_size=4, epochs=4, initial_epoch=2, shuffle=False, verbose=0,
                        validation_data=validation, sample_weight=weights)
    tested = model.test_on_batch(x, y, sample_weight=weights)
    trained = model.train_on_batch(x, y, class_weight=[{0: 1., 1: 2., 2: 3.}, None])
    return outcome(model, history, tested=tested, trained=trained,
                   after=model.test_on_batch(x, y))


def one_trained(layers, models, Input):
    model = two_ended(layers, models, Input)
    model.get_layer('kind').trainable = False
    model.compile('rmsprop', [None, 'mean_absolute_error'], metrics=['mse'])
    history = model.fit(X2, Y2['size'], epochs=2, shuffle=False, verbose=0)
    return outcome(model, history, predictions=model.predict(X2))


def same_layer_twice(layers, models, Input):
    a, b = Input((2,), **FLOAT), Input((2,), **FLOAT)
    shared = layers.Dense(2, name='shared', **FLOAT)
    model = set_weights(models.Model([a, b], [shared(a), shared(b)]))
    model.compile('sgd', 'mse', metrics=['mae'])
    x, y = [wave(5, 2), wave(5, 2, start=1.)], [wave(5, 2, start=2.), wave(5, 2, start=3.)]
    return outcome(model, model.fit(x, y, shuffle=False, verbose=0))


def temporal(layers, models, Input):
    model = models.Sequential()
    model.add(layers.Masking(0., input_shape=(5, 2), **FLOAT))
    model.add(layers.LSTM(3, return_sequences=True, **FLOAT))
    model.add(layers.TimeDistributed(layers.Dense(2, **FLOAT)))
    set_weights(model)
    model.compile('adagrad', 'mse', metrics=['mae'], weighted_metrics=['mae'],
                  sample_weight_mode='temporal')
    x, y = wave(6, 5, 2), wave(6, 5, 2, start=5.)
    for row, length in enumerate([5, 3, 1, 4, 2, 5]):
        x[row, length:] = 0.
    weight = np.abs(wave(6, 5, start=4.)) * (np.arange(5) != 1)
    history = model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0,
                        sample_weight=weight, validation_split=.34)
    return outcome(model, history, evaluation=model.evaluate(x, y, verbose=0),
                   weighted=model.evaluate(x, y, sample_weight=weight, verbose=0))


def class_weights(layers, models, Input):
    model = models.Sequential()
    model.add(layers.LSTM(3, input_shape=(4, 2), **FLOAT))
    model.add(layers.Dense(3, activation='softmax', **FLOAT))
    set_weights(model)
    model.compile('nadam', 'sparse_categorical_crossentropy', metrics=['accuracy'],
                  weighted_metrics=['accuracy'])
    x, y = wave(9, 4, 2), np.array([0, 1, 2, 2, 1, 0, 1, 1, 2])
    history = model.fit(x, y, batch_size=2, epochs=2, shuffle=False, verbose=0,
                        validation_split=.3, class_weight={0: 1., 1: .2, 2: 4.})
    return outcome(model, history, classes=model.predict_classes(x, verbose=0),
                   probabilities=model.predict_proba(x, verbose=0))


def stateful(layers, models, Input):
    model = models.Sequential()
    model.add(layers.LSTM(3, stateful=True, batch_input_shape=(2, 3, 2), **FLOAT))
    model.add(layers.Dense(1, **FLOAT))
    set_weights(model)
    model.compile('sgd', 'mse')
    x, y = wave(6, 3, 2), wave(6, 1, start=1.)
    history = model.fit(x, y, batch_size=2, epochs=2, shuffle=False, verbose=0,
                        validation_data=(x[:4], y[:4]))
    first, second = model.predict(x, batch_size=2), model.predict(x, batch_size=2)
    model.reset_states()
    return outcome(model, history, first=first, second=second,
                   loss=model.evaluate(x, y, batch_size=2, verbose=0),
                   batch=model.predict_on_batch(x[:2]))


def generators(layers, models, Input):
    model = models.Sequential()
    model.add(layers.LSTM(3, input_shape=(None, 2), **FLOAT))
    model.add(layers.Dense(2, activation='softmax', **FLOAT))
    set_weights(model)
    model.compile('adadelta', 'categorical_crossentropy', metrics=['acc'])

    def batches(weighted):
        number = 0
        while True:
            rows, steps = 1 + number % 3, 2 + number % 4
            x, y = wave(rows, steps, 2, start=number), np.eye(2)[np.arange(rows) % 2]
            yield (x, y, np.arange(1., rows + 1)) if weighted else (x, y)
            number += 1

    unvalidated = model.fit_generator(batches(True), 3, epochs=2, verbose=0)
    history = model.fit_generator(batches(True), 4, epochs=1, verbose=0,
                                  validation_data=batches(False), validation_steps=4)
    arrays = wave(6, 3, 2), np.eye(2)[[0, 1, 1, 0, 1, 0]]
    last = model.fit_generator(batches(False), 2, epochs=1, verbose=0, validation_data=arrays)
    return outcome(model, history, unvalidated=unvalidated.history,
                   last=last.history,
                   evaluation=model.evaluate_generator(batches(True), 5),
                   predictions=model.predict_generator(batches(False), 4))


def whole_arrays(layers, models, Input):
    x = Input((3, 2), **FLOAT)
    model = set_weights(models.Model(x, layers.LSTM(2, activity_regularizer='l2', **FLOAT)(x)))
    model.compile('sgd', 'mse', metrics=['mae'])
    x, y = wave(5, 3, 2), wave(5, 2, start=1.)
    history = model.fit(x, y, steps_per_epoch=3, epochs=2, verbose=0, validation_data=(x, y),
                        validation_steps=2)
    return outcome(model, history, evaluation=model.evaluate(x, y, steps=2, verbose=0),
                   predictions=model.predict(x, steps=2))


def penalties(layers, models, Input):
    x = Input((4, 2), name='x', **FLOAT)
    frozen = layers.Dense(2, kernel_regularizer='l1_l2', trainable=False, **FLOAT)
    inner_x = Input((4, 2), **FLOAT)
    inner = models.Model(inner_x, layers.LSTM(
        3, return_sequences=True, recurrent_regularizer='l2', **FLOAT)(inner_x))
    h = inner(layers.TimeDistributed(frozen)(x))
    dense = layers.Dense(2, bias_regularizer='l2', activity_regularizer='l2', **FLOAT)
    y = layers.LSTM(2, **FLOAT)(dense(dense(layers.Dense(2, **FLOAT)(h))))
    model = set_weights(models.Model(x, y))
    model.compile('sgd', 'mse')
    data = wave(5, 4, 2), wave(5, 2, start=1.)
    before = model.evaluate(*data, verbose=0)
    return outcome(model, model.fit(*data, epochs=2, shuffle=False, verbose=0), before=before,
                   weights=model.get_weights())


SESSIONS = (dicts, lists, one_trained, same_layer_twice, temporal, class_weights, stateful,
            generators, whole_arrays, penalties)


def plain(value):
    """Arrays and NumPy numbers as what JSON can hold."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value.tolist() if hasattr(value, 'tolist') else value


def main(path):
    from tensorflow.python.keras._impl.keras import backend

    from record_ordered_training import OrderedFunction, tf
    backend.function = OrderedFunction
    answers = {}
    for session in SESSIONS:
        tf.keras.backend.clear_session()
        tf.keras.backend.set_floatx('float64')
        try:
            result = session(tf.keras.layers, tf.keras.models, tf.keras.layers.Input)
        except Exception as error:
            result = {'error': repr(error) + str(error)}
            print(session.__name__, result)
        answers[session.__name__] = plain(result)
    with open(path, 'w') as file:
        json.dump({'source': 'tensorflow ' + tf.__version__, 'sessions': answers}, file, indent=1,
                  sort_keys=True)


if __name__ == '__main__':
    main(sys.argv[1])
