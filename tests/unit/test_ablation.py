"""What a feature of the fabric is worth: the same work with everything on and without it, on one machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ranks import collective, run_ranks
from study_on_disk import COLLECTIVE, FINETUNE, GEMM, LAPTOP, StudyOnDisk

from seatrial.analysis.ablation import ablation, pairs_of
from seatrial.case import Case
from seatrial.errors import ConfigError, UnreadableFile
from seatrial.plan import make_plan
from seatrial.record import Measurement, measurement
from seatrial.report.ablation import section
from seatrial.report.study_tables import read_study

WAYS = {
    "p2p_off": {
        "description": "No direct access (NCCL_P2P_DISABLE)",
        "environment": {"NCCL_P2P_DISABLE": "1"},
        "without": ["scale_up"],
    },
    "nvls_off": {"description": "No NVLink SHARP", "environment": {"NCCL_NVLS_ENABLE": "0"}},
}
SIZES = [2**20, 2**24, 2**28]


@pytest.fixture
def study(tmp_path: Path) -> StudyOnDisk:
    return StudyOnDisk(tmp_path / "trial", target={**LAPTOP, "tasks_per_node": 8, "ablations": WAYS})


def planned(
    study: StudyOnDisk, way: str | None, workload: dict[str, Any], repeats: int = 3, name: str = "fabric"
) -> Case:
    """A case of `workload` without `way`, beside those that are planned already."""
    study.study["target"] = {**study.study["target"], "ablation": way}
    (case,) = study.experiment(name, workload, repeats)
    return case


def bus(size: int, gbps: float) -> Measurement:
    labels = {"operation": "all_reduce", "dtype": "float32", "size_bytes": size, "ranks": 8}
    return measurement("collective.bus_bandwidth", [gbps * f for f in (0.99, 1.0, 1.01)], labels)


def swept(study: StudyOnDisk, case: Case, gbps: float, repeats: int = 3) -> None:
    for repeat in range(repeats):
        study.record(case, repeat, *(bus(size, gbps * (1 + 0.01 * repeat)) for size in SIZES))


def rows_of(study: StudyOnDisk) -> pd.DataFrame:
    return pd.read_csv(study.analyse().ablation)


def test_each_size_without_a_feature_stands_beside_the_same_with_everything(study: StudyOnDisk) -> None:
    full = planned(study, None, COLLECTIVE)
    without = planned(study, "p2p_off", COLLECTIVE)
    swept(study, full, 400.0)
    swept(study, without, 100.0)
    rows = rows_of(study)
    assert list(rows["size_bytes"]) == SIZES and set(rows["ablation"]) == {"p2p_off"}
    row = rows.iloc[0]
    assert (row["case_id"], row["full_case_id"]) == (without.case_id, full.case_id)
    assert row["metric"] == "collective.bus_bandwidth" and row["without"] == "scale_up"
    assert (row["full"], row["ablated"]) == (pytest.approx(404), pytest.approx(101))
    assert row["slowdown"] == pytest.approx(4)
    assert row["slowdown_low"] < 4 < row["slowdown_high"] and row["slowdown_low"] > 3.8
    assert row["standing"] == "slower" and "both sides' repeats" in row["interval_method"]


def test_a_step_that_takes_longer_counts_the_same_way_as_a_bandwidth_that_falls(study: StudyOnDisk) -> None:
    for way, factor in ((None, 1.0), ("p2p_off", 2.0)):
        case = planned(study, way, FINETUNE, 2, "training")
        for repeat in range(2):
            slower = factor * (1 + 0.01 * repeat)
            steps = [measurement("train.step_time", [0.1 * slower] * 3, {"step": step}) for step in (10, 20)]
            study.record(case, repeat, *steps, measurement("train.throughput", [6400.0 / slower]))
    rows = rows_of(study).set_index("metric")
    assert rows.loc["train.step_time", "slowdown"] == pytest.approx(2, rel=0.02)
    assert rows.loc["train.throughput", "slowdown"] == pytest.approx(2, rel=0.02)
    assert rows.loc["train.step_time", "full"] == pytest.approx(0.1005)


@pytest.mark.parametrize(("gbps", "standing"), [(101.0, "inconclusive"), (150.0, "faster")])
def test_no_difference_and_a_gain_are_told_apart(study: StudyOnDisk, gbps: float, standing: str) -> None:
    swept(study, planned(study, None, COLLECTIVE), 100.0)
    swept(study, planned(study, "nvls_off", COLLECTIVE), gbps)
    assert set(rows_of(study)["standing"]) == {standing}


def test_one_repeat_gives_a_ratio_without_an_interval(study: StudyOnDisk) -> None:
    swept(study, planned(study, None, COLLECTIVE, 1), 400.0, 1)
    swept(study, planned(study, "p2p_off", COLLECTIVE, 1), 100.0, 1)
    row = rows_of(study).iloc[0]
    assert row["slowdown"] == pytest.approx(4) and pd.isna(row["slowdown_low"])
    assert row["standing"] == "undefined" and "fewer than two repeats" in row["interval_method"]


def test_what_is_missing_is_said_and_is_no_ratio(study: StudyOnDisk) -> None:
    lonely = planned(study, "nvls_off", {**COLLECTIVE, "operation": "broadcast"})
    swept(study, lonely, 100.0)
    full, failed = planned(study, None, COLLECTIVE), planned(study, "p2p_off", COLLECTIVE)
    swept(study, full, 400.0)
    study.failed(failed, 0)
    rows = rows_of(study)
    assert rows["slowdown"].isna().all() and set(rows["standing"]) == {"undefined"}
    notes = rows.groupby("case_id")["note"].first()
    assert "no case that differs in nothing but this" in notes[lonely.case_id]
    assert notes[failed.case_id] == "no completed repeat without it"
    assert set(rows[rows["case_id"] == failed.case_id]["full"]) == {404.0}


def test_cases_that_differ_in_anything_else_are_no_pair(study: StudyOnDisk) -> None:
    planned(study, None, COLLECTIVE)
    planned(study, "p2p_off", {**COLLECTIVE, "iterations": 7})
    (pair,) = pairs_of(study.planned)
    assert pair.full is None


def test_the_case_of_the_same_experiment_is_preferred(study: StudyOnDisk) -> None:
    planned(study, None, COLLECTIVE, name="other")
    own = planned(study, None, COLLECTIVE, name="fabric")
    planned(study, "p2p_off", COLLECTIVE, name="fabric")
    (pair,) = pairs_of(study.planned)
    assert pair.full is not None and pair.full.case_id == own.case_id


def test_a_study_that_switches_nothing_off_has_no_table_and_no_section(study: StudyOnDisk) -> None:
    swept(study, planned(study, None, COLLECTIVE), 100.0)
    assert not study.analyse().ablation.exists()
    assert section(read_study(study.paths)) is None


def test_the_page_shows_the_largest_size_and_draws_them_all(study: StudyOnDisk) -> None:
    swept(study, planned(study, None, COLLECTIVE), 400.0)
    swept(study, planned(study, "p2p_off", COLLECTIVE), 100.0)
    swept(study, planned(study, "nvls_off", COLLECTIVE), 300.0)
    page = section(read_study(study.analyse()))
    assert page is not None
    (table,) = page.tables
    assert [[cell.text for cell in row][:1] for row in table.rows] == [["p2p_off"], ["nvls_off"]]
    assert table.rows[0][1].under == "256 MiB" and table.rows[0][5].text == "4.00"
    assert len(page.details[0][1].rows) == 6
    assert page.figures[0].name == "ablation" and "4.00 at 256 MiB" in page.figures[0].caption
    assert any("NCCL_P2P_DISABLE" in words for words in page.words)


STUDY = """# @package _global_
defaults:
  - /workload@experiments.fabric.workload: collective
  - /sweep@experiments.fabric.sweep: fabric_ablation
  - /workload@experiments.train.workload: llm_finetune
  - /sweep@experiments.train.sweep: fabric_ablation
  - _self_
title: Without
experiments:
  fabric: {repeats: 2}
  train: {repeats: 2}
"""


def test_a_sweep_over_ablations_plans_collectives_and_trainings_in_pairs(tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    shutil.copytree(Path(__file__).parents[2] / "conf", conf)
    (conf / "study" / "trial.yaml").write_text(STUDY, encoding="utf-8")
    plan = make_plan(["study=trial", "target=dgx_h100"], conf)
    pairs = pairs_of(plan.cases)
    assert [pair.ablated.target.ablation for pair in pairs if pair.ablated.experiment == "train"] == [
        "p2p_off",
        "nvls_off",
        "fast_network_off",
        "gpudirect_off",
    ]
    assert len(pairs) == 8 and all(pair.full is not None for pair in pairs)
    with pytest.raises(ConfigError, match=r"fabric_ablation\.yaml[\s\S]*p2p_off[\s\S]*allowed: null"):
        make_plan(["study=trial", "target=local"], conf)


def run(study: StudyOnDisk, case: Case, folder: Path) -> None:
    """Run the case on real ranks and keep its record as the study's."""
    ended = run_ranks(case, "probe", folder)
    assert ended.record is not None, ended.errors
    ended.record.write(study.paths.record(case.case_id, 0))


def test_gloo_obeys_what_a_case_switches_off_and_its_failure_is_no_figure(tmp_path: Path) -> None:
    """Two real ranks that are told to talk over an interface that there is not."""
    ways = {"network_off": {"description": "x", "environment": {"GLOO_SOCKET_IFNAME": "none0"}}}
    study = StudyOnDisk(tmp_path / "trial", target={**LAPTOP, "tasks_per_node": 2, "ablations": ways})
    full = planned(study, None, collective(), 1)
    off = planned(study, "network_off", collective(), 1)
    run(study, full, tmp_path / "full")
    run(study, off, tmp_path / "off")
    row = rows_of(study).iloc[0]
    assert row["full"] > 0 and pd.isna(row["ablated"]) and row["note"] == "no completed repeat without it"
    assert "none0" in json.loads(study.paths.record(off.case_id, 0).read_text())["error"]["message"]


@pytest.mark.alone
def test_two_ranks_multiply_slower_without_the_vector_units_that_a_case_switches_off(tmp_path: Path) -> None:
    """MKL reads its variable when torch loads it: the session sets it before."""
    torch = pytest.importorskip("torch")
    if not torch.backends.mkl.is_available():
        pytest.skip("torch is built without MKL here")
    ways = {"vectors_off": {"description": "SSE2 alone", "environment": {"MKL_CBWR": "COMPATIBLE"}}}
    target = {**LAPTOP, "tasks_per_node": 2, "ablations": ways}
    study = StudyOnDisk(tmp_path / "trial", target=target)
    product = {**GEMM, "m": 512, "n": 512, "k": 512, "iterations": 10}
    for way in (None, "vectors_off"):
        run(study, planned(study, way, product, 1), tmp_path / f"{way}")
    rows = rows_of(study)
    (row,) = rows[rows["metric"] == "gemm.throughput"].to_dict("records")
    assert row["slowdown"] == pytest.approx(row["full"] / row["ablated"]) and row["slowdown"] > 1.2


def test_analysis_needs_collected_measurements(study: StudyOnDisk) -> None:
    planned(study, "p2p_off", COLLECTIVE)
    with pytest.raises(UnreadableFile, match="measurements"):
        ablation(study.paths)
