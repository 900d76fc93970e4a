"""Findings from records on disk: gathered from the tables, written by analyse, read again."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from findings_on_disk import Made, as_measurements, pairs
from study_on_disk import FINETUNE, StudyOnDisk

from seatrial.analysis.collect import read_repeat
from seatrial.analysis.findings import failures, of_study, probe_readings
from seatrial.analysis.findings.findings_file import FindingEntry, read_findings
from seatrial.analysis.findings.of_study import observe
from seatrial.analysis.tables import read_csv
from seatrial.errors import UnreadableFile
from seatrial.record import Measurement, measurement

HOSTS = ("n1", "n2", "n3", "n4")
FOUR_NODES = {
    "name": "four",
    "description": "four nodes",
    "nodes": 4,
    "accelerators_per_node": 0,
    "tasks_per_node": 1,
    "device": "cpu",
}
BISECTION = {"kind": "bisection", "size_bytes": 1048576, "matchings": 0, "cuts": [], "pairwise": ["rounds"]}
CHECKPOINT = {"kind": "checkpoint", "parameters": 1000, "bytes_per_parameter": 4, "path": "/data"}
WORDS = {"provenance": {"hosts": list(HOSTS)}}
CONTRACT = {"cause", "severity", "evidence", "action"}


def study_of(folder: Path, made: Made, *also: Measurement, repeats: int = 2, **study: object) -> StudyOnDisk:
    """A training of `made` on four hosts that measured something else `also`; all repeats completed."""
    found = StudyOnDisk(folder, target=FOUR_NODES, **study)
    [case] = found.experiment("finetune", FINETUNE, repeats=repeats)
    draw = np.random.default_rng(3)
    for repeat in range(repeats):
        found.record(case, repeat, *made.measurements(draw), *also, **WORDS)
    return found


def all_pairs(slow: tuple[str, str] | None, rate: float = 1.2, ceiling: float | None = None) -> list[Measurement]:
    names = [(a, b) for i, a in enumerate(HOSTS) for b in HOSTS[i + 1 :]]
    jitter = (1.0, 1.01, 0.99, 1.005, 0.995, 1.0)
    rates = [(a, b, rate * (0.2 if (a, b) == slow else f)) for (a, b), f in zip(names, jitter, strict=True)]
    return pairs(rates, ceiling)


def entries(study: StudyOnDisk) -> list[FindingEntry]:
    return read_findings(study.analyse())


def test_a_healthy_study_has_nothing_that_holds_it_back(tmp_path):
    found = entries(study_of(tmp_path, Made()))
    assert [(one.cause, one.severity) for one in found] == [("none", "none")]


def test_a_straggler_is_found_in_records_and_named(tmp_path):
    study = study_of(tmp_path, Made(slow="n2", times=1.6))
    found = entries(study)[0]
    assert (found.cause, found.place["host"]) == ("straggler_node", "n2")
    raw = json.loads(study.paths.findings.read_text(encoding="utf-8"))
    assert set(raw[0]) >= CONTRACT
    assert all(isinstance(words, str) for words in raw[0]["evidence"])


def test_a_slow_link_is_found_by_linking_the_pairs_of_a_probe_to_the_training(tmp_path):
    study = study_of(tmp_path, Made(communication=0.1))
    [probe] = study.experiment("pairs", BISECTION)
    study.record(probe, 0, *all_pairs(("n2", "n4")), **WORDS)
    found = entries(study)[0]
    assert (found.cause, found.place["pair"]) == ("interconnect", "n2 and n4")
    assert any("exposed communication" in words for words in found.evidence)


def test_links_that_are_slow_everywhere_are_found_against_what_is_declared(tmp_path):
    study = study_of(tmp_path, Made(communication=0.1))
    [probe] = study.experiment("pairs", BISECTION)
    study.record(probe, 0, *all_pairs(None, ceiling=6.0), **WORDS)
    found = entries(study)[0]
    assert found.cause == "interconnect" and "everywhere" in found.title
    study.record(probe, 0, *all_pairs(None, ceiling=1.25), **WORDS)
    assert entries(study)[0].cause == "framework"


@pytest.mark.parametrize(("bytes_saved", "cause"), [(45_000_000, "storage"), (4_500_000, "framework")])
def test_a_stall_is_storages_only_where_the_training_writes_as_fast_as_the_probe(tmp_path, bytes_saved, cause):
    size = measurement("train.checkpoint_size", [bytes_saved])
    study = study_of(tmp_path, Made(stalls=(0.8, 0.9, 1.0)), size)
    [probe] = study.experiment("save", CHECKPOINT)
    where = {
        "reached": "storage",
        "file_system": "ext4",
        "format": "plain",
        "direction": "write",
        "size_bytes": 4000,
    }
    study.record(
        probe, 0, measurement("checkpoint.write_bandwidth", [0.05, 0.051], where, 0.2, "declared"), **WORDS
    )
    found = entries(study)[0]
    assert found.cause == cause
    assert found.cost is not None and found.cost.low is not None and found.cost.low > 0.05


def test_a_node_that_failed_under_an_attempt_is_named(tmp_path):
    study = study_of(tmp_path, Made(), repeats=1)
    case = study.planned[0]
    ended = {"state": "NODE_FAIL", "nodes": "n3"}
    study.attempts(case, 0, ended, {"state": "COMPLETED", "nodes": "n1,n2,n4"})
    found = entries(study)[0]
    assert (found.cause, found.place["host"]) == ("failed_node", "n3")


def test_a_training_of_which_nothing_completed_is_not_yet_known(tmp_path):
    study = StudyOnDisk(tmp_path, target=FOUR_NODES)
    [case] = study.experiment("finetune", FINETUNE)
    study.failed(case, 0)
    [found] = entries(study)
    assert (found.cause, found.severity) == ("none", "not_known")
    assert "no repeat completed" in found.title


def test_a_study_that_only_probes_still_names_a_slow_pair(tmp_path):
    study = StudyOnDisk(tmp_path, target=FOUR_NODES)
    [probe] = study.experiment("pairs", BISECTION)
    study.record(probe, 0, *all_pairs(("n1", "n2")), **WORDS)
    found = entries(study)[0]
    assert (found.cause, found.place["case"]) == ("interconnect", "probes of four")
    assert found.cost is None


def test_the_studys_rules_decide(tmp_path):
    rules = {"straggler_slower": {"value": 0.9, "source": "this site"}}
    study = study_of(tmp_path, Made(slow="n2", times=1.6), findings=rules)
    found = entries(study)[0]
    assert (found.severity, found.place.get("host")) == ("inconclusive", None)  # it waits, but no place stands out


def test_steps_that_are_left_out_are_the_first(tmp_path):
    study = study_of(tmp_path, Made())
    case = study.planned[0]
    draw = np.random.default_rng(5)
    run = Made().run(draw)
    slow_start = replace(run, step=run.step.copy())
    slow_start.step[0] = 100.0
    study.record(case, 0, *as_measurements(slow_start), **WORDS)
    study.analyse()
    [observed] = observe(study.paths)
    assert observed.noise is not None and observed.noise.hiccups is not None
    assert observed.noise.hiccups.value == 0


def test_the_same_records_give_the_same_bytes(tmp_path):
    first = study_of(tmp_path / "a", Made(slow="n2")).analyse().findings.read_bytes()
    again = study_of(tmp_path / "b", Made(slow="n2")).analyse().findings.read_bytes()
    assert first == again


@pytest.mark.parametrize(
    ("text", "words"),
    [("[{}]", "Field required"), ("[", "not JSON"), (None, "No such file"), ('[{"cause": "bad luck"}]', "cause")],
)
def test_what_is_no_findings_file_is_said(tmp_path, text, words):
    study = study_of(tmp_path, Made())
    study.analyse()
    if text is None:
        study.paths.findings.unlink()
    else:
        study.paths.findings.write_text(text, encoding="utf-8")
    with pytest.raises(UnreadableFile, match=words):
        read_findings(study.paths)


def test_findings_of_another_study_are_refused(tmp_path):
    study = study_of(tmp_path, Made())
    raw = json.loads(study.analyse().findings.read_text(encoding="utf-8"))
    raw[0]["place"]["case"] = "0123456789abcdef"
    study.paths.findings.write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(UnreadableFile, match="not of this study"):
        read_findings(study.paths)


def test_what_trainings_share_is_read_once_however_many_there_are(tmp_path, monkeypatch):
    study = study_of(tmp_path, Made(communication=0.1))
    for name in ("second", "third"):
        [case] = study.experiment(name, FINETUNE)
        study.record(case, 0, *Made().measurements(np.random.default_rng(4)), **WORDS)
    [probe] = study.experiment("pairs", BISECTION)
    study.record(probe, 0, *all_pairs(("n2", "n4")), **WORDS)
    study.analyse()
    tables: Counter[str] = Counter()
    repeats: Counter[str] = Counter()

    def counted_table(path, *others):
        tables[path.name] += 1
        return read_csv(path, *others)

    def counted_repeat(paths, case, number, *others):
        repeats[case.experiment] += 1
        return read_repeat(paths, case, number, *others)

    for module in (of_study, probe_readings):
        monkeypatch.setattr(module, "read_csv", counted_table)
    monkeypatch.setattr(failures, "read_repeat", counted_repeat)
    observed = observe(study.paths)
    assert [one.fabric is not None and len(one.fabric.slow) for one in observed] == [1, 1, 1]
    assert repeats["pairs"] == 1
    assert "bisection_pairs.csv" in tables and set(tables.values()) == {1}
