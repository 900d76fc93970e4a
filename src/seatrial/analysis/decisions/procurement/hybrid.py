"""How many times the steps hybrid attention needs: as this study, or a named one, measured it; no rule of thumb.

tables/emergence.csv holds the multiplier of steps to a quality by window, over the smallest window of the sweep;
that over full attention is in the runs of a study that trains both.
"""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.analysis import emergence
from seatrial.analysis.decisions.basis import Basis, read_basis
from seatrial.analysis.decisions.decision import MEASURED, Figure, Input, assumed
from seatrial.analysis.decisions.procurement.elsewhere import results_of
from seatrial.analysis.decisions.procurement.full_attention import against_full
from seatrial.analysis.emergence import effect_words
from seatrial.analysis.survival import Effect
from seatrial.analysis.tables import read_csv, rows_of
from seatrial.config.procurement import Hybrid
from seatrial.units import format_figure

STEPS_TAKEN = "steps with hybrid attention over those without"
STATE = "state what it found as economics.procurement.hybrid.steps, with the study as its source"
REMEDY = {
    "window": f"run a study of hybrid_attention that sweeps workload.window (as study=windows does), or {STATE}",
    "full": "add an experiment of hybrid_attention that sweeps workload.pattern over [full, full] and "
    f"[sliding_window, full], or {STATE}",
}
TAKEN = "of the model and the task that were trained there, taken to this model as it is"


def steps_taken(basis: Basis, hybrid: Hybrid) -> tuple[Figure, Input | None]:
    """The multiplier of steps, and as an input where it has a value and both ends of an interval.

    Where it has no value the figure's method says why. Raises UnreadableFile where a table that it takes cannot be
    read, or the study that is named has none.
    """
    if hybrid.steps is not None:
        found = assumed(STEPS_TAKEN, hybrid.steps, "times")
        words = f"as stated ({found.as_of}): {found.source}"
        return Figure(STEPS_TAKEN, found.value, found.low, found.high, "times", words), found
    if hybrid.study is None:
        return _of_study(basis, hybrid, MEASURED)
    there = read_basis(results_of(hybrid.study, "hybrid.study"))
    return _of_study(there, hybrid, f"measured in study {there.study.name}")


def _of_study(basis: Basis, hybrid: Hybrid, whose: str) -> tuple[Figure, Input | None]:
    """As the study of `basis` measured it; `whose` says in words whose measurements they are."""
    found = _against_full if hybrid.against == "full" else _against_window
    return found(basis, hybrid, whose)


def _against_full(basis: Basis, hybrid: Hybrid, whose: str) -> tuple[Figure, Input | None]:
    compared = against_full(basis, hybrid)
    if compared is None:
        study = "this study" if whose == MEASURED else f"study {basis.study.name}"
        why = f"no two cases of {study} train full attention and a window of {hybrid.window} alike"
        return Figure(STEPS_TAKEN, None, None, None, "times", f"not known: {why}; {REMEDY['full']}"), None
    where = f"{whose}: runs of hybrid_attention, {hybrid.quality}, layers {compared.pattern} against full ones"
    return _measured(compared.effect, effect_words(compared.effect), where, compared.runs)


def _against_window(basis: Basis, hybrid: Hybrid, whose: str) -> tuple[Figure, Input | None]:
    paths = basis.paths
    rows = rows_of(read_csv(paths.emergence, emergence.COLUMNS)) if paths.emergence.exists() else []
    chosen = [r for r in rows if r["quality_metric"] == hybrid.quality and r["window"] == hybrid.window]
    of_pair = [r for r in chosen if r["reference_window"] == hybrid.against]
    if len(of_pair) != 1:
        why = f"not known: {_why(hybrid, rows, of_pair)}; {REMEDY['window']}"
        return Figure(STEPS_TAKEN, None, None, None, "times", why), None
    (row,) = of_pair
    where = f"{whose}: tables/emergence.csv, {hybrid.quality}, windows {hybrid.window} and {hybrid.against}"
    ends = (row[f"multiplier{end}"] for end in ("", "_low", "_high", "_method"))
    return _measured(Effect(*ends), row["multiplier_words"], where, row["runs"])


def _measured(effect: Effect, words: str, where: str, runs: float | None) -> tuple[Figure, Input | None]:
    """An effect as a figure; as an input only with both ends, since an open one would count as exact.

    `runs`: of the window that is asked about.
    """
    value, low, high = (None if end is None else float(end) for end in effect[:3])
    source = f"{where}; {TAKEN}"
    if value is None:
        return Figure(STEPS_TAKEN, None, low, high, "times", f"{words}; {source}"), None
    figure = Figure(STEPS_TAKEN, value, low, high, "times", f"{effect.method}; {source}")
    ranged = low is not None and high is not None and low <= value <= high
    if not ranged:
        return figure, None
    n = None if runs is None else int(runs)
    return figure, Input(STEPS_TAKEN, value, low, high, "times", source, None, measured=True, n=n)


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
