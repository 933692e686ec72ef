"""LSTMClassifier: which class a sequence is of."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Several
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, unique_labels

from cylstm.sklearn._estimator import LSTMEstimator

__all__ = ["LSTMClassifier"]


class LSTMClassifier(ClassifierMixin, LSTMEstimator):  # type: ignore[misc]  # has no types
    """A classifier of sequences: LSTM layers, and a Dense layer on the last output.

    Parameters
    ----------
    units : int or sequence of int, default 32
        Of the LSTM layer, or of each of several, from the first to the last.
    bidirectional : bool, default False
        Whether each layer reads the sequences in both directions.
    dropout, recurrent_dropout : float, default 0.0
        As of `cylstm.LSTM`.
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
    class_weight : dict or "balanced", optional
        What the samples of each class count, besides the sample weights.
    early_stopping : bool, default False
        Whether some samples are held out to validate on, training stops when the loss of these
        has stopped getting better, and the weights are those of the best epoch.
    validation_fraction : float, default 0.1
        The share held out for that; each class has its share of it.
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
    classes_ : ndarray
        The classes, sorted.
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
    >>> from cylstm.sklearn import LSTMClassifier
    >>> rng = np.random.default_rng(1)
    >>> sequences = [rng.standard_normal((length, 2)) for length in rng.integers(3, 9, 60)]
    >>> labels = ["up" if s.sum() > 0 else "down" for s in sequences]
    >>> classifier = LSTMClassifier(16, max_iter=30, learning_rate=0.02, random_state=1)
    >>> classifier.fit(sequences, labels).score(sequences, labels) > 0.9
    True
    >>> classifier.predict_proba(sequences[:1]).shape
    (1, 2)
    """

    def __init__(
        self,
        units: int | Several[int] = 32,
        *,
        bidirectional: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        optimizer: Any = "adam",
        learning_rate: float | None = 0.003,
        batch_size: int = 32,
        max_iter: int = 100,
        shuffle: bool = True,
        class_weight: Mapping[Any, float] | str | None = None,
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
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.class_weight = class_weight
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train one epoch on some of the samples.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        classes : array-like, optional
            All classes that there will be; needed in the first call.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            As for `fit`; if the classes are missing in the first call or not the same in another,
            with early stopping, or if the class weights are "balanced", which asks for all samples.
        """
        if isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight 'balanced' is not supported for partial_fit, which sees a part of "
                "the samples: give a dict of what each class counts."
            )
        if classes is None and not hasattr(self, "model_"):
            raise ValueError("classes must be passed on the first call to partial_fit.")
        return self._train_part(X, y, sample_weight, classes)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Compute how probable each class is.

        Parameters
        ----------
        X
            As for `fit`.

        Returns
        -------
        ndarray of float64, shape (samples, classes)
            In the order of `classes_`.
        """
        outputs = self._predicted(X)
        if outputs.shape[1] == 1:
            return np.hstack([1 - outputs, outputs])
        total: np.ndarray = outputs.sum(axis=1, keepdims=True)  # 1 in float32 only
        outputs /= total
        return outputs

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Compute the logarithms of what `predict_proba` returns."""
        logarithms: np.ndarray = np.log(self.predict_proba(X))
        return logarithms

    def predict(self, X: Any) -> np.ndarray:
        """Compute the most probable class of each sample.

        Parameters
        ----------
        X
            As for `fit`.

        Returns
        -------
        ndarray, shape (samples,)
            Some of `classes_`.
        """
        places = self.predict_proba(X).argmax(axis=1)
        chosen: np.ndarray = self.classes_[places]
        return chosen

    # ------------------------------------------------------------------ training

    def _checked_targets(self, y: Any, classes: Any, *, reset: bool) -> np.ndarray:
        y = column_or_1d(y, warn=True)
        assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        found = unique_labels(y) if classes is None else unique_labels(classes)
        if reset:
            if len(found) < 2:
                raise ValueError(
                    f"{type(self).__name__} needs samples of at least 2 classes, but the data "
                    f"contains only one class: {found[0]!r}."
                )
            self.classes_: np.ndarray = found
        elif classes is not None and not np.array_equal(found, self.classes_):
            raise ValueError(
                f"classes={classes!r} is not the same as on last call to partial_fit, was: "
                f"{self.classes_!r}."
            )
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(
                f"y has classes that {type(self).__name__} does not know: {unknown.tolist()}. "
                f"Those it was made for are {self.classes_.tolist()}."
            )
        places: np.ndarray = np.searchsorted(self.classes_, y)
        return places[:, np.newaxis]

    def _output(self) -> tuple[int, str, Any]:
        if len(self.classes_) == 2:
            return 1, "sigmoid", "binary_crossentropy"
        return len(self.classes_), "softmax", "sparse_categorical_crossentropy"

    def _weighted(self, y: np.ndarray, weights: np.ndarray | None) -> np.ndarray | None:
        if self.class_weight is None:
            return weights
        by_class: np.ndarray = compute_sample_weight(self.class_weight, self.classes_[y[:, 0]])
        return by_class if weights is None else by_class * weights

    def _strata(self, y: np.ndarray) -> np.ndarray | None:
        return y[:, 0]
