"""`seatrial ingest mlperf-storage`: checkpoints and training as DLIO summarises them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_results import NAN, checkpoints, durations, training, write_run

from seatrial.analysis.collect import collect
from seatrial.analysis.inputs import read_cases, read_plan
from seatrial.cli import main
from seatrial.ingest.files import HandedFile
from seatrial.ingest.storage.mlperf_storage import read_summary
from seatrial.ingest.storage.read import read_mlperf_storage_results
from seatrial.ingest.storage.result import StorageResult
from seatrial.paths import StudyPaths
from seatrial.record import Record

GIB = 1024**3


def read(summary: dict[str, Any], **beside: Any) -> StorageResult:
    files = {f"{name.lstrip('_')}.json": json.dumps(content).encode() for name, content in beside.items()}
    result, _ = read_summary(
        json.dumps(summary).encode(), HandedFile(Path("summary.json"), "summary.json"), "d", files
    )
    assert result is not None
    return result


def figures(result: StorageResult) -> dict[str, tuple[float, ...]]:
    return {one.metric: one.samples for one in result.readings}


def test_gigabytes_of_dlio_are_gibibytes_and_bandwidth_is_bytes_over_elapsed_time():
    result = read(checkpoints())
    found = figures(result)
    assert result.suite == "checkpointing" and result.error is None
    # 10.6 is the mean of ten rates; ten checkpoints in a hundred seconds are 10.47
    assert found["storage.write_bandwidth"] == pytest.approx((104.7 * GIB / 10.0 / 1e9,))
    assert found["storage.read_bandwidth"] == pytest.approx((104.7 * GIB / 5.0 / 1e9,))
    assert found["storage.write_time"] == (10.0,)


def test_of_every_process_the_slowest_counts_where_all_kept_their_durations():
    stats = {f"_{rank}_per_epoch_stats": durations(9.0 + rank, 10.0) for rank in range(8)}
    found = figures(read(checkpoints(), **stats))
    assert found["storage.write_time"] == (16.0, 10.0)
    assert found["storage.write_bandwidth"] == pytest.approx([104.7 * GIB / s / 1e9 for s in (16.0, 10.0)])
    stats["_3_per_epoch_stats"] = durations(9.0)
    # what the fourth process took for the second checkpoint is not known
    assert figures(read(checkpoints(), **stats))["storage.write_time"] == (10.0,)


def test_a_checkpoint_that_fits_into_memory_and_was_just_written_may_come_from_the_page_cache():
    cached = read(checkpoints(host_memory_GB=[512.0]))
    assert "storage.page_cache_bandwidth" in figures(cached) and "storage.read_bandwidth" not in figures(cached)
    apart = checkpoints(host_memory_GB=[512.0])
    apart["metric"] = {k: v for k, v in apart["metric"].items() if not k.startswith("save")}
    assert "storage.read_bandwidth" in figures(read(apart))


def test_training_is_samples_by_epoch_and_their_bytes():
    result = read(training())
    found = figures(result)
    assert result.suite == "training"
    assert found["storage.training_throughput"] == (39.0, 40.0, 41.0)
    assert found["storage.read_bandwidth"] == pytest.approx([n * 146600628 / 1e9 for n in (39.0, 40.0, 41.0)])
    assert found["storage.accelerator_utilisation"] == pytest.approx((0.951, 0.953, 0.952))
    cached = figures(read(training(potential_caching=[0, 1])))
    assert "storage.page_cache_bandwidth" in cached and "storage.read_bandwidth" not in cached


@pytest.mark.parametrize("flags", [None, [], [None]])
def test_a_training_that_does_not_say_whether_it_was_cached_is_no_figure_of_storage(
    flags: list[int] | None,
) -> None:
    summary = training(potential_caching=flags)
    if flags is None:
        del summary["potential_caching"]
    (found,) = [one for one in read(summary).readings if one.metric.endswith("bandwidth")]
    assert found.metric == "storage.stated_read_bandwidth"
    assert "not stated" in str(found.labels["evidence"])


def test_lists_of_newer_versions_are_read_as_they_stand():
    metric = {"checkpoint_write_throughput_GB_per_second": [45.2, 44.8]}
    found = read(checkpoints(metric=metric))
    assert figures(found) == {"storage.write_bandwidth": pytest.approx((45.2 * GIB / 1e9, 44.8 * GIB / 1e9))}


@pytest.mark.parametrize(
    ("summary", "kind", "words"),
    [
        (checkpoints(metric={}), "crashed", "did not get so far"),
        (
            checkpoints(metric=checkpoints()["metric"] | {"save_checkpoint_io_mean_GB_per_second": 3.0}),
            "wrong_result",
            "is below",
        ),
        (
            training(metric=training()["metric"] | {"train_au_percentage": [950.0]}),
            "wrong_result",
            "between 0 and 100",
        ),
        (
            training(metric=training()["metric"] | {"train_throughput_mean_samples_per_second": 80.0}),
            "wrong_result",
            "not the mean",
        ),
        (
            training(metric={"train_au_percentage": [], "train_au_mean_percentage": NAN}),
            "crashed",
            "did not get so far",
        ),
    ],
)
def test_what_contradicts_itself_or_never_got_there_is_no_result(summary, kind, words):
    result = read(summary)
    assert result.error is not None and result.error.kind == kind and words in result.error.message


def test_nan_is_no_figure_and_unknown_metrics_are_named():
    metric = checkpoints()["metric"] | {"load_checkpoint_duration_mean_seconds": NAN, "surprise": 3}
    content = json.dumps(checkpoints(metric=metric)).encode()
    result, remarks = read_summary(content, HandedFile(Path("s"), "s"), "d", {})
    assert result is not None and "storage.read_time" not in figures(result)
    assert [remark.problem for remark in remarks] == ["metric surprise is not read"]


def test_folders_are_runs_with_benchmark_and_model_of_their_names(tmp_path):
    run = tmp_path / "checkpointing" / "llama3-8b" / "run"
    write_run(run / "20260102_030405", checkpoints(), _checkpointing_metadata={"parameters": {"x": 1}})
    write_run(run / "20260102_040405", "{")
    write_run(tmp_path / "training" / "unet3d" / "run" / "20260102_050405", training())
    (run / "20260102_060405").mkdir()
    (run / "20260102_060405" / "dlio.log").write_text("x")
    found = read_mlperf_storage_results(tmp_path)
    assert [(r.suite, r.model, r.outcome) for r in found.results] == [
        ("checkpointing", "llama3-8b", "completed"),
        ("checkpointing", "llama3-8b", "failed"),
        ("training", "unet3d", "completed"),
    ]
    assert found.results[0].facts["parameters"] == {"x": 1}
    assert any("no summary.json" in remark.problem for remark in found.remarks)


def test_results_become_records_of_a_study_of_their_own(tmp_path, capsys):
    for number, summary in enumerate((checkpoints(), training())):
        kind = ("checkpointing/llama3-8b", "training/unet3d")[number]
        write_run(tmp_path / "handed" / kind / "run" / f"2026010{number}", summary)
    words = ["ingest", "mlperf-storage", str(tmp_path / "handed"), "--study", "disks"]
    assert main([*words, "--results", str(tmp_path / "results"), "--conf", str(tmp_path / "none")]) == 0
    assert "1 of 1 results completed" in capsys.readouterr().out
    paths = StudyPaths(tmp_path / "results" / "disks")
    cases = read_cases(paths, read_plan(paths))
    assert [case.experiment for case in cases] == ["checkpointing-llama3-8b", "training-unet3d"]
    record = Record.read(paths.record(cases[0].case_id, 0))
    assert record.provenance["ingested"]["rules"].startswith("duration is the maximum")
    assert [row["outcome"] for row in collect(paths)] == ["completed"] * 2


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=80))
def test_any_bytes_are_read_without_a_fault(content, beside):
    read_summary(
        content, HandedFile(Path("x"), "x"), "d", {"0_per_epoch_stats.json": beside, "x_metadata.json": beside}
    )


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([checkpoints(), training()]), st.data())
def test_a_summary_with_anything_in_place_of_a_value_is_read_without_a_fault(summary, data):
    anything = st.one_of(
        st.none(),
        st.booleans(),
        st.floats(),
        st.integers(),
        st.text(max_size=4),
        st.lists(st.floats(), max_size=3),
        st.just({}),
    )
    metric = dict(summary["metric"])
    for name in data.draw(st.sets(st.sampled_from(sorted(metric)), max_size=3)):
        metric[name] = data.draw(anything)
    changed = summary | {"metric": metric, data.draw(st.sampled_from(sorted(summary))): data.draw(anything)}
    changed |= {"metric": metric} if data.draw(st.booleans()) else {}
    found, _ = read_summary(json.dumps(changed).encode(), HandedFile(Path("x"), "x"), "d", {})
    for one in found.readings if found is not None else ():
        shares = one.metric == "storage.accelerator_utilisation"
        assert one.samples and all(sample > 0 or (shares and sample == 0) for sample in one.samples)


@pytest.mark.parametrize("levels", [100, 450, 900, 5000])
def test_values_that_are_nested_deeply_are_no_fault(levels):
    nested = "[" * levels + "]" * levels
    metadata = f'{{"parameters": {nested}, "model": {nested}}}'.encode()
    text = json.dumps(checkpoints() | {"hostname": "HERE"}).replace('"HERE"', nested)
    found, _ = read_summary(text.encode(), HandedFile(Path("s"), "s"), "d", {"x_metadata.json": metadata})
    assert found is not None and json.dumps(dict(found.facts))
