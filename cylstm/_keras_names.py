"""The modules and names of Keras 2.0.9: where each is found here, and why some are absent.

`s/keras/cylstm/` is to turn the import lines of a Keras 2 script into lines that work. Two tables
say how: `PRESENT` lists the names that a module of Keras has and the module of that path here does
not define itself (there may be no such module), `ABSENT` the names and modules that cylstm does
not have, with the reason and what comes nearest. `install` puts both to work, once, when cylstm is
imported:

- a finder, asked before all others, makes the modules that exist in the table only;
- modules that exist get a `__getattr__` that looks into the tables, and the names in `__all__`,
  when they are loaded.

An absent name is an AttributeError with our text as an attribute (so that `hasattr` and `getattr`
behave), and an ImportError with our text in an import line. The latter takes a detour: for
`from module import name` Python replaces the text of every AttributeError, but asks finders for a
module of that name first, if the module is a package. So every module in the tables is one, of no
folder.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.abc import Loader
else:  # which would load half of the standard library
    Loader = object

__all__ = ["ABSENT", "PRESENT", "absence", "install"]

_OF_EVERY_LAYER = {
    "layers": "InputSpec Layer",
    "": "activations constraints initializers regularizers",
}
_OBJECTS = {"utils": "deserialize_keras_object serialize_keras_object"}
_LOSSES = (
    "KLD MAE MAPE MSE MSLE binary_crossentropy categorical_crossentropy categorical_hinge cosine "
    "cosine_proximity deserialize get hinge kld kullback_leibler_divergence logcosh mae mape "
    "mean_absolute_error mean_absolute_percentage_error mean_squared_error "
    "mean_squared_logarithmic_error mse msle poisson serialize sparse_categorical_crossentropy "
    "squared_hinge"
)

# Module of Keras: names by the module of cylstm that has them; cylstm itself is "".
PRESENT: dict[str, dict[str, str]] = {
    "": {},
    "activations": {"layers": "Layer", "utils": "deserialize_keras_object"},
    "backend": {},
    "backend.common": {
        "backend": "cast_to_floatx epsilon floatx image_data_format image_dim_ordering set_epsilon "
        "set_floatx set_image_data_format set_image_dim_ordering"
    },
    "callbacks": {},
    "constraints": _OBJECTS,
    "engine": {
        "layers": "Input InputLayer InputSpec Layer",
        "models": "Model",
        "": "topology training",
    },
    "engine.topology": {
        "graph": "Node",
        "layers": "Input InputLayer InputSpec Layer",
        "": "initializers",
    },
    "engine.training": {"models": "Model", "utils": "Sequence", "": "losses optimizers"},
    "initializers": _OBJECTS,
    "layers": {
        "utils": "deserialize_keras_object",
        "": "activations constraints initializers regularizers",
    },
    "layers.advanced_activations": {
        "layers": "InputSpec Layer",
        "": "constraints initializers regularizers",
    },
    "layers.convolutional": _OF_EVERY_LAYER
    | {
        "layers": "AveragePooling1D Cropping1D InputSpec Layer MaxPooling1D UpSampling1D "
        "ZeroPadding1D"
    },
    "layers.core": _OF_EVERY_LAYER
    | {
        "layers": "Dropout Flatten InputSpec Lambda Layer Permute RepeatVector Reshape "
        "SpatialDropout1D",
        "utils": "deserialize_keras_object",
    },
    "layers.embeddings": {
        "layers": "Embedding Layer",
        "": "constraints initializers regularizers",
    },
    "layers.merge": {"layers": "Concatenate Dot Layer concatenate dot"},
    "layers.noise": {"layers": "InputSpec Layer"},
    "layers.normalization": {
        "layers": "InputSpec Layer",
        "": "constraints initializers regularizers",
    },
    "layers.pooling": {"layers": "InputSpec Layer"},
    "layers.recurrent": _OF_EVERY_LAYER
    | {"layers": "InputSpec LSTM LSTMCell Layer RNN StackedRNNCells"},
    "layers.wrappers": {"layers": "Bidirectional InputSpec Layer"},
    "losses": {"utils": "deserialize_keras_object"},
    "metrics": {"utils": "deserialize_keras_object"},
    "models": {"layers": "Input Layer", "engine": "topology", "": "optimizers"},
    "objectives": {"losses": _LOSSES, "utils": "deserialize_keras_object"},
    "optimizers": _OBJECTS,
    "preprocessing": {},
    "regularizers": _OBJECTS,
    "utils": {},
    "utils.data_utils": {"utils": "Sequence"},
    "utils.generic_utils": {
        "utils": "CustomObjectScope custom_object_scope deserialize_keras_object "
        "get_custom_objects serialize_keras_object"
    },
    "utils.layer_utils": {"utils": "print_summary"},
    "utils.np_utils": {"utils": "normalize to_categorical"},
    "utils.vis_utils": {"utils": "model_to_dot plot_model"},
    "wrappers": {},
    "wrappers.scikit_learn": {"models": "Sequential", "utils": "to_categorical"},
}

_PURPOSE = "cylstm is for LSTM networks over sequences"

# Reason: names, and modules (which end in a dot): what is within an absent module is absent, too.
_REASONS: dict[str, str] = {
    f"{_PURPOSE}, not for other recurrent layers; the nearest is LSTM, which takes the same "
    "arguments": "GRU GRUCell SimpleRNN SimpleRNNCell CuDNNGRU",
    "there is no GPU; LSTM(units, recurrent_activation='sigmoid') computes the same": (
        "CuDNNLSTM layers.cudnn_recurrent."
    ),
    f"{_PURPOSE}: there are no layers for images and volumes; the nearest are Conv1D, "
    "MaxPooling1D and their kin, over timesteps": (
        "AveragePooling2D AveragePooling3D AvgPool2D AvgPool3D Conv2D Conv2DTranspose Conv3D "
        "Conv3DTranspose ConvLSTM2D ConvRecurrent2D Convolution2D Convolution2DTranspose "
        "Convolution3D Cropping2D Cropping3D Deconv2D Deconv3D Deconvolution2D Deconvolution3D "
        "DepthwiseConv2D GlobalAveragePooling2D GlobalAveragePooling3D GlobalAvgPool2D "
        "GlobalAvgPool3D GlobalMaxPool2D GlobalMaxPool3D GlobalMaxPooling2D GlobalMaxPooling3D "
        "LocallyConnected2D MaxPool2D MaxPool3D MaxPooling2D MaxPooling3D SeparableConv2D "
        "SeparableConvolution2D SpatialDropout2D SpatialDropout3D UpSampling2D UpSampling3D "
        "ZeroPadding2D ZeroPadding3D AtrousConv2D AtrousConvolution2D "
        "layers.convolutional_recurrent."
    ),
    "Conv1D(..., dilation_rate=n) is the same": "AtrousConv1D AtrousConvolution1D",
    "weights that differ at each timestep are not offered; the nearest is Conv1D": (
        "LocallyConnected1D layers.local."
    ),
    "layers of Keras 1 that Keras 2 only reads from old files": "Highway MaxoutDense Merge legacy.",
    f"{_PURPOSE}: there are no networks for images": "applications. preprocessing.image.",
    "cylstm downloads nothing: fetch the file yourself and read it with NumPy": (
        "datasets. get_file validate_file"
    ),
    "read the file with h5py, and give fit() the array": "HDF5Matrix utils.io_utils.",
    "there is no GPU; threads are set by cylstm.set_num_threads(n)": (
        "multi_gpu_model utils.training_utils."
    ),
    "optimizers of TensorFlow do not work on NumPy arrays; see cylstm.optimizers": "TFOptimizer",
    "progress is shown by fit(verbose=1)": "Progbar",
    "batches of a Sequence are made ahead by fit_generator(workers=n)": (
        "GeneratorEnqueuer OrderedEnqueuer SequenceEnqueuer get_index"
    ),
    "Model is its own base": "Container",
    "the inputs of a model are model.inputs": "get_source_inputs",
    "it is layer.count_params()": (
        "engine.topology.count_params. engine.training.count_params. "
        "utils.layer_utils.count_params."
    ),
    "weights go to files by model.save_weights(path) and come back by model.load_weights(path)": (
        "load_weights_from_hdf5_group load_weights_from_hdf5_group_by_name "
        "preprocess_weights_for_loading save_weights_to_hdf5_group"
    ),
    "kernels are stored in one way only": (
        "convert_all_kernels_in_model convert_dense_weights_data_format convert_kernel"
    ),
    "the functions are those of cylstm.backend": "backend.tensorflow_backend.",
    "code is never written to files or run from them": "func_dump func_load",
    "it is internal to Keras": (
        "ask_to_proceed_with_overwrite cbks clip_norm conv_utils has_arg interfaces io_utils "
        "layer_module legacy_layers legacy_models metrics_module print_layer_summary "
        "utils.conv_utils. utils.test_utils."
    ),
}
ABSENT: dict[str, str] = {
    name: reason for reason, names in _REASONS.items() for name in names.split()
}


def absence(module: str, name: str = "") -> str | None:
    """Why a name in a module of Keras, or the module itself, is absent here; None if it is not.

    Examples
    --------
    >>> absence("layers", "GRU")
    'cylstm is for LSTM networks over sequences, not for other recurrent layers; the nearest is \
LSTM, which takes the same arguments'
    >>> absence("layers", "LSTM") is None, absence("datasets.imdb", "load_data") is None
    (True, False)
    """
    words = f"{module}.{name}".strip(".").split(".")
    outer = (".".join(words[:end]) + "." for end in range(1, len(words) + 1))
    found = [ABSENT[path] for path in outer if path in ABSENT]
    if not found and words[0] == "backend":
        from cylstm.backend import _absent

        if words[-1] in _absent.ABSENT:
            return _absent.ABSENT[words[-1]]
    return found[0] if found else ABSENT.get(words[-1])


def _explanation(name: str, reason: str) -> str:
    return f"cylstm has no {name}: {reason}."


def _absolute(module: str) -> str:
    return f"cylstm.{module}" if module else "cylstm"


def _listed(module: str) -> Iterator[tuple[str, str]]:
    """The names that the table gives to a module, each with the module that has it."""
    for home, names in PRESENT[module].items():
        for name in names.split():
            yield name, home


_EXPLAIN_THEMSELVES = {"backend"}  # modules whose own errors about a name are the better ones


def _find(module: str, name: str, own: Callable[[str], Any] | None) -> Any:
    """The value of a name of Keras' module, or an AttributeError that says why there is none.

    What cylstm's module loads on first use is found by its own ``__getattr__``.
    """
    if name == "K":
        return import_module("cylstm.backend")
    inner = f"{module}.{name}".strip(".")
    if inner in PRESENT:
        return import_module(_absolute(inner))
    home = dict(_listed(module)).get(name)
    if home is not None:
        return getattr(import_module(_absolute(home)), name)
    found = sys.modules[_absolute(module)]
    text = f"module {_absolute(module)!r} has no attribute {name!r}"
    if own is not None:
        try:
            return own(name)
        except AttributeError as error:
            text = str(error)
    if not name.startswith("_") and module not in _EXPLAIN_THEMSELVES:
        from cylstm._arguments import near

        reason = absence(module, name)
        likely = near(name, found.__all__, n=1)
        # Without `obj`, in which Python looks for a second suggestion.
        if reason is not None:
            raise AttributeError(_explanation(name, reason), name=name)
        if likely:
            raise AttributeError(f"{text}; did you mean {likely[0]!r}?", name=name)
    raise AttributeError(text, name=name, obj=found)


def _extend(module: ModuleType, name: str) -> None:
    """Let a module of cylstm have what Keras' module of that name has."""
    own = module.__dict__.get("__getattr__")

    def __getattr__(attribute: str) -> Any:
        return _find(name, attribute, own)

    module.__dict__["__getattr__"] = __getattr__
    module.__dict__.setdefault("__path__", [])
    listed = dict.fromkeys([*module.__dict__.get("__all__", ()), *(n for n, _ in _listed(name))])
    module.__dict__["__all__"] = list(listed)
    if name == "layers.merge":
        from cylstm.layers._old_merge import MergeModule

        module.__class__ = MergeModule


class _KerasModules:
    """Finds the modules in the table, makes those that are there only, explains absent ones.

    It is asked first, so that it can extend the modules that others find.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, module = fullname.partition(".")
        if package != "cylstm":
            return None
        if module in PRESENT:
            for finder in sys.meta_path:
                spec = None if finder is self else finder.find_spec(fullname, path, target)
                if spec is not None and spec.loader is not None:
                    spec.loader = _Extending(spec.loader)
                    return spec
            return ModuleSpec(fullname, _Making(), is_package=True)
        outer, _, name = module.rpartition(".")
        known = outer in PRESENT and not name.startswith("_")
        reason = absence(outer, name) if known else None
        if reason is None:
            return None
        if f"{module}." in ABSENT:
            # Without a name of its own: `from cylstm import x` passes over an error of that name.
            raise ModuleNotFoundError(_explanation(name, reason))
        raise ImportError(_explanation(name, reason), name=fullname)


class _Extending(Loader):
    """Loads a module of cylstm as ever, and extends it."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = vars(module)["__spec__"].loader = self._loader  # as if it were alone
        self._loader.exec_module(module)
        _extend(module, module.__name__.partition(".")[2])


class _Making(Loader):
    """Makes a module that is in the table only."""

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__.partition(".")[2]
        module.__doc__ = f"What Keras 2 has in keras.{name}, as far as cylstm has it."
        _extend(module, name)
        module.__dict__["__dir__"] = lambda: sorted({*vars(module), *module.__all__})


def install() -> None:
    """Make Keras' names importable: called once, at the end of cylstm's own import."""
    if not any(type(finder).__module__ == __name__ for finder in sys.meta_path):
        sys.meta_path.insert(0, _KerasModules())
    _extend(sys.modules["cylstm"], "")
