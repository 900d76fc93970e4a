"""The committed fixtures of rounds v5.0, v5.1 and v6.0 whose folders are as they should be, or odd as a whole."""

from __future__ import annotations

from dataclasses import replace

from . import traps
from .fixture_set import FixtureSet
from .log import RunPlan, runs_of
from .submitter import LogFile, log_file, log_files, scaling, write

B200 = "NVIDIA Blackwell GPU (B200-SXM-180GB)"


def v50(to: FixtureSet) -> None:
    """Round v5.0: two submitters together, four accelerators a node, the slack of llama31_405b."""
    pair = to.submitter("v5.0", "Harbour+Lighthouse", "Harbour Systems, Lighthouse")
    system = pair.system(
        "hl-gb200-n16",
        accelerator_model_name="NVIDIA Blackwell GPU (GB200)",
        accelerators_per_node="4",
        number_of_nodes="16",
    )
    plan = RunPlan(5000, "llama31_405b", "v5.0", org="Harbour Systems", position=276_480)
    to.add(
        pair,
        system,
        "llama31_405b",
        log_files(runs_of(plan, spread=False)),
        "one evaluation short of the reference minimum: allowed for this benchmark; GB200 has 4 accelerators a "
        "node; a folder of two submitters",
        factor="> 1",
    )
    qct = to.submitter("v5.0", "QCT")
    system = qct.system(
        "QuantaGrid_D74H", accelerator_model_name="NVIDIA H200-SXM5-141GB", status="Available on premise"
    )
    plan = RunPlan(5020, "llama2_70b_lora", "v5.0", org="QCT", position=3072, terse=True)
    to.add(
        qct,
        system,
        "llama2_70b_lora",
        log_files(runs_of(plan)),
        "a committee's scaling.json above what the check gives; QCT is Quanta_Cloud_Technology in v5.1",
        factor="committed",
        others=scaling(1.0625),
    )
    lighthouse = to.submitter("v5.0", "Lighthouse")
    system = lighthouse.system(
        "lh-8xmi300x", accelerator_model_name="AMD Instinct MI300X 192GB HBM3", status="available on-premise"
    )
    plan = RunPlan(5060, "stable_diffusion", "v5.0", org="Lighthouse", terse=True)
    to.add(
        lighthouse,
        system,
        "stable_diffusion",
        log_files(runs_of(plan)),
        "FID and CLIP apart, by samples_count; 1024 was pruned from the reference points: interpolated",
    )
    plan = RunPlan(5080, "dlrm_dcnv2", "v5.0", org="Lighthouse", terse=True)
    to.add(
        lighthouse,
        system,
        "dlrm_dcnv2",
        log_files(runs_of(plan)),
        "batch size 65536 was pruned from the reference points: interpolated",
    )


def v51(to: FixtureSet) -> None:
    """Round v5.1: sound folders and text that real logs hold."""
    lighthouse = to.submitter("v5.1", "Lighthouse")
    system = lighthouse.system("lh-8xb200", accelerator_model_name="NVIDIA B200")
    plan = RunPlan(5100, "llama31_8b", org="Lighthouse", terse=True)
    early = [172_032, 184_320] * 5
    plans = [replace(plan, seed=5100 + k, position=at) for k, at in enumerate(early)]
    to.add(
        lighthouse,
        system,
        "llama31_8b",
        log_files(plans),
        "faster than the reference mean within the limit, no scaling.json: the tool scales on its second pass only",
        factor="> 1",
    )
    plan = RunPlan(5120, "flux1", org="Lighthouse", terse=True)
    to.add(lighthouse, system, "flux1", log_files(runs_of(plan)), "slower than the reference mean: factor 1")
    to.add(
        lighthouse,
        system,
        "retinanet",
        log_files(runs_of(RunPlan(5140, "retinanet", org="Lighthouse", terse=True, position=5))),
        "scaling.json of 1.04 although slower than the reference mean: the tool deletes it after use",
        factor="committed",
        others=scaling(1.04),
    )
    write(
        lighthouse.root / "benchmarks" / "flux1" / "implementations" / "pytorch" / "train.py",
        b'"""Not a result: the submitted code."""\n',
    )
    write(lighthouse.root / "LICENSE.md", b"Apache License 2.0\n")
    _text(to)
    _counts(to)
    _odd_folders(to)


TEXT_TRAPS = (
    traps.rank_prefixed,
    traps.stamped,
    traps.chatty,
    traps.progress_bars,
    traps.two_records_on_a_line,
    traps.latin1,
    traps.utf8,
    traps.crlf,
    traps.key_with_a_blank,
    traps.logged_twice,
)
"""What every reader has to live with, one log each."""


def _text(to: FixtureSet) -> None:
    pontoon = to.submitter("v5.1", "Pontoon")
    system = pontoon.system(
        "pt-8xmi355x", accelerator_model_name="AMD Instinct MI355X 288GB HBM3e", status="Available on-premise"
    )
    plans = runs_of(RunPlan(5200, "llama2_70b_lora", org="AMD", ranks=2))
    logs = [log_file(p, f"result_{k}.txt", trap) for k, (p, trap) in enumerate(zip(plans, TEXT_TRAPS, strict=True))]
    names = ", ".join(trap.__name__.replace("_", " ") for trap in TEXT_TRAPS)
    to.add(
        pontoon,
        system,
        "llama2_70b_lora",
        logs,
        f"a different oddity in each log, all harmless: {names}; submission_org is another company",
    )
    more = (traps.bars_before_the_token, traps.no_newline_at_end, traps.times_as_text, None, None)
    plans = runs_of(RunPlan(5220, "retinanet", org="Pontoon", terse=True))
    logs = [log_file(p, f"result_{k}.txt", trap) for k, (p, trap) in enumerate(zip(plans, more, strict=True))]
    to.add(
        pontoon,
        system,
        "retinanet",
        logs,
        "records behind a bar without a line end, no newline at the end, times as text and fractions",
    )


def _counts(to: FixtureSet) -> None:
    qct = to.submitter("v5.1", "Quanta_Cloud_Technology", "Quanta_Cloud_Technology")
    plan = RunPlan(5240, "rgat", org="QCT", terse=True)
    for runs, system, model in (
        (3, "QuantaGrid_D75E", "AMD Instinct MI325X 256GB HBM3E DLC"),
        (11, "QuantaGrid_D75F", "AMD Instinct MI325X 256GB HBM3e"),
    ):
        qct.system(system, accelerator_model_name=model)
        logs = log_files(runs_of(replace(plan, seed=plan.seed + 20 * runs), runs))
        to.add(
            qct,
            system,
            "rgat",
            logs,
            f"{runs} runs of 10: the tool scores what is there; its package check alone counts",
        )


def _odd_folders(to: FixtureSet) -> None:
    fogbank = to.submitter("v5.1", "Fogbank")
    plan = RunPlan(5300, "retinanet", org="Fogbank", terse=True)
    system = fogbank.system("fb-8xh200", accelerator_model_name="NVIDIA H200-SXM5-141GB", status="rdi")
    clean = log_files(runs_of(plan))
    backup = LogFile("result_0.txt.bak", clean[0].data, None)
    notes = {
        "README.md": b"Five runs.\n",
        "results.txt": b"not a log\n",
        backup.name: backup.data,
        "raw/result_9.txt": clean[0].data,
    }
    to.add(
        fogbank,
        system,
        "retinanet",
        clean,
        "files that are no logs: README.md, results.txt, a backup, a folder with a log",
        others=notes,
    )
    to.add(
        fogbank,
        system,
        "llama2_70b_lora",
        [],
        "an empty folder (git needs a file in it)",
        "no score",
        "",
        others={".gitkeep": b""},
    )
    plans = runs_of(RunPlan(5320, "llama31_405b", org="Fogbank", terse=True))
    logs = log_files(plans)
    to.add(fogbank, "fb-missing", "llama31_405b", logs, "no system description", "skipped", "", "")
    empty = [*logs[:2], LogFile("result_2.txt", b"", False)]
    system = fogbank.system("fb-empty-log", accelerator_model_name="NVIDIA L40S")
    to.add(
        fogbank,
        system,
        "llama31_405b",
        empty,
        "one log of three is an empty file: the tool checks convergence only if the directory happens to list "
        "it first",
        rcp="either",
    )


def v60(to: FixtureSet) -> None:
    """Round v6.0: its two new benchmarks and its new keys."""
    lighthouse = to.submitter("v6.0", "Lighthouse")
    new = {
        "lowest_numerical_precision_in_linear": "mxfp4",
        "lowest_numerical_precision_linear": "mxfp4",
        "tensor_parallelism": 2,
        "pipeline_parallelism": 4,
        "context_parallelism": 1,
        "expert_parallelism": 32,
        "micro_batch_size": 1,
        "config_filename": "config_gb300_n128.sh",
        "target_accuracy": 3.6,
    }
    system = lighthouse.system(
        "lh-gb300-n128",
        accelerator_model_name="NVIDIA Blackwell Ultra GPU (GB300)",
        accelerators_per_node="4",
        number_of_nodes="128",
    )
    plan = RunPlan(6000, "deepseekv3_671b", "v6.0", org="Lighthouse", extra=new)
    to.add(
        lighthouse,
        system,
        "deepseekv3_671b",
        log_files(runs_of(plan)),
        "the keys of v6.0: parallelism, precision, micro batch, config file",
    )
    pontoon = to.submitter("v6.0", "Pontoon")
    system = pontoon.system("pt-8xmi355x", accelerator_model_name="AMD Instinct MI355X")
    plans = runs_of(RunPlan(6020, "gpt_oss_20b", "v6.0", org="Pontoon", terse=True))
    logs = [log_file(p, f"result_{k}.txt", _with_duration) for k, p in enumerate(plans)]
    to.add(
        pontoon,
        system,
        "gpt_oss_20b",
        logs,
        "a benchmark new in v6.0; run_duration and throughput as keys of their own, run_duration as text",
    )


def _with_duration(text: str) -> bytes:
    """One stack of v6.0 logs its own duration after run_stop."""
    lines = text.splitlines()
    stop = lines[-1]
    duration = stop.replace('"run_stop"', '"run_duration"').replace("null", '"474.96s -> 7.92 minutes"')
    speed = (
        stop.replace('"run_stop"', '"throughput"').replace("null", "7.28").replace("INTERVAL_END", "POINT_IN_TIME")
    )
    return ("\n".join([*lines, duration, speed]) + "\n").encode()
