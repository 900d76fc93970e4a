"""A plan as people read it in a terminal."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from seatrial.case import Case
from seatrial.config.economics import Economics
from seatrial.folder_checks import folders_to_look_for
from seatrial.planned import Plan
from seatrial.units import format_figure, format_minutes

if TYPE_CHECKING:
    from seatrial.analysis.planned_power import Power

ROWS = 40
"""Cases printed one by one; a larger plan says how many more there are."""


def print_plan(plan: Plan, today: dt.date | None = None) -> None:
    """Print cases, repeats, hours at most and, with a price, the cost."""
    # rich folds to 80 columns where there is no terminal, and would cut the case ids in a log
    console = Console(width=None if sys.stdout.isatty() else 150, highlight=False)
    study = plan.study
    target = f", target {study.target.name}" if _needs_a_target(plan) else ""
    console.print(Text(f"{study.title}  (study {study.name}{target})", style="bold"))
    if plan.cases:
        console.print(_table(plan.cases[:ROWS]))
    if len(plan.cases) > ROWS:
        console.print(Text(f"... and {len(plan.cases) - ROWS} more cases"))
    for line in totals(plan, today or dt.date.today()):
        console.print(Text(line))
    if plan.study.criteria:
        for line in power_lines(plan):
            console.print(Text(line), soft_wrap=True)
        console.print(Text(f"agreed: {plan.agreed_digest} (for `seatrial bundle verify --study`)"), soft_wrap=True)


def totals(plan: Plan, today: dt.date) -> list[str]:
    """The plan's totals, a line each; hours are upper bounds (every repeat at its time limit)."""
    subjects, survey = plan.study.references.subjects, plan.study.references.survey
    lines = [f"{len(plan.cases)} cases, {plan.repeats} repeats", *_outvoted(plan), *folders_to_look_for(plan)]
    if plan.repeats_to_ingest:
        lines.append(
            f"{plan.repeats - plan.repeats_to_ingest} repeats to run, {plan.repeats_to_ingest} to ingest "
            f"(nothing of them runs: {' or '.join(plan.ingest_commands)} --study {plan.study.name})"
        )
    if subjects:
        named = ", ".join(f"{s.submitter} {s.system} ({s.round})" for s in subjects)
        lines.append(f"published subjects: {named}")
    if survey is not None:
        lines.append(f"survey of the published results of {', '.join(survey.rounds)}, {len(survey.claims)} claims")
        if not plan.cases:
            return [*lines, "nothing runs: no hardware is used"]
    if not plan.cases and not subjects:
        return [f"nothing runs: decides on {', '.join(decided(plan.study.economics))}"]
    lines.append(
        f"at most {format_figure(plan.node_hours)} node-hours and "
        f"{format_figure(plan.accelerator_hours)} accelerator-hours"
    )
    if plan.cases and not plan.running:
        lines.append("cost: none reckoned (nothing runs)")
    elif plan.accelerator_hours == 0:
        lines.append("cost: none reckoned (no accelerators)")
    elif plan.cost is None:
        lines.append("cost: not known (the target and the study give no price)")
    else:
        cost = plan.cost
        figures = sorted({round(cost.low, 2), round(cost.high, 2)})
        age = cost.age(today)
        lines.append(
            f"cost: at most {' to '.join(f'{f:,.2f}' for f in figures)} {cost.currency} "
            f"(price of {cost.as_of}{f', {age}' if age else ''}; {cost.source})"
        )
    return lines


DECISIONS = {
    "own": "owning accelerators",
    "procurement": "procurement",
    "time_to_revenue": "time to revenue",
    "finish_date": "the finish date of a run",
}


def decided(economics: Economics) -> list[str]:
    """What a study decides from figures that it states, in words."""
    found = [words for field, words in DECISIONS.items() if getattr(economics, field) is not None]
    return ["owning or renting accelerators", *found[1:]] if economics.own and economics.cloud else found


def _needs_a_target(plan: Plan) -> bool:
    """Whether what is planned has to do with the target: cases, or published subjects beside it."""
    return bool(plan.cases or (plan.study.references.survey is None and plan.study.references.subjects))


def power_lines(plan: Plan) -> list[str]:
    """For each criterion: what the declared repeats can settle at the expected noise, and how many it needs.

    Raises UnreadableFile where the study names an earlier one that is not there.
    """
    # pandas comes with it: a plan without criteria shall not pay for that
    from seatrial.analysis.planned_advice import advice
    from seatrial.analysis.planned_power import planned_power

    wanted = plan.study.noise
    share = f"{100 * wanted.power:.4g} % of studies"
    lines = [f"what the repeats can settle, as a distance of the true median from the bound, in {share}:"]
    known = planned_power(plan.study, plan.cases)
    lines += [f"  {found.criterion.name}: {_power(found, wanted.difference.value)}" for found in known]
    return lines + advice(plan.study, known)


def _power(found: Power, difference: float) -> str:
    """'3 repeats, noise 6.7 % (source): settles 18.4 %; 5 % needs 12 repeats'."""
    if not found.cases:
        return f"{found.note}"
    words = [f"{found.repeats} repeat{'s' if found.repeats > 1 else ''}"]
    if found.cases > 1:
        words[0] += f" of each of {found.cases} cases"
    if found.groups > 1:
        words[0] += f" ({found.groups} groups, which all must pass)"
    if found.noise is not None:
        words.append(f"noise {100 * found.noise.value:.3g} % ({found.noise.source})")
    text = ", ".join(words)
    if found.settles is not None:
        text += f": settles {100 * found.settles:.3g} %"
    if found.noise is not None and found.needed is not None:
        text += f"; {100 * difference:.3g} % needs {found.needed} repeats"
    if found.needed is None and found.noise is not None and found.note is None:
        text += f"; no number of repeats that can be run settles {100 * difference:.3g} %"
    if found.criterion.minimum_repeats > found.repeats:
        text += f"; it asks for {found.criterion.minimum_repeats}: never passes as planned"
    return f"{text}; {found.note}" if found.note else text


def _outvoted(plan: Plan) -> list[str]:
    """Words of the command that a sweep overrides in some experiment: nobody should think that they count there."""
    lines = []
    for word in plan.words:
        key = word.partition("=")[0]
        where = sorted({case.experiment for case in plan.cases if key in case.axes})
        if where:
            lines.append(f"{word} does not count in {', '.join(where)}, whose sweep sets {key}")
    return lines


def _table(cases: tuple[Case, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("experiment", "workload", "axes", "nodes x tasks", "accelerators", "repeats", "limit", "case"):
        table.add_column(name, overflow="fold", no_wrap=name == "case")
    for case in cases:
        table.add_row(
            Text(case.experiment),
            Text(case.workload.kind),
            Text(_axes(case.axes)),
            f"{case.target.nodes} x {case.target.tasks_per_node}",
            str(case.target.accelerators),
            str(case.repeats),
            format_minutes(case.workload.time_limit_minutes),
            case.case_id,
        )
    return table


def _axes(axes: Mapping[str, object]) -> str:
    return " ".join(f"{name.removeprefix('workload.')}={value}" for name, value in axes.items()) or "-"
