"""A command as a workload: its lines become measurements while it runs, and whatever becomes of it is said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from external_cases import TITAN_RUN, attempt, external, goal, mlperf_run, program, samples

from seatrial import mllog
from seatrial.config.training import External
from seatrial.record import Measurement
from seatrial.train.external.readings import Readings

pytestmark = pytest.mark.timeout(90)


def failure(workload: dict[str, Any], folder: Path) -> tuple[str, str]:
    """Kind and words of a run that has to fail."""
    _, problem = attempt(workload, folder)
    assert problem is not None, "it completed"
    return problem.kind, str(problem)


def test_the_official_parser_reads_the_copy_of_the_log(tmp_path: Path) -> None:
    from mlperf_logging.compliance_checker.mlp_parser import parse_file

    _, problem = attempt(mlperf_run(tmp_path, "success", "4.0,1.0"), tmp_path)
    assert problem is None
    lines, broken = parse_file(str(tmp_path / "records" / "0.mllog"), ruleset="5.1.0")
    assert not broken
    assert [line.key for line in lines][-4:] == ["eval_start", "eval_accuracy", "eval_stop", "run_stop"]


def test_an_mlperf_log_becomes_times_quality_and_speed(tmp_path: Path) -> None:
    ctx, problem = attempt(mlperf_run(tmp_path, "success", "4.0,2.0,1.0", 0.2, quality=goal(1.5)), tmp_path)
    assert problem is None
    lines = list(mllog.read_lines(tmp_path / "records" / "0.mllog"))
    at = {line.key: line.time_ms for line in lines if isinstance(line, mllog.LogLine)}
    assert samples(ctx, "mlperf.time_to_train") == [pytest.approx((at["run_stop"] - at["run_start"]) / 60000)]
    assert samples(ctx, "mlperf.throughput") == [100.0, 101.0, 102.0]
    assert samples(ctx, "mlperf.evaluation_loss") == [4.0, 2.0, 1.0]
    assert samples(ctx, "train.training_loss") == [4.0, 2.0, 1.0]
    assert ctx.quality is not None and ctx.quality.crossing is not None
    # 2.0 after 8 samples, 1.0 after 16; ln(2 / 1.5) / ln(2 / 1) of the way
    assert ctx.quality.crossing["samples"] == pytest.approx(8 + 8 * 0.41504, rel=1e-4)
    # three trainings and three evaluations of 0.2 s each: the training clock leaves the evaluations out
    (minutes,) = samples(ctx, "train.time_to_evaluation")
    assert 0.6 <= minutes * 60 < 0.6 + 0.5 * 0.6
    assert samples(ctx, "mlperf.time_to_train")[0] * 60 >= 1.2
    facts = ctx.facts["external"]
    assert facts["command"][-1] == "7", "the seed has taken its place in the command"
    assert (facts["exit_status"], facts["lines_unread"], facts["lines_broken"]) == (0, 1, 0)
    assert facts["lines_read"] == len(lines)


def test_torchtitans_lines_become_tokens_per_second_of_all_devices(tmp_path: Path) -> None:
    workload = external(
        program(tmp_path, TITAN_RUN), format="torchtitan", devices=4, quality=goal(6.5, "evaluation_loss")
    )
    ctx, problem = attempt(workload, tmp_path)
    assert problem is None
    assert samples(ctx, "train.throughput") == [4 * 5001.0, 4 * 5010.0, 4 * 5020.0]
    assert samples(ctx, "train.training_loss") == [8.9, 8.0, 7.0]
    assert samples(ctx, "external.memory") == [1.21] * 3
    assert samples(ctx, "external.mfu") == [pytest.approx(0.0004)] * 3
    assert not samples(ctx, "external.tflops"), "its lines do not state any"
    assert samples(ctx, "train.evaluation_loss") == [7.9, 7.0, 6.0]
    assert ctx.quality is not None and ctx.quality.crossing is not None
    assert 10 < ctx.quality.crossing["step"] < 20
    # validated 0.25, 0.5 and 0.75 s after the training began, and read within a poll of that
    (seconds,) = (minutes * 60 for minutes in samples(ctx, "train.time_to_evaluation"))
    assert 0.4 < seconds < 1.3
    assert not (tmp_path / "records" / "0.mllog").exists()


def test_lines_are_read_while_the_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[int] = set()
    measurements = Readings.measurements

    def noted(self: Readings, workload: External) -> list[Measurement]:
        seen.add(len(self.evaluations))
        return measurements(self, workload)

    monkeypatch.setattr(Readings, "measurements", noted)
    _, problem = attempt(mlperf_run(tmp_path, "success", ",".join(["2.0"] * 8), 0.2), tmp_path)
    assert problem is None
    assert len(seen) >= 4, "evaluations came one after the other"


def test_a_command_is_stopped_at_its_quality_where_that_is_asked_for(tmp_path: Path) -> None:
    begin = time.monotonic()
    losses = ",".join(["3.0", "1.0", *["0.9"] * 400])
    workload = mlperf_run(tmp_path, "success", losses, 0.1, quality=goal(1.5), stop_at_quality=True)
    ctx, problem = attempt(workload, tmp_path)
    assert problem is None
    assert time.monotonic() - begin < 30
    assert ctx.facts["external"]["stopped"] and ctx.facts["external"]["exit_status"] == -signal.SIGTERM
    assert samples(ctx, "train.time_to_quality") and not samples(ctx, "mlperf.time_to_train")


def test_without_a_quality_a_run_that_ends_well_is_complete(tmp_path: Path) -> None:
    ctx, problem = attempt(mlperf_run(tmp_path, "success", "4.0,3.0"), tmp_path)
    assert problem is None and ctx.quality is None
    assert samples(ctx, "mlperf.time_to_train") and not samples(ctx, "train.time_to_quality")


def test_a_quality_that_is_not_met_is_told_with_the_best(tmp_path: Path) -> None:
    kind, words = failure(mlperf_run(tmp_path, "success", "4.0,2.0,3.0", quality=goal(1.5)), tmp_path)
    assert (kind, words) == ("target_not_reached", "eval_loss reached 2, not the target of 1.5")


@pytest.mark.parametrize(("losses", "kind"), [("4.0,2.0", "target_not_reached"), ("4.0,1.0", "cancelled")])
def test_a_run_that_says_aborted_is_not_complete(tmp_path: Path, losses: str, kind: str) -> None:
    found, words = failure(mlperf_run(tmp_path, "aborted", losses, quality=goal(1.5)), tmp_path)
    assert found == kind and "run_stop says aborted" in words


def test_a_loss_that_is_not_a_number_has_diverged_and_what_came_before_is_kept(tmp_path: Path) -> None:
    ctx, problem = attempt(mlperf_run(tmp_path, "aborted", "4.0,nan", quality=goal(1.5)), tmp_path)
    assert problem is not None
    assert problem.kind == "diverged" and "is nan at samples_count 8" in str(problem)
    assert samples(ctx, "mlperf.evaluation_loss") == [4.0]


def test_a_log_of_another_benchmark_is_a_wrong_result(tmp_path: Path) -> None:
    kind, words = failure(mlperf_run(tmp_path, "success", "4.0", benchmark="bert"), tmp_path)
    assert (kind, words) == ("wrong_result", "the log is of llama2_70b_lora, the workload of bert")


def test_a_command_that_says_nothing_readable_is_never_complete(tmp_path: Path) -> None:
    ctx, problem = attempt(external(program(tmp_path, "print('fine'); print('done')")), tmp_path)
    assert problem is not None
    assert problem.kind == "wrong_result"
    assert "no line was recognised: none of 2 lines of standard_output" in str(problem)
    assert ctx.measurements == [] and ctx.facts["external"]["lines_unread"] == 2


def test_lines_without_a_figure_are_never_complete(tmp_path: Path) -> None:
    text = "from mlperf_logging import mllog; mllog.get_mllogger().event('cache_clear', True)"
    kind, words = failure(external(program(tmp_path, text)), tmp_path)
    assert (kind, words) == ("wrong_result", "1 lines were recognised, but none of them holds a figure")


def test_a_crash_is_told_with_exit_code_and_last_lines(tmp_path: Path) -> None:
    text = "import sys\nprint('about to begin')\nsys.stderr.write('the widget broke\\n')\nsys.exit(3)"
    kind, words = failure(external(program(tmp_path, text)), tmp_path)
    assert kind == "crashed"
    assert "ended with exit code 3" in words and words.endswith("about to begin\nthe widget broke")


def test_a_signal_is_named(tmp_path: Path) -> None:
    kind, words = failure(external(program(tmp_path, "import os\nos.kill(os.getpid(), 11)")), tmp_path)
    assert kind == "crashed" and "was killed by SIGSEGV; it said nothing" in words
    kind, words = failure(external(program(tmp_path, "raise SystemExit(137)")), tmp_path)
    assert kind == "crashed" and "exit code 137 (128 + SIGKILL)" in words


def test_a_lack_of_memory_is_told_from_what_the_command_said(tmp_path: Path) -> None:
    text = "raise RuntimeError('CUDA out of memory. Tried to allocate 2.00 GiB')"
    kind, words = failure(external(program(tmp_path, text)), tmp_path)
    assert kind == "out_of_memory" and "Tried to allocate 2.00 GiB" in words


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    kind, words = failure(external(["no-such-program"]), tmp_path)
    assert kind == "crashed" and "could not be started" in words and "no-such-program" in words
    missing = external(["true"], working_directory=str(tmp_path / "nowhere"))
    assert "nowhere" in failure(missing, tmp_path)[1]


def test_half_a_line_is_counted_and_what_came_before_is_kept(tmp_path: Path) -> None:
    text = """
        import os, sys
        from mlperf_logging import mllog
        logger = mllog.get_mllogger()
        logger.start("run_start")
        logger.event("eval_accuracy", 4.0, metadata={"samples_count": 8})
        sys.stdout.write(':::MLLOG {"namespace": "", "time_ms": 17000000')
        sys.stdout.flush()
        os.kill(os.getpid(), 9)
    """
    ctx, problem = attempt(external(program(tmp_path, text)), tmp_path)
    assert problem is not None and problem.kind == "crashed" and "SIGKILL" in str(problem)
    assert samples(ctx, "mlperf.evaluation_loss") + samples(ctx, "mlperf.evaluation_accuracy") == [4.0]
    assert (ctx.facts["external"]["lines_read"], ctx.facts["external"]["lines_broken"]) == (2, 1)
    assert len((tmp_path / "records" / "0.mllog").read_bytes().splitlines()) == 2


def test_a_command_that_ignores_term_is_killed_at_the_time_limit_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seatrial.train.external.process.GRACE_SECONDS", 0.5)
    text = """
        import os, signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stray = subprocess.Popen([sys.executable, "-c", "import signal, time; "
            "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"], start_new_session=True)
        open(os.environ["SEATRIAL_FOLDER"] + "/pids", "w").write(f"{os.getpid()} {stray.pid}")
        print(':::MLLOG {"key": "eval_accuracy", "value": 0.5, "time_ms": 1, "event_type": "POINT_IN_TIME"}')
        time.sleep(600)
    """
    ctx, problem = attempt(external(program(tmp_path, text), time_limit_minutes=0.05), tmp_path)
    assert problem is not None and problem.kind == "timeout"
    assert "near the time limit of 0.05" in str(problem)
    assert samples(ctx, "mlperf.evaluation_accuracy") == [0.5]
    pids = [int(word) for word in (tmp_path / "records/0.external/pids").read_text().split()]
    assert len(pids) == 2 and not any(psutil.pid_exists(pid) for pid in pids)


def test_what_a_command_leaves_behind_is_ended_and_counted(tmp_path: Path) -> None:
    text = """
        import os, subprocess, sys
        stray = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
        open(os.environ["SEATRIAL_FOLDER"] + "/pid", "w").write(str(stray.pid))
        print(':::MLLOG {"key": "eval_accuracy", "value": 0.5, "time_ms": 1, "event_type": "POINT_IN_TIME"}')
    """
    ctx, problem = attempt(external(program(tmp_path, text)), tmp_path)
    assert problem is None and ctx.facts["external"]["processes_left_behind"] == 1
    assert not psutil.pid_exists(int((tmp_path / "records/0.external/pid").read_text()))


def test_a_command_never_outlives_the_rank_that_started_it(tmp_path: Path) -> None:
    child = program(
        tmp_path, f"import os, time\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"
    )
    text = f"""
        import os, time
        from pathlib import Path
        from seatrial.train.external.process import Command
        command = Command({child!r}, dict(os.environ), Path("."), Path({str(tmp_path / "out")!r}))
        time.sleep(600)
    """
    rank = subprocess.Popen(program(tmp_path, text, "rank.py"))
    try:
        pid = int(_eventually(lambda: (tmp_path / "pid").read_text() if (tmp_path / "pid").exists() else ""))
        assert psutil.pid_exists(pid)
    finally:
        rank.kill()
        rank.wait()
    _eventually(lambda: "gone" if not psutil.pid_exists(pid) else "")


def _eventually(asked: Any, seconds: float = 20.0) -> str:
    deadline = time.monotonic() + seconds
    while not (answer := asked()):
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.05)
    return str(answer)


def test_the_command_has_its_environment_and_a_folder_that_is_empty_at_first(tmp_path: Path) -> None:
    text = """
        import json, os, sys
        folder = os.environ["SEATRIAL_FOLDER"]
        said = {"environment": dict(os.environ), "words": sys.argv[1:], "found": os.listdir(folder)}
        open(folder + "/said.json", "w").write(json.dumps(said))
        print(':::MLLOG {"key": "eval_accuracy", "value": 0.5, "time_ms": 1, "event_type": "POINT_IN_TIME"}')
    """
    words = ["--seed={seed}", "{{seed}}", '{"a": {}}', "$HOME; rm", "{folder}"]
    workload = external([*program(tmp_path, text), *words], environment={"OUT": "{folder}/out", "N": "{nodes}"})
    for _ in range(2):
        _, problem = attempt(workload, tmp_path)
        assert problem is None
    folder = tmp_path / "records" / "0.external"
    said = json.loads((folder / "said.json").read_text())
    assert said["words"] == ["--seed=7", "{seed}", '{"a": {}}', "$HOME; rm", str(folder)]
    assert said["found"] == [], "what the first attempt left is gone"
    wanted = {
        "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "SEATRIAL_SEED": "7",
        "SEATRIAL_REPEAT": "0", "SEATRIAL_FOLDER": str(folder), "OUT": f"{folder}/out", "N": "1",
    }  # fmt: skip
    assert {name: said["environment"].get(name) for name in wanted} == wanted
    assert 0 < int(said["environment"]["MASTER_PORT"]) < 65536


def test_lines_may_come_from_files_below_its_folder(tmp_path: Path) -> None:
    text = """
        import os, pathlib
        folder = pathlib.Path(os.environ["SEATRIAL_FOLDER"]) / "run" / "logs"
        folder.mkdir(parents=True)
        line = ':::MLLOG {"key": "eval_accuracy", "value": 0.5, "time_ms": 1, "event_type": "POINT_IN_TIME"}'
        print(line)
        (folder / "one.log").write_text(line + "\\n" + line + "\\n")
        (folder / "two.txt").write_text(line + "\\n")
    """
    ctx, problem = attempt(external(program(tmp_path, text), log="run/**/*.log"), tmp_path)
    assert problem is None and samples(ctx, "mlperf.evaluation_accuracy") == [0.5, 0.5]


def test_power_and_utilisation_are_sampled_beside_it(tmp_path: Path) -> None:
    workload = mlperf_run(tmp_path, "success", "4.0,1.0", 0.4, telemetry_interval_seconds=0.2)
    ctx, problem = attempt(workload, tmp_path)
    assert problem is None
    found = {m.metric for m in ctx.measurements if m.metric.startswith("telemetry.")}
    assert "telemetry.utilisation" in found, "the host's, which every Linux has"
    assert not any(name.startswith("telemetry.process_") for name in found), "the rank itself only waits"
    assert (tmp_path / "records" / "0.telemetry.parquet").exists()
    crashing = program(tmp_path, "import time\ntime.sleep(1)\nraise SystemExit(3)")
    ctx, problem = attempt(external(crashing, telemetry_interval_seconds=0.1), tmp_path)
    assert problem is not None and problem.kind == "crashed"
    assert "telemetry.utilisation" in {m.metric for m in ctx.measurements}, "what was sampled is kept"


def test_seatrial_measure_makes_a_record_of_it(tmp_path: Path) -> None:
    from ranks import bare_environment, case

    what = case(mlperf_run(tmp_path, "success", "4.0,1.0", quality=goal(1.5)))
    what.write(tmp_path / "case.json")
    record = tmp_path / "records" / "0.json"
    words = ["measure", str(tmp_path / "case.json"), "--output", str(record)]
    done = subprocess.run(
        [str(Path(sys.executable).parent / "seatrial"), *words],
        env=bare_environment(), capture_output=True, text=True, timeout=80, check=False,
    )  # fmt: skip
    assert done.returncode == os.EX_OK, done.stderr
    content = json.loads(record.read_text())
    assert content["outcome"] == "completed" and content["workload"] == "external"
    assert content["provenance"]["external"]["exit_status"] == 0
    metrics = {m["metric"] for m in content["measurements"]}
    assert {"mlperf.time_to_train", "train.time_to_quality", "train.samples_to_quality"} <= metrics
