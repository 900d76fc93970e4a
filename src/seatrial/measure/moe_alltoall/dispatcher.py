"""Dispatchers: how tokens get to their experts and back. An iteration is prepared, then each part is timed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from seatrial.config.probe.moe_alltoall import MoeAlltoall
from seatrial.measure.context import RankContext
from seatrial.measure.moe_alltoall import rows

if TYPE_CHECKING:
    import numpy as np
    import torch


class Dispatcher(Protocol):
    """One iteration: `prepare`, `exchange_counts`, `make_room`, `dispatch`, `receive`, `combine`, `finish`.

    Then the same from end to end: `layer_dispatch`, `receive`, `layer_combine`, `finish_layer`. `exchange_counts`,
    `dispatch`, `combine`, `layer_dispatch` and `layer_combine` are timed. `receive`, `finish` and `finish_layer`
    check what came and raise MeasurementFailed (wrong_result).
    """

    def sent(self, choices: np.ndarray) -> np.ndarray:
        """[ranks]: rows that this rank sends to each, itself included, for `choices` [tokens, top_k]."""

    def prepare(self, choices: np.ndarray) -> None:
        """Take the choices [tokens, top_k] of this rank's tokens."""

    def exchange_counts(self) -> None:
        """Tell every rank how much it will receive."""

    def make_room(self) -> None:
        """Memory for what will come, in place as in a training that goes on."""

    def dispatch(self) -> None:
        """Send the tokens."""

    def receive(self) -> None:
        """Check them, and do the experts' work."""

    def combine(self) -> None:
        """Send the experts' outputs back."""

    def finish(self) -> None:
        """Check them."""

    def layer_dispatch(self) -> None:
        """All from the tokens and their choices to the rows on their experts' ranks."""

    def layer_combine(self) -> None:
        """All from the experts' outputs to a weighted sum for each token."""

    def finish_layer(self) -> None:
        """Check the sums."""


class TorchDispatcher:
    """all_to_all_single with a row for each choice: what Megatron's all-to-all dispatcher does, in one message.

    Rows lie by expert. The choice's number and weight and the scales travel in the row. `dispatch` and `combine`
    are the transfers alone; the layer's have the packing and the counts before, and the weighted sum after them.
    """

    def __init__(self, ctx: RankContext, workload: MoeAlltoall) -> None:
        self.kind = rows.RowKind.of(workload)
        self.rank, self.ranks, self.device = ctx.rank, ctx.world_size, ctx.device
        self.local = workload.experts // ctx.world_size
        self.experts_here = range(self.rank * self.local, (self.rank + 1) * self.local)
        self._tokens: torch.Tensor | None = None
        self._memory: dict[str, torch.Tensor] = {}

    def sent(self, choices: np.ndarray) -> np.ndarray:
        import numpy as np

        return np.bincount(choices[choices >= 0] // self.local, minlength=self.ranks)

    def prepare(self, choices: np.ndarray) -> None:
        import torch

        chosen = torch.as_tensor(choices, device=self.device).long()
        if self._tokens is None or len(self._tokens) != len(chosen):
            self._tokens = self.kind.token_bytes(self.rank, len(chosen), self.device)
        self._chosen = chosen
        self._permute()

    def _permute(self) -> None:
        """Pack a row for each choice, by expert."""
        import torch

        assert self._tokens is not None  # prepare made them
        taken = self._chosen.flatten()
        order = taken.argsort(stable=True)
        order = order[int((taken < 0).sum()) :]
        self._experts = taken[order]
        self._of_row = order // self._chosen.shape[1]
        memory = self._room("rows", len(order), self.kind.width, torch.uint8)
        self._rows = self.kind.packed(self._tokens, self._of_row, self._experts, memory)
        self._to = torch.bincount(self._experts // self.local, minlength=self.ranks)
        self._from = torch.empty_like(self._to)

    def exchange_counts(self) -> None:
        import torch
        import torch.distributed as dist

        dist.all_to_all_single(self._from, self._to)
        # the host needs them to make room: waiting for the device belongs to it
        self._leaving, self._coming = torch.stack((self._to, self._from)).tolist()

    def make_room(self) -> None:
        combined = self.kind.element_type("combine")
        self._here = self._room("here", sum(self._coming), self.kind.width, self._rows.dtype)
        self._outputs = self._room("outputs", sum(self._coming), self.kind.hidden, combined)
        self._back = self._room("back", sum(self._leaving), self.kind.hidden, combined)

    def dispatch(self) -> None:
        import torch.distributed as dist

        dist.all_to_all_single(self._here, self._rows, self._coming, self._leaving)

    def receive(self) -> None:
        import torch

        senders = torch.arange(self.ranks, device=self.device).repeat_interleave(self._from)
        rows.check_dispatched(self.kind, self._here, senders, self.experts_here)
        experts, _ = self.kind.choice(self._here)
        for part in rows.pieces(len(experts), self.kind.hidden):
            self._outputs[part] = rows.expert_output(self.kind.values(self._here[part]), experts[part]).to(
                self._outputs.dtype
            )

    def combine(self) -> None:
        import torch.distributed as dist

        dist.all_to_all_single(self._back, self._outputs, self._leaving, self._coming)

    def finish(self) -> None:
        rows.check_combined(self.kind, self.rank, self._back, self._of_row, self._experts)
        self._here.zero_()
        self._back.zero_()

    def layer_dispatch(self) -> None:
        self._permute()
        self.exchange_counts()
        self.make_room()
        self.dispatch()

    def layer_combine(self) -> None:
        import torch

        self._sums = self._room("sums", len(self._chosen), self.kind.hidden, torch.float32).zero_()
        self.combine()
        share = rows.weights(self._experts)[:, None]
        for part in rows.pieces(len(self._back), self.kind.hidden):
            self._sums.index_add_(0, self._of_row[part], self._back[part].float() * share[part])

    def finish_layer(self) -> None:
        rows.check_sums(self.kind, self.rank, self._sums, self._of_row, self._experts)
        self.finish()

    def _room(self, name: str, count: int, width: int, dtype: torch.dtype) -> torch.Tensor:
        """[count, width] of memory that stays: fresh memory would be paid for when it is first written."""
        import torch

        there = self._memory.get(name)
        if there is None or len(there) < count:
            there = self._memory[name] = torch.zeros((count + count // 8, width), dtype=dtype, device=self.device)
        return there[:count]
