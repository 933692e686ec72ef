"""What the compiled core, with either engine, and its NumPy twin refuse, all alike."""

import numpy as np
import pytest
from core_problems import (
    ENGINES,
    MASK,
    NAMES,
    NUMBERS,
    cell_of,
    common_arguments,
    forward,
    make_cotangents,
    make_problem,
)

from cylstm import _blas, _core, _reference


class Subclass(np.ndarray):
    """It may mean something else by its numbers."""


SPOILT = {
    "a list": lambda x: x.tolist(),
    "an integer": lambda x: 3,
    "too long": lambda x: np.concatenate([x, x[:1]]),
    "too wide": lambda x: np.concatenate([x, x[..., :1]], axis=-1),
    "another axis": lambda x: x[None],
    "an axis less": lambda x: np.array(x[0]),
    "other floats": lambda x: x.astype(np.float32),
    "integers": lambda x: np.zeros_like(x, np.int64),
    "half floats": lambda x: x.astype(np.float16),
    "without buffers": lambda x: np.zeros(x.shape, "datetime64[s]"),
    "not aligned": lambda x: (
        np.frombuffer(b"\1" * (x.nbytes + 1), "u1")[1:].view(x.dtype).reshape(x.shape)
    ),
    "complex": lambda x: x.astype(complex),
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "strided": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "reversed": lambda x: x[..., ::-1],
    "a subclass": lambda x: x.view(Subclass),
}


WEIGHTS = ["kernel", "recurrent_kernel", "bias"]
STATES = ["initial_h", "initial_c"]


def complete_call(engine, which):
    """All arguments by name, of making a cell and of one of its passes."""
    problem = make_problem(np.random.default_rng(0), mask=MASK, input_gates=4, recurrent_gates=4)
    arguments = problem | {"sequence": True, "final_states": True, "keep": True}
    if which == "backward":
        cotangents = make_cotangents(np.random.default_rng(0), problem)
        arguments = problem | cotangents | {"cache": forward(engine, problem)["cache"]}
        arguments["d_states"] = True
    return arguments


def call(engine, which, arguments):
    common = common_arguments(arguments)
    apart = {*WEIGHTS, *STATES, *common, "activation", "recurrent_activation"}
    rest = {name: value for name, value in arguments.items() if name not in apart}
    getattr(cell_of(engine, arguments), which)(**common, **rest)


def outcome(engine, which, arguments):
    try:
        call(engine, which, arguments)
    except Exception as error:
        return type(error)
    return None


@pytest.mark.parametrize("kind", SPOILT)
@pytest.mark.parametrize("which", ["forward", "backward"])
@pytest.mark.parametrize("engine", [_core, _blas])
def test_core_and_twin_refuse_the_same(engine, which, kind):
    arguments, twin_arguments = complete_call(engine, which), complete_call(_reference, which)
    arrays = [key for key, value in arguments.items() if isinstance(value, np.ndarray)]
    if kind in ("big-endian", "not aligned"):  # which bytes cannot be
        arrays.remove("mask")
    if kind == "other floats":  # those of the kernel decide
        arrays.remove("kernel")
    outcomes = {
        key: (
            outcome(engine, which, arguments | {key: SPOILT[kind](arguments[key])}),
            outcome(_reference, which, twin_arguments | {key: SPOILT[kind](twin_arguments[key])}),
        )
        for key in arrays
    }
    assert {key: pair for key, pair in outcomes.items() if pair[0] is not pair[1]} == {}
    assert None not in {pair[0] for pair in outcomes.values()}


@pytest.mark.parametrize("engine", ENGINES)
def test_shapes_in_messages(engine):
    arguments = complete_call(engine, "forward")
    wrong = arguments | {"kernel": np.zeros((5, 20))}
    with pytest.raises(ValueError, match=r"kernel has the shape \(5, 20\), expected \(5, 12\)"):
        call(engine, "forward", wrong)
    wrong = arguments | {"kernel": np.zeros((5, 12))}
    message = r"inputs has the shape \(2, 4, 2\), expected \(batch, timesteps, 5\)"
    with pytest.raises(ValueError, match=message):
        call(engine, "forward", wrong)
    wrong = arguments | {"input_masks": np.zeros((3, 2, 2))}
    message = r"input_masks has the shape \(3, 2, 2\), expected \(4, 2, 2\)"
    with pytest.raises(ValueError, match=message):
        call(engine, "forward", wrong)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("which", ["forward", "backward"])
def test_other_arguments_that_are_refused(engine, which):
    arguments = complete_call(engine, which)
    for key in ("activation", "recurrent_activation"):
        for number in (-1, len(NAMES)):
            with pytest.raises(ValueError, match=f"{number} is not the number of an activation"):
                call(engine, which, arguments | {key: number})
        for number in ("tanh", None):
            with pytest.raises(TypeError):
                call(engine, which, arguments | {key: number})
    function = getattr(cell_of(engine, arguments), which)
    names = {*arguments} - {*WEIGHTS, *STATES, "activation", "recurrent_activation"}
    whole = {name: arguments[name] for name in names} | common_arguments(arguments)
    function(**whole)
    for key in whole:
        with pytest.raises(TypeError):
            function(**{k: v for k, v in whole.items() if k != key})
    with pytest.raises(TypeError):
        function(**whole, other=None)
    for states in [(arguments["initial_h"],), [*[arguments["initial_h"]] * 3], np.zeros((3, 2, 3))]:
        with pytest.raises(ValueError, match="the states are h and c"):
            function(**whole | {"states": states})


@pytest.mark.parametrize("which", ["activation", "recurrent_activation"])
def test_the_fused_kernels_refuse_softmax(which):
    arguments = complete_call(_core, "forward") | {which: NUMBERS["softmax"]}
    names = [*WEIGHTS, "activation", "recurrent_activation"]
    with pytest.raises(ValueError, match="no softmax: cylstm._blas computes it"):
        _core.Cell(**{name: arguments[name] for name in names})


@pytest.mark.parametrize("engine", [_core, _reference])
def test_this_cell_has_no_weights_of_its_own(engine):
    arguments = complete_call(engine, "forward")
    given = {name: arguments[name] for name in [*WEIGHTS, "activation", "recurrent_activation"]}
    engine.Cell(**given, own=None)
    with pytest.raises(ValueError, match=r"own has the shape \(3, 3\), expected \(0, 3\)"):
        engine.Cell(**given, own=np.zeros((3, 3)))


def test_gemms_that_are_none():
    arguments = complete_call(_core, "forward")
    weights = [arguments[name] for name in WEIGHTS]
    for gemm in (3, object(), np.zeros(3)):
        with pytest.raises(ValueError, match="invalid PyCapsule"):
            _core.Cell(*weights, activation=1, recurrent_activation=1, gemm=gemm)
