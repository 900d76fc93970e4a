"""The nodes themselves: what they are, and whether they see this machine's folders; `srun` asks a few of them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from seatrial.doctor.check import Check, Topic, merged
from seatrial.doctor.command import Answer
from seatrial.doctor.facts import Asked, Folder, NodeFacts
from seatrial.doctor.folders import short
from seatrial.doctor.limits import Limits
from seatrial.doctor.machine import machine_checks
from seatrial.doctor.needs import Needs, Request
from seatrial.doctor.node import MARK, TORCH_SECONDS
from seatrial.doctor.slurm import Slurm, ask_slurm, place_words
from seatrial.units import format_figure

TOPIC = Topic("nodes")
JOB_MINUTES = 5
WAIT_SECONDS = 30
"""How long srun waits for nodes: a doctor does not stand in a queue."""
BUSY = ("Requested nodes are busy", "Immediate execution impossible", "emporarily unavailable")
"""What srun says where nodes are there and none is free in time."""
REFUSED = "Unable to allocate resources"


@dataclass(frozen=True)
class OnNodes:
    """What the nodes said, and when they were asked, by this machine's clock."""

    facts: Sequence[NodeFacts]
    began: float
    ended: float


def nodes_checks(
    needs: Needs, slurm: Slurm, here: NodeFacts, limits: Limits, count: int, seconds: float, mb: int
) -> list[Check]:
    """Start one small job on `count` nodes (0: none) and judge what it says."""
    if not needs.targets or needs.here:
        return []
    unknown = "what the nodes are, and whether they see these folders"
    if not slurm.answers or not needs.requests:
        return [TOPIC.not_checked("srun", f"{unknown}: Slurm does not answer here", "run this on a login node")]
    if count == 0:
        return [TOPIC.not_checked("srun", f"{unknown}: --nodes 0 starts nothing there", "run this with --nodes 2")]
    request = max(needs.requests, key=lambda one: (one.nodes, one.gpus_per_node))
    count = min(count, request.nodes)
    with _marked([folder for folder in here.folders if folder.path in needs.written]) as (marker, places):
        asked = Asked(
            written=[place for place in places.values() if place is not None],
            read=needs.read,
            programs=[name for name, _ in needs.programs],
            torch=needs.on_accelerators is not None,
            write_mb=mb,
            marker=marker,
            seconds=seconds,
        )
        answer, found = _srun(request, count, asked)
    if not found.facts:
        return [_nothing_said(answer, count)]
    checks = [_answered(found, count, answer)]
    checks += merged((one.host, machine_checks(one, needs, limits)) for one in found.facts)
    checks += [_same_software(found, here), _clocks(found, limits)]
    return checks + _shared(found, places, needs)


def _srun(request: Request, count: int, asked: Asked) -> tuple[Answer, OnNodes]:
    """Run `seatrial.doctor.node` once on each of `count` nodes, with what the study's jobs ask of a node."""
    name = f"seatrial-doctor-{uuid4().hex[:12]}"
    words = ["srun", f"--job-name={name}", f"--nodes={count}", f"--ntasks={count}", "--ntasks-per-node=1"]
    words += [f"--time={JOB_MINUTES}", f"--immediate={WAIT_SECONDS}", "--kill-on-bad-exit=0", *place_words(request)]
    words += [sys.executable, "-m", "seatrial.doctor.node", asked.to_json()]
    most = WAIT_SECONDS + min(JOB_MINUTES * 60.0, 60 + (TORCH_SECONDS if asked.torch else 0))
    began = time.time()
    answer = ask_slurm(words, most)
    ended = time.time()
    if answer.late:
        # srun was killed; a job that it started must not go on until its time limit
        ask_slurm(["scancel", "--quiet", f"--name={name}", f"--user={os.getuid()}"], 20)
    return answer, OnNodes(read_answers(answer.out), began, ended)


def read_answers(out: str) -> list[NodeFacts]:
    """What nodes say of themselves in what srun prints, by name; a line that is no such answer counts for none."""
    found = []
    for line in out.splitlines():
        _, mark, text = line.partition(MARK)
        if mark:
            with suppress(ValueError):
                found.append(NodeFacts.from_json(text))
    return sorted(found, key=lambda one: one.host)


@contextmanager
def _marked(folders: Sequence[Folder]) -> Iterator[tuple[str, dict[str, str | None]]]:
    """Leave a file in each folder that can be written here, or in the one that it would be made in; then remove it.

    Yields the file's name, and for each folder where the nodes shall look: None where this machine has none.
    """
    marker = f".seatrial-doctor-{uuid4().hex}"
    places = {f.path: (f.path if f.exists else f.made_in) if f.writable else None for f in folders}
    placed = [Path(place) / marker for place in dict.fromkeys(places.values()) if place is not None]
    try:
        for file in placed:
            file.touch()
        yield marker, places
    finally:
        for file in placed:
            with suppress(OSError):
                file.unlink(missing_ok=True)


def _nothing_said(answer: Answer, count: int) -> Check:
    saw = f"{count} node(s) asked for: {answer.why}"
    if answer.late or any(words in answer.err for words in BUSY):
        do = "nothing is known of the nodes: run this again when nodes are free"
        return TOPIC.not_checked("srun", saw, do)
    if REFUSED in answer.err:
        return TOPIC.lacks("srun", saw, "mend target.launcher: account, partition, qos, constraint, reservation")
    do = f"see that {sys.executable} and its environment lie on a file system that the nodes mount"
    return TOPIC.lacks("srun", saw, do)


def _answered(found: OnNodes, count: int, answer: Answer) -> Check:
    hosts = ", ".join(one.host for one in found.facts)
    saw = f"{len(found.facts)} of {count} node(s) answered: {hosts}"
    if len(found.facts) < count:
        do = f"see that {sys.executable} runs on every node"
        return TOPIC.lacks("srun", f"{saw}; {answer.why}", do)
    return TOPIC.ok("srun", saw)


def _same_software(found: OnNodes, here: NodeFacts) -> Check:
    other = [
        f"{n.host} Python {n.python}, Seatrial {n.seatrial}" for n in found.facts if _software(n) != _software(here)
    ]
    saw = f"here Python {here.python}, Seatrial {here.seatrial}"
    if other:
        return TOPIC.lacks(
            "versions", f"{saw}; {'; '.join(other)}", "one environment for all, on a shared file system"
        )
    return TOPIC.ok("versions", f"{saw}, and the same on the nodes")


def _software(facts: NodeFacts) -> tuple[str, str]:
    return facts.python, facts.seatrial


def _clocks(found: OnNodes, limits: Limits) -> Check:
    """A node's clock read while srun ran must lie within that time by this machine's clock."""
    allowed = limits.clock_seconds.value or 0
    off = {one.host: max(found.began - one.at, one.at - found.ended) for one in found.facts}
    wrong = [f"{host} by {format_figure(by, 3)} s" for host, by in off.items() if by > allowed]
    took = f"{format_figure(found.ended - found.began, 3)} s that srun took"
    if wrong:
        do = f"start chronyd or systemd-timesyncd on the nodes ({limits.clock_seconds.source})"
        return TOPIC.warning("clocks", f"outside of the {took}: {', '.join(wrong)}", do)
    return TOPIC.ok("clocks", f"all within the {took}, as this machine's clock has it (no finer)")


def _shared(found: OnNodes, places: dict[str, str | None], needs: Needs) -> list[Check]:
    """Whether what this machine wrote is seen on each node, and what the nodes can write and read."""
    by_path = {
        path: [f for one in found.facts for f in one.folders if f.path == path] for path in _looked_at(found)
    }
    hosts = [one.host for one in found.facts]
    checks = []
    for path, place in places.items():
        seen = by_path.get(place or "", [])
        checks.append(_folder_on_nodes(path, dict(zip(hosts, seen, strict=False))))
    for path in needs.read:
        absent = [
            host for host, f in zip(hosts, by_path.get(path, []), strict=False) if not (f.exists and f.readable)
        ]
        if absent:
            do = "put it on a file system that all nodes mount"
            checks.append(TOPIC.lacks(short(path), f"cannot be read on {', '.join(absent)}", do))
        else:
            checks.append(TOPIC.ok(short(path), f"can be read on {', '.join(hosts)}"))
    return checks


def _looked_at(found: OnNodes) -> list[str]:
    return list(dict.fromkeys(f.path for one in found.facts for f in one.folders))


def _folder_on_nodes(path: str, seen: dict[str, Folder]) -> Check:
    name = short(path)
    if not seen:
        do = "run this where it can be written"
        return TOPIC.not_checked(
            name, "not written on this machine, so nothing says whether the nodes share it", do
        )
    blind = [host for host, folder in seen.items() if not folder.marked]
    if blind:
        saw = f"what this machine wrote there is not seen on {', '.join(blind)}"
        return TOPIC.lacks(name, saw, "a folder on a file system that this machine and all nodes mount")
    closed = [f"{host} ({folder.problem or 'no right'})" for host, folder in seen.items() if not folder.writable]
    if closed:
        return TOPIC.lacks(name, f"cannot be written on {', '.join(closed)}", "the right to write it on the nodes")
    speeds = sorted(folder.speed for folder in seen.values() if folder.speed is not None)
    words = (
        " to ".join(dict.fromkeys(format_figure(speed, 3) for speed in (speeds[0], speeds[-1]))) if speeds else ""
    )
    rate = f"; one file written and synced at {words} MB/s" if words else ""
    return TOPIC.ok(name, f"shared: {', '.join(seen)} see what this machine wrote{rate}")
