"""Kineto's traces (torch.profiler's export_chrome_trace): JSON in Chrome's trace format, as written since 2021.

`traceEvents` holds spans (`ph` X: `cat`, `name`, `ts` and `dur` in microseconds, `pid`, `tid`). A step is a span
`ProfilerStep#N`; it lasts until the next begins. Where a device was profiled, its kernels say what it did:

    compute         a kernel that is no communication runs
    communication   kernels of nccl, rccl, gloo, mpi run and none of computation beside them: what is exposed
    data_wait       neither, and the main thread waits in `enumerate(DataLoader)`
    other           the rest: launches, copies, Python, waiting for the host

On a CPU the main thread's operators stand for the kernels, and communication is what any thread notes as
`gloo:...`, `nccl:...` or `c10d::...`.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np

from seatrial.ingest.audit.facts import Doing, Facts, Trace, TraceStep
from seatrial.ingest.audit.intervals import NONE, Intervals, union, within, without

_STEP = re.compile(r"^ProfilerStep[#*](\d{1,12})$")
_COMMUNICATION = re.compile(
    r"^(?:nccl|rccl|onccl|mscclpp?|gloo:|mpi:|ucc:|c10d::|record_param_comms)|nccl(?:Dev)?Kernel", re.I
)
_LOADER = re.compile(r"^enumerate\(DataLoader\)")
KERNEL = frozenset({"kernel", "gpu_kernel"})
OPERATOR = frozenset({"cpu_op", "operator"})
ANNOTATION = frozenset({"user_annotation"})
SECONDS = 1e-6
RESOLVED = 9
"""Digits of a second that a trace has; what is beyond is of the arithmetic, and would be taken for a series."""
Span = tuple[float, float]


def read_trace(document: dict[str, Any]) -> tuple[Facts, int, Counter[str]] | None:
    """The facts, how many events were read, and why others were not; None where the document is no trace."""
    events = document.get("traceEvents")
    if not isinstance(events, list):
        return None
    skipped: Counter[str] = Counter()
    spans = [span for event in events if (span := _Span.of(event, skipped)) is not None]
    if document.get("displayTimeUnit") not in (None, "ms", "ns"):
        skipped["a unit of time that is not known"] += len(spans)
        return Facts(), 0, skipped
    windows = _windows(spans)
    if not windows:
        skipped["spans of a trace without ProfilerStep: profiler.step() was not called"] += len(spans)
        return Facts(), 0, skipped
    traces = _devices(document, spans, windows) or _main_thread(document, spans, windows)
    return Facts(traces=tuple(traces)), len(spans), skipped


class _Span:
    """One span, in microseconds, with the names that matter."""

    __slots__ = ("begin", "category", "device", "end", "name", "thread")

    def __init__(self, name: str, category: str, begin: float, end: float, device: str, thread: str) -> None:
        self.name, self.category, self.begin, self.end = name, category, begin, end
        self.device, self.thread = device, thread

    @classmethod
    def of(cls, event: Any, skipped: Counter[str]) -> _Span | None:
        """The span of an event; None for marks, counters and names of threads, and, counted, for what is broken."""
        if not isinstance(event, dict):
            skipped["an event that is no object"] += 1
            return None
        if event.get("ph") != "X":
            return None
        name, category = event.get("name"), event.get("cat")
        begin, length = _number(event.get("ts")), _number(event.get("dur"))
        if (
            not isinstance(name, str)
            or not isinstance(category, str)
            or begin is None
            or length is None
            or length < 0
        ):
            skipped["a span without name, category, time or length"] += 1
            return None
        arguments = event.get("args")
        device = arguments.get("device") if isinstance(arguments, dict) else None
        return cls(
            name,
            category.lower(),
            begin,
            begin + length,
            str(device if device is not None else event.get("pid")),
            f"{event.get('pid')}/{event.get('tid')}",
        )

    @property
    def communicates(self) -> bool:
        """Whether it is communication between ranks."""
        return _COMMUNICATION.search(self.name) is not None


def _windows(spans: list[_Span]) -> list[tuple[int, float, float, str]]:
    """Number, begin, end and thread of every step; each ends where the next begins, before a gap with its span."""
    found = sorted(
        (span.begin, span.end, int(step[1]), span.thread)
        for span in spans
        if span.category in ANNOTATION | OPERATOR and (step := _STEP.match(span.name))
    )
    threads = Counter(thread for *_, thread in found)
    if not threads:
        return []
    main = threads.most_common(1)[0][0]
    mine = [(step, begin, end) for begin, end, step, thread in found if thread == main]
    after = [(number, begin) for number, begin, _ in mine[1:]]
    ends = [
        begin if following == number + 1 else min(begin, end)
        for (number, _, end), (following, begin) in zip(mine, after, strict=False)
    ] + [mine[-1][2]]
    return [(step, begin, end, main) for (step, begin, _), end in zip(mine, ends, strict=True) if end > begin]


def _devices(
    document: dict[str, Any], spans: list[_Span], windows: list[tuple[int, float, float, str]]
) -> list[Trace]:
    """A trace for every device whose kernels were recorded."""
    kernels: dict[str, list[_Span]] = {}
    for span in spans:
        if span.category in KERNEL:
            kernels.setdefault(span.device, []).append(span)
    loading = _of(span for span in spans if _LOADER.match(span.name) and span.thread == windows[0][3])
    traces = []
    for device, mine in kernels.items():
        compute = _of(span for span in mine if not span.communicates)
        communication = _of(span for span in mine if span.communicates)
        traces.append(_trace(document, windows, compute, communication, loading, f"the kernels of device {device}"))
    return traces


def _main_thread(
    document: dict[str, Any], spans: list[_Span], windows: list[tuple[int, float, float, str]]
) -> list[Trace]:
    """The trace of the thread that steps; nothing where it recorded no operator."""
    main = windows[0][3]
    operators = [span for span in spans if span.category in OPERATOR and not _STEP.match(span.name)]
    communication = _of(span for span in spans if span.communicates and span.category in OPERATOR | ANNOTATION)
    own = _of(s for s in operators if s.thread == main and not s.communicates and not _LOADER.match(s.name))
    inside = _of(span for span in operators if span.thread == main and span.communicates)
    if not len(own):
        return []
    loading = _of(span for span in spans if _LOADER.match(span.name) and span.thread == main)
    compute = without(without(own, inside), loading)
    return [_trace(document, windows, compute, communication, loading, "operators of the main thread (CPU)")]


def _trace(
    document: dict[str, Any],
    windows: list[tuple[int, float, float, str]],
    compute: Intervals,
    communication: Intervals,
    loading: Intervals,
    basis: str,
) -> Trace:
    """Every step's seconds by what they went to."""
    exposed = without(communication, compute)
    waiting = without(without(loading, compute), communication)
    steps = []
    for step, begin, end, _ in windows:
        parts: dict[Doing, float] = {
            "compute": round(within(compute, begin, end) * SECONDS, RESOLVED),
            "communication": round(within(exposed, begin, end) * SECONDS, RESOLVED),
            "data_wait": round(within(waiting, begin, end) * SECONDS, RESOLVED),
        }
        seconds = round((end - begin) * SECONDS, RESOLVED)
        parts["other"] = max(0.0, round(seconds - sum(parts.values()), RESOLVED))
        steps.append(TraceStep(step, seconds, parts))
    where = document.get("distributedInfo")
    info = where if isinstance(where, dict) else {}
    host = document.get("host_name")
    backend = info.get("backend")
    return Trace(
        tuple(steps),
        basis,
        _count(info.get("rank")),
        _count(info.get("world_size")),
        host if isinstance(host, str) else None,
        backend if isinstance(backend, str) else None,
    )


def _of(spans: Any) -> Intervals:
    pairs = [(span.begin, span.end) for span in spans]
    return union(np.array(pairs, dtype=float)) if pairs else NONE


def _number(value: Any) -> float | None:
    """A finite number of microseconds; early versions write it as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) < 1e18 else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**7 else None
