"""From when on a difference counts: against an earlier study, and of one node from the others."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from seatrial.config.base import Closed, Threshold
from seatrial.errors import FieldMistake

# one way to read every text, so that none takes long to refuse
LIST = r"(?:[\w.\-]|\[\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*\])+"
RANGE = re.compile(r"(\d+)-(\d+)(?=[,\]])", re.ASCII)


def _host_list(text: str) -> str:
    """Refuses what is no list of hosts in Slurm's form."""
    whole = re.fullmatch(rf"{LIST}(?:,{LIST})*", text, re.ASCII) is not None
    inside = ",".join(re.findall(r"\[[^\]]*\]", text))
    if not whole or any(int(first) > int(last) for first, last in RANGE.findall(inside)):
        raise FieldMistake("not a list of hosts", value=text, allowed="hosts in Slurm's form: gpu[01-16],login2")
    return text


HostList = Annotated[str, Field(max_length=10_000), AfterValidator(_host_list)]
"""Hosts in Slurm's form: `gpu[01-16],login2`."""


class Differences(Closed):
    """Thresholds with their sources."""

    false_discovery_rate: Threshold = Threshold(
        value=0.05, source="Benjamini and Hochberg (1995): of what is called different 5 % is by chance, on average"
    )
    """Adjusted p at or below it is a difference, over all metrics that are screened together."""
    least: Threshold = Threshold(
        value=0.05,
        source="MLCommons: results of equal systems differ by up to 5 % after the olympic mean (imaging 2.5 %)",
    )
    """A ratio whose whole interval lies nearer to 1 than this shows no difference that matters."""
    node_robust_z: Threshold = Threshold(
        value=3.5, source="Iglewicz and Hoaglin (1993): 0.6745 (x - median) / MAD beyond 3.5 marks an outlier"
    )
    node_slower_by: Threshold = Threshold(
        value=0.05,
        source="Identical GPUs vary by 8 % on average (Sinha et al., SC'22): 5 to 8 % below is worth a look",
    )
    """A node is slow only where it is slower than the median of its fleet by more than this share of it."""
    above_ceiling: Threshold = Threshold(
        value=1.07,
        source="an agreed margin: stated peaks are rounded and clocks boost; what reads 107 % has another reason",
    )
    """More than this multiple of its ceiling is no result: a wrong unit, a wrong ceiling or a wrong result."""
