"""Reads the JSON file that nccl-tests writes with -J (versions 1 and 2 of src/util.cu, since 2025).

It writes true and false as text, a root as padded text, NaN as text and infinities bare. One device is listed for
each process, so ranks are processes x threads x devices of each. A run that dies leaves the file open at the end.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, TypeGuard

from seatrial.nccl_tests.heading import ARGUMENT, nccl_version
from seatrial.nccl_tests.printed import figure
from seatrial.nccl_tests.run import STATISTICS, Device, Failure, Figure, ProgramRun, Row, Side, Statistic, Unread

KNOWN_VERSIONS = (1, 2)
BARE = re.compile(r"(?<=[:,\[])(-?(?:inf|nan))(?=[,}\]])")
RESULTS = '"results":['
SETTINGS = (
    *("nthreads", "ngpus", "minimum_bytes", "maximum_bytes", "step_factor", "step_bytes", "warmup_iters"),
    *("iterations", "aggregated_iterations", "validation", "graph"),
)
SIDES = ("out_of_place", "in_place")
KEYS = {"version", "config", "results"}
"""What makes a document one of nccl-tests."""


def read_document(text: str, file: str) -> tuple[ProgramRun, list[Unread]] | None:
    """The run that a JSON file holds, and what was not read in it; None where it is no such file."""
    content, cut_off = _parse(text)
    if not isinstance(content, dict) or not content.keys() >= KEYS:
        return None
    unread: list[Unread] = []
    if content["version"] not in KNOWN_VERSIONS:
        stated = content["version"] if _is_count(content["version"]) else "no number"
        unread.append(Unread(file, None, f"version {stated} of the format; known: {KNOWN_VERSIONS}"))
    if cut_off:
        unread.append(Unread(file, None, "the file ends before the document does; whole rows are read"))
    config = _mapping(content["config"])
    settings = {name: value for name in SETTINGS if isinstance(value := config.get(name), int)}
    devices = [device for entry in _sequence(config.get("devices")) if (device := _device(entry)) is not None]
    processes, ranks = _counts(settings, devices)
    rows, cpu_time = [], False
    for number, entry in enumerate(_sequence(content["results"]), 1):
        row = _row(_mapping(entry))
        if row is None:
            unread.append(Unread(file, None, f"result {number} is not a row"))
        else:
            rows.append(row)
        cpu_time = cpu_time or any("cpu_time" in _mapping(_mapping(entry).get(name)) for name in SIDES)
    args = [arg for arg in _sequence(content.get("args")) if isinstance(arg, str)]
    statistic, basis = _statistic(args, processes, settings.get("nthreads"))
    return (
        ProgramRun(
            file=file,
            form="json",
            program=re.split(r"[/\\]", args[0])[-1] if args else None,
            arguments=" ".join(args[1:]),
            ranks=ranks,
            processes=processes,
            settings=settings,
            devices=tuple(devices),
            versions=_versions(content),
            statistic=statistic,
            statistic_basis=basis,
            cpu_time=cpu_time,
            rows=tuple(rows),
            out_of_bounds=_out_of_bounds(_mapping(content.get("out_of_bounds"))),
            average_bus_bandwidth=_finite(_mapping(content.get("average_bus_bandwidth")).get("bandwidth")),
            below_minimum=_mapping(content.get("average_bus_bandwidth")).get("okay") in ("false", False),
            failures=(Failure("crashed", "the file ends before the run does"),) if cut_off else (),
            warnings=tuple(e for e in _sequence(content.get("errors")) if isinstance(e, str) and e),
            started=_text(content.get("start_time")),
            ended=_text(content.get("end_time")),
        ),
        unread,
    )


def _parse(text: str) -> tuple[Any, bool]:
    """The document, and whether it is cut off, then with its whole rows; None where it is no JSON."""
    for candidate in (text, BARE.sub(r'"\1"', text)):
        try:
            return json.loads(candidate, parse_float=Decimal), False
        except (ValueError, RecursionError, InvalidOperation):
            continue
    head, found, rest = BARE.sub(r'"\1"', text).partition(RESULTS)
    if not found:
        return None, False
    decoder = json.JSONDecoder(parse_float=Decimal)
    try:
        content = decoder.decode(head + RESULTS + "]}")
        rows, at = [], 0
        while at < len(rest) and rest[at] in "{,":
            at += rest[at] == ","
            row, at = decoder.raw_decode(rest, at)
            rows.append(row)
    except json.JSONDecodeError as problem:
        if problem.doc is not rest:
            return None, False
    except (ValueError, RecursionError, InvalidOperation):
        return None, False
    if not isinstance(content, dict):
        return None, False
    return content | {"results": rows}, True


def _row(entry: Mapping[str, Any]) -> Row | None:
    size, count, kind = entry.get("size"), entry.get("count"), entry.get("type")
    if not _is_count(size) or not _is_count(count) or not isinstance(kind, str):
        return None
    redop = entry.get("redop")
    root = (_text(entry.get("root")) or "").strip()
    return Row(
        line=None,
        size=size,
        count=count,
        type=kind,
        redop=redop if isinstance(redop, str) and redop not in ("", "none") else None,
        root=int(root) if root.isascii() and root.isdigit() and len(root) < 9 else None,
        out_of_place=_side(entry, "out_of_place"),
        in_place=_side(entry, "in_place"),
    )


def _side(entry: Mapping[str, Any], name: str) -> Side | None:
    side = _mapping(entry.get(name))
    if not side:
        return None
    wrong = side.get("nwrong")
    value = None if wrong is None else _finite(wrong)
    times = [_finite(time) for time in _sequence(_mapping(entry.get(f"{name}_per_iter")).get("times_us"))]
    return Side(
        time=_figure(side.get("cpu_time", side.get("time"))),
        algorithm=_figure(side.get("alg_bw")),
        bus=_figure(side.get("bus_bw")),
        wrong=math.inf if wrong is not None and value is None else value,
        checked=wrong is not None,
        iterations=tuple(time for time in times if time is not None) if None not in times else (),
    )


def _figure(value: object) -> Figure:
    return figure(str(value) if isinstance(value, int | float | Decimal | str) else "")


def _finite(value: object) -> float | None:
    found = _figure(value).value
    return found if math.isfinite(found) else None


def _counts(settings: Mapping[str, int], devices: Sequence[Device]) -> tuple[int | None, int | None]:
    """Processes, and ranks of rank 0's communicator."""
    each = settings.get("nthreads", 0) * settings.get("ngpus", 0)
    if not devices or each < 1:
        return None, None
    return len(devices), each * sum(device.group == devices[0].group for device in devices)


def _device(entry: object) -> Device | None:
    facts = _mapping(entry)
    rank, group, index = (facts.get(name) for name in ("rank", "group", "device"))
    if not (isinstance(rank, int) and isinstance(group, int) and isinstance(index, int)):
        return None
    host, name = _text(facts.get("hostname")) or "", _text(facts.get("device_info")) or ""
    return Device(rank, group, host, index, name)


def _statistic(args: Sequence[str], processes: int | None, threads: int | None) -> tuple[Statistic | None, str]:
    if processes == 1 and threads == 1:
        return "max", "one process, which waits for all its devices"
    if not args:
        return None, "the file does not say"
    asked = ARGUMENT.search(" ".join(args[1:]))
    if asked is not None:
        return STATISTICS[int(asked["number"])], "-a of the run's arguments"
    return "mean", "the default of nccl-tests: the run's arguments have no -a"


def _versions(content: Mapping[str, Any]) -> dict[str, str]:
    code = content.get("nccl_version")
    return {"nccl": nccl_version(str(code))} if _is_count(code) else {}


def _out_of_bounds(footer: Mapping[str, Any]) -> int | None:
    count = footer.get("count")
    if not isinstance(count, int):
        return None
    return max(1, count) if footer.get("okay") in ("false", False) else count


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**18


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _sequence(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
