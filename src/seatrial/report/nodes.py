"""The page's section on nodes: which are slow beside the others, and of which nothing is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from seatrial.analysis.nodes import COLUMNS
from seatrial.analysis.tables import read_csv, rows_of
from seatrial.report.probes.section import ProbeSection
from seatrial.report.study_tables import Row, StudyTables
from seatrial.report.table import NUMBER, PROSE, TEXT, Cell, Table, count, table

STANDINGS = ("slow", "inconclusive", "not_tested", "not_measured", "too_few", "not_slow")
WORDS_OF_STANDING = {
    "slow": "slow",
    "inconclusive": "not yet known",
    "not_tested": "not tested",
    "not_measured": "not measured",
    "too_few": "too few to tell",
    "not_slow": "not slow",
}
CLASS_OF_STANDING = {"slow": "standing slower", "not_slow": "standing not_slower"}


def section(study: StudyTables) -> ProbeSection | None:
    """None where one node or none is known. Raises UnreadableFile where analyse has not run."""
    if not study.runs_something:
        return None
    rows = rows_of(
        read_csv(study.paths.nodes, COLUMNS, ("host", "slow_in", "slow_devices", "worst_metric", "note"))
    )
    if len(rows) < 2:
        return None
    rows.sort(key=lambda row: (STANDINGS.index(row["standing"]), row["host"]))
    worth = [row for row in rows if row["standing"] != "not_slow"]
    fine = [row for row in rows if row["standing"] == "not_slow"]
    return ProbeSection(
        name="nodes",
        title="Nodes beside each other",
        short="Nodes",
        words=_words(study, rows),
        tables=[_table(worth, "nodes", "Nodes that are slow, or of which that is not known")] if worth else [],
        details=[(f"{count(len(fine), 'node')} not slow", _table(fine, "nodes-not-slow", "Not slow"))]
        if fine
        else [],
    )


def _words(study: StudyTables, rows: Sequence[Row]) -> list[str]:
    counts, rules = Counter(row["standing"] for row in rows), study.plan.study.differences
    shown = ", ".join(f"{counts[s]} {WORDS_OF_STANDING[s]}" for s in STANDINGS if counts[s])
    unknown = (
        "" if study.plan.study.fleet else " The study does not state its fleet: only nodes that were used show."
    )
    return [
        f"Of {count(len(rows), 'node')}: {shown}.{unknown}",
        f"A node is slow in a metric where it is over {100 * rules.node_slower_by.value:g} % slower than the "
        f"median of those that did the same work, over {rules.node_robust_z.value:g} robust standard deviations "
        f"from it, and adjusted p is at most {rules.false_discovery_rate.value:g} over all nodes and metrics.",
    ]


def _table(rows: Sequence[Row], name: str, caption: str) -> Table:
    cells = []
    for row in rows:
        slow, devices = row["slow_in"], row["slow_devices"]
        worst = f"{row['worst_metric']}, {100 * row['worst_slower_by']:.0f} % slower" if slow else ""
        kind = CLASS_OF_STANDING.get(row["standing"], "standing inconclusive")
        cells.append(
            [
                Cell(row["host"], f"devices {devices}" if devices else ""),
                Cell(WORDS_OF_STANDING[row["standing"]], kind=kind),
                Cell(str(int(row["completed"])), f"of {count(int(row['allocated']), 'repeat')}"),
                Cell(f"{int(row['slow_metrics'])} of {int(row['metrics'])}"),
                Cell(slow.replace(" ", ", ") if slow else row["note"] or "", worst),
            ]
        )
    columns = [
        ("Node", TEXT),
        ("Standing", TEXT),
        ("Completed", NUMBER),
        ("Slow metrics", NUMBER),
        ("Where", PROSE),
    ]
    return table(name, caption, columns, cells, "tables/nodes.csv")
