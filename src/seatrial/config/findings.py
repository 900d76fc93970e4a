"""The rules of thumb by which findings are made: each a figure with its source, each of them to be overridden."""

from __future__ import annotations

from pydantic import model_validator

from seatrial.config.base import Closed, NonNegativeInt, Threshold

USUAL = "rule of thumb for utilisation; held against the productive fraction, because neither MFU nor nvidia-smi's"


class FindingRules(Closed):
    """What counts as held back, and by what; shares are of the time on the training clock and in checkpoints."""

    productive_low: Threshold = Threshold(value=0.5, source=f"below 50 %: {USUAL} utilisation can be read that way")
    """Of a workload whose productive fraction lies below it the main finding is `major`."""
    productive_high: Threshold = Threshold(
        value=0.7, source=f"above 70 % is healthy: {USUAL} utilisation can be read that way"
    )
    """Above it no fault is sought behind exposed communication of which no probe says that it is one. A cause that
    alone costs more than what is left to 1 is `major`."""
    least_share: Threshold = Threshold(
        value=0.05, source="the bound that is usual for checkpoints: what costs less is within run-to-run noise"
    )
    """A cause that costs a smaller share of the time is not named."""
    checkpoint_stall: Threshold = Threshold(
        value=0.05,
        source="checkpoints beyond 5 % of training time: the usual point at which to look at storage; at large "
        "scale the least possible share can be greater (Young 1974, Daly 2006), and then that one counts",
    )
    fabric_of_ceiling: Threshold = Threshold(
        value=0.7,
        source="published all_reduce: 74 % of the line rate on 4 x 8 B200 with EFA, 78 % on 8 x A100",
    )
    """A healthy fabric reaches this fraction of its ceiling with large messages."""
    storage_of_ceiling: Threshold = Threshold(
        value=0.7,
        source="our choice, as for the fabric: no published figures of file systems beside what they promise",
    )
    device_of_ceiling: Threshold = Threshold(
        value=0.5,
        source="published searches for the best product: 51 % (MI300X) to 97 % (Gaudi 2) of the bf16 peak",
    )
    """Of the dense peak, or of the achievable rate where the target declares one."""
    utilisation: Threshold = Threshold(
        value=0.2,
        source="published MFU in bf16: 25 % (DeepSeek-V3 on 1,024 H100) to 43 % (Llama 3 405B on 8,192)",
    )
    """An MFU below it, while little time is lost in waiting, points to the framework or its kernels."""
    straggler_slower: Threshold = Threshold(
        value=0.05, source="Identical GPUs vary by 8 % on average (Sinha et al., SC'22): 5 % is worth a look"
    )
    """How much longer a late place needs than the others' median."""
    straggler_z: Threshold = Threshold(
        value=3.5, source="Iglewicz and Hoaglin (1993): 0.6745 (x - median) / MAD beyond 3.5 marks an outlier"
    )
    straggler_persistence: Threshold = Threshold(
        value=0.5, source="our choice: a place that is last in most steps is the same cause, not chance"
    )
    throttled: Threshold = Threshold(
        value=0.05, source="our choice: clocks that are held down in 1 of 20 readings, as for checkpoints"
    )
    same_rate: Threshold = Threshold(
        value=0.7, source="our choice: a loader that fetches at 70 % of what storage gave a probe waits for storage"
    )
    noise_cov: Threshold = Threshold(
        value=0.05, source="our bands: CoV under 2 % quiet, 2 to 5 % usual on shared systems, over 5 % noisy"
    )
    noise_tail: Threshold = Threshold(
        value=1.2, source="our band: P95 over P50 of the step time above 1.2 is noisy"
    )
    noise_hiccups: Threshold = Threshold(
        value=0.01, source="our band: more than 1 step in 100 takes over 1.5 times the median"
    )
    warm_up_steps: NonNegativeInt = 1
    """The first steps of every run, left out: they compile, allocate and connect."""

    @model_validator(mode="after")
    def _in_order(self) -> FindingRules:
        if self.productive_low.value >= self.productive_high.value:
            raise ValueError(
                f"productive_low ({self.productive_low.value:g}) must lie below productive_high "
                f"({self.productive_high.value:g})"
            )
        return self
