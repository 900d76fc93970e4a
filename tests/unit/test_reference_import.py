"""`seatrial reference import` scores as MLCommons' own summarizer does."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from official_summarizer import OfficialScore, official_scores
from result_tables import FIXTURES, copied, imported, repository, scored

from seatrial.reference.scoring import Score

ROUNDS = sorted(path.name.removeprefix("training_results_") for path in FIXTURES.glob("training_results_*"))
SAMPLES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "mlperf_logs"
TOLERANCE = 1e-6
WRONG_NUMBER_OF_RUNS = {"QuantaGrid_D75E", "QuantaGrid_D75F"}
"""3 and 11 runs of 10: the summarizer scores what is there, MLCommons' package check refuses it, and so do we."""
COMPARED = {"v3.1": 4, "v4.0": 9, "v4.1": 3, "v5.0": 4, "v5.1": 32, "v6.0": 2}
"""Folders of each round that the official tool scores, or refuses to, without dying."""


def same(ours: float | None, theirs: float | None) -> bool:
    """Both unknown, or equal to TOLERANCE."""
    if ours is None or theirs is None:
        return ours is theirs
    return ours == pytest.approx(theirs, rel=TOLERANCE)


def assert_as_official(official: OfficialScore, ours: Score) -> None:
    assert same(ours.minutes, official.score)
    if official.score is not None:
        assert ours.factor == pytest.approx(official.factor, rel=TOLERANCE)
    if official.global_batch_size not in (None, -1):
        assert ours.global_batch_size == official.global_batch_size
    failed = ours.successful_runs < ours.runs
    # of runs that failed the tool averages its own mark for infinity, 1e9, where more than one is dropped
    if official.samples_to_converge is not None and not (failed and official.benchmark == "unet3d"):
        assert ours.samples_to_quality == pytest.approx(official.samples_to_converge, rel=TOLERANCE)


@pytest.mark.parametrize("round_", ROUNDS)
def test_every_fixture_scores_as_with_the_official_tool(round_: str) -> None:
    ours = scored(repository(round_))
    official = official_scores(repository(round_), round_)
    compared = 0
    for theirs in official:
        if theirs.died or theirs.skipped or theirs.system in WRONG_NUMBER_OF_RUNS:
            continue
        if theirs.path not in ours:
            assert theirs.score is None
            continue
        assert_as_official(theirs, ours[theirs.path][1])
        compared += 1
    assert compared == COMPARED[round_]


@pytest.mark.parametrize("round_", ROUNDS)
def test_energy_is_the_official_tools(round_: str) -> None:
    ours = scored(repository(round_))
    found = 0
    for theirs in official_scores(repository(round_), round_, power=True):
        if not theirs.died and theirs.path in ours:
            assert same(ours[theirs.path][1].energy_joules, theirs.energy)
            found += theirs.energy is not None
    assert found == (2 if round_ == "v4.0" else 0)


@pytest.mark.parametrize("round_", ["v4.0", "v5.0", "v5.1"])
def test_every_published_sample_scores_as_with_the_official_tool(round_: str) -> None:
    if not SAMPLES.is_dir():
        pytest.skip("the published sample logs ../shared/data/mlperf_logs are not here")
    ours = scored(SAMPLES / round_)
    official = official_scores(SAMPLES / round_, round_)
    assert len(official) == len(ours) > 0
    for theirs in official:
        assert theirs.score is not None
        assert_as_official(theirs, ours[theirs.path][1])


def test_what_kills_the_official_tool_still_has_a_row_and_a_reason(tmp_path: Path) -> None:
    rows = imported(repository("v5.1"), tmp_path / "out.csv")
    notes = {row["system_id"]: row["note"] for row in rows}
    for system in ("mf-metadata", "mf-time", "mf-value", "mf-record", "mf-division"):
        assert "result_1.txt does not count" in notes[system]
    assert "scaling.json cannot be read" in notes["mf-factor"]
    assert "has no benchmark gpt3" in notes["mf-renamed"]
    assert "no readable system description" in notes["mf-json"]
    assert "does not say how many accelerators" in notes["mf-counts"]


def test_a_power_log_whose_start_and_stop_coincide_gives_energy_and_a_remark() -> None:
    _, twin = scored(repository("v4.0"))["tideline-ac-power/results/1xTL-H100-SXM-80GB/ssd"]
    assert twin.energy_joules is not None and 1e6 < twin.energy_joules < 1e8
    assert any("no stop after the start" in note for note in twin.notes)


def test_a_run_without_node_power_leaves_no_energy() -> None:
    _, quay = scored(repository("v4.0"))["Quay/results/qy-8xh100-pcie/ssd"]
    assert quay.minutes is not None and quay.energy_joules is None
    assert any("no energy: 1 of 5 runs" in note for note in quay.notes)


@pytest.mark.parametrize("system", sorted(WRONG_NUMBER_OF_RUNS))
def test_another_number_of_runs_than_demanded_is_no_score(system: str) -> None:
    _, result = scored(repository("v5.1"))[f"Quanta_Cloud_Technology/results/{system}/rgat"]
    assert result.minutes is None and result.unscaled_minutes is not None
    assert any("10 are demanded" in note for note in result.notes)


def test_a_run_that_died_before_it_named_its_batch_does_not_switch_the_scaling_factor_off(tmp_path: Path) -> None:
    place = "training_results_v5.0/Harbour+Lighthouse"
    folder = copied(place, tmp_path) / "results" / "hl-gb200-n16" / "llama31_405b"
    (whole,) = imported(tmp_path / place, tmp_path / "whole.csv")
    assert float(whole["rcp_factor"]) > 1
    for number in range(3):
        log = folder / f"result_{number}.txt"
        text = log.read_bytes()
        log.write_bytes(text[:600])
        (row,) = imported(tmp_path / place, tmp_path / "out.csv")
        assert (row["successful_runs"], row["confidence"]) == ("2", "unverified")
        assert float(row["rcp_factor"]) > 1, row["note"]
        log.write_bytes(text)


def test_logs_of_another_benchmark_than_the_folders_give_no_score(tmp_path: Path) -> None:
    system = copied("training_results_v5.1/Lighthouse", tmp_path) / "results" / "lh-8xb200"
    shutil.rmtree(system / "flux1")
    (system / "llama31_8b").rename(system / "flux1")
    rows = imported(tmp_path / "training_results_v5.1", tmp_path / "out.csv")
    row = next(r for r in rows if r["benchmark"] == "flux1")
    assert (row["minutes"], row["confidence"]) == ("", "")
    assert "its logs are of llama31_8b, not of flux1" in row["note"]
