"""Gradient descent and its adaptive kin, as in TensorFlow 1.4's Keras.

In the formulas w is a variable, g its gradient, and rates apply to each element. The learning rate
decays with the number t of updates before: lr_t = lr / (1 + decay t).
"""

from __future__ import annotations

import numpy as np

from cylstm import _core, _spellings
from cylstm._numbers import Hyperparameter
from cylstm.optimizers._one_pass import Factors, OnePass
from cylstm.optimizers.optimizer import Optimizer, State

__all__ = ["SGD", "Adadelta", "Adagrad", "RMSprop"]


class Decaying(Optimizer):
    """An optimizer whose learning rate decays over the updates."""

    lr: Hyperparameter[float] = Hyperparameter(minimum=0)
    decay: Hyperparameter[float] = Hyperparameter(minimum=0)

    def __init__(
        self, lr: float, decay: float, clipnorm: float | None, clipvalue: float | None
    ) -> None:
        super().__init__(clipnorm, clipvalue)
        self.lr = lr
        self.decay = decay

    @property
    def learning_rate(self) -> float:
        """The same as `lr`: today's name for it."""
        return self.lr

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self.lr = value

    def decayed_lr(self) -> float:
        """Return the learning rate of this update."""
        return self.lr / (1 + self.decay * self.iterations)

    def numbers(self) -> tuple[float, ...]:
        """Return the learning rate alone."""
        return (self.decayed_lr(),)


class SGD(Decaying, OnePass):
    """Stochastic gradient descent, with momentum if wanted.

    v' = momentum v - lr_t g, then w' = w + v', or with nesterov w' = w + momentum v' - lr_t g.

    Parameters
    ----------
    lr : float, default 0.01
        The learning rate, at least 0.
    momentum : float, default 0.0
        How much of the last step is taken again, at least 0.
    decay : float, default 0.0
        Of the learning rate, at least 0.
    nesterov : bool, default False
        Whether to use Nesterov's momentum.
    clipnorm, clipvalue : float or None, default None
        Limits of the gradients; see `Optimizer`.

    Raises
    ------
    TypeError, ValueError
        If an argument is unknown, not a finite number or out of bounds.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm import Variable
    >>> v, optimizer = Variable([1.0, 2.0]), SGD(lr=0.5, momentum=0.5)
    >>> for _ in range(2):
    ...     optimizer.apply([np.array([1.0, -2.0])], [v])
    >>> v.value.tolist()
    [-0.25, 4.5]
    """

    slot_names: tuple[str, ...] = ("moment",)
    _has_square = False
    momentum: Hyperparameter[float] = Hyperparameter(minimum=0)

    @_spellings.optimizer("SGD")
    def __init__(
        self,
        lr: float = 0.01,
        momentum: float = 0.0,
        decay: float = 0.0,
        nesterov: bool = False,
        *,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
    ) -> None:
        super().__init__(lr, decay, clipnorm, clipvalue)
        self.momentum = momentum
        self.nesterov: bool = bool(nesterov)

    def _factors(self, *numbers: float) -> Factors:
        """See `OnePass`."""
        (lr,) = numbers
        of_g, of_m = (lr, -self.momentum) if self.nesterov else (0.0, -1.0)
        return self.momentum, -lr, 0.0, 0.0, of_g, of_m, 0.0, 0.0


class RMSprop(Decaying, OnePass):
    """Gradients divided by a running root mean square of themselves.

    a' = rho a + (1 - rho) g², then w' = w - lr_t g / (sqrt(a') + epsilon).

    Parameters
    ----------
    lr : float, default 0.001
        The learning rate, at least 0.
    rho : float, default 0.9
        How much of the average is kept, from 0 to 1.
    epsilon : float, default 1e-8
        Keeps the divisor from 0, at least 0.
    decay : float, default 0.0
        Of the learning rate, at least 0.
    clipnorm, clipvalue : float or None, default None
        Limits of the gradients; see `Optimizer`.

    Raises
    ------
    TypeError, ValueError
        If an argument is unknown, not a finite number or out of bounds.

    References
    ----------
    Tieleman and Hinton 2012, "Lecture 6.5 - rmsprop", Coursera.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm import Variable
    >>> v = Variable([1.0, 2.0], dtype="float64")
    >>> RMSprop(lr=0.1, rho=0.75).apply([np.array([1.0, -2.0])], [v])
    >>> v.value.round(4).tolist()
    [0.8, 2.2]
    """

    slot_names: tuple[str, ...] = ("accumulator",)
    _has_mean = False
    iterations_in_weights = False
    rho: Hyperparameter[float] = Hyperparameter(0, 1)
    epsilon: Hyperparameter[float] = Hyperparameter(minimum=0)

    @_spellings.optimizer(
        "RMSprop",
        momentum=((0,), "SGD has momentum"),
        centered=((False,), "gradients are divided by their root mean square"),
    )
    def __init__(
        self,
        lr: float = 0.001,
        rho: float = 0.9,
        epsilon: float = 1e-8,
        decay: float = 0.0,
        *,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
    ) -> None:
        super().__init__(lr, decay, clipnorm, clipvalue)
        self.rho = rho
        self.epsilon = epsilon

    def _factors(self, *numbers: float) -> Factors:
        """See `OnePass`."""
        (lr,) = numbers
        return 0.0, 0.0, self.rho, 1 - self.rho, lr, 0.0, 1.0, self.epsilon


class Adagrad(Decaying, OnePass):
    """Gradients divided by the root of the sum of their squares so far.

    a' = a + g², then w' = w - lr_t g / (sqrt(a') + epsilon).

    Parameters
    ----------
    lr : float, default 0.01
        The learning rate, at least 0.
    epsilon : float, default 1e-8
        Keeps the divisor from 0, at least 0.
    decay : float, default 0.0
        Of the learning rate, at least 0.
    clipnorm, clipvalue : float or None, default None
        Limits of the gradients; see `Optimizer`.

    Raises
    ------
    TypeError, ValueError
        If an argument is unknown, not a finite number or out of bounds.

    References
    ----------
    Duchi, Hazan and Singer 2011, "Adaptive Subgradient Methods for Online Learning and Stochastic
    Optimization", JMLR 12.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm import Variable
    >>> v, optimizer = Variable([0.0, 0.0]), Adagrad(lr=0.5)
    >>> optimizer.apply([np.array([1.0, -20.0])], [v])
    >>> v.value.tolist()
    [-0.5, 0.5]
    """

    slot_names: tuple[str, ...] = ("accumulator",)
    _has_mean = False
    iterations_in_weights = False
    epsilon: Hyperparameter[float] = Hyperparameter(minimum=0)

    @_spellings.optimizer("Adagrad", initial_accumulator_value=((0,), "squares add up from 0"))
    def __init__(
        self,
        lr: float = 0.01,
        epsilon: float = 1e-8,
        decay: float = 0.0,
        *,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
    ) -> None:
        super().__init__(lr, decay, clipnorm, clipvalue)
        self.epsilon = epsilon

    def _factors(self, *numbers: float) -> Factors:
        """See `OnePass`."""
        (lr,) = numbers
        return 0.0, 0.0, 1.0, 1.0, lr, 0.0, 1.0, self.epsilon


class Adadelta(Decaying):
    """Steps as large as the running root mean square of the steps before.

    a' = rho a + (1 - rho) g², then u = g sqrt(d + epsilon) / sqrt(a' + epsilon),
    d' = rho d + (1 - rho) u² and w' = w - lr_t u.

    Parameters
    ----------
    lr : float, default 1.0
        A factor of the steps, at least 0.
    rho : float, default 0.95
        How much of the averages is kept, from 0 to 1.
    epsilon : float, default 1e-8
        The size of the first steps, at least 0.
    decay : float, default 0.0
        Of the factor, at least 0.
    clipnorm, clipvalue : float or None, default None
        Limits of the gradients; see `Optimizer`.

    Raises
    ------
    TypeError, ValueError
        If an argument is unknown, not a finite number or out of bounds.

    References
    ----------
    Zeiler 2012, arXiv:1212.5701.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm import Variable
    >>> v = Variable([0.0, 0.0], dtype="float64")
    >>> Adadelta(rho=0.75, epsilon=1.0).apply([np.array([0.0, -4.0])], [v])
    >>> v.value.round(4).tolist()
    [0.0, 1.7889]
    """

    slot_names: tuple[str, ...] = ("accumulator", "delta_accumulator")
    iterations_in_weights = False
    rho: Hyperparameter[float] = Hyperparameter(0, 1)
    epsilon: Hyperparameter[float] = Hyperparameter(minimum=0)

    @_spellings.optimizer("Adadelta")
    def __init__(
        self,
        lr: float = 1.0,
        rho: float = 0.95,
        epsilon: float = 1e-8,
        decay: float = 0.0,
        *,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
    ) -> None:
        super().__init__(lr, decay, clipnorm, clipvalue)
        self.rho = rho
        self.epsilon = epsilon

    def update(self, gradient: np.ndarray, state: State, *numbers: float) -> None:
        """Compute one update of one variable; see `Optimizer.update`."""
        (lr,) = numbers
        delta, scratch = state.delta, state.scratch
        (accumulator, squares), (new_accumulator, new_squares) = state.slots, state.new_slots
        of_squares = np.array((0.0, 0.0, self.rho, 1 - self.rho, 0.0, 0.0, 1.0, self.epsilon))

        def average(slot: np.ndarray, new: np.ndarray, added: np.ndarray) -> None:
            job = (added, None, None, (None, slot), (None, new), scratch, of_squares)
            _core.update([job], None)

        average(accumulator, new_accumulator, gradient)
        np.add(squares, self.epsilon, out=delta)
        np.sqrt(delta, out=delta)
        np.multiply(delta, gradient, out=delta)
        np.add(new_accumulator, self.epsilon, out=scratch)
        np.sqrt(scratch, out=scratch)
        np.divide(delta, scratch, out=delta)
        average(squares, new_squares, delta)
        np.multiply(delta, lr, out=delta)
