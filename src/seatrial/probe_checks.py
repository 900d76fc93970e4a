"""What can be known of a probe before it runs: its ranks, what they share out, its files."""

from __future__ import annotations

from seatrial.asked_once import Once
from seatrial.case import Case
from seatrial.config.probe import (
    AcrossRanks,
    Bisection,
    Checkpoint,
    Collective,
    Dataload,
    Gemm,
    Memory,
    MoeAlltoall,
    Probe,
    Screen,
)
from seatrial.config.probe.bisection import NEEDS_TOPOLOGY
from seatrial.config.probe.moe_alltoall import GiniLoad, ReplayLoad
from seatrial.config.probe.screen import LEAST_MEMBERS
from seatrial.config.target import Target
from seatrial.device_checks import check_dataload, check_room
from seatrial.errors import ConfigError, UnreadableFile
from seatrial.folder_checks import check_folders
from seatrial.measure.ceilings.links import by_the_network, whole_leaves
from seatrial.measure.moe_alltoall.loads import gini_floor, least_tokens
from seatrial.measure.moe_alltoall.trace import check_trace, read_trace
from seatrial.measure.topology import FROM_SLURM, read_topology
from seatrial.measure.topology import KEY as TOPOLOGY_KEY
from seatrial.planned import Plan

MOST_PAIRS = 8_128
"""Every pair has a measurement of its own in the record."""


def check_probe(plan: Plan, case: Case, workload: Probe, once: Once) -> None:
    """Raise ConfigError for a probe that can never do what is asked of it on the case's ranks."""
    if isinstance(workload, AcrossRanks):
        _check_ranks(plan, case, workload)
        _check_leaves(plan, case.target)
    if isinstance(workload, Collective):
        _check_sizes(plan, case, workload)
    if isinstance(workload, MoeAlltoall):
        _check_experts(plan, case, workload, once)
    if isinstance(workload, Checkpoint):
        _check_checkpoint(plan, case, workload)
    if isinstance(workload, Bisection):
        _check_bisection(plan, case, workload, once)
    if isinstance(workload, Screen):
        _check_screen(plan, case)
    if isinstance(workload, Gemm | Memory):
        check_room(plan, case, workload)
    if isinstance(workload, Dataload):
        check_dataload(plan, case, workload)
    check_folders(plan, case, once)


def _check_ranks(plan: Plan, case: Case, workload: AcrossRanks) -> None:
    if case.target.world_size < 2:
        raise ConfigError(
            f"{case.workload.kind} needs two ranks or more",
            file=plan.file_of("target.tasks_per_node"),
            key="target.tasks_per_node",
            value=case.target.tasks_per_node,
            allowed="nodes x tasks_per_node >= 2, "
            f"in experiments.{case.experiment} by an axis target.tasks_per_node",
        )
    if workload.backend == "nccl" and case.target.device == "cpu":
        key = f"experiments.{case.experiment}.workload.backend"
        raise ConfigError(
            f"nccl moves accelerators' memory, and target {case.target.name} has device cpu",
            file=plan.file_of(key),
            key=key,
            value=workload.backend,
            allowed="auto, gloo",
        )


def _check_leaves(plan: Plan, target: Target) -> None:
    """A declared oversubscription must bound something: leaves that cut through fast domains have no ceiling."""
    network = target.scale_out
    ratio = None if network is None else network.oversubscription
    if network is None or ratio is None or ratio.value is None or ratio.value <= 1 or whole_leaves(target):
        return
    domain = by_the_network(target) / target.tasks_per_node
    raise plan.mistake(
        "target.scale_out.nodes_per_switch",
        f"leaf switches, oversubscribed {ratio.value:g}:1, would cut through fast domains of {domain:g} nodes",
        network.nodes_per_switch,
        f"a multiple or a divisor of {domain:g}; or no oversubscription",
    )


def _check_experts(plan: Plan, case: Case, workload: MoeAlltoall, once: Once) -> None:
    """The ranks must share the experts evenly, and the load must be one that can be had."""
    place, ranks = f"experiments.{case.experiment}.workload", case.target.world_size
    if workload.experts % ranks:
        key = f"{place}.experts"
        raise ConfigError(
            f"{workload.experts} experts cannot be shared evenly by {ranks} ranks",
            file=plan.file_of(key),
            key=key,
            value=workload.experts,
            allowed=f"multiples of {ranks}, the ranks of the case",
        )
    if isinstance(workload.load, ReplayLoad):
        try:
            check_trace(workload, once(read_trace, workload.load), ranks)
        except UnreadableFile as problem:
            key = f"{place}.load.file"
            raise ConfigError(
                f"the load cannot be replayed: {problem}",
                file=plan.file_of(key),
                key=key,
                value=workload.load.file,
                allowed=f"whole counts >= 0, {ranks} ranks x {workload.experts} experts, or steps of them",
            ) from problem
    if isinstance(workload.load, GiniLoad) and workload.tokens is not None:
        _check_gini(plan, f"{place}.load.target", workload, workload.load.target, workload.tokens * ranks)


def _check_gini(plan: Plan, key: str, workload: MoeAlltoall, target: float, tokens: int) -> None:
    """Chance alone must not spread the tokens more than is asked."""
    floor = gini_floor(tokens, workload.top_k, workload.experts)
    if target < floor:
        needed = least_tokens(target, workload.top_k, workload.experts)
        raise ConfigError(
            f"with {tokens} tokens on all ranks, chance alone spreads them over {workload.experts} experts with a "
            f"Gini of {floor:.3g}",
            file=plan.file_of(key),
            key=key,
            value=target,
            allowed=f"a Gini of {floor:.3g} or more, or {needed} tokens on all ranks for one of {target:g}",
        )


def _check_checkpoint(plan: Plan, case: Case, workload: Checkpoint) -> None:
    """A folder that every node finds, a byte for each rank, and another node where one is to be read from."""
    target, place = case.target, f"experiments.{case.experiment}.workload"
    path, key = _checkpoint_path(plan, case, workload, place)
    if target.nodes > 1 and not path.startswith(("/", "~")):
        allowed = "a path that begins with /, here or for all studies as storage.scratch.path of the target's file"
        raise plan.mistake(key, "several nodes need an absolute path", path, allowed)
    if workload.read_from == "next_node" and target.nodes < 2:
        allowed = "own, or target.nodes >= 2"
        raise plan.mistake(f"{place}.read_from", "there is no other node to read from", "next_node", allowed)
    if workload.size_bytes < target.world_size:
        allowed = f"a byte or more for each of {target.world_size} ranks"
        raise plan.mistake(f"{place}.parameters", "fewer bytes than ranks", workload.parameters, allowed)


def _checkpoint_path(plan: Plan, case: Case, workload: Checkpoint, place: str) -> tuple[str, str]:
    """The folder of a checkpoint case and the key that says it."""
    if workload.path is not None:
        return workload.path, f"{place}.path"
    declared = case.target.storage
    named = declared.get(workload.storage or "")
    if named is None or named.path is None:
        have = ", ".join(name for name, storage in declared.items() if storage.path is not None)
        problem = f"target {case.target.name} has no path for this storage"
        allowed = have or "a name in target.storage that has a path; target.storage has none"
        raise plan.mistake(f"{place}.storage", problem, workload.storage, allowed)
    return named.path, f"target.storage.{workload.storage}.path"


def _check_bisection(plan: Plan, case: Case, workload: Bisection, once: Once) -> None:
    """Scales and pairs that there can be, cuts that these hosts can have, and a topology that can be read."""
    target, place = case.target, f"experiments.{case.experiment}.workload"
    there, unit = (target.nodes, "hosts") if target.nodes > 1 else (target.world_size, "ranks of a single host")
    if any(scale > there for scale in workload.scales):
        raise plan.mistake(
            f"{place}.scales", f"there are {there} {unit}", workload.scales, f"numbers from 2 to {there}"
        )
    if "rail" in workload.cuts and (target.nodes < 2 or target.tasks_per_node < 2):
        allowed = "cuts without rail, or target.nodes >= 2 and target.tasks_per_node >= 2"
        raise plan.mistake(f"{place}.cuts", "rails need several hosts of several ranks", workload.cuts, allowed)
    ends = there if workload.between == "hosts" else target.world_size
    most = max(n for n in range(ends + 1) if n * (n - 1) // 2 <= MOST_PAIRS)
    if "alone" in workload.pairwise and ends > most:
        problem = f"{ends} {workload.between} have too many pairs to measure each alone"
        allowed = f"[rounds], or at most {most} {workload.between}"
        raise plan.mistake(f"{place}.pairwise", problem, workload.pairwise, allowed)
    for kind in [cut for cut in workload.cuts if cut in NEEDS_TOPOLOGY]:
        _check_topology(plan, target, f"{place}.cuts", kind, once)


def _check_screen(plan: Plan, case: Case) -> None:
    """Enough nodes, or ranks of a single host, to tell which one is slow."""
    target = case.target
    several = target.nodes > 1
    there, key = (target.nodes, "target.nodes") if several else (target.tasks_per_node, "target.tasks_per_node")
    if there < LEAST_MEMBERS:
        problem = (
            f"of fewer than {LEAST_MEMBERS} {'nodes' if several else 'ranks of one node'} none can be told slow"
        )
        raise plan.mistake(key, problem, there, f"{LEAST_MEMBERS} or more")


def _check_topology(plan: Plan, target: Target, key: str, kind: str, once: Once) -> None:
    """A file that says what is in which `kind` of group; what Slurm says is known on the ranks only."""
    source = target.scale_out.topology if target.scale_out is not None else None
    if source is None:
        allowed = "a cut that needs no topology, or target.scale_out.topology set to slurm or to a file"
        raise plan.mistake(
            key, f"a cut by {kind} needs a topology, and target {target.name} has none", kind, allowed
        )
    if source != FROM_SLURM:
        try:
            once(read_topology, source).group_of_hosts(kind, [])
        except ConfigError as problem:
            raise ConfigError(
                problem.problem,
                file=plan.file_of(TOPOLOGY_KEY),
                key=TOPOLOGY_KEY,
                value=problem.value,
                allowed=problem.allowed,
            ) from problem


def _check_sizes(plan: Plan, case: Case, workload: Collective) -> None:
    """Every rank's part must be whole elements."""
    try:
        workload.real_sizes(case.target.world_size)
    except ValueError as problem:
        key = f"experiments.{case.experiment}.workload.size_bytes"
        unit = workload.unit_bytes(case.target.world_size)
        raise ConfigError(
            str(problem).partition("; allowed")[0],
            file=plan.file_of(key),
            key=key,
            value=workload.size_bytes,
            allowed=f"multiples of {unit}, or sizes instead, which are rounded down to them",
        ) from None
