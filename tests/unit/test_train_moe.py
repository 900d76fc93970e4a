"""A mixture of experts from its configuration to its record."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import moe_cases
import pytest
import torch
from ranks import bare_environment, case, free_port

from seatrial.errors import MeasurementFailed
from seatrial.measure.context import RankContext
from seatrial.record import Measurement, Record
from seatrial.train.moe import run
from seatrial.train.moe.run import MoeObjective
from seatrial.train.moe.stopwatch import Stopwatch

PROGRAM = """
import sys
from pathlib import Path
from seatrial.case import Case
from seatrial.measure.session import run_repeat
from seatrial.train.kinds import WORK
what = Case.read(Path(sys.argv[1]))
run_repeat(what, 0, Path(sys.argv[2]), WORK[what.workload.kind])
print(" ".join(m for m in ("pandas", "hydra", "snakemake", "sklearn", "transformers") if m in sys.modules))
"""
REACHABLE = {"metric": "evaluation_loss", "target": 5.0}
"""Bytes by chance: ln 256 = 5.55."""


def context(folder: Path, **more: Any) -> RankContext:
    what = case(moe_cases.content(quality=REACHABLE, **more))
    return RankContext(
        case=what, repeat=0, seed=3, rank=0, local_rank=0, world_size=1, device=torch.device("cpu"), folder=folder
    )


def figures(found: list[Measurement]) -> dict[tuple[Any, ...], list[float]]:
    """All measurements that are no times."""
    kept = [m for m in found if "loss" in m.metric or "expert" in m.metric]
    return {(m.metric, *sorted(m.labels.items())): m.samples for m in kept}


def test_it_trains_to_its_target_on_text_that_is_always_there(tmp_path: Path) -> None:
    ctx = context(tmp_path, max_steps=60)
    run.run(ctx)
    assert ctx.quality is not None and ctx.quality.crossing is not None
    assert ctx.facts["datasets"]["train"]["origin"].startswith("standard library of Python 3")
    assert {m.labels.get("layer") for m in ctx.measurements if m.metric == "train.expert_gini"} == {0, 1}


def test_a_run_taken_up_from_its_checkpoint_gives_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = {"balancing": moe_cases.BIAS, "checkpoint_interval_steps": 3, "max_steps": 12, "learning_rate": 1e-3}
    whole, broken = (context(tmp_path / name, **more) for name in ("whole", "broken"))
    for ctx in (whole, broken):
        ctx.folder.mkdir()
    with pytest.raises(MeasurementFailed, match="not the target"):
        run.run(whole)

    update = MoeObjective.after_update

    def lose_power(self: MoeObjective, step: int) -> None:
        if step == 7:
            raise KeyboardInterrupt
        update(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(MoeObjective, "after_update", lose_power)
        with pytest.raises(KeyboardInterrupt):
            run.run(broken)
    with pytest.raises(MeasurementFailed, match="not the target"):
        run.run(broken)
    assert broken.resumed == 1
    assert figures(broken.measurements) == figures(whole.measurements)
    assert any(m.metric == "train.expert_gini" and m.labels["step"] == 3 for m in broken.measurements)


def test_two_ranks_that_share_experts_write_one_record(tmp_path: Path) -> None:
    what = case(moe_cases.content(quality=REACHABLE, max_steps=60, batch_size=4, parallelism={"ep": 2}), ranks=2)
    what.write(tmp_path / "case.json")
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    record = tmp_path / "records" / "0.json"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path / "case.json"), str(record)],
            env=bare_environment(**shared, RANK=str(rank), LOCAL_RANK=str(rank)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [p.communicate(timeout=200) for p in processes]
    finally:
        for process in processes:
            process.kill()
    assert [p.returncode for p in processes] == [0, 0], said
    assert [out.strip() for out, _ in said] == ["", ""]
    found = Record.read(record)
    assert found.outcome == "completed", found.error
    metrics = {m.metric for m in found.measurements}
    assert {"train.all_to_all_share", "train.all_to_all_time", "train.rank_imbalance"} <= metrics
    (share,) = (m.samples for m in found.measurements if m.metric == "train.all_to_all_share")
    (exposed,) = (m.samples for m in found.measurements if m.metric == "train.exposed_communication_time")
    (steps,) = (m.samples for m in found.measurements if m.metric == "train.step_time")
    # All-to-all is a part of what was waited for, and here nearly all of it.
    assert 0 < sum(share) / len(share) <= 1.1 * sum(exposed) / sum(steps)


def test_a_stopwatch_reads_events_of_the_compute_stream_without_device(monkeypatch: pytest.MonkeyPatch) -> None:
    streams: list[object] = []

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self, stream: object) -> None:
            streams.append(stream)
            self.place = len(streams)

        def elapsed_time(self, end: Event) -> float:
            return 500.0 * (end.place - self.place)

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: ("stream of", device))
    watch = Stopwatch(torch.device("cuda", 1))
    for _ in range(2):
        watch.start()
        watch.stop()
    assert watch.seconds() == 1.0
    assert watch.seconds() == 0.0
    assert set(streams) == {("stream of", torch.device("cuda", 1))}
