"""The figures of the section on collectives."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from seatrial.report.axes import WHOLE, legend_below, new_figure
from seatrial.report.drawing import Drawing
from seatrial.report.figure_data import FigureData, basis, picked
from seatrial.report.palette import SERIES
from seatrial.report.study_tables import Row
from seatrial.report.table import count
from seatrial.units import format_bytes, format_figure

FILE = "tables/collective.csv"
BANDWIDTHS = (
    "line", "case_id", "size_bytes", "bus_bandwidth", "bus_bandwidth_low", "bus_bandwidth_high", "interval_method",
    "ceiling", "ceiling_basis", "repeats",
)  # fmt: skip
TIMES = (
    "mark", "line", "case_id", "size_bytes", "median_seconds", "low_seconds", "high_seconds", "interval_method",
    "first_bytes", "last_bytes", "latency_seconds", "seconds_per_byte",
)  # fmt: skip
BAND = 0.28
"""How strongly an interval is drawn."""
STYLES = ("-", "--", "-.")
MOST_LINES = len(SERIES) * len(STYLES)
MOST_TICKS = 8


def shown_lines(rows: list[Row]) -> list[str]:
    """The lines that there is room for, in the table's order."""
    return list(dict.fromkeys(row["line"] for row in rows if row["bus_bandwidth"] is not None))[:MOST_LINES]


def bandwidth_figure(rows: list[Row]) -> Drawing | None:
    """Bus bandwidth against message size, a line for each operation and number of ranks, with its ceiling."""
    lines = shown_lines(rows)
    if not lines:
        return None
    figure, ax = new_figure(3.6, WHOLE)
    drawn_rows = [_with_interval(row) for row in rows if row["line"] in lines and row["bus_bandwidth"] is not None]
    words = []
    for place, line in enumerate(lines):
        of_line = [row for row in drawn_rows if row["line"] == line]
        _intervals(ax, of_line, ("bus_bandwidth_low", "bus_bandwidth_high"), _colour(place))
        sizes, bus = [row["size_bytes"] for row in of_line], [row["bus_bandwidth"] for row in of_line]
        ax.plot(sizes, bus, _style(place), color=_colour(place), marker="o", markersize=4, label=line)
        bounded = [row for row in of_line if row["ceiling"] is not None]
        ceilings = [row["ceiling"] for row in bounded]
        ax.plot(
            [row["size_bytes"] for row in bounded], ceilings, color=_colour(place), linestyle=":", linewidth=1.4
        )
        words.append(f"{line} up to {format_figure(max(bus), 3)} GB/s")
        words[-1] += f" of at most {format_figure(max(ceilings), 3)}" if ceilings else ""
    _by_size(ax, rows)
    # a ceiling and every median are within; an interval may reach out
    ax.set_ylim(0, 1.08 * max(row[name] or 0 for row in drawn_rows for name in ("bus_bandwidth", "ceiling")))
    ax.set(ylabel="bus bandwidth, GB/s")
    legend_below(ax)
    known = any(row["ceiling"] is not None for row in rows)
    ceiling = "Dotted: the ceiling." if known else "No ceiling is known."
    reading = f"Median over repeats, the band its interval. {ceiling}{_left_out(rows)}"
    data = FigureData((FILE,), BANDWIDTHS, picked(drawn_rows, BANDWIDTHS))
    title, on = "Collective bus bandwidth by message size", basis(drawn_rows)
    return Drawing(figure, title, reading, "; ".join(words), data, on)


def _with_interval(row: Row) -> Row:
    """A row with the ends of its bandwidth's interval: size over time, from the ends of the time's."""
    if row["low_seconds"] is None or row["high_seconds"] is None:
        return row
    of_one_second = row["bus_bandwidth"] * row["median_seconds"]
    low, high = of_one_second / row["high_seconds"], of_one_second / row["low_seconds"]
    return row | {"bus_bandwidth_low": low, "bus_bandwidth_high": high}


def _intervals(ax: Axes, rows: list[Row], ends: tuple[str, str], colour: str) -> None:
    known = [row for row in rows if all(row.get(end) is not None for end in ends)]
    if known:  # all of a line at once: an artist for each takes ten times as long
        low, high = ([row[end] for row in known] for end in ends)
        ax.vlines([row["size_bytes"] for row in known], low, high, color=colour, linewidth=4, alpha=BAND)


def time_figure(rows: list[Row], fits: list[Row]) -> Drawing | None:
    """Time against message size, both logarithmic, with the fitted pieces; None where nothing was fitted."""
    fitted = [fit for fit in fits if fit["latency_seconds"] is not None]
    lines = [line for line in shown_lines(rows) if any(fit["line"] == line for fit in fitted)]
    if not lines:
        return None
    figure, ax = new_figure(3.6, WHOLE)
    words = []
    for place, line in enumerate(lines):
        of_line = [row for row in rows if row["line"] == line]
        sizes, times = [row["size_bytes"] for row in of_line], [row["median_seconds"] for row in of_line]
        ax.plot(sizes, times, "o", color=_colour(place), markersize=4, label=line)
        _intervals(ax, of_line, ("low_seconds", "high_seconds"), _colour(place))
        pieces = [fit for fit in fitted if fit["line"] == line]
        for fit in pieces:
            _draw_piece(ax, fit, place)
        words.append(f"{line}: {count(len(pieces), 'piece')}")
    _by_size(ax, rows)
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda t, _: f"{format_figure(1e6 * t, 3)}"))
    ax.set(ylabel="time of the slowest rank, µs")
    legend_below(ax)
    reading = (
        "A dot is a median over repeats, the band its interval, a line latency plus size over bandwidth."
        f"{_left_out(rows)}"
    )
    drawn_rows = [
        {"mark": mark} | row
        for line in lines
        for mark, found, columns in (("median", rows, TIMES[1:8]), ("fit", fitted, (TIMES[1], *TIMES[8:])))
        for row in picked((row for row in found if row["line"] == line), columns)
    ]
    data = FigureData((FILE, "tables/collective_fit.csv"), TIMES, drawn_rows)
    on = basis(row for row in rows if row["line"] in lines)
    title = "Collective time by message size, and what it is fitted by"
    return Drawing(figure, title, reading, "; ".join(words), data, on)


def _draw_piece(ax: Axes, fit: Row, place: int) -> None:
    steps = 32
    ratio = fit["last_bytes"] / fit["first_bytes"]
    sizes = [fit["first_bytes"] * ratio ** (i / steps) for i in range(steps + 1)]
    times = [fit["latency_seconds"] + fit["seconds_per_byte"] * size for size in sizes]
    drawable = [(size, time) for size, time in zip(sizes, times, strict=True) if time > 0]
    x, y = [size for size, _ in drawable], [time for _, time in drawable]
    ax.plot(x, y, _style(place), color=_colour(place), linewidth=1.2)


def _by_size(ax: Axes, rows: list[Row]) -> None:
    sizes = sorted({row["size_bytes"] for row in rows})
    ax.set_xscale("log", base=2)
    step = -(-len(sizes) // MOST_TICKS)
    ax.set_xticks(sizes[::-1][::step], minor=False)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: format_bytes(int(x))))
    ax.grid(axis="y")
    ax.set(xlabel="message size as nccl-tests counts it")


def _colour(place: int) -> str:
    return SERIES[place % len(SERIES)]


def _style(place: int) -> str:
    return STYLES[place // len(SERIES) % len(STYLES)]


def _left_out(rows: list[Row]) -> str:
    more = len({row["line"] for row in rows if row["bus_bandwidth"] is not None}) - MOST_LINES
    return f" {count(more, 'more line')} not drawn." if more > 0 else ""
