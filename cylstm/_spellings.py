"""How else arguments are spelt: in Keras 1, which Keras 2 still takes with a warning, and today.

A call that is known by other spellings is decorated by its table below, such as `@dense` above
`Dense.__init__`. Its own signature stays what it is, and a call in its own spelling pays for one
look at the names of its arguments.

- `old` names are those of Keras 1: they are taken, with a warning that gives the new call.
- `new` names are those of later versions of Keras for the same thing: they are taken.
- `fixed` arguments are not offered: a value that says what is so anyway is taken, any other is
  refused with the reason. Nothing is ever taken and ignored.
- `values` are other spellings of values.
- `rewrite` does what a table cannot: it changes the arguments, and returns whether they were of
  Keras 1.
"""

from __future__ import annotations

import functools
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from cylstm import _warning
from cylstm._arguments import suggesting

__all__ = ["Fixed", "Spellings", "add_weight", "class_form", "optimizer"]

Call = TypeVar("Call", bound=Callable[..., Any])
Fixed = tuple[tuple[Any, ...], str]  # values that are so anyway; what to do instead of others


@dataclass(frozen=True)
class Spellings:
    """A decorator that takes other spellings of the arguments of a function or method.

    Parameters
    ----------
    old, new : dict
        Other names to the names that the function has; `old` ones with a warning.
    fixed : dict
        Names to (values that are so anyway, what to do instead of others).
    values : dict
        Names of the function to other spellings of their values.
    rewrite : callable, optional
        ``rewrite(positional, named)`` changes the named arguments, and returns whether it did.
    hint : str
        What the warning says beyond the new call.

    Examples
    --------
    >>> lookup = Spellings(new={"learning_rate": "lr"}, fixed={"fast": ((False,), "leave it out")})
    >>> @lookup
    ... def train(lr):
    ...     return lr
    >>> train(learning_rate=0.5, fast=False)
    0.5
    >>> train(lr=0.5, fast=True)
    Traceback (most recent call last):
    ...
    ValueError: train: fast=True is not offered: leave it out.
    """

    old: Mapping[str, str] = field(default_factory=dict)
    new: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Fixed] = field(default_factory=dict)
    values: Mapping[str, Mapping[Any, Any]] = field(default_factory=dict)
    rewrite: Callable[[tuple[Any, ...], dict[str, Any]], bool] | None = None
    triggers: frozenset[str] = frozenset()
    hint: str = ""

    def __call__(self, function: Call) -> Call:
        watched = {*self.old, *self.new, *self.fixed, *self.values, *self.triggers}
        called: Callable[..., Any] = function
        if function.__name__ != "__init__":  # of which `NamedArguments` takes care
            called = suggesting(function, tuple(self.new))

        @functools.wraps(called)
        def respelled(*args: Any, **kwargs: Any) -> Any:
            if kwargs and not watched.isdisjoint(kwargs):
                own = called.__name__ == "__init__"
                title = type(args[0]).__name__ if own else called.__name__
                self._respell(title, args, kwargs)
            return called(*args, **kwargs)

        respelled.other_names = tuple(self.new)  # type: ignore[attr-defined]  # for errors
        return respelled  # type: ignore[return-value]  # with more spellings

    def _respell(self, title: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Spell the named arguments as the function does, and warn if they were of Keras 1."""
        if self._renamed(title, args, kwargs):
            call = ", ".join(
                [*map(_shown, args[1:]), *(f"{n}={_shown(v)}" for n, v in kwargs.items())]
            )
            _warning.warn(
                f"This call of {title} is spelt as in Keras 1. In Keras 2 it is "
                f"{title}({call}).{self.hint}",
                UserWarning,
            )

    def respelled(self, title: str, named: Mapping[str, Any]) -> dict[str, Any]:
        """The named arguments as the function spells them, without a warning: those of a file.

        Parameters
        ----------
        title : str
            What the function is called in errors.
        named : dict
            Not changed.
        """
        kwargs = dict(named)
        self._renamed(title, (), kwargs)
        return kwargs

    def _renamed(self, title: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Rename in place, and tell whether anything was spelt as in Keras 1."""
        given = [name for name in kwargs if name in self.old]
        converted = self.rewrite is not None and self.rewrite(args, kwargs)
        for name, (allowed, advice) in self.fixed.items():
            if name in kwargs:
                value = kwargs.pop(name)
                if not any(value is a or _equal(value, a) for a in allowed):
                    raise ValueError(f"{title}: {name}={_shown(value)} is not offered: {advice}.")
        for name, spelling in (*self.old.items(), *self.new.items()):
            if name in kwargs:
                if spelling in kwargs:
                    raise TypeError(
                        f"{title} got both {spelling} and {name}, which is another name of it: "
                        f"leave {name} out."
                    )
                kwargs[spelling] = kwargs.pop(name)
        for name, spellings in self.values.items():
            value = kwargs.get(name, self)
            if value is None or isinstance(value, str):
                kwargs[name] = spellings.get(value, value)
        return bool(given) or converted


def _equal(value: Any, allowed: Any) -> bool:
    return isinstance(value, int | float | str) and bool(value == allowed)


def _shown(value: Any) -> str:
    """A value as it may stand in a call, in few characters; ... for arrays and their like."""
    simple = value is None or isinstance(value, bool | int | float | str | tuple)
    return reprlib.repr(value) if simple or hasattr(value, "get_config") else "..."


_WITH_SEED = "cylstm.utils.set_random_seed(n) makes a whole program repeatable"
_CHANNELS_LAST: dict[str, Fixed] = {
    "data_format": (("channels_last", None), "the axes are batch, timesteps, features")
}
_KERNEL_AND_BIAS = {
    "init": "kernel_initializer",
    "W_regularizer": "kernel_regularizer",
    "b_regularizer": "bias_regularizer",
}
_CONSTRAINTS = {"W_constraint": "kernel_constraint", "b_constraint": "bias_constraint"}


def _recurrent_of_keras_1(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """forget_bias_init named an initializer, where there is a choice of 1 and 0 now.

    Keras 2.0.9 takes "one" only, and ignores what else was asked for.
    """
    if "forget_bias_init" not in kwargs:
        return False
    value = kwargs.pop("forget_bias_init")
    if value not in ("one", "ones", "zero", "zeros"):
        raise ValueError(
            f"forget_bias_init={_shown(value)} is not offered: unit_forget_bias=True starts the "
            "bias of the forget gate at one, unit_forget_bias=False as bias_initializer says."
        )
    kwargs["unit_forget_bias"] = value in ("one", "ones")
    return True


def _conv1d_of_keras_1(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    if "input_dim" not in kwargs:
        return False
    kwargs["input_shape"] = (kwargs.pop("input_length", None), kwargs.pop("input_dim"))
    return True


def _generated_of_keras_1(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """An epoch was counted in samples: in batches now, if it is known how large they are."""
    generator = args[1] if len(args) > 1 else kwargs.get("generator")
    size = getattr(generator, "batch_size", None)
    if "samples_per_epoch" in kwargs and size:
        kwargs["samples_per_epoch"] //= size
    return False


dense = Spellings(
    old={"output_dim": "units", "bias": "use_bias", **_KERNEL_AND_BIAS, **_CONSTRAINTS}
)
recurrent = Spellings(
    old={
        "output_dim": "units",
        "inner_init": "recurrent_initializer",
        "inner_activation": "recurrent_activation",
        "U_regularizer": "recurrent_regularizer",
        "dropout_W": "dropout",
        "dropout_U": "recurrent_dropout",
        "consume_less": "implementation",
        **_KERNEL_AND_BIAS,
    },
    values={"implementation": {"cpu": 0, "mem": 1, "gpu": 2}},
    fixed={
        "time_major": ((False,), "the axes are batch, timesteps, features; see numpy.swapaxes"),
        "use_cudnn": ((False, None, "auto"), "there is no GPU"),
        "zero_output_for_mask": ((False,), "a masked step repeats the output before it"),
        "seed": ((None,), _WITH_SEED),
    },
    rewrite=_recurrent_of_keras_1,
    triggers=frozenset({"forget_bias_init"}),
)
embedding = Spellings(
    old={
        "init": "embeddings_initializer",
        "W_regularizer": "embeddings_regularizer",
        "W_constraint": "embeddings_constraint",
    },
    fixed={
        "dropout": ((0, None), "put SpatialDropout1D(rate) right after the Embedding"),
        "sparse": ((False,), "gradients are whole arrays"),
    },
)
conv1d = Spellings(
    old={
        "nb_filter": "filters",
        "filter_length": "kernel_size",
        "subsample_length": "strides",
        "border_mode": "padding",
        "bias": "use_bias",
        **_KERNEL_AND_BIAS,
        **_CONSTRAINTS,
    },
    fixed={"groups": ((1,), "every filter sees all channels"), **_CHANNELS_LAST},
    rewrite=_conv1d_of_keras_1,
    triggers=frozenset({"input_dim"}),
)
pooling1d = Spellings(
    old={"pool_length": "pool_size", "stride": "strides", "border_mode": "padding"},
    fixed=_CHANNELS_LAST,
)
global_pooling1d = Spellings(
    fixed={"keepdims": ((False,), "RepeatVector(1) gives the axis back"), **_CHANNELS_LAST}
)
dropout = Spellings(old={"p": "rate"})
gaussian_noise = Spellings(old={"sigma": "stddev"}, fixed={"seed": ((None,), _WITH_SEED)})
leaky_relu = Spellings(new={"negative_slope": "alpha"})
prelu = Spellings(old={"init": "alpha_initializer"})
upsampling1d = Spellings(old={"length": "size"})
tokenizer = Spellings(old={"nb_words": "num_words"})
batch_normalization = Spellings(
    old={"beta_init": "beta_initializer", "gamma_init": "gamma_initializer"},
    fixed={
        "mode": ((0,), "each feature is normalized over the batch"),
        "renorm": ((False,), "statistics are those of the batch"),
        "fused": ((None, False), "there is one implementation"),
        "virtual_batch_size": ((None,), "statistics are those of the whole batch"),
        "synchronized": ((False,), "statistics are those of one process"),
    },
)
layer_normalization = Spellings(
    fixed={"rms_scaling": ((False,), "it centers and scales by the standard deviation")}
)
flatten = Spellings(fixed=_CHANNELS_LAST)
bidirectional = Spellings(
    fixed={"backward_layer": ((None,), "the layer itself reads backwards, with weights of its own")}
)

model = Spellings(old={"input": "inputs", "output": "outputs"})
_NO_TENSORS: dict[str, Fixed] = {
    "tensor": ((None,), "there are no tensors of TensorFlow; give a shape"),
    "input_tensor": ((None,), "there are no tensors of TensorFlow; give a shape"),
    "ragged": ((False,), "pad the sequences, cylstm.preprocessing.sequence.pad_sequences"),
    "optional": ((False,), "every input is needed"),
    "sparse": ((False,), "arrays are dense"),
}
input_tensor = Spellings(fixed=_NO_TENSORS)
input_layer = Spellings(
    old={"input_dtype": "dtype"},
    new={"shape": "input_shape", "batch_shape": "batch_input_shape"},
    fixed={n: f for n, f in _NO_TENSORS.items() if n != "sparse"},
)

_OF_VIEWS: dict[str, Fixed] = {
    "expand_nested": ((False,), "give the inner model itself"),
    "show_trainable": ((False,), "layer.trainable says it"),
    "layer_range": ((None,), "all layers are shown"),
}
summary = Spellings(fixed=_OF_VIEWS)
drawing = Spellings(
    fixed={
        "show_dtype": ((False,), "layer.dtype says it"),
        "show_layer_activations": ((False,), "layer.get_config() says them"),
        "dpi": ((None, 96), "model.plot().figure.savefig(path, dpi=...) takes it"),
        **_OF_VIEWS,
    }
)

_NO_CALLBACKS: Fixed = ((None, ()), "callbacks are told of training only")
_AS_LIST: Fixed = ((False,), "dict(zip(model.metrics_names, values)) makes one")
compiling = Spellings(
    fixed={
        "target_tensors": ((None,), "there are no tensors of TensorFlow"),
        "run_eagerly": ((None, False, True), "everything is computed at once"),
        "jit_compile": ((None, False, "auto"), "there is no XLA"),
        "steps_per_execution": ((1,), "each batch is one step"),
        "auto_scale_loss": ((True, False), "losses are never scaled"),
    }
)
fitting = Spellings(
    old={"nb_epoch": "epochs"},
    fixed={"validation_freq": ((1,), "every epoch ends with the validation")},
)
evaluating = Spellings(fixed={"callbacks": _NO_CALLBACKS, "return_dict": _AS_LIST})
predicting = Spellings(fixed={"callbacks": _NO_CALLBACKS})
on_batch = Spellings(
    fixed={"return_dict": _AS_LIST, "reset_metrics": ((True,), "metrics are those of the batch")}
)
generated = Spellings(
    old={
        "samples_per_epoch": "steps_per_epoch",
        "val_samples": "steps",
        "nb_epoch": "epochs",
        "nb_val_samples": "validation_steps",
        "nb_worker": "workers",
        "pickle_safe": "use_multiprocessing",
        "max_q_size": "max_queue_size",
    },
    fixed={
        "validation_freq": ((1,), "every epoch ends with the validation"),
    },
    rewrite=_generated_of_keras_1,
    hint=(
        " Epochs of a generator are counted in batches there, not in samples: divide by the "
        "size of a batch."
    ),
)

_OPTIMIZER: dict[str, Fixed] = {
    "weight_decay": ((None, 0), "use kernel_regularizer=l2(...) of the layers"),
    "use_ema": ((False,), "average the weights of several epochs yourself"),
    "ema_momentum": ((0.99, None), "average the weights of several epochs yourself"),
    "ema_overwrite_frequency": ((None,), "average the weights of several epochs yourself"),
    "loss_scale_factor": ((None,), "losses are never scaled"),
    "gradient_accumulation_steps": ((None, 1), "give a larger batch_size"),
    "jit_compile": ((None, False, "auto"), "there is no XLA"),
}


def optimizer(name: str, **fixed: Fixed) -> Spellings:
    """The spellings of an optimizer: of the name, and with these fixed arguments of its own.

    In the versions of Keras that take it, `epsilon=None` is 1e-7.
    """
    return Spellings(
        new={"learning_rate": "lr", "global_clipnorm": "clipnorm"},
        values={"epsilon": {None: 1e-7}},
        fixed={"name": ((None, name, name.lower()), "optimizers have no names"), **_OPTIMIZER}
        | fixed,
    )


def add_weight(function: Call) -> Call:
    """Decorate `Layer.add_weight`: the shape may come first, as in Keras 1, or alone, as today."""

    @functools.wraps(function)
    def respelled(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], tuple | list):
            shape, *rest = args
            kwargs["shape"] = shape
            if rest and isinstance(rest[0], str):
                kwargs["name"] = rest.pop(0)
            if rest:
                raise TypeError("add_weight: after a shape and a name, give arguments by name.")
            args = ()
        if not args and kwargs.get("name") is None:
            kwargs["name"] = f"weight_{len(layer.weights) + 1}"
        return function(layer, *args, **kwargs)

    return respelled  # type: ignore[return-value]  # with more spellings


def class_form(
    module: str, name: str, function: Any, fixed: Mapping[str, Fixed]
) -> Callable[..., Any]:
    """A function of the name of a class, which makes a loss or metric: that is a function here.

    Examples
    --------
    >>> from cylstm import losses
    >>> losses.MeanSquaredError() is losses.mean_squared_error
    True
    """

    def make() -> Any:
        return function

    make.__module__, make.__name__, make.__qualname__ = module, name, name
    make.__doc__ = f"Return the function `{function.__name__}`: today's spelling of it."
    named = (None, function.__name__)
    return Spellings(
        fixed={
            "name": (named, "it is reported under the name of its function"),
            "dtype": ((None,), "it computes in the dtype of the model"),
            **fixed,
        }
    )(make)
