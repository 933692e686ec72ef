"""TensorBoard: its own reader reads back what is written, and it is what Keras writes."""

import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

import cylstm
from cylstm.callbacks import Callback, TensorBoard
from cylstm.layers import LSTM, Conv1D, Dense, Dropout, Embedding, add

RECORD = json.loads((Path(__file__).parents[1] / "data" / "tensorboard.json").read_text("utf-8"))
X = np.array(RECORD["x"])
Y = np.array(RECORD["y"])


def read(folder):
    events = EventAccumulator(str(folder), {"images": 0, "histograms": 0, "scalars": 0})
    return events.Reload()


def reader(**arguments):
    model = cylstm.Sequential(
        [Embedding(9, 4, input_length=5, name="words"), LSTM(3, name="reader", **arguments)]
    )
    model.add(Dense(1, name="out"))
    model.compile("sgd", "mse")
    return model


def test_all_that_keras_writes(tmp_path):
    model = cylstm.Sequential(
        [
            Embedding(9, 4, input_length=5, name="words"),
            Conv1D(5, 2, name="conv"),
            LSTM(3, name="reader"),
            Dense(1, name="out"),
        ]
    )
    model.compile("sgd", "mse", metrics=["mae"])
    model.set_weights([np.array(w) for w in RECORD["weights"]])
    callback = TensorBoard(tmp_path, 1, 4, write_grads=True, write_images=True)
    model.fit(
        X, Y, validation_data=(X[:4], Y[:4]), shuffle=False, epochs=2, verbose=0,
        callbacks=[callback],
    )  # fmt: skip
    events, found = read(tmp_path), RECORD["found"]
    tags = events.Tags()
    assert {kind: sorted(tags[kind]) for kind in found} == {k: sorted(v) for k, v in found.items()}
    for tag, expected in found["scalars"].items():
        scalars = events.Scalars(tag)
        np.testing.assert_allclose([s.value for s in scalars], expected, rtol=1e-5)
        assert [s.step for s in scalars] == [0, 1]
    for tag, expected in found["histograms"].items():
        for event, (low, high, count, total, squares) in zip(
            events.Histograms(tag), expected, strict=True
        ):
            histogram = event.histogram_value
            assert sum(histogram.bucket) == histogram.num
            if tag == "words/embeddings_0_grad":  # TensorFlow's is of the rows looked up, each time
                assert histogram.num == 36
                np.testing.assert_allclose(histogram.sum, total, rtol=1e-4)
                continue
            assert histogram.num == count
            numbers = [histogram.min, histogram.max, histogram.sum, histogram.sum_squares]
            np.testing.assert_allclose(
                numbers, [low, high, total, squares], rtol=2e-4, atol=1e-7, err_msg=tag
            )
    for tag, expected in found["images"].items():
        for event, pixels in zip(events.Images(tag), expected, strict=True):
            image = np.asarray(Image.open(io.BytesIO(event.encoded_image_string)).convert("L"))
            assert image.shape == np.shape(pixels)
            assert np.abs(image.astype(int) - pixels).max() <= 1


def test_the_graph_is_that_of_the_layers(tmp_path):
    x, z = cylstm.Input((5, 3), name="x"), cylstm.Input((5, 3), name="z")
    shared = LSTM(4, name="shared")
    model = cylstm.Model([x, z], Dense(1, name="out")(add([shared(x), shared(z)], name="sum")))
    model.compile("sgd", "mse")
    rows = np.zeros((4, 5, 3))
    model.fit([rows, rows], np.zeros(4), verbose=0, callbacks=TensorBoard(tmp_path))
    graph = GraphDef.FromString(read(tmp_path).Graph().SerializeToString())
    nodes = {node.name: node for node in graph.node}
    assert {name: (node.op, list(node.input)) for name, node in nodes.items()} == {
        "x": ("InputLayer", []),
        "z": ("InputLayer", []),
        "shared": ("LSTM", ["x", "z"]),
        "sum": ("Add", ["shared"]),
        "out": ("Dense", ["sum"]),
    }
    shape = nodes["out"].attr["_output_shapes"].list.shape[0]
    assert [dim.size for dim in shape.dim] == [-1, 1]
    assert nodes["shared"].attr["parameters"].i == 128


def test_when_and_what(tmp_path):
    class Adds(Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["rate"] = np.float32(epoch / 4)
            logs["words"] = "no number"

    model = reader()
    callback = TensorBoard(tmp_path / "a" / "b", histogram_freq=2, write_graph=False)
    model.fit(
        X, Y, validation_split=0.5, epochs=5, initial_epoch=1, verbose=0,
        callbacks=[Adds(), callback],
    )  # fmt: skip
    events = read(tmp_path / "a" / "b")
    tags = events.Tags()
    assert [e.step for e in events.Histograms("reader_out")] == [2, 4]
    assert events.Histograms("reader_out")[0].histogram_value.num == 30
    assert sorted(tags["scalars"]) == ["loss", "rate", "val_loss"]
    assert [e.value for e in events.Scalars("rate")] == [0.25, 0.5, 0.75, 1.0]
    assert (tags["graph"], tags["images"]) == (False, [])
    assert not any(tag.endswith("_grad") for tag in tags["histograms"])


def test_looking_changes_nothing(tmp_path):
    """Neither weights, nor states, nor random numbers."""
    results = []
    for callbacks in ([], [TensorBoard(tmp_path, 1, 5, write_grads=True)]):
        cylstm.utils.set_random_seed(1)
        model = cylstm.Sequential(
            [
                Embedding(9, 4, batch_input_shape=(5, 5)),
                Dropout(0.5),
                LSTM(3, stateful=True, recurrent_dropout=0.5),
                Dense(1),
            ]
        )
        model.compile("adam", "mse")
        model.fit(
            X[:10], Y[:10], validation_data=(X[10:], Y[10:]), batch_size=5, epochs=2, verbose=0,
            callbacks=callbacks,
        )  # fmt: skip
        results.append([*model.get_weights(), *model.layers[2].states])
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_gradients_are_those_of_the_validation_loss(tmp_path):
    model = reader()
    callback = TensorBoard(tmp_path, 1, 3, write_grads=True)
    model.fit(X, Y, validation_data=(X[:7], Y[:7]), verbose=0, epochs=1, callbacks=callback)
    y, pullback = model.vjp(X[:7])
    expected = pullback(2 * (y - Y[:7]) / 7).weights[-1]  # of the bias of the last layer
    found = read(tmp_path).Histograms("out/bias_0_grad")[0].histogram_value
    np.testing.assert_allclose(found.sum, expected.sum(), rtol=1e-5)


def test_embeddings(tmp_path):
    model = reader()
    callback = TensorBoard(
        tmp_path, embeddings_freq=2, embeddings_metadata={"words": "words.tsv"}, write_graph=False
    )
    model.fit(X, Y, epochs=4, verbose=0, callbacks=callback)
    text = (tmp_path / "projector_config.pbtxt").read_text()
    (entry,) = text_format.Parse(text, ProjectorConfig()).embeddings
    assert (entry.tensor_name, entry.metadata_path) == ("words/embeddings", "words.tsv")
    assert np.loadtxt(tmp_path / entry.tensor_path, delimiter="\t").shape == (9, 4)
    for wrong in ({"embeddings_layer_names": ["wrds"]}, {"embeddings_metadata": {"wrds": "a"}}):
        with pytest.raises(ValueError, match="the embedding 'wrds', but the model has no such"):
            model.fit(X, Y, verbose=0, callbacks=TensorBoard(tmp_path, embeddings_freq=1, **wrong))
    plain = cylstm.Sequential([LSTM(2, input_shape=(5, 1))])
    plain.compile("sgd", "mse")
    with pytest.raises(ValueError, match="the model has no Embedding"):
        plain.fit(X[..., None], Y[:, [0, 0]], callbacks=TensorBoard("x", embeddings_freq=1))


def test_what_cannot_be_is_refused_before_the_first_epoch(tmp_path, monkeypatch):
    model = reader()
    before = model.get_weights()

    def refused(error, message, callback, **arguments):
        with pytest.raises(error, match=message):
            model.fit(X, Y, verbose=0, callbacks=[callback], **arguments)
        assert os.listdir(tmp_path) == ["file"]
        for a, b in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)

    (tmp_path / "file").write_text("")
    refused(ValueError, "validation_split, or arrays", TensorBoard(tmp_path / "a", 1))
    batches = ((X, Y) for _ in range(9))
    refused(
        ValueError, "cannot be a generator", TensorBoard(tmp_path / "a", 1),
        validation_data=batches, validation_steps=1,
    )  # fmt: skip
    refused(NotADirectoryError, "it is a file", TensorBoard(tmp_path / "file" / "a"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    refused(PermissionError, "cannot write to the folder", TensorBoard(tmp_path / "a"))
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    images = TensorBoard(tmp_path / "a", 1, write_images=True)
    refused(ImportError, "pip install 'pillow'", images, validation_split=0.5)
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    refused(ImportError, r"pip install 'cylstm\[tensorboard\]'", TensorBoard(tmp_path / "a"))


def test_arguments():
    for name in ("histogram_freq", "embeddings_freq", "batch_size"):
        with pytest.raises(ValueError, match=name):
            TensorBoard(**{name: -1})
    with pytest.raises(TypeError, match="TensorBoard has no argument 'update_freq'; it takes log"):
        TensorBoard(update_freq="batch")
    for name in ("write_images", "write_grads"):
        with pytest.warns(UserWarning, match="without histogram_freq there will be none"):
            TensorBoard(**{name: True})


def test_numbers_that_are_not_finite_are_left_out(tmp_path):
    class Spoils(Callback):
        def on_epoch_end(self, epoch, logs=None):
            weights = self.model.get_weights()
            weights[0][0, 0] = np.nan
            weights[-1][:] = np.inf
            self.model.set_weights(weights)

    callbacks = [Spoils(), TensorBoard(tmp_path, 1, write_images=True)]
    reader().fit(X, Y, validation_split=0.5, epochs=1, verbose=0, callbacks=callbacks)
    events = read(tmp_path)
    assert events.Histograms("words/embeddings_0")[0].histogram_value.num == 35
    assert "out/bias_0" not in events.Tags()["histograms"]
