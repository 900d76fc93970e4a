"""A plan: what a study will run, how much it takes at most, and what that costs."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from seatrial.case import Case, case_gists, case_texts, content_hash, prepared_id, text_hash
from seatrial.config.ingested import HandedOver
from seatrial.config.loader import Origins
from seatrial.config.probe import Preparation
from seatrial.config.study import Study
from seatrial.config.training import Training
from seatrial.errors import ConfigError, PlanRefused
from seatrial.paths import StudyPaths, write_text
from seatrial.units import age_in_words

MINUTES_PER_HOUR = 60.0
AGREED = ("target", "experiments", "criteria", "references", "fleet", "differences")
"""What of a study two parties agree on before it runs: all that a verdict depends on."""


@dataclass(frozen=True)
class Cost:
    """Money at most: the range that the price's range gives, with the price's date and source."""

    low: float
    high: float
    currency: str
    as_of: str
    source: str

    def age(self, today: dt.date) -> str | None:
        """How old the price is, in words, where that is more than a year."""
        return age_in_words(self.as_of, today)


def agreed_parts(study_json: Mapping[str, Any]) -> dict[str, Any]:
    """Of the content of a study.json: AGREED and the ids of the cases, which hash workload, target and seed."""
    return {**{key: study_json["study"].get(key) for key in AGREED}, "cases": study_json["cases"]}


def agreed_digest(study_json: Mapping[str, Any]) -> str:
    """The SHA-256, in hexadecimal, of the canonical JSON of `agreed_parts`."""
    text = json.dumps(agreed_parts(study_json), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Plan:
    """A composed study and its cases. Hours count every repeat at its time limit: no plan takes longer."""

    study: Study
    cases: tuple[Case, ...]
    words: tuple[str, ...] = ()
    origins: Origins | None = field(default=None, compare=False, repr=False)

    def file_of(self, key: str) -> Path | str | None:
        """The file (or the command line) that set a key of the study."""
        return self.origins.of(key) if self.origins else None

    def mistake(self, key: str, problem: str, value: object, allowed: str | Iterable[str] | None) -> ConfigError:
        """What is wrong with a key of the study, to be raised."""
        return ConfigError(problem, file=self.file_of(key), key=key, value=value, allowed=allowed)

    @property
    def repeats(self) -> int:
        return sum(case.repeats for case in self.cases)

    @property
    def running(self) -> list[Case]:
        """The cases that run; the others are made of logs that somebody hands over."""
        return [case for case in self.cases if not isinstance(case.workload, HandedOver)]

    @property
    def repeats_to_ingest(self) -> int:
        """Repeats whose records are made from logs that somebody hands over; nothing of them runs."""
        return sum(case.repeats for case in self.cases if isinstance(case.workload, HandedOver))

    @property
    def ingest_commands(self) -> list[str]:
        """What makes the records of the cases of which nothing runs, each command once."""
        workloads = [case.workload for case in self.cases]
        return list(dict.fromkeys(work.command for work in workloads if isinstance(work, HandedOver)))

    def digest_of_ingested(self, paths: StudyPaths) -> str:
        """Changes whenever a record of ingested logs does."""
        ingested = [case.case_id for case in self.cases if isinstance(case.workload, HandedOver)]
        records = [path for name in ingested for path in sorted(paths.record(name, 0).parent.glob("*.json"))]
        return content_hash([[str(path), path.read_text(encoding="utf-8", errors="replace")] for path in records])

    @cached_property
    def prepared(self) -> dict[str, Preparation]:
        """Base models to prepare, by id."""
        return {prepared_id(spec): spec for case in self.cases for spec in case.preparations}

    @cached_property
    def trainings(self) -> list[str]:
        """The experiments that are trainings."""
        return list(dict.fromkeys(case.experiment for case in self.cases if isinstance(case.workload, Training)))

    @cached_property
    def node_hours(self) -> float:
        """Nodes x time limit over all repeats and preparations, in hours."""
        minutes = sum(c.repeats * c.workload.time_limit_minutes * c.target.nodes for c in self.cases)
        return (minutes + self._preparing_minutes) / MINUTES_PER_HOUR

    @cached_property
    def accelerator_hours(self) -> float:
        """Accelerators x time limit over all repeats and preparations, in hours; 0 without accelerators."""
        minutes = sum(c.repeats * c.workload.time_limit_minutes * c.target.accelerators for c in self.cases)
        per_node = self.study.target.accelerators_per_node
        return (minutes + self._preparing_minutes * per_node) / MINUTES_PER_HOUR

    @property
    def _preparing_minutes(self) -> float:
        return sum(model.time_limit_minutes for model in self.prepared.values())

    @property
    def cost(self) -> Cost | None:
        """Accelerator-hours times the price; None without a price or without accelerators."""
        price = self.study.accelerator_hour
        if price is None or not self.accelerator_hours:
            return None
        low = price.low if price.low is not None else price.middle
        high = price.high if price.high is not None else price.middle
        hours = self.accelerator_hours
        return Cost(low * hours, high * hours, price.currency, price.as_of, price.source)

    def refuse_if_too_large(self) -> None:
        """Raise PlanRefused where the plan exceeds what the study allows."""
        for key, hours in (
            ("max_accelerator_hours", self.accelerator_hours),
            ("max_node_hours", self.node_hours),
        ):
            limit = getattr(self.study, key)
            if limit is not None and hours > limit:
                raise PlanRefused(
                    f"the plan takes up to {hours:.4g} {key.removeprefix('max_').replace('_', '-')}, "
                    f"more than the study allows; nothing was submitted",
                    file=self.file_of(key),
                    key=key,
                    value=limit,
                    allowed=f"at least {hours:.4g}, or null for no limit (override {key}=null), or a smaller plan",
                )

    def to_json(self) -> str:
        """The file study.json: the composed study, its cases in order and the plan's totals."""
        cost = self.cost
        content: dict[str, Any] = {
            "schema_version": 1,
            "study": self.study.model_dump(mode="json"),
            "cases": [case.case_id for case in self.cases],
            "plan": {
                "repeats": self.repeats,
                "accelerator_hours": self.accelerator_hours,
                "node_hours": self.node_hours,
                "cost": None if cost is None else vars(cost),
            },
            "command": list(self.words),
        }
        return json.dumps(content, indent=2, sort_keys=True) + "\n"

    @property
    def agreed_digest(self) -> str:
        """What names the study that was agreed on; `seatrial bundle verify --study` takes it."""
        return agreed_digest(json.loads(self.to_json()))

    @property
    def digest(self) -> str:
        """Changes whenever study.json or a case file would change."""
        return text_hash([self.to_json(), *case_gists(self.cases)])

    def write(self, paths: StudyPaths) -> None:
        """Write study.json and the case files, and the mark of this plan in place of all others."""
        for mark in paths.marks_of_plans():
            mark.unlink(missing_ok=True)
        self._write_cases(paths, self.cases)
        write_text(paths.study, self.to_json())
        write_text(paths.planned(self.digest), "")

    def restore_cases(self, paths: StudyPaths) -> None:
        """Write the case files that are not there."""
        self._write_cases(paths, [case for case in self.cases if not paths.case(case.case_id).exists()])

    def _write_cases(self, paths: StudyPaths, cases: Sequence[Case]) -> None:
        for case, text in zip(cases, case_texts(cases), strict=True):
            write_text(paths.case(case.case_id), text)
