"""One thing that was looked at: how it stands, what was seen, what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

Standing = Literal["ok", "lacks", "warning", "not checked"]


@dataclass(frozen=True)
class Check:
    """`topic` groups checks (slurm, folders, ...); `saw` and `do` are one line each.

    Raises ValueError where something lacks and nothing says what to do, or where nothing was seen.
    """

    topic: str
    name: str
    standing: Standing
    saw: str
    do: str = ""

    def __post_init__(self) -> None:
        if not self.saw or (self.standing in ("lacks", "warning") and not self.do):
            raise ValueError(f"{self.topic} {self.name}: a check says what it saw, and what to do where that lacks")
        # what tools say comes in several lines
        object.__setattr__(self, "saw", one_line(self.saw))
        object.__setattr__(self, "do", one_line(self.do))


@dataclass(frozen=True)
class Topic:
    """Makes the checks of one topic."""

    name: str

    def ok(self, what: str, saw: str) -> Check:
        return Check(self.name, what, "ok", saw)

    def lacks(self, what: str, saw: str, do: str) -> Check:
        """Something that the study needs is not there."""
        return Check(self.name, what, "lacks", saw, do)

    def warning(self, what: str, saw: str, do: str) -> Check:
        """The study may run, and something is not as it should be."""
        return Check(self.name, what, "warning", saw, do)

    def not_checked(self, what: str, why: str, do: str = "") -> Check:
        """Nothing is known of it, which is never fine by itself."""
        return Check(self.name, what, "not checked", why, do)


def one_line(text: str) -> str:
    """`text` without line breaks and runs of blanks."""
    return " ".join(text.split())


def merged(by_node: Iterable[tuple[str, Iterable[Check]]]) -> list[Check]:
    """The checks of several nodes, those that read alike as one that says on which nodes it was seen."""
    hosts: dict[Check, list[str]] = {}
    for host, checks in by_node:
        for check in checks:
            hosts.setdefault(check, []).append(host)
    return [replace(check, saw=f"{', '.join(on)}: {check.saw}") for check, on in hosts.items()]
