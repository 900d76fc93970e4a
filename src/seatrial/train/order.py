"""Which samples every rank sees at every step."""

from __future__ import annotations

import torch


class BatchOrder:
    """The order in which samples are seen: every epoch a permutation of its own, from the seed alone.

    It depends on nothing but (seed, position): ranks and restarts need no state to agree on it, and any
    number of ranks with the same global batch sees the same samples at the same step.
    """

    def __init__(self, samples: int, seed: int) -> None:
        self.samples, self.seed = samples, seed
        self._epoch, self._permutation = -1, torch.empty(0, dtype=torch.int64)

    def positions(self, first: int, count: int) -> torch.Tensor:
        """Indices [count] of the samples at positions first ... first + count - 1 of the whole run."""
        parts = []
        while count:
            epoch, offset = divmod(first, self.samples)
            part = self._of_epoch(epoch)[offset : offset + count]
            parts.append(part)
            first, count = first + len(part), count - len(part)
        return torch.cat(parts)

    def _of_epoch(self, epoch: int) -> torch.Tensor:
        if epoch != self._epoch:
            # Distinct for every (seed, epoch) of fewer than 100,000 epochs.
            generator = torch.Generator().manual_seed(self.seed * 100_000 + epoch)
            self._permutation = torch.randperm(self.samples, generator=generator)
            self._epoch = epoch
        return self._permutation
