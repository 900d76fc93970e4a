"""Checkpoints of one rank: what is in them, when they count, and what becomes of damaged ones."""

from __future__ import annotations

import logging
import shutil
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed.checkpoint as dcp
from gloo_ranks import layout
from small_training import Points, alone, case, losses, run, samples, workload

from seatrial.config.training import LlmFinetune, QualityTarget
from seatrial.errors import UnreadableFile
from seatrial.train import checkpoint
from seatrial.train.checkpoint import COMPLETE, CheckpointFailed, Checkpoints
from seatrial.train.history import History
from seatrial.train.learner import Learner

OWNER = {"case_id": "x", "repeat": 0}
MODES = ("synchronous", "asynchronous")


@pytest.fixture(autouse=True)
def quiet_and_on_one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    torch.set_num_threads(threads)


def learner(dropout: float = 0.1) -> Learner:
    torch.manual_seed(1)
    place = layout()
    return Learner(LlmFinetune.model_validate(workload()), Points(place, dropout), place, seed=3)


def history() -> History:
    found = History(QualityTarget(metric="evaluation_loss", target=0.3))
    found.add_evaluation({"evaluation_loss": 0.7}, 0.1)
    return found


def trained(folder: Path, mode: Any = "synchronous", steps: int = 3) -> tuple[Learner, History, Checkpoints]:
    """A learner after some steps, with its checkpoints, none of them written yet."""
    what, found = learner(), history()
    for step in range(steps):
        what.train_step(step)
    found.add_stretch(steps, 16 * steps, 1.0, [1.0 / steps] * steps, 0.5, torch.ones(steps, 1, 4))
    return what, found, Checkpoints(folder, OWNER, what, mode)


def tensors(what: Learner) -> list[torch.Tensor]:
    moments = [what.optimizer.state[p][key] for p in what.parameters for key in ("step", "exp_avg", "exp_avg_sq")]
    return [t.detach().clone() for t in (*what.parameters, *moments, what.objective.state()["updates"])]


@pytest.mark.parametrize("mode", MODES)
def test_what_is_taken_up_is_what_was_saved(mode: Any, tmp_path: Path) -> None:
    what, found, checkpoints = trained(tmp_path, mode)
    checkpoints.collect_extra = lambda: {"joules": [1.5, None]}
    random = torch.get_rng_state()
    checkpoints.save(found)
    checkpoints.finish()

    other, again = learner(), history()
    torch.manual_seed(77)
    taken_up = Checkpoints(tmp_path, OWNER, other, mode)
    assert taken_up.restore(again)
    for here, there in zip(tensors(other), tensors(what), strict=True):
        assert torch.equal(here, there)
    assert torch.equal(torch.get_rng_state(), random)
    assert taken_up.extra == {"joules": [1.5, None]}
    kept = again.state()
    assert len(kept.pop("checkpoint_times")) == 1 and kept.pop("stalls") > [0.0], "its own stall is known"
    assert kept == {k: v for k, v in found.state().items() if k not in ("checkpoint_times", "stalls")}
    assert torch.equal(torch.cat(again.rank_splits), torch.cat(found.rank_splits))


def test_training_that_goes_on_while_a_checkpoint_is_written_does_not_get_into_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parameters, moments, step counters and the history are copied before `save` returns."""
    may_write, right = threading.Event(), checkpoint._Writer.write_data

    def held_back(self: Any, *given: Any) -> Any:
        assert may_write.wait(30)
        return right(self, *given)

    monkeypatch.setattr(checkpoint._Writer, "write_data", held_back)
    what, found, checkpoints = trained(tmp_path, "asynchronous")
    wanted = tensors(what)
    checkpoints.save(found)
    for step in range(3, 6):
        what.train_step(step)
    found.add_stretch(3, 48, 1.0, [0.3] * 3, 0.4, torch.ones(3, 1, 4))
    assert not (tmp_path / "step-3" / COMPLETE).exists()
    assert not all(torch.equal(a, b) for a, b in zip(tensors(what), wanted, strict=True))
    may_write.set()
    checkpoints.finish()

    other, again = learner(), history()
    assert Checkpoints(tmp_path, OWNER, other, "asynchronous").restore(again)
    for here, there in zip(tensors(other), wanted, strict=True):
        assert torch.equal(here, there)
    assert (again.step, again.step_times, again.seconds) == (3, [1 / 3] * 3, 1.0)


def test_stall_lasts_until_the_training_goes_on_though_the_write_was_quicker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a small checkpoint the thread that writes may be done before the one that trains has gone on."""
    stood: list[float] = []
    right = dcp.async_save

    def slow_to_return(*given: Any, **named: Any) -> Any:
        begin = time.perf_counter()
        future = right(*given, **named)
        deadline = begin + 30
        while not (tmp_path / "step-3" / ".metadata").exists() and time.perf_counter() < deadline:
            time.sleep(0.01)
        time.sleep(0.3)  # what is written last is written right after it
        stood.append(time.perf_counter() - begin)
        return future

    monkeypatch.setattr(dcp, "async_save", slow_to_return)
    _, found, checkpoints = trained(tmp_path, "asynchronous")
    checkpoints.save(found)
    checkpoints.finish()
    assert Checkpoints(tmp_path, OWNER, learner(), "synchronous").restore(again := history())
    assert again.checkpoint_times[-1] >= stood[0] >= 0.3


@pytest.mark.parametrize("mode", MODES)
def test_older_checkpoint_is_removed_only_once_the_new_one_is_complete(
    mode: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, right = [], checkpoint._Writer.write_data

    def watched(self: Any, *given: Any) -> Any:
        done = right(self, *given)
        seen.append(sorted(p.parent.name for p in tmp_path.glob(f"*/{COMPLETE}")))
        return done

    monkeypatch.setattr(checkpoint._Writer, "write_data", watched)
    _, found, checkpoints = trained(tmp_path, mode)
    for _ in range(2):
        checkpoints.save(found)
        found.add_stretch(2, 32, 1.0, [0.5] * 2, 0.4, torch.ones(2, 1, 4))
    checkpoints.save(found)
    checkpoints.finish()
    assert seen == [[], ["step-3"], ["step-5"]]
    assert [p.name for p in tmp_path.iterdir()] == ["step-7"]


@pytest.mark.parametrize("mode", MODES)
def test_write_that_fails_is_told_in_words_and_leaves_the_checkpoint_before(
    mode: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, found, checkpoints = trained(tmp_path, mode)
    checkpoints.save(found)
    checkpoints.finish()

    def full(*given: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint._Writer, "write_data", full)
    found.add_stretch(2, 32, 1.0, [0.5] * 2, 0.4, torch.ones(2, 1, 4))
    with pytest.raises(CheckpointFailed, match=r"step-5.*rank 0: OSError.*No space left on device") as failure:
        checkpoints.save(found)
        checkpoints.finish()
    assert "Traceback" not in str(failure.value)
    assert Checkpoints(tmp_path, OWNER, learner(), mode).restore(again := history())
    assert again.step == 3


def test_write_that_fails_last_is_not_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _, found, checkpoints = trained(tmp_path, "asynchronous")

    def full(*given: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(checkpoint._Writer, "write_data", full)
    checkpoints.save(found)
    with caplog.at_level(logging.WARNING, "seatrial"):
        checkpoints.delete()
    assert "Permission denied" in caplog.text


def test_folder_that_cannot_be_made_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "here").write_text("a file where the folder should be")
    _, found, checkpoints = trained(tmp_path / "here")
    with pytest.raises(CheckpointFailed, match="could not be written"):
        checkpoints.save(found)


def test_saving_the_same_step_again_does_not_put_what_there_is_at_risk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, found, checkpoints = trained(tmp_path)
    checkpoints.save(found)
    monkeypatch.setattr(checkpoint._Writer, "write_data", lambda *given: pytest.fail("written again"))
    checkpoints.save(found)
    assert (tmp_path / "step-3" / COMPLETE).exists()


def test_half_written_checkpoint_is_never_read(tmp_path: Path) -> None:
    _, found, checkpoints = trained(tmp_path)
    checkpoints.save(found)
    shutil.copytree(tmp_path / "step-3", tmp_path / "step-9")
    (tmp_path / "step-9" / COMPLETE).unlink()
    assert Checkpoints(tmp_path, OWNER, learner(), "synchronous").restore(again := history())
    assert again.step == 3


@pytest.mark.parametrize("damage", ["truncated", "flipped", "missing", "no metadata", "words"])
def test_damaged_checkpoint_is_refused_in_words(damage: str, tmp_path: Path) -> None:
    _, found, checkpoints = trained(tmp_path)
    checkpoints.save(found)
    place = tmp_path / "step-3"
    data = place / "__0_0.distcp"
    content = data.read_bytes()
    if damage == "truncated":
        data.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        middle = content.index(b"PK\x05\x06") - 600  # within the first tensor's bytes
        data.write_bytes(
            content[:middle] + bytes(b ^ 0xFF for b in content[middle : middle + 64]) + content[middle + 64 :]
        )
    elif damage == "missing":
        data.unlink()
    elif damage == "no metadata":
        (place / ".metadata").unlink()
    else:
        (place / COMPLETE).write_text("half a file")
    with pytest.raises(UnreadableFile, match=r"not a checkpoint.*delete it to start afresh"):
        Checkpoints(tmp_path, OWNER, learner(), "synchronous").restore(history())


def test_checkpoint_of_another_run_is_refused_in_words(tmp_path: Path) -> None:
    _, found, checkpoints = trained(tmp_path)
    checkpoints.save(found)
    with pytest.raises(UnreadableFile, match=r"belongs to .*'x'.*not to .*'y'"):
        Checkpoints(tmp_path, {**OWNER, "case_id": "y"}, learner(), "synchronous").restore(history())


def test_every_time_it_is_taken_up_counts_also_from_the_same_checkpoint(tmp_path: Path) -> None:
    _, found, checkpoints = trained(tmp_path)
    assert checkpoints.resumed == 0
    checkpoints.save(found)
    for expected in (1, 2, 3):
        again = Checkpoints(tmp_path, OWNER, learner(), "synchronous")
        assert again.restore(history())
        assert again.resumed == expected
    (tmp_path / "resumed").write_text("twice")
    with pytest.raises(UnreadableFile, match="twice"):
        Checkpoints(tmp_path, OWNER, learner(), "synchronous").restore(history())


@pytest.mark.parametrize("mode", MODES)
def test_run_with_checkpoints_measures_the_same_losses_and_leaves_none(mode: str, tmp_path: Path) -> None:
    plain = alone(case(workload()), tmp_path / "plain")
    run(plain)
    saving = alone(case(workload(checkpoint_interval_steps=4, checkpoint_mode=mode)), tmp_path / "saving")
    run(saving)
    assert losses(saving) == losses(plain)
    assert not (tmp_path / "saving" / "0.checkpoint").exists(), "an ended run leaves no checkpoint"
    last = max(losses(saving))
    assert len(samples(saving, "train.checkpoint_stall_time")) == (last - 1) // 4
    if mode == "synchronous":  # the last asynchronous one may not have been written yet
        values = sum(p.numel() for p in learner().parameters)
        assert samples(saving, "train.checkpoint_size")[0] >= 3 * 4 * values, "weights and two moments, float32"
    assert saving.resumed == 0


def test_energy_of_an_attempt_is_in_its_checkpoint_and_counted_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A counter of one joule a reading stands for the sensors, which a test machine lacks."""
    from seatrial.telemetry import sampler
    from seatrial.telemetry.sensors import single

    class Counter:
        def __init__(self) -> None:
            self.joules = 0.0

        def groups(self) -> list[Any]:
            return [single("cpu", "energy", self.read)]

        def read(self) -> float:
            self.joules += 1.0
            return self.joules

        def close(self) -> None:
            """Nothing was opened."""

    monkeypatch.setattr(sampler, "sources_of", lambda device, *, host: [Counter])
    what = case(workload(checkpoint_interval_steps=4, telemetry_interval_seconds=1.0))

    def stopped(objective: Points, ctx: Any) -> None:
        right = objective.after_update

        def after_update(step: int) -> None:
            right(step)
            if step == 30:
                raise KeyboardInterrupt

        objective.after_update = after_update  # type: ignore[method-assign]

    with pytest.raises(KeyboardInterrupt):
        run(first := alone(what, tmp_path), stopped)
    run(second := alone(what, tmp_path))
    run(whole := alone(what, tmp_path / "whole"))
    here = samples(second, "telemetry.energy", scope="run")[0]
    assert second.resumed == 1
    assert here > 0.8 * samples(whole, "telemetry.energy", scope="run")[0], "steps up to 28 were the first's"
    assert samples(first, "telemetry.energy", scope="training")[0] > 0
