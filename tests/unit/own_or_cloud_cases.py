"""The anchor of own against cloud, and what is decided of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from study_on_disk import LAPTOP

from seatrial.analysis.decisions.basis import Basis
from seatrial.analysis.decisions.decision import Decision, Figure
from seatrial.analysis.decisions.own_or_cloud import own_or_cloud
from seatrial.config.loader import Origins, validate
from seatrial.config.study import Study
from seatrial.paths import StudyPaths

RENTS = {"neocloud": 2.95, "aws": 6.88, "azure": 12.29}


def stated(value: float, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"value": value, "as_of": "2026-11", "source": "a source"}
    return found if low is None else found | {"low": low, "high": high}


def price(low: float, high: float | None = None) -> dict[str, Any]:
    return {"low": low, "high": low if high is None else high, "as_of": "2026-11", "source": "a quote"}


def economics() -> dict[str, Any]:
    """The anchor: 1,000 H100 at 49.2 k USD, 3 years, 90 % in use, 1.3 kW at PUE 1.3 and 0.08 USD, nothing else."""
    own = {
        "depreciation_years": 3,
        "purchase": price(49_200),
        "residual": stated(0.0),
        "interest": stated(0.0),
        "power_kw": stated(1.3),
        "energy": {"price_kwh": price(0.08), "pue": stated(1.3)},
        "availability": stated(1.0),
        "utilisation": stated(0.9),
    }
    offers = {name: {"paid_hours": "used", "price": price(p)} for name, p in RENTS.items()}
    return {"accelerators": 1000, "own": own, "cloud": {"months": 12, "offers": offers}}


def study(**words: Any) -> Study:
    return validate(
        Study, {"name": "trial", "title": "A trial", "target": LAPTOP, **words}, Origins(None, {}, set())
    )


def decided(content: dict[str, Any]) -> Decision:
    """What is decided over the terms, which comes first."""
    return own_or_cloud(Basis(StudyPaths(Path("nowhere")), study(economics=content), {}))[0]


def by_hour(content: dict[str, Any]) -> Decision:
    """What is decided by the used hour."""
    _, found = own_or_cloud(Basis(StudyPaths(Path("nowhere")), study(economics=content), {}))
    return found


def figure(decision: Decision, name: str) -> Figure:
    (found,) = [one for one in decision.figures if one.name.startswith(name)]
    return found
