"""The probe collective with implementation nccl_tests, against a fake program that prints what nccl-tests does."""

from __future__ import annotations

import os
import shlex
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from gloo_ranks import on_ranks
from nccl_tests_output import Written, document, new_text, root_text
from ranks import case

from seatrial.case import Case
from seatrial.config.probe import Collective
from seatrial.errors import MeasurementFailed, Unsupported
from seatrial.measure.collective.nccl_tests import arguments, find_program, require_a_device_each
from seatrial.measure.collective.run import run
from seatrial.measure.session import choose_backend

FAKE = """#!/bin/sh
# {mpi}
here={folder}
if [ "$*" = -h ]; then cat "$here/usage.txt"; exit 0; fi
printf '%s\\n%s' "$*" "${{PMIX_RANK:-none}}" > "$here/called.$$"
read -r how what < "$here/how"
case $how in
hang) echo "# nThread 1 nGpus 2 minBytes 8"; exec sleep 600 ;;
rank)
    [ "$PMIX_RANK" = "$what" ] || exec sleep 600
    echo "gpu01: Test NCCL failure common.cu:1036 'unhandled cuda error'"
    exit 3 ;;
esac
wanted=
for word; do
    if [ "$wanted" ]; then cp "$here/run.json" "$word"; fi
    wanted=
    if [ "$word" = -J ]; then wanted=yes; fi
done
if [ "${{PMIX_RANK:-0}}" = 0 ]; then cat "$here/run.txt"; fi
exit ${{what:-0}}
"""
OLD_USAGE = "USAGE: all_reduce_perf \\n\\t[-a,--average <0/1/2/3>]"
NEW_USAGE = OLD_USAGE + " [-J,--output_file <file>] [-I,--per_iter_timing <0/1>]"
RUN = Written(each=2, per_process=2, rows=((8, 12.5, 12.0), (16, 13.5, 13.0), (32, 14.5, 14.0)))


def fake(
    folder: Path, run_: Written = RUN, how: str = "ok", usage: str = NEW_USAGE, mpi: bool = False, **files: str
) -> Path:
    """A folder with a fake all_reduce_perf."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "all_reduce_perf"
    program.write_text(FAKE.format(folder=shlex.quote(str(folder)), mpi="MPI_Init" if mpi else ""))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    content = {"how": how + "\n", "usage.txt": usage, "run.txt": new_text(run_), "run.json": document(run_, True)}
    for name, text in (content | {name.replace("_", "."): text for name, text in files.items()}).items():
        (folder / name).write_text(text)
    return folder


def collective_case(folder: Path | None, nodes: int = 1, **changes: Any) -> Case:
    work = {
        "kind": "collective",
        "operation": "all_reduce",
        "implementation": "nccl_tests",
        "nccl_tests_folder": None if folder is None else str(folder),
        "sizes": {"smallest": 8, "largest": 32},
        "timeout_seconds": 60.0,
        "iterations": 20,
    }
    target = {"nodes": nodes, "tasks_per_node": 2 // nodes, "accelerators_per_node": 2 // nodes, "device": "cuda"}
    return case(work | changes, **target)


WRONG = Written(each=2, per_process=2, wrong={1: 4})
NO_MEMORY = new_text(RUN, footer=False) + "a: Test CUDA failure x.cu:1 'out of memory'\n"
TWO = Written(hosts=2, each=1, rows=RUN.rows)


def scenarios(root: Path) -> dict[str, Case]:
    """Cases by name, each with a fake program of its own."""
    of = collective_case
    return {
        "good": of(fake(root / "good")),
        "old": of(fake(root / "old", usage=OLD_USAGE, run_txt=root_text(RUN))),
        "wrong": of(fake(root / "wrong", WRONG)),
        "silent": of(fake(root / "silent", how="ok 3", run_txt="", run_json="{")),
        "no_memory": of(fake(root / "no_memory", how="ok 3", run_txt=NO_MEMORY, run_json="{")),
        "bad_exit": of(fake(root / "bad_exit", how="ok 1")),
        "alone": of(fake(root / "alone", Written(each=1))),
        "hang": of(fake(root / "hang", how="hang"), time_limit_minutes=0.03),
        "two_nodes": of(fake(root / "two_nodes", TWO, mpi=True), nodes=2),
        "one_fails": of(fake(root / "one_fails", TWO, how="rank 1", mpi=True), nodes=2),
        "no_maximum": of(fake(root / "no_maximum", TWO, usage="USAGE: x", mpi=True), nodes=2),
        "no_mpi": of(fake(root / "no_mpi"), nodes=2),
    }


def on_rank(rank: int, size: int, cases: dict[str, Case], root: str) -> dict[str, Any]:
    """By name what a rank ends with: outcome, facts or words of what it raised, measurements, seconds."""
    import torch

    from seatrial.measure.context import RankContext

    os.environ |= {"PMIX_RANK": str(rank), "SLURM_PROCID": str(rank)}
    found = {}
    for name, of in cases.items():
        folder = Path(root) / name / "records"
        folder.mkdir(exist_ok=True)
        ctx = RankContext(of, 0, 1, rank, rank, size, torch.device("cpu"), folder)
        outcome, begin = ("completed", ""), time.monotonic()
        try:
            run(ctx)
        except MeasurementFailed as problem:
            outcome = (problem.kind, str(problem))
        except Unsupported as problem:
            outcome = ("unsupported", str(problem))
        found[name] = (*outcome, ctx.measurements, time.monotonic() - begin, ctx.facts)
    return found


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("programs")


@pytest.fixture(scope="module")
def ended(root: Path) -> list[dict[str, Any]]:
    """What both ranks ended with, all cases one after the other."""
    return on_ranks(on_rank, 2, scenarios(root), str(root))


def test_fake_program_is_run_once_over_all_devices_and_every_iteration_is_kept(root, ended):
    first, second = (of["good"] for of in ended)
    assert (first[0], second[0]) == ("completed", "completed") and not second[2]
    (called,) = (root / "good").glob("called.*")
    words, pmix = called.read_text().split("\n")
    assert pmix == "none"  # a build with MPI would otherwise wait for the other ranks
    assert "-g 2" in words and "-a 3" in words and "-c 1" in words and "-b 8 -e 32 -f 2" in words
    measured = {(m.metric, m.labels["size_bytes"], m.labels["in_place"]): m for m in first[2]}
    assert len(measured) == 3 * 3 * 2
    one = measured["collective.time", 16, False]
    assert len(one.samples) == 20 and one.labels["over_ranks"] == "max"
    assert one.labels["implementation"] == "nccl_tests"
    assert one.samples[0] == pytest.approx(13.5e-6 * 0.9)
    facts = first[4]["nccl_tests"]
    assert facts["output"] == "0.nccl-tests.log" and facts["program"].endswith("all_reduce_perf")
    assert (root / "good" / "records" / "0.nccl-tests.log").read_text() == new_text(RUN)


def test_fake_program_of_an_older_version_is_read_from_its_text(root, ended):
    assert ended[0]["old"][0] == "completed" and {len(m.samples) for m in ended[0]["old"][2]} == {1}
    (called,) = (root / "old").glob("called.*")
    assert "-J" not in called.read_text() and "-I" not in called.read_text()


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("wrong", "wrong_result", "4 wrong elements"),
        ("silent", "crashed", "ended with exit code 3 and printed no heading"),
        ("no_memory", "out_of_memory", "Test CUDA failure"),
        ("bad_exit", "crashed", "ended with exit code 1"),
        ("alone", "crashed", "ran on 1 rank(s), not 2"),
        ("no_mpi", "unsupported", "was built without MPI"),
        ("no_maximum", "unsupported", "cannot take the maximum over ranks"),
    ],
)
def test_fake_program_that_fails_or_is_wrong_is_told_in_words(ended, name, kind, words):
    assert ended[0][name][0] == kind and words in ended[0][name][1]


def test_fake_program_that_hangs_is_stopped_when_its_time_is_up(root, ended):
    kind, words, _, seconds, _ = ended[0]["hang"]
    assert kind == "timeout" and "stopped when its time was up" in words and seconds < 30
    (called,) = (root / "hang").glob("called.*")
    assert not Path(f"/proc/{called.suffix[1:]}").exists()


def test_fake_program_on_two_nodes_is_started_by_every_rank(root, ended):
    first, second = (of["two_nodes"] for of in ended)
    assert (first[0], second[0]) == ("completed", "completed")
    assert len([m for m in first[2] if m.metric == "collective.time"]) == 6
    called = [path.read_text().split("\n") for path in (root / "two_nodes").glob("called.*")]
    assert sorted(pmix for _, pmix in called) == ["0", "1"] and all("-g 1" in words for words, _ in called)


def test_fake_program_that_fails_on_one_rank_ends_all_and_that_rank_says_why(ended):
    first, second = (of["one_fails"] for of in ended)
    assert second[0] == "crashed" and "unhandled cuda error" in second[1]
    assert max(first[3], second[3]) < 30 and first[0] == "completed" and not first[2]


def test_a_missing_program_is_one_clear_error(tmp_path):
    with pytest.raises(Unsupported, match=r"no program all_reduce_perf of nccl-tests in .*nowhere.*allowed:"):
        find_program(workload(collective_case(tmp_path / "nowhere")))


def workload(of: Case) -> Collective:
    assert isinstance(of.workload, Collective)
    return of.workload


def test_arguments_say_type_sizes_and_iterations(tmp_path):
    folder = fake(tmp_path / "build")
    half = workload(collective_case(folder, sizes=None, size_bytes=4096, dtype="float16", warmup=3))
    words = arguments(half, find_program(half), 4, tmp_path / "out.json")
    text = " ".join(words)
    assert "-b 4096 -e 4096 -g 4" in text and "-w 3 -n 20" in text and "-d half" in text and text.endswith("-I 1")


def test_ranks_need_a_device_each_and_meet_over_gloo(tmp_path):
    of = collective_case(tmp_path)
    assert choose_backend(of, "cuda") == "gloo"
    require_a_device_each(of.target)
    for changes in ({"device": "cpu", "accelerators_per_node": 0}, {"accelerators_per_node": 4}):
        with pytest.raises(Unsupported, match="one accelerator for each rank"):
            require_a_device_each(of.target.model_copy(update=changes))


def test_a_limit_for_each_size_is_refused_for_programs():
    content = {"kind": "collective", "operation": "all_reduce", "size_bytes": 8, "implementation": "nccl_tests"}
    with pytest.raises(ValueError, match="same number of iterations"):
        Collective.model_validate(content | {"most_seconds_per_size": 1.0})
