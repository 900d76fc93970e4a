"""Procurement as decisions: the proposals side by side, each by itself, and what hybrid attention changes.

Writes tables/procurement.csv on the way, since both say the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from seatrial.analysis.decisions.basis import Basis
from seatrial.analysis.decisions.decision import Decision, Figure, Input
from seatrial.analysis.decisions.procurement.elsewhere import results_of
from seatrial.analysis.decisions.procurement.hybrid import steps_taken
from seatrial.analysis.decisions.procurement.hybrid_times import hybrid_figures, hybrid_swings
from seatrial.analysis.decisions.procurement.in_words import arrival, growth, unlike
from seatrial.analysis.decisions.procurement.measured import MeasuredRates
from seatrial.analysis.decisions.procurement.projection import Projection
from seatrial.analysis.decisions.procurement.questions import Answer
from seatrial.analysis.decisions.procurement.rates import WORDS, readings
from seatrial.analysis.decisions.procurement.shapes import step_flops
from seatrial.analysis.decisions.procurement.step import (
    HOP,
    IMBALANCE,
    KERNELS,
    MEMORY,
    NETWORK_NOISE,
    NOISE,
    STORAGE_NOISE,
)
from seatrial.analysis.decisions.procurement.table import write_table
from seatrial.analysis.decisions.sensitivity import of_each
from seatrial.analysis.decisions.words import interval, listed, with_interval
from seatrial.analysis.inputs import read_plan
from seatrial.config.procurement import Procurement
from seatrial.units import format_figure

KIND, HYBRID = "procurement", "hybrid_attention"
QUESTIONS = {"bisection": "bisection", "all_to_all": "all-to-all", "checkpoint": "checkpoint throughput"}
"""The three questions, in words."""
BESIDE = {"node_bandwidth": "bandwidth of a node", "memory": "memory of an accelerator"}
LEFT_OUT = {
    KERNELS: "products count at their full rate: times are bounds",
    MEMORY: "reading weights and the optimiser's step are left out",
    HOP: "messages count without latency",
    IMBALANCE: "every expert counts as equally loaded",
    NOISE: "all nodes count as equally fast",
    NETWORK_NOISE: "the time of a collective varies as the nodes' own work does",
    STORAGE_NOISE: "all nodes count as writing equally fast",
}
"""What a figure leaves out where an input that it can do without is not known."""


def procurement(basis: Basis) -> list[Decision]:
    """The decisions on the study's proposals, and tables/procurement.csv; nothing where it names none."""
    plan = basis.economics.procurement
    if plan is None:
        basis.paths.procurement.unlink(missing_ok=True)
        return []
    steps, as_input = (None, None) if plan.hybrid is None else steps_taken(basis, plan.hybrid)
    found = _projections(basis, plan)
    write_table(basis.paths, basis.study.name, found)
    decided = [_side_by_side(plan, found), *(_one(plan, one) for one in found)]
    return decided if steps is None else [*decided, _hybrid(plan, found, steps, as_input)]


def _projections(basis: Basis, plan: Procurement) -> list[Projection]:
    measured, made = _probes(basis, plan), []
    for name, proposal in plan.proposals.items():
        found = measured.of(proposal, plan.dtype)
        rates = readings(plan, proposal, found.rates)
        made.append(Projection(name, plan, proposal, rates, found.unfit, measured.hop(proposal), basis.seed))
    # where it is not known of one it is in none, so that training times stand side by side like with like
    alike = all(one.knows_saving for one in made)
    return [replace(one, counts_saving=alike) for one in made]


def _probes(basis: Basis, plan: Procurement) -> MeasuredRates:
    """The tables of this study's probes, or of the one that the plan names.

    Raises UnreadableFile where there is no such study.
    """
    if plan.probes is None:
        return MeasuredRates(basis.paths)
    there = results_of(plan.probes, "probes")
    return MeasuredRates(there, f"measured in study {read_plan(there).study.name}")


def _side_by_side(plan: Procurement, found: Sequence[Projection]) -> Decision:
    # not known first, then the longest
    worst_first = sorted(found, key=lambda one: -(one.leading[0].value or math.inf))
    said = [f"{_name(one)} {_standing(_three(one))}" for one in worst_first]
    figures = [_named(one.leading[0], one.name) for one in found]
    spare = [(one, figure) for one in found if (figure := one.months_to_spare()) is not None]
    return Decision(
        kind=KIND,
        title=f"Which cluster for {plan.planned.description}",
        where=_where(plan),
        answer=f"{'; '.join([*said, *unlike({_name(one): one.proposal for one in worst_first})])}.",
        figures=(*figures, *(_named(figure, one.name) for one, figure in spare)),
        inputs=(),
        swings=(),
        evidence=("tables/procurement.csv: needed and there, by proposal and question", growth(plan)),
        missing=(*(f"{_name(one)}: {words}" for one in found for words in one.missing), *_unsaved(*found)),
        moved=of_each(
            f"the {found[0].leading[0].name.lower().partition(' without')[0]}",
            {_name(one): one.leading[1] for one in found},
        ),
    )


def _one(plan: Procurement, one: Projection) -> Decision:
    leading, swings = one.leading
    spare = one.months_to_spare()
    figures = [leading]
    if leading.unit != "s":
        figures.append(one.step(plan.planned, "Least step time"))
    if plan.today is not None:
        figures.append(one.step(plan.today, "Least step time of today's training"))
    figures += [_ratio(found) for found in one.answers]
    figures += [*one.exchange_figures(), *(_gigabits(a) for a in one.answers if a.question == "node_bandwidth")]
    figures += one.saving_figures() + hybrid_figures(one, None) + ([] if spare is None else [spare])
    arrives = "" if spare is None else f" {arrival(spare)}"
    return Decision(
        kind=KIND,
        title=f"{plan.planned.description} on {one.name.replace('_', ' ')}",
        where=_size_of(one),
        answer=f"It {_standing(_three(one))}{_memory(one)}; {_leads(leading)}.{_beyond(one)}{arrives}",
        figures=tuple(figures),
        inputs=tuple(one.inputs.values()),
        swings=tuple(swings),
        evidence=_evidence(one),
        missing=_missing(one),
    )


def _hybrid(plan: Procurement, found: Sequence[Projection], steps: Figure, taken: Input | None) -> Decision:
    hybrid = plan.hybrid
    assert hybrid is not None
    over = "full attention" if hybrid.without is None else f"one of {hybrid.against}"
    without, windows = (step_flops(plan.planned, of).hardware for of in (hybrid.without, hybrid))
    by_name = {_name(one): figures for one in found if (figures := hybrid_figures(one, taken))}
    figures = [_named(figure, name) for name, of_one in by_name.items() for figure in of_one]
    known = "is not known" if steps.value is None else f"is {with_interval(steps)}"
    ends = interval(Figure(steps.name, 1.0, steps.low, steps.high, "", "")) if steps.value is None else ""
    even = [f"{with_interval(f, 4)} the steps on {name}" for name, (_, f, *_) in by_name.items()]
    pays = f"it pays below {listed(even)}" if even else "when it pays is not known: a step has no time"
    return Decision(
        kind=HYBRID,
        title="What hybrid attention changes",
        where=f"{plan.planned.description}, a window of {hybrid.window} in all but one of "
        f"{hybrid.full_every} layers, against {over}",
        answer=f"How many times the steps it takes {known}{f' ({ends})' if ends else ''}; a step has "
        f"{format_figure(100 * abs(1 - windows / without), 3)} % {'fewer' if windows < without else 'more'} FLOPs, "
        f"so that {pays}.{_then(by_name)}",
        figures=(steps, *figures),
        inputs=() if taken is None else (taken,),
        swings=(),
        evidence=(steps.method,) if steps.value is not None else (),
        missing=_missing_of_hybrid(steps, taken),
        moved=of_each(
            "the number of times the steps at which it pays" if taken is None else "the training time with it",
            {_name(one): hybrid_swings(one, taken) for one in found},
        ),
    )


def _then(by_name: Mapping[str, Sequence[Figure]]) -> str:
    """How long the training takes with as many times the steps, where that is known."""
    days = {name: figures[-1] for name, figures in by_name.items() if figures[-1].unit == "days"}
    said = listed([f"{with_interval(figure)} on {name}" for name, figure in days.items()])
    return f" {next(iter(days.values())).name}: {said}." if days else ""


def _missing_of_hybrid(steps: Figure, taken: Input | None) -> tuple[str, ...]:
    if steps.value is None:
        return (f"{steps.name}: {steps.method}",)
    return () if taken is not None else (f"{steps.name}: its interval is open, so no training time follows",)


def _three(one: Projection) -> list[Answer]:
    """The answers to the three questions, the all-to-all over the ranks of the layout."""
    ranks = one.procurement.planned.layout.experts
    return [a for a in one.answers if a.question in QUESTIONS and a.group in (None, ranks)]


def _size_of(one: Projection) -> str:
    nodes, n = one.proposal.nodes, one.accelerators
    what = "accelerator" if one.proposal.whole.accelerators else "rank"
    nodes_of, each = ("" if count == 1 else "s" for count in (nodes, n))
    chip = one.proposal.whole.accelerator
    of_chip = "" if chip is None else f" ({chip.name})"
    return f"{nodes:,} node{nodes_of} of {one.proposal.target.name}, {n:,} {what}{each}{of_chip}"


def _standing(answers: Sequence[Answer]) -> str:
    """'fails all-to-all (needs 2 times what is there, 1.4 to 3.6), passes bisection and checkpoint throughput'."""
    said: dict[str, list[str]] = {"fails": [], "not told apart": [], "holds": [], "not known": []}
    for found in answers:
        said[found.standing].append(f"{QUESTIONS[found.question]}{_by(found)}")
    verbs = {"fails": "fails", "not told apart": "may fail", "holds": "passes", "not known": "leaves open"}
    return ", ".join(f"{verbs[standing]} {listed(names)}" for standing, names in said.items() if names)


def _by(found: Answer) -> str:
    """By how much a question is failed, or may be."""
    if found.ratio.value is None or found.standing == "holds":
        return ""
    ends = interval(found.ratio)
    times = format_figure(found.ratio.value, 3)
    return f" (needs {times} times what is there{f', {ends}' if ends else ''})"


def _memory(one: Projection) -> str:
    memory = one.answers[-1]
    return " and the state alone does not fit into its memory" if memory.standing == "fails" else ""


def _beyond(one: Projection) -> str:
    """What happens to the middle where more ranks share the experts than in the layout; nothing where it holds."""
    layout = one.procurement.planned.layout
    middle = {a.group or 0: a for a in one.answers if a.question == "bisection"}
    own = middle[layout.experts].ratio.value if layout.experts in middle else None
    more = [a for n, a in middle.items() if n > layout.experts and a.ratio.value != own]
    said = [
        f"{'fails' if a.standing == 'fails' else 'may fail'}{_by(a)} over {a.group} ranks"
        for a in more
        if a.standing in ("fails", "not told apart")
    ]
    return f" With the experts shared by more, bisection {listed(said)}." if said else ""


def _leads(figure: Figure) -> str:
    if figure.value is None:
        return f"its {figure.name.lower()} is {figure.method}"
    return f"{figure.name.lower()} {with_interval(figure)}"


def _ratio(found: Answer) -> Figure:
    word = {**QUESTIONS, **BESIDE}[found.question]
    group = f" over {found.group} ranks" if found.group is not None else ""
    name = f"Needed over there, {word}{group}"
    return Figure(name, found.ratio.value, found.ratio.low, found.ratio.high, "times", found.ratio.method)


def _gigabits(found: Answer) -> Figure:
    """What a node needs of the network, as ports are sold."""
    needed = found.needed
    value, low, high = (None if end is None else 8 * end for end in (needed.value, needed.low, needed.high))
    return Figure("Bandwidth that a node needs, each way", value, low, high, "Gb/s", needed.method)


def _evidence(one: Projection) -> tuple[str, ...]:
    said = [f"{WORDS[rate]}: {reading.basis}" for rate, reading in one.rates.items()]
    return ("tables/procurement.csv", *said)


def _missing(one: Projection) -> tuple[str, ...]:
    # one node waits for no other; what was measured holds what the slowest makes of it
    alone = one.proposal.nodes == 1
    known = {*one.inputs, *((NOISE, NETWORK_NOISE, STORAGE_NOISE) if alone else ())}
    known |= {STORAGE_NOISE} if one.measured("checkpoint_write_gbps") else set()
    left_out = [f"{name}: {words}" for name, words in LEFT_OUT.items() if name not in known]
    unanswered = [f"{found.question}: {found.note}" for found in one.answers if found.standing == "not known"]
    unfit = [f"{WORDS[rate]}, measured but not taken: {why}" for rate, why in one.unfit.items()]
    groups = [f"an all-to-all over {n} ranks: they do not divide the proposal" for n in one.groups_left_out]
    return (*one.missing, *unfit, *left_out, *_unsaved(one), *unanswered, *groups)


def _unsaved(*found: Projection) -> list[str]:
    """That training times hold nothing for checkpoints and failures; of whom their cost is not known."""
    unknown = [_name(one) for one in found if not one.knows_saving]
    if not unknown and all(one.counts_saving for one in found):
        return []
    why = f"not known of {listed(unknown)}" if unknown else "not known of another proposal"
    times = "the training time" if len(found) == 1 else "any training time"
    return [f"time lost to checkpoints and failures: not in {times}, since it is {why}"]


def _where(plan: Procurement) -> str:
    needed = plan.needed_months
    return "" if needed is None else f"needed in {format_figure(needed.value)} months"


def _name(one: Projection) -> str:
    return one.name.replace("_", " ")


def _named(figure: Figure, name: str) -> Figure:
    return Figure(f"{figure.name}: {name.replace('_', ' ')}", *(
        figure.value, figure.low, figure.high, figure.unit, figure.method
    ))  # fmt: skip
