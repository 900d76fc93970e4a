"""The rates that this study, or one that it names, measured on a target: what the probes reached, with intervals.

On more accelerators than were measured they are taken as they are, and the note says so. What was measured and does
not fit (another format of numbers, one node for several, a page cache for storage) is not taken, and it says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from seatrial.analysis.decisions.decision import MEASURED, Input
from seatrial.analysis.decisions.procurement.measured_fabric import Rated, latency, of_collectives, of_experts
from seatrial.analysis.decisions.procurement.rates import UNITS, WORDS, Reading
from seatrial.analysis.decisions.procurement.step import HOP
from seatrial.analysis.decisions.words import listed
from seatrial.analysis.probes import bisection as bisection_table
from seatrial.analysis.probes import checkpoint, collective, devices, gemm, moe_alltoall
from seatrial.analysis.statistics import median_interval
from seatrial.analysis.tables import read_csv, rows_of
from seatrial.config.procurement import Proposal, Rate
from seatrial.measure.ceilings.links import by_the_network
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


OF_MEMORY = ("memory.bandwidth", "memory.cached_bandwidth", "memory.unproven_bandwidth")


class Taken(NamedTuple):
    """How far a rate is taken from where it was measured, in words and as a factor."""

    note: str | None
    times: float


NOT_TAKEN = Taken(None, 1.0)


class Found(NamedTuple):
    """The rates of a proposal that were measured, and in words why others that were are not taken."""

    rates: dict[Rate, Reading]
    unfit: dict[Rate, str]


class MeasuredRates:
    """The tables of a study's probes; what is not there was not measured."""

    def __init__(self, paths: StudyPaths, where: str = MEASURED) -> None:
        """`where` says in words whose tables they are.

        Raises UnreadableFile where a table that is there is not what `analyse` writes.
        """
        self._where, self._rows = where, dict[str, list[Row]]()
        for name, columns in TABLES.items():
            path = paths.probe_table(name)
            self._rows[name] = list(rows_of(read_csv(path, columns))) if path.exists() else []

    def of(self, proposal: Proposal, dtype: str) -> Found:
        """What was measured on the proposal's target, products in `dtype`."""
        found: dict[Rate, Reading | str | None] = {
            "products_tflops": self._products(proposal, dtype),
            "memory_gbps": self._memory(proposal),
            "bisection_gbps": self._bisection(proposal),
            **self._fabric(proposal),
            "checkpoint_write_gbps": self._checkpoint(proposal, "write"),
            "checkpoint_read_gbps": self._checkpoint(proposal, "read"),
        }
        rates = {rate: one for rate, one in found.items() if isinstance(one, Reading)}
        return Found(rates, {rate: why for rate, why in found.items() if isinstance(why, str)})

    def hop(self, proposal: Proposal) -> Input | None:
        """Seconds from rank to rank: the latency of the smallest messages over those one after another."""
        found = latency(self._of("collective_fit", proposal), proposal.nodes)
        if found is None:
            return None
        seconds, words = found
        return Input(HOP, seconds, None, None, "s", f"{self._where}: {words}", None, measured=True)

    def _of(self, table: str, proposal: Proposal) -> list[Row]:
        return [row for row in self._rows[table] if row["target"] == proposal.target.name]

    def _products(self, proposal: Proposal, dtype: str) -> Reading | str | None:
        """Held over a long run where that was measured, else in a burst."""
        ran = [r for r in self._of("gemm", proposal) if r["burst_tflops"] is not None]
        rows = [r for r in ran if r["dtype"] == dtype]
        if not rows:
            others = listed(sorted({str(r["dtype"]) for r in ran}))
            return f"measured in {others}, and economics.procurement.dtype is {dtype}" if ran else None
        row = max(rows, key=lambda r: (r["sustained_tflops"] is not None, r["burst_tflops"]))
        held = 1.0 if row["sustained_over_burst"] is None else row["sustained_over_burst"]
        ends = (row["burst_tflops_low"], row["burst_tflops_high"])
        word = "in a burst" if row["sustained_tflops"] is None else "sustained"
        where = f"tables/gemm.csv, {dtype}, {word}, case {row['case_id']}"
        return self._reading(
            "products_tflops", row["burst_tflops"] * held, _times(ends, held), where, n=row["measured"]
        )

    def _memory(self, proposal: Proposal) -> Reading | str | None:
        """The slowest operation, the median over all devices."""
        ran = [r for r in self._of("devices", proposal) if str(r["metric"]) in OF_MEMORY]
        rows = [r for r in ran if r["metric"] == "memory.bandwidth"]
        if ran and not rows:
            return "its arrays fit into the caches, or nobody says how large these are"
        by_work: dict[str, list[float]] = {}
        for row in rows:
            by_work.setdefault(str(row["work"]), []).append(float(row["value"]))
        if not by_work:
            return None
        kind, values = min(by_work.items(), key=lambda item: (median(item[1]), item[0]))
        found = median_interval(values)
        ends = (found.low, found.high)
        return self._reading("memory_gbps", median(values), ends, f"tables/devices.csv, {kind}", n=len(values))

    def _fabric(self, proposal: Proposal) -> dict[Rate, Reading | str | None]:
        """The network between nodes and the links inside, of the gathers and of the experts' all-to-all."""
        domain = by_the_network(proposal.target)
        fits, sizes = self._of("collective_fit", proposal), self._of("collective", proposal)
        experts = self._of("moe_alltoall", proposal)
        found: dict[Rate, Rated | str | None] = {
            "network_gbps": of_collectives(fits, sizes, domain, inside=False),
            "alltoall_gbps": of_experts(experts, domain, inside=False),
            "link_gbps": of_collectives(fits, sizes, domain, inside=True),
            "alltoall_inside_gbps": of_experts(experts, domain, inside=True),
        }
        if by_the_network(proposal.whole) >= proposal.whole.world_size:
            del found["network_gbps"], found["alltoall_gbps"]  # nothing is between nodes
        return {
            rate: self._reading(rate, one.value, one.ends, one.where, _taken(one.ranks, proposal), n=one.n)
            if isinstance(one, Rated)
            else one
            for rate, one in found.items()
        }

    def _bisection(self, proposal: Proposal) -> Reading | str | None:
        """The slowest cut of the largest scale that was measured, by rank of a half."""
        ran = [r for r in self._of("bisection", proposal) if r["median_gbps"] is not None]
        rows = [r for r in ran if r["hosts"] != 1 or proposal.nodes == 1]
        if not rows:
            words = f"it ran between the ranks of one host, and {proposal.nodes} nodes are proposed"
            return words if ran else None
        most = max(r["ranks"] for r in rows)
        row = min((r for r in rows if r["ranks"] == most), key=lambda r: r["median_gbps"])
        up = proposal.whole.world_size / most
        ends = _times((row["low_gbps"], row["high_gbps"]), up)
        where = f"tables/bisection.csv, cut {row['cut']} of {int(most)} ranks"
        taken = _taken(int(most), proposal)
        return self._reading("bisection_gbps", row["median_gbps"] * up, ends, where, taken, n=row["measured"])

    def _checkpoint(self, proposal: Proposal, way: str) -> Reading | str | None:
        """The largest checkpoint that reached storage, whatever the number of nodes that wrote it."""
        ran = [r for r in self._of("checkpoint", proposal) if r["direction"] == way and r["gbps"] is not None]
        rows = [row for row in ran if row["reached"] == "storage"]
        if not rows:
            reached = listed(sorted({str(row["reached"]).replace("_", " ") for row in ran}))
            return f"what was timed is {reached}, not storage" if ran else None
        row = max(rows, key=lambda r: (r["nodes"], r["checkpoint_bytes"]))
        rate: Rate = "checkpoint_write_gbps" if way == "write" else "checkpoint_read_gbps"
        where = f"tables/checkpoint.csv, {way}, case {row['case_id']}"
        ends = (row["gbps_low"], row["gbps_high"])
        taken = _taken(int(row["ranks"]), proposal)
        return self._reading(rate, row["gbps"], ends, where, taken, n=row["measured"])

    def _reading(
        self, rate: Rate, value: float, ends: Ends, where: str, taken: Taken = NOT_TAKEN, *, n: float | None
    ) -> Reading:
        """A measured rate of `n` repeats or devices, brought to a proposal as `taken` says."""
        low, high = ends
        note, times = taken
        ranged = low is not None and high is not None and low <= value <= high
        source = f"{self._where}: {where}"
        found = Input(
            WORDS[rate],
            float(value),
            low if ranged else None,
            high if ranged else None,
            UNITS[rate],
            source if note is None else f"{source}; {note}",
            None,
            measured=True,
            n=None if n is None else int(n),
        )
        return Reading(found, "measured", note, times)


def _taken(ranks: int, proposal: Proposal) -> Taken:
    """How far a reading is taken from where it was measured."""
    whole = proposal.whole.world_size
    if ranks == whole:
        return NOT_TAKEN
    return Taken(
        f"measured on {ranks} rank{'' if ranks == 1 else 's'}, taken to {whole}", max(whole / ranks, ranks / whole)
    )


def _times(ends: Iterable[float | None], factor: float) -> Ends:
    low, high = (None if end is None else float(end) * factor for end in ends)
    return low, high
