"""Normalization: inputs shifted and scaled to mean 0 and variance 1."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from cylstm import _spellings, constraints, initializers, regularizers
from cylstm._numbers import real
from cylstm.layers._options import Constrain, Initialize, LayerOptions, Penalize
from cylstm.layers.differentiable import Backward, Differentiable, Pulled
from cylstm.layers.input_spec import InputSpec
from cylstm.variables import Variable

__all__ = ["BatchNormalization", "LayerNormalization"]


class _Normalization(Differentiable):
    """What both layers have in common: ``gamma (x - mean) / sqrt(variance + epsilon) + beta``.

    `_axes` are the axes that gamma and beta have, counted from the first, once built.
    """

    axis: int | list[int]
    gamma: Variable | None
    beta: Variable | None

    def __init__(
        self,
        epsilon: float,
        center: bool,
        scale: bool,
        beta_initializer: Any,
        gamma_initializer: Any,
        beta_regularizer: Any,
        gamma_regularizer: Any,
        beta_constraint: Any,
        gamma_constraint: Any,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.epsilon: int | float = real(epsilon, "epsilon", minimum=0)
        self.center: bool = bool(center)
        self.scale: bool = bool(scale)
        self.beta_initializer: Initialize = initializers.get(beta_initializer)
        self.gamma_initializer: Initialize = initializers.get(gamma_initializer)
        self.beta_regularizer: Penalize = regularizers.get(beta_regularizer)
        self.gamma_regularizer: Penalize = regularizers.get(gamma_regularizer)
        self.beta_constraint: Constrain = constraints.get(beta_constraint)
        self.gamma_constraint: Constrain = constraints.get(gamma_constraint)
        self.supports_masking = True

    @property
    def framewise(self) -> bool:  # type: ignore[override]  # it depends on an argument
        """Whether each timestep is treated by itself: where the features are the last axis."""
        return self.axis in (-1, [-1], (-1,))

    def build(self, input_shape: Any) -> None:
        """Create the weights for inputs of this shape; the normalized axes must be known."""
        ndim = len(input_shape)
        given = self.axis if isinstance(self.axis, list | tuple) else [self.axis]
        if any(not -ndim <= axis < ndim for axis in given):
            raise ValueError(
                f"Layer {self.name} has axis {self.axis}, out of range for an input of shape "
                f"{tuple(input_shape)}."
            )
        axes = [axis % ndim for axis in given]
        if len(set(axes)) < len(axes):
            raise ValueError(
                f"Layer {self.name} has an axis twice: {self.axis}, for {ndim} axes of input."
            )
        shape = tuple(input_shape[axis] for axis in axes)
        if None in shape or 0 in shape:
            raise ValueError(
                f"Layer {self.name} needs to know the size of axis {self.axis}, got an input of "
                f"shape {tuple(input_shape)}."
            )
        self._axes = axes
        self._add_weights(shape)
        self.input_spec: list[InputSpec] = [
            InputSpec(ndim=ndim, axes=dict(zip(axes, shape, strict=True)))
        ]
        self.built = True

    def _add_weights(self, shape: tuple[int, ...]) -> None:
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self.add_weight(
                "gamma",
                shape,
                initializer=self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
            )
        if self.center:
            self.beta = self.add_weight(
                "beta",
                shape,
                initializer=self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
            )

    def _spread(self, weight: np.ndarray, ndim: int) -> np.ndarray:
        """A weight with axes of size 1 where the inputs have others."""
        sizes = dict(zip(self._axes, weight.shape, strict=True))
        return weight.reshape([sizes.get(axis, 1) for axis in range(ndim)])

    def _normalized(
        self,
        centered: np.ndarray,
        variance: np.ndarray,
        epsilon: float,
        statistics: tuple[int, ...],
    ) -> tuple[np.ndarray, Backward]:
        """The outputs and the backward function; it writes into `centered`, which is x - mean.

        `statistics` are the axes of x that mean and variance were taken over; none where they are
        constants.
        """
        ndim = centered.ndim
        gamma = None if self.gamma is None else self._spread(self.gamma.value, ndim)
        inverse = 1 / np.sqrt(variance + epsilon)
        normal = np.multiply(centered, inverse, out=centered)
        outputs = normal.copy() if gamma is None else normal * gamma
        if self.beta is not None:
            outputs += self._spread(self.beta.value, ndim)
        others = tuple(axis for axis in range(ndim) if axis not in self._axes)

        def backward(d_outputs: np.ndarray) -> Pulled:
            d_weights: dict[Variable, np.ndarray] = {}
            d_normal, along_normal = d_outputs, d_outputs * normal
            if self.beta is not None:
                d_weights[self.beta] = d_outputs.sum(axis=others).reshape(self.beta.shape)
            if gamma is not None and self.gamma is not None:
                d_weights[self.gamma] = along_normal.sum(axis=others).reshape(self.gamma.shape)
                d_normal = d_outputs * gamma
                along_normal *= gamma
            d_inputs = d_normal * inverse
            if statistics and normal.size:
                # The mean takes away what all have in common, the variance what grows with x.
                along = along_normal.mean(axis=statistics, keepdims=True)
                d_inputs -= d_normal.mean(axis=statistics, keepdims=True) * inverse
                d_inputs -= np.multiply(normal, along * inverse, out=along_normal)
            return d_inputs, d_weights

        return outputs, backward


class BatchNormalization(_Normalization):
    """Normalize each feature over the batch (and time).

    In training with the mean and variance of the batch, of which moving averages are kept;
    otherwise with those averages::

        y = gamma (x - mean) / sqrt(variance + epsilon) + beta

    Parameters
    ----------
    axis : int, default -1
        The axis of the features: each has its own mean, variance, gamma and beta.
    momentum : float, default 0.99
        What is left of the moving averages at each training call; the rest is from the batch.
    epsilon : float, default 1e-3
        Added to the variance.
    center, scale : bool, default True
        Whether there is a beta, and a gamma.
    beta_initializer, gamma_initializer : str, callable or dict
        Default "zeros" and "ones". See `cylstm.initializers`.
    moving_mean_initializer, moving_variance_initializer : str, callable or dict
        Default "zeros" and "ones".
    beta_regularizer, gamma_regularizer : callable, str or dict, optional
        Penalties of the weights. See `cylstm.regularizers`.
    beta_constraint, gamma_constraint : callable, str or dict, optional
        Applied to the weights after each update. See `cylstm.constraints`.
    **kwargs
        The arguments of `Layer`.

    Attributes
    ----------
    gamma, beta : Variable or None
        (features,), once the layer is built.
    moving_mean, moving_variance : Variable
        (features,), not trainable: replaced by every call and `vjp` with ``training=True``.

    Raises
    ------
    ValueError
        For an unknown name or a number out of range; when built, for an axis that the input does
        not have or whose size is unknown.
    TypeError
        For an unknown argument, or one of a wrong type.

    Notes
    -----
    Outputs have the shape of the inputs. The gradient goes through the statistics of the batch.
    A mask is passed on, but masked timesteps count in the statistics. As in TensorFlow 1.4, whose
    behaviour this is, a layer with ``trainable = False`` still normalizes with the batch in
    training, and on inputs of four axes (features in axis 1 or 3, no regularizers of gamma and
    beta) the moving variance has Bessel's correction and epsilon is at least 1.001e-5: its fused
    kernel. An empty batch leaves the averages alone.

    References
    ----------
    S. Ioffe and C. Szegedy, "Batch normalization", arXiv:1502.03167.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import BatchNormalization
    >>> layer = BatchNormalization(epsilon=0, momentum=0.5)
    >>> layer(np.array([[1.0], [3.0]]), training=True).tolist()
    [[-1.0], [1.0]]
    >>> layer.moving_mean.value.tolist(), layer.moving_variance.value.tolist()
    ([1.0], [1.0])
    """

    @_spellings.batch_normalization
    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(
            epsilon,
            center,
            scale,
            beta_initializer,
            gamma_initializer,
            beta_regularizer,
            gamma_regularizer,
            beta_constraint,
            gamma_constraint,
            **kwargs,
        )
        self.axis: int = _axis(axis)
        self.momentum: int | float = real(momentum, "momentum", 0, 1)
        self.moving_mean_initializer: Initialize = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer: Initialize = initializers.get(moving_variance_initializer)

    def _add_weights(self, shape: tuple[int, ...]) -> None:
        super()._add_weights(shape)
        self.moving_mean: Variable = self.add_weight(
            "moving_mean", shape, initializer=self.moving_mean_initializer, trainable=False
        )
        self.moving_variance: Variable = self.add_weight(
            "moving_variance", shape, initializer=self.moving_variance_initializer, trainable=False
        )

    def _note_call(self, node: Any) -> None:
        super()._note_call(node)
        if node.arguments.get("training", True) is not False:
            self.add_update([self.moving_mean, self.moving_variance], inputs=node.input_tensors)

    def _is_fused(self, ndim: int) -> bool:
        """Whether TensorFlow 1.4 takes its fused kernel, whose numbers differ a little."""
        regularized = self.beta_regularizer or self.gamma_regularizer
        return ndim == 4 and self._axes[0] in (1, 3) and not regularized

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward]:
        """Normalize, and in training update the moving averages; see the class."""
        ndim = inputs.ndim
        epsilon = max(self.epsilon, 1.001e-5) if self._is_fused(ndim) else self.epsilon
        if not training or not inputs.size:
            centered = inputs - self._spread(self.moving_mean.value, ndim)
            variance = self._spread(self.moving_variance.value, ndim)
            return self._normalized(centered, variance, epsilon, ())
        statistics = tuple(axis for axis in range(ndim) if axis not in self._axes)
        mean, centered, variance = _moments(inputs, statistics)
        self._update(mean.ravel(), variance.ravel(), inputs.size // mean.size, ndim)
        return self._normalized(centered, variance, epsilon, statistics)

    def _update(self, mean: np.ndarray, variance: np.ndarray, count: int, ndim: int) -> None:
        """Move the moving averages towards the statistics of a batch of `count` samples."""
        if self._is_fused(ndim):
            variance = variance * self._dtype.type(count / max(count - 1, 1))
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving.value - (moving.value - value) * (1 - self.momentum))


class LayerNormalization(_Normalization):
    """Normalize each sample (and timestep) over its features.

    With the mean and variance over the normalized axes, in training and otherwise::

        y = gamma (x - mean) / sqrt(variance + epsilon) + beta

    Parameters
    ----------
    axis : int or list of int, default -1
        The axis or axes to normalize over.
    epsilon : float, default 1e-3
        Added to the variance.
    center, scale : bool, default True
        Whether there is a beta, and a gamma.
    beta_initializer, gamma_initializer : str, callable or dict
        Default "zeros" and "ones". See `cylstm.initializers`.
    beta_regularizer, gamma_regularizer : callable, str or dict, optional
        Penalties of the weights. See `cylstm.regularizers`.
    beta_constraint, gamma_constraint : callable, str or dict, optional
        Applied to the weights after each update. See `cylstm.constraints`.
    **kwargs
        The arguments of `Layer`.

    Attributes
    ----------
    gamma, beta : Variable or None
        With the sizes of the normalized axes, once the layer is built.

    Raises
    ------
    ValueError
        For an unknown name, a number out of range, or no axis; when built, for an axis that the
        input does not have, has twice, or whose size is unknown.
    TypeError
        For an unknown argument, or one of a wrong type.

    Notes
    -----
    Outputs have the shape of the inputs. A mask is passed on. Behaviour: tf.keras of TensorFlow
    2 (version 1.4 has no such layer).

    References
    ----------
    J. L. Ba, J. R. Kiros and G. E. Hinton, "Layer normalization", arXiv:1607.06450.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import LayerNormalization
    >>> LayerNormalization(epsilon=0)(np.array([[1.0, 3.0], [10.0, 30.0]])).tolist()
    [[-1.0, 1.0], [-1.0, 1.0]]
    """

    @_spellings.layer_normalization
    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(
            epsilon,
            center,
            scale,
            beta_initializer,
            gamma_initializer,
            beta_regularizer,
            gamma_regularizer,
            beta_constraint,
            gamma_constraint,
            **kwargs,
        )
        if not isinstance(axis, list | tuple):
            self.axis: int | list[int] = _axis(axis)
        elif axis:
            self.axis = [_axis(a) for a in axis]
        else:
            raise ValueError("axis must be an integer or a list of at least one, got none.")

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward]:
        """Normalize; see the class."""
        axes = tuple(self._axes)
        _, centered, variance = _moments(inputs, axes)
        return self._normalized(centered, variance, self.epsilon, axes)


def _axis(value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"axis must be an integer, got {value!r}.") from None


def _moments(x: np.ndarray, axes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, x - mean and variance along axes, which stay with the size 1."""
    mean = x.mean(axis=axes, keepdims=True)
    centered = x - mean
    return mean, centered, np.square(centered).mean(axis=axes, keepdims=True)
