"""The types that checkers reveal of what users get: checked by mypy, never run.

Each `type: ignore` stands for a mistake that must be reported: mypy refuses those that it needs
not.
"""

from collections.abc import Callable
from typing import Any, assert_type

import numpy as np

import cylstm
from cylstm import (
    activations,
    callbacks,
    constraints,
    initializers,
    losses,
    metrics,
    models,
    optimizers,
    preprocessing,
    regularizers,
    saving,
    utils,
)
from cylstm._trace import Shape
from cylstm.graph import SymbolicTensor
from cylstm.initializers import VarianceScaling
from cylstm.layers import (
    LSTM,
    RNN,
    BatchNormalization,
    Bidirectional,
    Conv1D,
    Dense,
    DenseStream,
    Embedding,
    FrameStream,
    Gradients,
    Lambda,
    Layer,
    LayerNormalization,
    LayerStream,
    LSTMCell,
    Masking,
    Recurrent,
    Stream,
    TimeDistributed,
)
from cylstm.optimizers import SGD, Adam, Nadam, Optimizer
from cylstm.variables import Variable

x = np.ones((2, 5, 3), np.float32)

# ---------------------------------------------------------------------- layers

lstm = LSTM(4)
assert_type(lstm.units, int)
assert_type(lstm.dropout, float)
assert_type(lstm.implementation, int)
assert_type(lstm.engine, str)
assert_type(lstm.dtype, str)
assert_type(lstm.name, str)
assert_type(lstm.built, bool)
assert_type(lstm.kernel, Variable)
assert_type(lstm.bias, Variable | None)
assert_type(lstm.kernel.value, np.ndarray)
assert_type(lstm.kernel.shape, tuple[int, ...])
assert_type(lstm.states, list[np.ndarray | None])
assert_type(lstm.activation(x), np.ndarray)
assert_type(lstm.weights, list[Variable])
assert_type(lstm.get_weights(), list[np.ndarray])
assert_type(lstm.count_params(), int)
assert_type(lstm.vjp(x), tuple[Any, Callable[[Any], Gradients]])
assert_type(lstm.stream(), Stream | LayerStream)
assert_type(lstm.stream()(x[:, 0]), np.ndarray)
assert_type(lstm.stream().state, list[np.ndarray])
assert_type(lstm.get_config(), dict[str, Any])
assert_type(LSTM.from_config(lstm.get_config()), LSTM)
assert_type(lstm.add_weight("extra", (3,)), Variable)
lstm.set_weights(lstm.get_weights())
lstm.reset_states([np.zeros((2, 4)), np.zeros((2, 4))])
lstm.no_such_attribute  # type: ignore[attr-defined]  # noqa: B018
lstm.add_weight("extra", shap=(3,))  # type: ignore[call-arg]
lstm.stream(batch=1)  # type: ignore[call-arg]

dense = Dense(2)
assert_type(dense.units, int)
assert_type(dense.use_bias, bool)
assert_type(dense.kernel, Variable)
assert_type(dense.bias, Variable | None)
assert_type(dense.stream(3), DenseStream | FrameStream)
assert_type(dense.stream(3)(x[:, 0]), np.ndarray)
assert_type(dense.stream(3).copy(), DenseStream | FrameStream)

gradients: Gradients = lstm.vjp(x)[1](x)
assert_type(gradients.weights, list[np.ndarray])
bidirectional = Bidirectional(LSTM(4))
assert_type(bidirectional.forward_layer, Recurrent)
assert_type(bidirectional.return_sequences, bool)
assert_type(Bidirectional.from_config({}), Bidirectional)
assert_type(TimeDistributed(dense).layer, Layer)
assert_type(RNN(LSTMCell(4)).units, int)
assert_type(RNN.from_config({}), RNN)
assert_type(LSTMCell(4).state_size, tuple[int, int])
assert_type(Conv1D(8, 3).kernel_size, tuple[int])
assert_type(Embedding(5, 2).embeddings, Variable)
assert_type(BatchNormalization().moving_mean, Variable)
assert_type(LayerNormalization().axis, int | list[int])
assert_type(Masking().mask_value, int | float)
assert_type(Lambda(np.tanh).arguments, dict[str, Any])
Bidirectional(dense)  # type: ignore[arg-type]

# ---------------------------------------------------------------------- models

symbol = cylstm.Input((5, 3))
assert_type(symbol, SymbolicTensor)
assert_type(symbol.shape, Shape)
assert_type(symbol.shape.as_list(), list[int | None])
symbol + symbol  # type: ignore[operator]

model = cylstm.Model(symbol, lstm(symbol))
assert_type(model.inputs, list[SymbolicTensor])
assert_type(model.layers, list[Layer])
assert_type(model.get_layer("lstm"), Layer)
assert_type(model.weights, list[Variable])
assert_type(model.stream(), models.ChainStream)
assert_type(model.stream()(x[:, 0]), np.ndarray)
assert_type(model.to_json(), str)
assert_type(model.fit(x, x), callbacks.History)
assert_type(model.train_on_batch(x, x), float | list[float])
assert_type(cylstm.Model.from_config(model.get_config()), cylstm.Model)
assert_type(cylstm.Sequential().get_config(), list[dict[str, Any]])
assert_type(cylstm.Sequential.from_config([]), cylstm.Sequential)
assert_type(models.load_model("model.safetensors"), cylstm.Model)
assert_type(saving.load_model("model.safetensors"), cylstm.Model)
assert_type(models.clone_model(model), cylstm.Model)
assert_type(models.model_from_json("{}"), cylstm.Model)
assert_type(saving.load_tensors("model.safetensors"), dict[str, np.ndarray])
assert_type(saving.outline("model.safetensors"), saving.Outline)
assert_type(cylstm.to_torch(lstm), dict[str, np.ndarray])
model.compile("adam")  # type: ignore[call-arg]
model.save("model.safetensors", overwrit=True)  # type: ignore[call-arg]
model.fit(x, x, epoch=2)  # type: ignore[call-arg]

# ---------------------------------------------------------------------- what is taken by name

assert_type(optimizers.get("adam"), Optimizer)
assert_type(optimizers.deserialize({}), Optimizer)
assert_type(Adam().lr, float)
assert_type(Adam().clipnorm, float | None)
assert_type(Nadam().schedule_decay, float)
assert_type(SGD().nesterov, bool)
assert_type(SGD().iterations, int)
assert_type(Adam.from_config({}), Adam)
assert_type(Adam().get_weights(), list[np.ndarray])
Adam().lr = np.float32(0.5)
Adam().lr = "fast"  # type: ignore[assignment]
Adam(learn_rate=0.5)  # type: ignore[call-arg]

assert_type(losses.mean_squared_error(y_true=x, y_pred=x), np.ndarray)
assert_type(losses.mse([[1.0]], [[2.0]]), np.ndarray)
assert_type(losses.gradient(losses.mse, x, x), np.ndarray)
assert_type(losses.get("mse")(x, x), np.ndarray)
assert_type(losses.get(None), None)
assert_type(losses.MeanSquaredError()(x, x), np.ndarray)
assert_type(metrics.binary_accuracy(x, x), np.ndarray)
losses.mean_squared_error(x)  # type: ignore[call-arg]

assert_type(activations.tanh(x), np.ndarray)
assert_type(activations.relu(x, alpha=0.5), np.ndarray)
assert_type(activations.get("tanh")(x), np.ndarray)
assert_type(activations.vjp(activations.tanh)(None, x, x), np.ndarray)
activations.relu(x, beta=0.5)  # type: ignore[call-arg]


@activations.with_derivative(np.cos)
def sine(x: np.ndarray, factor: float = 1.0) -> np.ndarray:
    y: np.ndarray = np.sin(x) * factor
    return y


assert_type(sine(x, factor=2.0), np.ndarray)
sine(x, 2.0, 3.0)  # type: ignore[call-arg]

assert_type(initializers.get("zeros")((3,)), np.ndarray)
assert_type(initializers.glorot_uniform(seed=3), VarianceScaling)
assert_type(initializers.GlorotUniform(dtype="float64"), VarianceScaling)
assert_type(initializers.Orthogonal()((3, 3)), np.ndarray)
initializers.glorot_uniform(sed=3)  # type: ignore[call-arg]

assert_type(regularizers.l2(0.5), regularizers.L1L2)
assert_type(regularizers.l2(0.5)(x), float)
assert_type(regularizers.get(None), None)
assert_type(regularizers.get("l2")(x), float)
assert_type(constraints.MaxNorm(2)(x), np.ndarray)
assert_type(constraints.get(None), None)
assert_type(constraints.get("max_norm")(x), np.ndarray)

# ---------------------------------------------------------------------- all the rest

assert_type(callbacks.EarlyStopping("loss").best, float)
assert_type(callbacks.History().history, dict[str, list[Any]])
assert_type(preprocessing.sequence.pad_sequences([[1]]), np.ndarray)
assert_type(preprocessing.text.Tokenizer().texts_to_sequences(["a"]), list[list[int]])
assert_type(utils.to_categorical([0, 1]), np.ndarray)
assert_type(cylstm.get_num_threads(), int)
assert_type(cylstm.__version__, str)
assert_type(Variable([1.0]) * 2.0, Any)
assert_type(Variable([1.0]).numpy(), np.ndarray)


class Scale(Layer):
    """A layer as users write it."""

    def build(self, input_shape: Any) -> None:
        self.factor = self.add_weight("factor", (input_shape[-1],), initializer="ones")
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        return inputs * self.factor

    def vjp(self, inputs: Any) -> tuple[Any, Callable[[Any], Gradients]]:
        return self(inputs), lambda d: Gradients(d * self.factor.value, None, [d])


assert_type(Scale().factor, Variable)
assert_type(Scale.from_config({}), Scale)
assert_type(Scale().stream()(x[:, 0]), np.ndarray)
