"""Typical mistakes of newcomers, with the message that each gives.

A row is what happened, the code, the exception, and the text; ``...`` in it stands for anything.
"""

import re

import numpy as np
import pytest

import cylstm
from cylstm import Input, Model, Sequential
from cylstm.layers import (
    LSTM,
    Bidirectional,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Masking,
    MaxPooling1D,
    TimeDistributed,
)

X = np.ones((4, 5, 3), "float32")
Y = np.zeros((4, 1), "float32")
PADDING = (
    "Fill them up by cylstm.preprocessing.sequence.pad_sequences, and let the model skip what was "
    "filled in by a Masking layer, or an Embedding with mask_zero=True."
)


def lstm(**options):
    return LSTM(4, name="lstm_1", **options)


def stacked(layer, first=None):
    return Sequential([first or lstm(input_shape=(5, 3)), layer], name="model")


def compiled():
    model = stacked(Dense(1, name="dense_1"))
    model.compile("sgd", "mse")
    return model


def built():
    layer = lstm()
    layer(X)
    return layer


def called_twice():
    layer = built()
    layer(np.ones((4, 5, 7)))


def sequences(name, before="lstm_1", shape=(None, 4)):
    return (
        f"Layer {name} reads sequences, (samples, timesteps, features), but {before} returns its "
        f"last output only, {shape}: give {before} return_sequences=True."
    )


MISTAKES = [
    # ------------------------------------------------------------------ names
    (
        "a layer misspelt",
        lambda: cylstm.layers.LSTMM,
        AttributeError,
        "module 'cylstm.layers' has no attribute 'LSTMM'; did you mean 'LSTM'?",
    ),
    (
        "a layer that is not there",
        lambda: cylstm.layers.GRU,
        AttributeError,
        "cylstm has no GRU: cylstm is for LSTM networks over sequences, not for other recurrent "
        "layers; the nearest is LSTM, which takes the same arguments.",
    ),
    (
        "an argument of compile misspelt",
        lambda: stacked(Dense(1)).compile(optimiser="adam", loss="mse"),
        TypeError,
        "compile has no argument 'optimiser'; did you mean 'optimizer'?",
    ),
    (
        "an argument of fit misspelt",
        lambda: compiled().fit(X, Y, epoch=3),
        TypeError,
        "fit has no argument 'epoch'; did you mean 'epochs'?",
    ),
    (
        "an argument of today misspelt",
        lambda: cylstm.optimizers.Adam(learningrate=0.1),
        TypeError,
        "Adam has no argument 'learningrate'; did you mean 'learning_rate'?",
    ),
    (
        "a metric misspelt",
        lambda: stacked(Dense(1)).compile("adam", "mse", metrics=["acuracy"]),
        ValueError,
        "unknown metric function: 'acuracy'; did you mean 'accuracy'? A name of your own ...",
    ),
    (
        "labels that are words",
        lambda: compiled().fit(X, np.array(["yes", "no", "no", "yes"]), verbose=0),
        TypeError,
        "The targets of dense_1 must hold real numbers, got strings such as 'yes'....",
    ),
    (
        "rows in training that are no sequences",
        lambda: compiled().fit(X[:, 0], Y, verbose=0),
        ValueError,
        "Input lstm_1_input of model model must have the shape (None, 5, 3), got (4, 3). It reads "
        "(samples, timesteps, features): for one feature give x[:, :, np.newaxis], ...",
    ),
    (
        "a missing value in the data",
        lambda: compiled().fit(
            np.where(np.arange(60).reshape(X.shape) == 20, np.nan, X), Y, verbose=0
        ),
        ValueError,
        "The loss is NaN; the weights are as before this batch. Row 1 of input lstm_1_input holds "
        "NaN. ...",
    ),
    (
        "a folder that does not exist",
        lambda: compiled().fit(
            X,
            Y,
            callbacks=[cylstm.callbacks.ModelCheckpoint("nowhere/model.safetensors")],
            verbose=0,
        ),
        FileNotFoundError,
        "...there is no such folder; make it first...",
    ),
    (
        "a format that is not there",
        lambda: compiled().save("model.hdf"),
        ValueError,
        "No format has the suffix of 'model.hdf'; there are .safetensors, ....",
    ),
    (
        "training before compiling",
        lambda: stacked(Dense(1)).fit(X, Y),
        RuntimeError,
        "Model model is not compiled: call compile(optimizer, loss) before training or evaluating "
        "it.",
    ),
    (
        "an argument misspelt",
        lambda: LSTM(4, return_sequence=True),
        TypeError,
        "LSTM has no argument 'return_sequence'; did you mean 'return_sequences'?",
    ),
    (
        "the first argument misspelt",
        lambda: LSTM(unit=4),
        TypeError,
        "LSTM has no argument 'unit'; did you mean 'units'?",
    ),
    (
        "an argument of another library",
        lambda: Dropout(0.5, inplace=True),
        TypeError,
        "Dropout has no argument 'inplace'; it takes rate, noise_shape, seed, trainable, name, "
        "dtype, activity_regularizer, input_shape, batch_input_shape, batch_size, weights.",
    ),
    (
        "an argument of an optimizer misspelt",
        lambda: cylstm.optimizers.SGD(momentun=0.9),
        TypeError,
        "SGD has no argument 'momentun'; did you mean 'momentum'?",
    ),
    (
        "an argument of a callback misspelt",
        lambda: cylstm.callbacks.EarlyStopping(patient=3),
        TypeError,
        "EarlyStopping has no argument 'patient'; did you mean 'patience'?",
    ),
    (
        "an argument of a model misspelt",
        lambda: Model(input_s=Input((5, 3)), outputs=Input((5, 3))),
        TypeError,
        "Model has no argument 'input_s'; did you mean 'inputs'?",
    ),
    (
        "an argument of a function misspelt",
        lambda: Input(shapes=(5, 3)),
        TypeError,
        "Input has no argument 'shapes'; did you mean 'shape'...?",
    ),
    (
        "an argument of pad_sequences misspelt",
        lambda: cylstm.preprocessing.sequence.pad_sequences([[1]], max_len=3),
        TypeError,
        "pad_sequences has no argument 'max_len'; did you mean 'maxlen'?",
    ),
    (
        "an argument of Tokenizer misspelt",
        lambda: cylstm.preprocessing.text.Tokenizer(num_word=100),
        TypeError,
        "Tokenizer has no argument 'num_word'; did you mean 'num_words'?",
    ),
    (
        "the number of classes misspelt",
        lambda: cylstm.utils.to_categorical([1], n_classes=3),
        TypeError,
        "to_categorical has no argument 'n_classes'; did you mean 'num_classes'?",
    ),
    (
        "a loss misspelt",
        lambda: Sequential([lstm()]).compile("sgd", "mes"),
        ValueError,
        "unknown loss function: 'mes'; did you mean 'mse' or 'mae'? ...",
    ),
    (
        "an optimizer misspelt",
        lambda: Sequential([lstm()]).compile("rmspropp", "mse"),
        ValueError,
        "unknown optimizer: 'rmspropp'; did you mean 'RMSprop'? ...",
    ),
    (
        "an activation misspelt",
        lambda: LSTM(4, activation="rleu"),
        ValueError,
        "unknown activation function: 'rleu'; did you mean 'relu'? A name of your own is made "
        "known by custom_objects or custom_object_scope.",
    ),
    (
        "an initializer misspelt",
        lambda: Dense(4, kernel_initializer="glorot_unifrom"),
        ValueError,
        "unknown initializer: 'glorot_unifrom'; did you mean 'glorot_uniform' or "
        "'GlorotUniform'?...",
    ),
    (
        "a layer of the model misspelt",
        lambda: Sequential([lstm()]).get_layer("lstm1"),
        ValueError,
        "No layer is named 'lstm1'; there are lstm_1. Did you mean 'lstm_1'?",
    ),
    # ------------------------------------------------------------------ numbers
    (
        "no units",
        lambda: LSTM(0),
        ValueError,
        "units must be a positive integer, got 0.",
    ),
    (
        "negative units",
        lambda: LSTM(-1),
        ValueError,
        "units must be a positive integer, got -1.",
    ),
    (
        "units of a division",
        lambda: LSTM(7 / 2),
        TypeError,
        "units must be a positive integer, got 3.5.",
    ),
    (
        "units as text",
        lambda: LSTM("4"),
        TypeError,
        "units must be a positive integer, got '4'.",
    ),
    (
        "dropout in per cent",
        lambda: LSTM(4, dropout=50),
        ValueError,
        "dropout must be a number from 0 to 1, got 50: half of the units is 0.5.",
    ),
    (
        "everything dropped",
        lambda: Dropout(1.0),
        ValueError,
        "rate must be below 1, or nothing would be kept, got 1.0.",
    ),
    (
        "half precision",
        lambda: LSTM(4, dtype="float16"),
        ValueError,
        "dtype must be 'float32' or 'float64', got 'float16'.",
    ),
    # ------------------------------------------------------------------ sequences and their axes
    (
        "return_sequences forgotten before an LSTM",
        lambda: stacked(LSTM(3, name="lstm_2")),
        ValueError,
        sequences("lstm_2"),
    ),
    (
        "return_sequences forgotten before a TimeDistributed",
        lambda: stacked(TimeDistributed(Dense(3), name="each")),
        ValueError,
        sequences("each"),
    ),
    (
        "return_sequences forgotten before a Conv1D",
        lambda: stacked(Conv1D(3, 2, name="conv")),
        ValueError,
        sequences("conv"),
    ),
    (
        "return_sequences forgotten before pooling",
        lambda: stacked(MaxPooling1D(name="pool")),
        ValueError,
        sequences("pool"),
    ),
    (
        "return_sequences forgotten before a Bidirectional",
        lambda: stacked(Bidirectional(LSTM(3), name="both")),
        ValueError,
        sequences("both"),
    ),
    (
        "return_sequences forgotten in a Bidirectional",
        lambda: stacked(
            LSTM(3, name="lstm_2"), Bidirectional(LSTM(3), name="both", input_shape=(5, 3))
        ),
        ValueError,
        sequences("lstm_2", "both", (None, 6)),
    ),
    (
        "return_sequences forgotten, with Dropout between",
        lambda: Sequential(
            [lstm(input_shape=(5, 3)), Dropout(0.2), Dense(7), LSTM(3, name="lstm_2")]
        ),
        ValueError,
        sequences("lstm_2"),
    ),
    (
        "return_sequences forgotten, found by the first data",
        lambda: stacked(LSTM(3, name="lstm_2"), lstm()).predict(X),
        ValueError,
        sequences("lstm_2"),
    ),
    (
        "one axis missing",
        lambda: lstm()(np.ones((4, 3))),
        ValueError,
        "Input 0 of layer lstm_1: expected 3 axes, got the shape (4, 3). It reads (samples, "
        "timesteps, features): for one feature give x[:, :, np.newaxis], for one timestep "
        "x[:, np.newaxis, :], for one sample x[np.newaxis].",
    ),
    (
        "two axes missing",
        lambda: lstm()(np.ones(4)),
        ValueError,
        "Input 0 of layer lstm_1: expected 3 axes, got the shape (4,). It reads (samples, "
        "timesteps, features): for one sample of one feature give x[np.newaxis, :, np.newaxis], "
        "for samples of one number x[:, np.newaxis, np.newaxis].",
    ),
    (
        "one axis too many",
        lambda: lstm()(np.ones((4, 5, 3, 1))),
        ValueError,
        "Input 0 of layer lstm_1: expected 3 axes, got the shape (4, 5, 3, 1). It reads (samples, "
        "timesteps, features): sequences of sequences go through TimeDistributed(layer), and "
        "features in several axes into one by Reshape.",
    ),
    (
        "one sample for a Dense",
        lambda: Dense(2, name="dense_1")(np.ones(3)),
        ValueError,
        "Input 0 of layer dense_1: expected at least 2 axes, got (3,). One sample is given as "
        "x[np.newaxis].",
    ),
    (
        "another number of features",
        called_twice,
        ValueError,
        "Input 0 of layer lstm_1: expected the size 3 along axis 2, got the shape "
        "(4, 5, 7): 7 features, not 3.",
    ),
    (
        "sequences of unequal lengths",
        lambda: lstm()([[[1.0], [2.0]], [[1.0]]]),
        ValueError,
        "Input 0 of layer lstm_1 cannot be made an array: it holds sequences of unequal lengths, "
        f"such as 2 and 1. {PADDING}",
    ),
    (
        "arrays of unequal lengths",
        lambda: Masking(name="masking_1")([np.ones((3, 2)), np.ones((2, 2))]),
        ValueError,
        "Input 0 of layer masking_1 cannot be made an array: it holds sequences of unequal "
        f"lengths, such as 3 and 2. {PADDING}",
    ),
    (
        "sentences of unequal lengths",
        lambda: Embedding(5, 2, name="embedding_1")([[1, 2], [1]]),
        ValueError,
        "Input 0 of layer embedding_1 cannot be made an array: it holds sequences of unequal "
        f"lengths, such as 2 and 1. {PADDING}",
    ),
    (
        "an array of arrays of unequal lengths",
        lambda: lstm()(np.array([np.ones((3, 2)), np.ones((2, 2))], dtype=object)),
        TypeError,
        "Input 0 of layer lstm_1 must hold real numbers, got an array of dtype object. It holds "
        f"sequences of unequal lengths. {PADDING}",
    ),
    (
        "an index beyond the vocabulary",
        lambda: Embedding(5, 2, name="embedding_1")(np.array([[5]])),
        ValueError,
        "Input 0 of layer embedding_1 holds the index 5, but input_dim=5 allows 0 to 4.",
    ),
    # ------------------------------------------------------------------ input_shape
    (
        "parentheses that make no tuple",
        lambda: LSTM(4, input_shape=(10)),
        TypeError,
        "input_shape must be a tuple of integers or None, such as (10, 3), got 10; a tuple of one "
        "is written (10,).",
    ),
    (
        "the data as input_shape",
        lambda: LSTM(4, input_shape=X),
        TypeError,
        "input_shape must be a tuple of integers or None, such as (10, 3), got an array of the "
        "shape (4, 5, 3).",
    ),
    (
        "the samples in input_shape",
        lambda: Sequential([lstm(input_shape=(32, 10, 3))]),
        ValueError,
        "Layer lstm_1 was given input_shape=(32, 10, 3), but it is to be the shape of one sample, "
        "(timesteps, features), without the axis of the samples: (10, 3).",
    ),
    (
        "the features missing in input_shape",
        lambda: Sequential([lstm(input_shape=(10,))]),
        ValueError,
        "Layer lstm_1 was given input_shape=(10,), but it is to be the shape of one sample, "
        "(timesteps, features): (10, 1) for 10 timesteps of one feature.",
    ),
    (
        "a negative size",
        lambda: LSTM(4, input_shape=(-1, 3)),
        ValueError,
        "input_shape must have sizes of at least 0, got (-1, 3).",
    ),
    (
        "an unknown number of features",
        lambda: Sequential([lstm(input_shape=(5, None))]),
        ValueError,
        "Layer lstm_1 needs the last axis of its input to be known.",
    ),
    (
        "no shape of an input",
        lambda: Input(),
        ValueError,
        "An input needs either the shape of a sample or the shape of a batch: got None and None.",
    ),
    (
        "no batch size for a stateful layer",
        lambda: Sequential([lstm(stateful=True, input_shape=(5, 3))]),
        ValueError,
        "Layer lstm_1 is stateful and needs a fixed batch size: give batch_input_shape=(batch, "
        "timesteps, input_dim), or batch_size.",
    ),
    # ------------------------------------------------------------------ layers and models
    (
        "a class called on data",
        lambda: LSTM(X),
        TypeError,
        "units must be a positive integer, got an array of the shape (4, 5, 3). A layer is made "
        "first, and then called on data: LSTM(4)(x).",
    ),
    (
        "a class called on a symbolic tensor",
        lambda: Dense(Input((5, 3))),
        TypeError,
        "units must be a positive integer, got a SymbolicTensor of the shape (None, 5, 3). A "
        "layer is made first, and then called on data: LSTM(4)(x).",
    ),
    (
        "a class in a model",
        lambda: Sequential([LSTM]),
        TypeError,
        "Only layers can be added, got the class LSTM: make one, LSTM(...).",
    ),
    (
        "a class in a wrapper",
        lambda: Bidirectional(LSTM),
        TypeError,
        "Bidirectional wraps a recurrent layer, such as LSTM, got the class LSTM: make one, "
        "LSTM(...).",
    ),
    (
        "nothing added",
        lambda: Sequential().add(None),
        TypeError,
        "Only layers can be added, got None.",
    ),
    (
        "layers without a list",
        lambda: Sequential(lstm()),
        TypeError,
        "Layers are given in a list, got ...lstm_1...: put it in [ ].",
    ),
    (
        "a layer as the output of a model",
        lambda: Model(Input((5, 3)), lstm()),
        TypeError,
        "A model's outputs are symbolic tensors, got ...lstm_1...: call it on one, LSTM(...)(x).",
    ),
    (
        "all outputs of a layer that returns its states",
        lambda: Dense(2, name="dense_1")(LSTM(4, return_state=True)(Input((5, 3)))),
        ValueError,
        "Layer dense_1 takes 1 inputs, got 3: of a layer with return_state=True take the first "
        "output.",
    ),
    (
        "arithmetic with symbolic tensors",
        lambda: Input((5, 3), name="a") + 1,
        TypeError,
        "<SymbolicTensor a float32 (None, 5, 3)> has no values to compute with: tensors are "
        "combined by layers, such as cylstm.layers.add([a, b]), multiply or concatenate, or "
        "Lambda(function)([a, b]).",
    ),
    (
        "a model without shapes",
        lambda: Sequential([lstm()], name="model").summary(),
        ValueError,
        "Model model is not built, so its shapes are not known: give its first layer an "
        "input_shape, or call build(input_shape).",
    ),
    (
        "a model that is not compiled",
        lambda: Sequential([lstm(input_shape=(5, 3))], name="model").fit(X, np.ones((4, 4))),
        RuntimeError,
        "Model model is not compiled: call compile(optimizer, loss) before training or evaluating "
        "it.",
    ),
    (
        "a number of weights that does not fit",
        lambda: built().set_weights([np.ones((3, 16)), np.ones((4, 16))]),
        ValueError,
        "Layer lstm_1 has 3 weights, but was given 2; they are lstm_1/kernel (3, 16), "
        "lstm_1/recurrent_kernel (4, 16), lstm_1/bias (16,).",
    ),
    (
        "weights before there are any",
        lambda: lstm().set_weights([np.ones((3, 16))]),
        ValueError,
        "Layer lstm_1 has 0 weights, but was given 1; it is not built yet: call it, or `build` it.",
    ),
    (
        "weights in PyTorch's layout",
        lambda: built().set_weights([np.ones((16, 3)), np.ones((16, 4)), np.ones(16)]),
        ValueError,
        "lstm_1/kernel has the shape (3, 16), but was given (16, 3).",
    ),
    (
        "one state for two",
        lambda: lstm()(X, initial_state=np.ones((4, 4))),
        ValueError,
        "Layer lstm_1 has 2 states, got 1: give a list with an array (batch, units) for each.",
    ),
    # ------------------------------------------------------------------ kinds of data
    (
        "no data",
        lambda: lstm()(None),
        TypeError,
        "Input 0 of layer lstm_1 must hold real numbers, got None.",
    ),
    (
        "text",
        lambda: lstm()([["to", "be"]]),
        TypeError,
        "Input 0 of layer lstm_1 must hold real numbers, got an array of dtype <U2. Text becomes "
        "numbers by cylstm.preprocessing.text.Tokenizer, digits by .astype('float32').",
    ),
    (
        "numbers as objects, as of a DataFrame with columns of several types",
        lambda: lstm()(X.astype(object)),
        TypeError,
        "Input 0 of layer lstm_1 must hold real numbers, got an array of dtype object. Where each "
        "is a number, .astype('float32') will do.",
    ),
    (
        "a spectrum",
        lambda: lstm()(X * 1j),
        TypeError,
        "Input 0 of layer lstm_1 must hold real numbers, got an array of dtype complex64. Give "
        "the real and the imaginary part as two features.",
    ),
    (
        "times",
        lambda: lstm()(X.astype("datetime64[s]")),
        TypeError,
        "Input 0 of layer lstm_1 must hold real numbers, got an array of dtype datetime64[s]. "
        "Give times as numbers, such as the hours since the first one.",
    ),
    (
        "a dict for a layer",
        lambda: lstm()({"x": 1}),
        TypeError,
        "Input 0 of layer lstm_1 must hold real numbers, got {'x': 1}.",
    ),
]


@pytest.mark.parametrize(
    ("code", "error", "text"), [m[1:] for m in MISTAKES], ids=[m[0] for m in MISTAKES]
)
def test_the_message_of_a_mistake(code, error, text):
    with pytest.raises(error) as caught:
        code()
    pattern = ".*".join(re.escape(part) for part in text.split("..."))
    assert re.fullmatch(pattern, str(caught.value)), str(caught.value)


def test_each_mistake_stands_once():
    assert len({m[0] for m in MISTAKES}) == len(MISTAKES) >= 30


def test_no_advice_where_return_sequences_would_not_help():
    with pytest.raises(ValueError, match="expected 3 axes") as caught:
        Sequential([lstm(input_shape=(5, 3)), Flatten(), LSTM(3)])
    assert "return_sequences" not in str(caught.value)


def test_a_mistake_leaves_the_model_as_it_was():
    model = Sequential([lstm(input_shape=(5, 3))])
    with pytest.raises(ValueError, match="return_sequences=True"):
        model.add(LSTM(3))
    assert [layer.name for layer in model.layers] == ["lstm_1"]
    model.add(Dense(2))
    assert model.predict(X).shape == (4, 2)


@pytest.mark.parametrize("shape", [(5, 3), [5, 3], np.array([5, 3]), X.shape[1:]])
def test_shapes_in_any_sequence_of_integers(shape):
    assert LSTM(4, input_shape=shape).batch_input_shape == (None, 5, 3)


def test_lists_of_equal_lengths_just_work():
    layer = built()
    np.testing.assert_array_equal(layer(list(X)), layer(X))
    np.testing.assert_array_equal(layer(X.tolist()), layer(X))
