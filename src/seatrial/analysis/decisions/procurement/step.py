"""The least time that a step takes: a roofline for the products, latency and bandwidth for what is sent.

Everything works element by element on arrays of draws, by the names of the inputs below. A name that is not among
them is left out of the sum: `missing` says when that would leave a figure without what it needs.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from seatrial.analysis.decisions.procurement.shapes import step_flops, weights
from seatrial.analysis.decisions.procurement.traffic import (
    WEIGHT_BYTES,
    Collective,
    Exchange,
    Traffic,
    holders,
    traffic,
)
from seatrial.analysis.decisions.propagation import Draws
from seatrial.analysis.statistics.distributions import normal_quantile
from seatrial.config.procurement import Hybrid, Training
from seatrial.units import GB, TERA

PRODUCTS = "matrix products"
KERNELS = "share of their rate that a training reaches"
MEMORY = "memory bandwidth"
NETWORK = "network between nodes, per accelerator"
ALLTOALL = "all-to-all between nodes, per accelerator"
LINK = "links inside, per accelerator"
INSIDE = "all-to-all inside, per accelerator"
"""Where it is known apart from LINK, which an all-to-all takes otherwise."""
HOP = "latency from rank to rank"
IMBALANCE = "tokens of the busiest rank over the mean"
HIDDEN = "share of the products that communication runs behind"
NOISE = "variation of one node's step time"
NETWORK_NOISE = "variation of a node's collectives"
STORAGE_NOISE = "variation of a node's writing"
Values = Mapping[str, Draws]

OPTIMISER_BYTES = 28.0
"""Moved for each weight by a step of Adam: master weight and two moments in 4 bytes read and written, the gradient
read in 2, the weight written in 2."""
STEPS = {
    "all_reduce": lambda n: 2 * math.ceil(math.log2(n)),
    "all_gather": lambda n: math.ceil(math.log2(n)),
    "reduce_scatter": lambda n: math.ceil(math.log2(n)),
    "all_to_all": lambda n: 1,
    "send_recv": lambda n: 1,
}
"""Messages one after another that a collective over n ranks needs at least: a tree's, 2 ceil(log2 n) for
all_reduce; an all-to-all can send them all at once."""


@dataclass(frozen=True)
class Work:
    """What one accelerator does in a step."""

    flops: float
    read_bytes: float
    """Weights read from memory, once for each pass of each microbatch."""
    optimiser_bytes: float
    state_parameters: float
    """Weights whose optimiser state lies on one accelerator."""
    bubble: float
    """Idle time of a pipeline over the time of its products: (p - 1) / m (GPipe, arXiv 1811.06965)."""
    nodes: int
    traffic: Traffic


def work(training: Training, accelerators: int, nodes: int, domain: int, hybrid: Hybrid | None = None) -> Work:
    """The work of `training` on `accelerators` of `nodes`, `domain` of which share the fast fabric."""
    layout, found = training.layout, weights(training.model)
    sequences = training.tokens_per_step / training.sequence_length
    parts = layout.tensor * layout.pipeline
    dense = found.shared + found.head + found.embedding
    held = (dense + found.routed / holders(training)) / parts
    owned = found.total / accelerators if layout.data_parallel == "sharded" else held
    passes = 4 if layout.recompute == "full" else 3
    return Work(
        flops=step_flops(training, hybrid).hardware * sequences / accelerators,
        read_bytes=held * WEIGHT_BYTES * passes * layout.microbatches,
        optimiser_bytes=owned * OPTIMISER_BYTES,
        state_parameters=owned,
        bubble=(layout.pipeline - 1) / layout.microbatches,
        nodes=nodes,
        traffic=traffic(training, accelerators, domain),
    )


def missing(done: Work, names: Collection[str]) -> list[str]:
    """The inputs without which a step of `done` has no time, in the order of their names above."""
    needs = {PRODUCTS}
    exchange = done.traffic.exchange
    if exchange is not None and exchange.across:
        needs.add(ALLTOALL)
    if exchange is not None and exchange.inside and INSIDE not in names:
        needs.add(LINK)
    for one in (*done.traffic.behind, *done.traffic.between):
        network, link = one.factors
        needs |= {NETWORK} if network is not None else set()
        needs |= {LINK} if link is not None else set()
    return [name for name in (PRODUCTS, NETWORK, ALLTOALL, LINK) if name in needs and name not in names]


def products_seconds(done: Work, values: Values) -> Draws:
    """Roofline: the longer of FLOPs over the rate of products and bytes over that of memory.

    Williams, Waterman, Patterson, CACM 52(4), 2009.
    """
    seconds = done.flops / (values[PRODUCTS] * TERA * values.get(KERNELS, np.float64(1.0)))
    if MEMORY in values:
        seconds = np.maximum(seconds, done.read_bytes / (values[MEMORY] * GB))
    return np.asarray(seconds)


def collective_seconds(one: Collective, values: Values) -> Draws:
    """alpha of every message, and bus bytes over the least bus bandwidth that network and links allow."""
    network, link = one.factors
    bounds = [
        factor * values[name] * GB for factor, name in ((network, NETWORK), (link, LINK)) if factor is not None
    ]
    sending = one.bus_bytes / np.minimum.reduce(bounds)
    return np.asarray(sending + one.messages * STEPS[one.operation](one.ranks) * _hop(values))


def exchange_seconds(one: Exchange, values: Values) -> Draws:
    """The experts' all-to-all: the longer of both ways, times how much the busiest rank has more than the mean."""
    inside = INSIDE if INSIDE in values else LINK
    ways = [size / (values[name] * GB) for size, name in ((one.across, ALLTOALL), (one.inside, inside)) if size]
    longest = np.maximum.reduce(ways) * values.get(IMBALANCE, np.float64(1.0)) if ways else np.float64(0.0)
    return np.asarray(longest + one.messages * STEPS["all_to_all"](one.ranks) * _hop(values))


def behind_seconds(done: Work, values: Values) -> Draws:
    """Communication of a step that may run behind the products."""
    seconds = sum((collective_seconds(one, values) for one in done.traffic.behind), np.float64(0.0))
    if done.traffic.exchange is not None:
        seconds = seconds + exchange_seconds(done.traffic.exchange, values)
    return np.asarray(seconds)


def step_seconds(done: Work, values: Values) -> Draws:
    """Products with the pipeline's bubble, optimiser, tensor parallelism, and what is not hidden of the rest.

    All wait for the slowest node, with what it does by itself and, as often, with what it sends: see `slowest`.
    """
    alone, sending = (slowest(done.nodes, values, name) for name in (NOISE, NETWORK_NOISE))
    products = products_seconds(done, values)
    exposed = np.maximum(0.0, behind_seconds(done, values) * sending - values[HIDDEN] * products * alone)
    waited = sum((collective_seconds(one, values) for one in done.traffic.between), np.float64(0.0))
    optimiser = done.optimiser_bytes / (values[MEMORY] * GB) if MEMORY in values else 0.0
    return np.asarray((products * (1 + done.bubble) + optimiser) * alone + waited * sending + exposed)


def slowest(nodes: int, values: Values, noise: str) -> Draws:
    """How many times as long the slowest of `nodes` takes as their mean: 1 + c z_n, with the variation c of one.

    They vary independently, normally, anew in every step. Where no variation of collectives is known they vary as
    the nodes' own work does.
    """
    varies = values.get(noise, values.get(NOISE) if noise == NETWORK_NOISE else None)
    return np.asarray(1.0 if varies is None else 1 + varies * greatest_of(nodes))


def greatest_of(count: int) -> float:
    """Expected greatest of `count` independent standard normal values, by Blom's score (Blom 1958); 0 of one."""
    return normal_quantile((count - 0.375) / (count + 0.25)) if count > 1 else 0.0


def _hop(values: Values) -> Draws:
    return np.asarray(values.get(HOP, np.float64(0.0)))
