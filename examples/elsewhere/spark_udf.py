"""Spark: a model as a function of columns, `predict_batch_udf`, loaded once in each worker.

    pip install pyspark pandas pyarrow        # and a Java runtime
    python examples/elsewhere/spark_udf.py [--samples 20000]

A sequence is a column of (steps x features) numbers, row by row; Spark gives them to the model in
batches. On a cluster, the path is one that all workers see.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pyspark.ml.functions import predict_batch_udf
from pyspark.sql import SparkSession
from pyspark.sql import functions as sql
from pyspark.sql.types import ArrayType, FloatType

import cylstm
from cylstm.layers import LSTM, Dense

STEPS, FEATURES = 24, 4


def maker(path: str) -> Callable[[], Callable[[np.ndarray], np.ndarray]]:
    """What each worker calls once, to get the function of a batch."""

    def make() -> Callable[[np.ndarray], np.ndarray]:
        import cylstm

        cylstm.set_num_threads(1)  # Spark has a worker for each CPU
        model = cylstm.models.load_model(path, compile=False)

        def predict(x: np.ndarray) -> np.ndarray:
            y: np.ndarray = model.predict(x)
            return y

        return predict

    return make


def main() -> None:
    """Predict, and compare with one process."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=int, default=20_000)
    count = parser.parse_args().samples
    model = cylstm.Sequential([LSTM(32, input_shape=(STEPS, FEATURES)), Dense(2)])
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    spark = builder.config("spark.driver.host", "127.0.0.1").getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    wave = [
        sql.sin(sql.col("id") + step / (2 + feature)).cast("float")
        for step in range(STEPS)
        for feature in range(FEATURES)
    ]
    table = spark.range(count, numPartitions=4).withColumn("x", sql.array(*wave))
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "model.safetensors")
        model.save(path)
        predict = predict_batch_udf(
            maker(path),
            return_type=ArrayType(FloatType()),
            batch_size=1000,
            input_tensor_shapes=[[STEPS, FEATURES]],
        )
        rows = table.withColumn("y", predict("x")).collect()
    seconds = time.perf_counter() - start
    found = np.array([row.y for row in rows])
    wanted = model.predict(np.array([row.x for row in rows]).reshape(-1, STEPS, FEATURES))
    print(f"{count} samples in {seconds:.1f} s")
    print(f"In order: {[row.id for row in rows] == list(range(count))}")
    print(f"Largest difference to one process: {np.abs(found - wanted).max():.1e}")
    spark.stop()


if __name__ == "__main__":
    main()
