"""Adam and its kin, as in TensorFlow 1.4's Keras.

In the formulas w is a variable, g its gradient, and rates apply to each element. With the number t
of updates before, n = t + 1 is the number of this update, and lr_t = lr / (1 + decay t).
"""

from __future__ import annotations

import math

import numpy as np

from cylstm import _core, _spellings
from cylstm._numbers import Hyperparameter
from cylstm.optimizers._one_pass import Factors, OnePass
from cylstm.optimizers.descent import Decaying
from cylstm.optimizers.optimizer import State

__all__ = ["Adam", "Adamax", "Nadam"]

_BELOW_ONE = math.nextafter(1, 0)
_NEGLIGIBLE = 2.0**-60  # a factor of what is taken from 1, where nothing less makes a difference


class _Adaptive(Decaying):
    """An optimizer with running averages of the gradients and of their sizes."""

    beta_1: Hyperparameter[float] = Hyperparameter(0, _BELOW_ONE)
    beta_2: Hyperparameter[float] = Hyperparameter(0, _BELOW_ONE)
    epsilon: Hyperparameter[float] = Hyperparameter(minimum=0)

    def __init__(
        self,
        lr: float,
        beta_1: float,
        beta_2: float,
        epsilon: float,
        decay: float,
        clipnorm: float | None,
        clipvalue: float | None,
    ) -> None:
        super().__init__(lr, decay, clipnorm, clipvalue)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon


class Adam(_Adaptive, OnePass):
    """Running averages of the gradients and of their squares, both freed of their start from 0.

    m' = beta_1 m + (1 - beta_1) g and v' = beta_2 v + (1 - beta_2) g², then
    w' = w - lr_t sqrt(1 - beta_2^n) / (1 - beta_1^n) m' / (sqrt(v') + epsilon).

    Parameters
    ----------
    lr : float, default 0.001
        The learning rate, at least 0.
    beta_1 : float, default 0.9
        How much of the average gradient is kept, at least 0 and below 1.
    beta_2 : float, default 0.999
        How much of the average square is kept, at least 0 and below 1.
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
    Kingma and Ba 2015, arXiv:1412.6980.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm import Variable
    >>> v = Variable([1.0, 2.0])
    >>> Adam(lr=0.25).apply([np.array([0.003, -50.0])], [v])
    >>> v.value.round(3).tolist()
    [0.75, 2.25]
    """

    slot_names: tuple[str, ...] = ("mean", "square")

    @_spellings.optimizer("Adam", amsgrad=((False,), "averages are those of Adam"))
    def __init__(
        self,
        lr: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        decay: float = 0.0,
        *,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
    ) -> None:
        super().__init__(lr, beta_1, beta_2, epsilon, decay, clipnorm, clipvalue)

    def numbers(self) -> tuple[float, ...]:
        """Return the learning rate of this update, corrected for the start from 0."""
        n = self.iterations + 1
        correction = math.sqrt(1 - self.beta_2**n) / (1 - self.beta_1**n)
        return (self.decayed_lr() * correction,)

    def _factors(self, *numbers: float) -> Factors:
        """See `OnePass`."""
        (lr,) = numbers
        b1, b2 = self.beta_1, self.beta_2
        return b1, 1 - b1, b2, 1 - b2, 0.0, lr, 1.0, self.epsilon


class Adamax(_Adaptive):
    """Adam with the largest gradient in place of the mean square.

    m' = beta_1 m + (1 - beta_1) g and u' = max(beta_2 u, abs(g)), then
    w' = w - lr_t / (1 - beta_1^n) m' / (u' + epsilon).

    Parameters
    ----------
    lr : float, default 0.002
        The learning rate, at least 0.
    beta_1 : float, default 0.9
        How much of the average gradient is kept, at least 0 and below 1.
    beta_2 : float, default 0.999
        How much of the largest gradient is kept, at least 0 and below 1.
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
    Kingma and Ba 2015, section 7, arXiv:1412.6980.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm import Variable
    >>> v = Variable([1.0, 2.0])
    >>> Adamax(lr=0.25).apply([np.array([0.003, -50.0])], [v])
    >>> v.value.round(3).tolist()
    [0.75, 2.25]
    """

    slot_names: tuple[str, ...] = ("mean", "largest")

    @_spellings.optimizer("Adamax")
    def __init__(
        self,
        lr: float = 0.002,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        decay: float = 0.0,
        *,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
    ) -> None:
        super().__init__(lr, beta_1, beta_2, epsilon, decay, clipnorm, clipvalue)

    def numbers(self) -> tuple[float, ...]:
        """Return the learning rate of this update, corrected for the start from 0."""
        return (self.decayed_lr() / (1 - self.beta_1 ** (self.iterations + 1)),)

    def update(self, gradient: np.ndarray, state: State, *numbers: float) -> None:
        """Compute one update of one variable; see `Optimizer.update`."""
        (lr,) = numbers
        delta, scratch = state.delta, state.scratch
        (mean, largest), (new_mean, new_largest) = state.slots, state.new_slots
        of_mean = np.array((self.beta_1, 1 - self.beta_1, 0.0, 0.0, 0.0, lr, 0.0, 0.0))
        job = (gradient, None, None, (mean, None), (new_mean, None), delta, of_mean)
        _core.update([job], None)  # delta is now -lr m'
        np.abs(gradient, out=scratch)
        np.multiply(largest, self.beta_2, out=new_largest)
        np.maximum(new_largest, scratch, out=new_largest)
        np.add(new_largest, self.epsilon, out=scratch)
        np.divide(delta, scratch, out=delta)
        np.negative(delta, out=delta)


class Nadam(OnePass):
    """Adam with Nesterov's momentum, which grows by a schedule.

    With the momentum p_n = beta_1 (1 - 0.96^(n schedule_decay) / 2) and the products
    P_n = p_1 ... p_n, and with m' and v' as in Adam, the step is lr b / (sqrt(c) + epsilon) for
    b = (1 - p_n) g / (1 - P_n) + p_(n+1) m' / (1 - P_(n+1)) and c = v' / (1 - beta_2^n).

    Parameters
    ----------
    lr : float, default 0.002
        The learning rate, at least 0.
    beta_1 : float, default 0.9
        How much of the average gradient is kept, at least 0 and below 1.
    beta_2 : float, default 0.999
        How much of the average square is kept, at least 0 and below 1.
    epsilon : float, default 1e-8
        Keeps the divisor from 0, at least 0.
    schedule_decay : float, default 0.004
        How fast the momentum grows, at least 0.
    clipnorm, clipvalue : float or None, default None
        Limits of the gradients; see `Optimizer`.

    Raises
    ------
    TypeError, ValueError
        If an argument is unknown, not a finite number or out of bounds.

    References
    ----------
    Dozat 2016, "Incorporating Nesterov Momentum into Adam", ICLR workshop.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm import Variable
    >>> v = Variable([1.0, 2.0], dtype="float64")
    >>> Nadam(lr=0.25).apply([np.array([0.003, -50.0])], [v])
    >>> v.value.round(3).tolist()
    [0.736, 2.264]
    """

    slot_names: tuple[str, ...] = ("mean", "square")
    lr: Hyperparameter[float] = Hyperparameter(minimum=0)
    beta_1: Hyperparameter[float] = Hyperparameter(0, _BELOW_ONE)
    beta_2: Hyperparameter[float] = Hyperparameter(0, _BELOW_ONE)
    epsilon: Hyperparameter[float] = Hyperparameter(minimum=0)
    schedule_decay: Hyperparameter[float] = Hyperparameter(minimum=0)

    @_spellings.optimizer("Nadam")
    def __init__(
        self,
        lr: float = 0.002,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        schedule_decay: float = 0.004,
        *,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
    ) -> None:
        super().__init__(clipnorm, clipvalue)
        self.lr = lr
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.schedule_decay = schedule_decay
        # The product of the momenta of so many updates: (number of updates, product).
        self._product = (0, 1.0)

    @property
    def learning_rate(self) -> float:
        """The same as `lr`: today's name for it."""
        return self.lr

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self.lr = value

    def _momentum(self, n: int) -> float:
        decay: float = 0.96 ** (n * self.schedule_decay)
        return self.beta_1 * (1 - 0.5 * decay)

    def _product_of_momenta(self) -> float:
        """Return the product so far: from the last one, or anew where `iterations` was set back.

        It ends early, as the number of iterations may be anything in a file: where the product no
        longer counts, or the momentum no longer grows.
        """
        number, product = self._product if self._product[0] <= self.iterations else (0, 1.0)
        for n in range(number + 1, self.iterations + 1):
            momentum = self._momentum(n)
            if product < _NEGLIGIBLE:
                break
            if momentum == self.beta_1:
                product *= self.beta_1 ** (self.iterations + 1 - n)
                break
            product *= momentum
        self._product = (self.iterations, product)
        return product

    def numbers(self) -> tuple[float, ...]:
        """Return the factors of the gradient, of the mean and of the square."""
        n = self.iterations + 1
        momentum, next_momentum = self._momentum(n), self._momentum(n + 1)
        product = self._product_of_momenta() * momentum
        return (
            self.lr * (1 - momentum) / (1 - product),
            self.lr * next_momentum / (1 - product * next_momentum),
            1 / (1 - self.beta_2**n),
        )

    def _factors(self, *numbers: float) -> Factors:
        """See `OnePass`."""
        of_gradient, of_mean, of_square = numbers
        b1, b2 = self.beta_1, self.beta_2
        return b1, 1 - b1, b2, 1 - b2, of_gradient, of_mean, of_square, self.epsilon
