"""Which readings of collectives belong on one line: everything the same but the message size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seatrial.analysis.tables import canonical_json
from seatrial.case import Case

SIZE = "size_bytes"
SIZE_AXES = ("workload.size_bytes", "workload.sizes")
TOLD = ("operation", "dtype", "ranks")
"""Labels that every line's name tells; its ranks also tell nodes and tasks."""
NO_DIFFERENCE = (SIZE, "iterations_per_sample")
"""Labels that change along a line."""
AXES_TOLD = ("workload.operation", "workload.dtype", "target.nodes", "target.tasks_per_node", "target.ablation")

Parts = dict[str, str]


def parts(case: Case, labels: Mapping[str, Any]) -> Parts:
    """What sets a reading's line apart, by name, in the order in which it is told."""
    target = case.target
    nodes = f" on {target.nodes} nodes" if target.nodes > 1 else ""
    found = {
        "experiment": case.experiment,
        "operation": f"{labels['operation']} {labels['dtype']}",
        "ranks": f"{labels['ranks']} ranks{nodes}",
        "ablation": f"with {target.ablation}" if target.ablation else "with everything on",
    }
    found |= {
        name: f"{name.rpartition('.')[2]} {canonical_json(value) if isinstance(value, list | dict) else value}"
        for name, value in case.axes.items()
        if name not in AXES_TOLD and not name.startswith(SIZE_AXES)
    }
    return found | {
        f"label.{name}": f"{name.replace('_', ' ')} {value}"
        for name, value in sorted(labels.items())
        if name not in TOLD and name not in NO_DIFFERENCE
    }


def names(of_rows: Sequence[Parts]) -> list[str]:
    """The name of each row's line: operation and ranks, and whatever else differs among the rows.

    The experiment is told where two of them would have a line of the same name.
    """
    telling = {name for name in {name for found in of_rows for name in found} if _differs(of_rows, name)}
    telling = (telling | {"operation", "ranks"}) - {"experiment"}
    named = [_words(found, telling) for found in of_rows]
    experiments: dict[str, set[str]] = {}
    for found, name in zip(of_rows, named, strict=True):
        experiments.setdefault(name, set()).add(found["experiment"])
    if all(len(having) == 1 for having in experiments.values()):
        return named
    return [_words(found, telling | {"experiment"}) for found in of_rows]


def _differs(of_rows: Sequence[Parts], name: str) -> bool:
    return len({found.get(name) for found in of_rows}) > 1


def _words(found: Parts, telling: set[str]) -> str:
    return ", ".join(words for name, words in found.items() if name in telling)
