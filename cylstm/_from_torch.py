"""PyTorch's weights as layers, and layers as a state dict of PyTorch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from cylstm import models, saving
from cylstm._blank import blank_weights
from cylstm._checks import described
from cylstm._storage import DEFAULT_MAX_SIZE, Path
from cylstm.saving import _torch_export, _torch_modules

__all__ = ["from_torch", "to_torch"]


def from_torch(
    source: Path | Mapping[str, npt.ArrayLike],
    prefix: str = "",
    *,
    skip: Iterable[str] = (),
    kinds: Mapping[str, str] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    max_size: int = DEFAULT_MAX_SIZE,
) -> dict[str, Any]:
    """Make layers that compute as the modules of a PyTorch model do, without PyTorch.

    Parameters
    ----------
    source : str, path or mapping
        A file of `torch.save` or safetensors, or a state dict: NumPy arrays or PyTorch's tensors
        by name.
    prefix : str, default ""
        Only what is below this path is taken, and named by the rest: "model." of Lightning, for
        example. Where a checkpoint holds several state dicts, it begins with the key of one.
    skip : iterable of str
        Paths of modules or parameters (below `prefix`) that are left out.
    kinds : mapping of str, optional
        The classes of modules by path, where a state dict leaves them open: a matrix without a bias
        is taken for an "Embedding" if its name has "emb" in it, else for a "Linear".
    options : mapping of mappings, optional
        By path: further arguments of the layer, which a state dict does not know: strides and
        padding of a Conv1D, the activation of a Dense, the epsilon of a normalization; for an LSTM
        return_sequences, return_state, or stateful with the batch_size.
    max_size : int, default 2**30
        How many bytes a file may have.

    Returns
    -------
    dict
        By the path of the module, in the order of the state dict, which safetensors files have
        sorted ("" is the model itself):

        =========== ==========================================================================
        nn.LSTM     `LSTM`, or `Bidirectional` around one; of several levels a `Sequential` of
                    them. With sigmoid gates (ours are hard_sigmoid by default), the two biases
                    added, and return_sequences=True
        nn.LSTMCell `LSTM` likewise, which steps by ``layer.stream()``
        nn.Linear   `Dense`
        nn.Conv1d   `Conv1D`; features are its last axis, where PyTorch's are before the time
        Embedding   `Embedding`
        BatchNorm1d `BatchNormalization`
        LayerNorm   `LayerNormalization`
        =========== ==========================================================================

        Layers have the names of their paths and are built, but for normalizations, which are when
        they are called.

    Raises
    ------
    ValueError
        If `prefix`, `skip`, `kinds` or `options` name what is not there; for modules that are not
        in the table: nn.GRU, nn.RNN, an LSTM with proj_size, quantized ones, ...; for shapes that
        do not fit together.
    FormatError
        If a file is damaged, or holds anything else than tensors by name.
    OSError
        If it cannot be read.

    Notes
    -----
    A state dict does not say what is between modules, nor dropout, groups and dilation of a
    convolution. Ours pads "same" as PyTorch's ``padding=(kernel_size - 1) // 2`` where the stride
    is 1 and the size odd.

    Examples
    --------
    >>> import numpy as np
    >>> import cylstm
    >>> state = {
    ...     "rnn.weight_ih_l0": np.ones((16, 3)),
    ...     "rnn.weight_hh_l0": np.ones((16, 4)),
    ...     "fc.weight": np.ones((2, 4)),
    ...     "fc.bias": np.zeros(2),
    ... }
    >>> layers = cylstm.from_torch(state, options={"rnn": {"return_sequences": False}})
    >>> layers["rnn"].recurrent_activation.__name__, layers["rnn"].units
    ('sigmoid', 4)
    >>> cylstm.Sequential([layers["rnn"], layers["fc"]]).predict(np.ones((5, 7, 3))).shape
    (5, 2)
    """
    state = _below(_state(source, max_size), prefix, skip)
    modules = _torch_modules.modules_of(state, _checked_kinds(kinds))
    options = dict(options or {})
    made = {m.path: _layer(m, dict(options.pop(m.path, {}))) for m in modules}
    if options:
        there = ", ".join(map(repr, made))
        raise ValueError(
            f"There is no module {next(iter(options))!r} for options: there is {there}."
        )
    return made


def to_torch(layers: Any) -> dict[str, np.ndarray]:
    """Give the weights of layers by the names that PyTorch has for them: a state dict.

    Parameters
    ----------
    layers : Layer, Model or mapping of layers
        A built one. Weights of a layer are named as those of a module; of a model, or a mapping
        such as `from_torch` returns, the names of layers, or the keys, stand before them. A
        `Sequential` of LSTM layers only is one nn.LSTM of several levels.

    Returns
    -------
    dict of ndarray
        Copies. PyTorch takes them by ``module.load_state_dict({name: torch.from_numpy(array) for
        name, array in state.items()})``, or from the file that `cylstm.saving.save_tensors` writes.

    Raises
    ------
    ValueError
        For a layer that PyTorch has no module for, and an LSTM whose gates are not sigmoid, whose
        activation is not tanh, or that goes backwards; if a layer is not built.

    Notes
    -----
    A state dict holds weights only: strides, paddings, epsilons and activations of other layers are
    to be written in the code of the module. The bias of an LSTM becomes bias_ih; bias_hh is zero.
    What was an nn.LSTMCell is an LSTM here, and named as an nn.LSTM.

    Examples
    --------
    >>> import cylstm
    >>> layer = cylstm.LSTM(4, recurrent_activation="sigmoid")
    >>> layer.build((None, None, 3))
    >>> {name: array.shape for name, array in cylstm.to_torch(layer).items()}
    {'weight_ih_l0': (16, 3), 'weight_hh_l0': (16, 4), 'bias_ih_l0': (16,), 'bias_hh_l0': (16,)}
    """
    return _torch_export.state_of(layers)


def _state(source: Any, max_size: int) -> dict[str, np.ndarray]:
    if isinstance(source, str | os.PathLike):
        return saving.load_tensors(source, max_size=max_size)
    if not isinstance(source, Mapping):
        hint = "; give its state_dict()" if callable(getattr(source, "state_dict", None)) else ""
        raise TypeError(
            f"source must be a path or a mapping of tensors by name, got {described(source)}{hint}."
        )
    found = {}
    for name, value in source.items():
        if not isinstance(name, str):
            raise TypeError(f"The names of tensors must be strings, got {described(name)}.")
        found[name] = _array(name, value)
    return found


def _array(name: str, value: Any) -> np.ndarray:
    if hasattr(value, "detach"):  # PyTorch's tensors, of which not all become arrays as they are
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name!r} must be an array of numbers, got {described(value)}.")
    return array


def _below(state: dict[str, np.ndarray], prefix: str, skip: Iterable[str]) -> dict[str, np.ndarray]:
    """What is below a path and not left out, named by the rest of the path."""
    if isinstance(skip, str):
        raise TypeError(f"skip must be a list of names, got the string {skip!r}.")
    start = f"{prefix.rstrip('.')}." if prefix else ""
    found = {n.removeprefix(start): array for n, array in state.items() if n.startswith(start)}
    if not found:
        tops = ", ".join(dict.fromkeys(repr(name.partition(".")[0]) for name in state))
        raise ValueError(
            f"No tensor is below {prefix!r}: names begin with {tops[:500]}."
            if state
            else "The state dict is empty."
        )
    for name in skip:
        left_out = [n for n in found if n == name or n.startswith(f"{name.rstrip('.')}.")]
        if not left_out:
            raise ValueError(f"There is no {name!r} to skip: there is {', '.join(found)[:500]}.")
        for key in left_out:
            del found[key]
    return found


def _checked_kinds(kinds: Mapping[str, str] | None) -> dict[str, str]:
    found = {path: kind.removeprefix("nn.") for path, kind in (kinds or {}).items()}
    for path, kind in found.items():
        if kind not in _torch_modules.KINDS:
            raise ValueError(
                f"kinds says that {path!r} is {kind!r}; there are "
                f"{', '.join(_torch_modules.KINDS)}."
            )
    return found


_OF_LAST = ("return_sequences", "return_state")  # of the levels of a stacked LSTM


def _layer(module: _torch_modules.Module, options: dict[str, Any]) -> Any:
    """The layer for a module; a Sequential for a stacked LSTM."""
    levels = _torch_modules.converted(module)
    name = options.pop("name", module.path or None)
    if len(levels) == 1:
        return _made(module, levels[0], name, options)
    inner = {key: value for key, value in options.items() if key not in _OF_LAST}
    made = []
    for number, level in enumerate(levels):
        is_last = level is levels[-1]
        own_name = None if name is None else f"{name}.{number}"
        made.append(_made(module, level, own_name, options if is_last else inner))
    return models.Sequential(made, name=name)


def _made(
    module: _torch_modules.Module,
    level: _torch_modules.Converted,
    name: Any,
    options: dict[str, Any],
) -> Any:
    fixed = set(level.arguments) - {"return_sequences", "epsilon", "momentum", "input_shape"}
    for argument in sorted(fixed & set(options)):
        raise ValueError(
            f"{argument} of {module} is {level.arguments[argument]!r}, as PyTorch has it: it is no "
            "option."
        )
    if level.build_shape is None:
        return level.make(name=name, weights=level.weights, **{**level.arguments, **options})
    layer = level.make(name=name, **{**level.arguments, **options})
    with blank_weights(sum(array.size for array in level.weights)):
        layer.build((options.get("batch_size"), *level.build_shape[1:]))
    layer.set_weights(level.weights)
    return layer
