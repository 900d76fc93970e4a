"""Training a language model with routed experts to a stated evaluation loss."""

from __future__ import annotations

import torch

from seatrial.config.training.moe import BiasUpdate, Moe
from seatrial.measure.context import RankContext
from seatrial.record import Measurement
from seatrial.train import corpus
from seatrial.train.flops.count import FlopCount
from seatrial.train.layout import Layout
from seatrial.train.moe.model import moe_decoder, moe_flops
from seatrial.train.moe.statistics import RoutingStatistics, over_data_ranks
from seatrial.train.moe.trace import SUFFIX, RoutingTrace
from seatrial.train.packing import spread
from seatrial.train.prediction import token_losses
from seatrial.train.run import train
from seatrial.train.share import share_of
from seatrial.train.text import byte_windows


class MoeObjective:
    """Next-byte cross entropy and, where asked for, the balancing loss; it measures its own routing."""

    def __init__(
        self,
        workload: Moe,
        windows: torch.Tensor,
        evaluation: torch.Tensor,
        layout: Layout,
        seed: int,
        trace: RoutingTrace | None = None,
    ) -> None:
        """`windows` and `evaluation` are bytes [n, sequence_length + 1]; `trace` keeps every step's counts."""
        self.workload, self.layout, self._trace = workload, layout, trace
        self.samples, self.evaluation_samples = len(windows), len(evaluation)
        self.tokens_per_sample = workload.sequence_length
        self._windows, self._evaluation = windows, evaluation
        drops = workload.capacity_factor is not None
        self.statistics = RoutingStatistics(workload.layers, workload.experts, layout, drops)
        decoder, self.routed = moe_decoder(workload, layout, self.statistics, seed)
        self.model: torch.nn.Module = decoder
        self._step = 0

    def fetch(self, positions: torch.Tensor) -> torch.Tensor:
        """The windows [n, length + 1] at `positions`, int64, on the device."""
        if not self.statistics.steps.running:
            self.statistics.steps.start()
        return self._on_device(self._windows[positions])

    def loss(self, batch: torch.Tensor) -> torch.Tensor:
        """Mean cross entropy in nats per byte, and the sum of all layers' balancing losses."""
        loss = self._losses(batch).mean()
        for layer in self.routed:
            if layer.auxiliary is not None:
                loss = loss + layer.auxiliary
                layer.auxiliary = None
        return loss

    def evaluate(self) -> dict[str, float]:
        """Nats per byte over the evaluation sequences of all ranks; nothing is dropped."""
        total, samples = 0.0, self.evaluation_samples
        for positions, counted in share_of(samples, self.layout, self.workload.batch_size):
            losses = self._losses(self._on_device(self._evaluation[positions]))
            total += float(losses[:counted].sum(dim=1).double().sum().item())
        (total,) = self.layout.data_total([total])
        return {"evaluation_loss": total / (samples * self.tokens_per_sample)}

    def after_update(self, step: int) -> None:
        """Count the step; move the choice's biases where that is how experts are balanced."""
        counts = self.statistics.step_done()
        if self._trace is not None:
            self._trace.note(counts[:, 1])
        if isinstance(self.workload.balancing, BiasUpdate):
            chosen = over_data_ranks(counts[:, 0], self.layout)
            for layer, of_layer in zip(self.routed, chosen, strict=True):
                layer.router.move_bias(of_layer, self.workload.balancing.rate)
        self.statistics.steps.stop()
        self._step = step + 1

    def measurements(self) -> list[Measurement]:
        """How tokens were spread over experts and ranks, and what all-to-all took, stretch by stretch."""
        self.statistics.close(self._step, [layer.exchange for layer in self.routed])
        if self._trace is not None:
            self._trace.write()
        return self.statistics.measurements()

    def state(self) -> dict[str, torch.Tensor]:
        """The choice's biases, and what has been measured."""
        biases = {f"bias.{layer.number}": layer.router.bias for layer in self.routed}
        return {**biases, **self.statistics.state()}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Continue from what `state` returned."""
        for layer in self.routed:
            layer.router.bias.copy_(state[f"bias.{layer.number}"])
        self.statistics.restore(state)

    def log_parameters(self) -> dict[str, object]:
        """What its log says by MLPerf's names beside sizes and optimiser."""
        return {"max_sequence_length": self.workload.sequence_length}

    def flops_per_sample(self) -> FlopCount:
        """FLOPs of one sequence."""
        return moe_flops(self.workload)

    def _losses(self, windows: torch.Tensor) -> torch.Tensor:
        """Of predicting bytes 1 ... L of windows [n, L + 1] from those before each: [n, L]."""
        return token_losses(self.model(windows[:, :-1]), windows[:, 1:])

    def _on_device(self, windows: torch.Tensor) -> torch.Tensor:
        return windows.to(self.layout.device).long()


def build(ctx: RankContext, workload: Moe, layout: Layout) -> MoeObjective:
    """The objective from the workload's text. Raises MeasurementFailed where the text is too short."""
    layout.opens_data()
    texts = corpus.train_and_evaluation(workload.dataset)
    ctx.facts["datasets"] = {
        use: {"origin": text.origin, "sha256": text.sha256, "characters": text.characters}
        for use, text in zip(("train", "evaluation"), texts, strict=True)
    }
    train_windows, all_evaluation = (byte_windows(text, workload.sequence_length) for text in texts)
    evaluation = spread(all_evaluation, workload.evaluation_sequences)
    steps = workload.routing_trace_steps
    trace = RoutingTrace(steps, layout, ctx.beside(SUFFIX)) if steps else None
    return MoeObjective(workload, train_windows, evaluation, layout, ctx.seed, trace)


def run(ctx: RankContext) -> None:
    """Train to the quality target; see `seatrial.train.run.train`."""
    workload = ctx.case.workload
    assert isinstance(workload, Moe)
    train(ctx, workload, lambda ctx, layout: build(ctx, workload, layout))
