"""What mixes tokens besides full attention: a sliding window, and a gated linear recurrence."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from seatrial.train.decoder import CausalAttention

GATE_RANK = 16
GATE_TEMPERATURE = 16.0
"""Yang et al. 2023 (arXiv 2312.06635), section 4.4: the decay is sigmoid(...)^(1/16), its projection of rank 16."""
LEAST_LOG_DECAY = -5.0
"""A decay below exp(-5) in one step forgets everything already; the bound keeps exp(16 x 5) finite in float32."""
BLOCKED_FROM = 4
"""Sequences of at least this many windows are computed in blocks; below, one mask costs less than the blocks."""


class SlidingWindowAttention(CausalAttention):
    """Softmax attention over the last `window` positions, the own among them."""

    def __init__(self, hidden: int, heads: int, window: int, positions: nn.Module | None = None) -> None:
        super().__init__(hidden, heads, positions=positions)
        self.window = window

    def attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Attention of queries [batch, heads, length, head size] over keys and values within the window."""
        return window_attention(q, k, v, self.window)


def window_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, window: int) -> torch.Tensor:
    """Causal attention in which position i sees i - window + 1 ... i; all [batch, heads, length, head size]."""
    length = q.shape[-2]
    if window >= length:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    block = max(window, 16)
    if length < BLOCKED_FROM * block:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=_band(length, length, window, q.device))
    return _blocked(q, k, v, window, block)


def _blocked(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, window: int, block: int) -> torch.Tensor:
    """In blocks of at least the window: a block's queries see no key but its own and those of the block before.

    It costs length x 2 block products instead of length squared.
    """
    length = q.shape[-2]
    pad = -length % block
    if pad:
        q, k, v = (F.pad(x, (0, 0, 0, pad)) for x in (q, k, v))
    q = q.unflatten(-2, (-1, block))
    k, v = (_with_block_before(x.unflatten(-2, (-1, block))) for x in (k, v))
    mask = _band(block, 2 * block, window, q.device)
    # The first block has none before it, only the zeros that stand there.
    first = mask & (torch.arange(2 * block, device=q.device) >= block)
    masks = torch.cat((first[None], mask.expand(q.shape[-3] - 1, -1, -1)))
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=masks)
    return mixed.flatten(-3, -2)[..., :length, :]


def _with_block_before(x: torch.Tensor) -> torch.Tensor:
    """[..., blocks, block, d] to [..., blocks, 2 block, d]; before the first stand zeros."""
    before = F.pad(x, (0, 0, 0, 0, 1, 0))[..., :-1, :, :]
    return torch.cat((before, x), dim=-2)


def _band(queries: int, keys: int, window: int, device: torch.device) -> torch.Tensor:
    """[queries, keys]: what the last `queries` of `keys` positions see."""
    query = torch.arange(keys - queries, keys, device=device)[:, None]
    back = query - torch.arange(keys, device=device)
    return (back >= 0) & (back < window)


class GatedLinearAttention(nn.Module):
    """Gated linear attention (Yang et al. 2023, arXiv 2312.06635), in its chunked form.

    S_t = diag(a_t) S_(t-1) + k_t v_t^T and o_t = S_t^T q_t, with a decay a_t of its own for every key channel that
    depends on the token. Keys and queries are half as wide as values. The output is normalised by head and gated.
    """

    def __init__(self, hidden: int, heads: int, chunk: int) -> None:
        super().__init__()
        self.heads, self.chunk = heads, chunk
        keys = hidden // 2
        self.q_proj = nn.Linear(hidden, keys, bias=False)
        self.k_proj = nn.Linear(hidden, keys, bias=False)
        self.v_proj = nn.Linear(hidden, hidden, bias=False)
        self.decay_down = nn.Linear(hidden, GATE_RANK, bias=False)
        self.decay_up = nn.Linear(GATE_RANK, keys, bias=True)
        self.gate_proj = nn.Linear(hidden, hidden, bias=False)
        self.norm = nn.RMSNorm(hidden // heads, eps=1e-5)
        self.o_proj = nn.Linear(hidden, hidden, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, length, hidden] to the same."""
        decay = F.logsigmoid(self.decay_up(self.decay_down(x)).float()) / GATE_TEMPERATURE
        q, k, v, decay = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.q_proj(x), self.k_proj(x), self.v_proj(x), decay)
        )
        mixed = chunked(q * q.shape[-1] ** -0.5, k, v, decay, self.chunk)
        mixed = self.norm(mixed.transpose(1, 2).to(x.dtype)).flatten(2)
        return self.o_proj(mixed * F.silu(self.gate_proj(x)))


def recurrent(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, log_decay: torch.Tensor) -> torch.Tensor:
    """The recurrence as it is defined, one position after the other: what `chunked` must equal.

    q, k and log_decay [batch, heads, length, d_k], v [batch, heads, length, d_v]; [batch, heads, length, d_v].
    """
    decay = log_decay.clamp(min=LEAST_LOG_DECAY).exp()
    state = q.new_zeros(*q.shape[:2], q.shape[-1], v.shape[-1])
    outputs = []
    for t in range(q.shape[-2]):
        state = decay[:, :, t, :, None] * state + k[:, :, t, :, None] * v[:, :, t, None, :]
        outputs.append((q[:, :, t, None, :] @ state).squeeze(-2))
    return torch.stack(outputs, dim=-2)


def chunked(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, log_decay: torch.Tensor, chunk: int) -> torch.Tensor:
    """`recurrent`, a chunk of positions at once (ibid., 4.1): within a chunk as attention, between them by state.

    In float32, whatever the inputs: the decays of a chunk span up to exp(80).
    """
    with torch.autocast(q.device.type, enabled=False):
        length = q.shape[-2]
        q, k, v, log_decay = (_in_chunks(x.float(), chunk) for x in (q, k, v, log_decay))
        total = log_decay.clamp(min=LEAST_LOG_DECAY).cumsum(dim=-2)
        last = total[..., -1:, :]
        from_start, to_end = q * total.exp(), k * (last - total).exp()
        scores = (from_start @ (k * (-total).exp()).transpose(-1, -2)).tril()
        within = scores @ v
        written = to_end.transpose(-1, -2) @ v
        kept = last.exp().transpose(-1, -2)
        state = torch.zeros_like(written[:, :, 0])
        states = []
        for index in range(written.shape[2]):
            states.append(state)
            state = kept[:, :, index] * state + written[:, :, index]
        mixed = within + from_start @ torch.stack(states, dim=2)
        return mixed.flatten(2, 3)[..., :length, :]


def _in_chunks(x: torch.Tensor, chunk: int) -> torch.Tensor:
    """[batch, heads, length, d] to [batch, heads, chunks, chunk, d]; zeros at the end neither decay nor write."""
    return F.pad(x, (0, 0, 0, -x.shape[-2] % chunk)).unflatten(-2, (-1, chunk))
