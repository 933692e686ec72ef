"""`cylstm.torch.LSTM` in the hands of PyTorch: training scripts, files, copies, threads, errors."""

import copy
import gc
import io
import os
import pickle
import re
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import cylstm
from cylstm import _threads
from cylstm import torch as cylstm_torch
from cylstm.torch import LSTM

CHECKOUT = Path(__file__).resolve().parents[2]


class Tagger(torch.nn.Module):
    """A model as a script has it."""

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(20, 6)
        self.lstm = torch.nn.LSTM(6, 8, num_layers=2, dropout=0.25, bidirectional=True)
        self.head = torch.nn.Linear(16, 4)

    def forward(self, words, lengths):
        packed = pack_padded_sequence(self.embedding(words), lengths, enforce_sorted=False)
        y, (h, _) = self.lstm(packed)
        padded, _ = pad_packed_sequence(y)
        return self.head(padded), h.detach_()


def losses_of_a_script(steps=25):
    """Train, with clipped gradients and a schedule, and validate in between."""
    torch.manual_seed(5)
    model = Tagger()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 10)
    words, targets = torch.randint(0, 20, (9, 7)), torch.randint(0, 4, (9, 7))
    lengths, found = torch.tensor([9, 3, 5, 1, 9, 2, 4]), []
    for step in range(steps):
        model.train()
        optimizer.zero_grad()
        logits, _ = model(words, lengths)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        found.append(loss.item())
        if step % 5 == 0:
            model.eval()
            with torch.inference_mode():
                found.append(model(words, lengths)[0].square().mean().item())
    return found


def test_a_script_has_the_same_losses_when_it_is_swapped_in(monkeypatch):
    expected = losses_of_a_script()
    monkeypatch.setattr(torch.nn, "LSTM", LSTM)
    got = losses_of_a_script()
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    assert expected[-1] < 0.9 * expected[0]


def test_truncated_sequences_hand_states_on():
    """States that are detached, in place too, and a loss that reads them."""
    losses = []
    for cls in (torch.nn.LSTM, LSTM):
        torch.manual_seed(1)
        module, hx = cls(3, 4, batch_first=True), None
        optimizer = torch.optim.SGD(module.parameters(), lr=0.5)
        for x in torch.randn(6, 2, 5, 3):
            y, hx = module(x, hx)
            loss = y.square().mean() + hx[1].mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            hx = hx[0].detach_(), hx[1].detach_()
            losses.append(loss.item())
    np.testing.assert_allclose(losses[6:], losses[:6], rtol=1e-5, atol=1e-6)


@pytest.fixture
def module():
    torch.manual_seed(4)
    return LSTM(3, 4, 2, bidirectional=True)


X = torch.linspace(-1, 1, 30).reshape(5, 2, 3)


@torch.no_grad()
def test_weights_go_both_ways(module):
    theirs = torch.nn.LSTM(3, 4, 2, bidirectional=True)
    theirs.load_state_dict(module.state_dict())
    torch.testing.assert_close(theirs(X), module(X))
    theirs.reset_parameters()
    module.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(theirs(X), module(X))
    theirs.reset_parameters()
    module.load_state_dict(theirs.state_dict(), assign=True)
    torch.testing.assert_close(theirs(X), module(X))


@torch.no_grad()
def test_weights_become_a_layer_of_ours():
    module = LSTM(3, 4, batch_first=True)
    layer = cylstm.from_torch(module.state_dict())[""]
    np.testing.assert_allclose(module(X)[0].numpy(), layer(X.numpy()), rtol=1e-5, atol=1e-6)


def through_torch_save(module):
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)), through_torch_save]
)
@torch.no_grad()
def test_copies(module, copied):
    expected = module(X)[0]  # which leaves packed weights behind
    other = copied(module)
    assert type(other) is LSTM
    assert other._kept == {}
    assert torch.equal(other(X)[0], expected)
    other.weight_hh_l1.zero_()
    assert not torch.equal(other(X)[0], expected)
    assert torch.equal(module(X)[0], expected)


def test_modes_without_gradients(module):
    with_graph = module(X)[0]
    assert with_graph.grad_fn is not None
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            y, (h, c) = module(X)
        assert not any(t.requires_grad for t in (y, h, c))
        assert torch.equal(y, with_graph)
        assert y.is_inference() == (mode is torch.inference_mode)


def test_weights_stay_packed_until_they_change(module):
    changes = [
        lambda w: w.data.mul_(0.5),  # which leaves the version of the weight as it is
        lambda w: w.detach().numpy().__imul__(0.5),
        lambda w: w.mul_(0.5),
        lambda w: setattr(module, "weight_hh_l1", torch.nn.Parameter(w * 0.5)),
    ]
    with torch.no_grad():
        before = module(X)[0]
        cells = [cell for _, cell in module._kept.values()]
        assert torch.equal(module(X)[0], before)
        assert [cell for _, cell in module._kept.values()] == cells
        for change in changes:
            change(module.weight_hh_l1)
            theirs = torch.nn.LSTM(3, 4, 2, bidirectional=True)
            theirs.load_state_dict(module.state_dict())
            y = module(X)[0]
            assert not torch.allclose(y, before)
            torch.testing.assert_close(y, theirs(X)[0])
            before = y
        assert [cell for _, cell in module._kept.values()][:2] == cells[:2]
        module.double()
        torch.testing.assert_close(module(X.double())[0].float(), before)


def levels_of_graph(node):
    if node is None:
        return 0
    below = sum(levels_of_graph(n) for n, _ in node.next_functions)
    return below + (type(node).__name__ == "_LevelBackward")


def test_gradients_only_of_what_needs_them(module):
    module.requires_grad_(False)
    assert not module(X)[0].requires_grad
    module.weight_hh_l1.requires_grad_(True)
    module.bias_ih_l1_reverse.requires_grad_(True)
    y, _ = module(X)
    assert levels_of_graph(y.grad_fn) == 1  # the level below computes without one
    y.sum().backward()
    theirs = torch.nn.LSTM(3, 4, 2, bidirectional=True)
    theirs.load_state_dict(module.state_dict())
    theirs(X)[0].sum().backward()
    given = {name for name, p in module.named_parameters() if p.grad is not None}
    assert given == {"weight_hh_l1", "bias_ih_l1_reverse"}
    for name in given:
        torch.testing.assert_close(getattr(module, name).grad, getattr(theirs, name).grad)


def test_gradients_add_up_and_have_memory_of_their_own(module):
    module(X)[0].sum().backward()
    first = [p.grad.clone() for p in module.parameters()]
    y, _ = module(X)
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    for p, gradient in zip(module.parameters(), first, strict=True):
        torch.testing.assert_close(p.grad, 3 * gradient)
        assert p.grad.is_contiguous()
    addresses = [p.grad.data_ptr() for p in module.parameters()]
    assert len(set(addresses)) == len(addresses)


def test_a_graph_is_freed_by_the_backward_pass(module):
    saved = []

    def packed(tensor):
        saved.append(weakref.ref(tensor))
        return tensor.clone()

    with torch.autograd.graph.saved_tensors_hooks(packed, lambda tensor: tensor):
        loss = module(X)[0].sum()
        loss.backward()
    assert len(saved) > 8  # the numbers of all passes went through PyTorch's hands
    gc.collect()
    assert not any(tensor() is not None and tensor().numel() == 5 * 2 * 4 * 6 for tensor in saved)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.backward()


def test_inputs_that_change_before_the_backward_pass_are_noticed(module):
    x = X.clone()
    loss = module(x)[0].sum()
    x.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_what_takes_all_weights_as_one_vector(module):
    vector = torch.nn.utils.parameters_to_vector(module.parameters())
    torch.nn.utils.vector_to_parameters(vector / 2, module.parameters())
    optimizer = torch.optim.LBFGS(module.parameters(), max_iter=5)

    def closure():
        optimizer.zero_grad()
        loss = module(X)[0].square().sum()
        loss.backward()
        return loss

    before = closure().item()
    optimizer.step(closure)
    assert closure().item() < before


def test_parametrized_weights(module):
    theirs = torch.nn.LSTM(3, 4, 2, bidirectional=True)
    theirs.load_state_dict(module.state_dict())
    found = []
    for each in (theirs, module):
        torch.nn.utils.parametrizations.weight_norm(each, "weight_hh_l1")
        each(X)[0].sum().backward()
        found.append([p.grad for p in each.parameters()])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(b, a)


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # of what the compiler itself looks at
def test_compiled_programs_leave_it_out_of_their_graphs(module):
    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(lambda x: module(x * 2)[0] + 1, backend=backend)
    x = X.clone().requires_grad_()
    y = compiled(x)
    torch.testing.assert_close(y, module(x * 2)[0] + 1)
    y.sum().backward()
    assert x.grad.isfinite().all()
    assert graphs


def test_the_page_about_it_runs():
    """Its block of Python, which no doctest runs: most tests have no PyTorch."""
    page = (CHECKOUT / "docs" / "pytorch.md").read_text(encoding="utf-8")
    (block,) = (
        b for b in re.findall(r"^```python\n(.*?)^```", page, re.M | re.S) if ">>>" not in b
    )
    names = {}
    exec(compile(block, "pytorch.md", "exec"), names)
    assert names["loss"].item() > 0


# Refusals -----------------------------------------------------------------------------------------


def test_what_cylstm_does_not_have_is_refused_by_name():
    with pytest.raises(NotImplementedError, match="proj_size is 2: cylstm has no LSTM with proj"):
        LSTM(3, 4, proj_size=2)
    with pytest.raises(TypeError, match="dtype is torch.bfloat16: cylstm computes torch.float32"):
        LSTM(3, 4, dtype=torch.bfloat16)
    with pytest.raises(TypeError, match="the dtype of the weights is torch.float16"):
        LSTM(3, 4).half()(X.half())
    with pytest.raises(RuntimeError, match="computes on the CPU, got a tensor on meta"):
        LSTM(3, 4, device="meta")(X)
    with pytest.raises(RuntimeError, match="computes on the CPU, got a tensor on meta"):
        LSTM(3, 4)(X.to("meta"))
    with pytest.raises(ValueError, match="of one dtype, got torch.float64 and torch.float32"):
        LSTM(3, 4)(X, (torch.zeros(1, 2, 4), torch.zeros(1, 2, 4, dtype=torch.float64)))
    with pytest.raises(ValueError, match="hx is h and c, got 1 tensors"):
        LSTM(3, 4)(X, (torch.zeros(1, 2, 4),))


def test_weights_that_are_made_later():
    module = LSTM(3, 4, device="meta").to_empty(device="cpu")
    module.reset_parameters()
    assert module(X)[0].isfinite().all()


# Threads ------------------------------------------------------------------------------------------


@pytest.fixture
def two_counts(monkeypatch):
    """cylstm with the count that it has by itself, which is 3, and PyTorch's put back."""
    monkeypatch.setattr(_threads, "_by_hand", False)
    monkeypatch.setattr(_threads, "_count", 3)
    monkeypatch.setattr(_threads, "_pool", None)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_as_many_threads_as_torch_has(two_counts):
    torch.set_num_threads(1)
    assert cylstm_torch._pool() is None
    torch.set_num_threads(2)
    assert cylstm_torch._pool().threads == 2
    if not cylstm_torch._PARALLEL:  # a PyTorch without OpenMP that lends its threads
        torch.set_num_threads(3)
        assert cylstm_torch._pool() is _threads.pool()


@pytest.mark.skipif(sys.platform != "linux", reason="PyTorch has GNU's OpenMP on Linux alone")
def test_the_threads_are_pytorchs_own(two_counts):
    """None of ours is started, which would fight with those of PyTorch for the CPUs."""
    assert cylstm_torch._PARALLEL
    torch.set_num_threads(3)
    before = threading.active_count()
    module, x = LSTM(64, 64), torch.randn(40, 16, 64)
    y, _ = module(x)
    y.sum().backward()
    assert threading.active_count() == before
    assert _threads._pool is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_of_a_fork_does_not_wait_for_pytorchs_threads():
    program = (
        "import os, torch, cylstm.torch; torch.set_num_threads(2)\n"
        "module = cylstm.torch.LSTM(64, 64, batch_first=True)\n"
        "x = torch.randn(16, 60, 64)\n"
        "with torch.no_grad():\n"
        "    before = module(x)[0]\n"
        "    child = os.fork()\n"
        "    same = (module(x)[0].numpy() == before.numpy()).all()\n"
        "if child == 0: os._exit(0 if same else 1)\n"
        "print(os.waitpid(child, 0)[1], same)"
    )
    environment = {k: v for k, v in os.environ.items() if k != "CYLSTM_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, env=environment, timeout=120,
        check=False, text=True,
    )  # fmt: skip
    assert done.stdout.split() == ["0", "True"], done.stderr


def test_a_count_that_was_set_by_hand_counts(two_counts, monkeypatch):
    monkeypatch.setattr(_threads, "_by_hand", True)
    torch.set_num_threads(1)
    assert cylstm_torch._pool().threads == 3


def test_results_do_not_depend_on_threads(two_counts):
    torch.manual_seed(1)
    module, x = LSTM(64, 64), torch.randn(40, 16, 64, requires_grad=True)
    found = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        y, _ = module(x)
        found.append([y, *torch.autograd.grad(y.sin().sum(), [x, *module.parameters()])])
    for a, b in [(found[0], found[1]), (found[0], found[2])]:
        assert all(torch.allclose(s, t, rtol=1e-5, atol=1e-5) for s, t in zip(a, b, strict=True))
        assert torch.equal(a[0], b[0])
