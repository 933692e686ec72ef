"""A graph of ONNX as a model: constants folded, axes followed, then layers made."""

from __future__ import annotations

import re
from collections import ChainMap, Counter
from collections.abc import Iterable, MutableMapping
from typing import Any

from cylstm import _blank, _warning
from cylstm.layers import Input
from cylstm.models import Model
from cylstm.saving._limits import Limits, check_count
from cylstm.saving._onnx._arguments import Arguments, Numbers
from cylstm.saving._onnx._building import Builder
from cylstm.saving._onnx._computing import COMPUTING
from cylstm.saving._onnx._document import Graph, Node, Tensor, ValueInfo
from cylstm.saving._onnx._document import Model as Document
from cylstm.saving._onnx._external import Folder
from cylstm.saving._onnx._folding import FOLDED, fold
from cylstm.saving._onnx._lstm import lstm
from cylstm.saving._onnx._moving import MOVING
from cylstm.saving._onnx._parts import PARTS
from cylstm.saving._onnx._steps import Steps
from cylstm.saving._onnx._tensors import array_of, dtype_of
from cylstm.saving._onnx._values import Dim, Flow, Group, Known, Made, Step, sizes_of
from cylstm.saving._onnx._windows import WINDOWS

__all__ = ["model_of"]

_VERSIONS = range(7, 28)  # of the operators
_OWN_DOMAINS = {None, "", "ai.onnx"}
_DEEPEST = 8  # graphs within graphs
_READ = {**MOVING, **PARTS, **COMPUTING, **WINDOWS, "LSTM": lstm}
_ADVICE = {
    "GRU": "GRU is not among the layers of cylstm",
    "Loop": "a loop is not read: export the recurrent layer as one LSTM node (in Keras without "
    "masks and with the default arguments, in PyTorch nn.LSTM)",
    "RNN": "a plain RNN is not among the layers of cylstm",
    "Scan": "a loop is not read: export the recurrent layer as one LSTM node (in Keras without "
    "masks and with the default arguments, in PyTorch nn.LSTM)",
}

Scope = MutableMapping[str, Any]


def model_of(document: Document, folder: Folder, size: int) -> Model:
    """The model that a file describes.

    Parameters
    ----------
    document : Document
        It may be hostile.
    folder : Folder
        Where data lie that are in files of their own.
    size : int
        How many bytes the file has.

    Raises
    ------
    ValueError
        If it is no model, or one that no layers compute.
    """
    graph = document.graph
    if graph is None or not graph.node:
        raise ValueError("it is no ONNX model: it holds no graph of nodes")
    reader = _Reader(document, graph, folder, size)
    scope: Scope = {}
    reader.enter(graph, scope)
    inputs = [reader.input(info) for info in graph.input if info.name not in scope]
    scope.update(inputs)
    reader.run(graph.node, scope, 0)
    outputs = [reader.output(info, scope) for info in graph.output]
    if not outputs:
        raise ValueError("it has no outputs")
    return reader.built(dict(inputs), outputs, graph)


class _Reader:
    """What is known while a graph is read."""

    def __init__(self, document: Document, graph: Graph, folder: Folder, size: int) -> None:
        self.version = _version(document)
        self.folder = folder
        self.numbers = Numbers(size)
        self.steps = Steps(_uses(graph))
        self.nodes = 0
        self._size, self._tensors = size, len(graph.initializer)

    @property
    def limits(self) -> Limits:
        """Those of what the file holds, and of what was read from files beside it."""
        size = self._size + self.folder.taken
        return Limits(size, self._tensors, size)  # numbers of 16 bits are cast to 32

    # ------------------------------------------------------------------ values

    def enter(self, graph: Graph, scope: Scope) -> None:
        """Take the constants of a graph."""
        if graph.sparse_initializer:
            raise ValueError("it holds sparse tensors, which are not read")
        for tensor in graph.initializer:
            if not tensor.name or tensor.name in scope:
                raise ValueError(f"it holds two tensors named {tensor.name!r}")
            scope[tensor.name] = tensor

    def tensor(self, tensor: Tensor) -> Known:
        """A tensor of the file as a constant."""
        return Known(array_of(tensor, self.folder))

    def value(self, name: str, scope: Scope, where: str) -> Any:
        """A value by its name; a tensor is read when it is first used."""
        if not name:
            return None
        if name not in scope:
            raise ValueError(f"{where} reads {name!r}, which nothing before it gives")
        found = scope[name]
        if isinstance(found, Tensor):
            found = self.tensor(found)
            for level in scope.maps if isinstance(scope, ChainMap) else [scope]:
                if name in level:
                    level[name] = found
                    break
        return found

    def input(self, info: ValueInfo) -> tuple[str, Flow]:
        """An input of the graph."""
        name = info.name or ""
        what = f"input {name!r}"
        kind = info.type.tensor_type if info.type is not None else None
        if not name or kind is None:
            raise ValueError(f"{what} is no tensor")
        dtype = dtype_of(kind.elem_type, what)
        if kind.shape is None or len(kind.shape.dim) > 8:
            raise ValueError(f"{what} has no shape of at most 8 axes")
        dims = []
        for entry in kind.shape.dim:
            size = entry.value if entry.value is not None and entry.value > 0 else None
            if size is not None and size > 2**40:
                raise ValueError(f"{what} has an axis of size {size}")
            dims.append(Dim(size))
        step = Step(what, _plain_name(name), [], 1, lambda b: [])
        (source,) = step.outputs
        return name, Flow(source, [(dim,) for dim in dims], dtype)

    def output(self, info: ValueInfo, scope: Scope) -> Flow:
        """An output of the graph."""
        what = f"output {info.name!r}"
        value = self.value(info.name or "", scope, what)
        if not isinstance(value, Flow):
            raise ValueError(f"{what} does not depend on the inputs")
        return value

    # ------------------------------------------------------------------ nodes

    def run(self, nodes: Iterable[Node], scope: Scope, depth: int) -> None:
        """Go through nodes in their order, which is one in which they can be computed."""
        for node in nodes:
            self.nodes += 1
            check_count(self.nodes, 4 * self.limits.objects, "it has {} nodes")
            results = self._results(node, scope, depth)
            for name, value in zip(node.output, results, strict=False):
                if name:
                    if name in scope:
                        raise ValueError(f"{node.title} gives {name!r}, which there is already")
                    scope[name] = value

    def _results(self, node: Node, scope: Scope, depth: int) -> list[Any]:
        title = node.title
        try:
            if node.domain not in _OWN_DOMAINS:
                raise ValueError(f"operators of {node.domain!r} are not read")
            inputs = [self.value(name, scope, "it") for name in node.input]
            if len(inputs) > 2**12:
                raise ValueError(f"it has {len(inputs)} inputs")
            a = Arguments(node, inputs, self.version, self.tensor, self.numbers)
            self.steps.enter(title, _plain_name(node.name or node.output[0]))
            results = self._branch(a, scope, depth) if a.op == "If" else self._called(a)
        except (ValueError, IndexError, OverflowError, TypeError) as error:
            raise ValueError(f"{title}: {error}") from None
        if len(results) < sum(1 for name in node.output if name):
            raise ValueError(f"{title} has {len(node.output)} outputs, of which some are not read")
        return results

    def _called(self, a: Arguments) -> list[Any]:
        computed = any(isinstance(value, Flow) for value in a.inputs)
        if a.op in FOLDED and (not computed or a.op in ("Shape", "Size")):
            return list(fold(a))
        if a.op in FOLDED and a.op not in _READ:
            raise ValueError(
                "it depends on the inputs, and operators of this kind are read of constants only"
            )
        if a.op not in _READ:
            raise ValueError(_ADVICE.get(a.op, "operators of this kind are not read"))
        if not computed:
            raise ValueError("it computes with constants only, which is not read")
        found = _READ[a.op](a, self.steps)
        return found if isinstance(found, list) else [found]

    def _branch(self, a: Arguments, scope: Scope, depth: int) -> list[Any]:
        """The results of the branch of an If that is taken, which has to be known now."""
        condition = a.input(0)
        if not isinstance(condition, Known):
            raise ValueError(
                "which branch is taken depends on the inputs, so it is not read: export the model "
                "without conditions, or with fixed sizes"
            )
        array = condition.array()
        graph = a.get("then_branch" if array.size == 1 and array.all() else "else_branch", None)
        if not isinstance(graph, Graph) or array.size != 1 or depth >= _DEEPEST:
            raise ValueError("it has no condition with two branches")
        inner: ChainMap[str, Any] = ChainMap({}, scope)
        self.enter(graph, inner)
        self.run(graph.node, inner, depth + 1)
        return [self.value(info.name or "", inner, "its branch") for info in graph.output]

    # ------------------------------------------------------------------ layers

    def built(self, inputs: dict[str, Flow], outputs: list[Flow], graph: Graph) -> Model:
        """The model, from all the steps."""
        for flow in inputs.values():
            if flow.atoms and not any(dim.is_batch for dim in flow.atoms):
                flow.atoms[0].mark_batch()
            step = flow.source.step
            step.make = _input_maker(flow, step.name)
        limits = self.limits
        steps = [flow.source.step for flow in inputs.values()] + self.steps.all
        with _blank.blank_weights(limits.weights, variables=limits.variables, arrays=limits.arrays):
            builder = Builder(steps, outputs, limits)
            tensors = []
            for flow, info in zip(outputs, graph.output, strict=True):
                try:
                    batch = builder.batch(flow)
                    layout = [(batch,), *(g for g in flow.groups if batch not in g)]
                    tensors.append(builder.arranged(flow, layout))
                    if batch not in flow.groups[0]:
                        _warn_of_order("output", info.name, flow, batch)
                except ValueError as error:
                    raise ValueError(f"output {info.name!r}: {error}") from None
            read = {n: flow for n, flow in inputs.items() if flow.source.tensor is not None}
            starts = [flow.source.tensor for flow in read.values()]
            model = Model(starts, tensors, name=_plain_name(graph.name or "") or None)
        for name, flow in read.items():
            if builder.batch(flow) not in flow.groups[0]:
                _warn_of_order("input", name, flow, builder.batch(flow))
        return model


def _input_maker(flow: Flow, name: str) -> Any:
    def make(b: Builder) -> Made:
        if not flow.atoms:
            raise ValueError("it is one number for all samples, which no model takes")
        batch = b.batch(flow)
        rest = [dim for dim in flow.atoms if dim is not batch]
        groups: list[Group] = [(dim,) for dim in rest]
        groups = groups or [()]  # as in Keras: one number for each sample is an axis of size 1
        tensor = Input(sizes_of(groups), name=b.name(), dtype=flow.dtype)
        return [(tensor, [(batch,), *groups])]

    return make


def _warn_of_order(kind: str, name: str | None, flow: Flow, batch: Dim) -> None:
    axis = next(i for i, group in enumerate(flow.groups) if batch in group)
    _warning.warn(
        f"The {kind} {name!r} of the file has its samples on axis {axis}; the model has them on "
        "axis 0, as all models do, and the other axes after it."
    )


def _version(document: Document) -> int:
    versions = [s.version or 0 for s in document.opset_import if s.domain in _OWN_DOMAINS]
    if len(versions) != 1 or versions[0] not in _VERSIONS:
        raise ValueError(
            f"it is of version {versions} of the operators; read are {_VERSIONS[0]} to "
            f"{_VERSIONS[-1]}"
        )
    return versions[0]


def _uses(graph: Graph) -> dict[str, int]:
    """How many times each value is read, in graphs within the graph, too."""
    uses: Counter[str] = Counter(info.name or "" for info in graph.output)
    graphs = [graph]
    while graphs:
        inner = graphs.pop()
        for node in inner.node:
            uses.update(node.input)
            graphs += [a.g for a in node.attribute if a.g is not None]
        if inner is not graph:
            uses.update(info.name or "" for info in inner.output)
    return uses


def _plain_name(name: str) -> str:
    """A name of the file as that of a layer."""
    return re.sub(r"[^A-Za-z0-9_.]+", "_", name).strip("_.")[:100]
