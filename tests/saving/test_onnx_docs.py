"""What docs/onnx.md says is read is what is read."""

import re
from pathlib import Path

from cylstm.saving._onnx._reading import _READ, _VERSIONS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "onnx.md").read_text(encoding="utf-8")


def test_the_page_lists_the_operators():
    listed = re.search(r"<!-- operators -->(.*?)<!-- end -->", PAGE, re.DOTALL)[1]
    names = re.findall(r"\w+", listed)
    assert names == sorted(names)
    assert set(names) == _READ.keys() - {"LSTM"}


def test_the_page_names_the_versions():
    assert f"of version {_VERSIONS[0]} to\n{_VERSIONS[-1]}" in PAGE or (
        f"of version {_VERSIONS[0]} to {_VERSIONS[-1]}" in PAGE
    )
