import numpy as np
import pytest

from cylstm.layers import Embedding

WORDS = np.array([[1, 3, 3, 0], [3, 2, 1, 1]])


def test_vectors_are_looked_up():
    layer = Embedding(4, 3)
    y = layer(WORDS)
    assert y.shape == (2, 4, 3)
    np.testing.assert_array_equal(y, layer.embeddings.value[WORDS])
    assert layer.embeddings.name == f"{layer.name}/embeddings"
    assert layer.embeddings.shape == (4, 3)


def test_gradients_of_one_index_add_up():
    layer = Embedding(5, 3, dtype="float64")
    y, pullback = layer.vjp(WORDS)
    dy = np.random.default_rng(0).normal(size=y.shape)
    gradients = pullback(dy)
    expected = np.zeros((5, 3))
    np.add.at(expected, WORDS, dy)
    np.testing.assert_allclose(gradients.weights[0], expected, rtol=1e-13)
    assert gradients.inputs is None
    assert gradients.initial_state is None


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint64", "float32", "float64", ">i4"])
def test_indices_of_any_dtype(dtype):
    layer = Embedding(4, 3)
    np.testing.assert_array_equal(layer(WORDS.astype(dtype)), layer(WORDS))
    np.testing.assert_array_equal(layer(WORDS.tolist()), layer(WORDS))


def test_large_indices_stay_exact():
    large = 2**24 + 1  # the first integer that float32 does not have
    layer = Embedding(large + 1, 1, embeddings_initializer="zeros")
    layer.build((None, 1))
    vectors = np.zeros((large + 1, 1), "float32")
    vectors[large] = 1
    layer.set_weights([vectors])
    assert layer(np.array([[large]])).item() == 1


@pytest.mark.parametrize("index", [4, -1, 2**40, np.uint64(2**64 - 1), 4.0, -1.0])
@pytest.mark.parametrize("method", ["__call__", "vjp"])
def test_indices_out_of_range(index, method):
    layer = Embedding(4, 3)
    with pytest.raises(ValueError, match=rf"{layer.name} holds the index .*allows 0 to 3"):
        getattr(layer, method)(np.array([[0, index]]))
    assert not layer.built


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf])
def test_indices_that_are_not_whole(value):
    layer = Embedding(4, 3)
    with pytest.raises(ValueError, match=rf"{layer.name} must hold whole numbers, got"):
        layer(np.array([[0.0, value]]))


@pytest.mark.parametrize("words", [[["a"]], [[1j]], [[None]]])
def test_indices_of_a_wrong_type(words):
    with pytest.raises(TypeError, match="must hold integers"):
        Embedding(4, 3)(np.array(words))


def test_masks():
    assert Embedding(4, 3).compute_mask(WORDS) is None
    mask = Embedding(4, 3, mask_zero=True).compute_mask(WORDS)
    np.testing.assert_array_equal(mask, WORDS != 0)
    assert mask.dtype == bool


@pytest.mark.parametrize(
    ("length", "batch_input_shape"),
    [(None, (None, None)), (4, (None, 4)), ((3, None), (None, 3, None))],
)
def test_input_length(length, batch_input_shape):
    layer = Embedding(4, 3, input_length=length)
    assert layer.batch_input_shape == batch_input_shape
    assert layer.compute_output_shape(batch_input_shape) == (*batch_input_shape, 3)
    config = layer.get_config()
    assert config["input_length"] == length
    assert Embedding.from_config(config).get_config() == config


@pytest.mark.parametrize(
    ("length", "shape"), [(3, (2, 4)), (4, (2, 4, 4)), ((3, 2), (2, 4, 2)), ((3, 2), (2, 3))]
)
def test_inputs_of_another_length(length, shape):
    layer = Embedding(4, 3, input_length=length)
    with pytest.raises(ValueError, match=rf"{layer.name} has the input_length"):
        layer(np.zeros(shape, int))
    with pytest.raises(ValueError, match="input_length"):
        layer.compute_output_shape((None, *shape[1:]))


def test_an_unknown_length_becomes_known():
    assert Embedding(4, 3, input_length=5).compute_output_shape((None, None)) == (None, 5, 3)
    assert Embedding(4, 3).compute_output_shape((2,)) == (2, 3)
    assert Embedding(4, 3, batch_input_shape=(2, 5)).batch_input_shape == (2, 5)


@pytest.mark.parametrize(
    "arguments",
    [(0, 3), (4, 0), (-4, 3), (4.0, 3), (None, 3), (4, None)],
)
def test_sizes_that_embedding_refuses(arguments):
    with pytest.raises((ValueError, TypeError), match="put_dim must be a positive integer"):
        Embedding(*arguments)


@pytest.mark.parametrize("length", [0, -1, 2.5, "4", (0,)])
def test_lengths_that_embedding_refuses(length):
    with pytest.raises((ValueError, TypeError), match="input_length must be a positive integer"):
        Embedding(4, 3, input_length=length)


def test_arguments_reach_the_weight():
    layer = Embedding(
        4, 3, embeddings_initializer="ones", embeddings_regularizer="l1",
        embeddings_constraint="unit_norm", activity_regularizer="l2", dtype="float64",
    )  # fmt: skip
    layer(WORDS)
    assert layer.losses == pytest.approx([0.12, 0.24])
    assert layer.embeddings.constraint is not None
