"""Record what TensorFlow 1.4.1 computes, into numerics.json beside this file.

Run with Python 3.6 and tensorflow 1.4.1:

    python record_numerics.py

Activations: values, and gradients of the sum of values times cotangents, in both dtypes.
Regularizers: values and gradients. Constraints: values.
"""
import json
import os

import numpy as np
import tensorflow as tf

K = tf.keras.backend
keras = tf.keras
ACTIVATIONS = ['softmax', 'elu', 'selu', 'softplus', 'softsign', 'relu', 'tanh', 'sigmoid',
               'hard_sigmoid', 'linear']
FUNCTIONS = [('elu', {'alpha': .3}), ('relu', {'alpha': .125}), ('relu', {'max_value': 1.5}),
             ('relu', {'alpha': .125, 'max_value': 1.5})]
REGULARIZERS = [{'l1': .1}, {'l2': .2}, {'l1': .1, 'l2': .2}, {}]
CONSTRAINTS = [
    ('MaxNorm', {}), ('MaxNorm', {'max_value': .8}), ('MaxNorm', {'max_value': .8, 'axis': 1}),
    ('MaxNorm', {'max_value': 1.2, 'axis': [0, 1]}), ('NonNeg', {}), ('UnitNorm', {}),
    ('UnitNorm', {'axis': 1}), ('MinMaxNorm', {}),
    ('MinMaxNorm', {'min_value': .5, 'max_value': 1.5, 'rate': .4, 'axis': 1}),
    ('MinMaxNorm', {'min_value': 2., 'max_value': 1.}),
]


def main():
    rng = np.random.RandomState(5)
    x = np.concatenate([3 * rng.randn(3, 5), [[0., -2.5, 2.5, -40., 60.]]])
    cotangents = rng.randn(4, 5)
    w = rng.randn(3, 2)
    w[1] = 0.
    w[0, 1] = 0.
    recorded = {
        'source': 'tensorflow ' + tf.__version__, 'x': x.tolist(), 'w': w.tolist(),
        'cotangents': cotangents.tolist(), 'activations': [], 'functions': [],
        'regularizers': [], 'constraints': [],
    }
    for dtype in ['float32', 'float64']:
        K.clear_session()
        K.set_floatx(dtype)
        inputs = K.variable(x)
        for name in ACTIVATIONS:
            y = getattr(keras.activations, name)(inputs)
            loss = K.sum(y * K.variable(cotangents))
            recorded['activations'].append({
                'name': name, 'dtype': dtype, 'y': K.eval(y).tolist(),
                'gradient': K.eval(K.gradients(loss, [inputs])[0]).tolist()})
    for name, arguments in FUNCTIONS:
        y = K.eval(getattr(keras.activations, name)(inputs, **arguments))
        recorded['functions'].append({'name': name, 'arguments': arguments, 'y': y.tolist()})
    weights = K.variable(w)
    for arguments in REGULARIZERS:
        penalty = keras.regularizers.L1L2(**arguments)(weights)
        gradient = K.gradients(penalty, [weights])[0] if arguments else K.zeros(w.shape)
        recorded['regularizers'].append({
            'arguments': arguments, 'penalty': float(K.eval(penalty)) if arguments else penalty,
            'gradient': K.eval(gradient).tolist()})
    for name, arguments in CONSTRAINTS:
        constrained = K.eval(getattr(keras.constraints, name)(**arguments)(weights))
        recorded['constraints'].append({'name': name, 'arguments': arguments,
                                        'w': constrained.tolist()})
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'numerics.json')
    with open(path, 'w') as f:
        json.dump(recorded, f, indent=0, sort_keys=True)
        f.write('\n')


if __name__ == '__main__':
    main()
