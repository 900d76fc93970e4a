"""Which case a result folder stands for, the study it makes by itself, and the files that are written."""

from __future__ import annotations

import hashlib
import tarfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest_folders import BAD, KINDS, ONE, b200, content, figures, filed, folder, handed_over, run
from mlperf_folders import RunPlan, SubmitterFolder, log_files, runs_of

from seatrial.analysis.collect import collect
from seatrial.config.ingested import MlperfLogs
from seatrial.config.study import Study
from seatrial.config.target import Target
from seatrial.errors import ConfigError, UnreadableFile
from seatrial.ingest.mlperf.filing import file_records
from seatrial.ingest.mlperf.handed_over import match_cases, one_system, study_of
from seatrial.ingest.mlperf.read import read_results
from seatrial.ingest.mlperf.result import System
from seatrial.paths import StudyPaths
from seatrial.planned import Plan
from seatrial.record import Record


@settings(max_examples=12, deadline=None)
@given(st.lists(st.sampled_from(sorted(BAD)), min_size=1, max_size=12))
def test_one_record_per_log_whatever_the_mix_of_outcomes(tmp_path_factory, fates):
    root = tmp_path_factory.mktemp("mix")
    source = handed_over(root, fates)
    paths, records = filed(source, root / "results")
    logs = sorted((source / "results").rglob("result_*.txt"))
    assert len(records) == len(logs) == len(fates)
    expected = [KINDS[fates[int(log.stem.removeprefix("result_"))]] for log in logs]
    assert [r.error.kind if r.error else None for r in records] == expected
    rows = collect(paths)
    assert [row["outcome"] for row in rows] == ["failed" if kind else "completed" for kind in expected]
    for number, log in enumerate(logs):
        place = paths.record(records[0].case_id, number)
        assert Record.read(place) == records[number]
        assert place.with_suffix(".mllog").read_bytes() == log.read_bytes()
        digest = hashlib.sha256(log.read_bytes()).hexdigest()
        assert records[number].provenance["ingested"]["sha256"] == digest


def test_ingesting_again_changes_no_byte_and_the_input_is_never_written_to(tmp_path):
    source = handed_over(tmp_path, ["completed", "cut", "aborted"])
    before = content(source)
    filed(source, tmp_path / "results")
    first = content(tmp_path / "results")
    filed(source, tmp_path / "results")
    assert content(tmp_path / "results") == first and content(source) == before
    assert not [name for name in first if ".ingest-" in name]


def test_an_archive_gives_the_same_records_as_its_folder(tmp_path):
    source = handed_over(tmp_path, ["completed", "cut"])
    archive = tmp_path / "training_results_v5.1.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(source, "Harbour_Systems")
    plain, unpacked = filed(source, tmp_path / "a"), filed(archive, tmp_path / "b")
    for one, other in zip(plain[1], unpacked[1], strict=True):
        assert figures(one) == figures(other)
        assert one.provenance["ingested"]["sha256"] == other.provenance["ingested"]["sha256"]


def test_records_of_another_study_or_of_other_logs_are_not_overwritten(tmp_path):
    source = handed_over(tmp_path, ["completed", "completed"])
    paths, records = filed(source, tmp_path / "results")
    kept = content(paths.root)
    at = SubmitterFolder(tmp_path / "other" / "training_results_v5.1" / "Quay", "Quay")
    at.results(at.system("qy-8xb200"), "retinanet", log_files(runs_of(RunPlan(1, "retinanet", terse=True), 2)))
    with pytest.raises(ConfigError, match="does not have"):
        filed(at.root, tmp_path / "results")
    (log,) = source.rglob("result_1.txt")
    log.write_bytes(log.read_bytes() + b"\n")
    with pytest.raises(ConfigError, match=r"repeat 1 .* another log"):
        filed(source, tmp_path / "results")
    assert content(paths.root) == kept
    paths.record(records[0].case_id, 1).unlink()
    filed(source, tmp_path / "results")


def test_a_log_more_is_one_record_more(tmp_path):
    two = handed_over(tmp_path / "two", ["completed"] * 2)
    three = handed_over(tmp_path / "three", ["completed", "completed", "cut"])
    paths, first = filed(two, tmp_path / "results")
    assert filed(three, tmp_path / "results")[1][:2] == first
    assert [row["outcome"] for row in collect(paths)] == ["completed", "completed", "failed"]
    with pytest.raises(ConfigError, match=r"repeat 2 .* another log"):
        filed(two, tmp_path / "results")


def test_a_log_that_went_away_meanwhile_leaves_nothing_behind(tmp_path):
    source = handed_over(tmp_path, ["completed", "completed"])
    folders = one_system(read_results(source).folders, None)
    plan = study_of("trial", folders, b200, [])
    next(source.rglob("result_1.txt")).unlink()
    paths = StudyPaths(tmp_path / "results" / "trial")
    with pytest.raises(UnreadableFile, match=r"result_1\.txt"):
        file_records(paths, plan, match_cases(plan, folders, b200), source, lambda _: ONE)
    assert not content(tmp_path / "results")


def declared(repeats: int = 10, accelerators: int = 8, family: str | None = "B200", **workload: Any) -> Plan:
    work = {"kind": "mlperf_logs", "benchmark": "llama2_70b_lora", "round": "v5.1"} | workload
    target = {
        "name": "acme",
        "description": "eight B200",
        "nodes": 1,
        "accelerators_per_node": accelerators,
        "tasks_per_node": accelerators or 1,
        "device": "cuda" if accelerators else "cpu",
        "accelerator": {"name": "B200", "vendor": "NVIDIA", "family": family},
    }
    study = Study.model_validate(
        {
            "name": "trial",
            "title": "t",
            "target": target,
            "experiments": {"logs": {"workload": work, "repeats": repeats}},
        }
    )
    made = study_of("trial", [folder()], b200, []).cases[0]
    workload_ = MlperfLogs.model_validate(work)
    case = made.model_copy(
        update={
            "repeats": repeats,
            "experiment": "logs",
            "workload": workload_,
            "target": Target.model_validate(target),
        }
    )
    return Plan(study=study, cases=(case,))


def test_a_folder_that_is_what_the_study_declares_is_matched():
    (match,) = match_cases(declared(), [folder()], b200)
    assert match.case.experiment == "logs"
    assert any("1 of 10 logs" in note for note in match.notes)
    assert any("Harbour Systems, whose published results are left out" in note for note in match.notes)


def test_that_nobody_says_whose_logs_these_are_is_said():
    nameless = System(None, "closed", None, "s", 1, 8, "NVIDIA B200", None, {})
    for system in (nameless, None):
        (match,) = match_cases(declared(), [folder(system=system)], b200)
        assert any("nothing says whose logs these are" in note for note in match.notes)
    (match,) = match_cases(declared(submitter="Dell"), [folder(system=None)], b200)
    assert not any("nothing says whose logs" in note for note in match.notes)


@pytest.mark.parametrize(
    ("plan", "handed", "words"),
    [
        ({"accelerators": 16}, {}, ["accelerators", "8", "16"]),
        ({"family": "H100-SXM"}, {}, ["accelerator family", "'B200'", "'H100-SXM'"]),
        ({"round": "v5.0"}, {}, ["round", "'v5.1'", "'v5.0'"]),
        ({"benchmark": "llama31_8b"}, {}, ["benchmark", "'llama2_70b_lora'", "'llama31_8b'"]),
        ({"division": "open"}, {}, ["division", "'closed'", "'open'"]),
        ({"submitter": "Dell"}, {}, ["submitter", "'Harbour Systems'", "'Dell'"]),
        ({}, {"system": None, "runs": (run(division="open"),)}, ["division", "'open'"]),
    ],
)
def test_logs_of_other_work_or_hardware_are_refused_with_both_sides_named(plan, handed, words):
    with pytest.raises(ConfigError) as refused:
        match_cases(declared(**plan), [folder(**handed)], b200)
    text = str(refused.value)
    assert "not what the study declares" in text and all(word in text for word in words), text


def test_hardware_of_no_known_family_is_named_by_its_own_words():
    odd = System("x", "closed", None, "odd", 1, 8, "Acme Warp 9", None, {})
    with pytest.raises(ConfigError, match="Acme Warp 9"):
        match_cases(declared(), [folder(system=odd)], b200)


def test_more_logs_than_repeats_are_refused_and_fewer_are_missing():
    logs = tuple(run(path=f"r/result_{i}.txt") for i in range(3))
    with pytest.raises(ConfigError, match="3 logs, but the case has 2 repeats"):
        match_cases(declared(repeats=2), [folder(logs)], b200)
    assert match_cases(declared(repeats=3), [folder(logs)], b200)


def test_two_folders_for_one_case_are_refused():
    with pytest.raises(ConfigError, match="two result folders for one case"):
        match_cases(declared(), [folder(), folder(system_id="hs-other")], b200)


def test_a_folder_without_a_system_description_needs_a_study_that_declares_the_target():
    with pytest.raises(ConfigError, match="nothing says what these logs ran on"):
        study_of("trial", [folder(system=None)], b200, [])
    (match,) = match_cases(declared(), [folder(system=None)], b200)
    assert any("the study's word alone" in note for note in match.notes)


def test_a_study_made_from_a_folder_says_whose_word_its_target_is():
    plan = study_of("trial", [folder()], b200, ["words"])
    target = plan.study.target
    assert (target.name, target.nodes, target.accelerators) == ("hs-8xb200", 1, 8)
    assert target.accelerator is not None and target.accelerator.family == "B200"
    assert "the submitter's word: not measured" in target.notes[0]
    assert plan.study.references.round == "v5.1" and plan.node_hours == 0
    assert (plan.repeats_to_ingest, plan.running) == (1, [])


@pytest.mark.parametrize(
    ("model", "count", "device"),
    [("NVIDIA B200", 4, "cuda"), ("AMD Instinct MI300X", 8, "cuda"), ("TPU-v5p", 4, "other"), ("N/A", 0, "cpu")],
)
def test_a_made_target_claims_no_device_that_its_description_does_not_state(model, count, device):
    system = System("x", "closed", None, "s", 2, count, model, None, {})
    target = study_of("trial", [folder(system=system)], lambda _: None, []).study.target
    assert (target.device, target.accelerators) == (device, 2 * count)
    assert (target.accelerator is None) == (count == 0)


def test_several_systems_need_a_choice():
    both = [folder(), folder(system_id="hs-other")]
    with pytest.raises(ConfigError, match="2 systems"):
        one_system(both, None)
    assert one_system(both, "hs-other") == both[1:]
    with pytest.raises(ConfigError, match="no results of this system"):
        one_system(both, "hs-8xb20")
