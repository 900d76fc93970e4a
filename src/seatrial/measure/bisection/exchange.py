"""The timed operation: every rank of a matching sends to its peer and receives from it at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.config.probe.bisection import WORD_BYTES
from seatrial.errors import MeasurementFailed
from seatrial.measure.context import RankContext
from seatrial.measure.timing import start_together, time_iterations

if TYPE_CHECKING:
    import torch

APART, RANGE = 1_000_003, 1 << 30
"""How far the words of neighbouring ranks lie apart, and where that begins anew: no rank's message is another's."""
WORDS_AT_ONCE = 1 << 22
"""Words that are checked at a time, so that the check needs no third buffer."""
UNSENT = -1


class Mailbox:
    """A rank's two buffers: what it sends, words i + its offset, and what it receives.

    Both ends add 1 to the first and the last word of their message before every exchange, so that a message of
    the exchange before, or one that is not whole, is told from the one that is due.
    """

    def __init__(self, rank: int, size_bytes: int, device: torch.device) -> None:
        import torch

        words = size_bytes // WORD_BYTES
        self.rank = rank
        self.outgoing = torch.arange(words, dtype=torch.int32, device=device)
        self.outgoing += _offset(rank)
        self.incoming = torch.empty_like(self.outgoing)
        # on the device: an index from the host would be a copy that the host waits for
        self.ends = torch.tensor([0, words - 1], device=device)

    def clear(self) -> None:
        """Before a matching: nothing of the last one's messages is left."""
        self.incoming.fill_(UNSENT)

    def advance(self) -> None:
        """Before an exchange, on every rank, whether it sends or not: the next message is another one."""
        self.outgoing[self.ends] += 1

    def check_ends(self, peer: int) -> None:
        """Check the first and last word of what came last. Raises MeasurementFailed (wrong_result)."""
        self._check(self.incoming[self.ends], self.outgoing[self.ends], peer)

    def check(self, peer: int) -> None:
        """Check every word of what came last from `peer`. Raises MeasurementFailed (wrong_result)."""
        for begin in range(0, self.incoming.numel(), WORDS_AT_ONCE):
            chunk = slice(begin, begin + WORDS_AT_ONCE)
            self._check(self.incoming[chunk], self.outgoing[chunk], peer)

    def _check(self, came: torch.Tensor, sent: torch.Tensor, peer: int) -> None:
        expected = sent + (_offset(peer) - _offset(self.rank))  # int32 wraps on both sides alike
        wrong = int((came != expected).sum())
        if wrong:
            raise MeasurementFailed(
                "wrong_result",
                f"rank {self.rank} received {wrong} wrong words of {came.numel()} from rank {peer}",
            )


def _offset(rank: int) -> int:
    return rank * APART % RANGE


def exchange(mailbox: Mailbox, peer: int) -> None:
    """Send to `peer` and receive from it, and wait for both: what is timed."""
    import torch.distributed as dist

    # gloo sends nothing before it hears that the other is ready, and that word would queue behind what it sends
    both = [dist.P2POp(dist.irecv, mailbox.incoming, peer), dist.P2POp(dist.isend, mailbox.outgoing, peer)]
    for work in dist.batch_isend_irecv(both):
        work.wait()


def timed_exchanges(
    ctx: RankContext, mailbox: Mailbox, peer: int | None, warmup: int, iterations: int
) -> list[float]:
    """Seconds of each of `iterations` exchanges with `peer` after `warmup` ones; about 0 on a rank without one.

    Every rank must call it: the ranks start each exchange as one. Raises MeasurementFailed (wrong_result).
    """
    import torch.distributed as dist

    mailbox.clear()
    begun = False

    def check_last() -> None:
        nonlocal begun
        if begun and peer is not None:
            mailbox.check_ends(peer)
        begun = True

    def operation() -> None:
        if peer is not None:
            exchange(mailbox, peer)

    before = start_together(ctx.device, mailbox.advance, check_last)
    on_host = dist.get_backend() == "gloo"
    seconds = time_iterations(ctx.device, operation, warmup, iterations, before, on_host=on_host)
    if peer is not None:
        mailbox.check(peer)
    return seconds
