"""Layers that disturb training: dropout of four kinds, and noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from cylstm import _checks, _random, _spellings
from cylstm._numbers import real
from cylstm.layers._options import LayerOptions
from cylstm.layers.differentiable import Backward, Differentiable
from cylstm.layers.input_spec import InputSpec

__all__ = ["AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "SpatialDropout1D"]

_SELU_LOWEST = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717
"""What `selu` comes close to for inputs towards minus infinity."""


class Dropout(Differentiable):
    """Set a random share of the inputs to zero in training, and scale the others up.

    Outside of training the inputs pass through unchanged.

    Parameters
    ----------
    rate : float
        The share that is dropped: at least 0, below 1. What is kept is divided by 1 - rate.
    noise_shape : tuple of (int or None), optional
        The shape of the mask, which is repeated along its axes of size 1; None stands for the
        size of the input. Default: the shape of the input. With (None, 1, None) all timesteps of
        a sequence lose the same features.
    seed : int, optional
        For random numbers of the layer's own. Default: those of `cylstm.utils.set_random_seed`.
    **kwargs
        The arguments of `Layer`.

    Raises
    ------
    ValueError, TypeError
        For a `rate` out of [0, 1), a `noise_shape` that is no shape, a `seed` that is no integer;
        when called, for a `noise_shape` that does not fit the input.

    Notes
    -----
    Inputs of any shape, outputs of the same; masks pass through, as documented (TensorFlow 1.4
    itself refuses them). Behaviour otherwise: `tf.keras.layers.Dropout` of TensorFlow 1.4.

    References
    ----------
    N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting",
    JMLR 15, 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import Dropout
    >>> layer = Dropout(0.5, seed=3)
    >>> layer(np.ones((1, 4))).tolist()
    [[1.0, 1.0, 1.0, 1.0]]
    >>> sorted(set(layer(np.ones((1, 40)), training=True).ravel().tolist()))
    [0.0, 2.0]
    """

    framewise = True

    @_spellings.dropout
    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.rate: float = _checked_rate(rate)
        self.noise_shape: tuple[int | None, ...] | None = (
            None if noise_shape is None else _checked_noise_shape(noise_shape)
        )
        self.seed: int | None = _random.checked_seed(seed)
        self._generator: np.random.Generator | None = None
        self.supports_masking = True

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward | None]:
        """See `Differentiable.forward`."""
        shape = self._mask_shape(inputs.shape)
        if not training or self.rate == 0:
            return inputs, lambda d_outputs: (d_outputs, {})
        kept = self._draw_kept(shape)
        factors = kept * self._dtype.type(1 / (1 - self.rate))
        return inputs * factors, lambda d_outputs: (d_outputs * factors, {})

    def _draw_kept(self, shape: tuple[int, ...]) -> np.ndarray:
        """Which inputs stay, drawn anew: an array of bool."""
        return self._random().random(shape, np.float32) >= self.rate

    def _random(self) -> np.random.Generator:
        """The layer's own generator, which goes on from call to call, or the default one."""
        if self.seed is None:
            return _random.default_generator()
        keyed = _random.keyed(self.seed)
        if keyed is not None:
            return keyed
        if self._generator is None:
            self._generator = _random.generator(self.seed)
        return self._generator

    def _mask_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the mask for inputs of this shape."""
        if self.noise_shape is None:
            return shape
        sizes = shape[max(0, len(shape) - len(self.noise_shape)) :]
        wanted = tuple(
            size if n is None else n for n, size in zip(self.noise_shape, sizes, strict=False)
        )
        fits = len(sizes) == len(self.noise_shape) and all(
            n in (1, size) for n, size in zip(wanted, sizes, strict=True)
        )
        if not fits:
            raise ValueError(
                f"The noise_shape {self.noise_shape} of layer {self.name} does not fit its input "
                f"{shape}: each axis must have the size of the input, 1 or None."
            )
        return wanted


class SpatialDropout1D(Dropout):
    """Dropout of whole features: a feature is dropped at all timesteps or at none.

    Parameters
    ----------
    rate : float
        The share of the features that is dropped: at least 0, below 1.
    **kwargs
        The other arguments of `Dropout` and those of `Layer`.

    Raises
    ------
    ValueError, TypeError
        As `Dropout`.

    Notes
    -----
    Inputs (batch, timesteps, features), outputs of the same shape; masks pass through. Behaviour
    otherwise: `tf.keras.layers.SpatialDropout1D` of TensorFlow 1.4.

    References
    ----------
    J. Tompson et al., "Efficient object localization using convolutional networks",
    arXiv:1411.4280.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import SpatialDropout1D
    >>> y = SpatialDropout1D(0.5, seed=1)(np.ones((2, 5, 3)), training=True)
    >>> bool((y == y[:, :1]).all())
    True
    """

    @_spellings.dropout
    def __init__(self, rate: float, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(rate, **kwargs)
        self.input_spec: list[InputSpec] = [InputSpec(ndim=3)]

    def _mask_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (shape[0], 1, shape[2])


class AlphaDropout(Dropout):
    """Dropout for networks of `selu`: a random share of the inputs takes its lowest value.

    All are then scaled and shifted, so that inputs of mean 0 and variance 1 stay so. Outside of
    training the inputs pass through unchanged.

    Parameters
    ----------
    rate : float
        The share that is dropped: at least 0, below 1.
    noise_shape, seed
        As for `Dropout`.
    **kwargs
        The arguments of `Layer`.

    Raises
    ------
    ValueError, TypeError
        As `Dropout`.

    Notes
    -----
    Inputs of any shape, outputs of the same; masks pass through. Behaviour: Keras 2.0.

    References
    ----------
    G. Klambauer et al., "Self-normalizing neural networks", NIPS 2017, arXiv:1706.02515.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import AlphaDropout
    >>> x = np.random.default_rng(0).normal(size=(1, 100000))
    >>> y = AlphaDropout(0.5, seed=3)(x, training=True)
    >>> bool(abs(y.mean()) < 0.02), bool(abs(y.std() - 1) < 0.02)
    (True, True)
    """

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward | None]:
        """See `Differentiable.forward`."""
        shape = self._mask_shape(inputs.shape)
        if not training or self.rate == 0:
            return inputs, lambda d_outputs: (d_outputs, {})
        kept = self._draw_kept(shape)
        scale = 1 / math.sqrt((1 - self.rate) * (1 + self.rate * _SELU_LOWEST**2))
        shift = -scale * _SELU_LOWEST * self.rate
        factors = kept * self._dtype.type(scale)
        added = np.where(
            kept, self._dtype.type(shift), self._dtype.type(scale * _SELU_LOWEST + shift)
        )
        return inputs * factors + added, lambda d_outputs: (d_outputs * factors, {})


class GaussianDropout(Differentiable):
    """Multiply by normally distributed factors in training, as noisy as `Dropout` is.

    Outside of training the inputs pass through unchanged.

    Parameters
    ----------
    rate : float
        As for `Dropout`, at least 0, below 1: the factors have the mean 1 and the standard
        deviation sqrt(rate / (1 - rate)).
    **kwargs
        The arguments of `Layer`.

    Raises
    ------
    ValueError, TypeError
        For a `rate` out of [0, 1) or that is no number.

    Notes
    -----
    Inputs of any shape, outputs of the same; masks pass through. Random numbers come from the
    generator that `cylstm.utils.set_random_seed` restarts. Behaviour: Keras 2.0.

    References
    ----------
    N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting",
    JMLR 15, 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import GaussianDropout
    >>> layer = GaussianDropout(0.5)
    >>> layer(np.ones((1, 2))).tolist()
    [[1.0, 1.0]]
    >>> bool((layer(np.ones((1, 2)), training=True) != 1).all())
    True
    """

    framewise = True

    @_spellings.dropout
    def __init__(self, rate: float, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.rate: float = _checked_rate(rate)
        self.supports_masking = True

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward | None]:
        """See `Differentiable.forward`."""
        if not training or self.rate == 0:
            return inputs, lambda d_outputs: (d_outputs, {})
        factors = _random.default_generator().standard_normal(inputs.shape, self._dtype)
        factors *= math.sqrt(self.rate / (1 - self.rate))
        factors += 1
        return inputs * factors, lambda d_outputs: (d_outputs * factors, {})


class GaussianNoise(Differentiable):
    """Add normally distributed noise in training.

    Outside of training the inputs pass through unchanged.

    Parameters
    ----------
    stddev : float
        The standard deviation of the noise, at least 0; its mean is 0.
    **kwargs
        The arguments of `Layer`.

    Raises
    ------
    ValueError, TypeError
        For a `stddev` that is negative, not finite or no number.

    Notes
    -----
    Inputs of any shape, outputs of the same; masks pass through. Random numbers come from the
    generator that `cylstm.utils.set_random_seed` restarts. Behaviour:
    `tf.keras.layers.GaussianNoise` of TensorFlow 1.4.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers import GaussianNoise
    >>> layer = GaussianNoise(0.1)
    >>> layer(np.zeros((1, 2))).tolist()
    [[0.0, 0.0]]
    >>> bool((layer(np.zeros((1, 2)), training=True) != 0).all())
    True
    """

    framewise = True

    @_spellings.gaussian_noise
    def __init__(self, stddev: float, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.stddev: int | float = real(stddev, "stddev", minimum=0)
        self.supports_masking = True

    def forward(
        self, inputs: np.ndarray, mask: Any, training: bool, keep: bool
    ) -> tuple[np.ndarray, Backward | None]:
        """See `Differentiable.forward`."""
        outputs = inputs
        if training:
            noise = _random.default_generator().standard_normal(inputs.shape, self._dtype)
            noise *= self.stddev
            noise += inputs
            outputs = noise
        return outputs, lambda d_outputs: (d_outputs, {})


def _checked_rate(rate: Any) -> float:
    checked = real(rate, "rate", minimum=0)
    if checked >= 1:
        raise ValueError(f"rate must be below 1, or nothing would be kept, got {rate!r}.")
    return checked


def _checked_noise_shape(noise_shape: Any) -> tuple[int | None, ...]:
    if not isinstance(noise_shape, list | tuple):
        raise TypeError(f"noise_shape must be a tuple of sizes, got {noise_shape!r}.")
    return tuple(
        None if size is None else _checks.positive_int(size, "A size in noise_shape")
        for size in noise_shape
    )
