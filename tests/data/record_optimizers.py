"""Record what TensorFlow 1.4.1's Keras optimizers do, into optimizers.json beside this file.

Run with Python 3.6 and tensorflow 1.4.1:

    python record_optimizers.py

Each case updates two variables, the second of them constrained, by five given gradients each. The
loss is the sum of variable times gradient, so that its gradient is the given one.
"""
import json
import os

import numpy as np
import tensorflow as tf

K = tf.keras.backend
STEPS = 5
CASES = [
    ('SGD', {}),
    ('SGD', {'lr': .1, 'momentum': .8}),
    ('SGD', {'lr': .1, 'momentum': .8, 'nesterov': True}),
    ('SGD', {'lr': .1, 'momentum': .7, 'nesterov': True, 'decay': .3}),
    ('SGD', {'lr': .1, 'clipnorm': .9}),
    ('SGD', {'lr': .1, 'clipnorm': 1000.}),
    ('SGD', {'lr': .1, 'clipnorm': 0.}),
    ('SGD', {'lr': .1, 'clipvalue': .4}),
    ('SGD', {'lr': .1, 'clipvalue': 0.}),
    ('SGD', {'lr': .1, 'clipnorm': 1.1, 'clipvalue': .4}),
    ('RMSprop', {}),
    ('RMSprop', {'lr': .03, 'rho': .7, 'epsilon': .01, 'decay': .2}),
    ('RMSprop', {'clipnorm': .5}),
    ('Adagrad', {}),
    ('Adagrad', {'lr': .2, 'epsilon': .01, 'decay': .2}),
    ('Adagrad', {'clipvalue': .3}),
    ('Adadelta', {}),
    ('Adadelta', {'lr': .7, 'rho': .6, 'epsilon': .01, 'decay': .2}),
    ('Adam', {}),
    ('Adam', {'lr': .05, 'beta_1': .6, 'beta_2': .8, 'epsilon': .01, 'decay': .2}),
    ('Adam', {'lr': .05, 'clipnorm': .5, 'clipvalue': .2}),
    ('Adamax', {}),
    ('Adamax', {'lr': .05, 'beta_1': .6, 'beta_2': .8, 'epsilon': .01, 'decay': .2}),
    ('Nadam', {}),
    ('Nadam', {'lr': .05, 'beta_1': .6, 'beta_2': .8, 'epsilon': .01, 'schedule_decay': .3}),
    ('Nadam', {'lr': .05, 'clipnorm': .5}),
]


def record(name, arguments, initial, gradients):
    K.clear_session()
    first, second = initial
    constraint = tf.keras.constraints.MaxNorm(1., axis=0)
    variables = [tf.Variable(first), tf.Variable(second, constraint=constraint)]
    placeholders = [K.placeholder(value.shape) for value in initial]
    loss = K.sum(variables[0] * placeholders[0]) + K.sum(variables[1] * placeholders[1])
    optimizer = getattr(tf.keras.optimizers, name)(**arguments)
    step = K.function(placeholders, [loss], updates=optimizer.get_updates(loss, variables))
    values = []
    for gradient in gradients:
        step(gradient)
        values.append([K.get_value(v).tolist() for v in variables])
    return {'optimizer': name, 'arguments': arguments, 'config': optimizer.get_config(),
            'values': values, 'weights': [np.asarray(w).tolist() for w in optimizer.get_weights()]}


def plain(arrays):
    return [array.tolist() for array in arrays]


def main():
    K.set_floatx('float64')
    rng = np.random.RandomState(11)
    initial = [rng.randn(2, 3), rng.randn(4)]
    gradients = [[rng.randn(2, 3), rng.randn(4)] for _ in range(STEPS)]
    gradients[1][0][0, 1] = 0.      # an element whose gradient vanishes
    recorded = {
        'source': 'tensorflow ' + tf.__version__,
        'initial': plain(initial), 'gradients': [plain(g) for g in gradients],
        'cases': [record(name, arguments, initial, gradients) for name, arguments in CASES],
    }
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'optimizers.json')
    with open(path, 'w') as f:
        json.dump(recorded, f, indent=0, sort_keys=True)
        f.write('\n')


if __name__ == '__main__':
    main()
