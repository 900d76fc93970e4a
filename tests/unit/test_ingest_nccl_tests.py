"""`seatrial ingest nccl-tests`: runs as records of a study, and what is refused in words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nccl_tests_output import Written, document, error_text, new_text, root_text

from seatrial.analysis.analyse import analyse
from seatrial.analysis.collect import collect
from seatrial.analysis.inputs import read_cases, read_plan
from seatrial.analysis.measurements import read_measurements
from seatrial.cli import main
from seatrial.paths import StudyPaths
from seatrial.record import Record
from seatrial.report.page import report

STUDY = """# @package _global_
defaults:
  - /workload@experiments.fabric.workload: nccl_tests_logs
  - _self_
  - override /target: dgx_h100

title: Logs of a vendor's fabric
experiments:
  fabric:
    repeats: 2
    workload: {over_ranks: mean}
criteria:
  - name: fast-enough
    metric: collective.bus_bandwidth
    where: {experiment: fabric, size_bytes: 1073741824, in_place: false, checked: true}
    at_least: 300
    minimum_repeats: 2
"""


def handed(folder: Path, files: Mapping[str, str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def ingest(source: Path, tmp_path: Path, *words: str) -> tuple[StudyPaths, list[Record]]:
    results = tmp_path / "results"
    conf = [] if "--conf" in words else ["--conf", str(tmp_path / "none")]
    status = main(
        ["ingest", "nccl-tests", str(source), "--study", "trial", "--results", str(results), *words, *conf]
    )
    assert status == 0
    paths = StudyPaths(results / "trial")
    return paths, records(paths)


def records(paths: StudyPaths) -> list[Record]:
    cases = read_cases(paths, read_plan(paths))
    numbers = [(case.case_id, n) for case in cases for n in range(case.repeats)]
    return [Record.read(paths.record(*one)) for one in numbers if paths.record(*one).exists()]


def outcome(record: Record) -> str:
    return record.error.kind if record.error else record.outcome


@pytest.fixture
def conf_with(tmp_path: Path) -> Callable[[str], Path]:
    """The shipped configuration with a study `trial`."""

    def make(text: str = STUDY) -> Path:
        conf = tmp_path / "conf"
        shutil.copytree(Path(__file__).parents[2] / "conf", conf, dirs_exist_ok=True)
        (conf / "study" / "trial.yaml").write_text(text, encoding="utf-8")
        return conf

    return make


def test_runs_make_a_study_of_themselves(tmp_path, capsys):
    files = {
        "a.log": new_text(Written()),
        "b.log": new_text(Written(operation="all_gather", type="half")),
        "c.json": document(Written(), iterations=True),
        "notes.txt": "ask Jo about the cables\n",
    }
    paths, found = ingest(handed(tmp_path / "logs", files), tmp_path)
    told = capsys.readouterr().out
    assert "notes.txt: no output of nccl-tests in it" in told and "2 of 2 results completed" in told
    assert sorted({r.provenance["ingested"]["program"] for r in found}) == ["all_gather_perf", "all_reduce_perf"]
    assert [outcome(r) for r in found] == ["completed"] * 3
    target = read_plan(paths).study.target
    assert (target.nodes, target.accelerators_per_node) == (1, 8) and "H100" in target.name.upper()
    kept = paths.record(found[0].case_id, 0).with_suffix(".source")
    assert kept.read_text() == files["a.log"]
    assert collect(paths)[0]["log"] is not None
    analyse(paths)
    report(paths)
    page = paths.report.read_text()
    assert "not run here" in page and "All results of these runs that stand here were checked" in page


def test_what_a_mean_over_ranks_is_stands_in_labels_and_provenance_and_never_as_a_maximum(tmp_path):
    command = "+ mpirun -np 8 all_reduce_perf -b 8 -e 1G -f 2 {}\n"
    files = {
        "1.log": command.format("-a 3") + root_text(Written()),
        "2.log": command.format("") + root_text(Written()),
        "all_reduce_3.log": root_text(Written()),
    }
    paths, found = ingest(handed(tmp_path / "logs", files), tmp_path)
    assert [r.measurements[0].labels["over_ranks"] for r in found] == ["max", "mean", "not stated"]
    assert found[1].provenance["ingested"]["over_ranks"]["basis"].startswith("the default of nccl-tests")
    collect(paths)
    rows = read_measurements(paths)
    labels = rows[rows["metric"] == "collective.time"]["labels"]
    same_size = {text for text in labels if json.loads(text)["size_bytes"] == 8}
    assert len(same_size) == 6  # three statistics, in place and not: nothing is put together


def slower_by(thousandths, rows=Written.rows):
    """A run that is a little slower: equal ones show no spread, and then nothing is known of the next."""
    return tuple((size, *(round(us * (1 + thousandths / 1000), 2) for us in times)) for size, *times in rows)


def test_a_declared_study_takes_the_runs_that_it_declares(tmp_path, conf_with):
    files = {f"all_reduce_{n}.log": root_text(Written(hosts=4, rows=slower_by(n))) for n in (1, 2)}
    logs = handed(tmp_path / "logs", files)
    paths, found = ingest(logs, tmp_path, "--conf", str(conf_with()), "--override", "target.nodes=4")
    assert [r.measurements[0].labels["over_ranks"] for r in found] == ["mean", "mean"]
    bus = next(m for m in found[0].measurements if m.metric == "collective.bus_bandwidth")
    assert bus.ceiling is not None and bus.ceiling_basis
    collect(paths)
    analyse(paths)
    (verdict,) = json.loads(paths.verdicts.read_text())
    assert verdict["verdict"] == "pass" and verdict["n"] == 2


def test_a_mean_over_ranks_passes_no_criterion_on_the_maximum(tmp_path):
    conf = Path(__file__).parents[2] / "conf"
    found = {}
    for words in ("-a 3", "-a 1"):
        runs = {}
        for operation in ("all_reduce", "all_to_all"):
            large = ((2**30, 20000.0, 20000.0), (2**33, 36000.0, 36000.0))
            three = [Written(operation=operation, hosts=4, rows=slower_by(n, large)) for n in range(3)]
            program = "all_reduce_perf" if operation == "all_reduce" else "alltoall_perf"
            command = f"+ mpirun -np 32 {program} -b 1G -e 8G {words}\n"
            runs |= {f"{operation}{n}.log": command + root_text(run) for n, run in enumerate(three)}
        root = tmp_path / words[-1]
        source = handed(root / "logs", runs)
        call = ["ingest", "nccl-tests", str(source), "--study", "vendor_fabric", "--conf", str(conf)]
        assert main([*call, "--results", str(root / "results")]) == 0
        paths = StudyPaths(root / "results" / "vendor_fabric")
        collect(paths)
        analyse(paths)
        verdicts = json.loads(paths.verdicts.read_text())
        found[words] = {verdict["criterion"]: verdict["verdict"] for verdict in verdicts}
    assert set(found["-a 3"].values()) <= {"pass", "fail"} and len(found["-a 3"]) == 2
    assert set(found["-a 1"].values()) == {"incomplete"}


@pytest.mark.parametrize("allowed", [False, True])
def test_results_that_nobody_checked_pass_nothing_unless_the_study_allows_it_and_the_page_says_so(
    tmp_path, conf_with, allowed
):
    runs = {f"all_reduce_{n}.log": root_text(Written(hosts=4, checked=False, rows=slower_by(n))) for n in (1, 2)}
    logs = handed(tmp_path / "logs", runs)
    study = STUDY.replace("checked: true", "over_ranks: mean")
    study = study.replace("{over_ranks: mean}", f"{{over_ranks: mean, allow_unchecked: {str(allowed).lower()}}}")
    words = ["--conf", str(conf_with(study)), "--override", "target.nodes=4"]
    paths, found = ingest(logs, tmp_path, *words)
    kind = "" if allowed else "unchecked_"
    expected = {f"collective.{kind}{name}" for name in ("time", "algorithm_bandwidth", "bus_bandwidth")}
    assert {m.metric for m in found[0].measurements} == expected and found[0].outcome == "completed"
    assert {m.labels["checked"] for m in found[0].measurements} == {False}
    collect(paths)
    analyse(paths)
    (verdict,) = json.loads(paths.verdicts.read_text())
    assert verdict["verdict"] == ("pass" if allowed else "incomplete")
    rows = pd.read_csv(paths.probe_table("collective"))
    assert len(rows) == (6 if allowed else 0) and not rows["checked"].any()
    report(paths)
    page = paths.report.read_text()
    assert ("Not checked, but allowed by the study" in page) == allowed
    assert ("6 readings were not checked" in page) == (not allowed)
    assert "result is checked" not in page and "were checked" not in page


@pytest.mark.parametrize(
    ("run", "key"),
    [
        (Written(operation="all_gather", hosts=4), "operation"),
        (Written(type="half", hosts=4), "dtype"),
        (Written(hosts=2), "ranks"),
        (Written(hosts=8, each=4), "target.nodes"),
        (Written(hosts=4, per_process=8), None),
    ],
)
def test_a_run_that_is_not_what_the_study_declares_is_refused(tmp_path, conf_with, capsys, run, key):
    logs = handed(tmp_path / "logs", {"x.log": new_text(run)})
    words = ["ingest", "nccl-tests", str(logs), "--study", "trial", "--results", str(tmp_path / "results")]
    status = main([*words, "--conf", str(conf_with()), "--override", "target.nodes=4"])
    told = capsys.readouterr().err
    assert status == (0 if key is None else 2)
    assert key is None or (f"key:     {key}" in told and "x.log, line 1" in told and "allowed:" in told)


def test_more_runs_than_repeats_and_logs_of_other_runs_are_refused(tmp_path, conf_with, capsys):
    conf = ["--conf", str(conf_with()), "--override", "target.nodes=1"]
    three = handed(tmp_path / "logs", {f"{n}.log": new_text(Written()) for n in range(3)})
    assert (
        main(["ingest", "nccl-tests", str(three), "--study", "trial", "--results", str(tmp_path / "r"), *conf]) == 2
    )
    assert "3 results for 2 repeats" in capsys.readouterr().err and not (tmp_path / "r").exists()
    (three / "2.log").unlink()
    _, first = ingest(three, tmp_path, *conf)
    assert ingest(three, tmp_path, *conf)[1] == first
    (three / "1.log").write_text(new_text(Written(rows=[(64, 9.0, 9.0)])))
    assert (
        main(
            ["ingest", "nccl-tests", str(three), "--study", "trial", "--results", str(tmp_path / "results"), *conf]
        )
        == 2
    )
    assert "repeat 1 of experiment fabric has a record of another log" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (new_text(Written(wrong={1: 7})), "wrong_result"),
        (error_text(Written(wrong={1: 7})), "wrong_result"),
        (new_text(Written()).replace("  23.03", "  99.99").replace("455.70", "499.99"), "wrong_result"),
        (new_text(Written(), footer=False), "crashed"),
        (new_text(Written(), footer=False) + "gpu00: Test NCCL failure common.cu:1 'x'\n", "crashed"),
        (
            new_text(Written(rows=[]), footer=False) + "gpu00: Test CUDA failure common.cu:1 'out of memory'\n",
            "out_of_memory",
        ),
        (new_text(Written()).replace("   time  ", "cputime  "), "unsupported"),
        (new_text(Written(rows=[(0, 5.0, 5.0)])), "unsupported"),
        (document(Written(wrong={0: 1})), "wrong_result"),
        (document(Written())[:-200], "crashed"),
        (new_text(Written(checked=False)), "completed"),
    ],
)
def test_what_became_of_a_run(tmp_path, text, kind):
    name = "all_reduce.json" if text.startswith("{") else "all_reduce.log"
    _, (record,) = ingest(handed(tmp_path / "logs", {name: text}), tmp_path)
    assert outcome(record) == kind
    assert kind == "completed" or (record.error is not None and record.error.message)
    sound = {(m.labels["size_bytes"], m.labels["in_place"]) for m in record.measurements}
    assert kind != "wrong_result" or len(sound) < 6


def test_text_and_json_of_one_run_are_one_repeat(tmp_path, capsys):
    run = Written()
    head, *rest = new_text(run).splitlines(keepends=True)
    text = head + "# Writing JSON output to /scratch/out.json\n" + "".join(rest)
    _, found = ingest(handed(tmp_path / "logs", {"out.json": document(run), "run.log": text}), tmp_path)
    assert len(found) == 1 and found[0].provenance["ingested"]["form"] == "json"
    assert "the same run as out.json" in capsys.readouterr().out


def test_runs_on_several_scales_need_a_choice(tmp_path, capsys):
    logs = handed(tmp_path / "logs", {"a.log": new_text(Written()), "b.log": new_text(Written(hosts=2))})
    assert main(["ingest", "nccl-tests", str(logs), "--study", "trial", "--results", str(tmp_path / "r")]) == 2
    assert "--ranks" in capsys.readouterr().err
    _, (record,) = ingest(logs, tmp_path, "--ranks", "16")
    assert record.provenance["ingested"]["ranks"] == 16
    assert (
        main(["ingest", "nccl-tests", str(logs), "--study", "t", "--results", str(tmp_path / "r"), "--ranks", "3"])
        == 2
    )
    assert "allowed: 8, 16" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (
            {"a.txt": "nothing\n"},
            "no run of nccl-tests in it that can be read (a.txt: no output of nccl-tests in it)",
        ),
        ({"b.json": '{"jobs": []}'}, "no JSON of nccl-tests"),
        ({"core": "\0" * 40}, "not a text"),
        ({"unnamed.log": root_text(Written())}, "nothing says which operation this is"),
        ({"h.log": new_text(Written()).replace("all_reduce_perf", "hypercube_perf")}, "hypercube_perf is none of"),
        ({"x.tar.gz": "x"}, "an archive is not read: unpack it"),
    ],
)
def test_where_nothing_can_be_read_it_says_why(tmp_path, capsys, files, words):
    logs = handed(tmp_path / "logs", files)
    assert main(["ingest", "nccl-tests", str(logs), "--study", "trial", "--results", str(tmp_path / "r")]) == 2
    assert words in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "r").exists()


def test_a_path_that_is_not_there_and_results_in_what_is_read_are_refused(tmp_path, capsys):
    assert main(["ingest", "nccl-tests", str(tmp_path / "no"), "--study", "t", "--results", str(tmp_path)]) == 2
    assert "there is no such file or folder" in capsys.readouterr().err
    logs = handed(tmp_path / "logs", {"a.log": new_text(Written())})
    assert main(["ingest", "nccl-tests", str(logs), "--study", "t", "--results", str(logs / "results")]) == 2
    assert "never written to" in capsys.readouterr().err


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(["completed", "wrong_result", "crashed"]), min_size=1, max_size=6))
def test_one_record_for_each_run_whatever_the_mix(tmp_path_factory, fates):
    texts = {
        "completed": new_text(Written()),
        "wrong_result": new_text(Written(wrong={0: 1})),
        "crashed": new_text(Written(), footer=False),
    }
    root = tmp_path_factory.mktemp("mix")
    _, found = ingest(handed(root / "logs", {"all.log": "\n".join(texts[fate] for fate in fates)}), root)
    assert [outcome(record) for record in found] == fates
