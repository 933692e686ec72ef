"""What textgenrnn 2.0.0's model answers, by its own code with tf_keras 2.21.

    pip install tensorflow-cpu==2.21.* tf_keras==2.21.*
    python tests/data/record_textgenrnn.py

writes textgenrnn.npz: "read", windows of 40 characters of texts as numbers, some of them short, and
"probabilities", those of the next character. The package itself cannot be imported any more: of its
source, which `pip download` brings, only the two modules that make the model are.
"""

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import types
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_USE_LEGACY_KERAS"] = "1"  # tensorflow.keras is tf_keras

HERE = Path(__file__).parent
SHA256 = "c2b6f1c201c76d5a6021079e95a8db499bbe15d9f3448d33cb51c0cd496c86f8"
LENGTH = 40
TEXTS = [
    "",
    "W",
    "What is the",
    "How do you feel about the new season of ",  # with the bound before it, 41
    "TIL that the first programmable machine was made in 1941, and nobody saw that it was",
    'My [26F] cat has "opinions" & 3 of them cost $50 / week; help?!',
    "Ça va? Öl für die Mühle, ¯\\_(ツ)_/¯ ✨ and 漢字",  # some that it does not know
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
]


def main() -> None:
    import numpy as np

    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet"]
        subprocess.run([*command, "textgenrnn==2.0.0", "--dest", scratch], check=True)
        [archive] = Path(scratch).glob("*.tar.gz")
        if hashlib.sha256(archive.read_bytes()).hexdigest() != SHA256:
            raise SystemExit("it is another package of that name")
        with tarfile.open(archive) as source:
            source.extractall(scratch, filter="data")
        folder = Path(scratch, "textgenrnn-2.0.0", "textgenrnn")
        package = types.ModuleType("textgenrnn")  # instead of its __init__.py, which imports all
        package.__path__ = [str(folder)]
        sys.modules["textgenrnn"] = package
        from textgenrnn.model import textgenrnn_model

        vocabulary = json.loads((folder / "textgenrnn_vocab.json").read_text(encoding="utf-8"))
        config = {
            "rnn_layers": 2,
            "rnn_size": 128,
            "rnn_bidirectional": False,
            "max_length": LENGTH,
            "dim_embeddings": 100,
        }
        weights = str(folder / "textgenrnn_weights.hdf5")
        model = textgenrnn_model(len(vocabulary) + 1, config, weights_path=weights)
        read = np.zeros((len(TEXTS), LENGTH), np.int16)
        for row, text in zip(read, TEXTS, strict=True):
            numbers = [vocabulary.get(c, 0) for c in ["<s>", *text][-LENGTH:]]
            row[LENGTH - len(numbers) :] = numbers
        found = model.predict(read.astype(np.float32), verbose=0)
    np.savez_compressed(HERE / "textgenrnn.npz", read=read, probabilities=found)


if __name__ == "__main__":
    main()
