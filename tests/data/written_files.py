"""Whether other Kerases load what cylstm writes, predict the same, and train on to the same.

    python written_files.py write FOLDER            # with cylstm
    python written_files.py tf_keras FOLDER         # with tf_keras 2.21
    python written_files.py keras3 FOLDER           # with keras 3.15
    python written_files.py tf_1_4 FOLDER           # with TensorFlow 1.4.1 (Python 3.6)
    python written_files.py keras2 FOLDER           # with Keras 2.0.9 (Python 3.6)

The last four print a line for each file, and fail if a difference is beyond rounding.
"""
import os
import sys

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
import numpy as np

WHICH, FOLDER = sys.argv[1], sys.argv[2]
if WHICH == 'write':
    import cylstm as keras
elif WHICH == 'tf_1_4':
    from tensorflow import keras
elif WHICH == 'tf_keras':
    import tf_keras as keras
else:
    import keras

# Files that only some can load: TensorFlow 1.4 and Keras 2.0.9 have no LSTMCell.
ONLY = {'cells': ('tf_keras', 'keras3'), 'six': ('keras3',), 'flags': ('tf_keras', 'keras3'),
        'hard': ('tf_1_4', 'keras2', 'tf_keras')}
# Later versions compute these updates in another way.
EVERY = ('tf_1_4', 'keras2', 'tf_keras', 'keras3')
NOT_TRAINED_ON = {'layers': ('keras3', 'tf_keras'), 'translator': ('keras3',), 'dropping': EVERY}


def models():
    L = keras.layers
    rng = np.random.RandomState(1997)

    def stack():
        return keras.Sequential([
            L.Masking(0.0, input_shape=(6, 3)),
            L.LSTM(4, return_sequences=True, kernel_regularizer='l2', recurrent_constraint='max_norm',
                   recurrent_activation='sigmoid'),
            L.Bidirectional(L.LSTM(3, recurrent_activation='sigmoid')),
            L.Dense(2, activation='softmax')]), 'adam', 'categorical_crossentropy'

    def hard():
        return keras.Sequential([L.LSTM(4, input_shape=(6, 3)), L.Dense(2)]), 'adam', 'mse'

    def six():
        gate = 'hard_sigmoid_6'
        return keras.Sequential([L.LSTM(4, recurrent_activation=gate, input_shape=(6, 3)),
                                 L.Activation(gate)]), 'adam', 'mse'

    def translator():
        source, target = keras.Input((5,), name='source'), keras.Input((4, 2), name='target')
        words = L.Embedding(9, 3, mask_zero=True)(source)
        _, h, c = L.LSTM(4, return_state=True, name='reader', recurrent_activation='sigmoid')(words)
        y = L.LSTM(4, return_sequences=True, name='writer', recurrent_activation='sigmoid')(
            target, initial_state=[h, c])
        y = L.TimeDistributed(L.Dense(2, activation='softmax'))(y)
        return keras.Model([source, target], y), 'rmsprop', 'categorical_crossentropy'

    def nested():
        a, b, x = keras.Input((4, 2)), keras.Input((4, 2)), keras.Input((4, 2))
        inner = keras.Model(x, L.LSTM(3, recurrent_activation='sigmoid')(x), name='graph')
        seq = keras.Sequential([
            L.LSTM(3, input_shape=(4, 2), recurrent_activation='sigmoid'),
            L.BatchNormalization(), L.Dense(2)], name='stack')
        y = L.concatenate([inner(a), seq(b), inner(b), seq(a)])
        return (keras.Model([a, b], L.Dense(1)(y)),
                keras.optimizers.SGD(lr=0.02, momentum=0.9, nesterov=True), 'mse')

    def layers():
        return keras.Sequential([
            L.Conv1D(4, 3, padding='same', activation='relu', input_shape=(8, 3)),
            L.BatchNormalization(), L.MaxPooling1D(2), L.LSTM(3, return_sequences=True,
                                                              recurrent_activation='sigmoid'),
            L.LeakyReLU(), L.GlobalMaxPooling1D(), L.Dense(2, activation='tanh')]), 'adagrad', 'mae'

    def cells():
        return keras.Sequential([
            L.RNN(L.LSTMCell(3, recurrent_activation='sigmoid'), return_sequences=True,
                  input_shape=(5, 2)),
            L.RNN(L.StackedRNNCells([L.LSTMCell(2, recurrent_activation='sigmoid'),
                                     L.LSTMCell(3, recurrent_activation='sigmoid')])),
            L.LayerNormalization()]), 'adam', 'mse'

    def flags():
        frozen = L.LSTM(3, trainable=False, return_sequences=True, recurrent_activation='sigmoid')
        return keras.Sequential([
            L.Dense(4, input_shape=(5, 2), use_bias=False), frozen,
            L.Bidirectional(L.LSTM(2, go_backwards=True, recurrent_activation='sigmoid'),
                            merge_mode='sum')]), 'adamax', 'mse'

    def dropping():
        return keras.Sequential([
            L.Dropout(0.3, input_shape=(5, 2)), L.SpatialDropout1D(0.2), L.GaussianNoise(0.1),
            L.LSTM(3, dropout=0.2, recurrent_dropout=0.1, recurrent_activation='sigmoid')
        ]), 'adam', 'mse'

    for build in (stack, hard, six, translator, nested, layers, cells, flags, dropping):
        keras.utils.set_random_seed(3)
        model, optimizer, loss = build()
        model.compile(optimizer, loss, metrics=['accuracy'])
        shapes = [t.shape for t in model.inputs]
        inputs = [rng.randint(0, 9, (4,) + s[1:]) if len(s) == 2 else rng.randn(*(4,) + s[1:])
                  for s in shapes]
        targets = rng.rand(*(4,) + model.output_shape[1:])
        targets /= targets.sum(-1, keepdims=True)
        yield build.__name__, model, inputs, targets


def predictions(model, inputs):
    return model.predict(inputs if len(inputs) > 1 else inputs[0], batch_size=4)


def train(model, inputs, targets):
    model.train_on_batch(inputs if len(inputs) > 1 else inputs[0], targets)


def write():
    if not os.path.isdir(FOLDER):
        os.makedirs(FOLDER)
    for name, model, inputs, targets in models():
        for _ in range(2):
            train(model, inputs, targets)
        path = os.path.join(FOLDER, name)
        refused = []
        for suffix, save in (('.h5', model.save), ('_w.h5', model.save_weights),
                             ('.keras', model.save), ('.weights.h5', model.save_weights)):
            try:
                save(path + suffix)
            except ValueError as error:
                refused.append(str(error))
        arrays = {'x_%d' % i: x for i, x in enumerate(inputs)}
        arrays.update(t=targets, y=predictions(model, inputs))
        train(model, inputs, targets)
        np.savez(path + '.npz', z=predictions(model, inputs), **arrays)
        print(name, refused)


def check():
    worst = 0
    for file in sorted(os.listdir(FOLDER)):
        name, suffix = file.split('.', 1)
        if suffix != 'npz' or WHICH not in ONLY.get(name, (WHICH,)):
            continue
        arrays = np.load(os.path.join(FOLDER, file))
        inputs = [arrays[k] for k in sorted(arrays.files) if k.startswith('x_')]
        for suffix in ('.h5', '.keras'):
            path = os.path.join(FOLDER, name + suffix)
            if not os.path.exists(path) or (suffix == '.keras' and WHICH != 'keras3') or (
                    suffix == '.h5' and WHICH == 'keras3'):
                continue
            model = keras.models.load_model(path)
            found = [np.abs(predictions(model, inputs) - arrays['y']).max()]
            if WHICH not in NOT_TRAINED_ON.get(name, ()):
                train(model, inputs, arrays['t'])
                found.append(np.abs(predictions(model, inputs) - arrays['z']).max())
            weights = os.path.join(
                FOLDER, name + ('.weights.h5' if WHICH == 'keras3' else '_w.h5'))
            model.set_weights([0 * w for w in model.get_weights()])
            model.load_weights(weights)
            found.append(np.abs(predictions(model, inputs) - arrays['y']).max())
            print(name + suffix, ' '.join('%.1e' % d for d in found))
            worst = max([worst] + found)
    assert worst < 1e-5, worst


if __name__ == '__main__':
    write() if WHICH == 'write' else check()
