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
from .submission import Request, slurm_parameters
from .writing import said_where_it_fails

_FORGOTTEN_SECONDS = 24 * 3600.0
_REMEMBERED_SECONDS = 600.0  # whether a request could start; nodes come and go
_REMIND_SECONDS = 3600.0
_MOST_TRIED = 6  # nodes that failed; each takes a call of the scheduler
_PLACING = (
    "time", "nodes", "ntasks_per_node", "cpus_per_task", "mem", "mem_per_cpu", "gpus_per_node", "gres", "account",
    "partition", "exclusive",
)  # fmt: skip


class FailedNodes:
    """The nodes that failed, and requests that exclude them."""

    def __init__(self, base: Path, timeout: float, tell: Callable[[str], None]) -> None:
        self._path = base / "failed_nodes.json"
        self._timeout = timeout
        self._tell = tell
        self._said: dict[str, float] = {}
        self._answers: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[float, tuple[str, ...]]] = {}

    def note(self, outcome: Outcome) -> tuple[str, ...]:
        """The nodes that an outcome is laid to, noted; empty where it is no node's fault or nobody knows whose."""
        blamed = self._blamed(outcome) if outcome.state == "NODE_FAIL" else ()
        if blamed:
            with said_where_it_fails(f"{self._path}: that {', '.join(blamed)} failed"):
                write_json(self._path, {**self._known(), **dict.fromkeys(blamed, time.time())})
        return blamed

    def exclude(self, request: Request) -> Request:
        """The request, with the nodes that failed excluded as far as Slurm says that it could still start."""
        known = self._known()
        if not known:
            return request
        try:
            listed = slurm.nodes(self._timeout)
        except slurm.SlurmUnavailable:
            return request  # then nothing can be submitted either
        chosen = chosen_to_exclude(sorted(known, key=lambda name: -known[name]), listed, request)
        if not chosen:
            return request
        left = self._that_leave_enough(request, tuple(sorted(chosen, key=lambda name: -known[name])))
        if not left:
            return request
        self._say(f"Nodes that failed are excluded: {', '.join(sorted(left))}")
        return _without(request, left)

    def _that_leave_enough(self, request: Request, chosen: tuple[str, ...]) -> tuple[str, ...]:
        """Those of the chosen nodes, the latest failure first, without which Slurm could start the request.

        Asked once in ten minutes for the same words: with all of them excluded, and where that cannot be, with one
        more at a time. Where Slurm does not say, all stay excluded.
        """
        asked = (_sbatch_options(request), chosen)
        known = self._answers.get(asked)
        if known is not None and time.monotonic() - known[0] < _REMEMBERED_SECONDS:
            return known[1]
        left: tuple[str, ...] = chosen
        try:
            refusal = slurm.could_start(_sbatch_options(_without(request, chosen)), self._timeout)
            if refusal is not None:
                left = ()
                for name in chosen[:_MOST_TRIED] if len(chosen) > 1 else ():
                    more = (*left, name)
                    if slurm.could_start(_sbatch_options(_without(request, more)), self._timeout) is None:
                        left = more
        except slurm.SlurmUnavailable:
            return chosen
        if refusal is not None:
            allowed = ", ".join(sorted(set(chosen) - set(left)))
            self._say(
                f"Nodes that failed are not excluded where a job could start nowhere else: {allowed} ({refusal})"
            )
        self._answers[asked] = (time.monotonic(), left)
        return left

    def _say(self, words: str) -> None:
        """Say it, unless it was said in the last hour."""
        current = time.monotonic()
        if current - self._said.get(words, float("-inf")) >= _REMIND_SECONDS:
            self._said[words] = current
            self._tell(words)

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
        except OSError as error:
            self._tell(f"{self._path} cannot be read ({error.strerror}); no node that failed is excluded")
            return {}
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as problem:
            self._tell(f"{self._path} is no list of failed nodes ({problem}); none is excluded for it")
            return {}


def _without(request: Request, names: Sequence[str]) -> Request:
    """The request, with nodes excluded beside those that it excludes by itself."""
    options = dict(request.options)
    options["exclude"] = ",".join([*([str(options["exclude"])] if options.get("exclude") else []), *sorted(names)])
    return replace(request, options=tuple(options.items()))


def _sbatch_options(request: Request) -> tuple[str, ...]:
    """What decides where a request can start, as sbatch is told it."""
    parameters = slurm_parameters(request, "", "", 1, 0)
    asked = {name: parameters[name] for name in _PLACING if parameters[name] is not None}
    words = {**asked, **parameters["additional_parameters"]}
    return tuple(
        f"--{name.replace('_', '-')}" if value is True else f"--{name.replace('_', '-')}={value}"
        for name, value in words.items()
    )


def chosen_to_exclude(failed: Sequence[str], listed: Sequence[Node], request: Request) -> list[str]:
    """Those of the `failed` nodes, the latest first, that a request can do without. Pure.

    A request that names its nodes, or excludes those in a file, or asks for them by more than one feature, excludes
    none.
    """
    options = dict(request.options)
    constraint = str(options.get("constraint") or "")
    if "/" in str(options.get("exclude") or ""):
        return []
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
