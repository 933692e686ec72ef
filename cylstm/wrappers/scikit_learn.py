"""KerasClassifier, KerasRegressor: a function that builds a model, as estimator of scikit-learn.

For scripts of Keras 2, and for models that are not those of `cylstm.sklearn`. scikit-learn itself
is needed only by what is done with them: ``pip install 'cylstm[sklearn]'``.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any, Self

import numpy as np

from cylstm._arguments import near
from cylstm.callbacks import History
from cylstm.models import Sequential
from cylstm.utils import to_categorical

__all__ = ["BaseWrapper", "KerasClassifier", "KerasRegressor"]

_OF_KERAS_1 = "nb_epoch"  # `fit` takes it, with a warning


class BaseWrapper:
    """What `KerasClassifier` and `KerasRegressor` share; to be derived from, not to be used.

    Parameters
    ----------
    build_fn : callable, optional
        Makes and compiles a model: a function, a method or an object with ``__call__``. Without it,
        the ``__call__`` of a subclass does.
    **sk_params
        Arguments of `build_fn`, and of the model's `fit`, `predict`, `predict_classes` and
        `evaluate`. What these are given in a call goes first.

    Attributes
    ----------
    model : Sequential
        What the last `fit` built and trained.

    Raises
    ------
    ValueError
        If none of these functions has an argument of a name.
    """

    def __init__(self, build_fn: Callable[..., Any] | None = None, **sk_params: Any) -> None:
        self.build_fn: Callable[..., Any] | None = build_fn
        self.sk_params = sk_params
        self.check_params(sk_params)

    def check_params(self, params: dict[str, Any]) -> None:
        """Raise ValueError for a name that no function which is called has as an argument."""
        functions = [self._builder(), *_methods("fit", "predict", "predict_classes", "evaluate")]
        legal = {name for function in functions for name in _arguments(function)}
        for name in params:
            if name not in legal and name != _OF_KERAS_1:
                likely = near(name, sorted(legal), n=1)
                hint = f"; did you mean {likely[0]!r}?" if likely else "."
                raise ValueError(
                    f"{name} is not a legal parameter: neither of the function that builds the "
                    f"model nor of its fit, predict, predict_classes or evaluate{hint}"
                )

    def get_params(self, **params: Any) -> dict[str, Any]:
        """The parameters by name, `build_fn` among them; arguments are ignored.

        The values are no copies, which scikit-learn's `clone` would not accept.
        """
        return {**self.sk_params, "build_fn": self.build_fn}

    def set_params(self, **params: Any) -> Self:
        """Set parameters.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As for the class; nothing is set then.
        """
        before = self.build_fn
        self.build_fn = params.pop("build_fn", before)
        try:
            self.check_params(params)
        except ValueError:
            self.build_fn = before
            raise
        self.sk_params.update(params)
        return self

    def fit(self, x: Any, y: Any, **kwargs: Any) -> History:
        """Build a model and train it.

        Parameters
        ----------
        x, y
            As for `Model.fit`. Classes become one-hot rows where the loss is
            ``"categorical_crossentropy"``.
        **kwargs
            Arguments of `Model.fit`; they go before those of the parameters.

        Returns
        -------
        History
            As of `Model.fit`.

        Raises
        ------
        ValueError, TypeError
            As of `Model.fit`.
        """
        builder = self._builder()
        self.model: Any = builder(**self.filter_sk_params(builder))
        options = copy.deepcopy(self.filter_sk_params(Sequential.fit))
        if _OF_KERAS_1 in self.sk_params:
            options[_OF_KERAS_1] = self.sk_params[_OF_KERAS_1]
        history: History = self.model.fit(x, self._targets(y), **(options | kwargs))
        return history

    def filter_sk_params(
        self, fn: Callable[..., Any], override: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Those of the parameters that a function has as arguments, and all of `override`."""
        names = _arguments(fn)
        found = {name: value for name, value in self.sk_params.items() if name in names}
        return found | (override or {})

    def _builder(self) -> Any:
        """What builds the model, with the signature that its parameters are to fit."""
        if self.build_fn is None:
            if not callable(self):
                raise ValueError(
                    f"{type(self).__name__} needs build_fn, a function that makes and compiles a "
                    "model; or derive a class from it that has __call__."
                )
            return self.__call__
        plain = isinstance(self.build_fn, FunctionType | MethodType)
        return self.build_fn if plain else self.build_fn.__call__  # type: ignore[operator]  # the object's own

    def _fitted(self) -> Any:
        if not hasattr(self, "model"):
            raise AttributeError(f"This {type(self).__name__} is not fitted yet: call fit() first.")
        return self.model

    def _targets(self, y: Any) -> Any:
        loss = getattr(self.model.loss, "__name__", self.model.loss)
        flat = loss == "categorical_crossentropy" and np.ndim(y) != 2
        return to_categorical(y) if flat else y

    # ------------------------------------------------------------------ what scikit-learn asks

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model")

    def _tags(self, **kind: Any) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags

        return Tags(
            target_tags=TargetTags(required=True, multi_output=True),
            input_tags=InputTags(three_d_array=True),
            non_deterministic=True,
            **kind,
        )


class KerasClassifier(BaseWrapper):
    """A classifier of scikit-learn around a function that builds a `Sequential`.

    Behaviour: `keras.wrappers.scikit_learn.KerasClassifier` of Keras 2.0.9. To scikit-learn it is
    a classifier, which Keras forgot to say: cross-validation draws from every class.

    Parameters
    ----------
    build_fn : callable, optional
        Makes and compiles a model: a function, a method or an object with ``__call__``. Without it,
        the ``__call__`` of a subclass does.
    **sk_params
        Arguments of `build_fn`, and of the model's `fit`, `predict`, `predict_classes` and
        `evaluate`. What these are given in a call goes first.

    Attributes
    ----------
    model : Sequential
        What the last `fit` built and trained.
    classes_ : ndarray
        The classes, sorted; of one-hot targets the numbers of the columns.
    n_classes_ : int
        How many they are.

    Raises
    ------
    ValueError
        If none of these functions has an argument of a name.

    Examples
    --------
    >>> import numpy as np
    >>> import cylstm
    >>> from cylstm.layers import LSTM, Dense
    >>> from cylstm.wrappers.scikit_learn import KerasClassifier
    >>> def build(units=4):
    ...     layers = [LSTM(units, input_shape=(5, 2)), Dense(3, activation="softmax")]
    ...     model = cylstm.Sequential(layers)
    ...     model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    ...     return model
    >>> classifier = KerasClassifier(build, units=8, epochs=2, verbose=0)
    >>> x, y = np.ones((6, 5, 2)), np.array(["a", "b", "c"] * 2)
    >>> history = classifier.fit(x, y)
    >>> classifier.predict(x).shape, classifier.predict_proba(x).shape
    ((6,), (6, 3))
    """

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags

        return self._tags(estimator_type="classifier", classifier_tags=ClassifierTags())

    def fit(self, x: Any, y: Any, **kwargs: Any) -> History:
        """Build a model and train it.

        Parameters
        ----------
        x : array
            As for `Model.fit`.
        y : array of shape (samples,), (samples, 1) or (samples, classes)
            The classes, of any kind; or one-hot rows.
        **kwargs
            Arguments of `Model.fit`; they go before those of the parameters.

        Returns
        -------
        History
            As of `Model.fit`.

        Raises
        ------
        ValueError, TypeError
            As of `Model.fit`, or for another shape of y.
        """
        y = np.array(y)
        if y.ndim == 2 and y.shape[1] > 1:
            self.classes_: np.ndarray = np.arange(y.shape[1])
        elif y.ndim in (1, 2):
            self.classes_ = np.unique(y)
            y = np.searchsorted(self.classes_, y)
        else:
            raise ValueError(
                f"Invalid shape for y: {y.shape}; expected classes, (samples,), or one-hot rows."
            )
        self.n_classes_: int = len(self.classes_)
        return super().fit(x, y, **kwargs)

    def predict(self, x: Any, **kwargs: Any) -> np.ndarray:
        """Compute the most probable class of each sample.

        Parameters
        ----------
        x : array
            As for `fit`.
        **kwargs
            Arguments of `Sequential.predict_classes`.

        Returns
        -------
        ndarray, shape (samples,)
            Some of `classes_`; (samples, 1) of a model with one output, as in Keras 2.
        """
        options = self.filter_sk_params(Sequential.predict_classes, kwargs)
        found: np.ndarray = self.classes_[self._fitted().predict_classes(x, **options)]
        return found

    def predict_proba(self, x: Any, **kwargs: Any) -> np.ndarray:
        """Compute how probable each class is.

        Parameters
        ----------
        x : array
            As for `fit`.
        **kwargs
            Arguments of `Sequential.predict_proba`.

        Returns
        -------
        ndarray, shape (samples, classes)
            Two columns for a model with one output.
        """
        options = self.filter_sk_params(Sequential.predict_proba, kwargs)
        found: np.ndarray = self._fitted().predict_proba(x, **options)
        return np.hstack([1 - found, found]) if found.shape[1] == 1 else found

    def score(self, x: Any, y: Any, **kwargs: Any) -> float:
        """Compute the accuracy.

        Parameters
        ----------
        x, y
            As for `fit`.
        **kwargs
            Arguments of `Model.evaluate`.

        Returns
        -------
        float
            The share of the samples whose class is predicted.

        Raises
        ------
        ValueError
            If the model was not compiled with ``metrics=["accuracy"]``.
        """
        model = self._fitted()
        targets = self._targets(np.searchsorted(self.classes_, y))
        found = model.evaluate(x, targets, **self.filter_sk_params(Sequential.evaluate, kwargs))
        values = found if isinstance(found, list) else [found]
        by_name = dict(zip(model.metrics_names, values, strict=True))
        if "acc" not in by_name:
            raise ValueError(
                "The model is not configured to compute accuracy: give its compile() "
                'metrics=["accuracy"].'
            )
        return float(by_name["acc"])


class KerasRegressor(BaseWrapper):
    """A regressor of scikit-learn around a function that builds a model.

    Behaviour: `keras.wrappers.scikit_learn.KerasRegressor` of Keras 2.0.9.

    Parameters
    ----------
    build_fn : callable, optional
        Makes and compiles a model: a function, a method or an object with ``__call__``. Without it,
        the ``__call__`` of a subclass does.
    **sk_params
        Arguments of `build_fn`, and of the model's `fit`, `predict`, `predict_classes` and
        `evaluate`. What these are given in a call goes first.

    Attributes
    ----------
    model : Sequential
        What the last `fit` built and trained.

    Raises
    ------
    ValueError
        If none of these functions has an argument of a name.

    Examples
    --------
    >>> import numpy as np
    >>> import cylstm
    >>> from cylstm.layers import LSTM, Dense
    >>> from cylstm.wrappers.scikit_learn import KerasRegressor
    >>> class Forecaster(KerasRegressor):
    ...     def __call__(self, units=4):
    ...         model = cylstm.Sequential([LSTM(units, input_shape=(5, 2)), Dense(1)])
    ...         model.compile("adam", "mse")
    ...         return model
    >>> regressor = Forecaster(units=8, epochs=2, verbose=0)
    >>> x, y = np.ones((6, 5, 2)), np.zeros(6)
    >>> history = regressor.fit(x, y)
    >>> regressor.predict(x).shape, regressor.score(x, y) <= 0
    ((6,), True)
    """

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import RegressorTags

        return self._tags(estimator_type="regressor", regressor_tags=RegressorTags())

    def predict(self, x: Any, **kwargs: Any) -> np.ndarray:
        """Compute the outputs.

        Parameters
        ----------
        x : array
            As for `fit`.
        **kwargs
            Arguments of `Model.predict`.

        Returns
        -------
        ndarray, shape (samples,) or (samples, outputs)
            Axes of one entry are left out.
        """
        options = self.filter_sk_params(Sequential.predict, kwargs)
        found: np.ndarray = self._fitted().predict(x, **options)
        return np.squeeze(found)

    def score(self, x: Any, y: Any, **kwargs: Any) -> float:
        """Compute the loss, with a minus: greater is better.

        Parameters
        ----------
        x, y
            As for `fit`.
        **kwargs
            Arguments of `Model.evaluate`.

        Returns
        -------
        float
            Minus the loss.
        """
        model = self._fitted()
        found = model.evaluate(x, y, **self.filter_sk_params(Sequential.evaluate, kwargs))
        return -float(found[0] if isinstance(found, list) else found)


def _methods(*names: str) -> list[Any]:
    return [getattr(Sequential, name) for name in names]


def _arguments(function: Callable[..., Any]) -> set[str]:
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(function).parameters.values()
    return {parameter.name for parameter in parameters if parameter.kind in named} - {"self"}
