"""A job that has been submitted: where its files are, and what its ranks have left in them."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from .batches import results
from .jobs import Label
from .ledger import Entry
from .outcomes import Outcome
from .ranks import RankReport, read_reports
from .status import Accounting, Queued

_Shown = TypeVar("_Shown", Accounting, Queued)


@dataclass(frozen=True)
class Held:
    """An end that counts, by Slurm's `facts`, and is held back since `since` (monotonic seconds): see `late.py`."""

    facts: Accounting
    since: float


@dataclass
class Live:
    """A submitted job: its ledger entry, what it is called, and its outcome once that is known."""

    entry: Entry
    label: Label
    outcome: Outcome | None = None
    id_given_to: str | None = None
    """The name of the other job that the queue showed last under its id: see `reused.py`."""
    shown_as: str | None = None
    """Its state as the queue showed it last."""
    unseen_since: float | None = None
    unheard_since: float | None = None
    completing_since: float | None = None
    fenced_since: float | None = None
    held: Held | None = None
    """Its end, where what its ranks say of it may still come to be seen."""
    unreadable: dict[str, tuple[float, str]] = field(default_factory=dict)
    """What of its files cannot be read: since when (monotonic seconds), and why."""
    known_since: float = field(default_factory=lambda: time.monotonic())
    """Since when this Snakemake knows of it (monotonic seconds)."""
    judged_by: list[RankReport] | None = None
    """The ranks' reports that the outcome was found from, once it was."""

    @cached_property
    def folder(self) -> Path:
        """Where its files are."""
        return Path(self.entry.folder)

    @property
    def job_id(self) -> str:
        """Its id on the cluster; only jobs that have one are watched."""
        if self.entry.job_id is None:
            raise RuntimeError(f"job {self.entry.name} has no id yet")
        return self.entry.job_id

    def own(self, shown: Mapping[str, _Shown]) -> _Shown | None:
        """What an answer of Slurm says of it; nothing where the id is another job's by now."""
        found = shown.get(self.job_id)
        return found if found is None or found.name in (None, self.entry.name) else None

    @property
    def on_slurm(self) -> bool:
        """Whether Slurm runs it."""
        return self.entry.cluster == "slurm"

    def reports(self) -> list[RankReport]:
        """What its ranks left about themselves."""
        return read_reports(self.folder, self.job_id, self.entry.ranks)

    def was_told_to_stop(self) -> bool:
        """Whether any rank was: its command may have saved its state, left the rest undone and exited with 0.

        The warning before the time limit is no such word: who exits with 0 after it has done all that was asked.
        """
        reports = self.reports() if self.judged_by is None else self.judged_by
        return any(report.told_to_stop and set(report.signals) != {"SIGUSR2"} for report in reports)

    def results(self) -> list[bool]:
        """For every rank that has left a result, whether it was a success; files are opened once they are there."""
        begin, ranks = f"{self.entry.folder}/{self.job_id}_", self.entry.ranks
        there = any(os.access(f"{begin}{rank}_result.pkl", os.F_OK) for rank in range(ranks))
        return results(self.folder, self.job_id, ranks) if there else []

    def age(self) -> float:
        """Seconds since it was submitted or taken up; `submitted_at` only orders, and may be of a clock ahead."""
        return time.monotonic() - self.known_since
