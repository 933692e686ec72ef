"""What Resemblyzer 0.1.4 answers, by its own code with PyTorch 2.13 and librosa.

    pip install torch==2.13.0 librosa Resemblyzer==0.1.4
    python tests/data/record_resemblyzer.py

writes resemblyzer.npz: "mels", windows of a spectrogram in halves, "of_mels", their embeddings,
"of_voice", the embedding of `made_voice()` of tests/voices.py, and "mel_of_voice", every 20th frame of its
spectrogram. Where webrtcvad is not to be had, an empty module of that name does: nothing here
asks for it.
"""

import sys
import types
from pathlib import Path

import numpy as np

try:
    import webrtcvad  # noqa: F401
except ImportError:
    sys.modules["webrtcvad"] = types.ModuleType("webrtcvad")
import scipy.ndimage

morphology = types.ModuleType("scipy.ndimage.morphology")  # it is gone from SciPy
morphology.binary_dilation = scipy.ndimage.binary_dilation
sys.modules["scipy.ndimage.morphology"] = morphology

import torch
from resemblyzer import VoiceEncoder, audio

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))
from voices import made_voice


def main() -> None:
    encoder = VoiceEncoder("cpu", verbose=False)
    voice = made_voice()
    mel = audio.wav_to_mel_spectrogram(voice)
    mels = np.stack([mel[:160], mel[77:237], mel[:160][::-1]]).astype(np.float16)
    with torch.no_grad():
        of_mels = encoder(torch.from_numpy(mels.astype(np.float32))).numpy()
    np.savez_compressed(
        HERE / "resemblyzer.npz",
        mels=mels,
        of_mels=of_mels,
        of_voice=encoder.embed_utterance(voice),
        mel_of_voice=mel[::20],
    )


if __name__ == "__main__":
    main()
