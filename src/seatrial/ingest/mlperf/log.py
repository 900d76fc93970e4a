"""One `result_*.txt` -> a Run, in one streaming pass.

Two readings go side by side, because MLCommons' tools read a log twice in different ways: the compliance check
wants every line with the token well formed; the check against the reference convergence points (rcp_checker,
read_submission_file) looks for words in the text of a line and takes what stands beside them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from seatrial.ingest.mlperf.result import Evaluation, Run
from seatrial.ingest.mlperf.rules import RuleBook, RuleLine
from seatrial.mllog import parse, scan

COUNTED_IN_SAMPLES = frozenset(
    {
        "llama2_70b_lora",
        "flux1",
        "llama31_405b",
        "llama31_8b",
        "gpt_oss_20b",
        "deepseekv3_671b",
        "qwen35_397b_grpo",
        "dlrmv4",
    }
)
"""Benchmarks whose way to quality is counted in samples (rcp_checker 4.1.68); of others in epochs, but for
stable_diffusion, which has its own rule."""
STABLE_DIFFUSION_FID, STABLE_DIFFUSION_CLIP = 90.0, 0.15
"""Quality of stable_diffusion: FID at most, CLIP at least (training_rules.adoc)."""
EPOCH_DIGITS = 3
MOMENTS = ("run_start", "run_stop", "seed", "submission_division")
MOST_PROBLEMS = 5
"""Problems of one log that are told; more are counted."""


def read_log(
    stream: BinaryIO, path: str, book: RuleBook, step_key: str = "samples_count", *, detail: bool = True
) -> Run:
    """Read one log. `book` holds the rules of its round; `step_key` names the evaluation's place in the log of
    stable_diffusion (step_num in v3.1); without `detail` evaluations and throughputs are left out.

    Whatever the log holds, a Run comes back: what is wrong with it is in `problems`.
    """
    reader = _Reader(book, step_key, detail)
    for number, text in scan(stream):
        reader.take(number, text)
    return reader.run(path)


@dataclass
class _Convergence:
    """Where the run reached its quality, as rcp_checker reads it: by words in the text of a line, in file order."""

    step_key: str
    benchmark: str | None = None
    batch: Any = None
    position: float | None = None
    converged: bool = False
    to_quality: float | None = None
    problem: str | None = None
    diffusion: dict[Any, dict[Any, Any]] = field(default_factory=lambda: defaultdict(dict))

    def take(self, number: int, text: bytes, content: Any) -> None:
        """One line that holds one of the words. rcp_checker dies on what is remembered here as a problem."""
        if self.problem is not None:
            return
        try:
            self._take(text, content)
        except (KeyError, TypeError, ValueError, IndexError, OverflowError, AttributeError) as problem:
            self.problem = f"line {number}: {type(problem).__name__} {problem}"

    def _take(self, text: bytes, content: Any) -> None:
        if b"global_batch_size" in text:
            self.batch = content["value"]
        if b"submission_benchmark" in text:
            self.benchmark = content["value"]
        if b"eval_accuracy" in text or b"eval_error" in text:
            self._evaluation(content)
        if b"run_stop" in text and content["key"] == "run_stop":
            self.converged = content["metadata"]["status"] == "success"
            self.to_quality = self._reached() if self.converged else None

    def _evaluation(self, content: Any) -> None:
        metadata = content["metadata"]
        if self.benchmark == "stable_diffusion":
            self.diffusion[metadata[self.step_key]][metadata["metric"]] = content["value"]
        elif self.benchmark in COUNTED_IN_SAMPLES:
            self.position = metadata["samples_count"]
            if "value" not in content:
                raise KeyError("value")
        else:
            self.position = round(metadata["epoch_num"], EPOCH_DIGITS)

    def _reached(self) -> float:
        """The last evaluation before the stop; of stable_diffusion the first that meets both metrics."""
        if self.benchmark == "stable_diffusion":
            passing = [
                step
                for step, found in self.diffusion.items()
                if found["FID"] <= STABLE_DIFFUSION_FID and found["CLIP"] >= STABLE_DIFFUSION_CLIP
            ]
            return float(min(passing))
        if self.position is None:
            raise ValueError("run_stop before any evaluation")
        return float(self.position)


class _Reader:
    """What one pass gathers."""

    def __init__(self, book: RuleBook, step_key: str, detail: bool) -> None:
        self._book, self._keys, self._detail = book, book.keys, detail
        self._lines: list[RuleLine] = []
        self._broken: list[str] = []
        self._convergence = _Convergence(step_key)
        self._times: dict[str, float] = {}
        self._status: str | None = None
        self._division: str | None = None
        self._seeds: list[int] = []
        self._evaluations: list[Evaluation] = []
        self._throughputs: list[float] = []

    def take(self, number: int, text: bytes) -> None:
        """One line with the token."""
        try:
            content = parse(text)
        except ValueError:
            content = None
        # rcp_checker parses only lines with these words: one that is broken stops it, no other does
        if b"eval_" in text or b"global_batch_size" in text or b"submission_b" in text or b"run_stop" in text:
            self._convergence.take(number, text, content)
        try:
            key, time_ms, value = content["key"], float(content["time_ms"]), content["value"]
            metadata = content["metadata"]
        except (KeyError, TypeError, ValueError, OverflowError):
            self._broken.append(f"line {number} is not a whole log line")
            return
        if type(key) is str and key in self._keys:
            self._lines.append(RuleLine(time_ms, key, content, lineno=number))
        if key in MOMENTS:
            self._moment(key, time_ms, value, metadata)
        elif self._detail and key == "tracked_stats":
            self._speed(value)
        elif self._detail and key in ("eval_accuracy", "eval_error"):
            self._evaluation(time_ms, value, metadata)

    def _moment(self, key: str, time_ms: float, value: Any, metadata: Any) -> None:
        if key == "seed":
            if isinstance(value, int):
                self._seeds.append(value)
            return
        if key == "submission_division":
            self._division = str(value)
            return
        # the first pair counts, as in the official summarizer
        if len(self._times) < 2:
            self._times[key] = time_ms
        if key == "run_stop" and isinstance(metadata, dict):
            status = metadata.get("status")
            self._status = None if status is None else str(status)

    def _speed(self, value: Any) -> None:
        if isinstance(value, dict):
            speed = value.get("throughput")
            if isinstance(speed, (int, float)) and math.isfinite(speed):
                self._throughputs.append(float(speed))

    def _evaluation(self, time_ms: float, value: Any, metadata: Any) -> None:
        if not isinstance(value, (int, float)) or not isinstance(metadata, dict):
            return
        where = metadata.get("samples_count", metadata.get("epoch_num"))
        position = float(where) if isinstance(where, (int, float)) else None
        metric = metadata.get("metric")
        self._evaluations.append(
            Evaluation(time_ms, position, float(value), None if metric is None else str(metric))
        )

    def run(self, path: str) -> Run:
        convergence = self._convergence
        problems = [*self._broken, *self._book.problems(self._lines)]
        if len(problems) > MOST_PROBLEMS:
            problems = [*problems[:MOST_PROBLEMS], f"{len(problems) - MOST_PROBLEMS} more"]
        batch = convergence.batch
        return Run(
            path=path,
            benchmark=convergence.benchmark if isinstance(convergence.benchmark, str) else None,
            division=self._division,
            problems=tuple(problems),
            status=self._status,
            started_ms=self._times.get("run_start"),
            stopped_ms=self._times.get("run_stop"),
            converged=convergence.converged,
            to_quality=convergence.to_quality,
            global_batch_size=float(batch) if isinstance(batch, (int, float)) else None,
            convergence_problem=convergence.problem,
            seeds=tuple(self._seeds),
            evaluations=tuple(self._evaluations),
            throughputs=tuple(self._throughputs),
            broken_lines=len(self._broken),
        )
