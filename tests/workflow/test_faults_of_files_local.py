"""Faults of files and of single repeats, through Snakemake on this machine: nothing lost, nothing run twice."""

import csv
import fcntl
import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from seatrial.paths import StudyPaths
from seatrial.plan import make_plan
from seatrial.record import Record, measurement

pytestmark = pytest.mark.timeout(300)
BIN = Path(sys.executable).parent
GEMM = ["~experiments.memory", "~experiments.all_reduce", "~experiments.finetune", "~experiments.gemm.sweep"]
TWO = [*GEMM, "experiments.gemm.workload.m=32", "experiments.gemm.repeats=2", "criteria=[]"]


def command(overrides, *words):
    config = ["--config", "study=demo", f"overrides={json.dumps(overrides)}"]
    return [str(BIN / "snakemake"), "--profile", "local", *words, *config]


def snakemake(project, overrides, *words):
    """Run to the end: (exit code, everything that was printed)."""
    programs = os.pathsep.join([str(project / "bin"), str(BIN), os.environ["PATH"]])
    done = subprocess.run(
        command(overrides, *words),
        cwd=project,
        env={**os.environ, "PATH": programs},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )
    return done.returncode, done.stdout


def seatrial(project, *words):
    done = subprocess.run(
        [str(BIN / "seatrial"), *words], cwd=project, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr


def planned(project):
    """Study and cases as `plan` writes them: the study's paths and its only case."""
    plan = make_plan(["study=demo", *TWO], project / "conf")
    paths = StudyPaths(project / "results" / "demo")
    plan.write(paths)
    (case,) = plan.cases
    return paths, case


def completed(case, repeat, study="demo"):
    return Record(
        study=study,
        case_id=case.case_id,
        repeat=repeat,
        seed=case.seed(repeat),
        workload="gemm",
        target=case.target.name,
        outcome="completed",
        started_at="2026-01-02T03:04:05+00:00",
        finished_at="2026-01-02T03:04:06+00:00",
        measurements=[measurement("gemm.throughput", [0.5, 0.6], {"dtype": "float32"})],
    )


@contextmanager
def held(paths):
    """Another run works on the study, and nothing tells who: its kernel's lock alone is seen."""
    paths.lock.touch()
    with paths.lock.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def repeats(project):
    with (project / "results" / "demo" / "tables" / "repeats.csv").open() as handle:
        return list(csv.DictReader(handle))


@pytest.fixture
def mounted():
    """Mounts for one test; left out, in words, where nothing can be mounted."""
    places = []

    def mount(place, *words):
        done = subprocess.run(["mount", *words, str(place)], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
        if not any("remount" in word for word in words):
            places.append(place)

    if os.geteuid() != 0:
        pytest.skip("only root can mount: run the tests as root")
    yield mount
    for place in reversed(places):
        subprocess.run(["umount", str(place)], check=True)


def test_a_cut_off_and_a_foreign_record_are_named_by_collect_put_aside_at_the_next_start_and_run_again(project):
    paths, case = planned(project)
    cut, foreign = paths.record(case.case_id, 0), paths.record(case.case_id, 1)
    completed(case, 0).write(cut)
    cut.write_text(cut.read_text()[:100])
    completed(case, 1, study="theirs").write(foreign)  # copied here: Snakemake has no history of it
    assert seatrial(project, "collect", str(paths.root))[0] == 0
    messages = [(row["outcome"], row["error_message"]) for row in repeats(project)]
    assert [outcome for outcome, _ in messages] == ["missing", "missing"]
    assert "cannot read" in messages[0][1]
    assert "study is 'theirs', not 'demo'" in messages[1][1]
    before = cut.read_bytes(), foreign.read_bytes()
    code, out = snakemake(project, TWO, "-n")
    assert code == 0, out[-3000:]
    assert out.count("it will be put aside, and the repeat runs again") == 2
    assert (cut.read_bytes(), foreign.read_bytes()) == before
    for reading in ("--summary", "--unlock"):
        code, out = snakemake(project, TWO, reading)
        assert (code, "Traceback" in out) == (0, False), (reading, out[-3000:])
        assert (cut.read_bytes(), foreign.read_bytes()) == before, reading
        assert "it is now" not in out
    with held(paths):
        code, out = snakemake(project, TWO)
    assert code == 2, out[-3000:]
    assert "is being worked on by" in out
    assert (cut.read_bytes(), foreign.read_bytes()) == before
    code, out = snakemake(project, TWO)
    assert code == 0, out[-3000:]
    assert out.count("it is now") == 2
    assert [row["outcome"] for row in repeats(project)] == ["completed", "completed"]
    kept = [paths.unusable_record(case.case_id, repeat, 1).read_bytes() for repeat in (0, 1)]
    assert tuple(kept) == before
    code, out = snakemake(project, TWO, "-n")
    assert "Nothing to be done" in out


def test_a_full_disk_is_said_leaves_nothing_half_written_and_the_study_goes_on_when_there_is_room(project, mounted):
    results = project / "results"
    results.mkdir()
    mounted(results, "-t", "tmpfs", "-o", "size=2m", "tmpfs")
    paths, case = planned(project)
    completed(case, 0).write(paths.record(case.case_id, 0))
    kept = paths.record(case.case_id, 0).read_bytes()
    filler = results / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while file.write(bytes(4096)):
            pass
    code, out = snakemake(project, TWO)
    assert code == 2, out[-3000:]
    assert "the study cannot be locked: No space left on device" in out
    os.truncate(filler, filler.stat().st_size - 4096)  # room for the lock, and then it is full again
    code, out = snakemake(project, TWO, "--retries", "0")
    assert code != 0
    assert f"cannot write {paths.record(case.case_id, 1).relative_to(project)}: No space left on device" in out
    assert "Traceback" not in out
    for path in paths.root.rglob("*.json"):
        json.loads(path.read_text())
    assert [p.name for pattern in (".*.json*", "*.parquet", "*.csv") for p in paths.root.rglob(pattern)] == []
    assert not paths.record(case.case_id, 1).exists()
    assert paths.record(case.case_id, 0).read_bytes() == kept
    filler.unlink()
    code, out = snakemake(project, TWO)
    assert code == 0, out[-3000:]
    assert [row["outcome"] for row in repeats(project)] == ["completed", "completed"]
    assert paths.record(case.case_id, 0).read_bytes() == kept


def test_a_read_only_results_folder_is_refused_in_words_before_anything_runs(project, mounted):
    paths, _ = planned(project)
    mounted(paths.root, "--bind", str(paths.root))
    mounted(paths.root, "-o", "remount,ro,bind")
    code, out = snakemake(project, TWO)
    assert code == 2, out[-3000:]
    assert "studies cannot be written here" in out
    assert f"{paths.root} cannot be written" in out
    assert "rule measure:" not in out
    code, out = seatrial(project, "collect", str(paths.root))
    assert code == 2
    assert "cannot write" in out
    assert "Read-only file system" in out
    assert "Traceback" not in out


LATE_OR_KILLED = """#!/bin/bash
# `seatrial measure` whose record shows up seconds late, or which is killed each time; everything else as it is
real={real}
[ "$1" = measure ] || exec "$real" "$@"
echo "begin $4" >> {log}
if [ "$4" = 0 ]; then
    sleep 1
    echo "end $4" >> {log}
    kill -9 $$
fi
"$real" "$@" || exit
echo "end $4" >> {log}
mv "$6" "$6.unseen"
setsid bash -c "touch '$6.outlives'; sleep 4; mv '$6.unseen' '$6'" < /dev/null > /dev/null 2>&1 &
# the executor kills what a command leaves in its process group
until [ -e "$6.outlives" ]; do sleep 0.05; done
"""


def test_late_records_count_once_a_killed_repeat_is_tried_again_with_more_and_the_others_go_on(project):
    programs, log = project / "bin", project / "calls"
    programs.mkdir()
    (programs / "seatrial").write_text(LATE_OR_KILLED.format(real=BIN / "seatrial", log=log))
    (programs / "seatrial").chmod(0o755)
    overrides = [*TWO[:-2], "experiments.gemm.repeats=4", "criteria=[]", "max_parallel=2"]
    code, out = snakemake(project, overrides, "--jobs", "4", "--latency-wait", "60")
    assert code != 0
    rows = {int(row["repeat"]): row for row in repeats(project)}
    assert [rows[n]["outcome"] for n in range(4)] == ["missing", "completed", "completed", "completed"]
    assert (rows[0]["error_kind"], rows[0]["attempts"]) == ("crashed", "2")
    assert "SIGKILL" in rows[0]["error_message"]
    calls = [line.split() for line in log.read_text().splitlines()]
    assert sorted(n for word, n in calls if word == "begin") == ["0", "0", "1", "2", "3"]
    at_a_time, most = 0, 0
    for word, _ in calls:
        at_a_time += 1 if word == "begin" else -1
        most = max(most, at_a_time)
    assert most <= 2
    first, second = re.findall(r"wildcards: case=\w+, repeat=0\n    resources: .*runtime=(\d+)", out)
    assert (int(first), int(second)) == (5, 7)  # half as long again
    code, said = seatrial(project, "status", "results/demo")
    assert said.splitlines()[0] == "3 of 4 repeats completed; 1 missing"
    assert "repeat 0: missing: crashed" in said
