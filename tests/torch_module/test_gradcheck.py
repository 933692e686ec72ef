"""`torch.autograd.gradcheck`: finite differences of every input and weight, in float64."""

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from cylstm.torch import LSTM


def checked(module, x, hx=None, lengths=None):
    """Whether the gradients of inputs, states and weights are those of differences."""
    names = [name for name, _ in module.named_parameters()]

    def function(x, *tensors):
        given = tensors[: len(hx or ())]
        weights = dict(zip(names, tensors[len(given) :], strict=True))
        if lengths is not None:
            x = pack_padded_sequence(x, lengths, module.batch_first, enforce_sorted=False)
        y, (h, c) = torch.func.functional_call(module, weights, (x, given or None))
        return (y.data if isinstance(y, PackedSequence) else y), h, c

    inputs = [x, *(hx or ()), *(p.detach().clone() for p in module.parameters())]
    return torch.autograd.gradcheck(function, [t.requires_grad_() for t in inputs])


def normal(*shape):
    return torch.randn(shape, dtype=torch.float64)


@pytest.mark.parametrize("levels", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [None, [2, 4, 1]], ids=["rectangle", "packed"])
@pytest.mark.parametrize("with_states", [False, True])
def test_gradients(levels, bidirectional, lengths, with_states):
    torch.manual_seed(2)
    module = LSTM(2, 3, levels, bidirectional=bidirectional, dtype=torch.float64)
    count = levels * (1 + bidirectional)
    hx = (normal(count, 3, 3), normal(count, 3, 3)) if with_states else None
    assert checked(module, normal(4, 3, 2), hx, lengths)


@pytest.mark.parametrize("options", [{"bias": False}, {"batch_first": True}])
def test_gradients_of_options(options):
    torch.manual_seed(2)
    module = LSTM(2, 3, dtype=torch.float64, **options)
    assert checked(module, normal(4, 2, 2), (normal(1, 4 if module.batch_first else 2, 3),) * 2)


def test_gradients_of_one_sequence():
    torch.manual_seed(2)
    module = LSTM(2, 3, 2, dtype=torch.float64)
    assert checked(module, normal(4, 2), (normal(2, 3), normal(2, 3)))


def test_gradients_of_gradients_are_refused():
    module = LSTM(2, 3, dtype=torch.float64)
    x = normal(4, 2, 2).requires_grad_()
    (d_x,) = torch.autograd.grad(module(x)[0].sin().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        d_x.sum().backward()
