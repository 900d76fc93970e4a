"""step_time.csv and routing.csv: shares from every step, never a number for what was not measured."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from study_on_disk import FINETUNE, GEMM, training_measurements
from trainings_on_disk import (
    DIFFUSION,
    EXTERNAL,
    H100S,
    MOE,
    TWO_RANKS,
    energy,
    in_samples,
    ranks,
    routed,
    split,
)

from seatrial.analysis.step_time import PARTS
from seatrial.errors import UnreadableFile
from seatrial.record import measurement
from seatrial.report.study_tables import read_study

CPU_ONLY = {"utilisation": "target laptop runs on CPUs, for which no peak is declared"}


def table(path):
    return pd.read_csv(path, dtype={"case_id": str})


def step_time(study):
    return table(study.analyse().step_time).iloc[0]


def test_shares_are_of_all_steps_and_of_the_checkpoints(make_study):
    study = make_study()
    (case,) = study.experiment("diffusion", DIFFUSION, 2)
    steps = split([3.0, 1.0], [0.5], [0.25], [0.25], stalls=[1.0, 3.0])  # 4 of 10 s is compute, 4 s stalls
    for repeat in (0, 1):
        study.record(case, repeat, *in_samples(1.0), *steps)
    row = step_time(study)
    shares = [row[f"{part}_share"] for part in PARTS]
    assert shares == pytest.approx([0.4, 0.1, 0.05, 0.4, 0.05])
    assert row["productive_fraction"] == pytest.approx(0.4)
    assert (row["measured"], row["repeats"]) == (2, 2)


def test_a_few_long_steps_count_by_their_length_and_not_by_their_number(make_study):
    """The medians of a step's phases would not see the one step that waits for data."""
    study = make_study()
    (case,) = study.experiment("finetune", FINETUNE)
    waits = [0.0] * 8 + [2.0]
    study.record(case, 0, *training_measurements(1.0), *split([1.0] * 9, data=waits))
    assert step_time(study)["data_wait_share"] == pytest.approx(2 / 11)


def test_no_checkpoints_is_no_share_and_says_so(make_study):
    study = make_study()
    (case,) = study.experiment("finetune", FINETUNE)
    study.record(case, 0, *training_measurements(1.0), *split([1.0]))
    row = step_time(study)
    assert math.isnan(row["checkpoint_stall_share"])
    assert row["split_note"] == "no checkpoints are asked for"
    assert row["communication_share"] == 0.0  # measured, and there was none


def test_failed_and_missing_repeats_have_no_shares(make_study):
    study = make_study()
    (case,) = study.experiment("finetune", FINETUNE, 2)
    study.failed(case, 0)
    row = step_time(study)
    assert row["measured"] == 0
    assert math.isnan(row["compute_share"]) and math.isnan(row["productive_fraction"])
    assert row["split_note"] == row["utilisation_note"] == row["energy_note"] == "no repeat completed"


def test_the_interval_of_a_share_ends_at_one(make_study):
    study = make_study()
    (case,) = study.experiment("finetune", FINETUNE, 2)
    for repeat, compute in enumerate((0.5, 0.95)):
        steps = split([compute], other=[1 - compute])
        study.record(case, repeat, *training_measurements(1.0), *steps)
    row = step_time(study)
    assert row["productive_high"] == 1.0
    assert row["interval_method"] == "log-t 95 %, cut at 1"


def test_why_there_is_no_mfu_comes_from_the_records(make_study):
    study = make_study()
    (case,) = study.experiment("finetune", FINETUNE)
    flops = measurement("train.model_flops_per_second", [0.25])
    study.record(case, 0, *training_measurements(1.0), flops, provenance=CPU_ONLY)
    row = step_time(study)
    assert math.isnan(row["mfu"]) and row["utilisation_note"] == CPU_ONLY["utilisation"]
    assert row["model_tflops_per_second"] == 0.25


def test_mfu_that_is_defined_stands_without_a_reason(make_study):
    study = make_study(target=H100S)
    (case,) = study.experiment("finetune", FINETUNE)
    used = [measurement("train.mfu", [0.41]), measurement("train.hfu", [0.5])]
    study.record(case, 0, *training_measurements(1.0), *used)
    row = step_time(study)
    assert (row["mfu"], row["hfu"]) == (0.41, 0.5)
    assert pd.isna(row["utilisation_note"])


def test_the_slowest_rank_is_named_where_it_is_the_same_one(make_study):
    study = make_study(target=TWO_RANKS)
    same, other = study.experiment("finetune", FINETUNE, 3, {"workload.max_steps": [50, 60]})
    for repeat, (one, two) in enumerate([((1.0, 1.5), (1.0, 1.5)), ((1.0, 1.5), (1.5, 1.0)), ((1.5, 1.0), ())]):
        study.record(same, repeat, *training_measurements(1.0), *ranks(*one))
        study.record(other, repeat, *training_measurements(1.0), *ranks(*two))
    first, second = table(study.analyse().step_time).to_dict("records")
    assert (first["slowest_rank"], first["slowest_over_median"]) == (1, pytest.approx(1.5 / 1.25))
    assert math.isnan(second["slowest_rank"])  # a different one in each repeat
    assert second["slowest_over_median"] == pytest.approx(1.2)


def test_one_rank_is_not_the_slowest(make_study):
    study = make_study()
    (case,) = study.experiment("finetune", FINETUNE)
    study.record(case, 0, *training_measurements(1.0), *ranks(1.0))
    assert math.isnan(step_time(study)["slowest_over_median"])


def test_energy_is_of_all_accelerators_while_training_or_it_is_not_there(make_study):
    study = make_study(target=H100S)
    both, part = study.experiment("finetune", FINETUNE, 1, {"workload.max_steps": [50, 60]})
    of_run = energy({"cuda:0": 900.0}, scope="run")
    first, second = energy({"cuda:0": 100.0, "cpu": 30.0}), energy({"cuda:1": 120.0}, rank=1)
    study.record(both, 0, *training_measurements(1.0), *first, *second, *of_run)
    study.record(part, 0, *training_measurements(1.0), *energy({"cuda:0": 100.0}))
    one, two = table(study.analyse().step_time).to_dict("records")
    assert (one["accelerator_joules"], one["cpu_joules"]) == (220.0, 30.0)
    assert pd.isna(one["energy_note"])
    assert math.isnan(two["accelerator_joules"]) and two["energy_note"] == "not of all devices"


def test_no_sensor_and_no_sampling_are_different_reasons(make_study):
    study = make_study()
    _, quiet = study.experiment("finetune", FINETUNE, 1, {"workload.telemetry_interval_seconds": [1.0, None]})
    for case in study.planned:
        study.record(case, 0, *training_measurements(1.0))
    rows = table(study.analyse().step_time).set_index("case_id")
    assert list(rows["energy_note"]) == ["no sensor answered", "sampling is switched off"]
    assert rows.loc[quiet.case_id, "energy_note"] == "sampling is switched off"


def test_a_command_has_a_row_that_says_why_it_has_no_shares(make_study):
    study = make_study()
    (case,) = study.experiment("command", EXTERNAL)
    study.record(case, 0, measurement("train.throughput", [100.0]))
    row = step_time(study)
    assert math.isnan(row["compute_share"])
    assert "does not say where its steps' time goes" in row["split_note"]
    assert "FLOPs of a command" in row["utilisation_note"]


def test_routing_by_case(make_study):
    study = make_study(target=TWO_RANKS)
    layouts = [{"ep": 1}, {"ep": 2}]
    alone, shared = study.experiment("moe", MOE, 2, {"workload.parallelism": layouts})
    for repeat in (0, 1):
        study.record(alone, repeat, *training_measurements(1.0), *split([0.9], other=[0.1]), *routed(2.0))
        study.record(shared, repeat, *training_measurements(1.0), *split([0.6], [0.4]), *routed(3.0, 0.25))
    one, two = table(study.analyse().routing).to_dict("records")
    assert (one["experts"], one["ep"], one["dp"], two["ep"], two["dp"]) == (4, 1, 2, 2, 1)
    # layers have 2 and 3, in stretches half of it more evenly
    assert (one["imbalance"], one["imbalance_of_stretches"]) == (2.5, 1.5)
    assert (one["gini"], one["gini_of_stretches"]) == (0.2, 0.1)
    assert math.isnan(one["all_to_all_share"]) and math.isnan(one["rank_imbalance"])
    assert (two["all_to_all_share"], two["rank_imbalance"]) == (0.25, 1.25)
    assert (one["productive_fraction"], two["productive_fraction"]) == (pytest.approx(0.9), pytest.approx(0.6))
    assert math.isnan(one["dropped_share"]) and not one["drops"]


def test_what_a_capacity_drops_is_a_share(make_study):
    study = make_study()
    (case,) = study.experiment("moe", MOE | {"capacity_factor": 1.0})
    study.record(case, 0, *training_measurements(1.0), *routed(2.0, dropped=0.125))
    row = table(study.analyse().routing).iloc[0]
    assert row["dropped_share"] == 0.125 and row["drops"]


def test_studies_that_train_nothing_have_neither_table(make_study):
    study = make_study()
    study.experiment("gemm", GEMM)
    study.paths.tables.mkdir(parents=True)
    study.paths.step_time.write_text("stale\n")
    study.paths.routing.write_text("stale\n")
    paths = study.analyse()
    assert not paths.step_time.exists() and not paths.routing.exists()
    assert read_study(paths).step_time == []


@pytest.mark.parametrize("name", ["step_time", "routing", "convergence"])
def test_a_table_of_another_study_is_refused(make_study, name):
    study, other = make_study(), make_study("other")
    study.experiment("moe", MOE)
    other.experiment("moe", MOE | {"max_steps": 30})
    paths, foreign = study.analyse(), other.analyse()
    frame = table(getattr(foreign, name))
    if frame.empty:
        frame.loc[0, "case_id"] = other.planned[0].case_id
    frame.to_csv(getattr(paths, name), index=False)
    with pytest.raises(UnreadableFile, match=f"case {other.planned[0].case_id} is not of this study"):
        read_study(paths)
