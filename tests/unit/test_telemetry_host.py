"""RAPL on a made-up powercap tree, and the processor's and process's own figures for real."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from seatrial.telemetry.host import Rapl, host_utilisation, process_utilisation, rapl
from seatrial.telemetry.sensors import Group, SensorAbsent, SensorFailed

RANGE = 262_143_328_850


def zone(root: Path, folder: str, name: str, microjoules: int) -> Path:
    path = root / folder
    path.mkdir(parents=True)
    (path / "name").write_text(f"{name}\n")
    (path / "max_energy_range_uj").write_text(f"{RANGE}\n")
    (path / "energy_uj").write_text(f"{microjoules}\n")
    return path


def values(groups: Sequence[Group]) -> dict[str, float | None]:
    return {str(s): v for g in groups for s, v in zip(g.sensors, g.read(), strict=True)}


@pytest.fixture
def two_sockets(tmp_path: Path) -> Path:
    """Two packages with cores and memory below them, the whole platform, and the packages once more over MMIO."""
    zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    zone(tmp_path, "intel-rapl:0:0", "core", 500_000)
    zone(tmp_path, "intel-rapl:0:1", "dram", 7_000_000)
    zone(tmp_path, "intel-rapl:1", "package-1", RANGE - 1_000_000)
    zone(tmp_path, "intel-rapl:2", "psys", 123_000_000)
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 1_000_000)
    return tmp_path


def set_energy(root: Path, folder: str, microjoules: int) -> None:
    (root / folder / "energy_uj").write_text(f"{microjoules}\n")


def test_energy_is_the_sum_of_the_packages_and_memory_stands_apart(two_sockets: Path) -> None:
    groups = rapl(two_sockets)().groups()
    assert {str(s) for g in groups for s in g.sensors} == {
        "energy of cpu",
        "power of cpu",
        "energy of dram",
        "power of dram",
    }
    first = values(groups)
    assert (first["energy of cpu"], first["power of cpu"]) == (0.0, None)
    set_energy(two_sockets, "intel-rapl:0", 31_000_000)
    set_energy(two_sockets, "intel-rapl:0:1", 9_000_000)
    set_energy(two_sockets, "intel-rapl:2", 999_000_000)
    time.sleep(0.02)
    second = values(groups)
    assert second["energy of cpu"] == pytest.approx(30.0)
    assert second["energy of dram"] == pytest.approx(2.0)
    power = second["power of cpu"]
    assert power is not None and 30.0 / 10 < power <= 30.0 / 0.02


def test_counter_that_begins_again_goes_on(two_sockets: Path) -> None:
    groups = rapl(two_sockets)().groups()
    values(groups)
    set_energy(two_sockets, "intel-rapl:1", 2_000_000)
    assert values(groups)["energy of cpu"] == pytest.approx(3.0)


def test_only_the_energy_is_read_when_the_clock_stops(two_sockets: Path) -> None:
    groups = rapl(two_sockets)().groups()
    assert [str(g) for g in groups if g.counts_energy] == ["energy of cpu", "energy of dram"]


def test_host_without_rapl_has_none(tmp_path: Path) -> None:
    with pytest.raises(SensorAbsent, match="no RAPL package"):
        rapl(tmp_path / "nothing")()


def test_counter_that_only_root_may_read_is_absent(two_sockets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = Rapl(two_sockets).groups()
    read_text = Path.read_text

    def refused(self: Path, *words: Any, **named: Any) -> str:
        if self.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return read_text(self, *words, **named)

    monkeypatch.setattr(Path, "read_text", refused)
    with pytest.raises(SensorAbsent, match="not readable by this user"):
        groups[0].read()


def test_counter_that_holds_no_number_failed(two_sockets: Path) -> None:
    groups = rapl(two_sockets)().groups()
    (two_sockets / "intel-rapl:0" / "energy_uj").write_text("")
    with pytest.raises(SensorFailed, match="not a whole number"):
        groups[0].read()


def test_process_utilisation_is_its_cpu_time_over_wall_time() -> None:
    groups = process_utilisation()().groups()
    assert values(groups)["process_utilisation of cpu"] is None
    wall, cpu = time.monotonic(), time.process_time()
    while time.process_time() - cpu < 0.4:
        pass
    time.sleep(0.2)
    found = values(groups)
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    # psutil counts in clock ticks of 10 ms
    assert found["process_utilisation of cpu"] == pytest.approx(100 * cpu / wall, abs=100 * 0.03 / wall)
    assert 0.01 < (found["process_memory of cpu"] or 0) < 64


def test_host_utilisation_has_no_value_before_it_is_measured() -> None:
    groups = host_utilisation()().groups()
    assert values(groups) == {"utilisation of cpu": None}
    begin = time.process_time()
    while time.process_time() - begin < 0.3:
        pass
    busy = values(groups)["utilisation of cpu"]
    assert busy is not None and 0.0 < busy <= 100.0
