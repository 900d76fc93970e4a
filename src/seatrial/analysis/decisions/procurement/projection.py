"""A proposal with the planned training on it: the inputs that are known, and every figure that follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from seatrial.analysis.checkpointing import seconds_between_failures, waste
from seatrial.analysis.decisions.decision import Figure, Input, Swing, assumed
from seatrial.analysis.decisions.procurement.questions import (
    BYTES,
    FAILURES,
    Answer,
    Asked,
    answer,
    asked,
    checkpoint_asked,
    memory_asked,
)
from seatrial.analysis.decisions.procurement.rates import READ, WRITTEN, Reading, alltoall_reading, memory_reading
from seatrial.analysis.decisions.procurement.shapes import weights
from seatrial.analysis.decisions.procurement.step import (
    ALLTOALL,
    HIDDEN,
    HOP,
    IMBALANCE,
    INSIDE,
    KERNELS,
    LINK,
    NETWORK_NOISE,
    NOISE,
    STORAGE_NOISE,
    Values,
    Work,
    exchange_seconds,
    missing,
    slowest,
    step_seconds,
    work,
)
from seatrial.analysis.decisions.procurement.traffic import Exchange, shared_by
from seatrial.analysis.decisions.propagation import Draws, Model, propagate, taken_by
from seatrial.analysis.decisions.sensitivity import tornado
from seatrial.analysis.decisions.words import SHARE
from seatrial.config.procurement import Hybrid, Procurement, Proposal, Rate, Training
from seatrial.measure.ceilings.links import by_the_network
from seatrial.units import GB

TOKENS = "tokens of the training"
LEAD, NEEDED = "months from order to use", "months until it is needed"
DAY = 86_400.0
NETWORK_RATES: tuple[Rate, ...] = ("network_gbps", "alltoall_gbps")
IN_RATE = "within the measured rate: the time of a collective is the greatest over all ranks"


@dataclass(frozen=True)
class Projection:
    """One proposal of a procurement; figures are None where an input is missing, and `missing` names it."""

    name: str
    procurement: Procurement
    proposal: Proposal
    rates: Mapping[Rate, Reading]
    unfit: Mapping[Rate, str]
    """Why what was measured is not taken for a rate."""
    hop: Input | None
    """Measured; else the procurement's own."""
    seed: int
    counts_saving: bool = True
    """Whether the training time holds what checkpoints and failures cost, where that is known."""

    @property
    def accelerators(self) -> int:
        return self.proposal.accelerators

    @cached_property
    def inputs(self) -> dict[str, Input]:
        """Everything that is known, by name."""
        plan, found = self.procurement, [reading.input for reading in self.rates.values()]
        for name, assumption, unit in (
            (KERNELS, plan.kernels, SHARE),
            (HIDDEN, plan.hidden, SHARE),
            (IMBALANCE, plan.imbalance, "times"),
            (NOISE, self.proposal.noise, SHARE),
            (NETWORK_NOISE, None if self.measured(*NETWORK_RATES) else self.proposal.network_noise, SHARE),
            (STORAGE_NOISE, None if self.measured("checkpoint_write_gbps") else self.proposal.storage_noise, SHARE),
            (TOKENS, plan.planned.training_tokens, "tokens"),
            (BYTES, plan.saving.bytes_per_parameter, "bytes"),
            (LEAD, self.proposal.lead_months, "months"),
            (NEEDED, plan.needed_months, "months"),
        ):
            if assumption is not None:
                found.append(assumed(name, assumption, unit))
        if self.measured(*NETWORK_RATES):
            found.append(Input(NETWORK_NOISE, 0.0, None, None, SHARE, IN_RATE, None, measured=True))
        if self.hop is not None:
            found.append(self.hop)
        elif plan.hop_seconds is not None:
            found.append(assumed(HOP, plan.hop_seconds, "s"))
        reliability = self.proposal.target.reliability or plan.saving.reliability
        fact = None if reliability is None else reliability.accelerator_hours_between_failures
        if fact is not None and fact.value is not None:
            found.append(Input(FAILURES, fact.value, None, None, "h", fact.source, None, measured=False))
        return {one.name: one for one in found}

    def measured(self, *rates: Rate) -> bool:
        """Whether one of `rates` was measured."""
        return any(rate in self.rates and self.rates[rate].input.measured for rate in rates)

    @cached_property
    def planned(self) -> Work:
        return self.work_of(self.procurement.planned)

    def work_of(self, training: Training, hybrid: Hybrid | None = None) -> Work:
        """What one accelerator of the proposal does in a step of `training`."""
        domain = min(by_the_network(self.proposal.whole), self.accelerators)
        return work(training, self.accelerators, self.proposal.nodes, domain, hybrid)

    @cached_property
    def parameters(self) -> int:
        return weights(self.procurement.planned.model).total

    @cached_property
    def answers(self) -> list[Answer]:
        """Bisection, all-to-all by number of ranks, checkpoint throughput; bandwidth of a node, memory."""
        per_node = max(1, self.accelerators // self.proposal.nodes)
        first, *others, node = asked(self.planned, per_node, self._groups())
        saving = self.procurement.saving
        checkpoint = checkpoint_asked(
            self.parameters, self.accelerators, self.proposal.nodes, saving.overhead.value
        )
        memory = memory_asked(self.planned, self.procurement.planned.layout.gradient_bytes)
        scale = self.procurement.scale.value
        found = [
            answer(one, self.inputs, self._reading(one), self.seed, scale, self._why_not(one))
            for one in (first, *others, checkpoint, node)
        ]
        return [*found, answer(memory, self.inputs, memory_reading(self.proposal), self.seed)]

    def _reading(self, one: Asked) -> Reading | None:
        """The rate that answers a question."""
        if one.rate == "alltoall_gbps" and one.group is not None:
            return self._alltoall(one.group)
        if one.rate == "link_gbps" and "alltoall_inside_gbps" in self.rates:
            return self.rates["alltoall_inside_gbps"]
        return None if one.rate is None else self.rates.get(one.rate)

    def _why_not(self, one: Asked) -> str | None:
        """Why what was measured does not answer a question."""
        return None if one.rate is None else self.unfit.get(one.rate)

    def _alltoall(self, ranks: int) -> Reading | None:
        """The rate of the all-to-all: a stated ceiling is that of `ranks`, anything else is taken as it is."""
        found = self.rates.get("alltoall_gbps")
        if found is not None and found.basis != "stated, not measured":
            return found
        return alltoall_reading(self.procurement, self.proposal, ranks)

    def _groups(self) -> dict[int, Work]:
        """The work by number of ranks that share the experts: of the layout, and the others asked about."""
        plan = self.procurement.planned
        layout = plan.layout
        ranks = self.accelerators // (layout.tensor * layout.pipeline)
        sizes = [n for n in (layout.experts, *self.procurement.expert_groups) if n > 1 and ranks % n == 0]
        return {n: self.work_of(shared_by(plan, n)) for n in dict.fromkeys(sizes)}

    @property
    def groups_left_out(self) -> list[int]:
        """Numbers of ranks that were asked about and do not divide the proposal."""
        return [n for n in self.procurement.expert_groups if n not in self._groups()]

    @cached_property
    def missing(self) -> list[str]:
        """The inputs without which a step has no time."""
        return missing(self.planned, self.inputs)

    def step(self, training: Training, name: str, hybrid: Hybrid | None = None) -> Figure:
        """Seconds of a step, at least."""
        done = self.work_of(training, hybrid)
        lacking = missing(done, self.inputs)
        if lacking:
            return Figure(name, None, None, None, "s", f"not known: {', '.join(lacking)}")
        return self.figure(lambda x: step_seconds(done, x), name, "s")

    @property
    def knows_saving(self) -> bool:
        """Whether the time that checkpoints and failures cost is known."""
        return all(name in self.inputs for name in (FAILURES, BYTES, WRITTEN))

    def save_seconds(self, x: Values) -> Draws:
        """Seconds of one checkpoint, until the slowest node is through."""
        seconds = self.parameters * x[BYTES] / GB / x[WRITTEN]
        return np.asarray(seconds * slowest(self.proposal.nodes, x, STORAGE_NOISE))

    def lost(self, x: Values) -> Draws:
        """Share of the time that goes into saving, doing again and reading back, at Young's interval; 1: all."""
        seconds = self.save_seconds(x)
        between = seconds_between_failures(x[FAILURES], self.accelerators)  # type: ignore[arg-type]
        again = self.parameters * x[BYTES] / GB / x[READ] if READ in x else 0.0
        interval = np.sqrt(2 * seconds * between)  # young_interval, for arrays
        return np.minimum(1.0, waste(seconds, interval, between, again))  # type: ignore[arg-type]

    def days(self, x: Values) -> Draws:
        """Days of the whole training, checkpoints and failures in them as `leading` says."""
        return self.days_of(self.planned, x)

    def days_with_saving(self, x: Values) -> Draws:
        """Days of the whole training with the time that checkpoints and failures cost, which has to be known."""
        with np.errstate(divide="ignore"):
            return np.asarray(self._busy(self.planned, x) / (1 - self.lost(x)))

    def days_of(self, done: Work, x: Values) -> Draws:
        """Days of the planned number of steps of `done`."""
        if not (self.counts_saving and self.knows_saving):
            return self._busy(done, x)
        with np.errstate(divide="ignore"):
            return np.asarray(self._busy(done, x) / (1 - self.lost(x)))

    def _busy(self, done: Work, x: Values) -> Draws:
        return np.asarray(x[TOKENS] / self.procurement.planned.tokens_per_step * step_seconds(done, x) / DAY)

    @cached_property
    def leading(self) -> tuple[Figure, list[Swing]]:
        """Days of the training, or where its tokens are not known seconds of a step; and what moves it."""
        counted = self.counts_saving and self.knows_saving
        training = "Training time" if counted else "Training time without checkpoints and failures"
        name = training if TOKENS in self.inputs else "Least step time"
        unit = "days" if TOKENS in self.inputs else "s"
        if self.missing:
            return Figure(name, None, None, None, unit, f"not known: {', '.join(self.missing)}"), []
        model: Model = self.days
        if TOKENS not in self.inputs:
            model = partial(step_seconds, self.planned)
        return self.figure(model, name, unit), tornado(model, self.taken_by(model))

    def figure(self, model: Model, name: str, unit: str) -> Figure:
        """`model` of the inputs that it takes, with its interval."""
        return propagate(model, self.taken_by(model), self.seed, name=name, unit=unit)

    def taken_by(self, model: Model) -> list[Input]:
        """The inputs that `model` takes."""
        return taken_by(model, list(self.inputs.values()))

    def exchange_figures(self) -> list[Figure]:
        """Seconds of a step's all-to-all, by the number of ranks that share the experts."""
        found = []
        for ranks, done in self._groups().items():
            exchange, name = done.traffic.exchange, f"All-to-all of a step over {ranks} ranks"
            if exchange is None:
                continue
            reading = self._alltoall(ranks)
            known = self.inputs | ({} if reading is None else {ALLTOALL: reading.input})
            inside = INSIDE if INSIDE in known else LINK
            ways = ((exchange.across, ALLTOALL), (exchange.inside, inside))
            lacking = [rate for size, rate in ways if size and rate not in known]
            if lacking:
                found.append(Figure(name, None, None, None, "s", f"not known: {', '.join(lacking)}"))
                continue
            noise = (NETWORK_NOISE, NOISE) if exchange.across else ()
            taken = [known[name] for name in (ALLTOALL, inside, IMBALANCE, HOP, *noise) if name in known]
            model = partial(_exchanged, exchange, self.proposal.nodes)
            found.append(propagate(model, taken, self.seed, name=name, unit="s"))
        return found

    def saving_figures(self) -> list[Figure]:
        """Seconds of a checkpoint and the share of time that is lost."""
        if not self.knows_saving:
            lacking = [name for name in (WRITTEN, FAILURES) if name not in self.inputs]
            why = f"not known: {', '.join(lacking)}"
            return [Figure("Time lost to checkpoints and failures", None, None, None, SHARE, why)]
        found = [
            self.figure(self.save_seconds, "Time of a checkpoint", "s"),
            self.figure(self.lost, "Time lost to checkpoints and failures", SHARE),
        ]
        if not self.counts_saving and TOKENS in self.inputs and not self.missing:
            name = "Training time with checkpoints and failures"
            found.append(self.figure(self.days_with_saving, name, "days"))
        return found

    def months_to_spare(self) -> Figure | None:
        """Months between arrival, ordered now, and need; below 0 it comes too late. None where none is stated."""
        if LEAD not in self.inputs or NEEDED not in self.inputs:
            return None
        return self.figure(lambda x: np.asarray(x[NEEDED] - x[LEAD]), "Months to spare, ordered now", "months")


def _exchanged(exchange: Exchange, nodes: int, x: Values) -> Draws:
    """Seconds of an all-to-all, until the slowest node is through; inside one domain no node waits for another."""
    seconds = exchange_seconds(exchange, x)
    return seconds * slowest(nodes, x, NETWORK_NOISE) if exchange.across else seconds
