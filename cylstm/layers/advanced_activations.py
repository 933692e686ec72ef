"""Rectifiers with a number, or weights, of their own."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from cylstm import _spellings, activations, constraints, initializers, regularizers
from cylstm._numbers import real
from cylstm.layers._options import Constrain, Initialize, LayerOptions, Penalize
from cylstm.layers.differentiable import Backward, Differentiable
from cylstm.layers.input_spec import InputSpec
from cylstm.variables import Variable

__all__ = ["ELU", "LeakyReLU", "PReLU", "ThresholdedReLU"]

Gradient = tuple[np.ndarray, dict[Variable, np.ndarray]]


class LeakyReLU(Differentiable):
    """A rectifier that lets a share of negative inputs through: x, or alpha x where x < 0.

    Parameters
    ----------
    alpha : float, default 0.3
        The slope for negative inputs; a negative one turns them positive.
    **kwargs
        The arguments of `Layer`.

    Raises
    ------
    ValueError, TypeError
        For an `alpha` that is not finite or no number.

    Notes
    -----
    Inputs of any shape, outputs of the same; masks pass through. The derivative at 0 is 0.
    Behaviour: `tf.keras.layers.LeakyReLU` of TensorFlow 1.4.

    References
    ----------
    A. Maas, A. Hannun and A. Ng, "Rectifier nonlinearities improve neural network acoustic
    models", ICML 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import LeakyReLU
    >>> LeakyReLU(0.25)(np.array([[-2.0, 3.0]])).tolist()
    [[-0.5, 3.0]]
    """

    framewise = True

    @_spellings.leaky_relu
    def __init__(self, alpha: float = 0.3, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.alpha: int | float = real(alpha, "alpha")
        self.supports_masking = True

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward | None]:
        """See `Differentiable.forward`."""
        outputs = np.where(inputs < 0, inputs * self.alpha, inputs)

        def backward(d_outputs: np.ndarray) -> Gradient:
            slopes = (inputs > 0) + self.alpha * (inputs < 0)
            return d_outputs * slopes.astype(inputs.dtype), {}

        return outputs, backward


class PReLU(Differentiable):
    """A rectifier whose slopes for negative inputs are learned: x, or alpha x where x < 0.

    Parameters
    ----------
    alpha_initializer : str, callable or dict, default "zeros"
        See `cylstm.initializers`.
    alpha_regularizer : callable, str or dict, optional
        Penalty of the slopes. See `cylstm.regularizers`.
    alpha_constraint : callable, str or dict, optional
        Applied to the slopes after each update. See `cylstm.constraints`.
    shared_axes : int or list of int, optional
        The axes along which there is one slope for all, counted from 1, as the batch axis is 0.
        For sequences of any length give 1: then each feature has one slope.
    **kwargs
        The arguments of `Layer`.

    Attributes
    ----------
    alpha : Variable
        The slopes, of the shape of a sample, with 1 for each shared axis, once the layer is built.

    Raises
    ------
    ValueError, TypeError
        For an unknown name, or an axis below 1 or that is no integer; when built, for an axis that
        the input does not have, or one of unknown size that is not shared.

    Notes
    -----
    Inputs (batch, ...) of any number of axes, outputs of the same shape; masks pass through. The
    derivative at 0 is 0. Behaviour: Keras 2.0, but that it takes the axes 0 and -1 and then shares
    the one before.

    References
    ----------
    K. He et al., "Delving deep into rectifiers", ICCV 2015, arXiv:1502.01852.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import PReLU
    >>> layer = PReLU(alpha_initializer="ones", shared_axes=[1])
    >>> layer(np.array([[[-2.0, 3.0], [1.0, -4.0]]])).tolist()
    [[[-2.0, 3.0], [1.0, -4.0]]]
    >>> layer.alpha.shape
    (1, 2)
    """

    @_spellings.prelu
    def __init__(
        self,
        alpha_initializer: Any = "zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: int | Sequence[int] | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.alpha_initializer: Initialize = initializers.get(alpha_initializer)
        self.alpha_regularizer: Penalize = regularizers.get(alpha_regularizer)
        self.alpha_constraint: Constrain = constraints.get(alpha_constraint)
        self.shared_axes: list[int] | None = (
            None if shared_axes is None else _checked_axes(shared_axes)
        )
        self.supports_masking = True
        self.input_spec: list[InputSpec] = [InputSpec(min_ndim=2)]

    @property
    def framewise(self) -> bool:  # type: ignore[override]  # it depends on an argument
        """Whether it may stream: not where each timestep has slopes of its own."""
        over_time = self.built and len(self.alpha.shape) > 1
        return not over_time or 1 in (self.shared_axes or [])

    def build(self, input_shape: Any) -> None:
        """Create the slopes for (batch, ...); each axis that is not shared must be known."""
        self._check_shapes([input_shape])
        shared = set(self.shared_axes or [])
        ndim = len(input_shape)
        if shared and max(shared) >= ndim:
            raise ValueError(
                f"Layer {self.name} shares the axis {max(shared)}, but was given the shape "
                f"{tuple(input_shape)}."
            )
        own = {axis: input_shape[axis] for axis in range(1, ndim) if axis not in shared}
        if None in own.values():
            raise ValueError(
                f"Layer {self.name} has slopes along every axis that it does not share, so the "
                f"sizes must be known, got the shape {tuple(input_shape)}: give shared_axes, such "
                "as [1] for sequences of any length."
            )
        self.alpha: Variable = self.add_weight(
            "alpha",
            tuple(own.get(axis, 1) for axis in range(1, ndim)),
            initializer=self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
        )
        self.input_spec = [InputSpec(ndim=ndim, axes=own)]
        self.built = True

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward | None]:
        """See `Differentiable.forward`."""
        alpha = self.alpha.value
        outputs = np.where(inputs < 0, inputs * alpha, inputs)

        def backward(d_outputs: np.ndarray) -> Gradient:
            slopes = np.where(inputs < 0, alpha, (inputs > 0).astype(inputs.dtype))
            d_alpha = (d_outputs * np.minimum(inputs, 0)).sum(axis=0)
            repeated = tuple(axis for axis, size in enumerate(alpha.shape) if size == 1)
            return d_outputs * slopes, {self.alpha: d_alpha.sum(axis=repeated, keepdims=True)}

        return outputs, backward


class ELU(Differentiable):
    """The exponential linear unit: x, or alpha (exp(x) - 1) where x < 0.

    Parameters
    ----------
    alpha : float, default 1.0
        Minus the limit for inputs towards minus infinity.
    **kwargs
        The arguments of `Layer`.

    Raises
    ------
    ValueError, TypeError
        For an `alpha` that is not finite or no number.

    Notes
    -----
    Inputs of any shape, outputs of the same; masks pass through. The derivative at 0 is alpha.
    Behaviour: Keras 2.0.

    References
    ----------
    D. Clevert, T. Unterthiner and S. Hochreiter, "Fast and accurate deep network learning by
    exponential linear units", ICLR 2016, arXiv:1511.07289.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import ELU
    >>> ELU(2.0, dtype="float64")(np.array([[-1.0, 3.0]])).round(4).tolist()
    [[-1.2642, 3.0]]
    """

    framewise = True

    def __init__(self, alpha: float = 1.0, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.alpha: int | float = real(alpha, "alpha")
        self.supports_masking = True

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward | None]:
        """See `Differentiable.forward`."""
        outputs = activations.elu(inputs, self.alpha)

        def backward(d_outputs: np.ndarray) -> Gradient:
            slopes = np.where(inputs > 0, self._dtype.type(1), outputs + self.alpha)
            return d_outputs * slopes, {}

        return outputs, backward


class ThresholdedReLU(Differentiable):
    """A rectifier that lets through what is above a threshold: x where x > theta, else 0.

    Parameters
    ----------
    theta : float, default 1.0
        The threshold.
    **kwargs
        The arguments of `Layer`.

    Raises
    ------
    ValueError, TypeError
        For a `theta` that is not finite or no number.

    Notes
    -----
    Inputs of any shape, outputs of the same; masks pass through. The derivative at the threshold
    is 0. Behaviour: Keras 2.0.

    References
    ----------
    K. Konda, R. Memisevic and D. Krueger, "Zero-bias autoencoders and the benefits of co-adapting
    features", ICLR 2015, arXiv:1402.3337.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import ThresholdedReLU
    >>> ThresholdedReLU(0.5)(np.array([[-1.0, 0.25, 3.0]])).tolist()
    [[0.0, 0.0, 3.0]]
    """

    framewise = True

    def __init__(self, theta: float = 1.0, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.theta: int | float = real(theta, "theta")
        self.supports_masking = True

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward | None]:
        """See `Differentiable.forward`."""
        below = inputs <= self._dtype.type(self.theta)
        zero = self._dtype.type(0)
        # Not a product with zeros and ones: that of an infinite input would be no number.
        return np.where(below, zero, inputs), lambda d_outputs: (
            np.where(below, zero, d_outputs),
            {},
        )


def _checked_axes(axes: Any) -> list[int]:
    given = axes if isinstance(axes, list | tuple) else [axes]
    try:
        found = [operator.index(axis) for axis in given]
    except TypeError:
        raise TypeError(f"shared_axes must be a list of integers, got {axes!r}.") from None
    if any(axis < 1 for axis in found):
        raise ValueError(
            f"shared_axes counts the axes of a sample from 1, as 0 is the batch axis, got {axes!r}."
        )
    return found
