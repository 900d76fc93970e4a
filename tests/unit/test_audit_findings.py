"""The findings of an audit: the cause that is in the logs is the main one, and healthy ones have none."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from audit_logs import BY_HAND, CAPTURED
from audit_traces import Step, together, trace

from seatrial.analysis.audit.audit import Audited, audit, document
from seatrial.config.findings import FindingRules

RULES = FindingRules()


def _only(folder: Path) -> Audited:
    (found,) = audit(folder, RULES).workloads
    return found


@pytest.mark.parametrize(
    ("cause", "severity", "words", "profile"),
    [
        ("none", "none", "None found", {"own": [0.1] * 4}),
        ("straggler_node", "minor", "node-2", {"own": [0.1, 0.1, 0.14, 0.1]}),
        ("interconnect", "inconclusive", "exposed communication", {"own": [0.1] * 4, "communication": 0.08}),
        ("data_loading", "major", "for data", {"own": [0.1] * 4, "data_wait": 0.06}),
        ("framework", "major", "none of computing", {"own": [0.1] * 4, "other": 0.06}),
        ("noise", "minor", "on no particular node", {"own": [0.1] * 4, "hiccups": 0.08}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_profiles_give_the_cause_that_is_in_them(
    tmp_path: Path, cause: str, severity: str, words: str, profile: dict[str, Any]
) -> None:
    together(tmp_path / "run", **profile)
    first = _only(tmp_path / "run").findings[0]
    assert (first.cause, first.severity) == (cause, severity)
    assert words in first.title


def test_a_slow_loader_of_one_rank_is_no_slow_node_and_costs_what_all_wait_for_it(tmp_path: Path) -> None:
    draw = np.random.default_rng(5)
    for rank in range(8):
        work = draw.normal(0.39, 0.002, size=60)
        wait = 0.6 if rank == 0 else 0.0
        made = [Step(w, 1.0 - wait - w, wait) for w in work]
        document = trace(rank, 8, made, host=f"h{rank}")
        (tmp_path / f"rank{rank}.json").write_text(json.dumps(document))
    first, *others = _only(tmp_path).findings
    assert (first.cause, first.severity, first.place["host"]) == ("data_loading", "major", "h0")
    assert first.cost is not None and first.cost.value == pytest.approx(0.6, abs=0.01)
    assert "h0 waits for data" in first.title
    assert "straggler_node" not in [one.cause for one in others]


def test_a_copy_of_a_profile_counts_once(tmp_path: Path) -> None:
    together(tmp_path, [0.1] * 2, steps=20)
    content = (tmp_path / "rank0.pt.trace.json").read_bytes()
    (tmp_path / "copy.json").write_bytes(content)
    (tmp_path / "packed.json.gz").write_bytes(gzip.compress(content))
    found = _only(tmp_path)
    assert len(found.workload.traces) == 2
    assert "on 2 ranks" in found.observed.split_note
    assert sum("a copy of" in words for words in found.workload.repeated) == 2


def test_profiles_of_two_jobs_are_two_workloads(tmp_path: Path) -> None:
    for ranks in (8, 64):
        document = trace(0, ranks, [Step(0.1 * ranks)] * 6)
        (tmp_path / f"job_of_{ranks}.json").write_text(json.dumps(document))
    found = audit(tmp_path, RULES).workloads
    assert [(one.workload.name, one.observed.ranks) for one in found] == [
        ("profiles of 64 ranks", 64),
        ("profiles of 8 ranks", 8),
    ]


def test_cycles_of_a_profilers_schedule_are_stretches_of_one_run(tmp_path: Path) -> None:
    for rank in range(2):
        for cycle, begin in enumerate((2, 12)):
            document = trace(rank, 2, [Step(0.1 + cycle, 0.01)] * 10)
            for event in document["traceEvents"]:
                if (name := str(event["name"])).startswith("ProfilerStep#"):
                    event["name"] = f"ProfilerStep#{int(name.partition('#')[2]) + begin}"
            (tmp_path / f"rank{rank}.cycle{cycle}.json").write_text(json.dumps(document))
    seen = _only(tmp_path).observed
    # ten steps of 0.11 s and ten of 1.11 s, the first of each cycle left out
    assert seen.whole_seconds == pytest.approx(9 * 0.11 + 9 * 1.11)
    assert seen.split_note.startswith("of 20 profiled steps on 2 ranks")
    assert "2 stretches were profiled" in seen.split_note


def test_shares_of_profiles_are_those_that_were_put_in(tmp_path: Path) -> None:
    together(tmp_path, [0.1] * 4, communication=0.03, data_wait=0.02, other=0.05, spread=0.0)
    shares = {part: share.value for part, share in _only(tmp_path).observed.shares.items()}
    assert shares == pytest.approx({"compute": 0.5, "communication": 0.15, "data_wait": 0.1, "other": 0.25})


def _torchtitan(steps: int, save_every: int, save_seconds: float) -> str:
    """A log of steps of about 2 s, each on a line, with checkpoints."""
    now, lines = dt.datetime(2026, 3, 1), []

    def say(text: str) -> None:
        stamp = f"{now:%Y-%m-%d %H:%M:%S},{now.microsecond // 1000:03d}"
        lines.append(f"[rank0]:[titan] {stamp} - root - INFO - {text}\n")

    for step in range(1, steps + 1):
        now += dt.timedelta(seconds=2 + 0.001 * (step * 7 % 11))
        say(f"step: {step:2d}  loss:  8.9482  memory: 30.89GiB(32.51%)  tps: 6,321  tflops: 366.06  mfu: 37.01%")
        if step % save_every == 0:
            now += dt.timedelta(seconds=save_seconds + 0.01 * (step // save_every % 3))
            seconds = save_seconds + 0.01 * (step // save_every % 3)
            say(f"Finished saving the checkpoint (or staging if async is enabled)in {seconds:.2f} seconds.")
    return "".join(lines)


def test_checkpoint_messages_give_the_share_and_the_finding(tmp_path: Path) -> None:
    (tmp_path / "train.log").write_text(_torchtitan(steps=400, save_every=20, save_seconds=8.0))
    found = _only(tmp_path)
    assert found.observed.shares["checkpoint_stall"].value == pytest.approx(8.01 / 48.05, rel=0.02)
    assert found.observed.step_seconds is not None
    assert found.observed.step_seconds.value == pytest.approx(2.005, abs=2e-3)
    # nothing says whether storage or what writes to it is slow
    assert (found.findings[0].cause, found.findings[0].severity) == ("storage", "inconclusive")
    assert found.observed.productive is None
    assert any("productive fraction" in words for words in found.unknown)


def _megatron(iterations: int, slow: float) -> str:
    """A log with the timers of four ranks, of which rank 3 computes `slow` times as long, in milliseconds."""
    draw, lines = np.random.default_rng(3), []
    for step in range(1, iterations + 1):
        work = draw.normal(400.0, 2.0, size=(2, 4)) * np.array([1.0, 1.0, 1.0, slow])
        elapsed = work.sum(axis=0).max() + 50.0
        lines.append(
            f" iteration {step:8d}/ 1000 | elapsed time per iteration (ms): {elapsed:.1f} | lm loss: 7.0 |"
        )
        lines.append("times across ranks (ms):")
        waits = work.sum(axis=0).max() - work.sum(axis=0) + 40.0
        for name, ranks in (("forward-compute", work[0]), ("backward-compute", work[1]), ("all-grads-sync", waits)):
            lines.append(f"  {name}:")
            lines += [f"     rank {rank:2d}: {value:.2f}" for rank, value in enumerate(ranks)]
    return "".join(f"{line}\n" for line in lines)


def test_megatrons_timers_of_every_rank_name_the_slow_one(tmp_path: Path) -> None:
    (tmp_path / "train.log").write_text(_megatron(iterations=200, slow=1.3))
    found = _only(tmp_path)
    assert found.observed.ranks == 4
    assert (found.findings[0].cause, found.findings[0].severity) == ("straggler_node", "minor")
    assert "rank 3" in found.findings[0].title
    # three of four ranks wait for 240 ms of 1,090
    assert found.observed.shares["communication"].value == pytest.approx((40 + 0.75 * 240) / 1090, rel=0.02)


def test_timers_of_a_restarted_log_belong_to_their_stretch(tmp_path: Path) -> None:
    lines = [
        f" iteration {step:8d}/ 40 | elapsed time per iteration (ms): {seconds * 1000:.1f} | lm loss: 7.0 |\n"
        f" time (ms) | forward-compute: {seconds * 300:.2f} | backward-compute: {seconds * 600:.2f}\n"
        for seconds in (1, 10)
        for step in range(1, 41)
    ]
    (tmp_path / "train.log").write_text("".join(lines))
    seen = _only(tmp_path).observed
    assert seen.shares["compute"].value == pytest.approx(0.9)
    assert seen.whole_seconds == pytest.approx(39 * 1 + 39 * 10)


def test_megatrons_batch_generator_of_one_rank_is_its_loader(tmp_path: Path) -> None:
    draw, lines = np.random.default_rng(3), []
    for step in range(1, 101):
        lines.append(f" iteration {step:8d}/ 100 | elapsed time per iteration (ms): 1100.0 | lm loss: 7.0 |")
        lines.append("times across ranks (ms):")
        for name, slow, usual in (("forward-compute", 700, 300), ("backward-compute", 300, 300)):
            lines += [
                f"  {name}:",
                *(f"     rank {r:2d}: {draw.normal(usual if r else slow, 1):.2f}" for r in range(4)),
            ]
        lines += ["  batch-generator:", *(f"     rank {r:2d}: {5.0 if r else 405.0:.2f}" for r in range(4))]
    (tmp_path / "train.log").write_text("".join(f"{line}\n" for line in lines))
    first = _only(tmp_path).findings[0]
    assert (first.cause, first.place["ranks"]) == ("data_loading", [0])
    assert first.cost is not None and first.cost.value == pytest.approx(405 / 1100, rel=0.02)


def test_megatrons_timers_of_equal_ranks_name_none(tmp_path: Path) -> None:
    (tmp_path / "train.log").write_text(_megatron(iterations=200, slow=1.0))
    assert [(f.cause, f.severity) for f in _only(tmp_path).findings] == [("none", "none")]


def test_a_profile_with_the_log_beside_it_has_the_checkpoints_of_the_whole_training(tmp_path: Path) -> None:
    together(tmp_path, [0.1] * 4)
    (tmp_path / "train.log").write_text(_torchtitan(steps=400, save_every=20, save_seconds=8.0))
    found = _only(tmp_path).observed
    assert found.shares["checkpoint_stall"].value == pytest.approx(8.01 / 48.05, rel=0.02)
    assert found.shares["compute"].value == pytest.approx(0.901 * (1 - 8.01 / 48.05), rel=0.01)
    assert found.step_seconds is not None
    assert found.step_seconds.value == pytest.approx(2.005, abs=2e-3)


def test_a_kernel_that_ran_is_no_productive_fraction(tmp_path: Path) -> None:
    for name in ("nvidia_smi_query_v100.csv", "nvidia_smi_dmon_four_blackwell.log"):
        (tmp_path / name).write_bytes((CAPTURED / name).read_bytes())
    found = _only(tmp_path)
    assert (found.findings[0].cause, found.findings[0].severity) == ("none", "not_known")
    assert found.observed.productive is None
    assert any("no productive fraction" in words for words in found.unknown)


def test_clocks_that_are_held_down_on_most_devices_are_found(tmp_path: Path) -> None:
    rows = "".join(f"{d}, 99 %, 1300 MHz, Active\n" * 20 for d in range(4)) + "4, 99 %, 1755 MHz, Not Active\n" * 20
    heading = "index, utilization.gpu [%], clocks.current.sm [MHz], clocks_throttle_reasons.sw_power_cap\n"
    (tmp_path / "smi.csv").write_text(heading + rows)
    first = _only(tmp_path).findings[0]
    assert first.cause == "compute"
    assert "held down" in first.title


HEADING = (
    "index, utilization.gpu [%], clocks.sm [MHz], temperature.gpu, clocks_throttle_reasons.sw_thermal_slowdown\n"
)


def test_one_hot_device_is_named_by_its_file_beside_the_same_number_on_another_host(tmp_path: Path) -> None:
    for host, hot in (("nodeA", 0), ("nodeB", None)):
        rows = [
            f"{d}, 99 %, {900 if d == hot else 1980} MHz, {95 if d == hot else 60}, "
            f"{'Active' if d == hot else 'Not Active'}\n"
            for _ in range(20)
            for d in range(2)
        ]
        (tmp_path / f"{host}.csv").write_text(HEADING + "".join(rows))
    found = _only(tmp_path)
    (first,) = found.findings
    assert (first.cause, first.severity, first.cost) == ("compute", "minor", None)
    assert (first.place["host"], first.place["device"]) == ("the host of nodeA.csv", "GPU 0")
    assert "54.5 %" in first.title
    assert len(found.observed.telemetry) == 4


def test_devices_of_several_hosts_in_one_file_are_told_apart_by_their_uuid(tmp_path: Path) -> None:
    heading = "index, uuid, clocks.sm [MHz]\n"
    (tmp_path / "all.csv").write_text(heading + "0, GPU-aa, 900 MHz\n0, GPU-bb, 1980 MHz\n" * 3)
    assert {one.device: one.sm_clock for one in _only(tmp_path).observed.telemetry} == {
        "GPU 0 GPU-aa": 900.0,
        "GPU 0 GPU-bb": 1980.0,
    }


def test_an_idle_device_with_a_low_clock_is_not_judged(tmp_path: Path) -> None:
    (tmp_path / "dcgmi.txt").write_bytes((CAPTURED / "dcgmi_dmon_rtx2080ti.txt").read_bytes())
    assert _only(tmp_path).observed.telemetry == ()


def test_an_error_of_a_device_is_a_failed_node_and_the_end_of_a_job_is_not(tmp_path: Path) -> None:
    for name, folder in (("kernel_xid_by_hand.log", BY_HAND), ("megatron_gpt2_64xv100.out", CAPTURED)):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    found = _only(tmp_path)
    assert [(finding.cause, finding.place.get("host")) for finding in found.findings] == [("failed_node", "node-7")]
    # the batch step's host printed that the time was up: it is not accused
    assert {(failure.kind, failure.host) for failure in found.observed.failures} == {
        ("xid", "node-7"),
        ("crashed", None),
        ("timeout", None),
    }


FAILED = "srun: error: Node failure on r7i6n3\n"
ENDED = (
    "error: *** STEP 1943824.0 ON r7i2n0 CANCELLED AT 2022-02-17T05:34:32 DUE TO NODE FAILURE, SEE SLURMCTLD LOG"
)


@pytest.mark.parametrize("before", ["slurmstepd: ", "0: slurmstepd: ", "[2022-02-17T05:34:32.113] "])
def test_the_failed_node_is_blamed_and_not_the_one_that_lives_to_tell(tmp_path: Path, before: str) -> None:
    """slurmstepd prints on a node that is alive; srun names the one that failed."""
    ended = f"{before}{ENDED} FOR DETAILS ***\n"
    (tmp_path / "named.err").write_text(FAILED + ended)
    (found,) = _only(tmp_path).findings
    assert (found.cause, found.place.get("host")) == ("failed_node", "r7i6n3")
    (tmp_path / "named.err").write_text(ended)
    (found,) = _only(tmp_path).findings
    assert (found.cause, found.place.get("host")) == ("failed_node", None)
    assert "whose name is not known" in found.title


def test_a_line_of_ten_steps_counts_as_ten_and_hides_single_stalls(tmp_path: Path) -> None:
    (tmp_path / "train.log").write_bytes((CAPTURED / "torchtitan_llama3_8b_8xh100.log").read_bytes())
    found = _only(tmp_path)
    assert found.observed.whole_seconds == pytest.approx(12.961 + 13.003 + 13.022)
    assert found.observed.step_seconds is not None
    assert found.observed.step_seconds.value == pytest.approx(1.3003)
    assert found.observed.noise is None
    assert any("mean of several steps" in words for words in found.unknown)


def test_captured_timers_of_megatron_say_where_the_time_went(tmp_path: Path) -> None:
    (tmp_path / "train.out").write_bytes((CAPTURED / "megatron_gpt2_64xv100.out").read_bytes())
    found = _only(tmp_path).observed
    # of iterations 2 to 4, the first being left out as warm-up
    whole = 123.8963 + 124.3622 + 122.224
    assert found.whole_seconds == pytest.approx(whole)
    assert found.shares["communication"].value == pytest.approx((16.41763 + 16.77479 + 14.59281) / whole)
    assert found.productive is not None
    assert found.productive.value == pytest.approx((107.25186 + 107.36373 + 107.4072) / whole)


def test_a_state_and_a_print_of_one_run_are_one_run(tmp_path: Path) -> None:
    for name in ("huggingface_trainer.log", "huggingface_trainer_state.json"):
        (tmp_path / name).write_bytes((CAPTURED / name).read_bytes())
    earlier = json.loads((CAPTURED / "huggingface_trainer_state.json").read_text())
    earlier |= {"global_step": 10, "log_history": earlier["log_history"][:2]}
    (tmp_path / "checkpoint-10").mkdir()
    (tmp_path / "checkpoint-10" / "trainer_state.json").write_text(json.dumps(earlier))
    found = _only(tmp_path)
    assert found.observed.runs == 1
    assert found.observed.step_seconds is not None
    assert found.observed.step_seconds.value == pytest.approx(0.3209 / 20)
    assert len(found.workload.repeated) == 2


def test_folders_and_programs_are_workloads_of_their_own(tmp_path: Path) -> None:
    for folder, name in (("a", "megatron_gpt2_64xv100.out"), ("b", "torchtitan_llama3_8b_8xh100.log")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_bytes((CAPTURED / name).read_bytes())
        (tmp_path / name).write_bytes((CAPTURED / name).read_bytes())
    names = [one.workload.name for one in audit(tmp_path, RULES).workloads]
    assert names == ["Megatron-LM", "torchtitan", "a", "b"]


def test_the_same_logs_give_the_same_document(tmp_path: Path) -> None:
    together(tmp_path / "run", [0.1, 0.1, 0.14, 0.1])
    said = [json.dumps(document(audit(tmp_path / "run", RULES)), allow_nan=False) for _ in range(2)]
    assert said[0] == said[1]
