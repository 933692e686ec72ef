"""Differentiable: the frame of a layer that is written as one function, forward and backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cylstm import _checks, _trace
from cylstm.layers._cotangents import checked_cotangents
from cylstm.layers._own_code import is_followed, is_written_as_call
from cylstm.layers.layer import Gradients, Layer
from cylstm.variables import Variable

__all__ = ["Differentiable"]

Pulled = tuple[Any, dict[Variable, Any]]  # gradients of the inputs, and by weight: arrays or Rows
Backward = Callable[[Any], Pulled]


class Differentiable(Layer):
    """A layer whose `call` and `vjp` follow from one method, `forward`.

    A subclass defines `forward(inputs, mask, training, keep)` and, where they are not the
    defaults of `Layer`, `build`, `compute_output_shape` and `compute_mask`. The frame casts and
    checks inputs and cotangents, builds, records the activity and puts the gradients of the
    weights into the order of `trainable_weights`.

    Parameters
    ----------
    **kwargs
        The arguments of `Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.layers.differentiable import Differentiable
    >>> class Scale(Differentiable):
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight("factor", (1,), initializer="ones")
    ...     def forward(self, inputs, mask, training, keep):
    ...         factor = self.factor.value
    ...         def backward(d_outputs):
    ...             return d_outputs * factor, {self.factor: np.sum(d_outputs * inputs).reshape(1)}
    ...         return inputs * factor, backward
    >>> y, pullback = Scale().vjp(np.array([[1.0, 2.0]]))
    >>> gradients = pullback(np.ones((1, 2)))
    >>> gradients.inputs.tolist(), gradients.weights[0].tolist()
    ([[1.0, 1.0]], [3.0])
    """

    def forward(
        self, inputs: Any, mask: Any, training: bool, keep: bool
    ) -> tuple[Any, Backward | None]:
        """Compute the outputs, and the function that pulls gradients back through them.

        Parameters
        ----------
        inputs : ndarray or list of ndarray
            Of the dtype of the layer and C-contiguous, checked against `input_spec`; not to be
            changed.
        mask : array_like or list, or None
            As the caller gave it.
        training : bool
            Whether dropout and the like are on.
        keep : bool
            Whether `backward` will be used: without it nothing has to be kept, and None will do.

        Returns
        -------
        outputs : ndarray or list of ndarray
            New arrays, or the inputs themselves (or views of them) where nothing changes.
        backward : callable
            From the cotangents (like the outputs, checked; not to be changed) to the gradients
            of the inputs (like the inputs; None for an input that has none, such as indices) and
            a dict from each weight to its gradient, an array or `Rows`. It may be called any
            number of times.
        """
        raise TypeError(f"{type(self).__name__} does not define `forward`.")

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        """Compute the outputs of a built layer from checked arrays; see calling the layer."""
        self._check_mask(inputs, mask)
        if _trace.current.get() is not None:  # the `call` of a subclass is being followed
            return self._step_of_trace(inputs, mask, bool(training))
        return self.forward(inputs, mask, bool(training), keep=False)[0]

    def _step_of_trace(self, inputs: Any, mask: Any, training: bool) -> Any:
        """The outputs as one step of a trace, with the derivative that `forward` gives."""
        variables = self.trainable_weights
        followed = is_followed(inputs, variables)

        def step(inputs: Any, mask: Any) -> tuple[Any, Callable[[Any], Any]]:
            outputs, backward = self.forward(inputs, mask, training, keep=followed)

            def pull(cotangents: Any) -> tuple[list[Any], list[np.ndarray]]:
                if backward is None:  # nothing was to be followed
                    raise ValueError(f"{self.name} kept nothing to go back through.")
                d_inputs, of_weights = backward(cotangents)
                return [d_inputs, None], _in_order_of(variables, of_weights)

            return outputs, pull

        return _trace.record(step, [inputs, mask], variables)

    def vjp(
        self, inputs: Any, mask: Any = None, training: bool | None = None
    ) -> tuple[Any, Callable[[Any], Gradients]]:
        """Compute the outputs, and the function that pulls gradients back through them.

        Parameters
        ----------
        inputs, mask, training
            As for calling the layer.

        Returns
        -------
        outputs : ndarray or list of ndarray
            As calling the layer gives.
        pullback : callable
            ``pullback(cotangents)``, with cotangents like the outputs (None stands for zero),
            gives `Gradients`. It may be called any number of times; the inputs must not be
            changed before.

        Raises
        ------
        ValueError, TypeError
            If an argument does not fit, as for calling the layer.
        """
        if is_written_as_call(type(self)):  # a subclass changed `call`, which `forward` is not
            return super().vjp(inputs, mask=mask, training=training)
        arrays = self._as_arrays(inputs)
        self._check_mask(arrays, mask)
        self._ensure_built(arrays)
        outputs, backward = self.forward(arrays, mask, bool(training), keep=True)
        self._record_activity(outputs)
        return outputs, self._pullback(outputs, backward)

    def _check_mask(self, inputs: Any, mask: Any) -> None:
        if mask is None:
            return
        several = isinstance(inputs, list) and isinstance(mask, list | tuple)
        for given in mask if several else [mask]:
            if given is not None:
                _checks.as_bools(given, f"The mask of layer {self.name}")
        self.compute_mask(inputs, mask)  # raises where the layer does not support masking

    def _pullback(self, outputs: Any, backward: Backward | None) -> Callable[[Any], Gradients]:
        """Wrap `backward`: cotangents checked, gradients of the weights in order."""
        variables = self.trainable_weights
        several = isinstance(outputs, list)
        shapes = [y.shape for y in outputs] if several else [outputs.shape]

        def pulled(cotangents: Any) -> Pulled:
            if backward is None:
                raise TypeError(f"{type(self).__name__}.forward returned no backward function.")
            checked = checked_cotangents(self, cotangents if several else [cotangents], shapes)
            return backward(checked if several else checked[0])

        return Pullback(variables, pulled)


class Pullback:
    """What `vjp` returns: a function of the cotangents.

    Parameters
    ----------
    variables : list of Variable
        In whose order gradients come.
    pulled : callable
        From the cotangents to the gradients.
    """

    def __init__(self, variables: list[Variable], pulled: Callable[[Any], Pulled]) -> None:
        self._variables = variables
        self._pulled = pulled

    def __call__(self, cotangents: Any) -> Gradients:
        d_inputs, of_weights = self._pulled(cotangents)
        return Gradients(d_inputs, None, _in_order_of(self._variables, of_weights))

    def by_rows(self, cotangents: Any) -> Gradients:
        """The same for training: a gradient may be `Rows`, and is None where it is zero."""
        d_inputs, of_weights = self._pulled(cotangents)
        weights: list[Any] = [of_weights.get(v) for v in self._variables]
        return Gradients(d_inputs, None, weights)


def _in_order_of(variables: list[Variable], gradients: dict[Variable, Any]) -> list[np.ndarray]:
    """The gradient of each variable as an array, zeros where there is none."""
    return [
        np.asarray(gradients[v]) if v in gradients else np.zeros(v.shape, v.dtype)
        for v in variables
    ]
