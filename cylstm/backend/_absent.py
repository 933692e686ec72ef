"""The names of Keras 2.0.9's backend that are not here, each with the reason.

`table` makes the table of the documentation: what exists, and what does not.
"""

from __future__ import annotations

from types import ModuleType

__all__ = ["ABSENT", "table"]

_IMAGES = "images are not the matter of this package"
_SESSIONS = "there are no sessions: arrays hold their numbers"
_CTC = "there is no CTC loss"

ABSENT = {
    "Function": "call a Model(inputs, outputs) on arrays",
    "conv2d": _IMAGES,
    "conv2d_transpose": _IMAGES,
    "conv3d": _IMAGES,
    "conv3d_transpose": _IMAGES,
    "ctc_batch_cost": _CTC,
    "ctc_decode": _CTC,
    "ctc_label_dense_to_sparse": _CTC,
    "depthwise_conv2d": _IMAGES,
    "function": "call a Model(inputs, outputs) on arrays",
    "get_session": _SESSIONS,
    "gradients": "a layer's `vjp` gives the gradients of its inputs and weights",
    "is_placeholder": "there are no placeholders, `Input` returns symbolic tensors",
    "local_conv1d": "there are no locally connected layers",
    "local_conv2d": _IMAGES,
    "manual_variable_initialization": "variables have their values from the start",
    "placeholder": "use cylstm.Input(shape)",
    "pool2d": _IMAGES,
    "pool3d": _IMAGES,
    "resize_images": _IMAGES,
    "resize_volumes": _IMAGES,
    "separable_conv2d": _IMAGES,
    "set_learning_phase": "call a layer or model with training=True or training=False",
    "set_session": _SESSIONS,
    "spatial_2d_padding": _IMAGES,
    "spatial_3d_padding": _IMAGES,
}


def table(backend: ModuleType) -> str:
    """Which names of Keras 2.0.9's backend exist, as a table in Markdown.

    Parameters
    ----------
    backend : module
        `cylstm.backend`, which imports this module and not the other way round.
    """
    notes = {name: f"absent: {reason}" for name, reason in ABSENT.items()}
    for name in backend.__all__:
        notes[name] = getattr(backend, name).__doc__.strip().split("\n")[0]
    rows = [f"| `{name}` | {note} |" for name, note in sorted(notes.items())]
    return "\n".join(["| name | |", "| --- | --- |", *rows])
