"""The committed fixtures: which folders, what is odd about each, and what the official tool makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .submitter import LogFile, SubmitterFolder


@dataclass(frozen=True)
class Fixture:
    """One result folder of the committed set."""

    path: str
    """Below the set's root, with `/`."""
    trap: str
    official: str
    """score, no score, skipped (the tool passes over the whole system, and says why), or "dies: <exception>"."""
    rcp: str
    """The tool's word on convergence: Pass, Fail, Interp. Fail, Missing, Unknown state, or empty; "either" where it
    depends on the order in which the file system lists the logs."""
    factor: str
    """1, > 1, or committed (the scaling.json in the folder, which the tool's own check would overrule)."""
    power: str
    """With the power folder left in: energy, "dies: <exception>", or empty where there is none."""
    logs: Mapping[str, bool | None] = field(default_factory=dict)
    """By file name: whether the compliance check of the round accepts the log; None: it dies on it."""

    @property
    def round(self) -> str:
        """v5.1 and the like."""
        return self.path.split("/")[0].removeprefix("training_results_")

    @property
    def kills(self) -> bool:
        """Whether the official tool dies on it, and takes the submitter's other results with it."""
        return self.official.startswith("dies")


class FixtureSet:
    """Writes folders below `root` and keeps the list of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.fixtures: list[Fixture] = []

    def submitter(self, round_: str, folder: str, submitter: str | None = None) -> SubmitterFolder:
        """A submitter's folder in the repository of a round."""
        return SubmitterFolder(
            self.root / f"training_results_{round_}" / folder, submitter or folder.replace("_", " ")
        )

    def add(
        self,
        at: SubmitterFolder,
        system_id: str,
        benchmark: str,
        logs: Sequence[LogFile],
        trap: str,
        official: str = "score",
        rcp: str = "Pass",
        factor: str = "1",
        others: Mapping[str, bytes] | None = None,
        power: str = "",
    ) -> None:
        """Write a result folder and list it."""
        folder = at.results(system_id, benchmark, logs, others)
        self.fixtures.append(
            Fixture(
                folder.relative_to(self.root).as_posix(),
                trap,
                official,
                rcp,
                factor,
                power,
                {log.name: log.accepted for log in logs},
            )
        )
