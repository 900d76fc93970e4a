"""The price of an accelerator-hour by family, as the catalogue's targets and accelerators state it.

A survey has no target of its own to take prices from, and the analysis never reads the configuration: so a study
that says `prices: auto` is given the whole list when it is planned, and study.json carries it from there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from seatrial.config.yaml_file import read_yaml
from seatrial.errors import UnreadableFile

AUTO = "auto"
Entries = Mapping[str, Mapping[str, Any]]


def fill(raw_study: dict[str, Any], conf: Path, targets: Callable[[], Entries]) -> None:
    """Replace `references.survey.prices: auto` in `raw_study` by the price list; anything else stays as it is.

    `targets` gives every composed target of `conf` by name, and is only asked where it is needed.
    Raises UnreadableFile for a broken catalogue file.
    """
    survey = (raw_study.get("references") or {}).get("survey")
    if isinstance(survey, dict) and survey.get("prices") == AUTO:
        survey["prices"] = price_list(targets(), _accelerators(conf / "accelerator"))


def price_list(targets: Entries, accelerators: Entries) -> list[dict[str, Any]]:
    """One entry per family and price: `family`, `names` of who states it, `price`; sorted by family, then name.

    What has no family among the published results or no price of an accelerator-hour is left out.
    """
    found: list[dict[str, Any]] = []
    stated = [(f"accelerator/{name}", entry) for name, entry in sorted(accelerators.items())]
    stated += [(f"target/{name}", entry) for name, entry in sorted(targets.items())]
    for name, entry in stated:
        accelerator = entry.get("accelerator")
        family = accelerator.get("family") if isinstance(accelerator, Mapping) else None
        price = (entry.get("prices") or {}).get("accelerator_hour")
        if family is None or price is None:
            continue
        same = next((e for e in found if e["family"] == family and e["price"] == price), None)
        if same is None:
            found.append({"family": family, "names": [name], "price": price})
        else:
            same["names"].append(name)
    return sorted(found, key=lambda entry: (entry["family"], entry["names"]))


def _accelerators(folder: Path) -> dict[str, Mapping[str, Any]]:
    entries: dict[str, Mapping[str, Any]] = {}
    for path in sorted(folder.glob("*.yaml")):
        entry = read_yaml(path)
        if not isinstance(entry, dict):
            raise UnreadableFile(path, "not a mapping")
        entries[path.stem] = entry
    return entries
