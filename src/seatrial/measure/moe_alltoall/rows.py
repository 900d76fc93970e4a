"""Rows: what a token's data are, so that whoever receives a row can tell whose it is and whether it is right.

All values are small whole numbers, exact in every dtype, and so are their weighted sums in float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from seatrial.config.probe.moe_alltoall import SCALE_BLOCK, MoeAlltoall
from seatrial.errors import MeasurementFailed
from seatrial.measure.moe_alltoall.volumes import CHOICE_BYTES, row_bytes

if TYPE_CHECKING:
    import torch

RANK_DIGITS, TOKEN_DIGITS = 5, 7
"""The first elements spell rank and token in base 8."""
BASE = 8
SPREAD = 13
"""The other elements are -6 ... 6, by rank, token and column."""
FP8_SCALE = 2.0
EXPERT_STEPS, WEIGHT_STEPS = 5, 3
AT_ONCE = 1 << 22
"""Elements that a check looks at in one piece."""


@dataclass(frozen=True)
class RowKind:
    """How the rows of a workload are laid out: number and weight of the choice, scales, elements."""

    hidden: int
    dispatch_dtype: str
    combine_dtype: str
    scale_bytes: int
    width: int
    """Bytes of a row of the dispatch."""

    @classmethod
    def of(cls, workload: MoeAlltoall) -> RowKind:
        scales = workload.hidden_size // SCALE_BLOCK * 4 if workload.dispatch_dtype == "fp8" else 0
        width = row_bytes(workload, "dispatch").row
        return cls(workload.hidden_size, workload.dispatch_dtype, workload.combine_dtype, scales, width)

    def element_type(self, direction: str) -> torch.dtype:
        """The torch dtype of the elements."""
        import torch

        name = self.dispatch_dtype if direction == "dispatch" else self.combine_dtype
        found: torch.dtype = getattr(torch, "float8_e4m3fn" if name == "fp8" else name)
        return found

    def token_bytes(self, rank: int, tokens: int, device: torch.device) -> torch.Tensor:
        """[tokens, scales and elements] as bytes: what `rank` sends of each of its tokens."""
        import torch

        numbers = torch.arange(tokens, device=device)
        found = torch.empty((tokens, self.width - CHOICE_BYTES), dtype=torch.uint8, device=device)
        for part in pieces(tokens, self.hidden):
            values = pattern(torch.full_like(numbers[part], rank), numbers[part], self.hidden)
            if self.scale_bytes:
                found[part, : self.scale_bytes].view(torch.float32).fill_(FP8_SCALE)
                values = values / FP8_SCALE
            found[part, self.scale_bytes :].view(self.element_type("dispatch")).copy_(values)
        return found

    def packed(
        self, tokens: torch.Tensor, of_row: torch.Tensor, experts: torch.Tensor, rows: torch.Tensor
    ) -> torch.Tensor:
        """`rows` [rows, width], filled: row i holds expert experts[i], its weight and the bytes of token of_row[i].

        `tokens` as `token_bytes` gives them; the weight says by how much the row counts in the combined sum.
        """
        import torch

        rows[:, :4].view(torch.int32).copy_(experts[:, None])
        rows[:, 4:CHOICE_BYTES].view(torch.float32).copy_(weights(experts)[:, None])
        rows[:, CHOICE_BYTES:] = tokens[of_row]
        return rows

    def choice(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Of received rows the experts (int64) and the weights (float32)."""
        import torch

        return rows[:, :4].view(torch.int32)[:, 0].long(), rows[:, 4:CHOICE_BYTES].view(torch.float32)[:, 0]

    def values(self, rows: torch.Tensor) -> torch.Tensor:
        """Of received rows the elements in float32, scaled."""
        import torch

        elements = rows[:, CHOICE_BYTES + self.scale_bytes :].view(self.element_type("dispatch")).float()
        if not self.scale_bytes:
            return elements
        scales = rows[:, CHOICE_BYTES : CHOICE_BYTES + self.scale_bytes].view(torch.float32)
        return (elements.unflatten(1, (-1, SCALE_BLOCK)) * scales[:, :, None]).flatten(1)


def pattern(ranks: torch.Tensor, tokens: torch.Tensor, hidden: int) -> torch.Tensor:
    """[rows, hidden] float32: what row i holds where it is token tokens[i] of rank ranks[i]."""
    import torch

    column = torch.arange(hidden, device=ranks.device)
    mixed = ((3 * ranks + 5 * tokens) % SPREAD)[:, None] + column % SPREAD
    values = (mixed % SPREAD - SPREAD // 2).float()
    values[:, :RANK_DIGITS] = _digits(ranks, RANK_DIGITS)
    values[:, RANK_DIGITS : RANK_DIGITS + TOKEN_DIGITS] = _digits(tokens, TOKEN_DIGITS)
    return values


def weights(experts: torch.Tensor) -> torch.Tensor:
    """The weight of a choice, 1 to 3 by expert: float32."""
    return (experts % WEIGHT_STEPS + 1).float()


def expert_output(values: torch.Tensor, experts: torch.Tensor) -> torch.Tensor:
    """What expert experts[i] makes of the row values[i]: 0 to 4 more, by its number."""
    return values + (experts % EXPERT_STEPS)[:, None].float()


def check_dispatched(kind: RowKind, rows: torch.Tensor, senders: torch.Tensor, mine: range) -> None:
    """Every received row is one of the sender's tokens, whole, for one of `mine`, this rank's experts, and no row
    comes twice. `senders` [rows] by the counts. Raises MeasurementFailed (wrong_result)."""
    import torch

    experts, by_row = kind.choice(rows)
    wrong = (experts < mine.start) | (experts >= mine.stop) | (by_row != weights(experts))
    seen = torch.empty_like(experts)
    for part in pieces(len(rows), kind.hidden):
        values = kind.values(rows[part])
        tokens = spelt(values[:, RANK_DIGITS : RANK_DIGITS + TOKEN_DIGITS])
        wrong[part] |= (values != pattern(senders[part], tokens, kind.hidden)).any(dim=1)
        seen[part] = (senders[part] << 32) + tokens * len(mine) + (experts[part] - mine.start)
    twice = len(seen) - len(seen.unique())
    if bool(wrong.any()) or twice:
        raise MeasurementFailed(
            "wrong_result",
            f"dispatch: {int(wrong.sum())} of {len(rows)} rows are not what their sender sent, {twice} came twice",
        )


def check_combined(
    kind: RowKind, rank: int, back: torch.Tensor, of_row: torch.Tensor, experts: torch.Tensor
) -> None:
    """The weighted sum of the rows that came `back` for each token is that of its experts' outputs, exactly.

    Row i of `back` [rows, hidden] belongs to token of_row[i] and expert experts[i], as they were sent. Raises
    MeasurementFailed (wrong_result).
    """
    import torch

    order = of_row.argsort(stable=True)
    per_token = torch.bincount(of_row)
    wrong, first = 0, 0
    at_once = max(1, AT_ONCE // (kind.hidden * max(1, int(per_token.max()))))
    for start in range(0, len(per_token), at_once):
        counts = per_token[start : start + at_once]
        rows = order[first : first + int(counts.sum())]
        first += len(rows)
        local, share = of_row[rows] - start, weights(experts[rows])[:, None]
        sums = torch.zeros((len(counts), kind.hidden), device=back.device)
        sums.index_add_(0, local, back[rows].float() * share)
        tokens = torch.arange(start, start + len(counts), device=back.device)
        sent = pattern(torch.full_like(tokens, rank), tokens, kind.hidden)
        expected = torch.zeros_like(sums)
        expected.index_add_(0, local, expert_output(sent[local], experts[rows]) * share)
        wrong += int((sums != expected).any(dim=1).sum())
    if wrong:
        raise MeasurementFailed(
            "wrong_result", f"combine: the weighted sums of {wrong} of {len(per_token)} tokens are wrong"
        )


def check_sums(kind: RowKind, rank: int, sums: torch.Tensor, of_row: torch.Tensor, experts: torch.Tensor) -> None:
    """`sums` [tokens, hidden] are those of the experts' weighted outputs, exactly; rows as in `check_combined`.

    An output is the token's values and something by expert, so that the sum follows from two numbers of a token.
    Raises MeasurementFailed (wrong_result).
    """
    import torch

    share = weights(experts)
    times, more = torch.zeros((2, len(sums), 1), device=sums.device)
    times.index_add_(0, of_row, share[:, None])
    more.index_add_(0, of_row, (share * (experts % EXPERT_STEPS))[:, None])
    wrong = 0
    for part in pieces(len(sums), kind.hidden):
        tokens = torch.arange(part.start, part.stop, device=sums.device)
        sent = pattern(torch.full_like(tokens, rank), tokens, kind.hidden)
        wrong += int((sums[part] != sent * times[part] + more[part]).any(dim=1).sum())
    if wrong:
        raise MeasurementFailed(
            "wrong_result", f"combine: the layer's sums of {wrong} of {len(sums)} tokens are wrong"
        )


def _digits(numbers: torch.Tensor, count: int) -> torch.Tensor:
    import torch

    powers = BASE ** torch.arange(count, device=numbers.device)
    return (numbers[:, None] // powers % BASE).float()


def spelt(digits: torch.Tensor) -> torch.Tensor:
    """The whole number that digits [rows, count] spell; what is no digit makes one that the check refuses."""
    import torch

    powers = BASE ** torch.arange(digits.shape[1], device=digits.device)
    return (digits.nan_to_num().clamp(0, BASE - 1).long() * powers).sum(dim=1)


def pieces(rows: int, hidden: int) -> list[slice]:
    """Slices of `rows` rows that hold at most AT_ONCE elements each."""
    at_once = max(1, AT_ONCE // hidden)
    return [slice(first, min(first + at_once, rows)) for first in range(0, rows, at_once)]
