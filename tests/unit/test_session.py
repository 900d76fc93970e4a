"""A repeat on several ranks: right values, and one record whatever becomes of it. Real processes over gloo."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ranks import Ended, bare_environment, case, collective, free_port, run_ranks

from seatrial.errors import EXIT_FAULT

pytestmark = pytest.mark.timeout(120)

GEMM = {"kind": "gemm", "m": 96, "n": 80, "k": 64, "warmup": 1, "iterations": 4}
TOLD_WITHIN = 20
"""Seconds after which ranks that heard a failure in words must have ended, start-up included."""
LOST_WITHIN = 30


def told(ended: Ended) -> tuple[str, str, int | None]:
    """Outcome, kind and rank of a failure that was recorded; every rank ended in order."""
    assert ended.codes == [0] * len(ended.codes), ended.errors
    assert ended.record is not None
    assert ended.record.error is not None
    return ended.record.outcome, ended.record.error.kind, ended.record.error.rank


@pytest.mark.parametrize("ranks", [2, 4])
def test_all_reduce_on_several_ranks_is_measured_once_for_all(tmp_path: Path, ranks: int) -> None:
    ended = run_ranks(case(collective(size_bytes=4100), ranks), "probe", tmp_path)
    assert ended.codes == [0] * ranks, ended.errors
    assert ended.record is not None and ended.record.outcome == "completed"
    by_name = {m.metric: m for m in ended.record.measurements}
    times = by_name["collective.time"].samples
    assert len(times) == 3 and min(times) > 0
    for t, algorithm, bus in zip(
        times,
        by_name["collective.algorithm_bandwidth"].samples,
        by_name["collective.bus_bandwidth"].samples,
        strict=True,
    ):
        assert algorithm == pytest.approx(4100 / t / 1e9)
        assert bus == pytest.approx(algorithm * 2 * (ranks - 1) / ranks)
    assert len(ended.record.provenance["hosts"]) == ranks


def test_time_of_a_collective_is_that_of_its_slowest_rank(tmp_path: Path) -> None:
    ended = run_ranks(case(collective(), 3), "second_rank_is_slow", tmp_path)
    assert ended.record is not None and ended.record.outcome == "completed", ended.errors
    times = next(m.samples for m in ended.record.measurements if m.metric == "collective.time")
    assert min(times) >= 0.1, "rank 1 alone takes 0.1 s"
    assert min(times) < 0.2, "a rank that starts late is not charged to the others"


def test_slow_rank_is_the_one_that_its_label_names(tmp_path: Path) -> None:
    ended = run_ranks(case(GEMM, 3), "second_rank_is_slow", tmp_path)
    assert ended.record is not None and ended.record.outcome == "completed", ended.errors
    fastest = {m.labels["rank"]: max(m.samples) for m in ended.record.measurements}
    assert fastest[1] < 2 * 96 * 80 * 64 / 0.1 / 1e12 < min(fastest[0], fastest[2])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_all_reduce_of_half_precision_is_exact(tmp_path: Path, dtype: str) -> None:
    ended = run_ranks(case(collective(dtype=dtype), 2), "probe", tmp_path)
    assert ended.record is not None and ended.record.outcome == "completed", ended.errors


def test_every_rank_has_its_own_gemm_measurement(tmp_path: Path) -> None:
    ended = run_ranks(case(GEMM, 2), "probe", tmp_path)
    assert ended.record is not None and ended.record.outcome == "completed", ended.errors
    found = [(m.metric, m.labels["rank"], m.labels["device"], len(m.samples)) for m in ended.record.measurements]
    assert found == [("gemm.throughput", 0, "cpu", 4), ("gemm.throughput", 1, "cpu", 4)]
    assert ended.record.measurements[0].samples != ended.record.measurements[1].samples


def test_rank_that_raises_is_named_and_what_was_measured_is_kept(tmp_path: Path) -> None:
    ended = run_ranks(case(collective(), 3), "one_rank_raises", tmp_path)
    assert told(ended) == ("failed", "crashed", 2)
    assert ended.record is not None and ended.record.error is not None
    assert "the widget broke" in ended.record.error.message
    assert [m.samples for m in ended.record.measurements] == [[0.5]]
    assert ended.seconds < TOLD_WITHIN
    assert "Traceback" in ended.errors[2]


def test_first_rank_that_raises_takes_the_others_with_it(tmp_path: Path) -> None:
    ended = run_ranks(case(collective(), 2), "first_rank_raises", tmp_path)
    assert told(ended) == ("failed", "crashed", 0)
    assert ended.seconds < TOLD_WITHIN


def test_failure_in_words_keeps_its_kind(tmp_path: Path) -> None:
    ended = run_ranks(case(collective(), 2), "raises_in_words", tmp_path)
    assert told(ended) == ("failed", "diverged", 1)
    assert "Traceback" not in "".join(ended.errors)


def test_wrong_sum_on_one_rank_yields_no_number(tmp_path: Path) -> None:
    ended = run_ranks(case(collective(), 2), "one_sum_wrong", tmp_path)
    assert told(ended) == ("failed", "wrong_result", 1)
    assert ended.record is not None and ended.record.measurements == []


def test_lack_of_memory_is_told(tmp_path: Path) -> None:
    outcome, kind, _ = told(run_ranks(case(collective(), 2), "lacks_memory", tmp_path))
    assert (outcome, kind) == ("failed", "out_of_memory")


def test_rank_that_never_joins_a_collective_is_a_timeout(tmp_path: Path) -> None:
    ended = run_ranks(case(collective(timeout_seconds=2.0), 2), "one_rank_sleeps", tmp_path)
    assert told(ended) == ("failed", "timeout", None)


def test_rank_that_never_starts_is_named(tmp_path: Path) -> None:
    ended = run_ranks(case(collective(timeout_seconds=8.0), 3), "probe", tmp_path, started=[0, 1])
    assert told(ended) == ("failed", "timeout", None)
    assert ended.record is not None and ended.record.error is not None
    assert "1 of 3 ranks did not start within 8 s: rank 2" in ended.record.error.message


@pytest.mark.parametrize(
    ("work", "ranks", "vanished"),
    [("one_rank_vanishes", 3, 2), ("first_rank_vanishes", 3, 0), ("one_rank_is_killed", 2, 1)],
)
def test_rank_that_vanishes_leaves_no_record_and_no_rank_behind(
    tmp_path: Path, work: str, ranks: int, vanished: int
) -> None:
    ended = run_ranks(case(collective(), ranks), work, tmp_path)
    others = [code for rank, code in enumerate(ended.codes) if rank != vanished]
    assert others == [EXIT_FAULT] * (ranks - 1), ended.errors
    assert ended.codes[vanished] in (7, -9)
    assert ended.record is None
    assert ended.seconds < LOST_WITHIN
    assert all("ends without a record" in e for r, e in enumerate(ended.errors) if r != vanished)


def test_ranks_without_the_accelerator_they_need_are_unsupported(tmp_path: Path) -> None:
    ended = run_ranks(
        case(collective(), 2, device="cuda", accelerators_per_node=2), "probe", tmp_path, CUDA_VISIBLE_DEVICES=""
    )
    assert told(ended)[0] == "unsupported"
    assert ended.record is not None and ended.record.error is not None
    assert "finds no accelerator" in ended.record.error.message


def test_collective_on_one_rank_is_unsupported(tmp_path: Path) -> None:
    ended = run_ranks(case(collective(), 1), "probe", tmp_path)
    assert told(ended)[0] == "unsupported"
    assert ended.record is not None and ended.record.error is not None
    assert "two or more ranks" in ended.record.error.message


def test_launch_with_another_number_of_ranks_is_refused(tmp_path: Path) -> None:
    ended = run_ranks(case(GEMM, 2), "probe", tmp_path, started=[0], WORLD_SIZE="1")
    assert ended.codes == [2] and ended.record is None
    assert "needs 2 rank(s) but 1 started" in ended.errors[0]


def test_port_that_is_taken_is_told_without_a_record(tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("", free_port()))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = run_ranks(case(collective(), 2), "probe", tmp_path, started=[0], MASTER_PORT=port)
    assert ended.codes == [EXIT_FAULT] and ended.record is None
    assert f"cannot listen on 127.0.0.1 port {port}" in ended.errors[0]


def test_environment_of_the_target_is_set_before_torch_starts(tmp_path: Path) -> None:
    # rank_program.py asserts that torch is not there yet when run_repeat is called.
    what = case(GEMM, 1, launcher={"environment": {"GLOO_SOCKET_IFNAME": "lo"}})
    ended = run_ranks(what, "environment", tmp_path)
    assert ended.output[0].strip() == "lo"
    assert ended.record is not None
    assert ended.record.provenance["environment"]["GLOO_SOCKET_IFNAME"] == "lo"


def test_rank_never_imports_what_slows_its_start(tmp_path: Path) -> None:
    ended = run_ranks(case(GEMM, 1), "modules", tmp_path)
    assert ended.record is not None and ended.record.outcome == "completed"
    loaded = {name.split(".")[0] for name in ended.output[0].split()}
    assert "torch" in loaded
    assert not loaded & {"pandas", "hydra", "snakemake", "sklearn", "submitit", "transformers", "matplotlib"}


def test_bare_shell_is_a_single_rank(tmp_path: Path) -> None:
    import subprocess
    import sys

    from ranks import PROGRAM

    what = case(GEMM, 1)
    what.write(tmp_path / "case.json")
    words = [sys.executable, str(PROGRAM), str(tmp_path / "case.json"), str(tmp_path / "0.json"), "probe"]
    done = subprocess.run(words, env=bare_environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "0.json").exists()
    assert "work begins" in done.stderr and "record written" in done.stderr


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs")
def test_ranks_of_a_node_share_its_cpus(tmp_path: Path) -> None:
    ended = run_ranks(case(GEMM, 2), "threads", tmp_path, OMP_NUM_THREADS="")
    fair = len(os.sched_getaffinity(0)) // 2
    assert ended.output == [f"{fair}\n"] * 2
    assert ended.record is not None
    assert ended.record.provenance["threads"] == [fair] * 2
