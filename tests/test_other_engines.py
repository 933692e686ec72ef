"""The programs for Ray Data, Spark and Flower, on demand: each where its engine is installed.

CYLSTM_RAY=PYTHON CYLSTM_SPARK=PYTHON CYLSTM_FLOWER=PYTHON pytest tests/test_other_engines.py

PYTHON is the interpreter of an environment with that engine, NumPy, SciPy and safetensors.
"""

import os
import subprocess
from pathlib import Path

import pytest

import cylstm

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "elsewhere"
PROGRAMS = {"RAY": "ray_data.py", "SPARK": "spark_udf.py", "FLOWER": "flower_client.py"}


@pytest.mark.parametrize("engine", PROGRAMS)
def test_a_program(engine, tmp_path):
    python = os.environ.get(f"CYLSTM_{engine}")
    if not python:
        pytest.skip(f"CYLSTM_{engine} names no interpreter")
    environment = os.environ | {"PYTHONPATH": str(Path(cylstm.__file__).parents[1])}
    done = subprocess.run(
        [python, str(EXAMPLES / PROGRAMS[engine])],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    if engine == "FLOWER":
        assert "Better: True" in lines
        return
    assert "In order: True" in lines
    (difference,) = [line.split(": ")[1] for line in lines if line.startswith("Largest")]
    assert float(difference) < 1e-6
