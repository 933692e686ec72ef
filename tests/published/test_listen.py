"""demo listen with the published weights: speech is heard where it is, and as vad hears it."""

import json

import numpy as np
import pytest
from listening import frames_of, listening, recorded_speech
from websockets.sync.client import connect

from cylstm._demos import fetch_weights, voice_activity


@pytest.fixture(scope="module")
def answers():
    with (
        listening() as (_, url),
        connect(url.replace("http", "ws") + "frames", compression=None) as connection,
    ):
        found = []
        for frame in frames_of(recorded_speech()[0]):
            connection.send(frame)
            found.append(json.loads(connection.recv(timeout=60)))
    return found


def test_speech_is_where_it_is(answers):
    likely = np.array([answer["speech"] for answer in answers])
    spoken = recorded_speech()[1][: 512 * len(likely)].reshape(-1, 512)
    inside = spoken.all(axis=1)
    assert np.median(likely[inside]) > 0.99
    assert np.median(likely[~inside]) < 0.01
    assert ((likely > 0.5) == inside).mean() > 0.9
    speaking = np.array([answer["speaking"] for answer in answers])
    assert (speaking == inside).mean() > 0.9
    assert not speaking[:60].any()
    assert speaking[120:180].all()  # also where a word ends


def test_it_has_the_bits_of_blocks(answers):
    path = fetch_weights.fetch("silero-vad", "silero_vad_16k.safetensors")
    samples = np.frombuffer(b"".join(frames_of(recorded_speech()[0])), "<f4")
    model = voice_activity.load_detector(path)
    wanted = voice_activity.in_blocks(model, voice_activity.frames_of(samples))
    assert [answer["speech"] for answer in answers] == wanted.tolist()
