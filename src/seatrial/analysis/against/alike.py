"""Which case of the earlier study is the same work on the same kind of machine.

Equal must be the whole workload but for when to give up, and of the target how many nodes, ranks and accelerators,
which accelerator, links and CPUs, and what is switched off. What may differ is what one compares for: drivers,
versions, settings of the launcher, prices, notes. Those differences are listed (`changes`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from seatrial.analysis.tables import canonical_json
from seatrial.case import PATIENCE, Case

MOST_LOOKED_AT = 50
"""Of more cases of a kind only so many, those of the same experiment first, are looked at for the nearest."""


class Match(NamedTuple):
    """A case and its equal in the earlier study; without one `why` names the first difference from the nearest."""

    case: Case
    earlier: Case | None
    why: str | None = None


def match_cases(cases: Sequence[Case], earlier: Sequence[Case]) -> list[Match]:
    """Each case with its equal; of several the one of its experiment, then with its seeds, then the first."""
    by_content: dict[str, list[Case]] = {}
    for other in earlier:
        by_content.setdefault(canonical_json(what_matters(other)), []).append(other)
    found = []
    for case in cases:
        equals = by_content.get(canonical_json(what_matters(case)), [])
        if equals:
            found.append(Match(case, min(equals, key=lambda other: _unlike_name(case, other))))
        else:
            found.append(Match(case, None, _why_none(case, earlier)))
    return found


def what_matters(case: Case) -> dict[str, Any]:
    """What must be equal, as flat keys: `workload.kind`, `target.nodes`, ..."""
    target = case.target
    facts = {
        "target.device": target.device,
        "target.nodes": target.nodes,
        "target.tasks_per_node": target.tasks_per_node,
        "target.accelerators_per_node": target.accelerators_per_node,
        "target.accelerator.name": target.accelerator.name if target.accelerator else None,
        "target.scale_up.name": target.scale_up.name if target.scale_up else None,
        "target.scale_out.name": target.scale_out.name if target.scale_out else None,
        "target.node.cpus": target.node.cpus,
        "target.ablation": target.ablations[target.ablation].environment if target.ablation else None,
    }
    return {**flat("workload", case.workload.model_dump(mode="json", exclude=PATIENCE)), **facts}


def flat(name: str, content: Any) -> dict[str, Any]:
    """Mappings unfolded into dotted keys; lists and scalars as they are."""
    if not isinstance(content, Mapping) or not content:
        return {name: content}
    return {key: value for part, below in content.items() for key, value in flat(f"{name}.{part}", below).items()}


def _differences(case: Case, other: Case) -> list[str]:
    mine, theirs = what_matters(case), what_matters(other)
    keys = sorted({*mine, *theirs}, key=lambda key: (key != "workload.kind", key.startswith("target."), key))
    return [
        f"{key} is {_shown(mine, key)}, in the earlier study {_shown(theirs, key)}"
        for key in keys
        if mine.get(key) != theirs.get(key) or (key in mine) != (key in theirs)
    ]


def _why_none(case: Case, earlier: Sequence[Case]) -> str:
    """The first difference from the earlier case that differs least: of the same kind, if there is one."""
    kind = case.workload.kind
    same_kind = [other for other in earlier if other.workload.kind == kind]
    if not same_kind:
        return f"the earlier study has no {kind}"
    looked_at = sorted(same_kind, key=lambda other: _unlike_name(case, other))[:MOST_LOOKED_AT]
    nearest = min(looked_at, key=lambda other: len(_differences(case, other)))
    differences = _differences(case, nearest)
    more = f" (and {len(differences) - 1} more)" if len(differences) > 1 else ""
    return f"{differences[0]}{more}"


def _unlike_name(case: Case, other: Case) -> tuple[bool, bool]:
    return case.experiment != other.experiment, case.base_seed != other.base_seed


def _shown(facts: Mapping[str, Any], key: str) -> str:
    return canonical_json(facts[key]).strip('"') if key in facts else "not there"
