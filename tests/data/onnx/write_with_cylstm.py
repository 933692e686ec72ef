"""Writes the models of tests/onnx_cases.py as ONNX files, for ONNX Runtime to compute.

Run with cylstm installed, in this folder; then `record.py`, with onnxruntime:

    python write_with_cylstm.py
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(os.path.dirname(HERE)))

import onnx_cases  # noqa: E402

for name in onnx_cases.CASES:
    onnx_cases.made(name).save(os.path.join(HERE, "cylstm_%s.onnx" % name))
