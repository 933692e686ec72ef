"""demo: the published models as commands; what they compute is in test_examples.py."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_runs import refused, run
from voices import made_voice, write_wav

import cylstm
from cylstm.cli import main


@pytest.fixture
def encoder(tmp_path):
    """An encoder of voices with 8 units and random weights."""
    cylstm.utils.set_random_seed(7)
    lstm = cylstm.LSTM(8, input_shape=(None, 40), recurrent_activation="sigmoid")
    model = cylstm.Sequential([lstm])
    linear = cylstm.layers.Dense(16, input_shape=(8,))
    linear.build((None, 8))
    state = cylstm.to_torch({"lstm": model, "linear": linear})
    state |= {"similarity_weight": np.ones(1), "similarity_bias": np.ones(1)}
    cylstm.saving.save_tensors(state, tmp_path / "encoder.safetensors")
    return tmp_path / "encoder.safetensors"


def test_speakers_as_json(encoder, tmp_path, capsys):
    files = [tmp_path / name for name in ("a.wav", "b.wav", "c.wav")]
    for path, pitch in zip(files, (100, 210, 100), strict=True):
        write_wav(path, made_voice(pitch, 2.0))
    command = ["demo", "speakers", "--weights", encoder, "--threshold", 0.9999, "--json", *files]
    status, out, err = run(capsys, *command)
    assert (status, err) == (0, [])
    found = json.loads("\n".join(out))
    assert found["files"] == [str(path) for path in files]
    common = np.array(found["in_common"])
    np.testing.assert_allclose(common, common.T, atol=1e-5)
    assert common[0, 2] == pytest.approx(1, abs=1e-5)
    assert sorted(map(sorted, found["voices"])) == [[str(files[0]), str(files[2])], [str(files[1])]]


def test_a_picture_is_refused_before_anything_is_computed(encoder, tmp_path, capsys, monkeypatch):
    write_wav(tmp_path / "a.wav", made_voice())
    command = ["demo", "speakers", tmp_path / "a.wav", "--weights", encoder, "--picture"]
    assert "no such folder" in refused(capsys, *command, tmp_path / "none" / "a.png")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'cylstm[plot]'" in refused(capsys, *command, tmp_path / "a.png")


def test_weights_that_are_not_there(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CYLSTM_WEIGHTS", str(tmp_path / "kept"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    write_wav(tmp_path / "a.wav", made_voice())
    status, out, err = run(capsys, "demo", "vad", tmp_path / "a.wav")
    assert (status, out) == (1, [])
    assert err[0].startswith("Fetching silero-vad==")
    assert "`cylstm demo weights silero-vad`" in err[-1]
    assert not (tmp_path / "kept").exists()
    assert "no: there are silero-vad, " in refused(capsys, "demo", "weights", "no")
    _, out, _ = run(capsys, "demo", "weights", "--list")
    assert len(out) == 6
    assert all(line.endswith("not fetched") for line in out)


def test_every_demo_has_help(capsys):
    for demo in ("vad", "listen", "speakers", "text", "weights"):
        with pytest.raises(SystemExit) as caught:
            main(["demo", demo, "--help"])
        assert caught.value.code == 0
        assert f"    cylstm demo {demo}" in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        main(["demo", "juggle"])
    assert caught.value.code == 2
    assert "invalid choice: 'juggle'" in capsys.readouterr().err


def test_the_example_is_the_command(encoder, tmp_path):
    """Also from elsewhere, with an empty folder as the working directory."""
    write_wav(tmp_path / "a.wav", made_voice())
    examples = Path(__file__).resolve().parents[2] / "examples"
    shutil.copy(examples / "who_speaks.py", tmp_path)
    settings = {**os.environ, "PYTHONPATH": str(Path(cylstm.__file__).parents[1])}
    arguments = ["a.wav", "--weights", "encoder.safetensors"]
    found = [
        subprocess.run(
            [sys.executable, *command, *arguments],
            cwd=tmp_path,
            env=settings,
            capture_output=True,
            encoding="utf-8",
            check=True,
        ).stdout.splitlines()[:-1]
        for command in (["who_speaks.py"], ["-m", "cylstm", "demo", "speakers"])
    ]
    assert found[0] == found[1] == ["a.wav  1.00", "Voice 1: a.wav"]
