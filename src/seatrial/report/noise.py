"""The page's section on noise: how much iterations scatter, and where the differences between runs come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median

from seatrial.analysis import noise, variance
from seatrial.analysis.tables import read_csv, require_cases, rows_of
from seatrial.report.probes.section import ProbeSection
from seatrial.report.study_tables import Row, StudyTables
from seatrial.report.table import NUMBER, PROSE, TEXT, Cell, Table, count, table
from seatrial.units import format_figure

OF_SERIES = (
    "experiment", "metric", "band", "cov", "p95_over_p50", "hiccups", "autocorrelation_time", "allan_over_white",
)  # fmt: skip
"""What is shown of a series: of a table of 80,000 rows the other columns cost most."""
BANDS = ("noisy", "usual", "quiet", "not_known")
WORDS_OF_BAND = {"noisy": "noisy", "usual": "usual", "quiet": "quiet", "not_known": "too short to tell"}
WORDS_OF_COMPONENT = {
    "seed": "seed",
    "node": "nodes",
    "allocation": "allocation",
    "time_of_day": "time of day",
    "run_to_run": "run to run",
    "within_run": "within a run",
}


def section(study: StudyTables) -> ProbeSection | None:
    """None where there is no series and no component is known. Raises UnreadableFile where analyse has not run."""
    if not study.cases:
        return None
    series = _read(study) if study.runs_something else []
    frame = read_csv(study.paths.variance, variance.COLUMNS, ("note", "interval_method"))
    tables = [found for found in (_scatter_table(series), _variance_table(rows_of(frame))) if found.rows]
    if not tables:
        return None
    return ProbeSection(
        name="noise",
        title="Noise",
        short="Noise",
        words=_words(study) if series else [],
        tables=tables,
    )


def _read(study: StudyTables) -> list[Row]:
    frame = read_csv(study.paths.noise, noise.COLUMNS, ("host", "labels", "note", "interval_method"))
    require_cases(study.paths.noise, frame, study.cases)
    return rows_of(frame[list(OF_SERIES)])


def _words(study: StudyTables) -> list[str]:
    bands, rules = study.plan.study.noise_bands, study.plan.study.findings
    bounds = (
        f"Quiet is a CoV under {_percent(bands.quiet_cov.value)}; noisy is a CoV over "
        f"{_percent(rules.noise_cov.value)}, a P95 over {rules.noise_tail.value:g} medians, or more than "
        f"{_percent(rules.noise_hiccups.value)} hiccups (over {bands.hiccup.value:g} medians)."
    )
    return [
        bounds,
        "Each series is what one repeat, or one rank of it, measured iteration by iteration. An autocorrelation "
        "time of 5 means that 5 neighbours tell about as much as one alone. Slow changes: the Allan deviation "
        f"over a tenth of the series, over what white noise has; above {bands.drift.value:g} it drifts.",
    ]


def _scatter_table(series: Sequence[Row]) -> Table:
    """A row for each experiment and metric: the middle and the worst of its series."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in series:
        groups.setdefault((row["experiment"], row["metric"]), []).append(row)
    columns = [
        ("Experiment", TEXT),
        ("Series", TEXT),
        ("CoV", NUMBER),
        ("P95 / P50", NUMBER),
        ("Hiccups", NUMBER),
        ("Autocorrelation time", NUMBER),
        ("Slow changes", NUMBER),
    ]
    caption = "How much iterations scatter: the median series, under it the worst"
    rows = [_scatter_cells(experiment, metric, of) for (experiment, metric), of in groups.items()]
    return table("noise-series", caption, columns, rows, "tables/noise.csv")


def _scatter_cells(experiment: str, metric: str, series: Sequence[Row]) -> list[Cell]:
    counts = Counter(row["band"] for row in series)
    bands = ", ".join(f"{counts[name]} {WORDS_OF_BAND[name]}" for name in BANDS if counts[name])
    return [
        Cell(experiment, metric),
        Cell(count(len(series), "series", "series"), bands),
        _middle_and_worst(series, "cov", percent=True),
        _middle_and_worst(series, "p95_over_p50"),
        _middle_and_worst(series, "hiccups", percent=True),
        _middle_and_worst(series, "autocorrelation_time"),
        _middle_and_worst(series, "allan_over_white"),
    ]


def _middle_and_worst(series: Sequence[Row], name: str, percent: bool = False) -> Cell:
    found = [row[name] for row in series if row[name] is not None]
    if not found:
        return Cell("-", "too short to tell")
    written = _percent if percent else format_figure
    return Cell(written(median(found)), f"to {written(max(found))}" if len(found) > 1 else "")


def _variance_table(rows: Sequence[Row]) -> Table:
    """A row for each experiment and metric of which something is known: its components, and what is left untold."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["experiment"], row["metric"]), []).append(row)
    columns = [("Experiment", TEXT), ("Runs", NUMBER), ("Told apart", PROSE), ("Not told apart", PROSE)]
    caption = "Where differences between equal runs come from: coefficients of variation with 95 % intervals"
    known = {key: of for key, of in groups.items() if any(row["separable"] == "yes" for row in of)}
    cells = [_variance_cells(experiment, metric, of) for (experiment, metric), of in known.items()]
    return table("noise-variance", caption, columns, cells, "tables/variance.csv")


def _variance_cells(experiment: str, metric: str, rows: Sequence[Row]) -> list[Cell]:
    told = [row for row in rows if row["separable"] == "yes"]
    other = [row for row in rows if row["separable"] != "yes"]
    return [
        Cell(experiment, metric),
        Cell(str(int(rows[0]["runs"])), count(int(rows[0]["cases"]), "case")),
        Cell("; ".join(f"{_component(row)} {_with_interval(row)}" for row in told)),
        Cell(
            "; ".join(f"{_component(row)}: {row['note'].removeprefix('not separable: ')}" for row in other) or "-"
        ),
    ]


def _component(row: Row) -> str:
    return " with ".join(WORDS_OF_COMPONENT[part] for part in row["component"].split(" + "))


def _with_interval(row: Row) -> str:
    if row["cov_high"] is None:
        return f"{_percent(row['cov'])} (at least {_percent(row['cov_low'])})"
    return f"{_percent(row['cov'])} ({_percent(row['cov_low'])} to {_percent(row['cov_high'])})"


def _percent(fraction: float) -> str:
    return f"{format_figure(100 * fraction, 2)} %"
