"""Which of Keras 2.0.9's public names cylstm has, from the record in tests/data/keras_names.json.

As a program it prints the table in Markdown: `python tests/keras_names.py`.
"""

import importlib
import json
from pathlib import Path

from cylstm._keras_names import absence

RECORD = json.loads((Path(__file__).parent / "data" / "keras_names.json").read_text("utf-8"))

# Members of Keras' classes that are absent, by their reasons.
ABSENT_MEMBERS = {
    "it is internal to Keras": "assert_input_compatibility run_internal_graph "
    "uses_learning_phase legacy_from_config legacy_get_config regularizers",
    "gradients come from vjp(), and optimizer.apply(gradients, variables) is an update": (
        "get_gradients get_updates"
    ),
}


def status(module, name):
    """Return True for a name that is present, the reason for one that is absent, or None."""
    try:
        found = importlib.import_module(f"cylstm.{module}".strip("."))
    except ImportError:
        return absence(module)
    return True if hasattr(found, name) else absence(module, name)


def rows():
    """Yield each module with its present names, and its absent ones by their reasons."""
    for module, names in RECORD["modules"].items():
        reason = absence(module) if module else None
        if reason is not None:
            yield module, [], {reason: ["everything"]}
            continue
        answers = {name: status(module, name) for name in names}
        absent = {}
        for name, answer in answers.items():
            if answer is not True:
                absent.setdefault(answer, []).append(name)
        yield module, [name for name, answer in answers.items() if answer is True], absent


def main():
    print("| module of Keras 2.0.9 | present | absent, with the reason |\n| --- | --- | --- |")
    for module, present, absent in rows():
        reasons = "; ".join(f"{_code(names)}: {reason}" for reason, names in absent.items())
        title = f"keras.{module}".strip(".")
        print(f"| `{title}` | {_code(present)} | {reasons} |")


def _code(names):
    return f"`{' '.join(names)}`" if names else ""


if __name__ == "__main__":
    main()
