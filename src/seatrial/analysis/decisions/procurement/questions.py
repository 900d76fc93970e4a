"""Three questions to a proposed cluster, each as what the planned training needs over what the cluster has.

Bisection: what crosses the middle in a step, within the time that products hide. All-to-all: what an accelerator
sends to the experts in a step, within the same time. Both for every number of ranks that may share the experts.
Checkpoint throughput: bytes within the share of time that standing still may take, at Young's interval. Beside them
the bandwidth of a node: all that leaves it in a step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from seatrial.analysis.checkpointing import required_bandwidth, seconds_between_failures
from seatrial.analysis.decisions.decision import Figure, Input
from seatrial.analysis.decisions.procurement.rates import WORDS, Basis, Reading
from seatrial.analysis.decisions.procurement.step import (
    HIDDEN,
    IMBALANCE,
    KERNELS,
    MEMORY,
    NETWORK_NOISE,
    NOISE,
    PRODUCTS,
    STORAGE_NOISE,
    Values,
    Work,
    products_seconds,
    slowest,
)
from seatrial.analysis.decisions.propagation import Draws, propagate
from seatrial.config.procurement import Rate
from seatrial.units import GB

Question = Literal["bisection", "all_to_all", "checkpoint", "node_bandwidth", "memory"]
Standing = Literal["holds", "fails", "not told apart", "not known"]
FAILURES = "accelerator-hours between failures"
BYTES = "bytes of a checkpoint for each parameter"
HAS = "has"
OVER = "needed over has"
NOTHING_BEHIND = "nothing runs behind the products, so that no rate is enough"
REQUIRED = (PRODUCTS, HIDDEN, FAILURES, BYTES)
"""Of the inputs that a question takes, those without which it has no answer."""
OF_PRODUCTS = (PRODUCTS, KERNELS, MEMORY, HIDDEN, NOISE, NETWORK_NOISE)


@dataclass(frozen=True)
class Asked:
    """What a question needs, by a model of inputs, and the rate that answers it."""

    question: Question
    unit: str
    rate: Rate | None
    """None: no rate answers it."""
    times: float
    """Of the rate's value, for what the cluster has: accelerators of a node."""
    names: tuple[str, ...]
    """The inputs that `needs` takes."""
    needs: Callable[[Values], Draws]
    group: int | None = None
    """Ranks that share the experts."""
    sends: bool = True
    """Whether anything is sent at all; where nothing is, any cluster has enough."""


@dataclass(frozen=True)
class Answer:
    """A question with what is needed, what is there, and their ratio: above 1 it is too little."""

    question: Question
    group: int | None
    unit: str
    needed: Figure
    has: Figure
    ratio: Figure
    standing: Standing
    basis: Basis | None
    source: str
    note: str


def asked(done: Work, per_node: int, groups: Mapping[int, Work]) -> list[Asked]:
    """The questions to a proposal whose accelerators do `done`, `per_node` of them in a node.

    `groups`: the same work with other numbers of ranks that share the experts, by that number.
    """
    # a layout that shares no experts has a middle all the same
    middle = [_crosses(done)] if done.traffic.exchange is None else []
    exchanges: list[Asked] = []
    for ranks, other in groups.items():
        exchange = other.traffic.exchange
        if exchange is None:
            continue
        over_network = bool(exchange.across)
        size, rate = (exchange.across, "alltoall_gbps") if over_network else (exchange.inside, "link_gbps")
        one = _hidden("all_to_all", size, size, other, rate)  # type: ignore[arg-type]
        exchanges.append(replace(one, group=ranks))
        middle.append(replace(_crosses(other), group=ranks))
    of_experts = done.traffic.exchange.across if done.traffic.exchange is not None else 0.0
    leaving, experts_leaving = (per_node * size for size in (done.traffic.across, of_experts))
    node = _hidden("node_bandwidth", leaving, experts_leaving, done, "network_gbps")
    return [*middle, *exchanges, replace(node, times=per_node)]


def _crosses(done: Work) -> Asked:
    return _hidden("bisection", done.traffic.crossing, done.traffic.experts_crossing, done, "bisection_gbps")


def _hidden(question: Question, size: float, of_experts: float, done: Work, rate: Rate) -> Asked:
    """Bytes of a step over the time of its products that communication may run behind.

    `of_experts`: of `size`, the bytes of the experts' all-to-all. All of them count as many times as the busiest
    rank has more than the mean: an upper bound for a node and for the middle, where the others' share evens out.
    """

    def needs(values: Values) -> Draws:
        uneven = values.get(IMBALANCE, np.float64(1.0)) if of_experts else 1.0
        behind = values[HIDDEN] * products_seconds(done, values) * slowest(done.nodes, values, NOISE)
        # where nothing runs behind the products no rate is enough for what is sent at all
        endless = np.full_like(behind, np.inf if size > 0 else 0.0)
        # to send as much, the slowest node needs as much more
        varies = slowest(done.nodes, values, NOISE if rate == "link_gbps" else NETWORK_NOISE)
        sent = (size - of_experts + of_experts * uneven) / GB * varies
        return np.divide(sent, behind, out=endless, where=behind > 0)

    names = (*OF_PRODUCTS, IMBALANCE) if of_experts else OF_PRODUCTS
    return Asked(question, "GB/s", rate, 1.0, names, needs, sends=size > 0)


def checkpoint_asked(parameters: float, accelerators: int, nodes: int, overhead: float) -> Asked:
    """Checkpoint throughput: bytes per second at which standing still stays within `overhead` of the time.

    All wait until the slowest of `nodes` has written its share.
    """

    def needs(values: Values) -> Draws:
        between = seconds_between_failures(values[FAILURES], accelerators)  # type: ignore[arg-type]
        needed = required_bandwidth(parameters * values[BYTES], overhead, between)  # type: ignore[arg-type]
        return np.asarray(needed / GB * slowest(nodes, values, STORAGE_NOISE))

    return Asked("checkpoint", "GB/s", "checkpoint_write_gbps", 1.0, (FAILURES, BYTES, STORAGE_NOISE), needs)


def memory_asked(done: Work, gradient_bytes: float) -> Asked:
    """What an accelerator must hold of the training's state; activations come on top."""

    def needs(values: Values) -> Draws:
        return np.asarray(done.state_parameters * (values[BYTES] + gradient_bytes) / GB)

    return Asked("memory", "GB", None, 1.0, (BYTES,), needs)


def answer(
    one: Asked,
    inputs: Mapping[str, Input],
    reading: Reading | None,
    seed: int,
    scale: float = math.inf,
    unfit: str | None = None,
) -> Answer:
    """A question's answer from the inputs that are known; what is missing is named and nothing takes its place.

    A rate that was measured on `scale` times fewer ranks, or more, gives a ratio and no standing. `unfit`: why what
    was measured is no reading.
    """
    chosen = [inputs[name] for name in one.names if name in inputs]
    lacking = [name for name in REQUIRED if name in one.names and name not in inputs]
    unknown = f"not known: {', '.join(lacking)}" if lacking else None
    needed = Figure("needed", None, None, None, one.unit, unknown or "")
    if unknown is None:
        needed = propagate(one.needs, chosen, seed, name="needed", unit=one.unit)
        if one.sends and reading is None:
            what = WORDS[one.rate] if one.rate else f"{one.question} of an accelerator"
            unknown = f"not known: {what}: {unfit}" if unfit else f"not known: nobody measured or stated {what}"
    note = unknown or (reading.note if reading is not None else None) or ""
    ratio = Figure(OVER, None, None, None, "", unknown or "")
    if not one.sends and unknown is None:
        note = "nothing of this kind is sent"
        ratio = Figure(OVER, 0.0, None, None, "", note)
    elif reading is not None and unknown is None:
        ratio = _ratio(one, chosen, reading, seed)
    endless = unknown is None and one.sends and needed.value is None
    if endless:
        note = NOTHING_BEHIND
    too_far = reading is not None and reading.times > scale and not endless
    if too_far and unknown is None:
        note = f"{note}: too far to judge by (bound {scale:g} times)"
    return Answer(
        question=one.question,
        group=one.group,
        unit=one.unit,
        needed=needed,
        has=_has(one, reading),
        ratio=ratio,
        standing="fails" if endless else "not known" if too_far else standing(ratio),
        basis=None if reading is None else reading.basis,
        source="" if reading is None else reading.input.source,
        note=note,
    )


def _ratio(one: Asked, chosen: Sequence[Input], reading: Reading, seed: int) -> Figure:
    def over(values: Values) -> Draws:
        return np.asarray(one.needs(values) / (values[HAS] * one.times))

    return propagate(over, [*chosen, replace(reading.input, name=HAS)], seed, name=OVER, unit="")


def standing(ratio: Figure) -> Standing:
    """fails: too little beyond doubt; holds: enough beyond doubt; a ratio without an interval is taken as it is."""
    low = ratio.value if ratio.low is None else ratio.low
    high = ratio.value if ratio.high is None else ratio.high
    if low is None or high is None:
        return "not known"
    if high <= 1:
        return "holds"
    return "fails" if low > 1 else "not told apart"


def _has(one: Asked, reading: Reading | None) -> Figure:
    if reading is None:
        return Figure("has", None, None, None, one.unit, "not known")
    found, scale = reading.input, one.times
    low, high = (None, None) if found.low is None or found.high is None else (found.low * scale, found.high * scale)
    return Figure("has", found.value * scale, low, high, one.unit, reading.basis)
