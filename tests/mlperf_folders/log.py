"""One run's log in the form of MLCommons' result repositories: text before `:::MLLOG`, one JSON record a line."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from .benchmarks import BENCHMARKS, Benchmark

TOKEN = ":::MLLOG "
MS_PER_MINUTE = 60_000
ROUND_START_MS = {
    "v3.1": 1_696_118_400_000,
    "v4.0": 1_714_521_600_000,
    "v4.1": 1_727_740_800_000,
    "v5.0": 1_745_798_400_000,
    "v5.1": 1_759_276_800_000,
    "v6.0": 1_776_643_200_000,
}
"""Some day before the submission date of each round."""
POINT, START, END = "POINT_IN_TIME", "INTERVAL_START", "INTERVAL_END"


@dataclass(frozen=True)
class RunPlan:
    """What one run's log shall say; the defaults make a run that the official check accepts."""

    seed: int
    benchmark: str
    round: str = "v5.1"
    minutes: float | None = None
    """run_start to run_stop; None: in proportion to the position, with a little luck."""
    position: float | None = None
    """Where the quality is reached; None: the benchmark's own."""
    status: str | None = "success"
    """metadata.status of run_stop; None: the log ends without run_stop."""
    reaches_target: bool = True
    batch_size: int | None = None
    init_minutes: float = 6.5
    org: str = "Harbour Systems"
    platform: str = "8x accelerator"
    division: str = "closed"
    evaluations: int | None = None
    """None: two, or one in a terse log."""
    tracked_stats: int | None = None
    """Lines of training speed or loss, spread over the training; None: two, or none in a terse log."""
    ranks: int = 1
    """How many ranks log init_start and cache_clear."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Further keys, logged with the hyperparameters; a value replaces the benchmark's."""
    without: tuple[str, ...] = ()
    """Keys to leave out."""
    terse: bool = False
    """Compact JSON without namespace, file and line; one evaluation, without its start and stop."""

    @property
    def blocks(self) -> int:
        """Blocks of training, each with an evaluation at its end."""
        return self.evaluations or (1 if self.terse else 2)

    @property
    def stats_per_block(self) -> int:
        """Lines of tracked_stats in each block."""
        lines = (0 if self.terse else 2) if self.tracked_stats is None else self.tracked_stats
        return lines // self.blocks


@dataclass
class _Clock:
    """Writes records with rising times."""

    now: float
    terse: bool

    def line(
        self, event: str, key: str, value: Any, after: float = 0.0, at: float | None = None, **metadata: Any
    ) -> str:
        self.now += after
        record = {
            "namespace": "",
            "time_ms": round(self.now if at is None else at),
            "event_type": event,
            "key": key,
            "value": value,
            "metadata": {"file": "train.py", "lineno": 1 + len(key) * 7} | metadata,
        }
        if self.terse:
            del record["namespace"]
            record["metadata"] = metadata
        return TOKEN + json.dumps(record, separators=(",", ":") if self.terse else None)


def log_text(plan: RunPlan) -> str:
    """The log of `plan`, the same for the same plan; lines end with a newline."""
    return "\n".join(log_lines(plan)) + "\n"


def log_lines(plan: RunPlan) -> list[str]:
    """The log's lines, without newlines."""
    facts = BENCHMARKS[plan.benchmark]
    luck = random.Random(f"{plan.round} {plan.benchmark} {plan.seed}")
    clock = _Clock(ROUND_START_MS[plan.round] + luck.randrange(14 * 86_400_000), plan.terse)
    lines = [*_before_run(plan, facts, clock)]
    position = facts.position if plan.position is None else plan.position
    minutes = plan.minutes
    if minutes is None:
        minutes = facts.minutes * position / facts.position * luck.uniform(0.98, 1.02)
    lines += _training(plan, facts, clock, luck, position, minutes * MS_PER_MINUTE)
    return [line for line in lines if not any(f'"{key}"' in line for key in plan.without)]


def _before_run(plan: RunPlan, facts: Benchmark, clock: _Clock) -> Iterator[str]:
    batch = facts.batch_size if plan.batch_size is None else plan.batch_size
    for rank in range(plan.ranks):
        yield clock.line(POINT, "cache_clear", True, after=float(rank > 0))
    first = clock.now + 9_000
    for rank in range(plan.ranks):
        yield clock.line(START, "init_start", None, after=9_000 if rank == 0 else 1)
    submission = {
        "submission_benchmark": plan.benchmark,
        "submission_org": plan.org,
        "submission_division": plan.division,
        "submission_status": "onprem",
        "submission_platform": plan.platform,
        "seed": plan.seed,
        "global_batch_size": batch,
        "gradient_accumulation_steps": 1,
        "train_samples": facts.train_samples,
        "eval_samples": facts.eval_samples,
    }
    for key, value in (submission | dict(facts.hyperparameters(batch)) | plan.extra).items():
        yield clock.line(POINT, key, value, after=1)
    stop = first + plan.init_minutes * MS_PER_MINUTE
    yield clock.line(END, "init_stop", None, after=stop - clock.now)


def _training(
    plan: RunPlan, facts: Benchmark, clock: _Clock, luck: random.Random, position: float, duration_ms: float
) -> Iterator[str]:
    yield clock.line(START, "run_start", None, after=1)
    start = clock.now
    if plan.benchmark == "stable_diffusion":
        yield from _diffusion_evaluations(plan, facts, clock, luck, position, duration_ms)
    else:
        yield from _blocks(plan, facts, clock, luck, position, duration_ms)
    if plan.status is not None:
        # the diffusion stacks evaluate afterwards and date run_stop back to the checkpoint that passed
        yield clock.line(END, "run_stop", None, at=start + duration_ms, status=plan.status)


def _blocks(
    plan: RunPlan, facts: Benchmark, clock: _Clock, luck: random.Random, position: float, duration_ms: float
) -> Iterator[str]:
    """Training in blocks, an evaluation after each; the last evaluation is at `position`."""
    start, n = clock.now, plan.blocks
    previous = facts.at(0)
    for i in range(n):
        here = facts.at(max(position - (n - 1 - i) * facts.spacing, facts.spacing / 2))
        share = here / position
        yield clock.line(START, "block_start", None, **_block_metadata(facts, previous, here))
        until = start + duration_ms * share - 4_000
        yield from _tracked_stats(plan.stats_per_block, clock, luck, until, here - previous)
        yield clock.line(END, "block_stop", None, at=until, **_block_stop_metadata(facts, previous, here))
        clock.now = until
        if not plan.terse:
            yield clock.line(START, "eval_start", None, after=1, **{facts.unit: here})
        value = _quality(plan, facts, luck, left=n - 1 - i)
        yield clock.line(POINT, "eval_accuracy", value, after=3_000, **{facts.unit: here})
        if not plan.terse:
            yield clock.line(END, "eval_stop", None, after=1, **{facts.unit: here})
        previous = here


def _block_metadata(facts: Benchmark, previous: float, here: float) -> dict[str, float]:
    if facts.unit == "epoch_num":
        return {"first_epoch_num": previous, "epoch_count": facts.at(here - previous)}
    return {"samples_count": previous}


def _block_stop_metadata(facts: Benchmark, previous: float, here: float) -> dict[str, float]:
    return {"first_epoch_num": previous} if facts.unit == "epoch_num" else {"samples_count": here}


def _quality(plan: RunPlan, facts: Benchmark, luck: random.Random, left: int) -> float:
    """The metric of an evaluation with `left` more to come; only the last one reaches the target."""
    away = 0.002 * luck.random() if left == 0 and plan.reaches_target else -0.004 * (max(left, 1) + luck.random())
    return facts.target * (1 - away if facts.lower_is_better else 1 + away)


def _tracked_stats(count: int, clock: _Clock, luck: random.Random, until: float, trained: float) -> Iterator[str]:
    """`count` lines of one block; by hand instead of json.dumps, since a benchmark writes millions of them."""
    if not count:
        return
    begin, step = clock.now, (until - clock.now) / (count + 1)
    speed = trained / max((until - begin) / 1000, 1e-9)
    head = f'{TOKEN}{{"namespace": "", "time_ms": '
    middle = ', "event_type": "POINT_IN_TIME", "key": "tracked_stats", "value": '
    for i in range(count):
        chance = luck.random()
        if i % 8 == 0:
            value = f'{{"throughput": {speed * (0.99 + 0.02 * chance)!r}}}'
        elif i % 8 == 1:
            value = f'{{"train_step_time": {1 / max(speed, 1e-9) * (0.99 + 0.02 * chance)!r}}}'
        else:
            value = (
                f'{{"train_loss": {2.5 - i / count + chance * 0.1!r}, "reduced_train_loss": {2.5 - i / count!r}}}'
            )
        time_ms = int(begin + step * (i + 1))
        yield f'{head}{time_ms}{middle}{value}, "metadata": {{"file": "train.py", "lineno": 148, "step": {i}}}}}'


def _diffusion_evaluations(
    plan: RunPlan, facts: Benchmark, clock: _Clock, luck: random.Random, position: float, duration_ms: float
) -> Iterator[str]:
    """Checkpoints (too early, the one that passes, later), then FID of all and CLIP of all, each in its order."""
    scale = 1 if plan.round != "v3.1" else 1 / (plan.batch_size or facts.batch_size)
    unit = "samples_count" if plan.round != "v3.1" else "step_num"
    points = [round((position + k * facts.spacing) * scale) for k in (-1, 0, 1)]
    start, pace = clock.now, duration_ms / points[1]
    for previous, here in zip([0, *points], points, strict=False):
        yield clock.line(START, "block_start", "training_step", at=start + pace * previous + 1, **{unit: previous})
        yield clock.line(END, "block_stop", "training_step", at=start + pace * here, **{unit: previous})
    clock.now = start + pace * points[-1]
    passes = plan.reaches_target
    fid = {points[0]: 101.0, points[1]: 84.0 if passes else 93.0, points[2]: 78.0 if passes else 91.0}
    clip = {points[0]: 0.141, points[1]: 0.157, points[2]: 0.166}
    for metric, values, order in (("FID", fid, (2, 0, 1)), ("CLIP", clip, (1, 2, 0))):
        for k in order:
            here = points[k]
            value = values[here] * luck.uniform(0.99, 1.01)
            where: dict[str, Any] = {unit: here, "metric": metric}
            yield clock.line(POINT, "eval_accuracy", value, after=61_000, **where)


def runs_of(plan: RunPlan, runs: int | None = None, spread: bool = True) -> list[RunPlan]:
    """Plans of a folder's runs: `runs` (None: as many as the benchmark asks for) with seeds of their own.

    With `spread`, some reach the quality an evaluation earlier or later, the same number each way.
    """
    facts = BENCHMARKS[plan.benchmark]
    base = facts.position if plan.position is None else plan.position
    offsets = (0, 1, 0, -1, 0, 0, -1, 0, 1, 0) if spread else (0,)
    return [
        replace(plan, seed=plan.seed + k, position=base + offsets[k % len(offsets)] * facts.spacing)
        for k in range(facts.runs if runs is None else runs)
    ]
