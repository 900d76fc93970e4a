"""Tables and section of bisection: cuts against full bisection, who is slow, and what waits for whom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bisection_fabric import LINE_RATE, measured_study
from study_on_disk import StudyOnDisk

from seatrial.analysis.probes.bisection import tenth_percentile_bound
from seatrial.analysis.tables import read_csv, rows_of
from seatrial.measure.topology import parse_slurm
from seatrial.paths import StudyPaths
from seatrial.report.probes.bisection import section
from seatrial.report.study_tables import Row, read_study


def rows(paths: StudyPaths, name: str) -> list[Row]:
    return rows_of(read_csv(paths.probe_table(name), ()))


def cut(paths: StudyPaths, name: str, scale: int) -> Row:
    (found,) = [row for row in rows(paths, "bisection") if row["cut"] == name and row["scale"] == scale]
    return found


def words(paths: StudyPaths) -> str:
    found = section(read_study(paths))
    assert found is not None
    return " ".join(found.words)


@pytest.fixture(scope="module")
def slow_pair(tmp_path_factory: pytest.TempPathFactory) -> StudyPaths:
    """Four hosts of which node2 and node3 reach each other at a quarter of the rate."""
    folder = tmp_path_factory.mktemp("slow") / "trial"
    return measured_study(folder, 4, lambda a, b: 0.25 if {a, b} == {"node2", "node3"} else 1.0, scales=[2])


def test_cut_is_held_against_the_links_of_one_half(slow_pair: StudyPaths) -> None:
    shift = cut(slow_pair, "shift", 4)
    assert shift["full_gbps"] == pytest.approx(2 * LINE_RATE)
    assert shift["ratio"] == pytest.approx(0.9, abs=0.15)
    assert shift["oversubscription"] == pytest.approx(1 / shift["ratio"])
    assert shift["ratio_to_pairs"] == pytest.approx(1, abs=0.15)
    assert shift["low_gbps"] <= shift["median_gbps"] <= shift["high_gbps"]
    assert (shift["n"], shift["over"], shift["least"]) == (10, "iterations", "node1-node3 node2-node4")


def test_matchings_that_hold_the_slow_pair_are_told(slow_pair: StudyPaths) -> None:
    order, random = cut(slow_pair, "host_order", 4), cut(slow_pair, "random", 4)
    assert order["slow_pairs"] == "node2-node3" and order["with_slow_pair"] == 1
    assert order["median_gbps"] == pytest.approx(2 * 0.25 * 0.9, rel=0.2), "both pairs wait for the slow one"
    assert cut(slow_pair, "shift", 4)["slow_pairs"] is None
    assert (random["n"], random["over"]) == (30, "matchings")
    assert 2 <= random["with_slow_pair"] <= 20, "one of three matchings of four hosts has it"
    assert random["slow_pairs"] == "node2-node3"
    assert random["without_slow_pair_gbps"] == pytest.approx(1.8, rel=0.15)
    assert random["least_gbps"] <= random["p10_at_least_gbps"] <= random["p10_gbps"] <= random["median_gbps"]
    assert sum(bool(row["worst"]) for row in rows(slow_pair, "bisection") if row["scale"] == 4) == 1


def test_slow_pair_is_named_in_table_and_words(slow_pair: StudyPaths) -> None:
    slow = {(row["how"], row["pair"]) for row in rows(slow_pair, "bisection_pairs") if row["slow"]}
    assert slow == {(how, "node2-node3") for how in ("alone", "rounds", "matching")}
    (row,) = [r for r in rows(slow_pair, "bisection_pairs") if r["slow"] and r["how"] == "alone"]
    assert row["ratio"] == pytest.approx(0.25, rel=0.15) and row["p"] < 0.01
    assert row["fraction_of_ceiling"] == pytest.approx(0.225, rel=0.2)
    said = words(slow_pair)
    assert "Pair node2-node3 is slow" in said and "host" not in said.split("Pair node2-node3")[1].split(".")[0]
    assert "random matchings hold a slow pair and wait for it" in said


def test_slow_host_is_named_rather_than_its_pairs(tmp_path: Path) -> None:
    paths = measured_study(tmp_path / "t", 4, lambda a, b: 0.4 if "node3" in (a, b) else 1.0)
    slow = {row["pair"]: row["slow_end"] for row in rows(paths, "bisection_pairs") if row["slow"]}
    assert slow == {"node1-node3": "node3", "node2-node3": "node3", "node3-node4": "node3"}
    said = words(paths)
    assert "Host node3 is slow: its 3 pairs reach" in said and "Pair" not in said


def test_uniform_fabric_has_nobody_to_blame(tmp_path: Path) -> None:
    paths = measured_study(tmp_path / "t", 5, lambda a, b: 1.0, noise=0.08, repeats=2)
    assert not any(row["slow"] for row in rows(paths, "bisection_pairs"))
    assert "No pair stands out from the others." in words(paths)
    shift = cut(paths, "shift", 5)
    assert (shift["n"], shift["over"], shift["note"]) == (2, "repeats", "node5 sat out")
    assert shift["full_gbps"] == pytest.approx(2 * LINE_RATE), "who sits out does not count"
    assert cut(paths, "random", 5)["n"] == 60


def test_switches_that_are_oversubscribed_show_in_their_cut(tmp_path: Path) -> None:
    leaves = parse_slurm("SwitchName=s0 Nodes=node[1,3]\nSwitchName=s1 Nodes=node[2,4]\n", "slurm")
    of = {"node1": 0, "node3": 0, "node2": 1, "node4": 1}
    paths = measured_study(
        tmp_path / "t",
        4,
        lambda a, b: 1.0 if of[a] == of[b] else 0.5,
        topology=leaves,
        cuts=["host_order", "switch", "rail"],
        network={"nodes_per_switch": 2, "oversubscription": {"value": 2.0, "source": "made up"}},
    )
    switch = cut(paths, "switch", 4)
    assert switch["oversubscription"] == pytest.approx(2 / 0.9, rel=0.15)
    assert switch["declared_gbps"] == pytest.approx(LINE_RATE)
    rail = cut(paths, "rail", 4)
    assert rail["n"] == 0 and "two ranks or more" in rail["note"] and rail["median_gbps"] is None


def test_reading_above_the_declared_links_is_explained(tmp_path: Path) -> None:
    found = section(read_study(measured_study(tmp_path / "t", 2, lambda a, b: 3.0, matchings=1)))
    assert found is not None
    cells = [cell for row in found.tables[0].rows for cell in row]
    assert any("more than the links carry as declared" in cell.text for cell in cells)


def test_tenth_percentile_has_a_bound_from_29_matchings_on() -> None:
    assert tenth_percentile_bound(range(1, 29)).value is None
    assert tenth_percentile_bound(range(1, 30)).value == 1
    assert tenth_percentile_bound(range(1, 47)).value == 2, "(46 over 1) is the first n at which the second will do"
    source = np.random.default_rng(1)
    held = [(tenth_percentile_bound(source.random(40)).value or 0) <= 0.1 for _ in range(2000)]
    assert np.mean(held) >= 0.94


def test_study_without_a_completed_repeat_has_a_section_that_says_so(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path / "t")
    (case,) = study.experiment("fabric", {"kind": "bisection"})
    study.failed(case, 0)
    paths = study.analyse()
    assert rows(paths, "bisection") == rows(paths, "bisection_pairs") == []
    assert words(paths) == "No repeat was completed."


def test_figures_are_the_same_bytes_each_time(slow_pair: StudyPaths) -> None:
    first, second = (section(read_study(slow_pair)) for _ in range(2))
    assert first is not None and second is not None
    assert [figure.name for figure in first.figures] == ["bisection_cuts", "bisection_pairs"]
    assert [figure.svg for figure in first.figures] == [figure.svg for figure in second.figures]


def test_many_hosts_are_drawn_as_dots(tmp_path: Path) -> None:
    paths = measured_study(tmp_path / "t", 34, lambda a, b: 1.0, matchings=1, pairwise=["rounds"], cuts=[])
    found = section(read_study(paths))
    assert found is not None and "pairs, slowest first" in found.figures[1].svg
