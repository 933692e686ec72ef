"""`cylstm.distributed.predict` and searches on worker processes, one of which is killed."""

import os
import signal
import time
from pathlib import Path

import dask.array as da
import dask.bag as db
import joblib
import numpy as np
import pytest
from dask_cases import FEATURES, STEPS, Cluster, Counted, block_of, made_block, made_model, notes
from distributed import get_task_stream, progress
from sklearn.model_selection import GridSearchCV

import cylstm
from cylstm.distributed import predict
from cylstm.sklearn import LSTMClassifier


@pytest.fixture(scope="module")
def client():
    with Cluster() as client:
        yield client


def of_blocks(count, folder, seconds):
    """An array whose chunks are made by the workers, slowly."""

    def made(block_info=None):
        return made_block(block_info[None]["chunk-location"][0], folder, seconds)

    chunks, nothing = ((20,) * count, STEPS, FEATURES), np.empty((0, 0, 0), "f4")
    return da.map_blocks(made, chunks=chunks, dtype="f4", meta=nothing)


def folders(tmp_path):
    for name in ("made", "loaded"):
        (tmp_path / name).mkdir()
        yield str(tmp_path / name)


def test_every_worker_loads_the_model_once(client, tmp_path):
    blocks, loaded = folders(tmp_path)
    model = made_model(Counted(loaded), units=64)
    with_classes = predict(model, of_blocks(30, blocks, 0.01))
    found = with_classes.compute()
    wanted = np.concatenate([model.predict(block_of(number, 20)) for number in range(30)])
    np.testing.assert_array_equal(found, wanted)
    workers = client.run(os.getpid).values()
    assert sorted(notes(loaded)) == sorted(workers)
    assert os.getpid() not in workers
    assert sorted(notes(blocks)) == list(range(30))


def test_classes_of_a_script_go_by_value(client):
    """What `__main__` or a function defines cannot be imported by a worker."""

    class Doubled(cylstm.layers.Layer):
        def call(self, inputs):
            return 2 * inputs

        def compute_output_shape(self, input_shape):
            return input_shape

    model = made_model(Doubled(), cylstm.layers.Lambda(lambda x: x + 1))
    x = block_of(1, 20)
    found = predict(model, da.from_array(x, chunks=(10, -1, -1))).compute()
    np.testing.assert_allclose(found, model.predict(x), atol=1e-6)


def test_threads_of_a_worker_are_as_many_as_dask_says(client):
    assert set(client.run(cylstm.get_num_threads).values()) == {1}


def test_a_bag_on_workers_and_the_bar(client, capsys):
    model, sequences = made_model(), [block_of(n, 1, steps=1 + n % 5)[0] for n in range(20)]
    bag = predict(model, db.from_sequence(sequences, npartitions=4)).persist()
    progress(bag, notebook=False)
    found = bag.compute()
    assert "Completed" in capsys.readouterr().out
    wanted = [model.predict(sequence[np.newaxis])[0] for sequence in sequences]
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_a_search_by_joblib(client):
    """The same scores as in one process, and both workers were at it."""
    x = np.random.default_rng(1).standard_normal((60, 10, 2))
    y = np.where(x.sum(axis=(1, 2)) > 0, "up", "down")
    classifier = LSTMClassifier(learning_rate=0.03, max_iter=10, random_state=1)
    search = GridSearchCV(classifier, {"units": [2, 8]}, cv=3)
    with joblib.parallel_config(backend="dask"), get_task_stream(client) as stream:
        search.fit(x, y)
    assert {task["worker"] for task in stream.data} == set(client.scheduler_info()["workers"])
    here = GridSearchCV(classifier, {"units": [2, 8]}, cv=3).fit(x, y)
    for name in ("mean_test_score", "std_test_score"):
        np.testing.assert_array_equal(search.cv_results_[name], here.cv_results_[name])
    np.testing.assert_array_equal(search.predict_proba(x), here.predict_proba(x))


def test_a_killed_worker_loses_nothing(tmp_path):
    """Last, as its cluster is its own: one of two is killed while chunks are under way."""
    blocks, loaded = folders(tmp_path)
    model = made_model(Counted(loaded))
    with Cluster() as client:
        doomed = next(iter(client.run(os.getpid).values()))
        future = client.compute(predict(model, of_blocks(60, blocks, 0.05)))
        end = time.monotonic() + 300
        while len(notes(blocks)) < 20 and time.monotonic() < end:
            time.sleep(0.01)
        os.kill(doomed, signal.SIGKILL)
        at_the_kill = len(notes(blocks))
        found = future.result(timeout=300)
    assert 20 <= at_the_kill < 60
    made = notes(blocks)
    assert set(made) == set(range(60))
    assert len(made) > 60  # what had been on that worker was made again
    assert doomed in notes(loaded)
    assert not Path(f"/proc/{doomed}").exists()
    wanted = np.concatenate([model.predict(block_of(number, 20)) for number in range(60)])
    np.testing.assert_array_equal(found, wanted)
