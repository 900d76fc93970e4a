"""Which tables `analyse` writes only where a study has something to put into them."""

from __future__ import annotations

from seatrial.config.training import External, Moe, Training
from seatrial.paths import PROBE_TABLES, StudyPaths
from seatrial.planned import Plan


def tables_of_workloads(plan: Plan, paths: StudyPaths) -> list[str]:
    """What `analyse` writes only where something trains, experts are routed, a probe is measured, a feature of
    the fabric is switched off, a cluster is proposed, or a run of weeks is planned."""
    workloads = [case.workload for case in plan.cases]
    found = [paths.convergence]
    found += [paths.step_time] if any(isinstance(w, Training | External) for w in workloads) else []
    found += [paths.routing] if any(isinstance(w, Moe) for w in workloads) else []
    kinds = {workload.kind for workload in workloads}
    found += [paths.probe_table(name) for kind, names in PROBE_TABLES.items() if kind in kinds for name in names]
    found += [paths.exclude] if "screen" in kinds else []
    found += [paths.ablation] if any(case.target.ablation is not None for case in plan.cases) else []
    found += [paths.nodes, paths.node_metrics] if plan.running else []
    found += [paths.procurement] if plan.study.economics.procurement is not None else []
    found += [paths.finish_date] if plan.study.economics.finish_date is not None else []
    return [str(path) for path in dict.fromkeys(found)]
