"""The training benchmark compares like with like: peers do the same work as ours, CPU time goes to its owner."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
from train_ours import STRETCH, Material, Ours, laptop_task
from train_peers import PlainLoop, TrainerPeer
from train_titan import STEPS, command, left_out, our_learner, speed
from turns import PAIRS, Afresh, CpuMeter, Side, Training, Turns

from seatrial.train.ranks import Ranks
from seatrial.train.threads import at_most_threads

ALONE = Ranks(0, 1, torch.device("cpu"))
FAR = 20 * STRETCH
SMALL = {
    "model_type": "llama", "vocab_size": 257, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
    "num_attention_heads": 2, "num_key_value_heads": 1, "tie_word_embeddings": True,
}  # fmt: skip


def material(**more: object) -> Material:
    """The benchmark's task, small."""
    dataset = {"source": "stdlib", "modules": ["copy", "heapq"], "evaluation_modules": ["bisect", "queue"]}
    model = {"source": "config", "architecture": SMALL, "tokenizer": "bytes"}
    return Material(laptop_task(FAR, model=model, dataset=dataset, sequence_length=32, **more), ALONE)


def losses(one: Training, tmp_path: Path, what: Material, stretches: int = 2) -> tuple[float, float]:
    """Held-out losses of ours and of a peer after the same steps."""
    with at_most_threads(1), Ours(what.workload, what.objective, ALONE, tmp_path) as ours, one as peer:
        for _ in range(stretches):
            ours.stretch()
            peer.stretch()
        return what.held_out_loss(ours.model), what.held_out_loss(peer.model)


def test_the_trainer_does_the_same_work_on_the_same_batches(tmp_path: Path) -> None:
    what = material()
    before = what.held_out_loss(what.model())
    ours, theirs = losses(TrainerPeer(what, tmp_path, FAR), tmp_path, what)
    assert ours == pytest.approx(theirs, abs=1e-5) and before - ours > 0.01


@pytest.mark.parametrize("fused", [False, True])
def test_the_plain_loop_does_the_same_work_on_the_same_batches(tmp_path: Path, fused: bool) -> None:
    what = material(lora=None, learning_rate=0.002)
    before = what.held_out_loss(what.model())
    ours, theirs = losses(PlainLoop(what, FAR, fused), tmp_path, what)
    assert ours == pytest.approx(theirs, abs=1e-5) and before - ours > 0.01


def test_a_loop_without_instrumentation_trains_as_one_with_it(tmp_path: Path) -> None:
    what = material()
    bare = Ours(what.workload, what.objective, ALONE, tmp_path, instrumented=False)
    ours, without = losses(bare, tmp_path, what)
    assert ours == without
    assert len((tmp_path / "0.mllog").read_text(encoding="utf-8").splitlines()) > 6, "the other one has logged"


def test_turns_are_taken_one_at_a_time_and_failures_come_through() -> None:
    done: list[int] = []

    def training(pause: object) -> None:
        for number in range(3):
            pause()  # type: ignore[operator]
            done.append(number)
        raise ArithmeticError("it broke")

    with Turns(training) as turns:
        assert done == []
        turns.go()
        assert done == [0]
        turns.go()
        with pytest.raises(ArithmeticError, match="it broke"):
            turns.go()


def test_telemetry_is_charged_to_the_training_it_belongs_to() -> None:
    ending = threading.Event()

    def spin() -> None:
        while not ending.is_set():
            sum(range(1000))

    thread = threading.Thread(target=spin, name="telemetry", daemon=True)
    meter = CpuMeter()
    idle = meter.charging("peer", lambda: time.sleep(0.4), telemetry=False)
    owner = meter.charging("ours", lambda: time.sleep(0.4), telemetry=True)
    thread.start()
    try:
        idle()
        owner()
    finally:
        ending.set()
        thread.join(10)
    assert meter.spent["peer"] < 0.02 < meter.spent["ours"]
    assert meter() == pytest.approx(sum(meter.spent.values()))


def test_torchtitan_is_called_and_read_as_it_prints_without_device() -> None:
    line = "[titan] - root - INFO - \x1b[31mstep: {} \x1b[32m loss:  8.0 \x1b[38m memory:  1.21GiB(0.86%)  "
    line += "\x1b[34mtps: {:,}  \x1b[36mtflops: {}  \x1b[35mmfu: {}%\x1b[39m\n"
    printed = line.format(10, 7, 0.1, "0.01") + line.format(30, 90_000, 5.0, "0.50")
    printed += line.format(60, 110_000, 7.0, "0.70")
    found = speed(printed)
    assert (found.tokens, found.tflops, found.mfu) == (100_000, 6.0, pytest.approx(0.006)), (
        "the first steps are left out"
    )
    with pytest.raises(ValueError, match="no metrics line"):
        speed("Traceback\n")
    words = command()
    assert words[words.index("--config") + 1] == "llama3_debugmodel"
    assert words[words.index("--training.steps") + 1] == str(STEPS)
    if not torch.cuda.is_available():
        assert left_out(Path()) == "no accelerator is at hand"


def test_our_step_has_torchtitans_shape_without_device() -> None:
    learner = our_learner(torch.device("cpu"))
    sizes = {name: tuple(p.shape) for name, p in zip(learner.names, learner.parameters, strict=True)}
    assert sizes["model.layers.5.mlp.up_proj.weight"] == (768, 256)
    assert sizes["lm_head.weight"] == (2048, 256)
    assert (learner.samples_per_step, learner.tokens_per_sample) == (8, 2048)
    assert learner.workload.dtype == "bfloat16"


def test_both_sides_are_made_anew_together_and_checked_each_time() -> None:
    made: list[str] = []

    class Known:
        model = torch.nn.Identity()

        def __init__(self, name: str) -> None:
            made.append(name)
            self.stretches = 0

        def __enter__(self) -> Known:
            return self

        def __exit__(self, *ending: object) -> None:
            made.append("end")

        def stretch(self) -> None:
            self.stretches += 1

    def check(one: Training, other: Training) -> float:
        assert (one.stretches, other.stretches) == (0, 0)  # type: ignore[attr-defined]
        return 0.5

    slow, fast = (Side(name, lambda name=name: Known(name), False) for name in ("slow", "fast"))  # type: ignore[misc]
    meter = CpuMeter()
    with Afresh(slow, fast, check) as both:
        works = [both.taking_turns(side, meter) for side in (slow, fast)]
        for pair in range(2 * PAIRS):
            for work in works if pair % 2 else works[::-1]:
                work()
    assert made == ["fast", "slow", "end", "end", "slow", "fast", "end", "end"]
    assert both.checks == [0.5, 0.5] and set(meter.spent) == {"slow", "fast"}
