"""Writes what nccl-tests writes, in several of its layouts, with the C formats of src/common.cu and src/util.cu."""

# ruff: noqa: E501 -- headings stand as they are printed

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from seatrial.nccl_tests.operations import BINARIES, DTYPES, bus_factor

ELEMENTS = {"float": 4, "half": 2, "double": 8, "bfloat16": 2}


@dataclass
class Written:
    """A run that is to be written; `rows`: size, then microseconds out of place and in place."""

    operation: str = "all_reduce"
    type: str = "float"
    hosts: int = 1
    each: int = 8
    per_process: int = 1
    """Devices of one process (-g)."""
    rows: Sequence[tuple[int, float, float]] = ((8, 12.5, 12.25), (1048576, 27.76, 27.49), (2**30, 4123.4, 4120.9))
    wrong: dict[int, int] = field(default_factory=dict)
    """Wrong elements in place, by number of row."""
    checked: bool = True
    devices: str = "NVIDIA H100 80GB HBM3"

    @property
    def ranks(self) -> int:
        return self.hosts * self.each

    @property
    def redop(self) -> str:
        return "sum" if "reduce" in self.operation else "none"

    def rates(self, size: int, microseconds: float) -> tuple[float, float]:
        algorithm = size / microseconds / 1e3
        return algorithm, algorithm * bus_factor(self.operation, self.ranks)


def fit(value: float, width: int) -> str:
    """getFloatStr of src/util.cu."""
    power, bound = 0, 1
    while value >= bound:
        power, bound = power + 1, bound * 10
    if power < width - 2:
        return f"{value:{width}.2f}"
    if power < width - 1:
        return f"{value:{width}.1f}"
    if power < width + 1:
        return f"{value:{width}.0f}"
    return f"{value:{width}.1e}" if width >= 7 else f"{value:{width}.0e}"


def new_text(run: Written, footer: bool = True, per_iteration: bool = False, timestamps: bool = False) -> str:
    """The layout since 2025 (nccl-tests 2.17 and later)."""
    lines = [
        "# nccl-tests version 2.18.0 (b4d5bee) nccl-headers=22907 nccl-library=22907",
        f"# Collective test starting: {BINARIES[run.operation]}",
        f"# nThread 1 nGpus {run.per_process} minBytes 8 maxBytes 1073741824 step: 2(factor) warmup iters: 1 iters: 20 "
        f"agg iters: 1 validation: {int(run.checked)} graph: 0 unalign: 0",
        "#",
        *_devices(
            run,
            "#  Rank {rank:2d} Group  0 Pid {pid:6d} on {host:>10s} device {index:2d} [0000:{bus:02x}:00] {name}",
        ),
        "#",
    ]
    side = "  {:>7}  {:>6}  {:>6}  {:>6}" + ("  {:>7}  {:>7}  {:>7}  {:>7}" if per_iteration else "")
    extra = ("i_min", "i_max", "i_p99", "i_cv%") if per_iteration else ()
    names = ("time", "algbw", "busbw", "#wrong", *extra)
    left = "# {:>10}  {:>12}  {:>8}  {:>6}  {:>6}"
    stamp = f"{'timestamp':>20}" if timestamps else " "
    lines += [
        left.format("", "", "", "", "") + "           out-of-place                       in-place          ",
        left.format("size", "count", "type", "redop", "root") + side.format(*names) * 2 + stamp,
        left.format("(B)", "(elements)", "", "", "")
        + side.format("(us)", "(GB/s)", "(GB/s)", "", *[""] * len(extra)) * 2,
    ]
    for number, (size, *times) in enumerate(run.rows):
        line = f"{size:12d}  {size // ELEMENTS[run.type]:12d}  {run.type:>8}  {run.redop:>6}  {-1:6d}"
        for in_place, time in enumerate(times):
            wrong = f"{run.wrong.get(number, 0) if in_place else 0:6g}" if run.checked else "   N/A"
            algorithm, bus = run.rates(size, time)
            line += f"  {fit(time, 7)}  {fit(algorithm, 6)}  {fit(bus, 6)}  {wrong}"
            if per_iteration:
                line += f"  {fit(time * 0.9, 7)}  {fit(time * 1.1, 7)}  {fit(time * 1.1, 7)}  {fit(3.5, 7)}"
        lines.append(line + (f"{'2026-01-02 03:04:05':>21}" if timestamps else ""))
    bad = len(run.wrong)
    if footer:
        lines += [
            f"# Out of bounds values : {bad} {'FAILED' if bad else 'OK'}",
            "# Avg bus bandwidth    : 123.456 ",
            "#",
            f"# Collective test concluded: {BINARIES[run.operation]}",
            "",
            "#",
        ]
    return "\n".join(lines) + "\n"


def root_text(run: Written) -> str:
    """The layout of 2022 to 2024: redop and root, counts of wrong elements, no name of the program."""
    lines = [
        f"# nThread 1 nGpus {run.per_process} minBytes 8 maxBytes 1073741824 step: 2(factor) warmup iters: 5 iters: 20 "
        f"agg iters: 1 validation: {int(run.checked)} graph: 0",
        "#",
        *_devices(
            run, "#  Rank {rank:2d} Group  0 Pid {pid:6d} on {host:>10s} device {index:2d} [0x{bus:02x}] {name}"
        ),
        "#",
        "#                                                              out-of-place                       in-place          ",
        "#       size         count      type   redop    root     time   algbw   busbw #wrong     time   algbw   busbw #wrong",
        "#        (B)    (elements)                               (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)       ",
    ]
    for number, (size, *times) in enumerate(run.rows):
        line = f"{size:12d}  {size // ELEMENTS[run.type]:12d}  {run.type:>8}  {run.redop:>6}  {-1:6d}"
        for in_place, time in enumerate(times):
            wrong = f"{run.wrong.get(number, 0) if in_place else 0:5g}" if run.checked else "  N/A"
            line += "  {:>7}  {:6.2f}  {:6.2f}  {}".format(_old_time(time), *run.rates(size, time), wrong)
        lines.append(line)
    bad = len(run.wrong)
    return "\n".join(
        [
            *lines,
            f"# Out of bounds values : {bad} {'FAILED' if bad else 'OK'}",
            "# Avg bus bandwidth    : 123.456 ",
            "#",
            "",
        ]
    )


def error_text(run: Written) -> str:
    """The layout before 2022: no root, the greatest error in place of a count."""
    lines = [
        f"# nThread 1 nGpus {run.per_process} minBytes 8 maxBytes 1073741824 step: 2(factor) warmup iters: 5 iters: 20 "
        f"validation: {int(run.checked)} ",
        "#",
        *_devices(run, "#   Rank {rank:2d} Pid {pid:6d} on {host:>10s} device {index:2d} [0x{bus:02x}] {name}"),
        "#",
        "#                                                     out-of-place                       in-place          ",
        "#       size         count    type   redop     time   algbw   busbw  error     time   algbw   busbw  error",
        "#        (B)    (elements)                     (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)       ",
    ]
    redop = run.redop if run.redop != "none" else ""
    for size, *times in run.rows:
        line = f"{size:12d}  {size // ELEMENTS[run.type]:12d}  {run.type:>6}  {redop:>6}"
        for time in times:
            algorithm, bus = run.rates(size, time)
            line += f"  {_old_time(time):>7}  {algorithm:6.2f}  {bus:6.2f}  {'5e-07' if run.checked else 'N/A':>5}"
        lines.append(line)
    bad = len(run.wrong)
    return "\n".join(
        [
            *lines,
            f"# Out of bounds values : {bad} {'FAILED' if bad else 'OK'}",
            "# Avg bus bandwidth    : 123.456 ",
            "#",
            "",
        ]
    )


def document(run: Written, iterations: bool = False, **changes: Any) -> str:
    """The JSON file of -J, version 2: booleans and roots as text, one device for each process, no white space."""
    results = []
    for number, (size, *times) in enumerate(run.rows):
        row: dict[str, Any] = {"size": size, "count": size // ELEMENTS[run.type], "type": run.type}
        row |= {"redop": run.redop, "root": f"{-1:6d}"}
        for name, time in zip(("out_of_place", "in_place"), times, strict=True):
            algorithm, bus = run.rates(size, time)
            wrong = float(run.wrong.get(number, 0) if name == "in_place" else 0) if run.checked else None
            row[name] = {"time": time, "alg_bw": algorithm, "bus_bw": bus, "nwrong": wrong}
            if iterations:
                row[f"{name}_per_iter"] = {"times_us": [time * (0.9 + 0.01 * i) for i in range(20)]}
        results.append(row | {"actual_iterations": 20, "experiment_name": ""})
    processes = range(run.ranks // run.per_process)
    content = {
        "version": 2,
        "start_time": "2026-01-02 03:04:05",
        "args": [f"./build/{BINARIES[run.operation]}", "-b", "8", "-e", "1G", "-f", "2", "-d", run.type],
        "env": ["PATH=/usr/bin", 'PS1=\\"\\u@\\h\\"'],
        "nccl_version": 22907,
        "config": {
            "nthreads": 1,
            "ngpus": run.per_process,
            "minimum_bytes": 8,
            "maximum_bytes": 1 << 30,
            "step_factor": 2,
            "warmup_iters": 1,
            "iterations": 20,
            "aggregated_iterations": 1,
            "validation": int(run.checked),
            "graph": 0,
            "blocking_collectives": "false",
            "per_iter_timing": "true" if iterations else "false",
            "parallel_init": "false",
            "devices": [
                {
                    "rank": p * run.per_process,
                    "group": 0,
                    "pid": 4711 + p,
                    "hostname": f"gpu{p * run.per_process // run.each:02d}",
                    "device": 0,
                    "device_hex": "0000:18:00",
                    "device_info": run.devices,
                }
                for p in processes
            ],
        },
        "results": results,
        "out_of_bounds": {"count": len(run.wrong), "okay": "false" if run.wrong else "true"},
        "average_bus_bandwidth": {"bandwidth": 123.456, "okay": "unchecked"},
        "errors": [""],
        "end_time": "2026-01-02 03:05:06",
    } | changes
    return json.dumps(_six_decimals(content), separators=(",", ":"))


def _six_decimals(value: Any) -> Any:
    """Numbers as `%lf` prints them."""
    if isinstance(value, float):
        return float(f"{value:f}") if math.isfinite(value) else value
    if isinstance(value, dict):
        return {key: _six_decimals(entry) for key, entry in value.items()}
    return [_six_decimals(entry) for entry in value] if isinstance(value, list) else value


def _old_time(microseconds: float) -> str:
    digits = 0 if microseconds >= 10000 else 1 if microseconds >= 100 else 2
    return f"{microseconds:7.{digits}f}"


def _devices(run: Written, pattern: str) -> list[str]:
    return [
        "# Using devices",
        *(
            pattern.format(
                rank=rank,
                pid=4711 + rank // run.per_process,
                host=f"gpu{rank // run.each:02d}",
                index=rank % run.each,
                bus=24 + rank % run.each,
                name=run.devices,
            )
            for rank in range(run.ranks)
        ),
    ]


TYPES = {theirs: ours for theirs, ours in DTYPES.items() if theirs in ELEMENTS}
