"""Signatures that show every argument, and the errors about unknown ones."""

import inspect
import pickle
import subprocess
import sys

import pytest

import cylstm
from cylstm import callbacks, initializers, layers, optimizers, regularizers
from cylstm._arguments import NamedArguments, suggesting, whole_signature
from cylstm._registry import Configurable
from cylstm.layers import _options
from cylstm.layers.layer import Layer
from cylstm.layers.recurrent import Recurrent

LAYERS = [
    cls
    for name, cls in vars(layers).items()
    if name in layers.__all__ and inspect.isclass(cls) and issubclass(cls, Layer)
]


def _named(function):
    parameters = list(inspect.signature(function).parameters.values())[1:]
    return {p.name: p.annotation for p in parameters if p.kind is not p.VAR_KEYWORD}


def _options_of(options):
    annotations = vars(options).get("__annotations__", {})
    return {name: getattr(t, "__forward_arg__", t) for name, t in annotations.items()}


def test_the_options_for_type_checkers_are_the_arguments_of_the_bases():
    assert _options_of(_options.LayerOptions) == _named(Layer.__init__)
    translated = {"input_dim", "input_length"}
    found = _options_of(_options.RecurrentOptions)
    assert found.keys() == _named(Layer.__init__).keys() | translated
    expected = _named(Layer.__init__) | _named(Recurrent.__init__)
    expected.pop("activity_regularizer")
    found = _options_of(_options.LSTMOptions)
    assert {k: v for k, v in found.items() if k not in translated} == expected


@pytest.mark.parametrize("cls", LAYERS, ids=lambda cls: cls.__name__)
def test_the_signature_of_a_layer_names_every_argument(cls):
    parameters = inspect.signature(cls).parameters
    kinds = {p.kind for p in parameters.values()}
    assert inspect.Parameter.VAR_KEYWORD not in kinds
    if cls is not layers.InputLayer and not issubclass(cls, cylstm.Model):
        assert parameters.keys() >= _named(Layer.__init__).keys()


def test_the_signature_of_lstm():
    signature = inspect.signature(cylstm.LSTM)
    names = list(signature.parameters)
    assert names[:4] == ["units", "activation", "recurrent_activation", "use_bias"]
    assert names[16:19] == ["recurrent_dropout", "return_sequences", "return_state"]
    assert len(names) == 32
    assert {"input_dim", "input_length", "batch_input_shape", "weights"} <= set(names)
    assert signature.parameters["stateful"].default is False
    assert signature.parameters["return_sequences"].kind is inspect.Parameter.KEYWORD_ONLY
    assert list(inspect.signature(cylstm.LSTM(2)).parameters)[0] == "inputs"  # that of a call


def test_a_subclass_shows_its_own_arguments_and_those_that_it_passes_on():
    class Mine(cylstm.LSTM):
        def __init__(self, units, factor=2, **kwargs):
            super().__init__(units, **kwargs)
            self.factor = factor

    names = list(inspect.signature(Mine).parameters)
    assert names[:3] == ["units", "factor", "activation"]
    assert names.count("units") == 1
    assert "return_sequences" in names
    with pytest.raises(TypeError, match=r"Mine has no argument 'facto'; did you mean 'factor'\?"):
        Mine(3, facto=3)
    assert Mine(3, factor=3).get_config()["factor"] == 3


def test_a_subclass_that_passes_nothing_on_shows_its_own_arguments():
    class Mine(Layer):
        def __init__(self, factor):
            super().__init__()

    assert str(inspect.signature(Mine)) == "(factor)"
    with pytest.raises(TypeError, match=r"Mine has no argument 'name'; it takes factor\."):
        Mine(factor=1, name="a")


def test_arguments_that_go_on_by_position_and_unknown_ends_stay():
    class Base:
        def __init__(self, a, *rest, b=1, **kwargs): ...

    class Next(Base):
        def __init__(self, c, *args, d, **kwargs): ...

    assert str(whole_signature(Next)) == "(c, *args, d, a, b=1, **kwargs)"


def test_a_decorated_init_shows_what_it_wraps():
    def translating(init):
        from functools import wraps

        @wraps(init)
        def call(self, *args, **kwargs):
            if "output_dim" in kwargs:
                kwargs["units"] = kwargs.pop("output_dim")
            init(self, *args, **kwargs)

        return call

    class Old(NamedArguments):
        @translating
        def __init__(self, units):
            self.units = units

    assert str(inspect.signature(Old)) == "(units)"
    assert Old(output_dim=3).units == 3
    with pytest.raises(TypeError, match="Old has no argument 'unit'; did you mean 'units'"):
        Old(unit=3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optimizers.SGD(nestrov=True), "SGD has no argument 'nestrov'; did you mean 'nes"),
        (lambda: regularizers.L1L2(l3=1), "L1L2 has no argument 'l3'; it takes l1, l2."),
        (lambda: callbacks.EarlyStopping(patence=1), "did you mean 'patience'?"),
        (lambda: cylstm.Sequential(nam="a"), "Sequential has no argument 'nam'; did you mean 'na"),
        (lambda: cylstm.Input(shap=(3,)), "Input has no argument 'shap'; did you mean 'shape'"),
        (lambda: initializers.RandomNormal(q=1), "; it takes mean, stddev, seed"),
        (lambda: cylstm.LSTM(unit=4), "LSTM has no argument 'unit'; did you mean 'units'?"),
    ],
)
def test_unknown_arguments_of_anything(make, message):
    with pytest.raises(TypeError) as caught:
        make()
    assert message in str(caught.value)
    assert caught.value.__suppress_context__


def test_other_errors_are_left_alone():
    class Broken(NamedArguments):
        def __init__(self, size):
            dict(1, 2)

    with pytest.raises(TypeError, match="dict expected at most 1"):
        Broken(1)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'units'"):
        cylstm.LSTM()

    @suggesting
    def outer(a):
        return inner(b=a)

    def inner():
        """Takes nothing."""

    with pytest.raises(TypeError, match=r"inner\(\) got an unexpected"):
        outer(a=1)


def test_the_config_holds_what_a_class_itself_takes():
    class Base(Configurable):
        def __init__(self, a=1):
            self.a = a

    class Fixed(Base):
        def __init__(self, **kwargs):
            super().__init__(a=3, **kwargs)

    assert Fixed().get_config() == {}
    assert Fixed.from_config(Fixed().get_config()).a == 3


def test_classes_survive_pickling():
    layer = pickle.loads(pickle.dumps(cylstm.LSTM(3, return_sequences=True)))
    assert layer.return_sequences


def test_help_shows_the_arguments():
    program = "import cylstm; help(cylstm.LSTM)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "return_sequences" in done.stdout.split("Long short-term memory")[0]
