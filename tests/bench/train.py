"""Training speed: against Hugging Face's Trainer with peft and a loop as nanoGPT's; what instrumentation costs.

Each pair of trainings starts from the same weights, sees the same batches in the same order, and takes turns in one
process; that their losses are equal is checked before anything is timed. CPU seconds are compared: of one thread
that is its speed, whatever else the machine does. `--ranks 2`: the same in a process group over gloo.
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import torch
import torch.distributed as dist
from measure import MOST_PAIRS, Result, paired_ratio, publish
from train_ours import STRETCH, Material, Ours, laptop_task
from train_peers import PlainLoop, TrainerPeer
from train_titan import beside_torchtitan
from train_trivial import Trivial
from turns import PAIRS, TURN, Afresh, CpuMeter, Side, Training, telemetry_seconds

from seatrial.train.ranks import Ranks

EQUAL = 1e-5
"""Losses of ours and a peer's may differ by so many nats per token, after CHECKED stretches of the same steps."""
CHECKED = 2
STEPS = (CHECKED + TURN * PAIRS + 1) * STRETCH
TELEMETRY_S = 10.0
"""How long telemetry is looked at by itself."""
INSTRUMENTATION = 0.01
"""Share of a step's CPU time that all instrumentation may cost."""
MEASURING_S = 1050.0
"""For all comparisons; one that is narrow early leaves its time to the others."""
COMPARISONS = 4
WHOLE_LIMIT_S = 1200.0
DENSE = {"lora": None, "learning_rate": 0.002}


def main() -> None:
    arguments = _arguments()
    if arguments.ranks > 1 and "RANK" not in os.environ:
        _start(arguments.ranks)
        return
    torch.set_num_threads(1)
    if arguments.ranks > 1:
        dist.init_process_group("gloo")
    ranks = Ranks(int(os.environ.get("RANK", 0)), arguments.ranks, torch.device("cpu"))
    with tempfile.TemporaryDirectory() as place:
        results = Bench(ranks, Path(place)).results()
    results += beside_torchtitan(arguments.torchtitan)
    if ranks.first:
        publish("train" if ranks.size == 1 else f"train-{ranks.size}-ranks", results)
    if ranks.size > 1:
        dist.destroy_process_group()


class Bench:
    """The comparisons, as one rank takes part in them."""

    def __init__(self, ranks: Ranks, folder: Path) -> None:
        self.ranks, self.folder = ranks, folder
        self._deadline, self._left = time.monotonic() + MEASURING_S, COMPARISONS

    def results(self) -> list[Result]:
        lora, dense = Material(laptop_task(STEPS), self.ranks), Material(laptop_task(STEPS, **DENSE), self.ranks)
        return [
            *self._against("Trainer + peft", lora, lambda: TrainerPeer(lora, self.folder, STEPS)),
            *self._against("nanoGPT's loop", dense, lambda: PlainLoop(dense, STEPS, fused=False)),
            *self._against("nanoGPT's loop with fused AdamW", dense, lambda: PlainLoop(dense, STEPS, fused=True)),
            *self._instrumentation(lora),
        ]

    def _against(self, name: str, material: Material, peer: Callable[[], Training]) -> list[Result]:
        """Tokens per CPU second of ours over a peer's."""
        ratio, meter = self._compared(
            f"tokens/s, ours / {name}", material, Side(f"{name}", peer, telemetry=False),
            Side(f"ours beside {name}", lambda: self._ours(material), telemetry=True), 1.0,
        )  # fmt: skip
        tokens = len(ratio.samples) * TURN * STRETCH * material.tokens_per_step
        return [ratio, *(_rate(side, tokens / seconds) for side, seconds in meter.spent.items())]

    def _ours(self, material: Material, instrumented: bool = True) -> Ours:
        return Ours(material.workload, material.objective, self.ranks, self.folder, instrumented)

    def _compared(
        self, name: str, material: Material, slow: Side, fast: Side, bar: float
    ) -> tuple[Result, CpuMeter]:
        """CPU time of `slow` over that of `fast`, on steps whose losses are the same."""
        meter = CpuMeter()
        with Afresh(slow, fast, lambda one, other: self._check(name, material, one, other)) as trainings:
            works = [trainings.taking_turns(side, meter) for side in (slow, fast)]
            ratio = paired_ratio(name, *works, bar, self._clock(meter), self._limit_s())
            self._left -= 1
            worst = max(trainings.checks)
        ratio.note += f" over {len(trainings.checks)} starts; losses differ by {worst:.0e} at most"
        print(f"{name}: {ratio.value:.4f} ({ratio.note})", flush=True)
        return ratio, meter

    def _check(self, name: str, material: Material, one: Training, other: Training) -> float:
        """How far losses lie apart after the same steps. Ends the command where the two do not do the same work."""
        for training in (one, other):
            for _ in range(CHECKED):
                training.stretch()
        losses = [self.ranks.total([material.held_out_loss(t.model)])[0] / self.ranks.size for t in (one, other)]
        difference = abs(losses[0] - losses[1])
        if not difference <= EQUAL:
            raise SystemExit(f"{name}: not the same work, losses are {losses[0]} and {losses[1]}")
        return difference

    def _instrumentation(self, material: Material) -> list[Result]:
        """What phases, log and telemetry cost: our loop with all of them and with none."""
        ratio, meter = self._compared(
            "step's CPU time, without / with instrumentation", material,
            Side("without", lambda: self._ours(material, instrumented=False), telemetry=False),
            Side("with", lambda: self._ours(material), telemetry=True), 1 / (1 + INSTRUMENTATION),
        )  # fmt: skip
        step = meter.spent["without"] / (len(ratio.samples) * TURN * STRETCH)
        return [ratio, self._alone(step, self._telemetry_alone(material))]

    def _telemetry_alone(self, material: Material) -> float:
        """CPU seconds per second of the sampler's thread."""
        with self._ours(material) as ours:
            ours.stretch()
            began, before = time.monotonic(), telemetry_seconds()
            time.sleep(TELEMETRY_S)
            return (telemetry_seconds() - before) / (time.monotonic() - began)

    def _alone(self, step: float, telemetry: float) -> Result:
        """The same where the noise of a real step does not hide it: on steps that do next to nothing.

        `step`: CPU seconds of the laptop task's; `telemetry`: CPU seconds per second of its thread.
        """
        workload = laptop_task(100_000 * STRETCH)
        spent: dict[bool, list[float]] = {True: [], False: []}
        with ExitStack() as stack:
            sides = {
                on: stack.enter_context(Ours(workload, Trivial, self.ranks, self.folder, on, telemetry=False))
                for on in (True, False)
            }
            for pair in range(MOST_PAIRS):
                for on in (True, False) if pair % 2 else (False, True):
                    start = time.process_time()
                    sides[on].stretch()
                    spent[on].append((time.process_time() - start) / STRETCH)
        extra = [with_all - without for with_all, without in zip(spent[True], spent[False], strict=True)]
        shares = [100 * (seconds / step + telemetry) for seconds in extra]
        share = statistics.median(shares)
        note = (
            f"{1e6 * statistics.median(extra):.0f} us a step of {1e3 * step:.1f} ms, "
            f"and {1e3 * telemetry:.2f} ms a second for telemetry"
        )
        bar = 100 * INSTRUMENTATION
        return Result(
            "instrumentation by itself, share of a step's CPU time", share, "%", bar, share <= bar, shares, note
        )

    def _clock(self, meter: CpuMeter) -> Callable[[], float]:
        """CPU seconds of all ranks, so that all agree when enough has been measured."""
        return lambda: self.ranks.total([meter()])[0]

    def _limit_s(self) -> float:
        """An even part of what is left; none for several ranks, since it would end one before the other."""
        return math.inf if self.ranks.size > 1 else (self._deadline - time.monotonic()) / self._left


def _rate(side: str, tokens_per_second: float) -> Result:
    return Result(f"tokens per CPU second, {side}", tokens_per_second, "1/s", None, None, [tokens_per_second])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ranks", type=int, default=1, help="ranks of a group over gloo, one core each")
    parser.add_argument(
        "--torchtitan", type=Path, help="a checkout of torchtitan, whose tokenizer and text are used"
    )
    return parser.parse_args()


def _start(ranks: int) -> None:
    """This command again, as every rank of a group."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    shared = {**os.environ, "WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [
        subprocess.Popen([sys.executable, *sys.argv], env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(ranks)
    ]
    try:
        codes = [process.wait(WHOLE_LIMIT_S) for process in processes]
    finally:
        for process in processes:
            process.kill()
    if any(codes):
        raise SystemExit(f"the ranks ended with {codes}")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    main()
