"""Trainings that end badly: an outcome with its reason, and everything that was measured until then."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest
import torch
from small_training import Points, alone, case, losses, run, samples, start, wait, workload

from seatrial.config.training import QualityTarget
from seatrial.errors import MeasurementFailed
from seatrial.mllog import LogLine, read_lines
from seatrial.record import Record
from seatrial.train.history import History
from seatrial.train.phases import PHASES

UNREACHABLE = {"metric": "evaluation_loss", "target": 1e-9}


def ended(folder: Path, change: str, ranks: int, **more: Any) -> Record:
    codes, said = wait(start(case(workload(**more), ranks), folder, change))
    assert codes == [0] * ranks, said
    return Record.read(folder / "records" / "0.json")


def sampled_ranks(folder: Path) -> set[int]:
    return set(parquet.read_table(folder / "0.telemetry.parquet").column("rank").to_pylist())


def last_line(folder: Path) -> LogLine:
    return [line for line in read_lines(folder / "records" / "0.mllog") if isinstance(line, LogLine)][-1]


def has_what_was_measured(record: Record, steps: int, evaluations: list[int]) -> None:
    assert list(losses(record)) == evaluations
    for metric in ("train.step_time", "train.compute_time", "train.data_wait_time"):
        assert len(samples(record, metric)) == steps, metric
    assert record.quality is not None and record.quality.crossing is None


@pytest.mark.parametrize(
    ("change", "kind", "words", "ranks"),
    [
        # Step 15 is in the stretch from 10 to 20, which such a failure cuts off: it has no times.
        ("lacks_memory", "out_of_memory", "memory", 1),
        ("lacks_memory", "out_of_memory", "memory", 2),
        ("raises", "crashed", "the widget broke", 2),
    ],
)
def test_rank_that_fails_amid_the_steps_leaves_what_was_measured_before(
    change: str, kind: str, words: str, ranks: int, tmp_path: Path
) -> None:
    """On two ranks it is the other rank's listening thread that writes the record and the log's last line."""
    record = ended(tmp_path, change, ranks, telemetry_interval_seconds=0.2)
    assert record.error is not None
    assert (record.outcome, record.error.kind, record.error.rank) == ("failed", kind, ranks - 1)
    assert words in record.error.message.lower()
    has_what_was_measured(record, steps=10, evaluations=[0, 10])
    assert sampled_ranks(tmp_path / "records") == {0}, "what this rank sampled of itself is kept"
    stop = last_line(tmp_path)
    assert (stop.key, stop.metadata["status"], stop.metadata["step"]) == ("run_stop", "aborted", 10)


def test_loss_of_one_rank_that_is_no_number_is_divergence_of_all(tmp_path: Path) -> None:
    record = ended(tmp_path, "becomes_nan", 2, telemetry_interval_seconds=0.2)
    assert record.error is not None
    assert (record.outcome, record.error.kind) == ("failed", "diverged")
    assert "between step 10 and step 20" in record.error.message
    has_what_was_measured(record, steps=20, evaluations=[0, 10])
    assert len(samples(record, "train.training_loss")) == 1, "a loss that is no number has no sample"
    assert sampled_ranks(tmp_path / "records") == {0, 1}, "all ranks agreed that it has ended"
    assert (last_line(tmp_path).key, last_line(tmp_path).metadata["status"]) == ("run_stop", "aborted")


def test_budget_that_is_spent_is_a_failure_with_its_samples(tmp_path: Path) -> None:
    ctx = alone(case(workload(max_steps=25, quality=UNREACHABLE, checkpoint_interval_steps=10)), tmp_path)
    with pytest.raises(MeasurementFailed, match="in 25 steps, not the target") as failure:
        run(ctx)
    assert failure.value.kind == "target_not_reached"
    assert list(losses(ctx)) == [0, 10, 20, 25]
    assert len(samples(ctx, "train.step_time")) == 25
    assert len(samples(ctx, "train.checkpoint_stall_time")) == 2
    assert not (tmp_path / "0.checkpoint").exists(), "again from there would end the same way"


def test_global_batch_of_more_than_the_training_samples_is_refused_before_the_first_step(tmp_path: Path) -> None:
    """384 rows: 2 ranks x 192 take each once, 2 ranks x 193 would take two of them twice."""
    record = ended(tmp_path / "more", "as_it_is", 2, batch_size=193)
    assert record.outcome == "failed" and record.error is not None
    assert record.error.kind == "wrong_result"
    assert record.error.message == "the global batch of 386 is more than the 384 training samples there are"
    assert losses(record) == {}
    just = ended(tmp_path / "just", "as_it_is", 2, batch_size=192, max_steps=10, quality=UNREACHABLE)
    assert just.error is not None and just.error.kind == "target_not_reached"


def test_checkpoint_outlives_a_crash(tmp_path: Path) -> None:
    def breaking(objective: Points, ctx: Any) -> None:
        def after_update(step: int) -> None:
            if step == 15:
                raise RuntimeError("the widget broke")

        objective.after_update = after_update  # type: ignore[method-assign]

    ctx = alone(case(workload(checkpoint_interval_steps=10)), tmp_path)
    with pytest.raises(RuntimeError):
        run(ctx, breaking)
    assert (tmp_path / "0.checkpoint" / "step-10" / "history.pt").exists()
    ctx = alone(case(workload(checkpoint_interval_steps=10)), tmp_path)
    run(ctx)
    assert ctx.resumed == 1


def test_utilisation_that_is_not_defined_is_refused_in_words(tmp_path: Path) -> None:
    ctx = alone(case(workload()), tmp_path)
    run(ctx)
    rates = samples(ctx, "train.model_flops_per_second")
    throughput = samples(ctx, "train.sample_throughput")
    assert rates == pytest.approx([rate * 2e6 / 1e12 for rate in throughput])
    assert "train.mfu" not in {m.metric for m in ctx.measurements}
    assert "CPU" in ctx.facts["utilisation"]


def test_telemetry_that_cannot_start_or_write_ends_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from seatrial.train import beside

    ctx = alone(case(workload(telemetry_interval_seconds=100.0)), tmp_path / "interval")
    run(ctx)
    assert ctx.quality is not None and ctx.quality.crossing is not None
    assert "at most 60" in caplog.text

    def full(*given: Any) -> bool:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(beside, "write_series", full)
    ctx = alone(case(workload(telemetry_interval_seconds=1.0)), tmp_path / "full")
    run(ctx)
    assert "No space left" in caplog.text
    assert ctx.quality is not None and ctx.quality.crossing is not None


def test_record_can_be_asked_for_at_any_moment_from_another_thread() -> None:
    """While the training adds to them: as many splits, stalls and steps as belong together."""
    history = History(QualityTarget(metric="evaluation_loss", target=0.1))
    history.add_evaluation({"evaluation_loss": 1.0}, 0.1)
    stop, wrong, asked = threading.Event(), [], [0]

    def ask() -> None:
        while not stop.is_set():
            found = {m.metric: len(m.samples) for m in history.measurements() if not m.labels}
            asked[0] += 1
            if found.get("train.step_time", 0) != 4 * found.get("train.productive_fraction", 0):
                wrong.append(found)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for _ in range(1500):
            history.add_stretch(4, 4, 1.0, [0.25] * 4, 0.5, torch.ones(4, 2, len(PHASES)))
            history.add_checkpoint(0.1)
    finally:
        stop.set()
        thread.join(30)
    assert asked[0] > 0 and not wrong


def test_asking_takes_time_in_proportion_to_what_there_is() -> None:
    """Ten times the pauses, ten times the work, not a hundred times."""

    def seconds(pauses: int) -> float:
        history = History(QualityTarget(metric="evaluation_loss", target=0.1))
        for _ in range(pauses):
            history.add_stretch(2, 2, 1.0, [0.5] * 2, 0.5, torch.ones(2, 2, len(PHASES)))
            history.add_evaluation({"evaluation_loss": 1.0}, 0.1)
        best = []
        for _ in range(3):
            begin = time.process_time()
            history.measurements()
            best.append(time.process_time() - begin)
        return min(best)

    assert seconds(3000) < 30 * seconds(300)
