"""``demo``: published models at work, with their own weights."""

from __future__ import annotations

import argparse

from cylstm._demos import (
    fetch_weights,
    listen,
    revived_textgen,
    voice_activity,
    who_speaks,
)

__all__ = ["add_to"]

_DEMOS = {
    "vad": (voice_activity, "find the speech in a recording: Silero VAD"),
    "listen": (listen, "the same of the microphone, drawn on a page in the browser"),
    "speakers": (who_speaks, "tell which recordings are of one person: Resemblyzer"),
    "text": (revived_textgen, "write headlines, with a model of 2018: textgenrnn"),
    "weights": (fetch_weights, "fetch the weights of all three, to go on without a connection"),
}


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the demos, with their arguments, to the parser of the command."""
    parser.description = (
        "Run published models with their own weights. These are fetched once, by pip, "
        "from the packages that have them, and checked by their SHA-256; then no connection is "
        "needed."
    )
    parser.epilog = (
        "examples: cylstm demo vad recording.wav; cylstm demo text --count 5; cylstm demo weights"
    )
    demos = parser.add_subparsers(dest="demo", required=True, metavar="DEMO", title="demos")
    for name, (module, summary) in _DEMOS.items():
        described = (module.__doc__ or "").strip()
        demo = demos.add_parser(
            name,
            help=summary,
            description=described,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_to(demo)
        demo.set_defaults(run=module.run)
