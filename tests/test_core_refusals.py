"""What the compiled core, its passes by BLAS and their NumPy twin refuse, all alike."""

import numpy as np
import pytest
from core_problems import (
    CACHE,
    ENGINES,
    MASK,
    NAMES,
    NUMBERS,
    backward_outputs,
    forward,
    forward_outputs,
    make_cotangents,
    make_problem,
)

from cylstm import _blas, _core, _reference

SPOILT = {
    "missing": lambda x: None,
    "a list": lambda x: x.tolist(),
    "an integer": lambda x: 3,
    "too long": lambda x: np.concatenate([x, x[:1]]),
    "too wide": lambda x: np.concatenate([x, x[..., :1]], axis=-1),
    "another axis": lambda x: x[None],
    "an axis less": lambda x: np.array(x[0]),
    "other floats": lambda x: x.astype(np.float32),
    "integers": lambda x: np.zeros_like(x, np.int64),
    "complex": lambda x: x.astype(complex),
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "strided": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "reversed": lambda x: x[::-1],
    "read-only": lambda x: np.require(x.copy(), requirements="W").view(),
}


def spoil(arguments, name, kind):
    array = SPOILT[kind](arguments[name])
    if kind == "read-only":
        array.flags.writeable = False
    return arguments | {name: array}


def outcome(function, arguments):
    try:
        function(**arguments)
    except Exception as error:
        return type(error)
    return None


def complete_calls(engine):
    rng = np.random.default_rng(0)
    problem = make_problem(rng, mask=MASK, input_gates=4, recurrent_gates=4)
    cache = forward(engine, problem)
    calls = {
        "lstm_forward": problem | forward_outputs(problem),
        "lstm_backward": problem
        | {name: cache[name] for name in CACHE}
        | make_cotangents(rng, problem)
        | backward_outputs(problem),
    }
    return {name: (getattr(engine, name), arguments) for name, arguments in calls.items()}


@pytest.mark.parametrize("kind", SPOILT)
@pytest.mark.parametrize("name", ["lstm_forward", "lstm_backward"])
@pytest.mark.parametrize("engine", [_core, _blas])
def test_core_and_twin_refuse_the_same(engine, name, kind):
    compiled, arguments = complete_calls(engine)[name]
    twin, twin_arguments = complete_calls(_reference)[name]
    arrays = [key for key, value in arguments.items() if isinstance(value, np.ndarray)]
    if kind == "big-endian":  # which bytes are not
        arrays.remove("mask")
    outcomes = {
        key: (
            outcome(compiled, spoil(arguments, key, kind)),
            outcome(twin, spoil(twin_arguments, key, kind)),
        )
        for key in arrays
    }
    assert {key: pair for key, pair in outcomes.items() if pair[0] is not pair[1]} == {}
    if kind not in ("missing", "read-only"):
        assert None not in {pair[0] for pair in outcomes.values()}


@pytest.mark.parametrize("engine", ENGINES)
def test_shapes_in_messages(engine):
    function, arguments = complete_calls(engine)["lstm_forward"]
    wrong = arguments | {"kernel": np.zeros((5, 12))}
    with pytest.raises(ValueError, match=r"kernel has the shape \(5, 12\), expected \(2, 12\)"):
        function(**wrong)
    wrong = arguments | {"input_masks": np.zeros((3, 2, 2))}
    message = r"input_masks has the shape \(3, 2, 2\), expected \(4, 2, 2\)"
    with pytest.raises(ValueError, match=message):
        function(**wrong)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["lstm_forward", "lstm_backward"])
def test_other_arguments_that_are_refused(engine, name):
    function, arguments = complete_calls(engine)[name]
    for key in ("activation", "recurrent_activation"):
        for number in (-1, len(NAMES)):
            with pytest.raises(ValueError, match=f"{number} is not the number of an activation"):
                function(**arguments | {key: number})
        for number in ("tanh", None):
            with pytest.raises(TypeError):
                function(**arguments | {key: number})
    with pytest.raises(TypeError):
        function(*arguments.values())
    for key in arguments:
        with pytest.raises(TypeError):
            function(**{k: v for k, v in arguments.items() if k != key})
    with pytest.raises(TypeError):
        function(**arguments, other=None)


@pytest.mark.parametrize("name", ["lstm_forward", "lstm_backward"])
@pytest.mark.parametrize("which", ["activation", "recurrent_activation"])
def test_the_fused_kernels_refuse_softmax(which, name):
    function, arguments = complete_calls(_core)[name]
    with pytest.raises(ValueError, match="no softmax: cylstm._blas computes"):
        function(**arguments | {which: NUMBERS["softmax"]})
