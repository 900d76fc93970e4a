"""One machine, here or a node, against what a study needs of every machine that it runs on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatch

from seatrial.config.target import Target
from seatrial.doctor.check import Check, Topic
from seatrial.doctor.facts import NodeFacts, Torch
from seatrial.doctor.limits import Limits
from seatrial.doctor.needs import Needs
from seatrial.units import MIB, format_bytes, format_figure

DEVICES, TORCH, NETWORK = Topic("devices"), Topic("torch"), Topic("network")
LIMITS, CLOCK, PROGRAMS = Topic("limits"), Topic("clock"), Topic("programs")
GIB = 1024 * MIB


def machine_checks(facts: NodeFacts, needs: Needs, limits: Limits) -> list[Check]:
    """Everything about a machine but its folders."""
    target = needs.on_accelerators
    checks = [*devices_checks(facts, needs), *([] if facts.torch is None else torch_checks(facts.torch, target))]
    checks += [infiniband_check(facts, needs), *_limits(facts, needs, limits), clock_check(facts)]
    return checks + [program_check(facts, name, whose) for name, whose in needs.programs]


def devices_checks(facts: NodeFacts, needs: Needs) -> list[Check]:
    """Number and names of the accelerators against each target's."""
    notes = [
        DEVICES.warning("drivers", note, "mend the driver or torch, or leave these devices out of the study")
        for note in facts.device_notes
    ]
    if facts.device_problem:
        saw = f"looking for accelerators did not end: {facts.device_problem}"
        return [
            *notes,
            DEVICES.lacks("accelerators", saw, "see that the driver's tool (nvidia-smi, amd-smi) answers"),
        ]
    driver = f", driver {facts.driver}" if facts.driver else ""
    names = ", ".join(f"{n} x {name}" for name, n in _counted(facts.devices)) or "none that torch can use"
    asking = [target for target in needs.targets if target.device == "cuda"]
    if not asking:
        return (
            [*notes, DEVICES.ok("accelerators", f"{names}{driver}; the study needs none")]
            if needs.targets
            else [
                *notes,
                DEVICES.ok("accelerators", f"{names}{driver}")
                if facts.devices
                else DEVICES.not_checked("accelerators", f"{names}{driver}; what runs here runs on CPUs"),
            ]
        )
    return [*notes, *(_devices_of(target, facts, f"{names}{driver}") for target in _unlike(asking))]


def _devices_of(target: Target, facts: NodeFacts, saw: str) -> Check:
    name = f"accelerators for {target.name}"
    wanted = f"the target has {target.accelerators_per_node} per node"
    if len(facts.devices) < target.accelerators_per_node:
        do = f"ask for as many GPUs, or set target.accelerators_per_node={len(facts.devices)}"
        return DEVICES.lacks(
            name, f"{saw}; {wanted}", do if facts.devices else "see that the driver's tool lists them"
        )
    patterns = target.accelerator.device_names if target.accelerator is not None else []
    if not patterns:
        return DEVICES.ok(name, f"{saw}; {wanted}, and says nothing of their names")
    other = [d for d in facts.devices if not any(fnmatch(d.lower(), pattern.lower()) for pattern in patterns)]
    if other:
        do = "choose the target, or the accelerator (conf/accelerator), that this is: ceilings and references "
        return DEVICES.lacks(name, f"{saw}; the target's are named {' or '.join(patterns)}", f"{do}follow from it")
    return DEVICES.ok(name, f"{saw}; {wanted}, named {' or '.join(patterns)}")


def torch_checks(torch: Torch, target: Target | None) -> list[Check]:
    """torch's build against the driver, the devices that it reckons on, and NCCL."""
    build = f"CUDA {torch.cuda}" if torch.cuda else f"ROCm {torch.hip}" if torch.hip else "CPUs only"
    saw = f"torch {torch.version}, built for {build}; " + (
        f"the driver {torch.driver or ''} knows CUDA up to {torch.driver_cuda}"
        if torch.driver_cuda
        else "no driver"
    )
    if not torch.version:
        return [
            TORCH.lacks(
                "torch",
                torch.problem or "no version",
                "install torch as pyproject.toml pins it, for the driver here",
            )
        ]
    if target is None:
        return [TORCH.ok("torch", f"torch {torch.version}, built for {build}")]
    return [_build(torch, saw), _nccl(torch)]


def _build(torch: Torch, saw: str) -> Check:
    works = f"{saw}; it reckons on {len(torch.devices)} device(s)"
    if torch.problem or not torch.devices:
        do = "install the build of torch that is for this driver and these devices (pytorch.org), or a newer driver"
        return TORCH.lacks("torch", f"{saw}; it reckons on no device: {torch.problem or 'it sees none'}", do)
    if torch.cuda and torch.driver_cuda and _version(torch.cuda) > _version(torch.driver_cuda):
        do = "nothing while it works; a driver for its CUDA version is what NVIDIA tests"
        return TORCH.warning("torch", f"{works}, by CUDA's minor-version compatibility", do)
    return TORCH.ok("torch", works)


def _nccl(torch: Torch) -> Check:
    name = "RCCL" if torch.hip else "NCCL"
    if not torch.has_nccl:
        return TORCH.lacks(name, f"torch {torch.version} was built without {name}", f"a build of torch with {name}")
    return TORCH.ok(name, f"{name} {torch.nccl or 'of unknown version'}, in torch")


def infiniband_check(facts: NodeFacts, needs: Needs) -> Check:
    """InfiniBand and RoCE ports against what the target's network promises each node."""
    spread = [t for t in needs.targets if t.nodes > 1 and t.device != "cpu" and t.scale_out is not None]
    ports = "; ".join(facts.infiniband)
    if not spread:
        return NETWORK.ok("InfiniBand", ports) if ports else NETWORK.not_checked("InfiniBand", "no devices here")
    target = spread[0]
    network = target.scale_out
    assert network is not None
    stated = network.gbit_per_node.value if network.gbit_per_node is not None else None
    saw = f"{ports or 'no devices here'}; the target's network is {network.name}"
    do = "see that the ports are up (ibstat); nothing where the network is of another kind (EFA, TCPX)"
    if not facts.infiniband_gbit:
        return NETWORK.warning("InfiniBand", f"{saw}: no port is active", do)
    if stated is not None and facts.infiniband_gbit < stated:
        saw += f", {format_figure(facts.infiniband_gbit)} of {format_figure(stated)} Gb/s per node are active"
        return NETWORK.warning("InfiniBand", saw, do)
    return NETWORK.ok("InfiniBand", saw)


def _limits(facts: NodeFacts, needs: Needs, limits: Limits) -> Iterable[Check]:
    least = int(limits.open_files.value or 0)
    saw = "unlimited" if facts.open_files is None else str(facts.open_files)
    if facts.open_files is not None and facts.open_files < least:
        do = f"ulimit -n {least} before starting, or nofile in limits.conf ({limits.open_files.source})"
        yield LIMITS.warning("open files", saw, do)
    else:
        yield LIMITS.ok("open files", saw)
    rdma = bool(facts.infiniband)
    saw = "unlimited" if facts.locked_memory is None else format_bytes(facts.locked_memory)
    if facts.locked_memory is not None and rdma:
        do = "memlock unlimited in limits.conf, and LimitMEMLOCK=infinity for slurmd: RDMA registers its buffers"
        found = LIMITS.lacks if needs.nodes > 1 else LIMITS.warning
        yield found("locked memory", saw, do)
    else:
        yield LIMITS.ok("locked memory", saw if rdma else f"{saw}; no InfiniBand here that needs more")
    yield _shared_memory(facts, limits)


def _shared_memory(facts: NodeFacts, limits: Limits) -> Check:
    least = (limits.shared_memory_gib.value or 0) * GIB
    if facts.shared_memory is None or facts.shared_memory < least:
        saw = "there is none" if facts.shared_memory is None else f"{facts.shared_memory / GIB:.3g} GiB"
        do = f"{least / GIB:g} GiB: --shm-size of the container, or mount -o remount,size=... /dev/shm "
        return LIMITS.warning("/dev/shm", saw, f"{do}({limits.shared_memory_gib.source})")
    return LIMITS.ok("/dev/shm", f"{facts.shared_memory / GIB:.3g} GiB")


def clock_check(facts: NodeFacts) -> Check:
    """Whether a service keeps the clock right."""
    if facts.clock_synchronised is None:
        return CLOCK.not_checked(
            "synchronisation", facts.clock_saw, "chrony or systemd-timesyncd keeps clocks right"
        )
    if facts.clock_synchronised:
        return CLOCK.ok("synchronisation", facts.clock_saw)
    do = "start chronyd or systemd-timesyncd: munge refuses, and logs of nodes do not fit together"
    return CLOCK.warning("synchronisation", facts.clock_saw, do)


def program_check(facts: NodeFacts, name: str, whose: str) -> Check:
    """A program that an experiment starts."""
    found = facts.programs.get(name)
    if found is None:
        return PROGRAMS.lacks(name, f"{whose} starts it, and it is not found", "install it, or name it by its path")
    return PROGRAMS.ok(name, f"{found}, for {whose}")


def _unlike(targets: Iterable[Target]) -> list[Target]:
    """Targets of different accelerators or numbers of them."""
    found: dict[tuple[str, int], Target] = {}
    for target in targets:
        found.setdefault((target.name, target.accelerators_per_node), target)
    return list(found.values())


def _counted(names: Sequence[str]) -> list[tuple[str, int]]:
    return [(name, names.count(name)) for name in dict.fromkeys(names)]


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
