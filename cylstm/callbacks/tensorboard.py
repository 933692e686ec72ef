"""A callback that writes what TensorBoard shows."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from cylstm import _checks, _warning
from cylstm.callbacks.base import Callback, Logs
from cylstm.utils.views import sources_of

__all__ = ["TensorBoard"]

_BINS = 30  # of a histogram, as many as TensorBoard draws
_IMAGES = 3  # of the slices of a kernel of three axes, as TensorFlow's summaries


class TensorBoard(Callback):
    """Write curves, the graph, histograms, weights as images and embeddings for TensorBoard.

    Written by tensorboardX (``pip install 'cylstm[tensorboard]'``); ``tensorboard --logdir logs``,
    of the package tensorboard, shows it. Neither needs TensorFlow. Tags are those of Keras 2.

    Parameters
    ----------
    log_dir : str or path, default "./logs"
        The folder, which is made; each training adds a file of events. A folder within it for each
        training keeps them apart.
    histogram_freq : int, default 0
        After how many epochs histograms are written: of each weight, and of what each layer gives
        for the validation data, which must be arrays. 0 is never.
    batch_size : int, default 32
        How many validation samples are computed at once for that.
    write_graph : bool, default True
        Whether the layers and what is between them are written.
    write_grads : bool, default False
        Whether the histograms are also of the gradient of the validation loss by each weight.
    write_images : bool, default False
        Whether the weights are also written as images; needs Pillow.
    embeddings_freq : int, default 0
        After how many epochs the vectors of embeddings are written, for TensorBoard's projector.
    embeddings_layer_names : list of str, optional
        Whose: of all `Embedding` layers by default.
    embeddings_metadata : str or dict, optional
        The file, or files by the name of the layer, with what each vector is of: one line each.
        A path is from `log_dir`.

    Raises
    ------
    TypeError, ValueError
        If a number is wrong; before the first epoch, if there are no arrays to validate with for
        histograms, or no such embedding.
    ImportError
        Before the first epoch, if tensorboardX, or for images Pillow, is not installed.
    OSError
        Before the first epoch, if the folder cannot be made or written to.

    Warns
    -----
    UserWarning
        If gradients or images are asked for without `histogram_freq`: then there are none.

    Examples
    --------
    >>> TensorBoard("logs/first", histogram_freq=1)
    TensorBoard(log_dir='logs/first', histogram_freq=1)
    """

    _adds = ()
    _examines = True

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "./logs",
        histogram_freq: int = 0,
        batch_size: int = 32,
        write_graph: bool = True,
        write_grads: bool = False,
        write_images: bool = False,
        embeddings_freq: int = 0,
        embeddings_layer_names: Collection[str] | None = None,
        embeddings_metadata: str | Mapping[str, str] | None = None,
    ) -> None:
        for name, value in (
            ("histogram_freq", histogram_freq),
            ("embeddings_freq", embeddings_freq),
        ):
            if value is not None and value != 0:
                _checks.positive_int(value, name)
        self.log_dir: str = os.fspath(log_dir)
        self.histogram_freq = histogram_freq
        self.batch_size: int = _checks.positive_int(batch_size, "batch_size")
        self.write_graph = write_graph
        self.write_grads = write_grads
        self.write_images = write_images
        self.embeddings_freq = embeddings_freq
        self.embeddings_layer_names = embeddings_layer_names
        self.embeddings_metadata = embeddings_metadata
        self._writer: Any = None
        if (write_grads or write_images) and not histogram_freq:
            _warning.warn(
                "TensorBoard writes gradients and images along with histograms, so without "
                "histogram_freq there will be none.",
                UserWarning,
            )

    # ------------------------------------------------------------------ before the first epoch

    def _check(self, known: Collection[str], complete: bool) -> None:
        """Find out whether everything is there to write, and write nothing."""
        _needed("tensorboardX", "cylstm[tensorboard]")
        if self.write_images and self.histogram_freq:
            _needed("PIL.Image", "pillow")
        folder = Path(self.log_dir).absolute()
        there = next(path for path in (folder, *folder.parents) if path.exists())
        if not there.is_dir():
            raise NotADirectoryError(f"TensorBoard cannot write to {self.log_dir!r}: it is a file.")
        if not os.access(there, os.W_OK | os.X_OK):
            raise PermissionError(f"TensorBoard cannot write to the folder {os.fspath(there)!r}.")
        if self.embeddings_freq:
            self._embeddings()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Open a file of events, and write the graph."""
        if self.histogram_freq and self._examine is None:
            raise ValueError(
                "TensorBoard with histogram_freq needs validation data: give fit() a "
                "validation_split, or arrays as validation_data, which cannot be a generator."
            )
        import tensorboardX

        self._writer = tensorboardX.FileWriter(self.log_dir)
        if self.write_graph:
            self._writer.add_onnx_graph(_graph_of(self.model))  # which takes any graph
        self._writer.flush()

    # ------------------------------------------------------------------ epochs

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write what is due, and the numbers of the logs."""
        from tensorboardX import summary

        add = self._writer.add_summary
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            for tag, values in self._arrays():
                finite = values[np.isfinite(values)]  # others have no place in a histogram
                if finite.size:
                    add(summary.histogram(tag, finite, _BINS), epoch)
            if self.write_images:
                for variable in _weights_of(self.model):
                    for tag, pixels in _images(_tag(variable), np.asarray(variable.value)):
                        add(summary.image(tag, pixels, dataformats="HW"), epoch)
        if self.embeddings_freq and epoch % self.embeddings_freq == 0:
            self._write_embeddings()
        for name, value in (logs or {}).items():
            if name not in ("batch", "size") and isinstance(value, Real | np.number):
                add(summary.scalar(name, float(value)), epoch)
        self._writer.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the file."""
        self._writer.close()
        self._writer = self._examine = None

    def _arrays(self) -> Iterator[tuple[str, np.ndarray]]:
        """What there are histograms of: weights, gradients, outputs."""
        inner = {id(layer) for layer in self.model.layers}
        nodes = [node for node in self.model._nodes if id(node.layer) in inner]
        tensors = [tensor for node in nodes for tensor in node.output_tensors]
        outputs, gradients = self._examine(tensors, self.batch_size, self.write_grads)
        for variable in _weights_of(self.model):
            yield _tag(variable), np.asarray(variable.value)
        for variable, gradient in gradients:
            yield f"{_tag(variable)}_grad", gradient
        seen: dict[str, int] = {}
        for tensor, values in zip(tensors, outputs, strict=True):
            name = tensor.layer.name
            seen[name] = seen.get(name, -1) + 1
            yield f"{name}_out" + f"_{seen[name]}" * (seen[name] > 0), values

    # ------------------------------------------------------------------ embeddings

    def _embeddings(self) -> dict[str, Any]:
        """The layers whose vectors are written, by name."""
        layers = {layer.name: layer for layer in self.model.layers}
        wanted = list(self.embeddings_layer_names or ())
        if not wanted:
            wanted = [n for n, layer in layers.items() if type(layer).__name__ == "Embedding"]
        metadata = self.embeddings_metadata
        named = [*wanted, *(metadata if isinstance(metadata, Mapping) else ())]
        for name in named:
            if name not in layers or not layers[name].weights or not wanted:
                raise ValueError(
                    f"TensorBoard is to write the embedding {name!r}, but the model has no such "
                    f"layer with weights; it has {', '.join(layers)}."
                )
        if not wanted:
            raise ValueError("TensorBoard has embeddings_freq, but the model has no Embedding.")
        return {name: layers[name] for name in wanted}

    def _write_embeddings(self) -> None:
        """Write vectors as text, which replaces those of an earlier epoch, and where they are."""
        metadata = self.embeddings_metadata
        entries = []
        for name, layer in self._embeddings().items():
            file = f"{name.replace('/', '_')}_embedding.tsv"
            vectors = np.asarray(layer.weights[0].value)
            np.savetxt(Path(self.log_dir, file), vectors, fmt="%.7g", delimiter="\t")
            fields = {"tensor_name": layer.weights[0].name, "tensor_path": file}
            labels = metadata.get(name) if isinstance(metadata, Mapping) else metadata
            if labels:
                fields["metadata_path"] = os.fspath(labels)
            lines = "".join(f"  {field}: {json.dumps(text)}\n" for field, text in fields.items())
            entries.append(f"embeddings {{\n{lines}}}\n")
        Path(self.log_dir, "projector_config.pbtxt").write_text("".join(entries), encoding="utf-8")


def _needed(module: str, requirement: str) -> None:
    from importlib import import_module

    try:
        import_module(module)
    except ImportError as error:
        raise ImportError(
            f"TensorBoard writes with {module.partition('.')[0]}, which is not installed: pip "
            f"install '{requirement}'"
        ) from error


def _weights_of(model: Any) -> list[Any]:
    return [variable for layer in model.layers for variable in layer.weights]


def _tag(variable: Any) -> str:
    """What Keras 2 calls a weight there: TensorFlow's name of it, with a number behind."""
    return f"{variable.name}_0"


def _images(tag: str, weight: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """A weight as pictures, as Keras and TensorFlow make them; none of four axes or more."""
    weight = np.squeeze(weight)
    if weight.ndim not in (1, 2, 3):
        return
    if weight.ndim == 1:
        weight = weight[:, np.newaxis]
    elif weight.ndim == 2 and weight.shape[0] > weight.shape[1]:
        weight = weight.T
    kernels = np.moveaxis(weight, -1, 0)[:_IMAGES] if weight.ndim == 3 else [weight]
    for i, kernel in enumerate(kernels):
        yield f"{tag}_1/image/{i}", _pixels(kernel)


def _pixels(numbers: np.ndarray) -> np.ndarray:
    """Shades of grey: black is 0, or, where some are negative, 0 is in the middle."""
    numbers = np.nan_to_num(numbers.astype(np.float64))
    largest = np.abs(numbers).max() or 1.0
    if numbers.min() < 0:
        return (127 + 127 * numbers / largest).astype(np.uint8)
    return (255 * numbers / largest).astype(np.uint8)


def _graph_of(model: Any) -> Any:
    """The layers as the nodes of a graph of TensorFlow."""
    from tensorboardX.proto.attr_value_pb2 import AttrValue
    from tensorboardX.proto.graph_pb2 import GraphDef
    from tensorboardX.proto.node_def_pb2 import NodeDef
    from tensorboardX.proto.tensor_shape_pb2 import TensorShapeProto

    sources = sources_of(model)
    nodes = []
    for layer in model._every_layer():
        shapes = layer.get_output_shape_at(0)
        listed = [
            TensorShapeProto(dim=[TensorShapeProto.Dim(size=-1 if n is None else n) for n in shape])
            for shape in (shapes if isinstance(shapes, list) else [shapes])
        ]
        nodes.append(
            NodeDef(
                name=layer.name,
                op=type(layer).__name__,
                input=[source.name for source in dict.fromkeys(sources[id(layer)])],
                attr={
                    "_output_shapes": AttrValue(list=AttrValue.ListValue(shape=listed)),
                    "parameters": AttrValue(i=layer.count_params()),
                },
            )
        )
    return GraphDef(node=nodes)
