"""What is said of proposals: how the model grows, whether what is ordered arrives in time, that chips differ."""

from __future__ import annotations

from collections.abc import Mapping

from seatrial.analysis.decisions.decision import Figure
from seatrial.analysis.decisions.procurement.shapes import step_flops, weights
from seatrial.analysis.decisions.words import listed, with_interval
from seatrial.config.procurement import Procurement, Proposal
from seatrial.units import format_figure


def unlike(proposals: Mapping[str, Proposal]) -> list[str]:
    """That proposals do not have the same accelerator, with who has which; nothing where all that are known do."""
    having: dict[str, list[str]] = {}
    for name, proposal in proposals.items():
        chip = proposal.whole.accelerator
        if chip is not None:
            having.setdefault(chip.name, []).append(name)
    if len(having) < 2:
        return []
    said = listed([f"{chip} in {listed(names)}" for chip, names in having.items()])
    return [f"not all have the same accelerator, so what differs is not the fabric alone: {said}"]


def growth(plan: Procurement) -> str:
    """From today's model to the planned one, by weights and FLOPs of a step."""
    planned = f"{plan.planned.description}: {_size(plan.planned.model)}"
    if plan.today is None:
        return planned
    per_step = [step_flops(t).model * t.tokens_per_step / t.sequence_length for t in (plan.planned, plan.today)]
    times = format_figure(per_step[0] / per_step[1], 3)
    return (
        f"from {plan.today.description} ({_size(plan.today.model)}) to {planned}; {times} times the FLOPs of a step"
    )


def _size(model: object) -> str:
    found = weights(model)  # type: ignore[arg-type]
    return f"{found.total / 1e9:.3g} billion weights, {found.active / 1e9:.3g} of them in a token's products"


def arrival(spare: Figure) -> str:
    """Whether what is ordered now is there in time."""
    assert spare.value is not None
    low = spare.value if spare.low is None else spare.low
    high = spare.value if spare.high is None else spare.high
    if low >= 0:
        return f"Ordered now it arrives {with_interval(spare)} before it is needed."
    if high < 0:
        late = format_figure(-spare.value, 3)
        return f"Ordered now it arrives {late} months too late."
    return f"Ordered now it may arrive too late: {with_interval(spare)} to spare."
