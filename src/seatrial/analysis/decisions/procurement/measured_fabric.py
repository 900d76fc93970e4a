"""What collectives and the experts' all-to-all reached, brought to the links of one accelerator.

A collective's bus bandwidth becomes the rate on its network links (busbw (k-1)/(n-1) over k nodes), an all-to-all's
the bytes that take the network. What ran inside one node says nothing of the network between nodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from seatrial.analysis.decisions.procurement.step import STEPS
from seatrial.measure.ceilings import across_bound, bus_factor
from seatrial.measure.ceilings.factors import GATHERS, inside_bound
from seatrial.measure.ceilings.links import group_sizes
from seatrial.units import GB

Row = Mapping[str, Any]
Ends = tuple[float | None, float | None]


class Rated(NamedTuple):
    """GB/s of one accelerator with the ends of the interval, the ranks that reached it, and where it stands."""

    value: float
    ends: Ends
    ranks: int
    where: str
    n: float | None
    """Repeats; None of a line through messages of several sizes."""


def is_inside(row: Row, domain: int) -> bool:
    """Whether the ranks of a row reached each other without the network."""
    return row["ranks"] <= domain or row.get("nodes") == 1 or row.get("nodes_per_token") == 1


def of_collectives(fits: Sequence[Row], sizes: Sequence[Row], domain: int, inside: bool) -> Rated | str | None:
    """Of the collectives over the most ranks the slowest, or why none is taken; None where none ran there.

    Switches that add up on the way lift all_reduce above what all_gather gets from the same links. Where no line
    through the large messages fits, the largest message itself counts.
    """
    rows = [row for row in sizes if _gathers(row) and row["median_seconds"]]
    fitted = [r for r in fits if _gathers(r) and r["flag"] is None]
    last = [r for r in fitted if r["piece"] == r["pieces"] and r["bus_bandwidth_limit"]]
    lines = [row for row in last if is_inside(row, domain) == inside]
    if lines:
        each = [(_of_one(r, float(r["bus_bandwidth_limit"]), domain, inside), r) for r in _most(lines)]
        value, row = min(each, key=lambda pair: pair[0])
        where = f"tables/collective_fit.csv, {row['operation']} over {row['ranks']} ranks, large messages"
        of_line = [one for one in rows if one["line"] == row["line"]]
        largest = max(of_line, key=lambda r: r["size_bytes"], default=None)
        ends = (None, None) if largest is None else _ends(largest, value)
        return Rated(value, ends, int(row["ranks"]), where, None if largest is None else largest["repeats"])
    there = [row for row in rows if row["ranks"] and is_inside(row, domain) == inside]
    if not there:
        return _nowhere(rows, fits, inside)
    top = max((row["ranks"], row["size_bytes"]) for row in there)
    of_size = [row for row in there if (row["ranks"], row["size_bytes"]) == top]
    value, row = min(((_of_one(r, _bus(r), domain, inside), r) for r in of_size), key=lambda pair: pair[0])
    where = f"tables/collective.csv, {row['operation']} over {row['ranks']} ranks, {row['size_bytes']:,} bytes"
    where += ", its largest message: no line fits"
    return Rated(value, _ends(row, value), int(row["ranks"]), where, row["repeats"])


def of_experts(rows: Sequence[Row], domain: int, inside: bool) -> Rated | str | None:
    """The slower direction of the experts' all-to-all over the most ranks, of an even load if there is one."""
    ran = [row for row in rows if row["wire_gbps"] is not None]
    there = [row for row in ran if is_inside(row, domain) == inside]
    if not there:
        return _nowhere(ran, (), inside)
    chosen = [row for row in there if row["load"] == "uniform"] or there
    most = max((row["ranks"], row["tokens"] or 0) for row in chosen)
    row = min((r for r in chosen if (r["ranks"], r["tokens"] or 0) == most), key=lambda r: r["wire_gbps"])
    ranks = int(row["ranks"])
    share = 1.0 if inside else (ranks - min(group_sizes(ranks, domain))) / (ranks - 1)
    value = float(row["wire_gbps"]) * share
    spread = (_over(row["p50_s"], row["p50_s_high"]), _over(row["p50_s"], row["p50_s_low"]))
    where = f"tables/moe_alltoall.csv, {row['direction']} over {ranks} ranks, load {row['load']}"
    ends = (_times(spread[0], value), _times(spread[1], value))
    return Rated(value, ends, ranks, where, row["measured"])


def latency(fits: Sequence[Row], nodes: int) -> tuple[float, str] | None:
    """Seconds from rank to rank, and where: of the smallest messages, over those one after another.

    What ran inside one node is not taken for several `nodes`.
    """
    sound = [r for r in fits if _gathers(r) and r["flag"] is None and r["piece"] == 1]
    found = [r for r in sound if (r["latency_seconds"] or 0) > 0 and (nodes == 1 or r.get("nodes") != 1)]
    if not found:
        return None
    row = max(found, key=lambda r: (r["ranks"], _hop(r)))
    return _hop(row), f"tables/collective_fit.csv, {row['operation']} over {row['ranks']} ranks"


def _hop(row: Row) -> float:
    return float(row["latency_seconds"]) / STEPS[row["operation"]](row["ranks"])


def _gathers(row: Row) -> bool:
    return row["operation"] in GATHERS and row["ablation"] is None and (row["ranks"] is None or row["ranks"] > 1)


def _most(rows: Sequence[Row]) -> list[Row]:
    """Those over the most ranks."""
    return [row for row in rows if row["ranks"] == max(r["ranks"] for r in rows)]


def _nowhere(rows: Sequence[Row], fits: Sequence[Row], inside: bool) -> str | None:
    """Why nothing that ran is of the links inside, or of the network; None where nothing ran."""
    ran = [row["ranks"] for row in (*rows, *fits) if row["ranks"] and row["ranks"] > 1]
    if not ran:
        return None
    if inside:
        return "it ran between nodes alone, not inside one"
    return f"it ran inside one node alone ({max(ran)} ranks), and no network was crossed"


def _bus(row: Row) -> float:
    """Bus bandwidth of one message, GB/s."""
    factor = bus_factor(str(row["operation"]), int(row["ranks"]))
    return float(row["size_bytes"]) * factor / float(row["median_seconds"]) / GB


def _of_one(row: Row, bus: float, domain: int, inside: bool) -> float:
    """GB/s on an accelerator's own links, inside a domain or between several, from a bus bandwidth."""
    ranks, operation = int(row["ranks"]), str(row["operation"])
    if inside:
        return bus / inside_bound(operation, 1.0, ranks, ranks)
    return bus / across_bound(operation, 1.0, group_sizes(ranks, domain))


def _ends(row: Row, value: float) -> Ends:
    """How far a message's time is known, as a bandwidth about `value`."""
    seconds = row["median_seconds"]
    return _times(_over(seconds, row["high_seconds"]), value), _times(_over(seconds, row["low_seconds"]), value)


def _times(factor: float | None, value: float) -> float | None:
    return None if factor is None else factor * value


def _over(value: float, by: float | None) -> float | None:
    return None if not by else value / by
