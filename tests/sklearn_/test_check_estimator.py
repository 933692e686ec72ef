"""scikit-learn's own list of checks; `python -m pytest -v` on this file prints it."""

import os
import subprocess
import sys

from sklearn.utils.estimator_checks import parametrize_with_checks

from cylstm.sklearn import LSTMClassifier, LSTMRegressor

# As scikit-learn declares of its SGDClassifier: samples come in batches, in another order each.
EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": (
        "sample_weight is not equivalent to removing/repeating samples."
    )
}
WITH_ARRAY_API = "check_array_api_input"  # asks for a variable that is read at SciPy's import


@parametrize_with_checks(
    [LSTMClassifier(), LSTMRegressor()], expected_failed_checks=lambda estimator: EXPECTED
)
def test_the_checks_of_scikit_learn(estimator, check):
    if getattr(check, "func", check).__name__ != WITH_ARRAY_API:
        check(estimator)


def test_the_check_that_needs_a_process_of_its_own():
    program = (
        "from sklearn.utils.estimator_checks import check_estimator\n"
        "from cylstm.sklearn import LSTMClassifier, LSTMRegressor\n"
        "for estimator in (LSTMClassifier(max_iter=1), LSTMRegressor(max_iter=1)):\n"
        "    results = check_estimator(estimator, on_fail=None, on_skip=None)\n"
        "    print([r['status'] for r in results if r['check_name'] == 'check_array_api_input'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env=os.environ | {"SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split("\n")) <= {"['passed']", "[]", ""}  # [] before scikit-learn 1.9
