"""tables/variance.csv: what the design tells apart has a figure, what it cannot has words, never 0."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from study_on_disk import FINETUNE, GEMM

from seatrial.analysis.variance import COLUMNS
from seatrial.record import measurement
from seatrial.report.page import report


def rows(paths, metric):
    found = pd.read_csv(paths.variance)
    assert list(found.columns) == list(COLUMNS)
    return found[found["metric"] == metric].set_index("component")


def finetune(study, repeats, cases, minutes, **words):
    """Trains `cases` cases of `repeats` repeats; `minutes(case, repeat)`, `words` are functions of the repeat."""
    rates = [1e-3 * (i + 1) for i in range(cases)]
    for i, case in enumerate(study.experiment("finetune", FINETUNE, repeats, {"workload.learning_rate": rates})):
        for repeat in range(repeats):
            facts = {name: make(repeat) for name, make in words.items()}
            study.record(case, repeat, measurement("train.samples_to_quality", [minutes(i, repeat)]), **facts)
    return study.analyse()


def test_one_case_cannot_tell_seeds_from_runs(make_study):
    paths = finetune(make_study(), 5, 1, lambda case, repeat: 10 + repeat)
    found = rows(paths, "train.samples_to_quality")
    assert found.loc["seed", "separable"] == "no"
    assert "not separable from differences from run to run" in found.loc["seed", "note"]
    assert found.loc["allocation", "separable"] == "not_recorded"
    assert found.loc["node", "note"] == "not separable: one set of nodes only"
    assert found.loc[["seed", "node", "allocation", "time_of_day"], ["cov", "share"]].isna().all().all()
    left = found.loc["run_to_run"]
    assert left["separable"] == "yes" and left["note"] == "holds what belongs to seed"
    assert left["cov"] == pytest.approx(np.std(np.log(10 + np.arange(5)), ddof=1))
    assert left["cov_low"] < left["cov"] < left["cov_high"]


def test_seeds_crossed_with_cases_are_told_from_runs(make_study):
    draw = np.random.default_rng(2)
    of_seed, rest = 0.2 * draw.normal(size=8), 0.01 * draw.normal(size=(4, 8))
    paths = finetune(make_study(), 8, 4, lambda i, r: float(np.exp(i + of_seed[r] + rest[i, r])))
    found = rows(paths, "train.samples_to_quality")
    seed, left = found.loc["seed"], found.loc["run_to_run"]
    assert seed["separable"] == left["separable"] == "yes"
    assert (seed["levels"], seed["runs"], seed["cases"]) == (8, 32, 4)
    assert seed["cov_low"] <= 0.2 <= seed["cov_high"] and left["cov_low"] <= 0.01 <= left["cov_high"]
    assert seed["share"] > 0.95 and seed["share"] + left["share"] == pytest.approx(1)


def test_one_allocation_only_is_not_separable(make_study):
    slurm = {"hosts": ["n1"], "slurm": {"SLURM_JOB_ID": "7"}}
    paths = finetune(make_study(), 3, 2, lambda i, r: 10.0 + i + 2 * r, provenance=lambda repeat: slurm)
    found = rows(paths, "train.samples_to_quality").loc["allocation"]
    assert found["separable"] == "no" and found["note"] == "not separable: one allocation only"
    assert pd.isna(found["cov"])


def test_seed_and_allocation_that_change_together_have_one_figure_under_both_names(make_study):
    def facts(repeat):
        return {"hosts": ["n1"], "slurm": {"SLURM_JOB_ID": str(repeat)}}

    draw = np.random.default_rng(0)
    paths = finetune(make_study(), 5, 3, lambda i, r: float(np.exp(0.1 * draw.normal())), provenance=facts)
    found = rows(paths, "train.samples_to_quality")
    assert found.loc["seed", "note"] == "not separable from allocation: they change together"
    assert found.loc["allocation", "note"] == "not separable from seed: they change together"
    assert found.loc["seed + allocation", "separable"] == "yes"
    report(paths)
    assert "seed with allocation" in paths.report.read_text()


def test_times_of_day_are_blocks_of_six_hours(make_study):
    hours = [1, 2, 7, 8, 13, 20]
    draw = np.random.default_rng(1)
    paths = finetune(
        make_study(),
        6,
        3,
        lambda i, r: float(np.exp(0.3 * (hours[r] // 6) + 0.01 * draw.normal())),
        started_at=lambda repeat: f"2026-01-02T{hours[repeat]:02d}:00:00+00:00",
    )
    found = rows(paths, "train.samples_to_quality").loc["time_of_day"]
    assert found["levels"] == 4 and found["separable"] == "yes" and found["share"] > 0.7


def test_nodes_are_told_from_runs_where_every_rank_measures_itself(make_study):
    study = make_study()
    (case,) = study.experiment("gemm", GEMM, 6)
    draw = np.random.default_rng(6)
    of_node = {"n1": 0.0, "n2": 0.0, "n3": -0.2, "n4": 0.05}
    for repeat in range(6):
        hosts = [host for host in of_node for _ in range(2)]
        of_run = 0.03 * draw.normal()
        found = [
            measurement(
                "gemm.throughput", [float(np.exp(of_node[h] + of_run + 0.005 * draw.normal()))], {"rank": rank}
            )
            for rank, h in enumerate(hosts)
        ]
        study.record(case, repeat, *found, provenance={"hosts": hosts})
    found = rows(study.analyse(), "gemm.throughput")
    assert found.loc["node", "separable"] == "yes" and found.loc["node", "levels"] == 4
    assert found.loc["node", "cov_low"] > found.loc["within_run", "cov_high"]
    assert found.loc["within_run", "cov"] == pytest.approx(0.005, rel=0.3)
    assert "not separable from differences from run to run" in found.loc["seed", "note"]
    assert found.loc["run_to_run", "note"] == "holds what belongs to seed"


def test_no_second_repeat_no_component(make_study):
    paths = finetune(make_study(), 1, 3, lambda i, r: 10.0 + i)
    found = rows(paths, "train.samples_to_quality")
    assert (found["separable"] == "no").sum() == 4 and found["cov"].isna().all()
    assert found.loc["run_to_run", "note"] == "no case has two completed repeats"


def test_same_records_same_bytes(make_study):
    paths = finetune(make_study(), 4, 2, lambda i, r: 10.0 + i + r)
    first = paths.variance.read_bytes()
    from seatrial.analysis.variance import variance

    variance(paths)
    assert paths.variance.read_bytes() == first
