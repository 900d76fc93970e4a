"""A study's standing in lines for a person."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from seatrial.status.estimate import TO_RUN
from seatrial.status.nodes import OutOfService
from seatrial.status.standing import RepeatState, Standing

MOST_LINES = 50
"""Of one kind; `--json` has them all."""


def status_lines(found: Standing) -> list[str]:
    """How many repeats completed and what became of the others, which jobs run where, and when all may have run.

    Reasons, names of nodes and the like are others' words: each stays in its line, without control characters.
    """
    return [_printable(line) for line in _lines(found)]


def _lines(found: Standing) -> list[str]:
    if not found.repeats:
        return [f"study {found.study}: no repeats planned"]
    repeats, done = found.counts, found.counts.get("completed", 0)
    cases, whole = sum(found.case_counts.values()), found.case_counts.get("completed", 0)
    if done == len(found.repeats):
        return [f"{done} of {done} repeats completed, {whole} of {cases} cases"]
    by = f"{found.holder} works on it" if found.holder is not None else "nobody works on it"
    lines = [
        f"{done} of {len(found.repeats)} repeats completed; {_others(repeats)}",
        f"study {found.study}, {_clock(found.at)}: {by}",
        f"{whole} of {cases} cases completed; {_others(found.case_counts)}",
    ]
    lines += [found.silent] if found.silent is not None else []
    for state in ("running", "suspended"):
        lines += _begun([r for r in found.repeats if r.state == state], found.at)
    lines += _pending([r for r in found.repeats if r.state == "pending"])
    lines += _capped([_nodes(nodes) for nodes in found.out_of_service])
    lines += _badly([r for r in found.repeats if r.state in ("failed", "unsupported", "aborted", "missing")])
    if any(state in repeats for state in TO_RUN):
        end = found.estimate.end
        when = "" if end is None else f"{_clock(end)} (in {_length(end - found.at)}), "
        lines.append(f"estimated end: {when}{found.estimate.how}")
    return lines


def _others(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in counts.items() if state != "completed")


def _begun(repeats: Sequence[RepeatState], now: dt.datetime) -> list[str]:
    lines = []
    for r in repeats:
        where = f" on {r.nodes}" if r.nodes else ""
        since = " since" if r.state == "running" else ", started"
        long = f"{since} {_clock(r.since)} ({_length(now - r.since)})" if r.since is not None else ""
        why = f", Slurm's reason: {r.why}" if r.why else ""
        lines.append(f"  {_name(r)}: {r.state}{where}{long}, job {r.job_id}{why}")
    return _capped(lines)


def _badly(repeats: Sequence[RepeatState]) -> list[str]:
    """One line for each repeat, or for all of an experiment that ended in the same way for the same reason."""
    groups: dict[tuple[str, str, str], list[RepeatState]] = defaultdict(list)
    for r in repeats:
        kind = f"{r.kind}: " if r.kind else ""
        groups[r.case.experiment, r.state, f"{kind}{_one_line(r.why)}"].append(r)
    lines = []
    for (name, state, why), same in groups.items():
        first = same[0]
        if len(same) == 1:
            lines.append(f"  {_name(first)}: {state}: {why}")
        else:
            where = f"case {first.case.case_id} repeat {first.repeat}"
            lines.append(f"  {name}: {len(same)} {state}: {why} (the first: {where})")
    return _capped(lines)


def _pending(repeats: Sequence[RepeatState]) -> list[str]:
    """One line for each of Slurm's reasons, with how many wait for it."""
    found = Counter((r.case.experiment, r.why or "no reason given") for r in repeats)
    return [f"  {name}: {count} pending, Slurm's reason: {why}" for (name, why), count in sorted(found.items())]


def _nodes(found: OutOfService) -> str:
    since = f" since {_clock(found.since)}" if found.since else ""
    by = f" by {found.by}" if found.by else ""
    return f"  {found.nodes}: {found.state}{since}{by}: {_one_line(found.reason)}"


def _name(r: RepeatState) -> str:
    return f"{r.case.experiment} case {r.case.case_id} repeat {r.repeat}"


def _one_line(text: str | None) -> str:
    return " ".join((text or "no reason recorded").split())


def _printable(line: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in line)


def _capped(lines: list[str]) -> list[str]:
    rest = len(lines) - MOST_LINES
    return lines if rest <= 0 else [*lines[:MOST_LINES], f"  and {rest} more (--json lists all)"]


def _clock(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")


def _length(span: dt.timedelta) -> str:
    """A length of time: 45 s, 12 min, 3.5 h, 2.1 d."""
    seconds = max(0.0, span.total_seconds())
    for unit, size, digits in (("d", 86400.0, 1), ("h", 3600.0, 1), ("min", 60.0, 0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.{digits}f} {unit}"
    return f"{seconds:.0f} s"
