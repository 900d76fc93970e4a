"""`seatrial ingest mlperf` and what follows from the records: tables, comparison, verdict, page."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ingest_folders import content, handed_over, table
from mlperf_folders import RunPlan, SubmitterFolder, log_files, runs_of, scaling

from seatrial.analysis.analyse import analyse
from seatrial.analysis.collect import collect
from seatrial.analysis.inputs import read_cases, read_plan
from seatrial.cli import main
from seatrial.ingest.mlperf.read import read_results
from seatrial.paths import StudyPaths
from seatrial.reference.scoring import score
from seatrial.study_lock import held


@pytest.fixture
def conf_with(tmp_path: Path) -> Callable[..., Path]:
    """The shipped configuration with a study `trial` of llama2_70b_lora logs on a DGX B200."""

    def make(repeats: int = 10, target: str = "dgx_b200") -> Path:
        conf = tmp_path / "conf"
        shutil.copytree(Path(__file__).parents[2] / "conf", conf, dirs_exist_ok=True)
        text = (conf / "study" / "vendor_logs.yaml").read_text(encoding="utf-8")
        text = text.replace("repeats: 10 #", f"repeats: {repeats} #").replace("dgx_b200", target)
        (conf / "study" / "trial.yaml").write_text(text, encoding="utf-8")
        return conf

    return make


def command(folder_: Path, tmp_path: Path, *words: str, study: str = "trial") -> int:
    return main(
        ["ingest", "mlperf", str(folder_), "--study", study, "--results", str(tmp_path / "results"), *words]
        + ([] if "--conf" in words else ["--conf", str(tmp_path / "none")])
    )


def analysed(tmp_path: Path, study: str = "trial") -> StudyPaths:
    paths = StudyPaths(tmp_path / "results" / study)
    collect(paths)
    analyse(paths)
    return paths


@pytest.mark.parametrize("fates", [["completed"] * 10, ["completed"] * 4 + ["aborted"] + ["completed"] * 5])
def test_score_and_comparison_are_the_official_score_of_the_folder(tmp_path, fates):
    source = handed_over(tmp_path, fates, scaling(1.02))
    assert command(source, tmp_path) == 0
    paths = analysed(tmp_path)
    (official,) = (score(found) for found in read_results(source).folders)
    (row,) = table(paths.time_to_quality)
    assert official.minutes is not None
    assert float(row["score_minutes"]) == pytest.approx(official.minutes, rel=1e-12)
    assert float(row["olympic_minutes"]) == pytest.approx(official.unscaled_minutes, rel=1e-12)
    assert (row["result_status"], row["scaling_factor"]) == ("unverified", "1.02")
    (compared,) = table(paths.comparison)
    assert float(compared["measured_minutes"]) == pytest.approx(official.minutes, rel=1e-12)
    assert (compared["basis"], compared["round"], compared["accelerator_family"]) == ("exact", "v5.1", "B200")


def test_runs_that_are_no_result_have_no_score(tmp_path):
    source = handed_over(tmp_path, ["completed"] * 4)
    assert command(source, tmp_path) == 0
    (row,) = table(analysed(tmp_path).time_to_quality)
    assert row["olympic_minutes"] and not row["score_minutes"]


def test_two_lost_runs_leave_no_olympic_mean(tmp_path):
    source = handed_over(tmp_path, ["completed"] * 8 + ["cut", "refused"], scaling(1.0))
    assert command(source, tmp_path) == 0
    (row,) = table(analysed(tmp_path).time_to_quality)
    assert (row["converged"], row["olympic_minutes"]) == ("8", "")


def test_logs_of_the_open_division_are_not_the_same_work(tmp_path):
    at = SubmitterFolder(tmp_path / "training_results_v5.1" / "Harbour", "Harbour")
    plans = runs_of(RunPlan(100, "llama2_70b_lora", terse=True, division="open"), 3)
    at.results(at.system("hs", division="open"), "llama2_70b_lora", log_files(plans))
    assert command(at.root, tmp_path) == 0
    (row,) = table(analysed(tmp_path).comparison)
    assert row["basis"] == "undefined" and "open division" in row["note"]


def test_logs_refused_by_the_reference_convergence_points_are_compared_with_nothing(tmp_path, capsys):
    at = SubmitterFolder(tmp_path / "training_results_v5.1" / "Harbour", "Harbour")
    plan = RunPlan(100, "llama2_70b_lora", terse=True, position=768)
    at.results(at.system("hs"), "llama2_70b_lora", log_files(runs_of(plan, spread=False)))
    assert command(at.root, tmp_path) == 0
    assert "scaling factor none" in capsys.readouterr().out
    (row,) = table(analysed(tmp_path).comparison)
    assert row["basis"] == "undefined" and "no scaling factor" in row["note"]


def test_repeats_that_nobody_handed_over_are_missing_not_failed(tmp_path, conf_with):
    source = handed_over(tmp_path, ["completed", "cut"])
    assert command(source, tmp_path, "--conf", str(conf_with(repeats=4))) == 0
    paths = analysed(tmp_path)
    rows = table(paths.repeats)
    assert [row["outcome"] for row in rows] == ["completed", "failed", "missing", "missing"]
    assert "no log was ingested" in rows[2]["error_message"] and rows[0]["log"].endswith("/0.mllog")
    assert (rows[0]["seed"], rows[2]["seed"]) == ("100", "")


def test_a_study_that_is_being_worked_on_takes_no_logs_in(tmp_path, capsys):
    lock = tmp_path / "results" / "trial" / ".lock"
    with held(lock):
        assert command(handed_over(tmp_path, ["completed"] * 10), tmp_path) == 2
    assert "is being worked on by process" in capsys.readouterr().err
    assert [path.name for path in lock.parent.iterdir()] == [".lock"]


def test_a_declared_study_is_held_against_the_system_description(tmp_path, conf_with, capsys):
    source = handed_over(tmp_path, ["completed"] * 10, minutes=9.5)
    assert command(source, tmp_path, "--conf", str(conf_with(target="dgx_h100"))) == 2
    said = capsys.readouterr().err
    assert "accelerator family: it is 'B200', declared is 'H100-SXM'" in said
    assert not (tmp_path / "results").exists()
    assert command(source, tmp_path, "--conf", str(conf_with()), "--override", "target=dgx_b200") == 0
    paths = analysed(tmp_path)
    assert main(["verdict", str(paths.root)]) == 0
    plan = read_plan(paths)
    assert plan.study.name == "trial" and read_cases(paths, plan)[0].repeats == 10
    assert main(["report", str(paths.root)]) == 0
    page = paths.report.read_text(encoding="utf-8")
    assert "logs handed over" in page and "unverified" in page


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--study", "No Name"], "no name for a study"),
        (["--override", "target=dgx_b200"], "an override needs a study"),
        (["--system", "hs"], "no results of this system"),
        (["--round", "v9.9"], "v9.9"),
    ],
)
def test_wrong_usage_is_one_clear_error_and_writes_nothing(tmp_path, capsys, words, said):
    source = handed_over(tmp_path, ["completed"])
    assert command(source, tmp_path, *words) == 2
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error
    assert not (tmp_path / "results").exists()


def test_a_study_is_not_written_into_the_folder_that_is_read(tmp_path, capsys):
    source = handed_over(tmp_path, ["completed"])
    before = content(source)
    assert command(source, tmp_path, "--results", str(source / "results")) == 2
    assert "never written to" in capsys.readouterr().err and content(source) == before


def test_a_log_that_cannot_be_read_stops_the_ingest(tmp_path, capsys, monkeypatch):
    source = handed_over(tmp_path, ["completed", "completed"])
    opened = Path.open

    def refusing(self: Path, *args: Any, **words: Any) -> Any:
        if self.name == "result_1.txt":
            raise PermissionError(13, "Permission denied")
        return opened(self, *args, **words)

    monkeypatch.setattr(Path, "open", refusing)
    assert command(source, tmp_path) == 2
    error = capsys.readouterr().err
    assert "result_1.txt" in error and "Permission denied" in error
    assert not (tmp_path / "results").exists()
