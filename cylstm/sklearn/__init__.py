"""LSTM models as estimators of scikit-learn (``pip install 'cylstm[sklearn]'``).

`LSTMClassifier` and `LSTMRegressor` go wherever scikit-learn takes an estimator: pipelines,
searches, cross-validation, joblib. To be imported by name; ``import cylstm`` does without
scikit-learn.

>>> import numpy as np
>>> from sklearn.model_selection import GridSearchCV
>>> from cylstm.sklearn import LSTMClassifier
>>> x = np.random.default_rng(1).standard_normal((60, 10, 2))  # samples, steps, features
>>> y = np.where(x.sum(axis=(1, 2)) > 0, "up", "down")
>>> classifier = LSTMClassifier(learning_rate=0.03, max_iter=20, random_state=1)
>>> search = GridSearchCV(classifier, {"units": [2, 8]}, cv=3).fit(x, y)
>>> search.predict(x[:3]).shape, search.score(x, y) > 0.9
((3,), True)
"""

try:
    from cylstm.sklearn._classifier import LSTMClassifier
    from cylstm.sklearn._regressor import LSTMRegressor
except ImportError as _error:
    if (_error.name or "").split(".")[0] != "sklearn":
        raise
    raise ImportError(
        f"cylstm.sklearn needs scikit-learn 1.6 or newer ({_error}): install it by `pip install "
        "'cylstm[sklearn]'`."
    ) from _error

__all__ = ["LSTMClassifier", "LSTMRegressor"]
