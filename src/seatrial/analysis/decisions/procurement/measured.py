"""The rates that this study measured on a target, from its tables: what the probes reached, with their intervals.

Rates are brought to one accelerator: a collective's bus bandwidth to the rate on its network links (busbw
(k-1)/(n-1) over k nodes), an all-to-all's to the bytes that take the network. On more accelerators than were
measured they are taken as they are, and the note says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple, cast

from seatrial.analysis.decisions.decision import MEASURED, Input
from seatrial.analysis.decisions.procurement.rates import UNITS, WORDS, Reading
from seatrial.analysis.decisions.procurement.step import HOP, STEPS
from seatrial.analysis.probes import bisection as bisection_table
from seatrial.analysis.probes import checkpoint, collective, devices, gemm, moe_alltoall
from seatrial.analysis.statistics import median_interval
from seatrial.analysis.tables import read_csv, rows_of
from seatrial.config.procurement import Proposal, Rate
from seatrial.measure.ceilings import across_bound
from seatrial.measure.ceilings.factors import GATHERS, inside_bound
from seatrial.measure.ceilings.links import by_the_network, group_sizes
from seatrial.paths import StudyPaths

Row = Mapping[str, Any]
Ends = tuple[float | None, float | None]
TABLES: dict[str, Sequence[str]] = {
    "gemm": gemm.COLUMNS,
    "devices": devices.COLUMNS,
    "collective": collective.COLUMNS,
    "collective_fit": collective.FIT_COLUMNS,
    "moe_alltoall": moe_alltoall.COLUMNS,
    "bisection": bisection_table.COLUMNS,
    "checkpoint": checkpoint.COLUMNS,
}


class Taken(NamedTuple):
    """How far a rate is taken from where it was measured, in words and as a factor."""

    note: str | None
    times: float


NOT_TAKEN = Taken(None, 1.0)


class MeasuredRates:
    """The tables of a study's probes; what is not there was not measured."""

    def __init__(self, paths: StudyPaths) -> None:
        """Raises UnreadableFile where a table that is there is not what `analyse` writes."""
        self._rows: dict[str, list[Row]] = {}
        for name, columns in TABLES.items():
            path = paths.probe_table(name)
            self._rows[name] = list(rows_of(read_csv(path, columns))) if path.exists() else []

    def of(self, proposal: Proposal, dtype: str) -> dict[Rate, Reading]:
        """The rates that were measured on the proposal's target, products in `dtype`."""
        found: dict[Rate, Reading | None] = {
            "products_tflops": self._products(proposal, dtype),
            "memory_gbps": self._memory(proposal),
            "bisection_gbps": self._bisection(proposal),
            "alltoall_gbps": self._alltoall(proposal),
            "checkpoint_write_gbps": self._checkpoint(proposal, "write"),
            "checkpoint_read_gbps": self._checkpoint(proposal, "read"),
            **self._links(proposal),
        }
        return {rate: reading for rate, reading in found.items() if reading is not None}

    def hop(self, proposal: Proposal) -> Input | None:
        """Seconds from rank to rank: the latency of the smallest messages over those one after another."""
        fits = [r for r in self._fits(proposal) if r["piece"] == 1 and (r["latency_seconds"] or 0) > 0]
        if not fits:
            return None
        row = max(fits, key=lambda r: (r["ranks"], r["latency_seconds"] / STEPS[r["operation"]](r["ranks"])))
        seconds = row["latency_seconds"] / STEPS[row["operation"]](row["ranks"])
        words = f"tables/collective_fit.csv, {row['operation']} over {row['ranks']} ranks"
        return Input(HOP, seconds, None, None, "s", f"{MEASURED}: {words}", None, measured=True)

    def _of(self, table: str, proposal: Proposal) -> list[Row]:
        return [row for row in self._rows[table] if row["target"] == proposal.target.name]

    def _products(self, proposal: Proposal, dtype: str) -> Reading | None:
        """Held over a long run where that was measured, else in a burst."""
        rows = [r for r in self._of("gemm", proposal) if r["dtype"] == dtype and r["burst_tflops"] is not None]
        if not rows:
            return None
        row = max(rows, key=lambda r: (r["sustained_tflops"] is not None, r["burst_tflops"]))
        held = 1.0 if row["sustained_over_burst"] is None else row["sustained_over_burst"]
        ends = (row["burst_tflops_low"], row["burst_tflops_high"])
        word = "in a burst" if row["sustained_tflops"] is None else "sustained"
        where = f"tables/gemm.csv, {dtype}, {word}, case {row['case_id']}"
        return _reading("products_tflops", row["burst_tflops"] * held, _times(ends, held), where)

    def _memory(self, proposal: Proposal) -> Reading | None:
        """The slowest operation, the median over all devices."""
        rows = [r for r in self._of("devices", proposal) if r["metric"] == "memory.bandwidth"]
        by_work: dict[str, list[float]] = {}
        for row in rows:
            by_work.setdefault(str(row["work"]), []).append(float(row["value"]))
        if not by_work:
            return None
        kind, values = min(by_work.items(), key=lambda item: (median(item[1]), item[0]))
        found = median_interval(values)
        return _reading("memory_gbps", median(values), (found.low, found.high), f"tables/devices.csv, {kind}")

    def _fits(self, proposal: Proposal) -> list[Row]:
        return [
            row
            for row in self._of("collective_fit", proposal)
            if row["operation"] in GATHERS and row["ablation"] is None and row["flag"] is None and row["ranks"] > 1
        ]

    def _links(self, proposal: Proposal) -> dict[Rate, Reading | None]:
        """The network between nodes and the links inside: of the collectives over the most ranks the slowest.

        Switches that add up on the way lift all_reduce above what all_gather gets from the same links.
        """
        domain, found = by_the_network(proposal.target), dict[Rate, Reading | None]()
        last = [r for r in self._fits(proposal) if r["piece"] == r["pieces"] and r["bus_bandwidth_limit"]]
        for rate, inside in (("link_gbps", True), ("network_gbps", False)):
            there = [row for row in last if (row["ranks"] <= domain) == inside]
            if not there:
                continue
            most = max(row["ranks"] for row in there)
            each = [(_of_one(row, domain), row) for row in there if row["ranks"] == most]
            value, row = min(each, key=lambda pair: pair[0])
            where = f"tables/collective_fit.csv, {row['operation']} over {most} ranks, large messages"
            ends = _times(self._spread(row), value)
            found[cast(Rate, rate)] = _reading(cast(Rate, rate), value, ends, where, _taken(int(most), proposal))
        return found

    def _spread(self, fit: Row) -> Ends:
        """How far the largest message of a line is known, as factors of its bandwidth."""
        of_line = [r for r in self._rows["collective"] if r["line"] == fit["line"] and r["median_seconds"]]
        if not of_line:
            return None, None
        row = max(of_line, key=lambda r: r["size_bytes"])
        return _over(row["median_seconds"], row["high_seconds"]), _over(row["median_seconds"], row["low_seconds"])

    def _alltoall(self, proposal: Proposal) -> Reading | None:
        """The slower direction of the experts' all-to-all over the most ranks, of an even load if there is one."""
        domain = by_the_network(proposal.target)
        rows = [r for r in self._of("moe_alltoall", proposal) if r["wire_gbps"] is not None and r["ranks"] > domain]
        even = [r for r in rows if r["load"] == "uniform"]
        if not rows:
            return None
        most = max((r["ranks"], r["tokens"] or 0) for r in even or rows)
        row = min((r for r in even or rows if (r["ranks"], r["tokens"] or 0) == most), key=lambda r: r["wire_gbps"])
        ranks = int(row["ranks"])
        value = row["wire_gbps"] * (ranks - min(group_sizes(ranks, domain))) / (ranks - 1)
        spread = (_over(row["p50_s"], row["p50_s_high"]), _over(row["p50_s"], row["p50_s_low"]))
        where = f"tables/moe_alltoall.csv, {row['direction']} over {ranks} ranks, load {row['load']}"
        return _reading("alltoall_gbps", value, _times(spread, value), where, _taken(ranks, proposal))

    def _bisection(self, proposal: Proposal) -> Reading | None:
        """The slowest cut of the largest scale that was measured, by rank of a half."""
        rows = [r for r in self._of("bisection", proposal) if r["median_gbps"] is not None]
        if not rows:
            return None
        most = max(r["ranks"] for r in rows)
        row = min((r for r in rows if r["ranks"] == most), key=lambda r: r["median_gbps"])
        up = proposal.whole.world_size / most
        ends = _times((row["low_gbps"], row["high_gbps"]), up)
        where = f"tables/bisection.csv, cut {row['cut']} of {int(most)} ranks"
        return _reading("bisection_gbps", row["median_gbps"] * up, ends, where, _taken(int(most), proposal))

    def _checkpoint(self, proposal: Proposal, way: str) -> Reading | None:
        """The largest checkpoint that reached storage, whatever the number of nodes that wrote it."""
        rows = [
            row
            for row in self._of("checkpoint", proposal)
            if row["direction"] == way and row["reached"] == "storage" and row["gbps"] is not None
        ]
        if not rows:
            return None
        row = max(rows, key=lambda r: (r["nodes"], r["checkpoint_bytes"]))
        rate: Rate = "checkpoint_write_gbps" if way == "write" else "checkpoint_read_gbps"
        where = f"tables/checkpoint.csv, {way}, case {row['case_id']}"
        return _reading(
            rate, row["gbps"], (row["gbps_low"], row["gbps_high"]), where, _taken(int(row["ranks"]), proposal)
        )


def _of_one(fit: Row, domain: int) -> float:
    """GB/s on an accelerator's own links, inside a domain or between several, from a fit's bus bandwidth."""
    ranks, operation = int(fit["ranks"]), str(fit["operation"])
    if ranks <= domain:
        return float(fit["bus_bandwidth_limit"]) / inside_bound(operation, 1.0, ranks, ranks)
    return float(fit["bus_bandwidth_limit"]) / across_bound(operation, 1.0, group_sizes(ranks, domain))


def _reading(rate: Rate, value: float, ends: Ends, where: str, taken: Taken = NOT_TAKEN) -> Reading:
    """A measured rate, brought to a proposal as `taken` says."""
    low, high = ends
    note, times = taken
    ranged = low is not None and high is not None and low <= value <= high
    source = f"{MEASURED}: {where}"
    found = Input(
        WORDS[rate],
        float(value),
        low if ranged else None,
        high if ranged else None,
        UNITS[rate],
        source if note is None else f"{source}; {note}",
        None,
        measured=True,
    )
    return Reading(found, "measured", note, times)


def _taken(ranks: int, proposal: Proposal) -> Taken:
    """How far a reading is taken from where it was measured."""
    whole = proposal.whole.world_size
    if ranks == whole:
        return NOT_TAKEN
    return Taken(f"measured on {ranks} ranks, taken to {whole}", max(whole / ranks, ranks / whole))


def _times(ends: Iterable[float | None], factor: float) -> Ends:
    low, high = (None if end is None else float(end) * factor for end in ends)
    return low, high


def _over(value: float, by: float | None) -> float | None:
    return None if not by else value / by
