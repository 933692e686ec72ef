"""Writes small ONNX files node by node, with the package onnx: what exporters seldom write.

Run with onnx and numpy installed, in this folder; then `record.py`:

    python write_by_hand.py
"""

import os

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))
RANDOM = np.random.RandomState(7)


def normal(*shape):
    return RANDOM.normal(0, 0.5, shape).astype("float32")


class File:
    """A graph that grows, and is saved under a name."""

    def __init__(self, inputs):
        self.nodes, self.tensors, self.outputs, self.count = [], [], [], 0
        self.inputs = [
            helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs
        ]

    def constant(self, array):
        self.count += 1
        name = "k%d" % self.count
        self.tensors.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def ints(self, *values):
        return self.constant(np.array(values, "int64"))

    def node(self, op, inputs, outputs=1, **attributes):
        self.count += 1
        names = ["v%d_%d" % (self.count, i) for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, "n%d" % self.count, **attributes))
        return names if outputs > 1 else names[0]

    def output(self, *names):
        self.outputs += names

    def save(self, name, opset=17):
        outputs = [helper.make_empty_tensor_value_info(o) for o in self.outputs]
        for entry in outputs:
            entry.type.tensor_type.elem_type = TensorProto.FLOAT
        graph = helper.make_graph(self.nodes, name, self.inputs, outputs, self.tensors)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8
        )
        onnx.save(model, os.path.join(HERE, "hand_%s.onnx" % name))


X = ("x", TensorProto.FLOAT, ["batch", "time", 3])
FIXED = ("x", TensorProto.FLOAT, ["batch", 6, 4])


def lstm(f, x, units=2, directions=1, width=3, bias=True, rest=(), **attributes):
    """An LSTM node of an input that has the time first."""
    weights = [
        f.constant(normal(directions, 4 * units, width)),
        f.constant(normal(directions, 4 * units, units)),
        f.constant(normal(directions, 8 * units)) if bias else "",
    ]
    return f.node("LSTM", [x, *weights, *rest], 3, hidden_size=units, **attributes)


def time_first(f, x="x"):
    return f.node("Transpose", [x], perm=[1, 0, 2])


def variants():
    """LSTM nodes of all kinds; X itself has the time first, and Y is given as it is."""
    f = File([("x", TensorProto.FLOAT, ["time", "batch", 3])])
    f.output(*lstm(f, "x"))
    f.output(*lstm(f, "x", bias=False, direction="reverse"))
    f.output(*lstm(f, "x", directions=2, direction="bidirectional"))
    for activations, more in (
        (["HardSigmoid", "Tanh", "Tanh"], {}),
        (["HardSigmoid", "Relu", "Relu"], {"activation_alpha": [1 / 6], "activation_beta": [0.5]}),
        (["Sigmoid", "Softsign", "Softsign"], {}),
        (["Sigmoid", "Affine", "Affine"], {"activation_alpha": [1.0, 1.0]}),
        (["Softplus", "Elu", "Elu"], {"activation_alpha": [1.0, 1.0]}),
    ):
        f.output(lstm(f, "x", activations=activations, **more)[0])
    zero = f.constant(np.zeros((1, 6), "float32"))
    f.output(lstm(f, "x", rest=["", "", "", zero], input_forget=0)[0])
    f.save("layout_0")


def lengths():
    """Sequences of different lengths, in both directions and each."""
    f = File([X, ("lengths", TensorProto.INT32, ["batch"])])
    x = time_first(f)
    for direction, count in (("forward", 1), ("reverse", 1), ("bidirectional", 2)):
        y, h, c = lstm(f, x, directions=count, rest=["lengths"], direction=direction)
        f.output(f.node("Transpose", [y], perm=[2, 0, 1, 3]))
        f.output(f.node("Transpose", [h], perm=[1, 0, 2]))
        f.output(f.node("Transpose", [c], perm=[1, 0, 2]))
    f.save("lengths")


def starts():
    """Initial states: of both directions from one input, constants, and one without the other."""
    f = File([X, ("h", TensorProto.FLOAT, ["batch", 2, 2])])
    x = time_first(f)
    h = f.node("Transpose", ["h"], perm=[1, 0, 2])
    y = lstm(f, x, directions=2, direction="bidirectional", rest=["", h, h])[0]
    f.output(f.node("Transpose", [y], perm=[2, 0, 1, 3]))
    y = lstm(f, x, directions=2, direction="bidirectional", rest=["", h])[0]
    f.output(f.node("Transpose", [y], perm=[2, 0, 1, 3]))
    size = f.node("Shape", [x], start=1, end=2)
    shape = f.node("Concat", [f.ints(1), size, f.ints(2)], axis=0)
    h = f.node("Expand", [f.constant(normal(1, 1, 2)), shape])
    c = f.node("ConstantOfShape", [shape], value=numpy_helper.from_array(np.ones(1, "float32")))
    y = lstm(f, x, rest=["", h, c])[0]
    f.output(f.node("Transpose", [f.node("Squeeze", [y, f.ints(1)])], perm=[1, 0, 2]))
    f.save("starts")


def conditions():
    """If over constants, one in the other; the condition is the size of an axis."""
    f = File([X])
    y = lstm(f, time_first(f))[0]
    size = f.node("Gather", [f.node("Shape", [y]), f.ints(1)], axis=0)
    one = f.node("Equal", [size, f.ints(1)])

    def graph(name, nodes):
        out = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
        return helper.make_graph(nodes, name, [], [out])

    axes = f.ints(1)
    inner = f.node("Not", [one])
    squeezed = graph("yes", [helper.make_node("Squeeze", [y, axes], ["squeezed"])])
    kept = graph("no", [helper.make_node("Identity", [y], ["kept"])])
    nested = graph(
        "outer",
        [
            helper.make_node("Relu", [y], ["rectified"]),
            helper.make_node("If", [inner], ["chosen"], then_branch=kept, else_branch=squeezed),
        ],
    )
    other = graph("other", [helper.make_node("Erf", [y], ["never"])])
    result = f.node("If", [one], then_branch=nested, else_branch=other)
    f.output(f.node("Transpose", [result], perm=[1, 0, 2]))
    f.save("conditions")


def operators():
    """One output for each operator around an LSTM."""
    f = File([FIXED])
    x = f.node("Tanh", ["x"])
    out = f.output
    for op in ("Relu", "Sigmoid", "Selu", "Softplus", "Softsign", "Exp", "Abs", "Neg", "Sin", "Cos",
               "HardSigmoid", "Elu", "LeakyRelu", "ThresholdedRelu", "Identity"):  # fmt: skip
        out(f.node(op, [x]))
    positive = f.node("Add", [f.node("Exp", [x]), f.constant(np.float32(0.5))])
    for op in ("Log", "Sqrt", "Reciprocal"):
        out(f.node(op, [positive]))
    out(f.node("HardSigmoid", [x], alpha=0.3, beta=0.4))
    out(f.node("HardSigmoid", [x], alpha=1 / 6, beta=0.5))
    out(f.node("Elu", [x], alpha=0.4))
    out(f.node("PRelu", [x, f.constant(normal(6, 4))]))
    out(f.node("PRelu", [x, f.constant(normal(4))]))
    out(f.node("Clip", [x, f.constant(np.float32(-0.3)), f.constant(np.float32(0.4))]))
    out(f.node("Clip", [x, "", f.constant(np.float32(0.4))]))
    for axis in (1, 2, -1):
        out(f.node("Softmax", [x], axis=axis))
        out(f.node("LogSoftmax", [x], axis=axis))
    for op in ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare",
               "ReduceLogSumExp"):  # fmt: skip
        out(f.node(op, [x], axes=[1], keepdims=0))
        out(f.node(op, [x], axes=[-1], keepdims=1))
        out(f.node(op, [x], axes=[1, 2], keepdims=0))
    out(f.node("ReduceSum", [x, f.ints(2)], keepdims=0))
    for op in ("Add", "Sub", "Mul", "Div", "Max", "Min"):
        for constant in (normal(4), normal(6, 1), normal(1, 6, 4), np.float32(0.7)):
            out(f.node(op, [positive, f.constant(constant)]))
            out(f.node(op, [f.constant(constant), positive]))
        out(f.node(op, [x, positive]))
        mean = f.node("ReduceMean", [positive], axes=[1], keepdims=1)
        out(f.node(op, [x, mean]))
        out(f.node(op, [mean, x]))
    out(f.node("Pow", [positive, f.constant(np.float32(2))]))
    out(f.node("Pow", [x, f.constant(np.int64(3))]))
    out(f.node("PRelu", [f.node("Transpose", [x], perm=[0, 2, 1]), f.constant(normal(4, 1))]))
    out(f.node("Pow", [positive, f.constant(np.abs(normal(4)))]))
    out(f.node("Add", [x, x]))
    out(f.node("Max", [x, positive, f.constant(np.float32(0.9))]))
    for begin, end, axis, step in ((1, 3, 1, 1), (-2, 2**62, 1, 1), (0, 6, 1, 2), (5, -7, 1, -1),
                                   (-1, -(2**62), 2, -2), (2, 3, 2, 1), (0, 2**31 - 1, 1, 1)):  # fmt: skip
        out(f.node("Slice", [x, f.ints(begin), f.ints(end), f.ints(axis), f.ints(step)]))
    out(f.node("Slice", [x, f.ints(1, 1), f.ints(4, 3), f.ints(1, 2)]))
    out(f.node("Gather", [x, f.constant(np.int64(-1))], axis=1))
    out(f.node("Gather", [x, f.ints(2)], axis=2))
    out(f.node("Gather", [x, f.ints(2, 0, -1, 2)], axis=1))
    out(*f.node("Split", [x, f.ints(1, 3)], 2, axis=2))
    out(*f.node("Split", [x], 3, axis=1))
    out(f.node("Concat", [x, positive], axis=2))
    out(f.node("Concat", [x, positive, x], axis=1))
    out(f.node("Concat", [f.node("Transpose", [x], perm=[0, 2, 1])] * 2, axis=2))
    size = f.node("Shape", [x], start=0, end=1)
    filler = f.node("Expand", [f.constant(normal(1, 6, 2)),
                               f.node("Concat", [size, f.ints(6, 2)], axis=0)])  # fmt: skip
    out(f.node("Concat", [filler, x], axis=2))
    out(f.node("Pad", [x, f.ints(0, 1, 0, 0, 2, 0)]))
    out(f.node("Pad", [x, f.ints(0, 0, 3, 0, 0, 0), f.constant(np.float32(0))], mode="constant"))
    out(f.node("Pad", [x, f.ints(0, 2, 1, 0, 5, 0)], mode="reflect"))
    out(f.node("Reshape", [x, f.ints(0, -1)]))
    out(f.node("Reshape", [x, f.ints(0, 3, 8)]))
    out(f.node("Reshape", [x, f.ints(-1, 3, 2, 4)]))
    out(f.node("Reshape", [x, f.ints(0, 0, 2, -1)]))
    out(f.node("Reshape", [f.node("MatMul", [f.node("Reshape", [x, f.ints(-1, 4)]),
                                             f.constant(normal(4, 5))]),
                           f.ints(-1, 6, 5)]))  # fmt: skip
    out(f.node("Flatten", [x], axis=1))
    out(f.node("Unsqueeze", [x, f.ints(1, -1)]))
    out(f.node("Squeeze", [f.node("Unsqueeze", [x, f.ints(2)]), f.ints(2)]))
    out(f.node("Tile", [f.node("Unsqueeze", [x, f.ints(2)]), f.ints(1, 1, 3, 1)]))
    out(f.node("Expand", [f.node("ReduceMean", [x], axes=[1], keepdims=1), f.ints(1, 5, 1)]))
    out(f.node("MatMul", [x, f.constant(normal(4, 2))]))
    out(f.node("MatMul", [x, f.node("Transpose", [x], perm=[0, 2, 1])]))
    flat = f.node("Reshape", [x, f.ints(0, -1)])
    out(f.node("Gemm", [flat, f.constant(normal(24, 2)), f.constant(normal(2))], alpha=0.5,
               beta=2.0))  # fmt: skip
    out(f.node("Gemm", [flat, f.constant(normal(2, 24))], transB=1))
    out(f.node("Gemm", [flat, f.constant(normal(2, 24)), f.constant(normal(1, 1))], transB=1))
    channels = f.node("Transpose", [x], perm=[0, 2, 1])
    for kernel, options in ((3, {}), (3, {"pads": [1, 1]}), (3, {"pads": [2, 0]}),
                            (2, {"pads": [0, 1]}), (2, {"strides": [2]}), (3, {"pads": [2, 2]}),
                            (2, {"dilations": [2]}), (3, {"auto_pad": "SAME_UPPER"}),
                            (2, {"auto_pad": "SAME_LOWER"}),
                            (3, {"pads": [1, 1], "strides": [2]})):  # fmt: skip
        out(f.node("Conv", [channels, f.constant(normal(2, 4, kernel))], **options))
    bias = f.constant(normal(1, 2, 1))
    out(f.node("Add", [f.node("Conv", [channels, f.constant(normal(2, 4, 3))]), bias]))
    wide = f.node("Unsqueeze", [channels, f.ints(2)])
    out(f.node("Conv", [wide, f.constant(normal(2, 4, 1, 3)), f.constant(normal(2))]))
    for op in ("MaxPool", "AveragePool"):
        out(f.node(op, [channels], kernel_shape=[2]))
        out(f.node(op, [channels], kernel_shape=[3], strides=[3]))
        out(f.node(op, [channels], kernel_shape=[3], auto_pad="SAME_UPPER", strides=[2]))
        out(f.node(op, [channels], kernel_shape=[3], pads=[1, 1]))
        out(f.node("Global" + op, [channels]))
    statistics = [f.constant(a) for a in (normal(4), normal(4), normal(4), np.abs(normal(4)))]
    out(f.node("BatchNormalization", [channels, *statistics], epsilon=1e-3))
    out(f.node("LayerNormalization", [x, f.constant(normal(4)), f.constant(normal(4))]))
    out(f.node("LayerNormalization", [x, f.constant(normal(6, 4))], axis=1))
    out(f.node("Dropout", [x, f.constant(np.float32(0.3))]))
    out(f.node("Cast", [x], to=TensorProto.FLOAT))
    whole = f.node("Expand", [f.ints(6), size])
    reverse = f.node("ReverseSequence", [time_first(f, x), whole], batch_axis=1, time_axis=0)
    out(time_first(f, reverse))
    f.save("operators")


def leftovers():
    """What exporters leave behind: inputs that do nothing, axes of size 1 that nobody names."""
    f = File([X, ("rate", TensorProto.INT64, []), ("unused", TensorProto.FLOAT, ["batch", 4])])
    y = f.node("Squeeze", [lstm(f, time_first(f))[0], f.ints(1)])
    y = f.node("Transpose", [y], perm=[1, 2, 0])
    nothing = f.node("Cast", [f.node("Mul", ["rate", f.constant(np.int64(0))])], to=1)
    y = f.node("Add", [y, nothing])
    y = f.node("Mul", [f.node("Sub", [y, f.constant(np.float32(0))]), f.constant(np.float32(1))])
    f.output(f.node("Pad", [y, f.ints(0, 0, 1, 0, 0, 3)], mode="reflect"))
    f.output(f.node("Squeeze", [f.node("Slice", [y, f.ints(-1), f.ints(2**40), f.ints(2)]),
                                f.ints(2)]))  # fmt: skip
    f.save("leftovers")


def old_operators():
    """What was an attribute in old versions and is an input now; softmax of several axes."""
    f = File([FIXED])
    x = f.node("Tanh", ["x"])
    f.output(f.node("Slice", [x], starts=[1], ends=[3], axes=[1]))
    f.output(f.node("Unsqueeze", [x], axes=[1]))
    f.output(f.node("Squeeze", [f.node("Unsqueeze", [x], axes=[3])], axes=[3]))
    f.output(*f.node("Split", [x], 2, axis=2, split=[1, 3]))
    f.output(f.node("Clip", [x], min=-0.2, max=0.3))
    f.output(f.node("Pad", [x], pads=[0, 1, 0, 0, 0, 0]))
    f.output(f.node("Softmax", [x], axis=1))
    f.output(f.node("Softmax", [x], axis=2))
    f.output(f.node("Dropout", [x], ratio=0.2))
    f.output(f.node("ReduceSum", [x], axes=[2]))
    y = lstm(f, f.node("Transpose", [x], perm=[1, 0, 2]), width=4)[0]
    f.output(f.node("Transpose", [f.node("Squeeze", [y], axes=[1])], perm=[1, 0, 2]))
    f.save("old_operators", opset=9)


def main():
    for write in (variants, lengths, starts, conditions, operators, leftovers, old_operators):
        write()


if __name__ == "__main__":
    main()
