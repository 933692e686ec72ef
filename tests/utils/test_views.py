"""Models as tables and drawings."""

import shutil

import pytest

from cylstm import LSTM, Input, Model, Sequential
from cylstm.layers import Activation, Bidirectional, Dense, concatenate
from cylstm.utils import model_to_dot, plot_model, print_summary


def lines_of(model, *args, **kwargs):
    lines = []
    print_summary(model, *args, print_fn=lines.append, **kwargs)
    return lines


def branched():
    x = Input((5, 3), name="x")
    shared = LSTM(4, return_state=True, name="shared")
    y, h, _ = shared(x)
    return Model(x, [concatenate([y, h], name="both"), Dense(2, name="out")(h)])


def test_a_chain_has_three_columns_of_the_given_places():
    model = Sequential([LSTM(4, input_shape=(5, 3), name="a"), Dense(2, name="b")])
    lines = lines_of(model)
    assert lines[0].split() == ["Layer", "(type)", "Output", "shape", "Parameters"]
    assert lines[1] == "=" * 65
    assert lines[2].index("(None, 4)") == 29
    assert lines[2].index("128") == 55
    assert lines_of(model, positions=[20, 50, 80])[2].index("128") == 50
    assert lines_of(model, 100, [0.2, 0.5, 1.0])[2].index("128") == 50
    assert lines_of(model, 100, [0.2, 0.5, 1.0])[1] == "=" * 100
    shown = []
    model.summary(100, [0.2, 0.5, 1.0], shown.append)
    assert shown == lines_of(model, 100, [0.2, 0.5, 1.0])


def test_nothing_is_cut_off():
    name = "a_layer_whose_name_is_far_longer_than_the_column_that_it_stands_in"
    model = Sequential([LSTM(4, input_shape=(5, 3), name=name), Dense(2, name="b")])
    lines = lines_of(model, 20, [0.1, 0.2, 1.0])
    assert lines[2].split() == [name, "(LSTM)", "(None,", "4)", "128"]
    assert lines[3].index("(None, 2)") == lines[2].index("(None, 4)")
    assert len(lines[1]) >= max(map(len, lines[:4]))


def test_a_graph_has_a_column_of_connections():
    lines = lines_of(branched())
    assert lines[0].endswith("Connected to")
    assert [line.split()[-1] for line in lines if line.startswith("both")] == ["shared"]
    rows = lines[2:-2]
    assert [r.split()[0] for r in rows if r[0] != " "] == ["x", "shared", "both", "out"]
    assert sum(row.split()[-1] == "shared" for row in rows) == 3  # twice by `both`, once by `out`


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"positions": [0.5, 1.0]}, "3 numbers"),
        ({"positions": [0.5, 0.4, 1.0]}, "must rise"),
        ({"line_length": -1}, "line_length"),
    ],
)
def test_summaries_that_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        lines_of(Sequential([LSTM(4, input_shape=(5, 3))]), **arguments)


def test_a_model_that_is_not_built_has_no_view():
    for view in (print_summary, model_to_dot, plot_model):
        with pytest.raises(ValueError, match="not built.*give its first layer"):
            view(Sequential([LSTM(4)]))


def test_the_graph_in_graphviz_language():
    lines = model_to_dot(branched(), rankdir="LR").splitlines()
    assert lines[0] == "digraph model {"
    assert lines[-1] == "}"
    assert lines[1] == "    rankdir=LR;"
    assert lines[3:7] == [
        '    0 [label="x: InputLayer"];',
        '    1 [label="shared: LSTM"];',
        '    2 [label="both: Concatenate"];',
        '    3 [label="out: Dense"];',
    ]
    assert [line.strip() for line in lines[7:-1]] == ["0 -> 1;", "1 -> 2;", "1 -> 3;"]


def test_labels_of_shapes_wrappers_and_odd_names():
    stack = [Bidirectional(LSTM(4, name="inner"), input_shape=(5, 3), name='"a|b"'), Dense(2)]
    text = model_to_dot(Sequential(stack), show_shapes=True)
    assert r"\"a\|b\"(inner): Bidirectional(LSTM)|{input:|output:}|" in text
    assert "{{(None, 5, 3)}|{(None, 8)}}" in text
    assert "a\\|b" not in model_to_dot(Sequential(stack[:1]), show_layer_names=False)
    with pytest.raises(ValueError, match="rankdir"):
        model_to_dot(Sequential(stack[:1]), rankdir="XY")


def test_a_layer_called_on_other_shapes_says_multiple():
    shared = Activation("tanh", name="s")
    x, y = Input((5, 3)), Input((4, 3))
    model = Model([x, y], [shared(x), shared(y)])
    assert "{multiple}" in model_to_dot(model, show_shapes=True)


@pytest.mark.parametrize("suffix", [".dot", ".gv", ".DOT"])
def test_a_text_file_needs_no_program(tmp_path, suffix, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    path = tmp_path / f"model{suffix}"
    plot_model(branched(), str(path), show_shapes=True)
    assert path.read_text() == model_to_dot(branched(), show_shapes=True) + "\n"


def test_a_picture_without_graphviz_is_refused_before_writing(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    path = tmp_path / "model.png"
    with pytest.raises(ImportError, match="apt install graphviz.*model.dot"):
        plot_model(branched(), path)
    assert not path.exists()


def test_a_picture_is_what_graphviz_draws(tmp_path, monkeypatch):
    """A stand-in for `dot` gives back its arguments and its input."""
    program = tmp_path / "bin" / "dot"
    program.parent.mkdir()
    cat = shutil.which("cat")
    program.write_text(
        f'#!/bin/sh\nif [ "$1" = -Twrong ]; then echo "no such format" >&2; exit 3; fi\n'
        f'echo "$@"; {cat}\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    model = branched()
    plot_model(model, tmp_path / "a; touch b.svg")
    assert (tmp_path / "a; touch b.svg").read_text() == "-Tsvg\n" + model_to_dot(model) + "\n"
    plot_model(model, tmp_path / "plain")
    assert (tmp_path / "plain").read_text().startswith("-Tpng\n")
    with pytest.raises(RuntimeError, match="cannot draw model.wrong: no such format"):
        plot_model(model, tmp_path / "model.wrong")
    assert not (tmp_path / "model.wrong").exists()
