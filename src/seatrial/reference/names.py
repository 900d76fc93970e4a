"""One name for what the rounds spell differently: benchmarks that were renamed, submitters, the rounds' dates."""

from __future__ import annotations

import datetime as dt

PUBLISHED_ON = {
    "v3.1": dt.date(2023, 11, 8),
    "v4.0": dt.date(2024, 6, 12),
    "v4.1": dt.date(2024, 11, 13),
    "v5.0": dt.date(2025, 6, 4),
    "v5.1": dt.date(2025, 11, 12),
    "v6.0": dt.date(2026, 6, 16),
}
"""The day on which MLCommons published each round."""
PARTIAL_ROUNDS = frozenset({"v6.0"})
"""Rounds of which the shipped table holds only a part, and not a random one."""

_RENAMED_BENCHMARKS = {"gnn": "rgat", "ssd": "retinanet"}
_SUBMITTER_ALIASES = {
    "QCT": "Quanta_Cloud_Technology",
    "RedHat-Supermicro": "Supermicro-RedHat",
}
_JOINT_SUBMITTERS = {
    "Azure+NVIDIA": ("Azure", "NVIDIA"),
    "CoreWeave + IBM + NVIDIA": ("CoreWeave", "IBM", "NVIDIA"),
    "NVIDIA+CoreWeave": ("CoreWeave", "NVIDIA"),
    "Supermicro-RedHat": ("Supermicro", "RedHat"),
    "Supermicro_MangoBoost": ("Supermicro", "MangoBoost"),
}


def canonical_benchmark(name: str) -> str:
    """The newest name of a benchmark: gnn -> rgat, ssd -> retinanet; others unchanged."""
    return _RENAMED_BENCHMARKS.get(name, name)


def canonical_submitter(name: str) -> str:
    """The one name of a submitter that is spelled in several ways; others unchanged."""
    return _SUBMITTER_ALIASES.get(name, name)


def participants(submitter: str) -> frozenset[str]:
    """The organisations behind a submission, the submitter's own name included."""
    name = canonical_submitter(submitter)
    return frozenset({name, *_JOINT_SUBMITTERS.get(name, ())})
