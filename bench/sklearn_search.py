"""What a second process gains in a search of scikit-learn.

    python bench/sklearn_search.py [--units 24] [--epochs 100] [--rounds 2]

GridSearchCV makes 16 fits (4 values, 4 folds; `refit=False`) of an LSTMClassifier on 600 sequences
of 10 to 40 steps of 12 features, once with n_jobs=1 and once with n_jobs=2, in turns. With one
process cylstm takes what threads it likes; joblib gives each of two processes its share of them.
The processes are started before, with what they import. The least time of each counts.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from joblib import Parallel, delayed
from sklearn.model_selection import GridSearchCV

import cylstm
from cylstm.sklearn import LSTMClassifier

ASKED = 1.7
GRID = {"learning_rate": [0.001, 0.003, 0.01, 0.03]}


def made_data() -> tuple[list[np.ndarray], np.ndarray]:
    """Sequences of unequal lengths, and which of three classes each is of."""
    rng = np.random.default_rng(1)
    sequences = [rng.standard_normal((n, 12)).astype("f") for n in rng.integers(10, 41, 600)]
    sums = np.array([s[:, :3].sum() / np.sqrt(len(s)) for s in sequences])
    return sequences, np.digitize(sums, [-1.0, 1.0])


def main() -> int:
    """Measure, print, and return 1 if the gain is less than what is asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    x, y = made_data()
    estimator = LSTMClassifier(options.units, max_iter=options.epochs, random_state=1)
    estimator.fit(x[:64], y[:64])
    shares = Parallel(2)(delayed(_threads_of_a_process)() for _ in range(2))
    print(f"threads: {cylstm.get_num_threads()} in one process, {shares} in two")
    times: dict[int, list[float]] = {1: [], 2: []}
    scores = []
    for _ in range(options.rounds):
        for jobs in times:
            search = GridSearchCV(estimator, GRID, cv=4, n_jobs=jobs, refit=False)
            start = time.perf_counter()
            search.fit(x, y)
            times[jobs].append(time.perf_counter() - start)
            scores.append(search.cv_results_["mean_test_score"])
    if not all(np.array_equal(score, scores[0]) for score in scores):
        raise RuntimeError(f"the scores differ: {scores}")
    gain = min(times[1]) / min(times[2])
    shown = {jobs: [round(seconds, 2) for seconds in found] for jobs, found in times.items()}
    print(f"n_jobs=1: {shown[1]} s, n_jobs=2: {shown[2]} s; {gain:.2f} times, asked {ASKED}")
    print(f"best score {scores[0].max():.3f}, the same in all")
    return 0 if gain >= ASKED else 1


def _threads_of_a_process() -> int:
    import cylstm.sklearn  # so that the time of the import is not in the measurement

    return cylstm.get_num_threads()


if __name__ == "__main__":
    raise SystemExit(main())
