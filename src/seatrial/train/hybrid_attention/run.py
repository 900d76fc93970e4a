"""Training to a stated accuracy on queries that lie further back than any window."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from seatrial.config.training import HybridAttention
from seatrial.config.training.hybrid_attention import LEAST_FAR_QUERIES
from seatrial.errors import MeasurementFailed
from seatrial.measure.context import RankContext
from seatrial.train.flops.count import FlopCount
from seatrial.train.hybrid_attention.model import hybrid_decoder, hybrid_flops
from seatrial.train.hybrid_attention.retrieval import Sequences, Stream, sequences
from seatrial.train.layout import Layout
from seatrial.train.learner import KeepsNothing
from seatrial.train.run import train
from seatrial.train.sharding import shard
from seatrial.train.share import share_of

EVALUATION_BATCH = 64


class HybridObjective(KeepsNothing):
    """Next-token cross entropy at queries; far retrieval accuracy on probe sequences."""

    def __init__(self, workload: HybridAttention, layout: Layout, seed: int) -> None:
        """Raises MeasurementFailed (wrong_result) where the probe has fewer than 500 far queries."""
        self.workload, self.layout, self.data, self.seed = workload, layout, workload.retrieval, seed
        self.samples = self.data.training_sequences
        self.evaluation_samples = self.data.evaluation_sequences + self.data.probe_sequences
        self.tokens_per_sample = self.data.sequence_length
        decoder = hybrid_decoder(workload)
        self._flops = hybrid_flops(workload, decoder)
        self.model: torch.nn.Module = decoder.to(layout.device)
        shard(self.model, decoder.layers, layout)
        layout.opens_data()
        self._evaluation = self._share("evaluation", self.data.evaluation_sequences)
        self._probe = self._share("probe", self.data.probe_sequences)
        far = sum(int((part.far & kept[:, None]).sum()) for part, kept in self._probe)
        (self.far_queries,) = layout.data_total([far])
        if self.far_queries < LEAST_FAR_QUERIES:
            raise MeasurementFailed(
                "wrong_result",
                f"the probe has {self.far_queries:.0f} far queries, fewer than {LEAST_FAR_QUERIES}: "
                "its retrieval accuracy would say little",
            )

    def fetch(self, positions: torch.Tensor) -> Sequences:
        """The training sequences [n] at `positions`, on the device."""
        return sequences(self.data, "training", self.seed, positions.to(self.layout.device))

    def loss(self, batch: Sequences) -> torch.Tensor:
        """Cross entropy in nats, the mean over sequences of the mean over each one's queries: so that sequences
        weigh alike, however ranks and micro-batches share them."""
        asked = batch.queries
        losses = F.cross_entropy(self._logits(batch)[asked].float(), _values(batch)[asked], reduction="none")
        weights = asked / (len(asked) * asked.sum(dim=1, keepdim=True).clamp(min=1))
        return (losses * weights[asked]).sum()

    def evaluate(self) -> dict[str, float]:
        """`evaluation_loss`: nats per query of held-out sequences like the training's; `retrieval_accuracy`: share
        of the probe's far queries whose value is the likeliest token."""
        loss = count = right = far = 0.0
        for part, kept in self._evaluation:
            queries = part.queries & kept[:, None]
            logits = self._logits(part)[queries].float()
            loss += float(F.cross_entropy(logits, _values(part)[queries], reduction="sum").item())
            count += float(queries.sum().item())
        for part, kept in self._probe:
            asked = part.far & kept[:, None]
            right += float((self._logits(part).argmax(-1) == _values(part))[asked].sum().item())
            far += float(asked.sum().item())
        with self.layout.phases("communication"):
            loss, count, right, far = self.layout.data_total([loss, count, right, far])
        return {"evaluation_loss": loss / count, "retrieval_accuracy": right / far}

    def log_parameters(self) -> dict[str, object]:
        return {"max_sequence_length": self.data.sequence_length}

    def flops_per_sample(self) -> FlopCount | None:
        return self._flops

    def _logits(self, batch: Sequences) -> torch.Tensor:
        """Of each slot's value, given everything up to its key: [n, slots, vocabulary]."""
        logits: torch.Tensor = self.model(batch.tokens)
        return logits[:, 0::2]

    def _share(self, stream: Stream, count: int) -> list[tuple[Sequences, torch.Tensor]]:
        """This rank's part of `count` sequences in batches, and which of them count [n]."""
        device, seed = self.layout.device, self.data.evaluation_seed
        return [
            (
                sequences(self.data, stream, seed, positions.to(device)),
                torch.arange(len(positions), device=device) < counted,
            )
            for positions, counted in share_of(count, self.layout, EVALUATION_BATCH)
        ]


def _values(batch: Sequences) -> torch.Tensor:
    return batch.tokens[:, 1::2]


def run(ctx: RankContext) -> None:
    """Train to the quality target; see `seatrial.train.run.train`."""
    workload = ctx.case.workload
    assert isinstance(workload, HybridAttention)
    train(ctx, workload, lambda ctx, layout: HybridObjective(workload, layout, ctx.seed))
