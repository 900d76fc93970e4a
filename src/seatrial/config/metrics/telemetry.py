"""What is sampled beside a run."""

from __future__ import annotations

from seatrial.config.metrics.metric import Metric

TELEMETRY: dict[str, Metric] = {
    # sampled beside a run; label device: the accelerator, cpu (all processors of the host) or dram (its memory)
    "telemetry.energy": Metric(
        "J", "lower", "energy of one device by its own counter; label scope: run, or training (its clock running)"
    ),
    "telemetry.power": Metric("W", "lower", "power of one device while the training clock runs"),
    "telemetry.sm_clock": Metric("MHz", "higher", "clock of the compute units (SM; on AMD GFX)"),
    "telemetry.memory_clock": Metric("MHz", "higher", "clock of the device memory"),
    "telemetry.utilisation": Metric(
        "%", "higher", "share of time with a kernel resident (a spinning one too); of a cpu: busy time of its cores"
    ),
    "telemetry.memory_activity": Metric("%", "higher", "share of time in which device memory was read or written"),
    "telemetry.sm_utilisation": Metric("%", "higher", "share of SMs that were busy (GPM)"),
    "telemetry.tensor_utilisation": Metric("%", "higher", "share of time in which tensor cores worked (GPM)"),
    "telemetry.memory_bandwidth_utilisation": Metric(
        "%", "higher", "memory traffic over what the memory can do at most (GPM)"
    ),
    "telemetry.memory_used": Metric("GB", "lower", "device memory in use by all processes"),
    "telemetry.temperature": Metric("°C", "lower", "temperature of the device (on AMD its hottest spot)"),
    "telemetry.throttled": Metric(
        "1", "lower", "share of readings at which the clock was held down; label reason says by what"
    ),
    "telemetry.process_utilisation": Metric(
        "%", "higher", "CPU time of the rank's process over wall time (100: one core)"
    ),
    "telemetry.process_memory": Metric("GB", "lower", "resident memory of the rank's process"),
}
