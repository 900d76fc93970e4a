"""The dispatcher of DeepEP, where it is installed: a token goes once to each rank that holds one of its experts.

Its normal (high-throughput) kernels through `deep_ep.Buffer`, as documented in DeepEP's docs/legacy.md. Its combine
adds up on the way, so that what is timed holds more work than an all-to-all does. Rates follow the rows it sends.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

from seatrial.config.probe.moe_alltoall import MoeAlltoall
from seatrial.errors import MeasurementFailed, Unsupported
from seatrial.measure.context import RankContext
from seatrial.measure.moe_alltoall.rows import (
    RANK_DIGITS,
    TOKEN_DIGITS,
    RowKind,
    pattern,
    pieces,
    spelt,
    weights,
)
from seatrial.measure.moe_alltoall.volumes import distinct_groups

if TYPE_CHECKING:
    import numpy as np
    import torch

MOST_SUMMED = 32
"""Copies of a token whose sum is exact in bfloat16: values up to 7, and 8 bits of mantissa."""


def load(ctx: RankContext, workload: MoeAlltoall) -> ModuleType:
    """The module deep_ep. Raises Unsupported where it is not installed, or cannot do what the case asks."""
    if ctx.device.type != "cuda":
        raise Unsupported("dispatcher deepep runs on accelerators only; take dispatcher torch on a CPU")
    if workload.dispatch_dtype == "float32" or workload.combine_dtype == "float32":
        raise Unsupported("dispatcher deepep sends bfloat16 or fp8 and combines bfloat16; it has no float32")
    if workload.top_k > MOST_SUMMED:
        raise Unsupported(f"dispatcher deepep is checked up to top_k {MOST_SUMMED}")
    return imported()


def imported() -> ModuleType:
    """The module deep_ep. Raises Unsupported where it cannot be imported."""
    try:
        return importlib.import_module("deep_ep")
    except ImportError as problem:
        raise Unsupported(
            "dispatcher deepep needs the package deep_ep (github.com/deepseek-ai/DeepEP), which cannot be imported "
            f"here: {problem}; take dispatcher torch"
        ) from problem


class DeepEpDispatcher:
    """DeepEP's normal kernels; `exchange_counts` is its layout; ranks tell each other counts in `dispatch`."""

    def __init__(self, ctx: RankContext, workload: MoeAlltoall, module: ModuleType | None = None) -> None:
        """`module`: deep_ep, where it is loaded already. Raises Unsupported, as `load`."""
        self._module = module or load(ctx, workload)
        self.kind = RowKind.of(workload)
        self.rank, self.ranks, self.device = ctx.rank, ctx.world_size, ctx.device
        self.experts, self.local = workload.experts, workload.experts // ctx.world_size
        self._buffer = _buffer(self._module, workload.hidden_size)

    def sent(self, choices: np.ndarray) -> np.ndarray:
        import numpy as np

        reached = np.zeros((len(choices), self.ranks), dtype=np.int64)
        token, choice = np.nonzero(choices >= 0)
        reached[token, choices[token, choice] // self.local] = 1
        return np.asarray(reached.sum(axis=0))

    def prepare(self, choices: np.ndarray) -> None:
        import torch

        chosen = torch.as_tensor(choices, device=self.device)
        self._chosen = chosen.to(getattr(self._module, "topk_idx_t", torch.int64))
        self._weights = weights(chosen.long().clamp(min=0))
        content = self.kind.token_bytes(self.rank, len(chosen), self.device)
        scales = self.kind.scale_bytes
        elements = content[:, scales:].view(self.kind.element_type("dispatch")).contiguous()
        self._tokens: Any = (elements, content[:, :scales].view(torch.float32).contiguous()) if scales else elements
        self._copies = torch.as_tensor(distinct_groups(choices, self.local), device=self.device)

    def exchange_counts(self) -> None:
        by_rank, by_node, by_expert, in_rank, _ = self._buffer.get_dispatch_layout(self._chosen, self.experts)
        self._layout = {
            "num_tokens_per_rank": by_rank,
            "num_tokens_per_rdma_rank": by_node,
            "is_token_in_rank": in_rank,
            "num_tokens_per_expert": by_expert,
        }

    def make_room(self) -> None:
        """Nothing: DeepEP has buffers of its own."""

    def dispatch(self) -> None:
        self._here, self._here_chosen, _, self._by_expert, self._handle, _ = self._buffer.dispatch(
            self._tokens, topk_idx=self._chosen, topk_weights=self._weights, **self._layout
        )

    def receive(self) -> None:
        import torch

        rows = self._here[0] if isinstance(self._here, tuple) else self._here
        wrong, self._outputs = 0, torch.empty(rows.shape, dtype=torch.bfloat16, device=self.device)
        for part in pieces(len(rows), self.kind.hidden):
            values = self._values(part)
            ranks, tokens = spelt(values[:, :RANK_DIGITS]), spelt(values[:, RANK_DIGITS:][:, :TOKEN_DIGITS])
            wrong += int((values != pattern(ranks, tokens, self.kind.hidden)).any(dim=1).sum())
            self._outputs[part] = values.to(torch.bfloat16)
        chosen_here = self._here_chosen >= 0
        self._shares = chosen_here.float() / chosen_here.sum(dim=1, keepdim=True)
        here = self._here_chosen[chosen_here].long()
        counts = torch.bincount(here, minlength=self.local).tolist()
        if wrong or counts != list(self._by_expert):
            raise MeasurementFailed(
                "wrong_result",
                f"dispatch: {wrong} of {len(rows)} rows are nobody's; experts got {counts}, not {self._by_expert}",
            )

    def combine(self) -> None:
        self._back, _, _ = self._buffer.combine(self._outputs, self._handle)

    def finish(self) -> None:
        import torch

        wrong = 0
        for part in pieces(len(self._back), self.kind.hidden):
            tokens = torch.arange(part.start, part.stop, device=self.device)
            sent = pattern(torch.full_like(tokens, self.rank), tokens, self.kind.hidden)
            wrong += int((self._back[part].float() != sent * self._copies[part, None]).any(dim=1).sum())
        if wrong or len(self._back) != len(self._copies):
            raise MeasurementFailed(
                "wrong_result", f"combine: the sums of {wrong} of {len(self._copies)} tokens are wrong"
            )

    def layer_dispatch(self) -> None:
        self.exchange_counts()
        self.dispatch()

    def layer_combine(self) -> None:
        """The weighted sum of this rank's experts for each row, which DeepEP leaves to its user, and combine."""
        import torch

        sums = torch.zeros(self._outputs.shape, device=self.device)
        row, choice = (self._here_chosen >= 0).nonzero(as_tuple=True)
        # shares of a row's experts here are 1 / their number: the sum is the row's values again, and can be checked
        share = self._shares[row, choice][:, None]
        for part in pieces(len(row), self.kind.hidden):
            sums.index_add_(0, row[part], self._outputs[row[part]].float() * share[part])
        self._back, _, _ = self._buffer.combine(sums.to(torch.bfloat16), self._handle)

    def finish_layer(self) -> None:
        self.finish()

    def _values(self, part: slice) -> torch.Tensor:
        import torch

        if not isinstance(self._here, tuple):
            found: torch.Tensor = self._here[part].float()
            return found
        elements, scales = self._here
        spread = scales[part].repeat_interleave(elements.shape[1] // scales.shape[1], dim=1)
        return torch.as_tensor(elements[part].float() * spread)


def _buffer(module: ModuleType, hidden: int) -> Any:
    """A buffer large enough for every rank's tokens, by DeepEP's own hints.

    Raises Unsupported for a number of ranks that it has no settings for.
    """
    import torch.distributed as dist

    group = dist.group.WORLD
    size = dist.get_world_size()
    try:
        settings = (module.Buffer.get_dispatch_config(size), module.Buffer.get_combine_config(size))
    except AssertionError as problem:
        raise Unsupported(f"DeepEP has no settings for {size} ranks: {problem}") from problem
    row = hidden * 2  # its hints count bfloat16, also for fp8
    inside = max(of.get_nvl_buffer_size_hint(row, size) for of in settings)
    across = max(of.get_rdma_buffer_size_hint(row, size) for of in settings)
    return module.Buffer(group, inside, across)
