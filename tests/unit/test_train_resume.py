"""Trainings that are killed, in processes of their own: what goes on from a checkpoint is the same training."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_training import case, losses, notes, samples, start, wait, workload

from seatrial.case import Case
from seatrial.mllog import LogLine, read_lines
from seatrial.record import Record

SAVING = {"checkpoint_interval_steps": 7}
Whole = Callable[..., tuple[Record, Path]]


def ended(what: Case, folder: Path, change: str = "as_it_is", **more: str) -> Record:
    """The record of a run that ends by itself."""
    codes, said = wait(start(what, folder, change, **more))
    assert codes == [0] * what.target.world_size, said
    return Record.read(folder / "records" / "0.json")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """The uninterrupted run of a layout, and its folder; each is done once."""
    known: dict[tuple[int, int], tuple[Record, Path]] = {}

    def done(ranks: int, fsdp: int = 1) -> tuple[Record, Path]:
        if (ranks, fsdp) not in known:
            folder = tmp_path_factory.mktemp("whole")
            record = ended(case(workload(**SAVING, parallelism={"fsdp": fsdp}), ranks), folder)
            known[ranks, fsdp] = record, folder
        return known[ranks, fsdp]

    return done


def complete(folder: Path) -> list[str]:
    """The checkpoints that count."""
    return [p.parent.name for p in folder.glob("records/0.checkpoint/*/history.pt")]


def quality_lines(folder: Path) -> list[tuple[str, Any]]:
    """What a log says of its course, without times."""
    lines = [line for line in read_lines(folder / "records" / "0.mllog") if isinstance(line, LogLine)]
    keys = ("run_start", "run_stop", "eval_accuracy", "block_start", "block_stop")
    return [(line.key, line.value, line.metadata.get("step")) for line in lines if line.key in keys]


def same_course(cut: Record, whole: Record) -> None:
    """Bit for bit the same losses at the same places, and nothing measured twice or lost."""
    assert (cut.outcome, whole.outcome) == ("completed", "completed"), (cut.error, whole.error)
    assert losses(cut) == losses(whole)
    assert samples(cut, "train.training_loss") == samples(whole, "train.training_loss")
    assert samples(cut, "train.samples_to_quality") == samples(whole, "train.samples_to_quality")
    for metric in (
        "train.step_time",
        "train.compute_time",
        "train.checkpoint_stall_time",
        "train.sample_throughput",
    ):
        assert len(samples(cut, metric)) == len(samples(whole, metric)), metric


@pytest.mark.parametrize(
    ("mode", "ranks", "fsdp"),
    [("synchronous", 1, 1), ("asynchronous", 2, 1), ("synchronous", 2, 2), ("asynchronous", 2, 2)],
)
def test_training_killed_twice_ends_as_if_nothing_had_happened(
    mode: str, ranks: int, fsdp: int, whole: Whole, tmp_path: Path
) -> None:
    """Dropout included: random numbers go on where they were."""
    what = case(workload(**SAVING, parallelism={"fsdp": fsdp}, checkpoint_mode=mode), ranks)
    uncut, uncut_folder = whole(ranks, fsdp)
    assert uncut.resumed == 0
    cut = tmp_path / "cut"
    # Behind the second checkpoint at 14, and behind the same one again: nothing was gained, and it counts.
    at = {"KILLED_AT": "18,19"}
    for _ in range(2):
        began = time.monotonic()
        codes, said = wait(start(what, cut, "killed", **at))
        assert codes == [-signal.SIGKILL] * ranks or (-signal.SIGKILL in codes and 0 not in codes), said
        assert time.monotonic() - began < 100
        # the earlier one goes once the later is whole, in its own time where saving is asynchronous
        assert len(complete(cut)) in ((1,) if mode == "synchronous" else (1, 2))
        assert not (cut / "records" / "0.json").exists()
    record = ended(what, cut, "killed", **at)
    assert record.resumed == 2
    same_course(record, uncut)
    assert quality_lines(cut) == quality_lines(uncut_folder)
    assert [key for key, _, _ in quality_lines(cut)].count("run_stop") == 1
    last = max(losses(uncut))
    assert all(notes(cut, rank)["updates"] == [last] for rank in range(ranks)), "what the workload keeps too"
    crossing = record.quality.crossing if record.quality else None
    assert crossing is not None
    assert crossing["minutes"] * 60 <= sum(samples(record, "train.step_time")) * 1.05, "the clock ran in steps only"
    assert not (cut / "records" / "0.checkpoint").exists()


def test_two_ranks_train_on_while_a_checkpoint_is_written(whole: Whole, tmp_path: Path) -> None:
    """Several steps, each with its all-reduce, end between the beginning and the end of one write of every rank."""
    what = case(workload(checkpoint_interval_steps=10, checkpoint_mode="asynchronous"), ranks=2)
    record = ended(what, tmp_path, "slow_steps_and_checkpoints")
    assert record.outcome == "completed", record.error
    for rank in (0, 1):
        noted = notes(tmp_path, rank)
        for begin, end in zip(noted["writes"], noted["written"], strict=True):
            assert end - begin >= 1.0
        during = [s for s in noted["steps"] if noted["writes"][0] < s < noted["written"][0]]
        assert len(during) >= 3, "the training stood still"
    assert losses(record) == losses(whole(2)[0])


@pytest.mark.parametrize("mode", ["synchronous", "asynchronous"])
def test_kill_during_a_write_leaves_the_checkpoint_before(mode: str, whole: Whole, tmp_path: Path) -> None:
    what = case(workload(**SAVING, checkpoint_mode=mode), ranks=2)
    codes, said = wait(start(what, tmp_path, "killed_while_writing"))
    assert -signal.SIGKILL in codes and 0 not in codes, said
    assert complete(tmp_path) == ["step-7"]
    assert (tmp_path / "records" / "0.checkpoint" / "step-14").exists(), "half written"
    record = ended(what, tmp_path, "killed_while_writing")
    assert record.resumed == 1
    same_course(record, whole(2)[0])


@pytest.mark.parametrize("mode", ["synchronous", "asynchronous"])
def test_full_disk_on_one_rank_is_a_failure_in_words_that_keeps_the_samples(mode: str, tmp_path: Path) -> None:
    what = case(workload(**SAVING, checkpoint_mode=mode), ranks=2)
    record = ended(what, tmp_path, "disk_full")
    assert record.error is not None
    assert (record.outcome, record.error.kind) == ("failed", "crashed")
    assert "step-14" in record.error.message
    assert "rank 1: OSError: [Errno 28] No space left on device" in record.error.message
    assert len(samples(record, "train.step_time")) >= 14
    assert complete(tmp_path) == ["step-7"], "what there was is still there"


@pytest.mark.parametrize(("number", "ranks"), [(signal.SIGUSR2, 1), (signal.SIGTERM, 2)])
def test_training_that_is_told_to_end_saves_and_goes_by_that_signal(
    number: signal.Signals, ranks: int, whole: Whole, tmp_path: Path
) -> None:
    """Only one of the ranks is told; no interval for checkpoints is stated; started as the executor starts them."""
    what = case(workload(), ranks)
    before = signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # what is started ignores it too
    try:
        processes = start(what, tmp_path, "steps_take_a_while")
    finally:
        signal.signal(signal.SIGUSR2, before)
    _wait_until_trained(tmp_path, processes, 12)
    processes[-1].send_signal(number)
    codes, said = wait(processes, 60)
    assert codes == [-number] * ranks, said
    (place,) = complete(tmp_path)
    assert int(place.removeprefix("step-")) >= 12
    assert "run_stop" not in (tmp_path / "records" / "0.mllog").read_text()
    record = ended(what, tmp_path)
    assert record.resumed == 1
    uncut, _ = whole(ranks)
    assert losses(record) == losses(uncut)
    assert len(samples(record, "train.step_time")) == len(samples(uncut, "train.step_time"))


def test_time_limit_after_which_nothing_starts_again_is_a_record_and_can_be_asked_to_go_on(
    whole: Whole, tmp_path: Path
) -> None:
    """The executor has said that this start is the last; one of two ranks is warned."""
    what = case(workload(), 2)
    processes = start(what, tmp_path, "steps_take_a_while", SUBMITIT_TIMEOUTS_LEFT="0")
    _wait_until_trained(tmp_path, processes, 12)
    processes[-1].send_signal(signal.SIGUSR2)
    codes, said = wait(processes, 60)
    assert codes == [0, 0], said
    record = Record.read(tmp_path / "records" / "0.json")
    assert record.error is not None
    assert (record.outcome, record.error.kind) == ("failed", "timeout")
    assert "its checkpoint is kept" in record.error.message
    assert len(samples(record, "train.step_time")) >= 12, "what was measured is in it"
    assert len(complete(tmp_path)) == 1
    (tmp_path / "records" / "0.json").unlink()  # rerun=failed
    record = ended(what, tmp_path)
    uncut, _ = whole(2)
    assert (record.outcome, record.resumed) == ("completed", 1)
    assert losses(record) == losses(uncut)
    assert quality_lines(tmp_path)[-1][:2] == ("run_stop", None)


def test_damaged_checkpoint_is_refused_in_the_record(tmp_path: Path) -> None:
    what = case(workload(**SAVING))
    codes, said = wait(start(what, tmp_path, "killed", KILLED_AT="9"))
    assert codes == [-signal.SIGKILL], said
    (data,) = tmp_path.glob("records/0.checkpoint/step-7/*.distcp")
    data.write_bytes(data.read_bytes()[:1000])
    record = ended(what, tmp_path)
    assert record.error is not None
    assert (record.outcome, record.error.kind) == ("failed", "crashed")
    assert "delete it to start afresh" in record.error.message
    assert str(data.parent) in json.dumps(record.error.message)


def _wait_until_trained(folder: Path, processes: list[subprocess.Popen[str]], steps: int) -> None:
    deadline = time.monotonic() + 90
    while len(notes(folder, 0).get("steps", [])) < steps:
        assert time.monotonic() < deadline and all(p.poll() is None for p in processes), wait(processes, 1)
        time.sleep(0.05)
