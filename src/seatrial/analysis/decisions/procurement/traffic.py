"""What one accelerator sends in a step: bytes of the experts' all-to-all and of the collectives, by where they go.

Ranks are numbered tensor first, then those that share experts, then the other data-parallel ones, pipeline stages
last, one after another over the nodes; a domain is the ranks that reach each other without the network. A group
that is larger than a domain takes as few domains as hold it, equal shares of each: for 128 ranks two racks of 72
with 64 in each. Bytes are one way, of the accelerator that sends most, of a whole step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from seatrial.analysis.decisions.procurement.shapes import weights
from seatrial.config.procurement import Layout, Training
from seatrial.measure.ceilings import BUS_FACTORS, across_bound
from seatrial.measure.ceilings.factors import inside_bound

BACKWARD_BYTES = 2.0
"""Of an element of the gradients that the backward pass sends to and from the experts: bfloat16."""
ACTIVATION_BYTES = 2.0
"""Of an element between the ranks of a layer and between pipeline stages: bfloat16."""
WEIGHT_BYTES = 2.0
REDUCTIONS = 4
"""Of a layer shared by a tensor-parallel group: two in the forward pass, two in the backward pass
(Megatron-LM, arXiv 1909.08053)."""


@dataclass(frozen=True)
class Exchange:
    """The experts' all-to-all of a step in a group of `ranks`."""

    ranks: int
    inside: float
    """Bytes to ranks of the same domain."""
    across: float
    """Bytes to other domains."""
    to_half: float
    """Bytes to the other half of the group."""
    messages: float
    """All-to-alls of a step."""

    @property
    def wire(self) -> float:
        """Bytes that leave the rank; an upper bound where the group has not as many ranks in every domain."""
        return self.inside + self.across


@dataclass(frozen=True)
class Collective:
    """One kind of collective of a step: `size` bytes as nccl-tests counts them, over all `messages` together."""

    operation: str
    size: float
    ranks: int
    per_domain: int
    """Ranks of the group in one domain."""
    messages: float

    @property
    def shares(self) -> tuple[int, ...]:
        """Ranks of the group in each domain that it reaches over."""
        return shares(self.ranks, self.per_domain)

    @property
    def groups(self) -> int:
        """Domains that the group reaches over."""
        return len(self.shares)

    @property
    def bus_bytes(self) -> float:
        """Bytes over bus bandwidth are seconds."""
        return self.size * BUS_FACTORS[self.operation](self.ranks)

    @property
    def across(self) -> float:
        """Bytes that each of the group's accelerators sends to other domains, done hierarchically."""
        if self.groups == 1:
            return 0.0
        return self.bus_bytes / self._network_factor

    @property
    def _network_factor(self) -> float:
        return across_bound(self.operation, 1.0, self.shares)

    @property
    def factors(self) -> tuple[float | None, float | None]:
        """Bus bandwidth over the network's rate of an accelerator, and over the links' inside; None: not used."""
        if self.groups == 1:
            return None, inside_bound(self.operation, 1.0, self.ranks, self.ranks)
        most = max(self.shares)
        inside = inside_bound(self.operation, 1.0, self.ranks, most) if most > 1 else None
        return self._network_factor, inside


@dataclass(frozen=True)
class Traffic:
    """What an accelerator sends in a step, and what crosses the middle of the cluster."""

    exchange: Exchange | None
    behind: tuple[Collective, ...]
    """Collectives that can run behind the products: gradients, weights, activations between pipeline stages."""
    between: tuple[Collective, ...]
    """Collectives that products wait for: those of tensor parallelism."""
    crossing: float
    """Bytes one way from one half of the accelerators to the other, all together."""
    experts_crossing: float
    """Of these the experts' all-to-all."""

    @property
    def across(self) -> float:
        """Bytes that one accelerator sends over the network."""
        own = self.exchange.across if self.exchange is not None else 0.0
        return own + sum(one.across for one in (*self.behind, *self.between))


def traffic(training: Training, accelerators: int, domain: int) -> Traffic:
    """The traffic of a step of `training` on `accelerators`, `domain` of which share the fast fabric."""
    layout = training.layout
    behind = _data_parallel(training, accelerators, domain) + _stages(training, accelerators, domain)
    found = exchange(training, accelerators, domain) if layout.experts > 1 else None
    of_experts = 0.0 if found is None else _experts_crossing(training, accelerators, found)
    crossing = of_experts + _collectives_crossing(training, accelerators, behind)
    return Traffic(found, behind, _tensor_parallel(training, accelerators, domain), crossing, of_experts)


def tokens_of_rank(training: Training, accelerators: int) -> float:
    """Tokens that one accelerator sends to the experts in a step: a tensor-parallel group shares its tokens."""
    return training.tokens_per_step * training.layout.pipeline / accelerators


def holders(training: Training) -> int:
    """Ranks among which the weights of a layer's experts are shared: more ranks than experts hold copies."""
    experts = training.model.experts
    return training.layout.experts if experts is None else min(training.layout.experts, experts.experts)


def volume(tokens: float, top_k: int, width: int, element_bytes: float) -> float:
    """Bytes of the rows of all choices of `tokens`, the rank's own among them: T k h b."""
    return tokens * top_k * width * element_bytes


def shares(ranks: int, domain: int) -> tuple[int, ...]:
    """The ranks that a group of `ranks` has in each of the fewest domains that hold it, largest first."""
    count = math.ceil(ranks / domain)
    each, more = divmod(ranks, count)
    return (each + 1,) * more + (each,) * (count - more)


def remote_nodes(sizes: Sequence[int], experts: int, top_k: int, most: int | None = None) -> float:
    """Other nodes than its own that a token's uniform choices reach, of nodes with `sizes` ranks of the group.

    A node with e of E experts is reached with 1 - C(E - e, k) / C(E, k); of M equal ones M times that are reached
    in all, `most` at most, of which its own is one in every M. Of a token on the node with the fewest ranks.
    """
    ranks = sum(sizes)
    chances = [1 - _missed(experts, experts * size / ranks, top_k) for size in sizes]
    limit = 1.0 if most is None else min(1.0, most / sum(chances))
    return limit * (sum(chances) - min(chances))


def _missed(experts: int, held: float, top_k: int) -> float:
    """C(E - e, k) / C(E, k), e need not be whole: that none of k different choices of E is among e."""
    return math.prod(max(0.0, experts - held - i) / (experts - i) for i in range(top_k))


def exchange(training: Training, accelerators: int, domain: int, ranks: int | None = None) -> Exchange:
    """The all-to-all of a step over `ranks` (those of the layout where None) that share the experts of a layer.

    Dispatch and combine forward, both again backward in bfloat16, and forward again where layers are recomputed.
    Where ranks outnumber experts each expert has copies, and a row goes to any one of them.
    """
    layout, experts = training.layout, training.model.experts
    assert experts is not None  # Training refuses expert parallelism without experts
    n = layout.experts if ranks is None else ranks
    forward = layout.dispatch_bytes + layout.combine_bytes
    passes = forward * (2 if layout.recompute == "full" else 1) + 2 * BACKWARD_BYTES
    layers = training.model.expert_layers / layout.pipeline
    tokens, width = tokens_of_rank(training, accelerators), training.model.hidden_size
    rows = layers * volume(tokens, experts.top_k, width, passes)
    messages = layers * layout.microbatches * (6 if layout.recompute == "full" else 4)
    if layout.placement == "scattered":
        away = rows * (n - 1) / n
        across = away * (accelerators - domain) / max(accelerators - 1, 1)
        return Exchange(n, away - across, across, rows / 2, messages)
    # of a tensor-parallel group one rank is in each of as many groups that share experts
    placed = shares(n, max(1, domain // layout.tensor))
    least, most = min(placed), max(placed)
    if layout.send_once == "node" and len(placed) > 1:
        hops = remote_nodes(placed, experts.experts, experts.top_k, layout.most_nodes)
        across = layers * volume(tokens, 1, width, passes) * hops
        half = across * len(placed) / 2 / (len(placed) - 1)
        return Exchange(n, rows * (most - 1) / most, across, half, messages)
    return Exchange(n, rows * (most - 1) / n, rows * (n - least) / n, rows / 2, messages)


def shared_by(training: Training, ranks: int) -> Training:
    """The training with its experts shared by `ranks`."""
    layout = training.layout.model_copy(update={"experts": ranks})
    return training.model_copy(update={"layout": layout})


def _data_parallel(training: Training, accelerators: int, domain: int) -> tuple[Collective, ...]:
    """Gradients to all, or weights gathered for both passes and gradients scattered: of experts apart."""
    layout, found = training.layout, weights(training.model)
    stride = layout.tensor
    ranks = accelerators // (layout.tensor * layout.pipeline)
    shards = layout.tensor * layout.pipeline
    parts = [(found.shared + found.head + found.embedding, ranks, stride)]
    if found.routed:
        shared_by = holders(training)
        parts.append((found.routed // shared_by, ranks // shared_by, stride * shared_by))
    layers = training.model.layers / layout.pipeline
    made: list[Collective] = []
    for count, n, apart in parts:
        if n < 2:
            continue
        near = max(1, min(n, domain // apart))
        each = count / shards
        if layout.data_parallel == "replicated":
            made.append(Collective("all_reduce", each * layout.gradient_bytes, n, near, layers))
            continue
        made.append(Collective("all_gather", 2 * each * WEIGHT_BYTES, n, near, 2 * layers))
        made.append(Collective("reduce_scatter", each * layout.gradient_bytes, n, near, layers))
    return tuple(made)


def _tensor_parallel(training: Training, accelerators: int, domain: int) -> tuple[Collective, ...]:
    layout, model = training.layout, training.model
    if layout.tensor < 2:
        return ()
    layers = model.layers / layout.pipeline
    count = layers * REDUCTIONS * (1.5 if layout.recompute == "full" else 1.0)
    size = _activations(training, accelerators) * layout.tensor * count
    near = min(layout.tensor, domain)
    return (Collective("all_reduce", size, layout.tensor, near, count * layout.microbatches),)


def _stages(training: Training, accelerators: int, domain: int) -> tuple[Collective, ...]:
    """Activations to the next pipeline stage and their gradients to the one before: a pair of ranks each."""
    layout = training.layout
    if layout.pipeline < 2:
        return ()
    near = 2 if accelerators // layout.pipeline < domain else 1
    size = 2 * _activations(training, accelerators)
    return (Collective("send_recv", size, 2, near, 2 * layout.microbatches),)


def _activations(training: Training, accelerators: int) -> float:
    """Bytes of the activations between two layers of a rank's tokens in a step."""
    return tokens_of_rank(training, accelerators) * training.model.hidden_size * ACTIVATION_BYTES


def _experts_crossing(training: Training, accelerators: int, found: Exchange) -> float:
    """Bytes one way over the middle, of the groups of ranks that share experts and lie across it.

    Contiguous groups of n ranks stand in blocks of n times the tensor-parallel ranks; where the number of blocks is
    odd one lies across the middle, with all of its groups. Of scattered groups every one does.
    """
    layout: Layout = training.layout
    groups = accelerators // found.ranks
    lie_across = groups if layout.placement == "scattered" else groups // layout.tensor % 2 * layout.tensor
    return lie_across * found.ranks / 2 * found.to_half


def _collectives_crossing(training: Training, accelerators: int, behind: tuple[Collective, ...]) -> float:
    """Bytes one way over the middle, of data-parallel ranks and of pipeline stages.

    A ring crosses the middle once in each direction, with its bus bytes. With an even number of pipeline stages
    both halves hold whole stages.
    """
    layout: Layout = training.layout
    crossing = 0.0
    for one in behind:
        if one.operation == "send_recv":
            crossing += accelerators / layout.pipeline * one.size / 2
        elif layout.pipeline % 2:
            crossing += accelerators / one.ranks * one.bus_bytes
    return crossing
