"""How many times the steps hybrid attention needs: as this study, or a named one, measured it; no rule of thumb.

tables/emergence.csv holds the multiplier of steps to a quality by window, over the smallest window of the sweep.
"""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.analysis import emergence
from seatrial.analysis.decisions.decision import MEASURED, Figure, Input, assumed
from seatrial.analysis.tables import read_csv, rows_of
from seatrial.config.procurement import Hybrid
from seatrial.paths import StudyPaths
from seatrial.units import format_figure

STEPS_TAKEN = "steps with hybrid attention over those without"
STATE = "state what it found as economics.procurement.hybrid.steps, with the study as its source"
REMEDY = {
    "window": f"run a study of hybrid_attention that sweeps workload.window (as study=windows does), or {STATE}",
    "full": "run a study of hybrid_attention that sweeps workload.pattern over [full, full] and [sliding_window, "
    f"full], compare samples_to_quality in its tables/time_to_quality.csv, and {STATE}",
}
TAKEN = "of the model and the task that were trained there, taken to this model as it is"


def steps_taken(paths: StudyPaths, hybrid: Hybrid) -> tuple[Figure, Input | None]:
    """The multiplier of steps, and as an input where it has a value and both ends of an interval.

    Where it has no value the figure's method says why.
    Raises UnreadableFile where tables/emergence.csv is there and is not what `analyse` writes.
    """
    if hybrid.steps is not None:
        found = assumed(STEPS_TAKEN, hybrid.steps, "times")
        words = f"as stated ({found.as_of}): {found.source}"
        return Figure(STEPS_TAKEN, found.value, found.low, found.high, "times", words), found
    rows = rows_of(read_csv(paths.emergence, emergence.COLUMNS)) if paths.emergence.exists() else []
    chosen = [r for r in rows if r["quality_metric"] == hybrid.quality and r["window"] == hybrid.window]
    of_pair = [r for r in chosen if r["reference_window"] == hybrid.against]
    if len(of_pair) != 1:
        remedy = REMEDY["full" if hybrid.against == "full" else "window"]
        why = f"not known: {_why(hybrid, rows, of_pair)}; {remedy}"
        return Figure(STEPS_TAKEN, None, None, None, "times", why), None
    (row,) = of_pair
    where = f"{MEASURED}: tables/emergence.csv, {hybrid.quality}, windows {hybrid.window} and {hybrid.against}"
    where = f"{where}; {TAKEN}"
    value, low, high = row["multiplier"], row["multiplier_low"], row["multiplier_high"]
    if value is None:
        return Figure(STEPS_TAKEN, None, low, high, "times", f"{row['multiplier_words']}; {where}"), None
    ranged = low is not None and high is not None and low <= value <= high
    figure = Figure(STEPS_TAKEN, value, low, high, "times", f"{row['multiplier_method']}; {where}")
    return figure, Input(STEPS_TAKEN, value, low, high, "times", where, None, measured=True) if ranged else None


def _why(hybrid: Hybrid, rows: Sequence[dict[str, object]], of_pair: Sequence[dict[str, object]]) -> str:
    if not rows:
        return "no study measured it here"
    if len(of_pair) > 1:
        return f"tables/emergence.csv has {len(of_pair)} rows for window {hybrid.window}, of different other axes"
    pairs = sorted(
        {
            f"{format_figure(float(str(r['window'])))} against {format_figure(float(str(r['reference_window'])))}"
            for r in rows
            if r["window"] != r["reference_window"]
        }
    )
    asked = f"a window of {hybrid.window} against {hybrid.against}"
    return f"tables/emergence.csv compares {', '.join(pairs)}, not {asked}"
