"""The sampler beside a run: scopes of energy, what failing sensors do, what it costs, totals of a resumed run."""

from __future__ import annotations

import logging
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from seatrial.telemetry.sampler import Sampler
from seatrial.telemetry.sensors import Group, OpenSource, SensorAbsent, SensorFailed, single

CPU = SimpleNamespace(type="cpu", index=None)
WATTS = 250.0


class MadeUp:
    """A source of made-up groups, which keeps whether it was closed."""

    def __init__(self, *groups: Group) -> None:
        self._groups = groups
        self.closed = False

    def groups(self) -> tuple[Group, ...]:
        return self._groups

    def close(self) -> None:
        self.closed = True


def sampler(*groups: Group, interval: float = 0.05, **words: Any) -> Sampler:
    source: OpenSource = lambda: MadeUp(*groups)  # noqa: E731
    return Sampler(CPU, interval, sources=[source], **words)


def burning() -> Group:
    """A counter that grows by WATTS each second, from where an earlier run left it."""
    return single("cuda:0", "energy", lambda: 9e6 + WATTS * time.monotonic())


def raising(*problems: Exception | None) -> Callable[[], float]:
    """Raises each of `problems` in turn, the last one for good; gives 1.0 for None."""
    left: Iterator[Exception | None] = iter(problems)
    last = [problems[-1]]

    def read() -> float:
        problem = next(left, last[0])
        if problem is not None:
            raise problem
        return 1.0

    return read


def metrics(found: Sampler) -> dict[str, list[float]]:
    """Samples by metric, energy's by scope too."""
    named = {}
    for m in found.measurements({}):
        named[f"{m.metric}/{m.labels['scope']}" if "scope" in m.labels else m.metric] = m.samples
    return named


def test_energy_of_the_run_and_of_training_are_told_apart() -> None:
    with sampler(burning(), interval=0.1) as found:
        time.sleep(0.3)
        found.pause()
        time.sleep(0.4)
        found.resume()
        time.sleep(0.3)
    seconds, energy = found.state()["seconds"], found.state()["energy"]["cuda:0"]
    assert seconds["run"] >= 1.0 and 0.6 <= seconds["training"] <= seconds["run"] - 0.4
    assert energy["run"] == pytest.approx(WATTS * seconds["run"], rel=0.03)
    assert energy["training"] == pytest.approx(WATTS * seconds["training"], rel=0.03)
    assert metrics(found)["telemetry.energy/training"] == [energy["training"]]
    assert metrics(found)["telemetry.energy/run"] == [energy["run"]]


def test_energy_is_read_at_once_when_the_clock_stops() -> None:
    with sampler(burning(), interval=30.0) as found:
        time.sleep(0.1)
        found.pause()
        time.sleep(0.2)
    (series,) = found.series()
    assert len(series.time_s) == 3 and series.value[0] == 0.0
    assert 0.1 <= series.time_s[1] < 0.3


def test_readings_that_reach_into_a_pause_are_kept_but_are_no_samples() -> None:
    with sampler(single("cuda:0", "power", lambda: 300.0), paused=True) as found:
        time.sleep(0.2)
        found.resume()
        time.sleep(0.3)
    (series,) = found.series()
    assert series.training[0] is False and series.training[-1] is True
    assert metrics(found)["telemetry.power"] == [300.0] * sum(series.training)
    assert 0 < sum(series.training) < len(series.value)


def test_reading_across_a_pause_is_no_sample_for_it_may_be_an_average() -> None:
    with sampler(single("cuda:0", "utilisation", lambda: 90.0), interval=30.0) as found:
        found.pause()
        found.resume()
        time.sleep(0.2)
    (series,) = found.series()
    assert series.training == [True, False]


def test_absent_sensor_is_left_out_and_named(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="seatrial")
    absent = single("cuda:0", "temperature", raising(SensorAbsent("Not Supported")))
    with sampler(absent, single("cuda:0", "power", lambda: 5.0)) as found:
        time.sleep(0.12)
    assert set(metrics(found)) == {"telemetry.power"}
    assert [r.message for r in caplog.records if "temperature" in r.message] == [
        "telemetry: no temperature of cuda:0: Not Supported"
    ]


def test_source_that_is_not_there_leaves_the_others(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="seatrial")

    def nothing() -> MadeUp:
        raise SensorAbsent("NVML does not start: Driver Not Loaded")

    power = MadeUp(single("cpu", "power", lambda: 5.0))
    with Sampler(CPU, 0.05, sources=[nothing, lambda: power]) as found:
        time.sleep(0.1)
    assert set(metrics(found)) == {"telemetry.power"}
    assert "Driver Not Loaded" in caplog.text
    assert power.closed


def test_sensor_that_fails_now_and_then_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    read = raising(SensorFailed("Timeout"), SensorFailed("Timeout"), None)
    with sampler(single("cuda:0", "power", read), interval=0.02) as found:
        time.sleep(0.3)
    assert metrics(found)["telemetry.power"][0] == 1.0
    assert [r.message for r in caplog.records if "failed" in r.message] == [
        "telemetry: power of cuda:0 failed: Timeout"
    ]


def test_sensor_that_keeps_failing_is_not_asked_on(caplog: pytest.LogCaptureFixture) -> None:
    asked: list[int] = []

    def read() -> float:
        asked.append(1)
        raise SensorFailed("GPU is lost")

    with sampler(single("cuda:0", "power", read), interval=0.01) as found:
        time.sleep(0.6)
    assert len(asked) == 10
    assert found.measurements({}) == []
    assert "10 times in a row" in caplog.text


@pytest.mark.parametrize("problem", [SensorFailed("GPU is lost"), SensorAbsent("No permission")])
def test_energy_whose_counter_died_on_the_way_is_unknown(
    problem: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    counter = single("cuda:0", "energy", raising(None, None, problem))
    with sampler(counter, interval=0.02) as found:
        time.sleep(0.2)
    assert found.state()["energy"] == {} and found.measurements({}) == []
    assert "energy of cuda:0 is unknown" in caplog.text


def test_energy_of_a_counter_that_went_back_is_unknown(caplog: pytest.LogCaptureFixture) -> None:
    count = iter([500.0, 510.0])
    with sampler(single("cuda:0", "energy", lambda: next(count, 3.0)), interval=0.02) as found:
        time.sleep(0.2)
    assert found.measurements({}) == []
    assert "went back" in caplog.text


def test_value_that_is_no_number_is_no_reading() -> None:
    odd: Iterator[float | None] = iter([float("nan"), None, float("inf")])
    with sampler(single("cuda:0", "power", lambda: next(odd, 7.0)), interval=0.02) as found:
        time.sleep(0.2)
    assert set(metrics(found)["telemetry.power"]) == {7.0}


def test_fault_in_the_thread_is_shown_and_does_not_end_the_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shown: list[BaseException | None] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: shown.append(args.exc_value))
    faulty = single("cuda:0", "power", raising(None, TypeError("ours")))
    with sampler(burning(), faulty, interval=0.02) as found:
        time.sleep(0.2)
    assert [str(problem) for problem in shown] == ["ours"]
    assert "telemetry ended before the run did" in caplog.text
    assert found.state()["energy"] == {}
    assert metrics(found) == {"telemetry.power": [1.0]}


def test_sensor_that_hangs_holds_up_neither_start_nor_stop(caplog: pytest.LogCaptureFixture) -> None:
    answer = threading.Event()

    def read() -> float:
        answer.wait(60)
        return 1.0

    found = sampler(burning(), single("cuda:0", "power", read), timeout_seconds=0.2)
    begin = time.monotonic()
    with found:
        found.pause()
        found.resume()
    assert time.monotonic() - begin < 2.0
    assert "does not answer" in caplog.text
    assert found.state()["energy"] == {} and found.measurements({}) == []
    answer.set()


def test_time_to_open_the_sensors_is_no_part_of_the_run() -> None:
    def slow() -> MadeUp:
        time.sleep(0.3)
        return MadeUp(burning())

    with Sampler(CPU, 0.1, sources=[slow]) as found:
        time.sleep(0.1)
    state = found.state()
    assert 0.1 <= state["seconds"]["run"] == state["seconds"]["training"] < 0.4
    assert state["energy"]["cuda:0"]["run"] == pytest.approx(WATTS * state["seconds"]["run"], rel=0.03)


def test_thread_ends_with_the_run_and_closes_what_it_opened() -> None:
    source = MadeUp(burning())
    with Sampler(CPU, 30.0, sources=[lambda: source]):
        assert [t.name for t in threading.enumerate()].count("telemetry") == 1
    assert "telemetry" not in [t.name for t in threading.enumerate()]
    assert source.closed


def test_energy_of_a_resumed_run_adds_up() -> None:
    with sampler(burning()) as first:
        time.sleep(0.2)
        saved = pickle.loads(pickle.dumps(first.state()))
    with sampler(burning()) as second:
        time.sleep(0.2)
    alone = second.state()
    second.restore(saved)
    seconds, energy = second.state()["seconds"], second.state()["energy"]["cuda:0"]
    assert saved["energy"]["cuda:0"]["run"] > 0.0
    assert seconds["run"] == saved["seconds"]["run"] + alone["seconds"]["run"] >= 0.4
    for scope in ("run", "training"):
        assert energy[scope] == saved["energy"]["cuda:0"][scope] + alone["energy"]["cuda:0"][scope]
    assert metrics(second)["telemetry.energy/run"] == [energy["run"]]


def test_energy_that_one_attempt_could_not_read_is_unknown(caplog: pytest.LogCaptureFixture) -> None:
    with sampler(burning()) as found:
        found.restore({"seconds": {"run": 5.0, "training": 4.0}, "energy": {"cpu": {"run": 1.0, "training": 1.0}}})
        time.sleep(0.1)
    assert found.state()["energy"] == {}
    assert "energy of cuda:0 is unknown" in caplog.text and "energy of cpu is unknown" in caplog.text


@pytest.mark.parametrize("interval", [0.0, -1.0, 61.0, float("nan")])
def test_interval_outside_its_limits_is_refused(interval: float) -> None:
    with pytest.raises(ValueError, match="at most 60"):
        Sampler(CPU, interval)


def test_series_can_be_sent_to_another_rank() -> None:
    with sampler(burning(), single("cuda:0", "power", lambda: 5.0)) as found:
        time.sleep(0.1)
    sent = pickle.loads(pickle.dumps(found.series()))
    assert sent == found.series()
    assert all(type(column) is list for one in sent for column in one[3:])


def test_cpu_host_is_sampled_for_less_than_one_percent_of_a_core() -> None:
    with Sampler(CPU, 0.2) as found:
        time.sleep(2.0)
    names = {m.metric for m in found.measurements({"rank": 0})}
    assert {"telemetry.utilisation", "telemetry.process_utilisation", "telemetry.process_memory"} <= names
    # five times as often as by default, and still below the limit
    assert 0.0 < found.cpu_seconds / found.state()["seconds"]["run"] < 0.01


def test_sampling_a_cpu_imports_neither_torch_nor_pandas(tmp_path: Path) -> None:
    program = """
import sys, time, types
from pathlib import Path
from seatrial.telemetry.sampler import Sampler
from seatrial.telemetry.series import write_series
assert not {"torch", "pynvml", "psutil", "numpy"} & set(sys.modules), "importing did something"
with Sampler(types.SimpleNamespace(type="cpu", index=None), 0.05) as found:
    time.sleep(0.3)
assert found.measurements({"rank": 0})
assert write_series(Path(sys.argv[1]), [found.series()])
print(sorted({"torch", "pandas", "pynvml", "hydra", "sklearn"} & set(sys.modules)))
"""
    words = [sys.executable, "-c", program, str(tmp_path / "0.telemetry.parquet")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr
