"""Models as tables and drawings."""

import sys

import pytest
from matplotlib import pyplot
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

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
    for view in (print_summary, model_to_dot, plot_model, Sequential.plot):
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


def test_a_picture_without_matplotlib_is_refused_before_writing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    path = tmp_path / "model.png"
    for draw in (lambda: plot_model(branched(), path), lambda: branched().plot(path)):
        with pytest.raises(ImportError, match=r"pip install 'cylstm\[plot\]'"):
            draw()
    assert not path.exists()


SIGNS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF", "PNG": b"\x89PNG"}


@pytest.mark.parametrize("suffix", SIGNS)
def test_a_picture_is_of_the_kind_of_its_suffix(tmp_path, suffix):
    before = pyplot.get_fignums()
    plot_model(branched(), tmp_path / f"model.{suffix}", show_shapes=True)
    assert (tmp_path / f"model.{suffix}").read_bytes().startswith(SIGNS[suffix])
    plot_model(branched(), str(tmp_path / "plain"))
    assert (tmp_path / "plain").read_bytes().startswith(SIGNS["png"])
    with pytest.raises(ValueError, match="wrong"):
        plot_model(branched(), tmp_path / "model.wrong")
    assert not (tmp_path / "model.wrong").exists()
    assert pyplot.get_fignums() == before


def drawn(model, **arguments):
    """The texts of a drawing with where they are, the boxes and the arrows."""
    axes = model.plot(**arguments)
    axes.figure.canvas.draw()
    try:
        texts = {text.get_text(): text.get_position() for text in axes.texts}
        boxes = [p.get_window_extent() for p in axes.patches if isinstance(p, FancyBboxPatch)]
        arrows = [p for p in axes.patches if isinstance(p, FancyArrowPatch)]
        for text in axes.texts:
            extent = text.get_window_extent()
            assert any(box.x0 <= extent.x0 and extent.x1 <= box.x1 for box in boxes)
        whole = axes.figure.bbox
        for box in boxes:
            assert whole.x0 < box.x0 < box.x1 < whole.x1
            assert whole.y0 < box.y0 < box.y1 < whole.y1
        for i, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[:i])
        return texts, boxes, arrows
    finally:
        pyplot.close(axes.figure)


@pytest.mark.parametrize("rankdir", ["TB", "BT", "LR", "RL"])
def test_a_drawing_has_every_layer_in_its_place(rankdir):
    texts, boxes, arrows = drawn(branched(), rankdir=rankdir)
    assert {"x", "shared", "both", "out", "LSTM", "Dense", "128 parameters"} <= set(texts)
    assert "(None, 5, 3)" in texts
    assert "(None, 4) \N{RIGHTWARDS ARROW} (None, 2)" in texts
    assert (len(boxes), len(arrows)) == (4, 3)
    along = {name: texts[name][rankdir in ("TB", "BT")] for name in ("x", "shared", "both", "out")}
    order = [along["x"], along["shared"], along["both"]]
    assert order == sorted(order, reverse=rankdir in ("BT", "RL"))  # y points down
    assert abs(along["both"] - along["out"]) < 10


def test_what_is_shown_can_be_chosen():
    texts, _, _ = drawn(branched(), show_shapes=False, show_layer_names=False)
    assert set(texts) == {"InputLayer", "LSTM", "Concatenate", "Dense"}
    wrapped = Sequential([Bidirectional(LSTM(4, name="in_$x_1$"), input_shape=(5, 3), name="both")])
    assert "both(in_$x_1$)" in drawn(wrapped)[0]
    with pytest.raises(ValueError, match="rankdir"):
        branched().plot(rankdir="XY")


def test_lines_pass_levels_between_boxes_and_lead_back():
    x = Input((4,), name="x")
    tied = Dense(4, name="tied")
    y = tied(Activation("relu", name="relu")(tied(x)))
    model = Model(x, concatenate([y, x], name="both"))
    _, boxes, arrows = drawn(model)
    assert len(boxes) == 4
    styles = [arrow.get_linestyle() for arrow in arrows]
    assert sorted(styles) == ["-", "-", "-", "-", "--"]
    for arrow in arrows:
        path = arrow.get_path().interpolated(8).transformed(arrow.get_transform())
        inside = [box for box in boxes if box.shrunk(0.9, 0.9).count_contains(path.vertices)]
        assert inside == [] or arrow.get_linestyle() == "--"


def test_a_plot_is_saved(tmp_path):
    axes = branched().plot(tmp_path / "model.svg")
    pyplot.close(axes.figure)
    assert (tmp_path / "model.svg").read_bytes().startswith(b"<?xml")
