"""What ONNX Runtime answers for the weights of `silero_vad_16k.safetensors`, of silero-vad 6.2.3.

    pip install onnx onnxruntime numpy safetensors
    python tests/data/record_silero.py /usr/share/pocketsphinx/test/data/librivox/*0930.wav

The ONNX files of that package are of the same architecture, but their weights are others than those
of the safetensors file (they differ by up to 18; the STFT alone is the same). So the graph of
`silero_vad_16k_op15.onnx` is given the weights of the safetensors file before it runs. The
recording is one of Debian's pocketsphinx-testdata (read from LibriVox; silero_speech.LICENSE), kept
in 8 bits; silero.npz has it as "speech", and as "likely" what is said of a minute of it, looped.
"""

import sys
import wave
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import safetensors.numpy
from onnx import numpy_helper

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]
from cylstm._demos.fetch_weights import fetch
from voices import a_minute_of

NAMES = {
    "model.stft.forward_basis_buffer": "stft_conv.weight",
    "model.decoder.decoder.2.weight": "final_conv.weight",
    "model.decoder.decoder.2.bias": "final_conv.bias",
}
for part in ("weight", "bias"):
    for i in range(4):
        NAMES[f"model.encoder.{i}.reparam_conv.{part}"] = f"conv{i + 1}.{part}"
    for side in ("ih", "hh"):
        NAMES[f"model.decoder.rnn.{part}_{side}"] = f"lstm_cell.{part}_{side}"


def session() -> onnxruntime.InferenceSession:
    """The graph of the package with the weights of its safetensors file."""
    tensors = safetensors.numpy.load_file(fetch("silero-vad", "silero_vad_16k.safetensors"))
    model = onnx.load(fetch("silero-vad", "silero_vad_16k_op15.onnx"))
    for entry in model.graph.initializer:
        array = tensors[NAMES[entry.name]]
        entry.CopyFrom(numpy_helper.from_array(array, entry.name))
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def main() -> None:
    with wave.open(sys.argv[1]) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 2.0**15
    # The logarithm of loudness in 7 bits, and a sign.
    loud = np.log1p(255 * np.abs(samples)) / np.log(256) * 127
    speech = np.round(np.copysign(loud, samples)).astype(np.int8)
    sound = a_minute_of(speech)
    run, state, likely = session(), np.zeros((2, 1, 128), np.float32), []
    for start in range(64, len(sound) - 511, 512):
        frame = sound[np.newaxis, start - 64 : start + 512]
        given = {"input": frame, "state": state, "sr": np.array(16000)}
        found, state = run.run(None, given)
        likely.append(found[0, 0])
    np.savez_compressed(HERE / "silero.npz", speech=speech, likely=np.array(likely))


if __name__ == "__main__":
    main()
