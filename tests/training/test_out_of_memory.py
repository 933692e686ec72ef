"""Memory that runs out within a step: nothing is changed, and training goes on as if it had not."""

import copy
import itertools
import signal
import sys

import failing_memory
import numpy as np
import pytest
from failing_memory import each_failure, failing

import cylstm
from cylstm import Variable, layers, optimizers, variables
from cylstm.optimizers import Optimizer

OPTIMIZERS = {
    "SGD": {"momentum": 0.7, "nesterov": True, "decay": 0.1},
    "RMSprop": {"decay": 0.1},
    "Adagrad": {"decay": 0.1},
    "Adadelta": {"decay": 0.1},
    "Adam": {"decay": 0.1},
    "Adamax": {"decay": 0.1},
    "Nadam": {},
}
CLIPS = [{}, {"clipnorm": 0.5}, {"clipvalue": 0.25}, {"clipnorm": 0.5, "clipvalue": 0.25}]
STEPS = 4

RNG = np.random.default_rng(3)
STARTS = [RNG.normal(size=(3, 4)).astype("float32"), RNG.normal(size=5)]
GRADIENTS = [[RNG.normal(size=(3, 4)), RNG.normal(size=5)] for _ in range(STEPS)]


def test_the_tool_refuses_what_it_is_told_to():
    with failing(0) as seen:
        np.empty(3) + np.empty(3)
    assert seen.count == 3
    for number in (1, 2, 3):
        with pytest.raises(MemoryError), failing(number):
            np.empty(3) + np.empty(3)
    assert list(each_failure(lambda: np.empty(3) + np.empty(3), lasting=True)) == [1, 2, 3]
    assert failing_memory._get() is failing_memory._own_capsule


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.tobytes() == other.tobytes()


# ---------------------------------------------------------------------- Optimizer.apply


class Case:
    """An optimizer and its variables, with a number of updates behind them."""

    def __init__(self, name, clip, constraint):
        self.variables = [
            Variable(STARTS[0], "first"),
            Variable(STARTS[1], "second", constraint=constraint, dtype="float64"),
        ]
        self.optimizer = getattr(optimizers, name)(**OPTIMIZERS[name], **clip)
        self.done = 0

    def step(self):
        self.optimizer.apply(GRADIENTS[self.done], self.variables)
        self.done += 1

    def state(self):
        count = np.array(self.optimizer.iterations)
        return [*(v.numpy() for v in self.variables), *self.optimizer.get_weights(), count]


@pytest.mark.parametrize("lasting", [False, True], ids=["one refusal", "no memory at all"])
@pytest.mark.parametrize("constraint", [None, cylstm.constraints.MaxNorm(1.0)], ids=type)
@pytest.mark.parametrize("clip", CLIPS, ids=str)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_update_without_memory_did_not_happen(name, clip, constraint, lasting):
    undisturbed = Case(name, clip, constraint)
    expected = [undisturbed.state()]
    for _ in range(STEPS):
        undisturbed.step()
        expected.append(undisturbed.state())
    for before in range(STEPS):
        for number in itertools.count(1):
            case = Case(name, clip, constraint)
            for _ in range(before):
                case.step()
            if before == 2:  # slots that wait for the first update of a copy
                case.optimizer = copy.deepcopy(case.optimizer)
            try:
                with failing(number, 10**6 if lasting else number):
                    case.step()
            except MemoryError:
                assert_same(case.state(), expected[before])
                case.step()
                assert_same(case.state(), expected[before + 1])
            else:
                break
        assert_same(case.state(), expected[before + 1])
        assert number > 3


def test_many_failures_one_after_another():
    undisturbed, case = (Case("Adam", {"clipnorm": 0.5}, None) for _ in range(2))
    for _ in range(STEPS):
        before, failures = case.state(), 0
        for failures in each_failure(case.step, lasting=False):  # noqa: B007
            assert_same(case.state(), before)
        assert failures > 3
        undisturbed.step()
        assert_same(case.state(), undisturbed.state())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_loading_a_state_without_memory_did_not_happen(name):
    case = Case(name, {}, None)
    case.step()
    saved = case.optimizer.get_weights()
    case.step()
    before = case.state()
    for _ in each_failure(lambda: case.optimizer.set_weights(saved), lasting=False):
        assert_same(case.state(), before)
    assert_same(case.optimizer.get_weights(), saved)


def test_an_update_that_is_no_array_for_its_variable_changes_none():
    class Careless(Optimizer):
        def update(self, gradient, state, *numbers):
            state.delta = np.ones((2, *state.variable.shape))

    both = [Variable([1.0, 2.0]), Variable([3.0], constraint=lambda w: w[0])]
    for case in (both[:1], both, both[::-1]):
        optimizer = Careless()
        with pytest.raises(ValueError, match="shape"):
            optimizer.apply([np.zeros(v.shape) for v in case], case)
        assert [v.value.tolist() for v in both] == [[1.0, 2.0], [3.0]]
        assert [v.version for v in both] == [0, 0]
        assert optimizer.iterations == 0


# ---------------------------------------------------------------------- Ctrl-C in Optimizer.apply


def interrupted_at(line, action):
    """Do something, with Ctrl-C at the line of cylstm's Python that is run as so-manieth."""
    seen = 0

    def trace(frame, event, argument):
        nonlocal seen
        if "cylstm" not in frame.f_code.co_filename:
            return None
        if event == "line":
            seen += 1
            if seen == line:
                signal.raise_signal(signal.SIGINT)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(before)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_ctrl_c_at_any_line_leaves_a_whole_update(name):
    undisturbed = Case(name, {"clipnorm": 0.5}, None)
    expected = [undisturbed.state()]
    for _ in range(2):
        undisturbed.step()
        expected.append(undisturbed.state())
    outcomes = set()
    for line in itertools.count(1):
        case = Case(name, {"clipnorm": 0.5}, None)
        case.step()
        try:
            interrupted_at(line, case.step)
        except KeyboardInterrupt:
            happened = case.optimizer.iterations - 1
            outcomes.add(happened)
            assert_same(case.state(), expected[1 + happened])
        else:
            break
    assert 0 in outcomes
    assert line > 20


def test_what_is_set_at_once_is_whole_for_other_code():
    """Also where an old value has a finalizer that looks."""
    seen = []

    class Old:
        def __del__(self):
            seen.append((first.value, second.value))

    class Holder:
        value = None

    first, second = Holder(), Holder()
    first.value = Old()
    variables.set_at_once([(first, "value", 1), (second, "value", 2)])
    assert seen == [(1, 2)]


# ---------------------------------------------------------------------- model.train_on_batch


def made_model(name, clip, constraint):
    """Every kind of state that a step changes: weights, moving statistics, states of layers."""
    cylstm.utils.set_random_seed(4)
    model = cylstm.Sequential(
        [
            layers.LSTM(3, stateful=True, return_sequences=True, batch_input_shape=(2, 4, 2)),
            layers.BatchNormalization(),
            layers.Bidirectional(layers.LSTM(2, stateful=True, dtype="float64"), dtype="float64"),
            layers.Dense(2, kernel_constraint=constraint, activity_regularizer="l2"),
        ]
    )
    model.compile(
        getattr(optimizers, name)(**OPTIMIZERS[name], **clip), "mse", metrics=["mae", "mse"]
    )
    return model


def state_of(model):
    states = [s for x in model.layers for s in getattr(x, "states", [])]
    both = model.layers[2]
    states += [*both.forward_layer.states, *both.backward_layer.states]
    count = np.array(model.optimizer.iterations)
    return [
        *model.get_weights(),
        *(s.copy() for s in states),
        *model.optimizer.get_weights(),
        count,
    ]


X = RNG.normal(size=(600, 2, 4, 2))
Y = RNG.normal(size=(600, 2, 2))


@pytest.mark.parametrize("lasting", [False, True], ids=["one refusal", "no memory at all"])
@pytest.mark.parametrize(
    ("clip", "constraint"), [({}, None), ({"clipnorm": 0.5, "clipvalue": 0.25}, "max_norm")]
)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_batch_without_memory_was_not_there(name, clip, constraint, lasting):
    model, undisturbed = (made_model(name, clip, constraint) for _ in range(2))
    start = [v.value for v in model.weights]
    every = 1 if name == "Adam" else 7
    for batch, (x, y) in enumerate(zip(X, Y, strict=True)):
        number = 1 + every * batch
        before = state_of(model)
        try:
            with failing(number, 10**6 if lasting else number):
                model.train_on_batch(x, y)
        except MemoryError:
            assert_same(state_of(model), before)
            found = model.train_on_batch(x, y)
            assert found == undisturbed.train_on_batch(x, y)
            assert_same(state_of(model), state_of(undisturbed))
        else:
            break
    undisturbed.train_on_batch(x, y)
    assert_same(state_of(model), state_of(undisturbed))
    assert number > 50
    assert batch < len(X) - 1
    assert not any(
        np.array_equal(v.value, old) for v, old in zip(model.weights, start, strict=True)
    )


@pytest.mark.parametrize("lasting", [False, True])
def test_fit_stops_at_a_whole_batch_and_goes_on(lasting):
    x, y = X[:4].reshape(8, 4, 2), Y[:4].reshape(8, 2)
    model, undisturbed = (made_model("Adam", {}, None) for _ in range(2))
    with failing(0) as seen:
        undisturbed.fit(x, y, batch_size=2, epochs=1, shuffle=False, verbose=0)
    for number in range(1, seen.count + 1, 23):
        model, undisturbed = (made_model("Adam", {}, None) for _ in range(2))
        with pytest.raises(MemoryError), failing(number, 10**6 if lasting else number):
            model.fit(x, y, batch_size=2, epochs=1, shuffle=False, verbose=0)
        done = model.optimizer.iterations
        for start in range(0, 2 * done, 2):
            undisturbed.train_on_batch(x[start : start + 2], y[start : start + 2])
        assert_same(state_of(model), state_of(undisturbed))
        for each in (model, undisturbed):
            each.train_on_batch(x[:2], y[:2])
        assert_same(state_of(model), state_of(undisturbed))
