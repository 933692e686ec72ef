"""The operator LSTM: all that it has is read, or refused by name."""

import numpy as np
import pytest
from onnx_graphs import info, lstm_weights, model, node

import cylstm
from cylstm.layers import LSTM
from cylstm.models import load_model
from cylstm.saving import FormatError


@pytest.fixture
def read(tmp_path):
    """Load what messages say."""

    def load(document):
        path = tmp_path / "model.onnx"
        path.write_bytes(document.encoded())
        return load_model(path)

    return load


X = np.random.default_rng(0).normal(size=(3, 5, 3)).astype("float32")
TIME_FIRST = [info("x", (None, "batch", 3))]


def plain(**attributes):
    return node("LSTM", "x W R B", "y", layout=1, **attributes)


def reference(weights, activation="tanh", recurrent_activation="sigmoid", **options):
    """Our layer, with the gates put in order one by one."""
    units = weights["R"].shape[-1]
    layer = LSTM(
        units, activation, recurrent_activation, return_sequences=True, dtype="float32", **options
    )
    layer.build((None, None, weights["W"].shape[-1]))

    def in_order(array):
        i, o, f, c = np.split(array, 4)
        return np.concatenate([i, f, c, o])

    b = weights["B"][0]
    bias = in_order(b[: 4 * units] + b[4 * units :])
    layer.set_weights([in_order(weights["W"][0]).T, in_order(weights["R"][0]).T, bias])
    return layer


@pytest.mark.parametrize(
    ("ours", "attributes"),
    [
        (("tanh", "sigmoid"), {}),
        (("tanh", "sigmoid"), {"activations": ["sigmoid", "TANH", "tanh"]}),
        (("tanh", "hard_sigmoid"), {"activations": ["HardSigmoid", "Tanh", "Tanh"]}),
        (
            ("tanh", "hard_sigmoid_6"),
            {"activations": ["HardSigmoid", "Tanh", "Tanh"], "activation_alpha": [1 / 6]},
        ),
        (("relu", "sigmoid"), {"activations": ["Sigmoid", "Relu", "Relu"]}),
        (("softsign", "softplus"), {"activations": ["Softplus", "Softsign", "Softsign"]}),
        (("elu", "sigmoid"), {"activations": ["Sigmoid", "Elu", "Elu"]}),
        (("linear", "sigmoid"), {"activations": ["Sigmoid", "Affine", "Affine"]}),
        (("tanh", "sigmoid"), {"activations": ["Sigmoid", "ScaledTanh", "ScaledTanh"]}),
        (
            ("relu", "sigmoid"),
            {"activations": ["Sigmoid", "LeakyRelu", "ThresholdedRelu"],
             "activation_alpha": [0.0, 0.0]},
        ),
        (("tanh", "sigmoid"), {"clip": 0.0, "input_forget": 0, "hidden_size": 2}),
    ],
)  # fmt: skip
def test_activations_and_layout(ours, attributes, read):
    weights = lstm_weights()
    found = read(model([plain(**attributes)], weights)).predict(X)
    assert found.shape == (3, 5, 1, 2)
    np.testing.assert_allclose(found[:, :, 0], reference(weights, *ours)(X), atol=1e-6)


def test_both_layouts_are_the_same(read):
    weights = lstm_weights(directions=2)
    first = read(
        model([node("LSTM", "x W R B", "y h c", layout=1, direction="bidirectional")], weights,
              outputs="y h c")
    )  # fmt: skip
    with pytest.warns(UserWarning, match="samples on axis"):
        second = read(
            model([node("LSTM", "x W R B", "y h c", direction="bidirectional")], weights,
                  inputs=TIME_FIRST, outputs="y h c")
        )  # fmt: skip
    for one, two in zip(first.predict(X), second.predict(X), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_precision(dtype, read):
    kind = {"float32": 1, "float64": 11}[dtype]
    found = read(model([plain()], lstm_weights(dtype=dtype), [info("x", kind=kind)]))
    assert found.layers[-1].dtype == dtype
    assert found.predict(X.astype(dtype)).dtype == dtype


def test_peepholes_of_zeros_are_none(read):
    weights = lstm_weights() | {"P": np.zeros((1, 6), "float32")}
    nodes = [node("LSTM", "x W R B . . . P", layout=1)]
    assert isinstance(read(model(nodes, weights)).layers[1], LSTM)


def test_lengths_are_a_mask(read):
    weights = lstm_weights()
    inputs = [info("x"), info("n", ("batch",), 6)]
    nodes = [node("LSTM", "x W R B n", "y h c", layout=1)]
    found = read(model(nodes, weights, inputs, "y h c"))
    y, h, c = found.predict([X, np.array([5, 2, 1])])
    layer = reference(weights)
    for row, length in enumerate((5, 2, 1)):
        expected = layer(X[row : row + 1, :length])
        np.testing.assert_allclose(y[row, :length, 0], expected[0], atol=1e-6)
        assert not y[row, length:].any()
        np.testing.assert_allclose(h[row, 0], expected[0, -1], atol=1e-6)
    assert c.shape == (3, 1, 2)


def test_lengths_of_all_that_there_is_are_left_out(read):
    weights = lstm_weights() | {"one": np.array([1]), "rows": np.array([0])}
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s one", "steps"),
        node("Gather", "s rows", "samples"),
        node("Expand", "steps samples", "n"),
        node("LSTM", "x W R B n", "y", layout=1),
    ]
    names = [type(layer).__name__ for layer in read(model(nodes, weights)).layers]
    assert names == ["InputLayer", "LSTM", "Reshape"]


# What no layer does, each with what the error says.
REFUSED = {
    "peepholes": ("x W R B . . . P", {}, {"P": np.ones((1, 6), "float32")}, "peephole.*input P"),
    "clip": ("x W R B", {"clip": 3.0}, {}, r"clip=3.0"),
    "input_forget": ("x W R B", {"input_forget": 1}, {}, "input_forget=1"),
    "two activations": (
        "x W R B", {"activations": ["Sigmoid", "Tanh", "Relu"]}, {}, "cell input and of the output"
    ),
    "unknown activation": (
        "x W R B", {"activations": ["Sigmoid", "Gelu", "Gelu"]}, {}, "'Gelu'"
    ),
    "hard sigmoid": (
        "x W R B",
        {"activations": ["HardSigmoid", "Tanh", "Tanh"], "activation_alpha": [0.3]}, {},
        r"HardSigmoid with \[0.3",
    ),
    "number of activations": ("x W R B", {"activations": ["Sigmoid"]}, {}, "of 1 directions"),
    "lengths": ("x W R B n", {}, {"n": np.array([2, 3], "int32")}, "sequence_lens"),
    "states": (
        "x W R B . h", {}, {"h": np.array([[[1, 2]], [[3, 4]]], "float32")},
        "differs from sample to sample",
    ),
    "units": ("x W R B", {"hidden_size": 5}, {}, "hidden_size is 5"),
    "direction": ("x W R B", {"direction": "up"}, {}, "'up'"),
    "layout": ("x W R B", {"layout": 2}, {}, "layout 2"),
    "attribute": ("x W R B", {"coupled": 1}, {}, "coupled"),
    "shape of W": ("x B R B", {}, {}, "its W has the shape"),
    "shape of R": ("x W W B", {}, {}, "its R has the shape"),
    "shape of B": ("x W R R", {}, {}, "its B has the shape"),
    "dtype": ("x W R B", {}, lstm_weights(dtype="float64"), "float64"),
    "no weights": ("x", {}, {}, "input 1 is missing"),
    "computed weights": ("x x R B", {}, {}, "input 1 is computed"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_layer_does_is_refused_by_name(name, read):
    inputs, attributes, tensors, message = REFUSED[name]
    nodes = [node("LSTM", inputs, **{"layout": 1, **attributes})]
    with pytest.raises(FormatError, match=rf"node 'the_LSTM' \(LSTM\): .*{message}"):
        read(model(nodes, lstm_weights() | tensors))


def test_directions_with_different_activations_are_refused(read):
    names = ["Sigmoid", "Tanh", "Tanh", "HardSigmoid", "Tanh", "Tanh"]
    nodes = [node("LSTM", "x W R B", layout=1, direction="bidirectional", activations=names)]
    with pytest.raises(FormatError, match="different ones by direction"):
        read(model(nodes, lstm_weights(directions=2)))


def unrolled(steps):
    weights = lstm_weights()
    chance = np.random.default_rng(0)
    tensors = {"U": chance.normal(size=(3, 3)).astype("float32")}
    nodes = [node("Gather", f"x i{t}", f"x{t}", axis=1) for t in range(steps)]
    tensors |= {f"i{t}": np.array(t) for t in range(steps)}
    state = "x0"
    for t in range(1, steps):
        nodes += [node("MatMul", f"{state} U", f"p{t}"), node("Add", f"p{t} x{t}", f"s{t}"),
                  node("Tanh", f"s{t}", f"h{t}")]  # fmt: skip
        state = f"h{t}"
    return model(nodes, tensors, [info("x", ("batch", steps, 3))], state), weights


def test_unrolled_graphs_are_refused(read):
    with pytest.raises(FormatError, match=r"the_MatMul.*unrolled.*unroll=True.*nn.LSTM"):
        read(unrolled(8)[0])


@pytest.mark.parametrize(
    ("op", "message"),
    [
        ("Loop", "loop is not read: export the recurrent layer as one LSTM node"),
        ("Scan", "loop is not read: export"),
        ("GRU", "GRU is not among the layers"),
        ("RNN", "plain RNN is not among"),
        ("Erf", "operators of this kind are not read"),
    ],
)
def test_other_operators_are_refused_with_advice(op, message, read):
    with pytest.raises(FormatError, match=rf"node 'the_{op}' \({op}\): .*{message}"):
        read(model([node(op, "x")]))


def test_other_domains_are_refused(read):
    entry = node("DynamicQuantizeLSTM", "x")
    entry.domain = "com.microsoft"
    with pytest.raises(FormatError, match=r"DynamicQuantizeLSTM\): operators of 'com.microsoft'"):
        read(model([entry]))


def test_comparisons_of_inputs_are_refused(read):
    with pytest.raises(FormatError, match="the_Equal.*read of constants only"):
        read(model([node("Equal", "x x")]))


def test_conditions_on_inputs_are_refused(read):
    with pytest.raises(FormatError, match="If.*depends on the inputs"):
        read(model([node("If", "x")]))


def test_an_input_without_samples_is_refused(read):
    nodes = [node("Unsqueeze", "x one", "u"), node("LSTM", "u W R B", "y")]
    tensors = lstm_weights() | {"one": np.array([1])}
    with pytest.raises(FormatError, match="no axis for samples"):
        read(model(nodes, tensors, [info("x", (None, 3))]))


def test_samples_that_meet_are_refused(read):
    for entry in (
        node("ReduceMean", "x", axes=[0]),
        node("Softmax", "x", axis=0),
        node("Flatten", "x", axis=0),
    ):
        with pytest.raises(FormatError, match="samples"):
            read(model([entry], inputs=[info("x", ("batch", 4, 3))]))


def test_nothing_is_fixed_by_the_batch_of_the_file(read):
    """A file for two samples is for any number."""
    found = read(model([plain()], lstm_weights(), [info("x", (2, 5, 3))]))
    assert found.inputs[0].shape == (None, 5, 3)
    assert found.predict(X).shape == (3, 5, 1, 2)


def test_training_goes_on(read, tmp_path):
    """A model that was read trains, is saved, and trains on as if it had not been saved."""
    nodes = [plain(), node("Squeeze", "y two", "s"), node("ReduceSum", "s one", "r", keepdims=0)]
    tensors = lstm_weights() | {"one": np.array([1]), "two": np.array([2])}
    found = read(model(nodes, tensors, outputs="r"))
    found.compile("adam", "mse")
    target = np.ones((3, 2), "float32")
    first = found.evaluate(X, target, verbose=0)
    found.fit(X, target, epochs=20, verbose=0)
    assert found.evaluate(X, target, verbose=0) < first
    found.save(tmp_path / "model.safetensors")
    again = cylstm.models.load_model(tmp_path / "model.safetensors")
    for trained in (found, again):
        trained.fit(X, target, epochs=2, verbose=0, shuffle=False)
    for one, two in zip(found.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
