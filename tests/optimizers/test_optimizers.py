"""Optimizers against TensorFlow 1.4.1, and what an update guarantees."""

import copy
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from cylstm import Variable, constraints, optimizers

RECORDED = json.loads((Path(__file__).parents[1] / "data" / "optimizers.json").read_text())
NAMES = ["SGD", "RMSprop", "Adagrad", "Adadelta", "Adam", "Adamax", "Nadam"]
GRADIENTS = [[np.array(g) for g in step] for step in RECORDED["gradients"]]


def fresh_variables(dtype="float64"):
    """The variables of the recording; the second has a constraint."""
    first, second = (np.array(value) for value in RECORDED["initial"])
    return [
        Variable(first, "first", dtype=dtype),
        Variable(second, "second", constraint=constraints.MaxNorm(1.0), dtype=dtype),
    ]


def values(variables):
    return [v.value.tolist() for v in variables]


def optimizer_of(name, **arguments):
    """An optimizer with everything on, so that all state matters."""
    if name == "SGD":
        arguments = {"momentum": 0.7, "nesterov": True} | arguments
    if name != "Nadam":
        arguments = {"decay": 0.1} | arguments
    return getattr(optimizers, name)(**arguments)


def run(optimizer, variables, steps):
    for gradients in steps:
        optimizer.apply(gradients, variables)
    return values(variables)


@pytest.mark.parametrize(
    "case", RECORDED["cases"], ids=lambda c: f"{c['optimizer']} {c['arguments']}"
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_updates_of_tensorflow(case, dtype):
    variables = fresh_variables(dtype)
    optimizer = getattr(optimizers, case["optimizer"])(**case["arguments"])
    tolerance = {"float32": 1e-5, "float64": 1e-12}[dtype]
    for gradients, expected in zip(GRADIENTS, case["values"], strict=True):
        optimizer.apply(gradients, variables)
        for variable, value in zip(variables, expected, strict=True):
            assert variable.value.dtype == dtype
            np.testing.assert_allclose(variable.value, value, rtol=tolerance, atol=tolerance)
    assert len(optimizer.get_weights()) == len(case["weights"])
    for weight, expected in zip(optimizer.get_weights(), case["weights"], strict=True):
        np.testing.assert_allclose(weight, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    "case", RECORDED["cases"], ids=lambda c: f"{c['optimizer']} {c['arguments']}"
)
def test_config_of_tensorflow(case):
    optimizer = getattr(optimizers, case["optimizer"])(**case["arguments"])
    assert optimizer.get_config() == case["config"]
    again = optimizers.deserialize(json.loads(json.dumps(optimizers.serialize(optimizer))))
    assert type(again) is type(optimizer)
    assert again.get_config() == case["config"]


def test_every_optimizer_is_recorded():
    assert {case["optimizer"] for case in RECORDED["cases"]} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_weights_carry_the_state_over(name):
    whole = run(optimizer_of(name), fresh_variables(), GRADIENTS)
    first = optimizer_of(name)
    variables = fresh_variables()
    run(first, variables, GRADIENTS[:3])
    second = optimizer_of(name)
    weights = first.get_weights()
    second.set_weights(weights)
    for weight in weights:
        weight.fill(9)  # what was given has been copied
    if not first.iterations_in_weights:
        second.iterations = first.iterations
    assert second.iterations == 3
    assert run(second, variables, GRADIENTS[3:]) == whole


@pytest.mark.parametrize("name", NAMES)
def test_weights_can_be_set_back(name):
    variables = fresh_variables()
    optimizer = optimizer_of(name)
    run(optimizer, variables, GRADIENTS[:2])
    weights, before = optimizer.get_weights(), values(variables)
    whole = run(optimizer, variables, GRADIENTS[2:])
    optimizer.set_weights(weights)
    optimizer.iterations = 2
    for variable, value in zip(variables, before, strict=True):
        variable.assign(value)
    assert run(optimizer, variables, GRADIENTS[2:]) == whole


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_a_copy_goes_on_where_the_original_was(name, copied):
    whole = run(optimizer_of(name), fresh_variables(), GRADIENTS)
    original, variables = optimizer_of(name), fresh_variables()
    run(original, variables, GRADIENTS[:3])
    other, others = copied(original), copy.deepcopy(variables)
    assert run(original, variables, GRADIENTS[3:]) == whole
    assert run(other, others, GRADIENTS[3:]) == whole
    assert other.get_config() == original.get_config()


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_with_its_variables(name):
    whole = run(optimizer_of(name), fresh_variables(), GRADIENTS)
    job = {"optimizer": optimizer_of(name), "variables": fresh_variables()}
    run(job["optimizer"], job["variables"], GRADIENTS[:3])
    job = pickle.loads(pickle.dumps(job))
    assert run(job["optimizer"], job["variables"], GRADIENTS[3:]) == whole


def test_a_copy_does_not_fit_other_variables():
    optimizer, variables = optimizers.Adam(), fresh_variables()
    optimizer.apply(GRADIENTS[0], variables)
    other = copy.deepcopy(optimizer)
    before = values(variables)
    with pytest.raises(ValueError, match=r"slots for variables of shapes .*from_config"):
        other.apply(GRADIENTS[0][:1], variables[:1])
    assert values(variables) == before
    other.apply(GRADIENTS[0], variables)
    assert other.iterations == 2


def test_each_variable_has_its_own_slots():
    optimizer = optimizers.SGD(lr=1.0, momentum=0.5)
    a, b = Variable([0.0]), Variable([0.0])
    optimizer.apply([[1.0]], [a])
    optimizer.apply([[0.0], [0.0]], [b, a])
    assert a.value.tolist() == [-1.5]
    assert b.value.tolist() == [0.0]
    assert [w.tolist() for w in optimizer.get_weights()] == [2, [-0.5], [0.0]]


@pytest.mark.parametrize("name", NAMES)
def test_arguments_are_left_alone(name):
    gradients = [g.copy() for g in GRADIENTS[0]]
    for gradient in gradients:
        gradient.flags.writeable = False
    held = fresh_variables()
    values_before = [v.value for v in held]
    copies = [v.copy() for v in values_before]
    optimizer_of(name, clipnorm=0.3, clipvalue=0.1).apply(gradients, held)
    for gradient, expected in zip(gradients, GRADIENTS[0], strict=True):
        np.testing.assert_array_equal(gradient, expected)
    for value, expected in zip(values_before, copies, strict=True):
        np.testing.assert_array_equal(value, expected)
    assert [v.version for v in held] == [1, 1]


def broken_shape(w):
    return w[:1]


def broken_type(w):
    return ["a"] * 4


def broken(w):
    w[:] = 7
    raise RuntimeError("broken")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("constraint", "error"),
    [(broken_shape, ValueError), (broken_type, TypeError), (broken, RuntimeError)],
)
def test_a_constraint_that_fails_changes_nothing(name, constraint, error):
    optimizer, variables = optimizer_of(name), fresh_variables()
    good = variables[1].constraint
    for steps in ([], GRADIENTS[:2]):
        run(optimizer, variables, steps)
        state = optimizer.get_weights(), values(variables), optimizer.iterations
        variables[1].constraint = constraint
        with pytest.raises(error):
            optimizer.apply(GRADIENTS[3], variables)
        variables[1].constraint = good
        after = optimizer.get_weights(), values(variables), optimizer.iterations
        assert str(after) == str(state)
    whole = run(optimizer_of(name), fresh_variables(), GRADIENTS)
    assert run(optimizer, variables, GRADIENTS[2:]) == whole


@pytest.mark.parametrize(
    ("gradients", "error", "message"),
    [
        ([np.ones((2, 3))], ValueError, "one gradient for each of the 2 variables, got 1"),
        ([np.ones((2, 3)), None], ValueError, "gradient of second is None"),
        ([np.ones((2, 3)), np.ones(3)], ValueError, r"second has shape \(3,\), expected \(4,\)"),
        ([np.ones((3, 2)), np.ones(4)], ValueError, r"first has shape \(3, 2\)"),
        ([np.ones((2, 3)), np.ones(4) * 1j], TypeError, "gradient of second"),
        ([np.ones((2, 3)), ["a"] * 4], TypeError, "gradient of second"),
    ],
)
def test_bad_gradients_change_nothing(gradients, error, message):
    optimizer, variables = optimizers.Adam(), fresh_variables()
    run(optimizer, variables, GRADIENTS[:1])
    state = str((optimizer.get_weights(), values(variables)))
    with pytest.raises(error, match=message):
        optimizer.apply(gradients, variables)
    assert str((optimizer.get_weights(), values(variables))) == state


def test_bad_variables():
    first, _ = fresh_variables()
    with pytest.raises(ValueError, match=r"given twice: \['first', 'first'\]"):
        optimizers.SGD().apply([np.ones((2, 3))] * 2, [first, first])
    with pytest.raises(TypeError, match="a list of gradients and a list of Variable"):
        optimizers.SGD().apply([first], [np.ones((2, 3))])


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_other_kinds(name):
    variables = fresh_variables("float32")
    gradients = [np.asfortranarray(GRADIENTS[0][0]).astype(">f8"), [1, 2, 3, 4]]
    expected = fresh_variables("float32")
    plain = [GRADIENTS[0][0].astype("float32"), np.float32([1, 2, 3, 4])]
    assert run(optimizer_of(name), variables, [gradients]) == run(
        optimizer_of(name), expected, [plain]
    )


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_finite_spreads_without_warnings(name):
    variables = [Variable([1.0, 2.0, 3.0])]
    for clipping in ({}, {"clipnorm": 1.0, "clipvalue": 0.5}):
        optimizer = optimizer_of(name, **clipping)
        optimizer.apply([[np.nan, np.inf, 1e30]], variables)
        assert np.isnan(variables[0].value[0])


def test_clipnorm_survives_large_gradients():
    """The squares would overflow in single precision."""
    v = Variable([0.0, 0.0])
    optimizers.SGD(lr=1.0, clipnorm=5.0).apply([np.float32([3e30, -4e30])], [v])
    np.testing.assert_allclose(v.value, [-3, 4], rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_variables_of_any_shape(name):
    variables = [Variable(np.ones(shape)) for shape in [(), (0, 3), (1,), (2, 1, 2)]]
    optimizer = optimizer_of(name)
    for _ in range(2):
        optimizer.apply([np.ones(v.shape) for v in variables], variables)
    assert np.all(variables[3].value < 1)
    np.testing.assert_array_equal(variables[3].value, variables[0].value)
    restored = optimizer_of(name)
    restored.set_weights(optimizer.get_weights())
    restored.apply([np.ones(v.shape) for v in variables], variables)


@pytest.mark.parametrize("name", NAMES)
def test_no_variables(name):
    optimizer = optimizer_of(name)
    optimizer.set_weights([])
    optimizer.apply([], [])
    assert optimizer.iterations == 1
    assert optimizer.get_weights() == []


@pytest.mark.parametrize("name", NAMES)
def test_a_minimum_is_found(name):
    v = Variable([3.0, -2.0], dtype="float64")
    optimizer = getattr(optimizers, name)(lr={"Adadelta": 20.0, "SGD": 0.2}.get(name, 0.5))
    for _ in range(400):
        optimizer.apply([2 * (v.value - [1.0, 0.5])], [v])
    np.testing.assert_allclose(v.value, [1, 0.5], atol=0.3)


def test_the_learning_rate_can_be_changed():
    v, optimizer = Variable([0.0]), optimizers.SGD(lr=0.5)
    optimizer.apply([[1.0]], [v])
    optimizer.lr = 0.25
    optimizer.apply([[1.0]], [v])
    assert v.value.tolist() == [-0.75]
    assert optimizer.get_config()["lr"] == 0.25
    with pytest.raises(ValueError, match="lr must be a finite number that is at least 0, got -1"):
        optimizer.lr = -1
    assert optimizer.lr == 0.25


def test_iterations_can_be_set():
    v, optimizer = Variable([0.0]), optimizers.SGD(lr=1.0, decay=0.5)
    optimizer.iterations = np.int64(6)
    optimizer.apply([[1.0]], [v])
    assert v.value.tolist() == [-0.25]
    assert optimizer.iterations == 7
    with pytest.raises(ValueError, match="must not be negative"):
        optimizer.iterations = -1
    for wrong in (1.5, True, np.True_, "1", None):
        with pytest.raises(TypeError):
            optimizer.iterations = wrong
    optimizer.iterations = 2**53
    with pytest.raises(ValueError, match="beyond"):
        optimizer.iterations = 2**53 + 1
    assert optimizer.iterations == 2**53


def test_nadam_follows_iterations_back():
    schedules = []
    optimizer = optimizers.Nadam()
    for iterations in (5, 2, 5):
        optimizer.iterations = iterations
        schedules.append(optimizer.numbers())
    assert schedules[0] == schedules[2] != schedules[1]


@pytest.mark.parametrize("schedule_decay", [0.0, 1e-300, 0.004, 0.01, 1.0, 1e9])
@pytest.mark.parametrize("beta_1", [0.0, 0.9, 0.9999, np.nextafter(1, 0)])
def test_nadam_goes_on_from_any_number_of_iterations(schedule_decay, beta_1):
    """At once: the number may be from a file, and so may the momentum."""
    optimizer = optimizers.Nadam(beta_1=beta_1, schedule_decay=schedule_decay)
    optimizer.iterations = 2**53
    counted, momentum = [], optimizer._momentum
    optimizer._momentum = lambda n: counted.append(n) or momentum(n)
    assert np.all(np.isfinite(optimizer.numbers()))
    assert len(counted) < 200_000


@pytest.mark.parametrize("schedule_decay", [0.004, 0.5])
@pytest.mark.parametrize("beta_1", [0.9, 0.9999])
def test_nadam_schedules_the_same_in_one_go_and_step_by_step(schedule_decay, beta_1):
    arguments = {"beta_1": beta_1, "schedule_decay": schedule_decay}
    stepwise = optimizers.Nadam(**arguments)
    for iterations in range(3000):
        stepwise.iterations = iterations
        numbers = stepwise.numbers()
        if iterations % 100 == 0:
            at_once = optimizers.Nadam(**arguments)
            at_once.iterations = iterations
            np.testing.assert_allclose(at_once.numbers(), numbers, rtol=1e-13)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"lr": -0.1}, ValueError),
        ({"lr": np.nan}, ValueError),
        ({"lr": np.inf}, ValueError),
        ({"lr": "0.1"}, TypeError),
        ({"lr": None}, TypeError),
        ({"clipnorm": -1}, ValueError),
        ({"clipvalue": np.nan}, ValueError),
        ({"no_such": 1}, TypeError),
    ],
)
def test_bad_arguments(name, arguments, error):
    with pytest.raises(error, match=next(iter(arguments))):
        getattr(optimizers, name)(**arguments)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("SGD", {"momentum": -0.1}),
        ("SGD", {"decay": -0.1}),
        ("RMSprop", {"rho": 1.5}),
        ("RMSprop", {"epsilon": -1e-8}),
        ("Adagrad", {"epsilon": np.nan}),
        ("Adadelta", {"rho": -0.5}),
        ("Adam", {"beta_1": 1.0}),
        ("Adam", {"beta_2": 1.0}),
        ("Adamax", {"beta_1": -0.1}),
        ("Nadam", {"schedule_decay": -1}),
        ("Nadam", {"beta_2": 2}),
    ],
)
def test_arguments_out_of_bounds(name, arguments):
    with pytest.raises(ValueError, match=f"{next(iter(arguments))} must be a finite number"):
        getattr(optimizers, name)(**arguments)


def test_get():
    adam = optimizers.Adam(lr=0.5)
    assert optimizers.get(adam) is adam
    assert type(optimizers.get("ADAM")) is optimizers.Adam
    assert type(optimizers.get(optimizers.Adam)) is optimizers.Adam
    assert optimizers.get({"class_name": "adam", "config": {"lr": 0.25}}).lr == 0.25
    assert optimizers.get("adam") is not optimizers.get("adam")
    with pytest.raises(ValueError, match=r"unknown optimizer: 'adamm'; did you mean 'Adam'"):
        optimizers.get("adamm")
    with pytest.raises(ValueError, match="expected a name, a config or an instance"):
        optimizers.get(len)


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("Adam", [0, np.ones(2)], "2 arrays for each variable, got 2 arrays"),
        ("Adam", [0], "2 arrays for each variable, got 1 arrays"),
        ("Adam", [0, np.ones(2), np.ones(3)], "one shape for each variable"),
        ("Adam", [-1, np.ones(2), np.ones(2)], "number of iterations, got"),
        ("Adam", [np.nan, np.ones(2), np.ones(2)], "number of iterations, got"),
        ("Adam", [[1, 2], np.ones(2), np.ones(2)], "number of iterations, got"),
        ("Adam", [0, ["a"], ["b"]], "must hold real numbers"),
        ("Adadelta", [np.ones(2)], "2 arrays for each variable, got 1 arrays"),
    ],
)
def test_bad_weights(name, weights, message):
    optimizer = getattr(optimizers, name)()
    with pytest.raises(ValueError, match=message):
        optimizer.set_weights(weights)
    assert optimizer.weights == []


def test_weights_of_other_shapes_are_refused_after_an_update():
    optimizer, variables = optimizers.SGD(), fresh_variables()
    optimizer.apply(GRADIENTS[0], variables)
    before = str(optimizer.get_weights())
    for weights in ([], [0, np.ones((2, 3))], [0, np.ones((3, 2)), np.ones(4)]):
        with pytest.raises(ValueError, match="weights"):
            optimizer.set_weights(weights)
    assert str(optimizer.get_weights()) == before


def test_an_optimizer_of_your_own():
    class Signs(optimizers.Optimizer):
        def __init__(self, lr=0.5, *, clipnorm=None, clipvalue=None):
            super().__init__(clipnorm, clipvalue)
            self.lr = lr

        def update(self, gradient, state, *numbers):
            np.multiply(np.sign(gradient), self.lr, out=state.delta)

    v, optimizer = Variable([1.0, 2.0]), Signs()
    optimizer.apply([[3.0, -0.1]], [v])
    copy.deepcopy(optimizer).apply([[3.0, -0.1]], [v])
    assert v.value.tolist() == [0, 3]
    assert optimizer.get_weights() == []
    with pytest.raises(ValueError, match="0 arrays for each variable"):
        optimizer.set_weights([1])
    written = optimizers.serialize(optimizer)
    assert written == {"class_name": "Signs", "config": {"lr": 0.5}}
    assert type(optimizers.deserialize(written, {"Signs": Signs})) is Signs
    with pytest.raises(TypeError, match="abstract"):
        optimizers.Optimizer()
