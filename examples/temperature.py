"""Forecast the temperature of the next 24 hours from the weather of the last 24.

    python examples/temperature.py

The data are the hourly observations at New York's airport JFK in 2013 (see data/jfk_weather.md):
temperature, dew point, pressure and wind. The first nine months are to learn from, the last three
to be tested on. `TimeseriesGenerator` cuts the windows; an LSTM reads one, and a dense layer on its
last output says by how much each of the 24 coming hours will be warmer than the last one seen.
Three rules of thumb say how good a forecast is that needs no learning, or hardly any.
"""

import argparse
from pathlib import Path

import numpy as np

from cylstm import LSTM, Sequential
from cylstm.callbacks import LearningRateScheduler
from cylstm.layers import Dense
from cylstm.optimizers import Adam
from cylstm.preprocessing.sequence import TimeseriesGenerator
from cylstm.utils import set_random_seed

DATA = Path(__file__).parent / "data" / "jfk_weather.npz"
PAST = FUTURE = 24  # hours
OCTOBER = 24 * 273  # the hour at which the test begins
CHANGE = 8.0  # degrees: changes of temperature are divided by it, so that they are about 1


def load() -> tuple[np.ndarray, np.ndarray]:
    """Return the temperature (hours,) in degrees Celsius, and what the model sees (hours, 7)."""
    with np.load(DATA) as arrays:
        observed = dict(arrays)
    hour = np.arange(observed["hour"][-1] + 1)

    def series(name: str) -> np.ndarray:
        known = observed[name] != -9999  # what was not observed is interpolated
        values: np.ndarray = np.interp(hour, observed["hour"][known], observed[name][known])
        return values

    temperature = series("temperature") / 10
    wind, angle = series("wind_speed"), np.deg2rad(series("wind_direction"))
    day = 2 * np.pi * hour / 24
    columns = [temperature, series("dew_point"), series("pressure")]
    columns += [wind * np.cos(angle), wind * np.sin(angle), np.cos(day), np.sin(day)]
    features = np.stack(columns, axis=1)
    mean, scale = features[:OCTOBER].mean(axis=0), features[:OCTOBER].std(axis=0)
    return temperature, (features - mean) / scale


def windows_of_future(temperature: np.ndarray) -> np.ndarray:
    """Return the FUTURE temperatures that begin at each hour, (hours - FUTURE + 1, FUTURE)."""
    return np.lib.stride_tricks.sliding_window_view(temperature, FUTURE)


def rules_of_thumb(temperature: np.ndarray, starts: np.ndarray) -> dict[str, np.ndarray]:
    """Return forecasts (starts, FUTURE) that know today's weather, and at most the time of day."""
    future, last = windows_of_future(temperature), temperature[starts - 1, np.newaxis]
    learned = np.arange(PAST, OCTOBER - FUTURE)
    changes = future[learned] - temperature[learned - 1, np.newaxis]
    usual = np.array([changes[learned % 24 == hour].mean(axis=0) for hour in range(24)])
    return {
        "as the last hour": np.repeat(last, FUTURE, axis=1),
        "as the same hour yesterday": future[starts - 24],
        "as the last hour, with the usual course of the day": last + usual[starts % 24],
    }


def plot(
    forecast: np.ndarray, future: np.ndarray, starts: np.ndarray, errors: np.ndarray, path: Path
) -> None:
    """Save two weeks of forecasts and truth as a picture, if matplotlib is installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("No plot was saved, as matplotlib is not installed.")
        return
    figure = Figure(figsize=(10, 3.5), layout="constrained")
    course, growth = figure.subplots(1, 2, width_ratios=(3, 1))
    midnights = np.flatnonzero(starts % 24 == 5)[:14]  # UTC is five hours ahead of New York
    hours = starts[midnights, np.newaxis] - starts[midnights[0]] + np.arange(FUTURE)
    course.plot(hours.ravel() / 24, future[midnights].ravel(), color="black", label="truth")
    for day, values in zip(hours / 24, forecast[midnights], strict=True):
        course.plot(day, values, color="C1", label=None if day[0] else "forecast at midnight")
    course.set(xlabel="days, from the first of October", ylabel="temperature, °C")
    course.legend()
    growth.plot(np.arange(1, FUTURE + 1), errors)
    growth.set(xlabel="hours ahead", ylabel="mean absolute error, °C", ylim=(0, None))
    figure.savefig(path, dpi=150)
    print(f"Forecast against truth: {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Forecast the temperature of the next day.")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--units", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--dropout", type=float, default=0.1, help="of the inputs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", type=Path, default=Path("temperature.png"))
    options = parser.parse_args()

    set_random_seed(options.seed)
    temperature, features = load()
    future = windows_of_future(temperature)
    starts = np.arange(OCTOBER, len(future))
    targets = np.zeros_like(future)  # of the first hour, which no window begins with
    targets[1:] = (future[1:] - temperature[: len(future) - 1, np.newaxis]) / CHANGE
    data = features[: len(future)]
    training = TimeseriesGenerator(
        data, targets, PAST, end_index=OCTOBER - FUTURE, shuffle=True, batch_size=options.batch_size
    )
    test = TimeseriesGenerator(data, targets, PAST, start_index=OCTOBER - PAST)

    model = Sequential(
        [
            LSTM(options.units, dropout=options.dropout, input_shape=(PAST, data.shape[1])),
            Dense(FUTURE),
        ]
    )
    model.compile(Adam(clipnorm=1.0), "mean_absolute_error")
    decay = LearningRateScheduler(lambda epoch: 0.005 * (1 - epoch / options.epochs))
    model.fit(training, epochs=options.epochs, verbose=2, callbacks=[decay], validation_data=test)

    forecast = temperature[starts - 1, np.newaxis] + CHANGE * model.predict(test)
    errors = np.abs(forecast - future[starts])
    print(f"Mean absolute error of {len(starts)} forecasts, in °C:")
    print(f"{errors.mean():6.2f}  LSTM")
    for rule, guess in rules_of_thumb(temperature, starts).items():
        print(f"{np.abs(guess - future[starts]).mean():6.2f}  {rule}")
    plot(forecast, future[starts], starts, errors.mean(axis=0), options.plot)


if __name__ == "__main__":
    main()
