"""LSTMRegressor: numbers that a sequence leads to."""

from __future__ import annotations

from collections.abc import Sequence as Several
from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_array

from cylstm.sklearn._estimator import LSTMEstimator

__all__ = ["LSTMRegressor"]


class LSTMRegressor(RegressorMixin, LSTMEstimator):  # type: ignore[misc]  # has no types
    """A regressor of sequences: LSTM layers, and a Dense layer on the last output.

    Targets should be of about the size of 1: others take long to reach. scikit-learn's
    ``TransformedTargetRegressor(LSTMRegressor(), transformer=StandardScaler())`` makes them so.

    Parameters
    ----------
    units : int or sequence of int, default 32
        Of the LSTM layer, or of each of several, from the first to the last.
    bidirectional : bool, default False
        Whether each layer reads the sequences in both directions.
    dropout, recurrent_dropout : float, default 0.0
        As of `cylstm.LSTM`.
    loss : str or callable, default "mse"
        What training makes small, as `Model.compile` takes it.
    optimizer : str or Optimizer, default "adam"
        As `Model.compile` takes it; an object is copied for each fit.
    learning_rate : float or None, default 0.003
        None is the optimizer's own.
    batch_size : int, default 32
        How many samples there are to an update.
    max_iter : int, default 100
        How many epochs `fit` trains, unless early stopping ends it.
    shuffle : bool, default True
        Whether the samples come in another order in each epoch.
    early_stopping : bool, default False
        Whether some samples are held out to validate on, training stops when the loss of these
        has stopped getting better, and the weights are those of the best epoch.
    validation_fraction : float, default 0.1
        The share held out for that.
    n_iter_no_change : int, default 10
        After how many epochs in a row without improvement training stops.
    tol : float, default 1e-4
        By how much the loss must be less to count as better.
    warm_start : bool, default False
        Whether another `fit` goes on with the model as it is.
    random_state : int or RandomState, optional
        Fixes initial weights, dropout, shuffling and what is held out. Fits in several threads do
        not disturb each other.
    verbose : int, default 0
        As of `Model.fit`.

    Attributes
    ----------
    model_ : Sequential
        What was trained; it can be saved, and called on sequences one frame at a time.
    n_iter_ : int
        How many epochs it was trained.
    history_ : dict
        ``loss``, and with early stopping ``val_loss``, of every epoch.
    n_features_in_ : int
        The number of features of a step; of an array of two axes, that of its columns.
    feature_names_in_ : ndarray
        The names of the columns, where X was a DataFrame with names.

    Examples
    --------
    >>> import numpy as np
    >>> from cylstm.sklearn import LSTMRegressor
    >>> x = np.random.default_rng(1).standard_normal((80, 6, 2))  # samples, steps, features
    >>> y = x[:, -1].sum(axis=1) + x[:, -2, 0]
    >>> regressor = LSTMRegressor(16, max_iter=60, learning_rate=0.02, random_state=1)
    >>> regressor.fit(x, y).score(x, y) > 0.9
    True
    >>> regressor.predict(x[:4]).shape
    (4,)
    """

    def __init__(
        self,
        units: int | Several[int] = 32,
        *,
        bidirectional: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        loss: Any = "mse",
        optimizer: Any = "adam",
        learning_rate: float | None = 0.003,
        batch_size: int = 32,
        max_iter: int = 100,
        shuffle: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: int | bool = 0,
    ) -> None:
        self.units = units
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.loss = loss
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train one epoch on some of the samples.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            As for `fit`; or with early stopping.
        """
        return self._train_part(X, y, sample_weight)

    def predict(self, X: Any) -> np.ndarray:
        """Compute the numbers that the sequences lead to.

        Parameters
        ----------
        X
            As for `fit`.

        Returns
        -------
        ndarray of float64, shape (samples,) or (samples, outputs)
            As y had it in training.
        """
        outputs = self._predicted(X)
        return outputs[:, 0] if self._outputs is None else outputs

    # ------------------------------------------------------------------ training

    def _checked_targets(self, y: Any, classes: Any, *, reset: bool) -> np.ndarray:
        numbers: np.ndarray = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        if numbers.ndim > 2:
            raise ValueError(
                f"y must have the shape (samples,) or (samples, outputs), got {numbers.shape}."
            )
        outputs = numbers.shape[1] if numbers.ndim == 2 else None
        if reset:
            self._outputs = outputs
        elif (outputs or 1) != (self._outputs or 1):
            raise ValueError(
                f"y has {outputs or 1} outputs, but {type(self).__name__} was made for "
                f"{self._outputs or 1}."
            )
        return numbers if numbers.ndim == 2 else numbers[:, np.newaxis]

    def _output(self) -> tuple[int, str, Any]:
        return self._outputs or 1, "linear", self.loss

    def _weighted(self, y: np.ndarray, weights: np.ndarray | None) -> np.ndarray | None:
        return weights
