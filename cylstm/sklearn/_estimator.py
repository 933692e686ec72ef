"""What the estimators share: a model made of their parameters, its training, its outputs."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Sequence as Several
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted

from cylstm import _checks, optimizers
from cylstm._random import seeded
from cylstm.backend import floatx
from cylstm.callbacks import EarlyStopping
from cylstm.layers import LSTM, Bidirectional, Dense, Masking
from cylstm.models import Sequential
from cylstm.sklearn._sequences import PaddedBatches, Ragged, checked, fill_value

__all__ = ["LSTMEstimator"]

_AT_ONCE = 256  # rows of a prediction
_OF_THE_MODEL = ("units", "bidirectional", "dropout", "recurrent_dropout", "optimizer")


class LSTMEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Base of `LSTMClassifier` and `LSTMRegressor`, which have the parameters."""

    units: int | Several[int]
    bidirectional: bool
    dropout: float
    recurrent_dropout: float
    optimizer: Any
    learning_rate: float | None
    batch_size: int
    max_iter: int
    shuffle: bool
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int
    tol: float
    warm_start: bool
    random_state: Any
    verbose: int | bool

    # ------------------------------------------------------------------ of the subclass

    @abstractmethod
    def _checked_targets(self, y: Any, classes: Any, *, reset: bool) -> np.ndarray:
        """The targets as the loss takes them, (samples, outputs).

        Attributes that tell of them are set, or with ``reset=False`` compared. Where `classes` is
        given, it names all that there will be.
        """

    @abstractmethod
    def _output(self) -> tuple[int, str, Any]:
        """Of the last layer how many units and the activation; the loss."""

    @abstractmethod
    def _weighted(self, y: np.ndarray, weights: np.ndarray | None) -> np.ndarray | None:
        """What the samples count, by themselves and by their class."""

    def _strata(self, y: np.ndarray) -> np.ndarray | None:
        """What must be in both parts of a split in the same shares."""
        return None

    # ------------------------------------------------------------------ scikit-learn

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train.

        Parameters
        ----------
        X : array of shape (samples, steps, features) or (samples, steps), or list of sequences
            An array of two axes, or a DataFrame, holds steps of one feature. Sequences in a list
            may differ in length: each is an array of (steps, features) or (steps,).
        y : array-like of shape (samples,)
            The classes, of any kind; of a regressor the numbers, also (samples, outputs).
        sample_weight : array-like of shape (samples,), optional
            What each sample counts.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a parameter is wrong, or the data do not fit.
        """
        reset = not (self.warm_start and hasattr(self, "model_"))
        return self._train(X, y, sample_weight, reset=reset)

    def _train_part(self, X: Any, y: Any, sample_weight: Any, classes: Any = None) -> Self:
        """Train one epoch: `partial_fit`, which goes on in any case."""
        if self.early_stopping:
            raise ValueError(
                "partial_fit does not support early_stopping=True, which watches the epochs of "
                "one fit: call fit(), or set early_stopping=False."
            )
        reset = not hasattr(self, "model_")
        return self._train(X, y, sample_weight, reset=reset, epochs=1, classes=classes)

    def _train(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        *,
        reset: bool,
        epochs: int | None = None,
        classes: Any = None,
    ) -> Self:
        """Train for so many epochs; None is as the parameters say."""
        self._check_parameters()
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        y, sample_weight = _checks.handed_out(y), _checks.handed_out(sample_weight)
        x = checked(self, X, floatx() if reset else self._dtype(), reset=reset)
        targets = self._checked_targets(y, classes, reset=reset)
        check_consistent_length(x, targets)
        weights = self._weighted(targets, _checked_weights(sample_weight, len(targets)))
        if reset:
            self._random = check_random_state(self.random_state)
        with seeded(self._random.randint(np.iinfo(np.int32).max)):
            if reset:
                self._make_model()
            else:
                self._go_on()
            found = self._fit_model(x, targets, weights, epochs)
        for name, values in found.items():
            self.history_.setdefault(name, []).extend(values)
        self.n_iter_ += len(found["loss"])
        return self

    def _predicted(self, X: Any) -> np.ndarray:
        """The outputs of the model, (samples, outputs), in float64 as metrics expect them."""
        check_is_fitted(self)
        x = checked(self, X, self._dtype(), reset=False)
        given = PaddedBatches(x, batch_size=_AT_ONCE) if isinstance(x, Ragged) else x
        size = None if isinstance(x, Ragged) else _AT_ONCE
        return self.model_.predict(given, batch_size=size).astype(np.float64)

    # ------------------------------------------------------------------ the model

    def _dtype(self) -> str:
        return str(self.model_.inputs[0].dtype)

    def _make_model(self) -> None:
        sizes = self._sizes()
        outputs, activation, loss = self._output()
        features = 1 if self._in_columns else self.n_features_in_
        layers: list[Any] = [Masking(fill_value(floatx()), input_shape=(None, features))]
        for place, units in enumerate(sizes):
            lstm = LSTM(
                units,
                return_sequences=place + 1 < len(sizes),
                dropout=self.dropout,
                recurrent_dropout=self.recurrent_dropout,
            )
            layers.append(Bidirectional(lstm) if self.bidirectional else lstm)
        model = Sequential([*layers, Dense(outputs, activation=activation)])
        model.compile(self._new_optimizer(), loss)
        self.model_ = model
        self._made_with = {name: getattr(self, name) for name in _OF_THE_MODEL}
        self.history_: dict[str, list[float]] = {}
        self.n_iter_: int = 0

    def _go_on(self) -> None:
        """Train the model as it is, with another learning rate if one was set."""
        changed = [n for n in _OF_THE_MODEL if getattr(self, n) != self._made_with[n]]
        if changed:
            raise ValueError(
                f"{', '.join(changed)} changed since the model was made, which training goes on "
                "with: set warm_start=False, and call fit() to begin anew."
            )
        if self.learning_rate is not None:
            self.model_.optimizer.lr = self.learning_rate

    def _new_optimizer(self) -> Any:
        optimizer: Any = copy.deepcopy(optimizers.get(self.optimizer))
        if self.learning_rate is not None:
            optimizer.lr = self.learning_rate
        return optimizer

    def _fit_model(
        self,
        x: np.ndarray | Ragged,
        y: np.ndarray,
        weights: np.ndarray | None,
        epochs: int | None,
    ) -> dict[str, list[float]]:
        """Train, and return what each epoch came to."""
        callbacks, held_out = [], None
        if self.early_stopping and epochs is None:
            parts = train_test_split(
                np.arange(len(y)),
                test_size=self.validation_fraction,
                stratify=self._strata(y),
                random_state=self._random,
            )
            (x, y, weights), held_out = (
                (x[rows], y[rows], None if weights is None else weights[rows]) for rows in parts
            )
            if held_out[2] is not None and not held_out[2].any():
                raise ValueError(
                    "The sample weights of all samples to validate with are zero: take another "
                    "random_state, or a greater validation_fraction."
                )
            stop = EarlyStopping("val_loss", self.tol, self.n_iter_no_change)
            stop.restore_best_weights = True
            callbacks.append(stop)
        options: dict[str, Any] = {
            "epochs": self.max_iter if epochs is None else epochs,
            "verbose": int(self.verbose),
            "callbacks": callbacks,
        }
        if isinstance(x, Ragged):
            size, shuffle = self.batch_size, self.shuffle
            if isinstance(held_out, tuple):
                options["validation_data"] = PaddedBatches(*held_out, batch_size=size)
            batches = PaddedBatches(x, y, weights, batch_size=size, shuffle=shuffle)
            return dict(self.model_.fit(batches, shuffle=False, **options).history)
        options |= {"batch_size": self.batch_size, "shuffle": self.shuffle}
        options |= {"validation_data": held_out, "sample_weight": weights}
        return dict(self.model_.fit(x, y, **options).history)

    # ------------------------------------------------------------------ checks

    def _sizes(self) -> list[int]:
        several = isinstance(self.units, list | tuple | np.ndarray)
        given: Any = self.units if several else [self.units]
        sizes = [_checks.positive_int(size, "units") for size in given]
        if not sizes:
            raise ValueError("units must name at least one layer, got none.")
        return sizes

    def _check_parameters(self) -> None:
        """Raise for a parameter that is wrong, before the data are looked at.

        The layers and the optimizer check what is theirs.
        """
        self._sizes()
        for name in ("batch_size", "max_iter", "n_iter_no_change"):
            _checks.positive_int(getattr(self, name), name)
        for name in ("dropout", "recurrent_dropout"):
            _checks.fraction(getattr(self, name), name)
        if self.verbose not in (0, 1, 2):
            raise ValueError(f"verbose must be 0, 1 or 2, got {self.verbose!r}.")
        if self.early_stopping:
            if not 0 < self.validation_fraction < 1:
                raise ValueError(
                    "validation_fraction must be above 0 and below 1, got "
                    f"{self.validation_fraction!r}."
                )
            if not self.tol >= 0:
                raise ValueError(f"tol must be a number from 0 on, got {self.tol!r}.")
        self._new_optimizer()


def _checked_weights(sample_weight: Any, count: int) -> np.ndarray | None:
    if sample_weight is None:
        return None
    weights: np.ndarray = check_array(
        sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight"
    )
    if weights.shape != (count,):
        raise ValueError(
            f"sample_weight must have the shape ({count},), got {weights.shape}: one number for "
            "each sample."
        )
    if weights.min() < 0:
        raise ValueError(f"sample_weight must not be negative, got {weights.min()}.")
    if not weights.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return weights
