"""What looking for one cause gives, and the words in which figures are said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from seatrial.analysis.findings.observed import Estimate, Finding, Observed, Reading, Severity
from seatrial.config.base import Threshold
from seatrial.config.findings import FindingRules
from seatrial.units import format_figure, format_minutes

NOT_MEASURED = "not measured"
WITHIN_STEP = "the rest of the step stays as it is (Amdahl)"


class Look(NamedTuple):
    """Of one cause: what was found, what was looked at without finding it, and what could not be looked at."""

    findings: tuple[Finding, ...] = ()
    seen: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def severity(cost: Estimate, rules: FindingRules, least: float | None = None) -> Severity | None:
    """How firmly a cause that costs `cost` of the time is found; None where it costs no more than `least`.

    Major where it alone keeps the workload from the productive fraction that counts as healthy; inconclusive where
    the interval holds the bound, or there is none.
    """
    bound = rules.least_share.value if least is None else least
    if cost.over(bound):
        return "major" if cost.over(1 - rules.productive_high.value) else "minor"
    return "inconclusive" if cost.value > bound else None


def difference(whole: Estimate, part: Estimate) -> Estimate:
    """`whole` less `part`, not below 0; its interval has the ends that leave least and most."""
    ends = (whole.low, part.high), (whole.high, part.low)
    low, high = (None if a is None or b is None else max(0.0, a - b) for a, b in ends)
    return Estimate(max(0.0, whole.value - part.value), low, high, whole.method, whole.n)


def percent(share: float) -> str:
    """'12.3 %'."""
    return f"{format_figure(100 * share, 3)} %"


def share_words(share: Estimate) -> str:
    """'12.3 % (10.1 to 14 %, log-t 95 %)'."""
    if share.low is None or share.high is None:
        return f"{percent(share.value)} (no interval: {share.method})"
    return (
        f"{percent(share.value)} ({format_figure(100 * share.low, 3)} to {percent(share.high)}, "
        f"{share.method.removeprefix('none needed ')})"
    )


def figure_words(figure: Estimate, unit: str) -> str:
    """'12.3 GB/s (10.1 to 14, log-t 95 %)'."""
    head = f"{format_figure(figure.value)} {unit}"
    if figure.low is None or figure.high is None:
        return head
    return f"{head} ({format_figure(figure.low)} to {format_figure(figure.high)}, {figure.method})"


def reading_words(reading: Reading) -> str:
    """A probe's figure with its fraction of the ceiling."""
    words = f"{reading.what}: {figure_words(reading.value, reading.unit)}"
    fraction = reading.fraction_of_ceiling
    if fraction is None:
        return f"{words}; no ceiling is declared"
    return f"{words}, {percent(fraction.value)} of its ceiling ({reading.ceiling_basis})"


def rule_words(rule: Threshold, shown: str | None = None) -> str:
    """'5 % (its source)'."""
    return f"{shown or percent(rule.value)} ({rule.source})"


def without(observed: Observed, cost: Estimate, assumption: str = WITHIN_STEP) -> str:
    """Step time and time to quality without what costs `cost` of the time, on a stated assumption."""
    stall = observed.shares.get("checkpoint_stall")
    within = min(1.0, cost.value / (1 - (stall.value if stall is not None and stall.value < 1 else 0.0)))
    said = []
    if observed.step_seconds is not None:
        now = observed.step_seconds.value
        said.append(f"a step would take {format_figure(now * (1 - within))} s instead of {format_figure(now)} s")
    if observed.minutes_to_quality is not None:
        now = observed.minutes_to_quality.value
        said.append(f"quality would be reached in {format_minutes(now * (1 - within))}, not {format_minutes(now)}")
    if not said:
        said.append(f"{percent(cost.value)} less time")
    return f"{', and '.join(said)}, if {assumption}"


def place_of(observed: Observed, **named: object) -> Mapping[str, object]:
    """Where a finding is: the case or log, with the host, rank or pair that is named."""
    return {"case": observed.where} | {name: value for name, value in named.items() if value is not None}


def fractions(readings: Sequence[Reading]) -> list[Reading]:
    """Those of the readings that have a ceiling."""
    return [reading for reading in readings if reading.fraction_of_ceiling is not None]


def below(readings: Sequence[Reading], bound: float) -> list[Reading]:
    """Those whose fraction of the ceiling lies under `bound`, the whole interval of it, the least first."""
    low = [r for r in readings if r.fraction_of_ceiling is not None and r.fraction_of_ceiling.under(bound)]
    return sorted(low, key=lambda r: r.fraction_of_ceiling.value if r.fraction_of_ceiling else 1.0)
