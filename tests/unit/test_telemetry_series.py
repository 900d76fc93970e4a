"""Energy between two moments, readings as measurements, and the Parquet file of all ranks."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from seatrial.telemetry.series import Series, energy_within, measurements_of, write_series


def readings(sensor: str, unit: str, values: list[float], training: list[bool] | None = None) -> Series:
    times = [float(i) for i in range(len(values))]
    return Series("cuda:0", sensor, unit, times, values, training or [True] * len(values))


def test_energy_of_a_span_between_readings_takes_power_as_constant() -> None:
    times, joules = [0.0, 1.0, 2.0, 3.0], [0.0, 100.0, 400.0, 500.0]
    assert energy_within(times, joules, [(0.0, 3.0)]) == 500.0
    assert energy_within(times, joules, [(0.5, 1.5)]) == pytest.approx(200.0)
    assert energy_within(times, joules, [(0.0, 1.0), (2.0, 3.0)]) == pytest.approx(200.0)
    assert energy_within(times, joules, []) == 0.0


def test_energy_beyond_the_readings_is_not_invented() -> None:
    assert energy_within([1.0, 2.0], [0.0, 50.0], [(0.0, 9.0)]) == 50.0


def test_only_readings_of_training_become_samples_and_none_gives_no_measurement() -> None:
    power = readings("power", "W", [100.0, 300.0, 500.0], [False, True, True])
    evaluation_only = readings("sm_clock", "MHz", [1980.0], [False])
    (found,) = measurements_of([power, evaluation_only], {"rank": 3})
    assert (found.metric, found.unit, found.samples) == ("telemetry.power", "W", [300.0, 500.0])
    assert found.labels == {"rank": 3, "device": "cuda:0"}


def test_throttling_is_the_share_of_readings_by_reason() -> None:
    (found,) = measurements_of([readings("throttled.power_cap", "1", [0.0, 1.0, 1.0, 1.0])], {"rank": 0})
    assert (found.metric, found.samples, found.labels["reason"]) == ("telemetry.throttled", [0.75], "power_cap")


def test_parquet_file_holds_every_reading_of_every_rank(tmp_path: Path) -> None:
    path = tmp_path / "0.telemetry.parquet"
    hot = readings("temperature", "°C", [40.0, 41.5], [False, True])
    ranks = [[hot, readings("power", "W", [700.25])], [], [readings("power", "W", [650.0] * 9)]]
    assert write_series(path, ranks)
    rows = pq.read_table(path).to_pylist()
    assert list(rows[0]) == ["rank", "device", "sensor", "unit", "time_s", "value", "training"]
    assert rows[0] == {
        "rank": 0,
        "device": "cuda:0",
        "sensor": "temperature",
        "unit": "°C",
        "time_s": 0.0,
        "value": 40.0,
        "training": False,
    }
    assert [(r["rank"], r["sensor"], r["value"], r["training"]) for r in rows[1:3]] == [
        (0, "temperature", 41.5, True),
        (0, "power", 700.25, True),
    ]
    assert [r["rank"] for r in rows[3:]] == [2] * 9
    assert [p.name for p in tmp_path.iterdir()] == ["0.telemetry.parquet"]


def test_no_reading_anywhere_leaves_no_file(tmp_path: Path) -> None:
    assert not write_series(tmp_path / "0.telemetry.parquet", [[], [readings("power", "W", [])]])
    assert list(tmp_path.iterdir()) == []
