"""The committed fixtures of round v5.1 that fail: runs, convergence checks, and what the official tool dies on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from . import traps
from .fixture_set import FixtureSet
from .log import RunPlan, runs_of
from .submitter import LogFile, log_file, log_files, scaling, write
from .traps import Trap


def failed_runs(to: FixtureSet) -> None:
    """One run of five is not counted, each time for another reason."""
    breakwater = to.submitter("v5.1", "Breakwater_Computing")
    # with this batch size the factor tells whether the check took the lost run for converged, as it mostly does
    plan = RunPlan(5400, "retinanet", org="Breakwater", batch_size=320, terse=True)
    converged, not_converged, no_check = ("Pass", "> 1"), ("Pass", "1"), ("", "1")
    cases: tuple[tuple[str, str, Trap | None, Mapping[str, Any], tuple[str, str]], ...] = (
        ("truncated", "the last line ends in the middle of run_stop", traps.truncated, {}, not_converged),
        (
            "truncated-late",
            "the last line ends behind run_stop: the convergence check fails on it",
            traps.truncated_late,
            {},
            no_check,
        ),
        ("no-run-stop", "no run_stop", None, {"status": None, "reaches_target": False}, not_converged),
        (
            "aborted",
            "run_stop says aborted, the quality was not reached",
            None,
            {"status": "aborted", "reaches_target": False},
            not_converged,
        ),
        ("slow-init", "31 minutes of initialisation, status success", None, {"init_minutes": 31.0}, converged),
        ("short", "status success, the quality was not reached", None, {"reaches_target": False}, converged),
        ("swallowed", "two records on a line, run_stop the first", traps.run_stop_swallowed, {}, not_converged),
        ("torn", "a progress bar's carriage return inside a record", traps.bar_inside_a_record, {}, converged),
        (
            "trace",
            "a shell trace repeats init_start, with text behind it",
            traps.init_start_repeated,
            {},
            converged,
        ),
        (
            "trace-batch",
            "a shell trace repeats global_batch_size: the convergence check fails on it",
            traps.batch_size_repeated,
            {},
            no_check,
        ),
        ("optimiser", "another optimiser than the rules allow", None, {"extra": {"opt_name": "sgd"}}, converged),
        ("no-key", "a mandatory key is missing", None, {"without": ("eval_samples",)}, converged),
    )
    for k, (name, how, trap, change, (rcp, factor)) in enumerate(cases):
        system = breakwater.system(f"bw-{name}", accelerator_model_name="NVIDIA H100-SXM5-80GB")
        plans = runs_of(replace(plan, seed=plan.seed + 10 * k))
        plans[2] = replace(plans[2], **change)
        logs = log_files(plans)
        logs[2] = log_file(plans[2], "result_2.txt", trap, accepted=False)
        to.add(breakwater, system, "retinanet", logs, f"one run of five lost: {how}", rcp=rcp, factor=factor)
    system = breakwater.system("bw-aborted-late", accelerator_model_name="NVIDIA H100-SXM5-80GB")
    plans = runs_of(replace(plan, seed=5590))
    plans[2] = replace(plans[2], status="aborted")
    to.add(
        breakwater,
        system,
        "retinanet",
        log_files(plans),
        "one run of five aborted after the quality was reached: it is timed, but not converged for the check",
    )


def convergence(to: FixtureSet) -> None:
    """What the reference-convergence check can say, on llama31_405b with its three runs."""
    harbour = to.submitter("v5.1", "Harbour_Systems")
    cases = (
        ("between", 1728, 322_560, "batch size between two reference points: interpolated", "Pass", "> 1"),
        ("between-fast", 1728, 230_400, "too fast for the interpolated reference", "Interp. Fail", "1"),
        ("below", 576, 276_480, "batch size below the smallest: held against the smallest", "Pass", "> 1"),
        (
            "below-fast",
            576,
            230_400,
            "batch size below the smallest, and faster than the smallest allows",
            "Missing",
            "1",
        ),
        ("above", 9216, 691_200, "batch size above the largest: no reference", "Missing", "1"),
        ("fast", 1152, 230_400, "faster than the reference allows", "Fail", "1"),
        ("slack", 1152, 276_480, "passes only by the slack of one evaluation", "Pass", "> 1"),
    )
    for k, (name, batch, position, how, rcp, factor) in enumerate(cases):
        system = harbour.system(
            f"hs-gb300-{name}",
            accelerator_model_name="NVIDIA GB300",
            accelerators_per_node="4",
            number_of_nodes="18",
            status="Available Cloud",
        )
        plan = RunPlan(5600 + 10 * k, "llama31_405b", batch_size=batch, position=position, terse=True)
        to.add(harbour, system, "llama31_405b", log_files(runs_of(plan, spread=False)), how, rcp=rcp, factor=factor)
    system = harbour.system("hs-gb300-mixed", accelerator_model_name="NVIDIA GB300", accelerators_per_node="4")
    plans = runs_of(RunPlan(5690, "llama31_405b", terse=True))
    plans[1] = replace(plans[1], batch_size=2304)
    to.add(
        harbour,
        system,
        "llama31_405b",
        log_files(plans),
        "batch sizes differ between the logs: no convergence check",
        rcp="",
    )
    system = harbour.system("hs-gb300-overruled", accelerator_model_name="NVIDIA GB300", accelerators_per_node="4")
    plan = RunPlan(5700, "llama31_405b", position=230_400, terse=True)
    to.add(
        harbour,
        system,
        "llama31_405b",
        log_files(runs_of(plan, spread=False)),
        "faster than the reference allows, but admitted with a scaling.json, which the tool deletes after use",
        rcp="Fail",
        factor="committed",
        others=scaling(1.36),
    )
    system = harbour.system("hs-gb300-one-failed", accelerator_model_name="NVIDIA GB300", accelerators_per_node="4")
    plans = runs_of(RunPlan(5720, "llama31_405b", terse=True))
    plans[0] = replace(plans[0], status="aborted", reaches_target=False)
    logs = [log_file(p, f"result_{k}.txt", accepted=k > 0) for k, p in enumerate(plans)]
    to.add(
        harbour, system, "llama31_405b", logs, "one of three runs aborted: the slower of the other two is the score"
    )
    system = harbour.system("hs-8xb300", accelerator_model_name="NVIDIA B300 Blackwell Ultra GPU")
    plans = [
        RunPlan(5740 + k, "retinanet", batch_size=2048, position=at, terse=True)
        for k, at in enumerate((7, 7, 8, 7, 8))
    ]
    to.add(
        harbour,
        system,
        "retinanet",
        log_files(plans),
        "a pruned reference point: interpolated although the batch size has one",
        factor="> 1",
    )


def deadly(to: FixtureSet) -> None:
    """What the official tool dies on, each in a submitter's folder of its own, which it takes along."""
    plan = RunPlan(5800, "llama31_405b", org="Mudflat", terse=True)
    records: tuple[tuple[str, str, Trap, str], ...] = (
        ("metadata", "a record without metadata", traps.without_metadata, "KeyError"),
        ("time", "a record whose time_ms is null", traps.time_is_null, "TypeError"),
        ("value", "an evaluation whose value is text", traps.evaluation_is_text, "TypeError"),
        ("record", "JSON that is no object after the token", traps.record_is_a_number, "TypeError"),
    )
    for k, (name, how, trap, exception) in enumerate(records):
        plans = runs_of(replace(plan, seed=plan.seed + 10 * k))
        logs = log_files(plans)
        logs[1] = log_file(plans[1], "result_1.txt", trap, accepted=None)
        _dies(to, name, logs, f"one log of three has {how}", exception)
    plans = runs_of(replace(plan, seed=5860))
    logs = log_files(plans)
    logs[1] = log_file(replace(plans[1], division="Closed"), "result_1.txt", accepted=None)
    _dies(to, "division", logs, "one log of three has a division that the rules do not know", "FileNotFoundError")
    logs = log_files(runs_of(replace(plan, seed=5870)))
    _dies(to, "scaling", logs, "scaling.json is no JSON", "TypeError", {"scaling.json": b"scaling_factor: 1.02\n"})
    _dies(to, "factor", logs, "scaling.json has another key", "KeyError", {"scaling.json": b'{"factor": 1.02}'})
    _dies(
        to,
        "renamed",
        logs,
        "the folder has the benchmark's name of another round",
        "AssertionError",
        benchmark="gpt3",
    )
    logs = [LogFile(log.name, log.data.replace(b'"llama31_405b"', b'"llama4_scout"'), None) for log in logs]
    _dies(to, "unknown", logs, "a benchmark that no round has", "FileNotFoundError", benchmark="llama4_scout")
    logs = log_files(runs_of(replace(plan, seed=5880)))
    at = to.submitter("v5.1", "Mudflat_counts")
    at.system("mf-counts", accelerators_per_node="eight")
    to.add(at, "mf-counts", "llama31_405b", logs, "a count that is no number", "dies: ValueError", "", "")
    at = to.submitter("v5.1", "Mudflat_nodes")
    at.system("mf-nodes", number_of_nodes=None)
    to.add(
        at,
        "mf-nodes",
        "llama31_405b",
        logs,
        "a system description without number_of_nodes",
        "dies: NameError",
        "",
        "",
    )
    at = to.submitter("v5.1", "Mudflat_json")
    write(at.root / "systems" / "mf-json.json", b'{"submitter": "Mudflat json",\n "division": closed}\n')
    to.add(at, "mf-json", "llama31_405b", logs, "the system description is no JSON", "dies: TypeError", "", "")
    system = at.system("mf-sound", accelerator_model_name="TPU-trillium")
    to.add(
        at,
        system,
        "llama31_405b",
        log_files(runs_of(replace(plan, seed=5890))),
        "sound, but lost with the system beside it",
    )
    at = to.submitter("v5.1", "Mudflat_latin1")
    system = at.system("mf-latin1")
    path = at.root / "systems" / "mf-latin1.json"
    write(path, path.read_bytes().replace(b'"cooling": ""', '"cooling": "Flüssigkeit"'.encode("latin-1")))
    to.add(
        at, system, "llama31_405b", logs, "the system description is latin-1", "dies: UnicodeDecodeError", "", ""
    )
    at = to.submitter("v5.0", "Mudflat_metric")
    system = at.system("mf-metric", accelerator_model_name="NVIDIA A100 - PCIe - 80 GB")
    plans = runs_of(RunPlan(5900, "stable_diffusion", "v5.0", org="Mudflat", terse=True), runs=3)
    logs = log_files(plans)
    logs[1] = log_file(plans[1], "result_1.txt", traps.one_metric_missing, accepted=None)
    to.add(
        at,
        system,
        "stable_diffusion",
        logs,
        "three runs of ten; a checkpoint of one has FID but no CLIP",
        "dies: KeyError",
        "",
        "",
    )


def _dies(
    to: FixtureSet,
    name: str,
    logs: list[LogFile],
    how: str,
    exception: str,
    others: dict[str, bytes] | None = None,
    benchmark: str = "llama31_405b",
) -> None:
    at = to.submitter("v5.1", f"Mudflat_{name}")
    system = at.system(f"mf-{name}", accelerator_model_name="NVIDIA A100-SXM4-80GB")
    to.add(at, system, benchmark, logs, how, f"dies: {exception}", "", "", others=others)
