"""Series of dcgm-exporter: the HTTP API's JSON of query_range or query, and the exporter's own page of text.

    {"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"DCGM_FI_PROF_SM_ACTIVE",
     "gpu":"0","Hostname":"node-1"},"values":[[1775721747.082,"0.51"],...]}]}}
    DCGM_FI_DEV_SM_CLOCK{gpu="0",UUID="GPU-...",Hostname="node-1"} 210

Stale marks and what is not finite ("NaN", "+Inf") are no readings. A series without `__name__` (of an expression)
says not what it is, and is not read.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any

from seatrial.ingest.audit.device_columns import DCGM_FIELDS, DeviceReadings
from seatrial.ingest.audit.facts import Facts
from seatrial.ingest.audit.lines import READ

_TEXT = re.compile(r"^(DCGM_FI_[A-Z0-9_]{3,80})\{([^}]{0,4000})\}\s+(\S{1,40})(?:\s+\d{1,16})?$")
_LABEL = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"')
HOST = ("Hostname", "hostname", "node", "kubernetes_node", "instance")
"""Labels that name the node, the one that is taken first in front; dcgm-exporter's own is Hostname."""
DEVICE = ("gpu", "device", "UUID", "uuid")


def read_response(document: dict[str, Any]) -> tuple[Facts, int, Counter[str]] | None:
    """The facts, how many samples were read, and why others were not; None where it is no answer of Prometheus."""
    data = document.get("data")
    if not isinstance(document.get("status"), str) or not isinstance(data, dict) or "resultType" not in data:
        return None
    readings, read, skipped = DeviceReadings(), 0, Counter[str]()
    results = data.get("result")
    for result in results if isinstance(results, list) else []:
        series = _series(result)
        if series is None:
            skipped["a series without a metric's name and labels"] += 1
            continue
        labels, samples = series
        name = labels.get("__name__", "")
        if name not in DCGM_FIELDS:
            skipped[f"samples of {name[:60]}" if name else "samples of a series without a name"] += len(samples)
            continue
        for sample in samples:
            reason = _note(readings, name, labels, sample[1] if _pair(sample) else None)
            read += reason == READ
            if reason:
                skipped[reason] += 1
    return Facts(devices=readings.series()), read, skipped


def _series(result: Any) -> tuple[dict[str, str], list[Any]] | None:
    if not isinstance(result, dict) or not isinstance(result.get("metric"), dict):
        return None
    values = result.get("values", [result["value"]] if "value" in result else [])
    if not isinstance(values, list):
        return None
    return {str(key): str(value) for key, value in result["metric"].items()}, values


def _pair(sample: Any) -> bool:
    return isinstance(sample, list) and len(sample) == 2


def _note(readings: DeviceReadings, name: str, labels: dict[str, str], text: Any) -> str:
    """Keep one sample; READ, or why it is not kept."""
    try:
        value = float(text)
    except (TypeError, ValueError, OverflowError):
        return "a sample that is no figure"
    if not math.isfinite(value):
        return "a sample that is not finite"
    host = next((labels[key] for key in HOST if labels.get(key)), None)
    device = next((labels[key] for key in DEVICE if labels.get(key)), None)
    if device is None:
        return "a sample that names no device"
    if host is None and (uuid := labels.get("UUID") or labels.get("uuid")) and uuid != device:
        device = f"{device} {uuid}"
    if labels.get("GPU_I_ID"):
        return "a sample of an instance of a divided device"
    quantity, factor = DCGM_FIELDS[name]
    try:
        readings.note(host, device, [(quantity, value * factor, "")])
    except ValueError as problem:
        return f"a sample with {problem}"
    return READ


class ExporterReader:
    """Reads the exporter's page: one sample a line."""

    name = "dcgm-exporter's page"

    def __init__(self) -> None:
        self._readings = DeviceReadings()

    def take(self, line: str) -> str | None:
        """READ, why a sample is not read, or None for a line of something else."""
        if line.startswith(("# HELP DCGM_", "# TYPE DCGM_")):
            return READ
        found = _TEXT.match(line.strip())
        if found is None:
            return None
        if found[1] not in DCGM_FIELDS:
            return f"samples of {found[1]}"
        return _note(self._readings, found[1], dict(_LABEL.findall(found[2])), found[3])

    def facts(self) -> Facts:
        """Readings by device."""
        return Facts(devices=self._readings.series())
