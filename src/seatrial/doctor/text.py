"""What the doctor found, as people read it: a table on a terminal, lines elsewhere, JSON for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from seatrial.doctor.check import Check, Standing

STYLES: dict[Standing, str] = {"ok": "green", "lacks": "bold red", "warning": "yellow", "not checked": "cyan"}
ORDER: tuple[Standing, ...] = ("lacks", "warning", "not checked", "ok")


def summary(checks: Sequence[Check]) -> str:
    """'nothing lacks: 21 ok, 2 warning, 3 not checked', in this order of weight."""
    counts = Counter(check.standing for check in checks)
    words = ", ".join(f"{counts[standing]} {standing}" for standing in ORDER if counts[standing])
    return words if counts["lacks"] else f"nothing lacks: {words}"


def as_json(checks: Sequence[Check]) -> str:
    """A list of {topic, name, standing, saw, do}."""
    return json.dumps([asdict(check) for check in checks], indent=1, ensure_ascii=False)


def plain_lines(checks: Sequence[Check]) -> list[str]:
    """A line for each check, and one below it that says what to do."""
    lines = []
    for check in checks:
        lines.append(f"{check.standing:<11}  {check.topic}: {check.name}: {check.saw}")
        if check.do:
            lines.append(f"{'':<11}    do: {check.do}")
    return [*lines, summary(checks)]


def print_table(checks: Sequence[Check], console: Console) -> None:
    """A table for a terminal; every text is text, whatever brackets it has."""
    table = Table(show_edge=False, pad_edge=False)
    for heading, ratio in (("", None), ("Check", 2), ("Seen", 4), ("To do", 3)):
        table.add_column(heading, ratio=ratio, overflow="fold")
    topic = ""
    for check in checks:
        if check.topic != topic and topic:
            table.add_section()
        topic = check.topic
        table.add_row(
            Text(check.standing, style=STYLES[check.standing]),
            Text(f"{check.topic}: {check.name}"),
            Text(check.saw),
            Text(check.do),
        )
    console.print(table)
    console.print(Text(summary(checks), style="bold"))
