"""LivePlot, in a file, in IPython's display, and in a notebook that is executed.

CYLSTM_NOTEBOOK=1 python -m pytest tests/callbacks/test_live.py    # needs nbclient and ipykernel
"""

import base64
import io
import os
import subprocess
import sys
import types

import numpy as np
import pytest
from matplotlib import pyplot
from PIL import Image

import cylstm
from cylstm.callbacks import History, LivePlot, live

PROGRAM = """
import numpy as np
import cylstm
model = cylstm.Sequential([cylstm.LSTM(2, input_shape=(3, 1))])
model.compile("sgd", "mse", metrics=["mae"])
x, y = np.ones((8, 3, 1)), np.ones((8, 2))
live = cylstm.callbacks.LivePlot()
history = model.fit(x, y, epochs=3, validation_split=0.5, verbose=0, callbacks=live)
"""


def fitted(*callbacks, epochs=3):
    model = cylstm.Sequential([cylstm.LSTM(2, input_shape=(3, 1))])
    model.compile("sgd", "mse", metrics=["mae"])
    x, y = np.ones((8, 3, 1)), np.ones((8, 2))
    return model.fit(x, y, epochs=epochs, validation_split=0.5, verbose=0, callbacks=callbacks)


def seconds():
    """A clock by which everything takes a second."""
    return types.SimpleNamespace(perf_counter=iter(range(1000)).__next__)


def test_a_file_is_renewed(tmp_path, monkeypatch):
    drawn = []
    plot = History.plot
    monkeypatch.setattr(
        History, "plot", lambda self, names: drawn.append(list(self.epoch)) or plot(self, names)
    )
    monkeypatch.setattr(live, "time", seconds())  # drawing takes 1
    callback = LivePlot(["loss"], path=tmp_path / "course.png")
    fitted(callback)
    assert drawn == [[0], [0, 1], [0, 1, 2]]
    assert os.listdir(tmp_path) == ["course.png"]
    with Image.open(tmp_path / "course.png") as picture:
        assert picture.size == (691, 518)
    fitted(callback, epochs=1)
    assert drawn[3:] == [[0]]
    assert pyplot.get_fignums() == []


def test_epochs_are_passed_over_and_the_last_is_drawn(tmp_path, monkeypatch):
    drawn = []
    plot = History.plot

    def slow(self, names):
        drawn.append(len(self.epoch))
        now[0] += 10
        return plot(self, names)

    now = [0.0]

    def clock():
        now[0] += 0.001
        return now[0]

    monkeypatch.setattr(History, "plot", slow)
    monkeypatch.setattr(live, "time", types.SimpleNamespace(perf_counter=clock))
    fitted(LivePlot(path=tmp_path / "a.svg"), epochs=6)
    assert drawn == [1, 6]
    drawn.clear()
    monkeypatch.setattr(live, "time", seconds())
    fitted(LivePlot(path=tmp_path / "a.svg", every=2), epochs=5)
    assert drawn == [2, 4, 5]


def test_what_there_is_nothing_to_draw_on_is_said(monkeypatch):
    with pytest.warns(RuntimeWarning, match="shows pictures in notebooks.*give path='course.png'"):
        fitted(LivePlot())
    with pytest.raises(ValueError, match="every"):
        LivePlot(every=0)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match="LivePlot draws with matplotlib"):
        fitted(LivePlot(path="a.png"))


def test_ipython_displays_one_picture_and_renews_it():
    """In a process of its own: IPython changes much of the one that it runs in."""
    program = f"""
import sys
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
shell = InteractiveShell.instance()
shell.kernel = None  # as in a notebook there is one
published = []
shell.display_pub.publish = lambda data, metadata=None, **given: published.append((data, given))
{PROGRAM}
ids = {{given["transient"]["display_id"] for _, given in published}}
print(len(ids), [given.get("update", False) for _, given in published])
print([sorted(data) for data, _ in published][-1])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    ids, kinds = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    count, _, updates = ids.partition(" ")
    assert count == "1"
    assert eval(updates)[0] is False
    assert eval(updates)[1:] == [True] * (len(eval(updates)) - 1) != []
    assert "image/png" in kinds


@pytest.mark.skipif(
    not os.environ.get("CYLSTM_NOTEBOOK"), reason="CYLSTM_NOTEBOOK=1 executes a notebook"
)
def test_a_notebook():
    import nbclient
    import nbformat

    cells = [PROGRAM, "model.plot()", "history.plot(['loss'])"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    for cell in notebook.cells:
        pictures = [
            o["data"]["image/png"] for o in cell.outputs if "image/png" in o.get("data", {})
        ]
        assert len(pictures) == 1  # also of what is drawn for the cell and returned by it
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(pictures[0]))).convert("L"))
        assert pixels.shape > (200, 200)
        assert 0.01 < (pixels < 250).mean() < 0.9
    if folder := os.environ.get("CYLSTM_PICTURES"):
        for i, cell in enumerate(notebook.cells):
            (found,) = [o for o in cell.outputs if "image/png" in o.get("data", {})]
            with open(os.path.join(folder, f"cell_{i}.png"), "wb") as file:
                file.write(base64.b64decode(found["data"]["image/png"]))
