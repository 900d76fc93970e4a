"""One name for what the rounds spell differently: benchmarks that were renamed, submitters, the rounds' dates."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Iterable
from itertools import permutations

PUBLISHED_ON = {
    "v3.1": dt.date(2023, 11, 8),
    "v4.0": dt.date(2024, 6, 12),
    "v4.1": dt.date(2024, 11, 13),
    "v5.0": dt.date(2025, 6, 4),
    "v5.1": dt.date(2025, 11, 12),
    "v6.0": dt.date(2026, 6, 16),
}
"""The day on which MLCommons published each round."""

_RENAMED_BENCHMARKS = {"gnn": "rgat", "ssd": "retinanet", "mask": "maskrcnn"}
"""`mask` is a folder name that MLCommons' own tool takes for maskrcnn. Not `dlrm`: until v2.1 that was another
benchmark than dlrm_dcnv2, so that only a reader who has not those rounds may take one for the other."""
_SPOKEN_BENCHMARKS = {
    "bert": ("bert large",),
    "deepseekv3_671b": ("deepseek", "deepseek v3"),
    "dlrm_dcnv2": ("dlrm", "dlrm v2", "dlrm dcn v2", "dcnv2"),
    "dlrmv4": ("dlrm",),
    "flux1": ("flux", "flux.1", "flux.1 schnell"),
    "gpt3": ("gpt3 175b",),
    "gpt_oss_20b": ("gpt oss",),
    "llama2_70b_lora": ("llama2", "llama2 70b", "llama2 lora", "lora"),
    "llama31_405b": ("llama3 405b", "405b"),
    "llama31_8b": ("8b",),
    "resnet": ("resnet50", "resnet50 v1.5"),
    "retinanet": ("ssd retinanet",),
    "stable_diffusion": ("sd", "sd v2", "stable diffusion v2"),
    "unet3d": ("3d unet", "unet"),
}
"""How people call benchmarks, beside case, blanks and signs."""

_ORGANISATIONS = {
    "AMD": ("Advanced Micro Devices",),
    "ASUSTeK": ("ASUS", "ASUSTeK Computer"),
    "Ailiverse": (),
    "Azure": ("Microsoft Azure", "Microsoft"),
    "CTuning": ("cTuning foundation",),
    "Cisco": ("Cisco Systems",),
    "Clemson University Research Computing and Data": ("Clemson", "Clemson University"),
    "CoreWeave": (),
    "Dell": ("Dell Technologies", "Dell EMC"),
    "FlexAI": (),
    "Fujitsu": (),
    # the company behind the brand; the folder was called by the brand until v3.0
    "GigaComputing": ("Giga Computing Technology", "GIGABYTE", "GIGABYTE Technology"),
    # v6.0 has the folder Google with the submitter "Google_1"
    "Google": ("Google Cloud", "Google_1"),
    "HPE": ("Hewlett Packard Enterprise",),
    "IBM": (),
    "Intel": ("Intel Corporation",),
    "Intel-HabanaLabs": ("Habana Labs", "Habana"),
    "Inventec": (),
    "JuniperNetworks": ("Juniper",),
    "Krai": (),
    "Lambda": ("Lambda Labs",),
    "Lenovo": (),
    "MangoBoost": (),
    "MiTAC": ("MiTAC Computing", "MiTAC Computing Technology"),
    "NVIDIA": ("NVIDIA Corporation",),
    "Nebius": ("Nebius AI",),
    "Netweb Technologies India LTD": ("Netweb", "Netweb Technologies"),
    "Oracle": ("Oracle Cloud Infrastructure", "OCI"),
    "Quanta_Cloud_Technology": ("QCT", "Quanta"),
    "RedHat": (),
    "SCITIX": (),
    # v4.0 has one system in three folders, with and without power logs
    "Sustainable Metal Cloud": ("SMC", "smc-ac-power", "smc-dc-power"),
    "Supermicro": ("Super Micro Computer", "Supermicro Computer"),
    "TTA": (),
    "University-of-Florida": (),
    # renamed in 2025; v5.1 has the folder and the submitter by the old name
    "Verda": ("DataCrunch",),
    "Wiwynn": (),
    "tinycorp": ("tiny corp",),
    "xFusion": (),
}
"""Every submitter as published, and other names of the same organisation."""
_JOINT_SUBMITTERS = {
    "Azure+NVIDIA": ("Azure", "NVIDIA"),
    "CoreWeave + IBM + NVIDIA": ("CoreWeave", "IBM", "NVIDIA"),
    "NVIDIA+CoreWeave": ("CoreWeave", "NVIDIA"),
    "Supermicro-RedHat": ("Supermicro", "RedHat"),
    "Supermicro_MangoBoost": ("Supermicro", "MangoBoost"),
}
_PART_OF = {"Intel-HabanaLabs": ("Intel",)}
"""Submitters that belong to another one: each submits for itself, but neither compares with the other."""


def canonical_benchmark(name: str) -> str:
    """The newest name of a benchmark: gnn -> rgat, ssd -> retinanet; others unchanged."""
    return _RENAMED_BENCHMARKS.get(name, name)


def benchmark_named(text: str, known: Iterable[str]) -> str | None:
    """The benchmark of `known` that a user means by `text`; None where none or several could be meant.

    Case, blanks and signs do not count, an old name means the new one and the other way round, and common names
    are known ("llama2-70b-lora", "stable diffusion", "dlrm" where `known` has one of that name).
    """
    names = sorted(set(known))
    if text in names:
        return text
    wanted = _folded(text)
    spoken = {n for n, others in _SPOKEN_BENCHMARKS.items() if wanted in map(_folded, others)}
    old = {new for old, new in _RENAMED_BENCHMARKS.items() if _folded(old) == wanted}
    for meaning in (
        [n for n in names if _folded(n) == wanted],
        [n for n in names if canonical_benchmark(n) in old or _folded(canonical_benchmark(n)) == wanted],
        [n for n in names if canonical_benchmark(n) in spoken],
    ):
        newest = [n for n in meaning if n == canonical_benchmark(n)] or meaning
        if newest:
            return newest[0] if len(newest) == 1 else None
    return None


def canonical_submitter(name: str) -> str:
    """The one name of a submitter, whatever the spelling: as published where it is known, else its words alone.

    For comparison: case, blanks, hyphens and underscores do not count, nor does the order of a joint submission
    ("IBM+CoreWeave+NVIDIA"). What is shown is the name as published.
    """
    known = _BY_SPELLING.get(_folded(name))
    if known is not None:
        return known
    if "+" in name:
        members = [canonical_submitter(part) for part in name.split("+") if _folded(part)]
        return _BY_MEMBERS.get(frozenset(members), "+".join(sorted(set(members))))
    return _folded(name) or name


def participants(submitter: str) -> frozenset[str]:
    """The organisations behind a submission, the submitter's own name included."""
    name = canonical_submitter(submitter)
    members = _JOINT_SUBMITTERS.get(name) or (name.split("+") if "+" in name else ())
    return frozenset({name, *members, *_PART_OF.get(name, ())})


def _folded(name: str) -> str:
    """`name` for comparison without case, blanks and signs; a plus parts joint submitters and stays."""
    return re.sub(r"[^\w+]|_", "", unicodedata.normalize("NFKC", name).casefold())


_BY_MEMBERS = {frozenset(members): name for name, members in _JOINT_SUBMITTERS.items()}
_BY_SPELLING = {
    _folded(spelling): name for name, others in _ORGANISATIONS.items() for spelling in (name, *others)
} | {_folded("".join(order)): n for n, members in _JOINT_SUBMITTERS.items() for order in permutations(members)}
"""Submitters by folded spelling; the joint ones in every order of their members."""
