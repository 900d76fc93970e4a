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
    assert (random["n"], random["over"], random["every"]) == (3, "matchings", True)
    assert random["with_slow_pair"] == 1, "one of three matchings of four hosts has it"
    assert random["slow_pairs"] == "node2-node3"
    assert random["without_slow_pair_gbps"] == pytest.approx(1.8, rel=0.15)
    assert random["p10_gbps"] is None and "these are all 3 matchings" in random["p10_method"]
    assert random["low_gbps"] is None, "an interval of what was measured whole would say nothing"
    assert [r["cut"] for r in rows(slow_pair, "bisection") if r["scale"] == 4 and r["worst"]] == ["host_order"]


def test_slow_pair_is_named_in_table_and_words(slow_pair: StudyPaths) -> None:
    slow = {(row["how"], row["pair"]) for row in rows(slow_pair, "bisection_pairs") if row["slow"]}
    assert slow == {(how, "node2-node3") for how in ("alone", "rounds", "matching")}
    (row,) = [r for r in rows(slow_pair, "bisection_pairs") if r["slow"] and r["how"] == "alone"]
    assert row["ratio"] == pytest.approx(0.25, rel=0.15) and row["p"] < 0.01
    assert row["fraction_of_ceiling"] == pytest.approx(0.225, rel=0.2)
    said = words(slow_pair)
    assert "Pair node2-node3 is slow" in said and "host" not in said.split("Pair node2-node3")[1].split(".")[0]
    assert "1 of 3 matchings hold a slow pair and wait for it" in said


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
    assert cut(paths, "random", 5)["n"] == 15, "what two repeats measured is one matching each"
    assert "no cut of 5 hosts" in words(paths) and "worst" not in words(paths)


def test_one_pair_has_one_cut_and_no_percentile(tmp_path: Path) -> None:
    paths = measured_study(tmp_path / "t", 2, lambda a, b: 1.0)
    (row,) = rows(paths, "bisection")
    assert (row["cut"], row["also"], row["n"], row["over"]) == ("host_order", "shift random", 10, "iterations")
    assert row["p10_gbps"] is None and not row["worst"] and row["ratio_to_pairs"] is None
    assert "there is one cut of 2 hosts, 1 MiB each, host order, first with last = shift by half" in words(paths)


def test_drawn_matchings_that_are_not_all_have_a_tenth_percentile(tmp_path: Path) -> None:
    random = cut(measured_study(tmp_path / "t", 6, lambda a, b: 1.0, matchings=14, cuts=[]), "random", 6)
    assert (random["n"], random["every"]) == (14, False) and random["p10_gbps"] is not None
    assert random["least_gbps"] <= random["p10_gbps"] <= random["median_gbps"]


def test_a_record_of_many_hosts_stays_small_and_says_what_was_not_measured(tmp_path: Path) -> None:
    paths = measured_study(
        tmp_path / "t",
        140,
        lambda a, b: 0.3 if {a, b} == {"node1", "node140"} else 1.0,
        matchings=1,
        pairwise=["rounds"],
        most_rounds=20,
        cuts=["shift"],
    )
    found = [row for row in rows(paths, "bisection_pairs") if row["how"] == "rounds"]
    assert len(found) == 20 * 70
    assert [row["pair"] for row in found if row["slow"]] == ["node1-node140"]
    assert "the rounds measured 1400 of 9730 pairs, each end in 20 of them" in words(paths)
    (_, shown), *_ = section(read_study(paths)).details  # type: ignore[union-attr]
    assert shown.total == len(rows(paths, "bisection_pairs")) > len(shown.rows)
    assert shown.rows[0][1].text == "node1-node140", "what is slow is not among those that the page leaves out"
    size = sum(path.stat().st_size for path in paths.records.rglob("*.json"))
    assert size < 150_000, "less than 100 bytes for each pair"


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
