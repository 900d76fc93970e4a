"""Nodes on which jobs failed through no fault of their own: what is submitted next stays away from them.

They are noted in the submitit folder, so that a restarted Snakemake knows them too, and forgotten after a day: a
node that Slurm has taken back into service by then has been seen to.
"""

import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from . import slurm
from .outcomes import Outcome
from .ranks import write_json
from .status import Node, expand_nodes
from .submission import Request

_FORGOTTEN_SECONDS = 24 * 3600.0


class FailedNodes:
    """The nodes that failed, and requests that exclude them."""

    def __init__(self, base: Path, timeout: float, tell: Callable[[str], None]) -> None:
        self._path = base / "failed_nodes.json"
        self._timeout = timeout
        self._tell = tell

    def note(self, outcome: Outcome) -> tuple[str, ...]:
        """The nodes that an outcome is laid to, noted; empty where it is no node's fault or nobody knows whose."""
        blamed = self._blamed(outcome) if outcome.state == "NODE_FAIL" else ()
        if blamed:
            write_json(self._path, {**self._known(), **dict.fromkeys(blamed, time.time())})
        return blamed

    def exclude(self, request: Request) -> Request:
        """The request, with the nodes that failed excluded; never so many that too few are left for it."""
        known = self._known()
        if not known:
            return request
        try:
            listed = slurm.nodes(self._timeout)
        except slurm.SlurmUnavailable:
            return request  # then nothing can be submitted either
        options = dict(request.options)
        chosen = chosen_to_exclude(sorted(known, key=lambda name: -known[name]), listed, request)
        if not chosen:
            return request
        self._tell(f"Nodes that failed are excluded: {', '.join(chosen)}")
        options["exclude"] = ",".join([*([str(options["exclude"])] if options.get("exclude") else []), *chosen])
        return replace(request, options=tuple(options.items()))

    def _blamed(self, outcome: Outcome) -> tuple[str, ...]:
        """The job's nodes that are down now; none that Slurm would give to jobs, and none that somebody drained.

        Where Slurm does not answer, the one whose rank fell silent, or the only one.
        """
        try:
            down = {node.name for node in slurm.nodes(self._timeout) if node.down}
        except slurm.SlurmUnavailable:
            if outcome.failing_node is not None:
                return (outcome.failing_node,)
            return outcome.nodes if len(outcome.nodes) == 1 else ()
        return tuple(name for name in outcome.nodes if name in down)

    def _known(self) -> dict[str, float]:
        """Node -> when it failed, in seconds since 1970, of the last day."""
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            return {name: at for name, at in content.items() if time.time() - at < _FORGOTTEN_SECONDS}
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as problem:
            self._tell(f"{self._path} is no list of failed nodes ({problem}); none is excluded for it")
            return {}


def chosen_to_exclude(failed: Sequence[str], listed: Sequence[Node], request: Request) -> list[str]:
    """Those of the `failed` nodes, the latest first, that a request can do without. Pure.

    A request that names its nodes, or asks for them by more than one feature, excludes none.
    """
    options = dict(request.options)
    constraint = str(options.get("constraint") or "")
    if options.get("nodelist") or (constraint and not re.fullmatch(r"[\w.-]+", constraint)):
        return []
    partitions = (request.partition or "").split(",") if request.partition else None
    mine = [
        node
        for node in listed
        if (node.partition in partitions if partitions else node.default)
        and (not constraint or constraint in node.features)
    ]
    refused = set(expand_nodes(str(options.get("exclude") or "")))
    left = {node.name for node in mine if node.usable} - refused
    known = {node.name for node in mine} - refused
    chosen: list[str] = []
    for name in failed:
        if name in known and len(left - {name}) >= request.nodes:
            chosen.append(name)
            left.discard(name)
    return sorted(chosen)
