"""What models look like when they are printed, or shown in a notebook."""

from html.parser import HTMLParser

import cylstm
from cylstm.layers import LSTM, Dense, Input


class Cells(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.texts = [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def cells(html):
    parser = Cells()
    parser.feed(html)
    assert parser.open == []
    return parser.texts


def test_the_repr_of_a_model():
    model = cylstm.Sequential([LSTM(16, input_shape=(10, 3)), Dense(2)], name="m")
    assert repr(model) == (
        "Sequential(2 layers, name='m', (None, 10, 3) -> (None, 2), 1,314 parameters)"
    )
    assert (
        repr(cylstm.Sequential([LSTM(16)], name="m")) == "Sequential(1 layer, name='m', not built)"
    )
    assert repr(cylstm.Sequential(name="m")) == "Sequential(0 layers, name='m', not built)"
    a, b = Input((3,)), Input((2,))
    both = cylstm.Model([a, b], cylstm.layers.concatenate([a, b]), name="m")
    assert repr(both) == (
        "Model(3 layers, name='m', [(None, 3), (None, 2)] -> (None, 5), 0 parameters)"
    )


def test_a_notebook_shows_a_table():
    model = cylstm.Sequential([LSTM(16, input_shape=(10, 3), name="a"), Dense(2, name="b")])
    model.name = "m"
    assert cells(model._repr_html_()) == [
        repr(model),
        *("Layer", "Type", "Output shape", "Parameters"),
        *("a", "LSTM", "(None, 16)", "1,280"),
        *("b", "Dense", "(None, 2)", "34"),
    ]
    assert cells(cylstm.Sequential([LSTM(16, name="a")])._repr_html_())[5:] == ["a", "LSTM"]


def test_names_are_escaped():
    name = "<script>alert('&amp;')</script>"
    html = cylstm.Sequential([LSTM(2, name=name)], name=name)._repr_html_()
    assert "<script>" not in html
    texts = cells(html)
    assert name in texts
    assert repr(name) in texts[0]
