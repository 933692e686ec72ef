"""Makes random graphs and records what ONNX Runtime computes from them, into random_graphs.npz.

Run with onnx, onnxruntime and numpy installed, in this folder:

    python write_random.py           # the 80 that are stored
    python write_random.py 3000 7 more.npz   # others, for ONNX_GRAPHS=more.npz pytest ...

Each is a few operators on an input (samples, 6, 4), whose second size half of them leave open. The
axis of the samples, which operators move about, is stored for each output.
"""

import os
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))
onnxruntime.set_default_logger_severity(4)


class Value:
    """A value of the graph: its name, its shape for two samples, and the axis of these."""

    def __init__(self, name, shape, batch):
        self.name, self.shape, self.batch = name, tuple(shape), batch

    @property
    def rank(self):
        return len(self.shape)

    @property
    def others(self):
        return [axis for axis in range(self.rank) if axis != self.batch]


class Graph:
    """A graph that grows by random operators."""

    def __init__(self, chance):
        self.chance, self.nodes, self.tensors, self.count = chance, [], [], 0
        self.values = [Value("x", (2, 6, 4), 0)]
        ways = [getattr(self, name) for name in sorted(dir(self)) if name.startswith("add_")]
        for _ in range(chance.randint(3, 10)):
            value = self.values[-1 - chance.randint(min(3, len(self.values)))]
            found = ways[chance.randint(len(ways))](value)
            if found is not None:
                self.values.append(Value(*found))

    def constant(self, array):
        self.count += 1
        name = "k%d" % self.count
        self.tensors.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def ints(self, *values):
        return self.constant(np.array(values, "int64"))

    def normal(self, *shape):
        return self.constant(self.chance.normal(0, 0.7, shape).astype("float32"))

    def node(self, op, inputs, outputs=1, **attributes):
        self.count += 1
        names = ["v%d_%d" % (self.count, i) for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, names[0], **attributes))
        return names if outputs > 1 else names[0]

    def one_of(self, values):
        return values[self.chance.randint(len(values))] if values else None

    def add_transpose(self, v):
        order = [int(i) for i in self.chance.permutation(v.rank)]
        name = self.node("Transpose", [v.name], perm=order)
        return name, [v.shape[i] for i in order], order.index(v.batch)

    def add_unsqueeze(self, v):
        axis = self.chance.randint(v.rank + 1)
        if v.rank < 5:
            name = self.node("Unsqueeze", [v.name, self.ints(axis)])
            return name, [*v.shape[:axis], 1, *v.shape[axis:]], v.batch + (axis <= v.batch)

    def without(self, v, axis, name):
        return name, [n for i, n in enumerate(v.shape) if i != axis], v.batch - (axis < v.batch)

    def add_squeeze(self, v):
        axis = self.one_of([i for i in v.others if v.shape[i] == 1])
        if axis is not None and v.rank > 2:
            return self.without(v, axis, self.node("Squeeze", [v.name, self.ints(axis)]))

    def add_slice(self, v):
        axis = self.one_of(v.others)
        begin, end = sorted(self.chance.randint(0, 7, 2))
        step = int(self.one_of([1, 1, 2, -1]))
        if axis is None:
            return None
        if step < 0:
            begin, end = end - 1, begin - 1 if begin else -(2**40)
        size = v.shape[axis]
        length = len(range(size)[slice(begin, None if end < -size else end, step)])
        if length and begin >= 0:
            parts = [self.ints(int(n)) for n in (begin, end, axis, step)]
            shape = [*v.shape[:axis], length, *v.shape[axis + 1 :]]
            return self.node("Slice", [v.name, *parts]), shape, v.batch

    def add_gather(self, v):
        axis = self.one_of(v.others)
        if axis is not None and v.rank > 2:
            size = v.shape[axis]
            index = self.constant(np.int64(self.chance.randint(-size, size)))
            return self.without(v, axis, self.node("Gather", [v.name, index], axis=axis))

    def add_activation(self, v):
        op = self.one_of(["Tanh", "Relu", "Sigmoid", "Abs"])
        return self.node(op, [v.name]), v.shape, v.batch

    def add_constant(self, v):
        shape = [n if self.chance.rand() < 0.5 and i != v.batch else 1
                 for i, n in enumerate(v.shape)]  # fmt: skip
        inputs = [v.name, self.normal(*shape[self.chance.randint(v.rank) :])]
        if self.chance.rand() < 0.3:
            inputs.reverse()
        return self.node(self.one_of(["Add", "Sub", "Mul"]), inputs), v.shape, v.batch

    def add_merge(self, v):
        def fits(w):
            sizes = zip(v.shape, w.shape)
            return w.rank == v.rank and w.batch == v.batch and all(
                n == m or 1 in (n, m) for n, m in sizes
            )  # fmt: skip

        other = self.one_of([w for w in self.values if fits(w)])
        name = self.node(self.one_of(["Add", "Mul", "Sub", "Max"]), [v.name, other.name])
        return name, [max(pair) for pair in zip(v.shape, other.shape)], v.batch

    def add_concat(self, v):
        axis = self.one_of(v.others)

        def fits(w):
            return w.rank == v.rank and w.batch == v.batch and all(
                n == m or i == axis for i, (n, m) in enumerate(zip(v.shape, w.shape))
            )  # fmt: skip

        other = self.one_of([w for w in self.values if fits(w)])
        if axis is not None and v.shape[axis] + other.shape[axis] < 40:
            name = self.node("Concat", [v.name, other.name], axis=axis)
            length = v.shape[axis] + other.shape[axis]
            return name, [*v.shape[:axis], length, *v.shape[axis + 1 :]], v.batch

    def add_reduce(self, v):
        axis = self.one_of(v.others)
        if axis is None or v.rank < 3:
            return None
        op, keep = self.one_of(["ReduceMean", "ReduceMax", "ReduceL2"]), self.chance.randint(2)
        name = self.node(op, [v.name], axes=[axis], keepdims=keep)
        if keep:
            return name, [*v.shape[:axis], 1, *v.shape[axis + 1 :]], v.batch
        return self.without(v, axis, name)

    def add_dense(self, v):
        if v.batch != v.rank - 1:
            units = self.chance.randint(1, 5)
            name = self.node("MatMul", [v.name, self.normal(v.shape[-1], units)])
            if self.chance.rand() < 0.5:
                name = self.node("Add", [name, self.normal(units)])
            return name, [*v.shape[:-1], units], v.batch

    def add_lstm(self, v):
        if v.rank != 3 or v.batch != 1:
            return None
        direction = self.one_of(["forward", "reverse", "bidirectional"])
        ways = 2 if direction == "bidirectional" else 1
        weights = [self.normal(ways, *shape) for shape in ((8, v.shape[2]), (8, 2), (16,))]
        y, h, _ = self.node(
            "LSTM", [v.name, *weights], 3, hidden_size=2, direction=direction
        )
        if self.chance.rand() < 0.3:
            self.values.append(Value(h, (ways, v.shape[1], 2), 1))
        return y, (v.shape[0], ways, v.shape[1], 2), 2

    add_another_lstm = add_lstm

    def add_conv(self, v):
        if v.rank == 3 and v.batch == 0:
            window = self.chance.randint(1, 3)
            kernel = self.normal(3, v.shape[1], window)
            name = self.node("Conv", [v.name, kernel], pads=[window - 1, 0])
            return name, (2, 3, v.shape[2]), 0

    def add_flat(self, v):
        if v.batch == 0 and v.rank > 2:
            size = int(np.prod(v.shape[1:]))
            shape = self.ints(*((0, -1) if self.chance.rand() < 0.5 else (-1, size)))
            return self.node("Reshape", [v.name, shape]), (2, size), 0

    def add_joined(self, v):
        if v.rank == 4 and v.batch < 2:
            name = self.node("Reshape", [v.name, self.ints(0, 0, -1)])
            return name, (*v.shape[:2], v.shape[2] * v.shape[3]), v.batch

    def add_divided(self, v):
        if v.batch == 0 and v.rank > 1 and v.shape[-1] % 2 == 0:
            half = v.shape[-1] // 2
            name = self.node("Reshape", [v.name, self.ints(*[0] * (v.rank - 1), 2, half)])
            return name, (*v.shape[:-1], 2, half), 0

    def add_row_by_row(self, v):
        if v.batch == 0 and v.rank == 3:
            name = self.node("Reshape", [v.name, self.ints(-1, v.shape[2])])
            name = self.node("MatMul", [name, self.normal(v.shape[2], 3)])
            name = self.node("Tanh", [self.node("Add", [name, self.normal(3)])])
            name = self.node("Reshape", [name, self.ints(-1, v.shape[1], 3)])
            return name, (2, v.shape[1], 3), 0


def main(count=80, seed=1, path=os.path.join(HERE, "random_graphs.npz")):
    chance = np.random.RandomState(int(seed))
    found = {}
    number = 0
    while number < int(count):
        graph = Graph(chance)
        outputs = graph.values[1:][-2:]
        if not outputs:
            continue
        size = None if chance.rand() < 0.5 else 6
        ends = [helper.make_empty_tensor_value_info(value.name) for value in outputs]
        for end in ends:
            end.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
        model = helper.make_model(
            helper.make_graph(
                graph.nodes, "random",
                [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", size, 4])],
                ends, graph.tensors,
            ),
            opset_imports=[helper.make_opsetid("", 17)], ir_version=8,
        )  # fmt: skip
        data = model.SerializeToString()
        x = chance.normal(0, 0.7, (2, 6, 4)).astype("float32")
        results = onnxruntime.InferenceSession(data).run(None, {"x": x})
        found["%d/file" % number] = np.frombuffer(data, "uint8")
        found["%d/x" % number] = x
        for i, (result, value) in enumerate(zip(results, outputs)):
            assert result.shape == value.shape
            found["%d/%d/%d" % (number, i, value.batch)] = result
        number += 1
    np.savez_compressed(path, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
