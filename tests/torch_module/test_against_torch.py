"""`cylstm.torch.LSTM` is `torch.nn.LSTM`: results, gradients, draws of dropout, refusals."""

import inspect
import itertools

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from cylstm.torch import LSTM

LENGTHS = {"unsorted": [2, 6, 4, 1, 3], "sorted": [6, 5, 5, 2, 1]}


def pair(*arguments, **options):
    """Theirs and ours, of the same weights."""
    options = {"dtype": torch.float64} | options
    torch.manual_seed(1)
    theirs = torch.nn.LSTM(*arguments, **options)
    ours = LSTM(*arguments, **options)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def given(form, batch_first, dtype=torch.float64):
    """Inputs of 6 times (and 5 rows) of 3 numbers, and what makes an argument of them."""
    if form == "one":
        return torch.randn(6, 3, dtype=dtype), lambda x: x
    x = torch.randn((5, 6, 3) if batch_first else (6, 5, 3), dtype=dtype)
    if form == "rectangle":
        return x, lambda x: x
    lengths = torch.tensor(LENGTHS[form])
    return x, lambda x: pack_padded_sequence(x, lengths, batch_first, form == "sorted")


def states(form, count, dtype=torch.float64):
    shape = (count, 4) if form == "one" else (count, 5, 4)
    return tuple(torch.randn(shape, dtype=dtype) for _ in "hc")


def computed(module, x, make, hx):
    """Outputs, states and all gradients of a sum that weighs every number of them differently."""
    x = x.clone().requires_grad_()
    hx = None if hx is None else tuple(state.clone().requires_grad_() for state in hx)
    torch.manual_seed(3)
    y, (h, c) = module(make(x), hx)
    y = y.data if isinstance(y, PackedSequence) else y
    weights = torch.arange(y.numel(), dtype=y.dtype).reshape(y.shape).cos()
    total = (y * weights).sum() + (h * h).sum() + c.sin().sum()
    gradients = torch.autograd.grad(total, [x, *(hx or ()), *module.parameters()])
    return [y, h, c, *gradients]


@pytest.mark.parametrize("form", ["rectangle", "one", "unsorted", "sorted"])
@pytest.mark.parametrize("levels", [1, 2, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("with_states", [False, True])
def test_results_and_gradients(form, levels, bidirectional, with_states):
    """With dropout between levels: a seed drops the same numbers in both."""
    for bias, batch_first in itertools.product((True, False), (True, False)):
        dropout = 0.3 if levels > 1 else 0.0
        theirs, ours = pair(3, 4, levels, bias, batch_first, dropout, bidirectional)
        x, make = given(form, batch_first)
        hx = states(form, levels * (1 + bidirectional)) if with_states else None
        expected, got = (computed(module, x, make, hx) for module in (theirs, ours))
        for a, b in zip(expected, got, strict=True):
            assert a.shape == b.shape
            torch.testing.assert_close(b, a, rtol=1e-12, atol=1e-13)
        assert got[0].is_contiguous()  # as those of the other are where time comes first
        with torch.no_grad():
            y, h, c = outputs_of(ours.eval(), make(x), hx)
            expected = outputs_of(theirs.eval(), make(x), hx)
        for a, b in zip(expected, (y, h, c), strict=True):
            torch.testing.assert_close(b, a, rtol=1e-12, atol=1e-13)


def outputs_of(module, x, hx):
    y, (h, c) = module(x, hx)
    return (y.data if isinstance(y, PackedSequence) else y), h, c


@pytest.mark.parametrize("form", ["rectangle", "unsorted"])
def test_float32(form):
    theirs, ours = pair(3, 4, 2, bidirectional=True, dtype=torch.float32)
    x, make = given(form, False, torch.float32)
    hx = states(form, 4, torch.float32)
    for a, b in zip(computed(theirs, x, make, hx), computed(ours, x, make, hx), strict=True):
        assert b.dtype == torch.float32
        torch.testing.assert_close(b, a, rtol=1e-5, atol=1e-6)


def test_a_packed_sequence_comes_back_as_it_went_in():
    theirs, ours = pair(3, 4, batch_first=True)
    x, make = given("unsorted", True)
    expected, got = theirs(make(x))[0], ours(make(x))[0]
    assert isinstance(got, PackedSequence)
    for a, b in zip(expected[1:], got[1:], strict=True):
        torch.testing.assert_close(a, b)
    padded, lengths = pad_packed_sequence(got, batch_first=True)
    assert lengths.tolist() == LENGTHS["unsorted"]
    torch.testing.assert_close(padded, pad_packed_sequence(expected, batch_first=True)[0])


@pytest.mark.parametrize("reads", [0, 1, 2], ids=["output", "h", "c"])
def test_gradients_of_one_result_alone(reads):
    found = []
    for module in pair(3, 4, 2, bidirectional=True):
        x = torch.linspace(-1, 1, 90, dtype=torch.float64).reshape(6, 5, 3).requires_grad_()
        total = outputs_of(module, x, None)[reads].sin().sum()
        found.append(torch.autograd.grad(total, [x, *module.parameters()]))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-12, atol=1e-13)


def test_tensors_of_any_layout():
    """Features that are not side by side, a batch of one row that is repeated, no row at all."""
    theirs, ours = pair(3, 4, batch_first=True)
    whole = torch.randn(5, 3, 6, dtype=torch.float64)
    for x in (
        whole.transpose(1, 2),
        whole[:, :, :1].expand(5, 3, 7).mT,
        whole[:0].mT,
        whole.mT[1:2].expand(4, 6, 3),
    ):
        for a, b in zip(
            computed(theirs, x, lambda x: x, None),
            computed(ours, x, lambda x: x, None),
            strict=True,
        ):
            torch.testing.assert_close(b, a, rtol=1e-12, atol=1e-13)
    hx = tuple(torch.randn(1, 1, 4, dtype=torch.float64).expand(1, 5, 4) for _ in "hc")
    torch.testing.assert_close(ours(whole.mT, hx), theirs(whole.mT, hx))


def test_arguments_are_those_of_torch():
    """Their constructor has them in its first overload, and in its docstring."""
    told = torch.nn.LSTM.__doc__.split("(", 1)[1].split(")", 1)[0].split(",")
    ours = inspect.signature(LSTM).parameters.values()
    assert [f"{p.name}={p.default}" if p.default is not p.empty else p.name for p in ours] == told
    theirs, ours = pair(3, 4, 2, False, True, 0.5, True)
    assert repr(ours) == repr(theirs)
    assert isinstance(ours, torch.nn.LSTM)


def test_a_seed_gives_the_weights_of_torch():
    for options in ({}, {"bidirectional": True, "num_layers": 2}, {"bias": False}):
        made = []
        for cls in (torch.nn.LSTM, LSTM):
            torch.manual_seed(7)
            made.append(cls(3, 4, **options).state_dict())
        assert list(made[0]) == list(made[1])
        assert all(torch.equal(a, b) for a, b in zip(*map(dict.values, made), strict=True))


def test_autocast_computes_in_the_dtype_of_the_weights():
    theirs, ours = pair(3, 4, dtype=torch.float32)
    x = torch.randn(6, 5, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, _ = ours(x.bfloat16())
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, theirs(x.bfloat16().float())[0])


@pytest.mark.parametrize(
    ("x", "hx"),
    [
        (torch.zeros(2, 3, 4, 3), None),
        (torch.zeros(3), None),
        (torch.zeros(6, 5, 2), None),
        (torch.zeros(6, 5, 3, dtype=torch.float64), None),
        (torch.zeros(6, 5, 3), (torch.zeros(1, 5, 4), torch.zeros(1, 4, 4))),
        (torch.zeros(6, 5, 3), (torch.zeros(1, 4), torch.zeros(1, 4))),
        (torch.zeros(6, 3), (torch.zeros(1, 1, 4), torch.zeros(1, 1, 4))),
    ],
)
def test_what_torch_refuses_is_refused_alike(x, hx):
    raised = []
    for module in pair(3, 4, dtype=torch.float32):
        with pytest.raises((ValueError, RuntimeError)) as info:
            module(x, hx)
        raised.append(info.type)
    assert raised[0] is raised[1]
