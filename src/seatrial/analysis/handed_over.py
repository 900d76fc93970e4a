"""Logs that somebody handed over: whether they make a score by MLCommons' rules, and whose they are.

A result has N runs, by benchmark; some may fail (one; four of unet3d) and then count as the slowest
(training_rules.adoc, "Benchmark Results"). With more failures, or other than N runs, there is no score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seatrial.analysis.collect import read_record
from seatrial.case import Case
from seatrial.config.ingested import MlperfLogs
from seatrial.paths import StudyPaths


@dataclass(frozen=True)
class Runs:
    """The logs of one case, and what MLCommons asks of a result."""

    completed: int
    failed: int
    planned: int
    """Logs that the study asks for."""
    demanded: int
    """N: logs of one result of the benchmark."""
    may_fail: int

    @property
    def logs(self) -> int:
        """Logs that were handed over, whatever became of their runs."""
        return self.completed + self.failed

    @property
    def excused(self) -> int:
        """Failed runs that count as the slowest: those of a whole result, where no more failed than may."""
        return self.failed if self.logs == self.demanded and self.failed <= self.may_fail else 0

    @property
    def refusal(self) -> str | None:
        """Why failures leave no score, in the words of the importer; None where they do not."""
        if self.failed <= self.may_fail:
            return None
        return f"{self.failed} of {self.logs} runs do not count, {self.may_fail} may: no score"

    @property
    def gap(self) -> str | None:
        """Why the logs make no score, in words; None where they are a result."""
        if self.refusal is not None:
            return self.refusal
        if self.logs < self.planned:
            return f"{self.logs} of {self.planned} logs were handed over: no score"
        if self.logs != self.demanded:
            return f"{self.logs} runs are no MLPerf result, which has {self.demanded}: no score"
        return None

    @property
    def counted(self) -> str:
        """'10 runs', or '10 runs, 1 failed and counts as the slowest'."""
        runs = "1 run" if self.logs == 1 else f"{self.logs} runs"
        if not self.failed:
            return runs
        return f"{runs}, {self.failed} failed and count{'s' if self.failed == 1 else ''} as the slowest"


def runs_of(case: Case, outcomes: Sequence[str]) -> Runs:
    """The runs of a case of kind mlperf_logs from the outcomes of its planned repeats."""
    assert isinstance(case.workload, MlperfLogs)
    facts = case.workload.facts
    completed, failed = (sum(found == word for found in outcomes) for word in ("completed", "failed"))
    return Runs(completed, failed, case.repeats, facts.runs, facts.dropped)


@dataclass(frozen=True)
class StatedSystem:
    """What the system description says that came with the logs: the submitter's word. Several where they differ."""

    submitters: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def submitter(self) -> str | None:
        return " and ".join(self.submitters) or None

    @property
    def name(self) -> str | None:
        return " and ".join(self.names) or None


def stated_system(paths: StudyPaths, case: Case) -> StatedSystem:
    """Submitter and name of the system that a case's logs ran on, from its records; empty where none says it."""
    submitters: list[str] = []
    names: list[str] = []
    for number in range(case.repeats):
        record = read_record(paths, case, number, ())
        ingested = record.provenance.get("ingested") if record is not None else None
        if not isinstance(ingested, dict):
            continue
        description = ingested.get("system_description") or {}
        submitters.append(ingested.get("submitter") or "")
        names.append(str(description.get("system_name") or ingested.get("system_id") or ""))
    return StatedSystem(*(tuple(sorted({text for text in texts if text})) for texts in (submitters, names)))
