"""Quality by step while trainings run: a figure for each quality metric, with the targets of that metric."""

from __future__ import annotations

import json

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from seatrial.analysis.tables import rows_of
from seatrial.config.training import External, Training
from seatrial.config.workload import AnyWorkload
from seatrial.report.axes import legend_below, new_figure
from seatrial.report.drawing import Drawing
from seatrial.report.figure_data import MEASUREMENTS, FigureData, n_words
from seatrial.report.palette import REFERENCE, SERIES
from seatrial.report.study_tables import StudyTables, case_label
from seatrial.report.table import count
from seatrial.units import format_figure

MOST_LINES = len(SERIES)


def loss(study: StudyTables) -> Drawing | None:
    """Evaluation loss by step, a line per repeat, with the quality targets."""
    return _by_step(study, "evaluation_loss", "evaluation loss, nats/token", "Evaluation loss while training")


def frechet_distance(study: StudyTables) -> Drawing | None:
    """Frechet distance by step, a line per repeat, with the quality targets; it falls by orders of magnitude."""
    title = "Frechet distance of generated samples while training"
    return _by_step(study, "frechet_distance", "Frechet distance", title, log=True)


def retrieval_accuracy(study: StudyTables) -> Drawing | None:
    """Share of far queries answered right by step, a line per repeat, with the quality targets."""
    title = "Retrieval from far back while training"
    return _by_step(study, "retrieval_accuracy", "far queries answered right, share", title)


def _by_step(study: StudyTables, quality: str, y_label: str, title: str, log: bool = False) -> Drawing | None:
    chosen, more = _evaluations(study, quality)
    if chosen.empty:
        return None
    import seaborn as sns  # it takes a third of a second, which the process that draws no such figure need not

    case_ids = list(dict.fromkeys(chosen["case_id"]))
    labels = {case_id: case_label(study.cases[case_id]) for case_id in case_ids}
    colours = dict(zip(case_ids, SERIES, strict=False))
    figure, ax = new_figure(3.4)
    for case_id in case_ids:  # one call for each: two cases may have the same label
        sns.lineplot(
            chosen[chosen["case_id"] == case_id], x="step", y="median", color=colours[case_id], units="repeat",
            estimator=None, errorbar=None, marker="o", markersize=4, markeredgewidth=0, alpha=0.85, ax=ax,
        )  # fmt: skip
        ax.plot([], [], color=colours[case_id], label=labels[case_id])
    if log:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: format_figure(y, 3)))
        ax.yaxis.set_minor_locator(NullLocator())
    targets = {case_id: target for case_id in case_ids if (target := _target(study, case_id, quality)) is not None}
    _draw_targets(ax, targets, colours)
    ax.grid(axis="y")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="training step", ylabel=y_label)
    legend_below(ax)
    n = int(chosen.groupby("case_id")["repeat"].nunique().sum())
    values = sorted(set(targets.values()))
    ends = f"target {' and '.join(format_figure(value) for value in values)}" if values else "no target"
    left_out = f"; {count(more, 'more case')} not drawn" if more else ""
    caption = f"{count(n, 'repeat')} of {', '.join(labels.values())}; {ends}{left_out}"
    reading = "A line is one repeat, a dot one evaluation."
    if len(values) > 1:
        reading += " A dashed line is the target of its colour's case, a grey one that of several."
    rows = [
        {"case_id": row["case_id"], "label": labels[row["case_id"]], "repeat": row["repeat"], "step": row["step"],
         quality: row["median"], "target": targets.get(row["case_id"])}
        for row in rows_of(chosen)
    ]  # fmt: skip
    data = FigureData((MEASUREMENTS,), ("case_id", "label", "repeat", "step", quality, "target"), rows)
    return Drawing(figure, title, reading, caption, data, n_words(chosen.groupby("case_id")["repeat"].nunique()))


def _evaluations(study: StudyTables, quality: str) -> tuple[pd.DataFrame, int]:
    """Evaluations of one quality that say at which step they were, and how many cases are left out."""
    frame = study.measurements
    of_quality = frame[frame["metric"] == f"train.{quality}"]
    steps = {text: json.loads(text).get("step") for text in of_quality["labels"].unique()}
    chosen = of_quality.assign(step=of_quality["labels"].map(steps))
    chosen = chosen[chosen["step"].notna()]
    having = set(chosen["case_id"].unique())
    case_ids = [case_id for case_id in study.cases if case_id in having]
    order = {case_id: place for place, case_id in enumerate(case_ids[:MOST_LINES])}
    kept = chosen[chosen["case_id"].isin(order)].copy()
    kept["place"] = kept["case_id"].map(order)
    return kept.sort_values(["place", "repeat", "step"]), max(0, len(case_ids) - MOST_LINES)


def _target(study: StudyTables, case_id: str, quality: str) -> float | None:
    """What a case has to reach in this quality, or None."""
    return next((target for metric, target in _qualities(study.cases[case_id].workload) if metric == quality), None)


def _qualities(workload: AnyWorkload) -> list[tuple[str, float]]:
    if isinstance(workload, Training):
        return [(quality.metric, quality.target) for quality in (workload.quality, *workload.also)]
    if isinstance(workload, External) and workload.quality is not None:
        return [(workload.quality.metric, workload.quality.target)]
    return []


def _draw_targets(ax: Axes, targets: dict[str, float], colours: dict[str, str]) -> None:
    """A dashed line for each target: grey where there is one, else in its case's colour."""
    values = sorted(set(targets.values()))
    for value in values:
        of_value = [case_id for case_id in targets if targets[case_id] == value]
        own = len(values) > 1 and len(of_value) == 1
        colour = colours[of_value[0]] if own else REFERENCE
        ax.axhline(value, color=colour, linewidth=1.2, linestyle="--", zorder=1)
        words = f"{'target' if len(values) > 1 else 'quality target'} {format_figure(value)}"
        ax.annotate(words, (0, value), (4, 4), ax.get_yaxis_transform(), "offset points", color=colour)
