"""The audit of a folder of logs in text: findings first, then what they rest on, what was read, what was not."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from seatrial.analysis.audit.activity import lines
from seatrial.analysis.audit.audit import Audit, Audited
from seatrial.analysis.findings.observed import PARTS, Estimate, Finding
from seatrial.ingest.files import printable

MOST_SKIPPED = 4
"""Reasons for lines that were not read that a file's row names; the JSON has all."""
STYLES = {"major": "bold red", "minor": "yellow", "inconclusive": "yellow", "none": "green", "not_known": "bold"}
WORDS = {
    "compute": "computing",
    "communication": "communication that nothing hides",
    "data_wait": "waiting for data",
    "checkpoint_stall": "standing still for checkpoints",
    "other": "other",
}


def print_audit(audit: Audit, console: Console) -> None:
    """Print the audit. What comes from logs is printed as it is, never as markup."""
    for workload in audit.workloads:
        _print_workload(workload, console)
    console.print(Text("What was read", style="bold"))
    console.print(_files(audit))
    for remark in audit.reading.remarks:
        console.print(f"  not read: {_safe(remark.place)}: {_safe(remark.problem)}", soft_wrap=True)


def _print_workload(audited: Audited, console: Console) -> None:
    console.rule(_safe(audited.observed.where), align="left")
    for finding in audited.findings:
        _print_finding(finding, console)
    said = list(_figures(audited))
    if said:
        console.print(Text("What the logs say", style="bold"))
        for line in said:
            console.print(Padding(_safe(line), (0, 0, 0, 2)))
    if audited.unknown:
        console.print(Text("What could not be known from them", style="bold"))
        for line in audited.unknown:
            console.print(Padding(_safe(line), (0, 0, 0, 2)))
    console.print()


def _print_finding(finding: Finding, console: Console) -> None:
    head = Text(f"{finding.cause} ({finding.severity.replace('_', ' ')}): ", style=STYLES[finding.severity])
    console.print(head.append(printable(finding.title), style="default not bold"))
    for line in finding.evidence:
        console.print(Padding(f"evidence: {_safe(line)}", (0, 0, 0, 2)))
    for line in finding.counter_evidence:
        console.print(Padding(f"against it: {_safe(line)}", (0, 0, 0, 2)))
    for name, words in (("without it", finding.without_it), ("next", finding.next_step or finding.action)):
        if words:
            console.print(Padding(f"{name}: {_safe(words)}", (0, 0, 0, 2)))


def _figures(audited: Audited) -> Iterator[str]:
    seen = audited.observed
    if seen.step_seconds is not None:
        yield f"median step: {_figure(seen.step_seconds, 1, 's')}"
    if seen.productive is not None:
        yield f"productive fraction: {_figure(seen.productive, 100, '%')}"
    for part in PARTS:
        if part in seen.shares:
            yield f"{WORDS[part]}: {_figure(seen.shares[part], 100, '%')} of the time"
    if "compute" in seen.shares and seen.split_note:
        yield f"this split is {seen.split_note}"
    if seen.storage is not None and seen.storage.stall_seconds is not None:
        yield f"one checkpoint holds the training up for {seen.storage.stall_seconds:.4g} s"
    if seen.noise is not None and seen.noise.hiccups is not None:
        yield f"stalled steps (over 1.5 medians): {_figure(seen.noise.hiccups, 100, '%')} of the steps"
    if seen.lateness is not None:
        yield f"waiting for the last rank: {_figure(seen.lateness.total, 100, '%')} of the time"
    if seen.mfu is not None:
        yield f"MFU as the framework says it: {_figure(seen.mfu, 100, '%')}"
    yield from lines(audited.activity)
    for failure in seen.failures:
        yield f"{failure.kind}: {failure.message}"
    for file, log in audited.workload.trainings:
        yield from (f"{file}: {note}" for note in log.notes)
    yield from audited.workload.repeated


def _figure(found: Estimate, factor: float, unit: str) -> str:
    head = f"{factor * found.value:.4g} {unit}"
    if found.low is None or found.high is None:
        return f"{head} ({found.method})"
    return f"{head} ({factor * found.low:.4g} to {factor * found.high:.4g}, {found.method})"


def _files(audit: Audit) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("file", "format", "read", "not read, and why"):
        table.add_column(name, justify="right" if name == "read" else "left", overflow="fold")
    for one in audit.reading.files:
        reasons = sorted(one.skipped.items(), key=lambda item: (-item[1], item[0]))
        said = [f"{count} {_safe(reason)}" for reason, count in reasons[:MOST_SKIPPED]]
        if len(reasons) > MOST_SKIPPED:
            said.append(f"{sum(count for _, count in reasons[MOST_SKIPPED:])} for other reasons")
        table.add_row(_safe(one.file), ", ".join(one.formats), str(one.read), "; ".join(said) or "nothing")
    return table


def _safe(text: str) -> str:
    return escape(printable(text))
