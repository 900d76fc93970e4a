"""time_to_quality.csv: medians over completed repeats, counts of planned ones."""

from __future__ import annotations

import math

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from study_on_disk import B200, FINETUNE, GEMM, training_measurements
from trainings_on_disk import ALL, DIFFUSION, EXTERNAL, GOAL, MOE, in_samples

from seatrial.analysis.analyse import analyse
from seatrial.analysis.collect import collect
from seatrial.errors import UnreadableFile
from seatrial.record import Error, measurement

DESIGN_COLUMNS = [
    "target",
    "workload",
    "accelerators",
    "repeats",
    "converged",
    "quality_metric",
    "quality_target",
    "median_minutes",
    "low_minutes",
    "high_minutes",
    "interval_method",
    "olympic_minutes",
    "samples_to_quality",
    "throughput",
    "throughput_unit",
]


def row_of(paths):
    return pd.read_csv(paths.time_to_quality, dtype={"case_id": str}).iloc[0]


def test_medians_over_completed_repeats(make_study):
    study = make_study()
    (case,) = study.experiment("finetune", FINETUNE, 4)
    study.trained(case, [1.0, 2.0, 4.0])
    study.failed(case, 3, "target_not_reached", "budget spent")
    row = row_of(study.analyse())
    assert set(DESIGN_COLUMNS) <= set(row.index)
    assert (row["repeats"], row["converged"]) == (4, 3)
    assert row["median_minutes"] == 3.0  # of 1, 2, 4 and never
    assert row["low_minutes"] == 1.0 and math.isnan(row["high_minutes"])
    assert row["interval_method"] == "order statistics 87.5 %, no upper end; 1 of 4 never reached it"
    assert row["olympic_minutes"] == 3.0  # the run that did not converge is the slowest that is dropped
    assert row["samples_to_quality"] == 300.0
    assert (row["throughput"], row["throughput_unit"]) == (6400.0, "tokens/s")
    assert (row["quality_metric"], row["quality_target"]) == ("evaluation_loss", 2.5)


def test_without_failures_the_interval_is_that_of_all(make_study):
    study = make_study()
    (case,) = study.experiment("finetune", FINETUNE, 3)
    study.trained(case, [1.0, 2.0, 4.0])
    row = row_of(study.analyse())
    assert (row["median_minutes"], row["interval_method"]) == (2.0, "log-t 95 %")
    assert row["low_minutes"] < 1.0 < 4.0 < row["high_minutes"]


def test_runs_that_did_not_converge_stand_at_infinity(make_study):
    study = make_study()
    some, most = study.experiment("finetune", FINETUNE, 5, {"workload.batch_size": [2, 8]})
    study.trained(some, [1.0, 2.0, 4.0])
    study.trained(most, [1.0, 2.0])
    for case, repeat in ((some, 3), (most, 2), (most, 3)):
        study.failed(case, repeat, "target_not_reached", "budget spent")
    for case in (some, most):
        study.failed(case, 4, "diverged", "the loss is nan")
    three, two = pd.read_csv(study.analyse().time_to_quality).to_dict("records")
    assert (three["converged"], three["median_minutes"], three["low_minutes"]) == (3, 4.0, 1.0)
    assert three["interval_method"] == "order statistics 93.75 %, no upper end; 2 of 5 never reached it"
    assert two["converged"] == 2 and two["low_minutes"] == 1.0
    for name in ("median_minutes", "high_minutes", "samples_to_quality", "evaluation_minutes"):
        assert math.isnan(two[name])
    assert two["interval_method"].endswith("no upper end; 3 of 5 never reached it, so there is no median")
    assert two["throughput"] == 6400.0


def test_a_failed_repeat_that_left_a_time_does_not_count(make_study):
    study = make_study()
    (case,) = study.experiment("finetune", FINETUNE, 2)
    study.trained(case, [1.0])
    error = Error(kind="crashed", message="after the crossing")
    study.record(case, 1, *training_measurements(0.1), outcome="failed", error=error)
    row = row_of(study.analyse())
    assert (row["converged"], row["median_minutes"]) == (1, 1.0)
    assert math.isnan(row["low_minutes"])
    assert row["interval_method"] == "none (n < 2)"


def test_a_crash_leaves_no_olympic_mean(make_study):
    study = make_study()
    (case,) = study.experiment("finetune", FINETUNE, 4)
    study.trained(case, [1.0, 2.0, 4.0])
    study.failed(case, 3, "crashed")
    assert math.isnan(row_of(study.analyse())["olympic_minutes"])


def test_no_record_at_all_is_no_figure_and_not_zero(make_study):
    study = make_study()
    study.experiment("finetune", FINETUNE, 3)
    row = row_of(study.analyse())
    assert (row["repeats"], row["converged"]) == (3, 0)
    assert math.isnan(row["median_minutes"])
    assert math.isnan(row["throughput"])


def test_every_kind_of_training_has_a_row_with_its_own_quality(make_study):
    study = make_study()
    for name, workload in ALL.items():
        study.experiment(name, workload)
    study.analyse()
    rows = pd.read_csv(study.paths.time_to_quality).set_index("experiment")
    assert list(rows["quality_metric"]) == [
        "evaluation_loss", "evaluation_loss", "frechet_distance", "retrieval_accuracy",
    ]  # fmt: skip
    assert "command" not in rows.index  # without a quality it trains to none


def test_what_has_no_tokens_has_samples_per_second(make_study):
    study = make_study()
    (case,) = study.experiment("diffusion", DIFFUSION)
    study.record(case, 0, *in_samples(1.0))
    row = row_of(study.analyse())
    assert (row["throughput"], row["throughput_unit"]) == (250.0, "samples/s")


def test_a_command_with_a_quality_is_a_training_by_its_own_clock(make_study):
    study = make_study()
    (case,) = study.experiment("command", EXTERNAL | {"quality": GOAL}, 3)
    study.record(case, 0, measurement("train.time_to_quality", [3.0]), measurement("train.throughput", [70.0]))
    study.record(case, 1, measurement("train.throughput", [90.0]))  # its log does not tell when
    error = Error(kind="target_not_reached", message="it ended before")
    study.record(case, 2, measurement("train.time_to_quality", [1.0]), outcome="failed", error=error)
    row = row_of(study.analyse())
    assert (row["repeats"], row["converged"]) == (3, 2)
    assert math.isnan(row["median_minutes"])  # of 3 and never
    assert (row["throughput"], row["throughput_unit"]) == (80.0, "tokens/s")
    assert "the command's own" in row["clock"]
    assert math.isnan(row["olympic_minutes"])


@pytest.mark.parametrize("workload", [MOE, EXTERNAL | {"quality": GOAL}], ids=["moe", "command"])
def test_a_training_that_names_a_benchmark_without_being_it_compares_with_nothing(make_study, workload):
    study = make_study(target=B200)
    (case,) = study.experiment("other", workload | {"benchmark": "llama2_70b_lora"})
    study.trained(case, [1.0])
    found = pd.read_csv(study.analyse().comparison).iloc[0]
    assert found["standing"] == "undefined"
    assert f"other ({workload['kind']}) is the same work as llama2_70b_lora" in found["note"]


def test_axes_are_columns_and_probes_are_left_out(make_study):
    study = make_study()
    study.experiment("gemm", GEMM, 1, {"workload.m": [64]})
    study.experiment("finetune", FINETUNE, 1, {"workload.batch_size": [2, 8]})
    study.analyse()
    table = pd.read_csv(study.paths.time_to_quality)
    assert list(table["axis.workload.batch_size"]) == [2, 8]
    assert table["axis.workload.m"].isna().all()


def test_analyse_before_collect_names_the_table(make_study):
    study = make_study()
    study.experiment("gemm", GEMM)
    with pytest.raises(UnreadableFile, match=r"measurements\.parquet"):
        analyse(study.paths)


FOREIGN = "case_id,other\nabc,1\n"


@pytest.mark.parametrize("table", ["repeats", "measurements"])
def test_a_foreign_table_is_refused_with_the_missing_columns(make_study, table):
    study = make_study()
    study.experiment("gemm", GEMM)
    study.criterion("fast", "gemm.throughput", at_least=1.0)
    collect(study.paths)
    if table == "repeats":
        study.paths.repeats.write_text(FOREIGN)
    else:
        pq.write_table(pa.table({"case_id": ["abc"], "repeat": [0]}), study.paths.measurements)
    with pytest.raises(UnreadableFile) as raised:
        analyse(study.paths)
    assert str(getattr(study.paths, table)) in str(raised.value)
    assert "outcome" in str(raised.value)
    assert "study, target, experiment, workload" in str(raised.value)
    assert "case_id" not in str(raised.value)


def test_a_column_of_another_type_is_refused(make_study):
    study = make_study()
    study.experiment("gemm", GEMM)
    collect(study.paths)
    table = pq.read_table(study.paths.measurements)
    at = table.schema.get_field_index("median")
    pq.write_table(table.set_column(at, "median", pa.array([], pa.string())), study.paths.measurements)
    with pytest.raises(UnreadableFile, match="column median is string, not double"):
        analyse(study.paths)


def test_a_table_of_another_study_is_refused(make_study):
    study, other = make_study(), make_study("other")
    study.experiment("gemm", GEMM)
    other.experiment("gemm", GEMM | {"m": 7})
    study.analyse()
    study.paths.repeats.write_bytes(other.analyse().repeats.read_bytes())
    with pytest.raises(UnreadableFile, match=r"repeats\.csv.* is not of this study"):
        analyse(study.paths)
