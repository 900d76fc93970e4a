"""The committed fixtures of rounds v3.1, v4.0 and v4.1."""

from __future__ import annotations

from dataclasses import replace

from .fixture_set import FixtureSet
from .log import MS_PER_MINUTE, ROUND_START_MS, RunPlan, runs_of
from .submitter import LogFile, SubmitterFolder, log_file, log_files, node_power_log, scaling, switch_power_log

H100 = "NVIDIA H100-SXM5-80GB"


def v31(to: FixtureSet) -> None:
    """Round v3.1: positions of stable_diffusion in steps, machines without accelerators, the open division."""
    lighthouse = to.submitter("v3.1", "Lighthouse")
    system = lighthouse.system("lh-8xh100-sxm5", accelerator_model_name="NVIDIA H100 80GB HBM3", status="onprem")
    plan = RunPlan(3100, "bert", "v3.1", org="Lighthouse", batch_size=2304, position=2_560_000, terse=True)
    to.add(
        lighthouse,
        system,
        "bert",
        log_files(runs_of(plan)),
        "batch size between two reference points; positions are samples, logged as epoch_num; no scaling.json "
        "although the check gives a factor (two-pass bug)",
        factor="> 1",
    )
    plan = RunPlan(
        3120, "stable_diffusion", "v3.1", org="Lighthouse", batch_size=2048, position=4_096_000, terse=True
    )
    to.add(
        lighthouse,
        system,
        "stable_diffusion",
        log_files(runs_of(plan)),
        "FID and CLIP logged apart and in any order, by step_num; the first checkpoint that passes both counts, "
        "not the last; run_stop is dated back",
    )
    northcape = to.submitter("v3.1", "Northcape_Labs")
    cpu = {
        "accelerators_per_node": "0",
        "number_of_nodes": "16",
        "host_processor_model_name": "Intel(R) Xeon(R) Platinum 8480+",
    }
    system = northcape.system("nc-32xspr", accelerator_model_name="", status="preview", **cpu)
    plan = RunPlan(3140, "ssd", "v3.1", org="Northcape", terse=True)
    to.add(
        northcape,
        system,
        "ssd",
        log_files(runs_of(plan)),
        "no accelerators: accelerators_per_node 0, an empty model name",
    )
    system = northcape.system(
        "nc-32xspr-open", accelerator_model_name="N/A", division="open", status="Preview", **cpu
    )
    plan = replace(plan, seed=3150, division="open", reaches_target=False, extra={"opt_name": "sgd"})
    to.add(
        northcape,
        system,
        "ssd",
        log_files(runs_of(plan)),
        "open division: another optimiser and a quality short of the target are allowed, no convergence check",
        rcp="",
    )


def v40(to: FixtureSet) -> None:
    """Round v4.0: twins with power logs, 40 runs of unet3d, gnn, gpt3."""
    _twins(to)
    _unet3d(to)
    lighthouse = to.submitter("v4.0", "Lighthouse")
    one = lighthouse.system(
        "lh-8xh100", accelerator_model_name="NVIDIA H100-SXM-80GB", status="Available on-premise"
    )
    many = lighthouse.system(
        "lh-512xh100", accelerator_model_name=H100, number_of_nodes="64", status="Available onprem"
    )
    plan = RunPlan(4000, "gnn", "v4.0", org="SUBMISSION_ORG_PLACEHOLDER", terse=True)
    to.add(
        lighthouse,
        one,
        "gnn",
        log_files(runs_of(plan)),
        "gnn: the name of rgat up to v4.1; positions are fractions of an epoch; submission_org is a placeholder",
    )
    plan = RunPlan(4040, "gpt3", "v4.0", org="Lighthouse", ranks=4)
    to.add(
        lighthouse,
        many,
        "gpt3",
        log_files(runs_of(plan)),
        "three runs; positions in tokens; every rank logs cache_clear and init_start",
    )


def _twins(to: FixtureSet) -> None:
    """One system listed three times, to show power measured in two ways; four of five runs are the same."""
    plans = runs_of(RunPlan(4100, "ssd", "v4.0", org="TL", platform="1xTL-H100", batch_size=256, terse=True))
    others = [*plans[:4], replace(plans[4], seed=4190)]
    same = {"accelerator_model_name": H100, "status": "cloud", "cooling": "immersion"}
    tideline = to.submitter("v4.0", "Tideline", "Tideline Cloud")
    tideline.system("1xTL-H100-SXM-80GB", **same)
    logs = log_files(plans, job=4951)
    to.add(
        tideline,
        "1xTL-H100-SXM-80GB",
        "ssd",
        logs,
        "named result_<jobid>_<n>.txt; one system listed three times (with tideline-ac-power and -dc-power); "
        "committed scaling.json, where the check gives 1",
        factor="committed",
        others=scaling(1.0347222),
    )
    logs = log_files(others, job=4951)
    to.add(
        _twin(to, "tideline-ac-power", "1xTL-H100-AC-Power", same),
        "1xTL-H100-SXM-80GB",
        "ssd",
        logs,
        "twin; a power log whose start and stop have the same time",
        factor="committed",
        others=scaling(1.0347222) | _power(logs, plans, stop=("coincides", "yes")),
        power="dies: ZeroDivisionError",
    )
    logs = log_files(plans, job=4951)
    to.add(
        _twin(to, "tideline-dc-power", "1xTL-H100-DC-Power", same),
        "1xTL-H100-SXM-80GB",
        "ssd",
        logs,
        "twin; power logs without stop: the last reading ends the measurement",
        factor="committed",
        others=scaling(1.0347222) | _power(logs, plans, stop=("no", "no")),
        power="energy",
    )
    breakwater = to.submitter("v4.0", "Breakwater_Computing")
    breakwater.system("bw-8xh100-power", accelerator_model_name=H100, status="Available cloud")
    plans = runs_of(RunPlan(4120, "ssd", "v4.0", org="Breakwater", terse=True))
    logs = log_files(plans)
    to.add(
        breakwater,
        "bw-8xh100-power",
        "ssd",
        logs,
        "power of two nodes with conversion_eff, and of a switch",
        others=_power(logs, plans, stop=("yes", "yes"), switch=True),
        power="energy",
    )
    quay = to.submitter("v4.0", "Quay")
    quay.system("qy-8xh100-pcie", accelerator_model_name="NVIDIA H100-PCIe-80GB", status="Cloud")
    plans = runs_of(RunPlan(4140, "ssd", "v4.0", org="Quay", terse=True))
    logs = log_files(plans)
    power = {name: data for name, data in _power(logs, plans, switch=True).items() if "result_2/node" not in name}
    to.add(
        quay,
        "qy-8xh100-pcie",
        "ssd",
        logs,
        "one run's power folder has no node_*.txt",
        others=power,
        power="dies: AssertionError",
    )


def _twin(to: FixtureSet, folder: str, name: str, same: dict[str, str]) -> SubmitterFolder:
    at = to.submitter("v4.0", folder, "Tideline Cloud")
    at.system("1xTL-H100-SXM-80GB", system_name=name, **same)
    return at


def _power(
    logs: list[LogFile], plans: list[RunPlan], stop: tuple[str, str] = ("yes", "yes"), switch: bool = False
) -> dict[str, bytes]:
    """Power files of each run; `stop` is that of the first and of the other runs."""
    files = {}
    for i, (log, plan) in enumerate(zip(logs, plans, strict=True)):
        folder = f"power/{log.name.removesuffix('.txt')}"
        start = ROUND_START_MS[plan.round] + i * 3_600_000
        duration = 30.0 * MS_PER_MINUTE
        files[f"{folder}/node_0.txt"] = node_power_log(
            start, duration, 5600 + 40 * i, stop=stop[i > 0], efficiency=0.94 if switch else None
        )
        if switch:
            files[f"{folder}/node_1.txt"] = node_power_log(
                start + 700, duration, 5500 + 30 * i, readings=9, efficiency=0.95
            )
            files[f"{folder}/sw_0.txt"] = switch_power_log(start, 350.0, 0.92)
    return files


def _unet3d(to: FixtureSet) -> None:
    """40 runs, of which four may fail."""
    breakwater = to.submitter("v4.0", "Breakwater_Computing")
    plan = RunPlan(4200, "unet3d", "v4.0", org="Breakwater", terse=True)
    cases = (
        (
            4,
            40,
            "bw-8xgaudi2",
            "Intel Gaudi2",
            "four of 40 runs aborted, the most that counts; Gaudi2 in one spelling",
        ),
        (
            5,
            8,
            "bw-16xgaudi2",
            "Intel(R) Gaudi(R) 2 AI Accelerator",
            "five runs aborted, one too many (only 8 of the 40 are kept here); Gaudi2 in the other spelling",
        ),
    )
    for failed, runs, system, model, how in cases:
        breakwater.system(
            system, accelerator_model_name=model, number_of_nodes=str(failed - 3), status="Available cloud"
        )
        plans = runs_of(replace(plan, seed=plan.seed + 100 * failed), runs)
        plans[3 : 3 + failed] = [replace(p, status="aborted", reaches_target=False) for p in plans[3 : 3 + failed]]
        logs = [log_file(p, f"result_{k}.txt", accepted=p.status == "success") for k, p in enumerate(plans)]
        to.add(
            breakwater,
            system,
            "unet3d",
            logs,
            how,
            official="score" if failed == 4 else "no score",
            rcp="Pass" if failed == 4 else "Unknown state",
        )


def v41(to: FixtureSet) -> None:
    """Round v4.1: one failed run of ten, two of five, job ids in names."""
    quay = to.submitter("v4.1", "Quay", "Quay Computing GmbH")
    nvl = quay.system("qy-8xh200-nvl", accelerator_model_name="NVIDIA H200-NVL-141GB", status="research")
    plans = runs_of(RunPlan(4300, "bert", "v4.1", org="Quay", terse=True, position=2_300_000))
    plans[6] = replace(plans[6], status="aborted", reaches_target=False)
    logs = [log_file(p, f"result_{k}.txt", accepted=p.status == "success") for k, p in enumerate(plans)]
    to.add(
        quay,
        nvl,
        "bert",
        logs,
        "one run of ten aborted: the slowest in time and convergence; submitter field unlike the folder",
        factor="> 1",
    )
    plans = runs_of(RunPlan(4320, "ssd", "v4.1", org="Quay", terse=True))
    plans[1:3] = [replace(p, status=None, reaches_target=False) for p in plans[1:3]]
    logs = [log_file(p, f"result_{k}.txt", accepted=p.status == "success") for k, p in enumerate(plans)]
    to.add(
        quay,
        nvl,
        "ssd",
        logs,
        "two runs of five without run_stop: no result",
        official="no score",
        rcp="Unknown state",
    )
    pontoon = to.submitter("v4.1", "Pontoon")
    system = pontoon.system(
        "pt-8xh100-nvl",
        accelerator_model_name="H100 NVL Tensor Core GPU (PCIe)",
        status="Research, Development, or Internal (RDI)",
    )
    logs = log_files(runs_of(RunPlan(4340, "ssd", "v4.1", org="Pontoon", terse=True, batch_size=320)), job=77)
    to.add(
        pontoon,
        system,
        "ssd",
        logs,
        "ssd: retinanet's name up to v4.1; names with a job id; no scaling.json although the check gives a factor",
        factor="> 1",
    )
