"""Training cases that TensorFlow 1.4.1 computes in one order today and in another tomorrow.

Runs under Python 3.6 with tensorflow==1.4.1:

    python record_ordered_training.py OUT_DIR

Within one `train_on_batch` TensorFlow 1.4 fixes no order between reading a weight and writing its
new value: a loss or a gradient may be of weights of which some are updated already. Of the cases
of `train_cases.py` some come out differently in every run for that. Here they are computed again
in two steps, everything that is read before anything that is written: what each case would be if
no thread were ahead of another. Written to OUT_DIR/ordered_train_cases.npz, for the cases that
differ by more than rounding from `train_cases.npz`.
"""
import os
import sys

import numpy as np

import train_cases
from tensorflow.python.keras._impl.keras import backend
from train_cases import K, tf


class OrderedFunction(object):
    """A Keras function that computes all new values first, and then assigns them."""

    def __init__(self, inputs, outputs, updates=(), name=None, **kwargs):
        self.inputs, self.outputs = list(inputs), list(outputs)
        with tf.control_dependencies(self.outputs):
            self.updates = [K.update(*u).op if isinstance(u, tuple) else u.op for u in updates]
        self.values = [op.inputs[1] for op in self.updates]
        self.places = [tf.placeholder(v.dtype, v.shape) for v in self.values]
        self.writes = [
            {'Assign': tf.assign, 'AssignAdd': tf.assign_add}[op.type](op.inputs[0], place)
            for op, place in zip(self.updates, self.places)]

    def __call__(self, inputs):
        session = K.get_session()
        feed = dict(zip(self.inputs, inputs))
        outputs, values = session.run([self.outputs, self.values], feed)
        copies = [np.array(value) for value in values]
        session.run(self.writes, dict(zip(self.places, copies)))
        return [np.array(output) for output in outputs]


def main(out):
    backend.function = OrderedFunction  # tf.keras.backend is a copy of its names
    folder = os.path.dirname(os.path.abspath(__file__))
    recorded = np.load(os.path.join(folder, 'train_cases.npz'))
    rng = np.random.RandomState(1997)
    store = {}
    for number in range(80):
        case = train_cases.draw(rng)
        arrays = train_cases.run(rng, case)
        tolerance = 1e-9 if case['dtype'] == 'float64' else 1e-5
        before = {n: recorded['train_%03d/%s' % (number, n)] for n in arrays}
        errors = [np.max(np.abs(arrays[n] - before[n]) / (1 + np.abs(before[n]))) for n in arrays]
        if max(errors) > tolerance:
            print('train_%03d differs by %.0e' % (number, max(errors)))
            for name, value in arrays.items():
                if not np.array_equal(value, before[name]):
                    store['train_%03d/%s' % (number, name)] = value
    np.savez_compressed(os.path.join(out, 'ordered_train_cases.npz'), **store)


if __name__ == '__main__':
    main(sys.argv[1])
