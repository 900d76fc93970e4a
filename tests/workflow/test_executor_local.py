"""The executor on this machine, by the command a user types: ranks, failures, cancelling, starting again."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from waiting import until

PROFILE = Path(__file__).resolve().parents[2] / "workflow" / "profiles" / "local"
pytestmark = pytest.mark.timeout(180)


class Folder:
    """A workflow in a folder of its own, and the Snakemake that runs it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.env = dict(os.environ)
        self.started: list[subprocess.Popen[str]] = []

    def write(self, text: str) -> None:
        (self.path / "Snakefile").write_text(text)

    def start(self, *options: str, program: tuple[str, ...] = ("-m", "snakemake")) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, *program, "--profile", str(PROFILE), *options],
            cwd=self.path,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # SIGINT from a terminal goes to the whole group: the tests send it to the group too
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def finish(self, *options: str, timeout: float = 100) -> tuple[int, str]:
        process = self.start(*options)
        output, _ = process.communicate(timeout=timeout)
        return process.returncode, output

    def attempts(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads((self.path / name).read_text())
        return found

    def processes(self) -> list[psutil.Process]:
        """Everything that was started for this folder and is alive."""
        found = []
        for process in psutil.process_iter(["pid"]):
            try:
                here = process.cwd() == str(self.path) and process.status() != psutil.STATUS_ZOMBIE
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
            if here:
                found.append(process)
        return found

    def stop(self) -> None:
        for process in self.processes():
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        for snakemake in self.started:
            if snakemake.stdout and not snakemake.stdout.closed:
                snakemake.stdout.close()
            snakemake.wait(timeout=30)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    made = Folder(tmp_path)
    yield made
    made.stop()


def test_a_shell_rule_starts_once_on_every_task_with_its_place(folder: Folder) -> None:
    folder.write("""
rule ranks:
    output: "done"
    resources: tasks=3
    threads: 2
    shell: "echo $RANK $LOCAL_RANK $WORLD_SIZE $LOCAL_WORLD_SIZE $NODE_RANK $MASTER_ADDR $MASTER_PORT"
           " $OMP_NUM_THREADS > rank.$RANK; touch {output}"
""")
    code, output = folder.finish("done")
    assert code == 0, output
    lines = [(folder.path / f"rank.{rank}").read_text().split() for rank in range(3)]
    assert [line[:5] for line in lines] == [[str(r), str(r), "3", "3", "0"] for r in range(3)]
    assert {(line[5], line[7]) for line in lines} == {("127.0.0.1", "2")}
    assert len({line[6] for line in lines}) == 1
    assert 1024 < int(lines[0][6]) < 65536
    assert len(list(folder.path.glob("rank.*"))) == 3


def test_no_second_snakemake_runs_a_shell_rule_and_one_runs_a_run_rule(folder: Folder) -> None:
    folder.write("""
rule all:
    input: "native", "nested"
rule native:
    output: "native"
    shell: "ps -o args= -p $PPID > {output}"
rule nested:
    output: "nested"
    resources: tasks=2
    run:
        import os, psutil
        with open(output[0], "a") as file:
            file.write(" ".join(psutil.Process(os.getpid()).cmdline()) + "\\n")
""")
    code, output = folder.finish("--jobs", "2")
    assert code == 0, output
    assert "submitit.core._submit" in (folder.path / "native").read_text()
    nested = (folder.path / "nested").read_text().splitlines()
    assert len(nested) == 1, "a command that is not native starts once, however many tasks are asked for"
    assert "-m snakemake" in nested[0]


def test_a_failing_rank_ends_the_others_and_is_named_with_the_end_of_its_log(folder: Folder) -> None:
    folder.write("""
rule ranks:
    output: "done.{x}"
    log: "logs/{x}.log"
    resources: tasks=3
    shell: "echo rank $RANK is here; if [ $RANK = 1 ]; then sleep 1; echo it broke >&2; exit 7; fi; sleep 120"
""")
    begun = time.monotonic()
    code, output = folder.finish("done.a", "--retries", "0")
    assert time.monotonic() - begun < 60, "the other ranks were waited for"
    assert code != 0
    assert re.search(
        r"ranks \(x=a\): local job \d+ \([\w.-]+-1-ranks\) ended as FAILED.*rank 1 on \S+ ended with exit code 7",
        output,
    )
    assert re.search(r"last lines of rank 1's log \(\S+\):\s+rank 1 is here\s+it broke", output)
    (attempt,) = folder.attempts("logs/a.attempts.json")
    known = {
        name: attempt[name] for name in ("state", "exit_code", "failing_rank", "wildcards", "outputs", "cluster")
    }
    assert known == {
        "state": "FAILED",
        "exit_code": 7,
        "failing_rank": 1,
        "wildcards": {"x": "a"},
        "outputs": ["done.a"],
        "cluster": "local",
    }
    log = (folder.path / "logs/a.log").read_text()
    assert "==== rank 1 on " in log
    assert "it broke" in log
    assert folder.processes() == []


def test_every_attempt_is_written_down_until_one_succeeds(folder: Folder) -> None:
    folder.write("""
rule flaky:
    output: "done"
    log: "flaky.log"
    shell: "echo try >> tries; [ $(wc -l < tries) = 3 ] || kill -KILL $$; touch {output}"
""")
    code, output = folder.finish("done", "--retries", "2")
    assert code == 0, output
    attempts = folder.attempts("flaky.attempts.json")
    assert [(a["attempt"], a["state"], a["signal"]) for a in attempts] == [
        (1, "FAILED", 9),
        (2, "FAILED", 9),
        (3, "COMPLETED", None),
    ]
    assert len({a["external_jobid"] for a in attempts}) == 3
    for attempt in attempts:
        assert attempt["submitted_at"] <= attempt["started_at"] <= attempt["ended_at"]


def test_a_rank_whose_own_process_is_killed_leaves_nothing_running(folder: Folder) -> None:
    folder.write("""
rule ranks:
    output: "done"
    log: "ranks.log"
    resources: tasks=2
    shell: "echo $PPID > pid.$RANK; sleep 120"
""")
    snakemake = folder.start("done", "--retries", "0")
    until(lambda: all((folder.path / f"pid.{rank}").exists() for rank in range(2)))
    time.sleep(0.5)
    os.kill(int((folder.path / "pid.1").read_text()), signal.SIGKILL)
    output, _ = snakemake.communicate(timeout=60)
    assert snakemake.returncode != 0
    assert "rank 1 on" in output
    assert "died without a word" in output
    assert folder.attempts("ranks.attempts.json")[0]["failing_rank"] == 1
    assert folder.processes() == []


def test_a_time_limit_is_a_timeout_and_the_command_is_warned_of_it(folder: Folder) -> None:
    folder.write("""
rule long:
    output: "done"
    log: "long.log"
    resources: runtime=1
    shell: "trap 'date +%s > warned' USR2; date +%s > begun; for i in $(seq 150); do sleep 1; done"
""")
    code, output = folder.finish("done", "--retries", "0", timeout=150)
    assert code != 0
    assert "ended as TIMEOUT" in output
    assert folder.attempts("long.attempts.json")[0]["state"] == "TIMEOUT"
    warned, begun = (int((folder.path / name).read_text()) for name in ("warned", "begun"))
    assert 45 <= warned - begun <= 60, "a job of one minute must not be warned at its start"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_no_process_and_says_so_in_the_attempts(folder: Folder, number: signal.Signals) -> None:
    folder.write("""
rule all:
    input: "a", "b"
rule long:
    output: "{x}"
    log: "{x}.log"
    resources: tasks=2
    wildcard_constraints: x="a|b"
    shell: "trap '' TERM; touch begun.{wildcards.x}.$RANK; sleep 121 & wait; sleep 122"
""")
    snakemake = folder.start("--jobs", "2")
    until(lambda: len(list(folder.path.glob("begun.*"))) == 4)
    if number == signal.SIGINT:
        os.killpg(snakemake.pid, number)
    else:
        snakemake.send_signal(number)
    output, _ = snakemake.communicate(timeout=60)
    assert snakemake.returncode != 0
    assert "Traceback" not in output, output
    until(lambda: folder.processes() == [], seconds=5)
    assert [folder.attempts(f"{x}.attempts.json")[0]["state"] for x in "ab"] == ["CANCELLED", "CANCELLED"]


WORK = """
rule all:
    input: expand("out/{i}", i=range(4))
rule work:
    output: "out/{i}"
    log: "logs/{i}.log"
    shell: "echo $$ >> starts.{wildcards.i}; until [ -e go ]; do sleep 0.1; done; echo done > {output}"
"""


def starts(folder: Folder) -> list[int]:
    return [len((folder.path / f"starts.{i}").read_text().splitlines()) for i in range(4)]


def test_a_killed_snakemake_is_started_again_as_typed_and_nothing_runs_twice(folder: Folder) -> None:
    folder.write(WORK)
    first = folder.start("--jobs", "2")
    until(lambda: len(list(folder.path.glob("starts.*"))) == 2)
    time.sleep(0.5)
    first.kill()
    first.wait(30)
    (folder.path / "go").touch()
    until(lambda: len(list((folder.path / "out").glob("*"))) == 2)
    code, output = folder.finish("--jobs", "2")
    assert code == 0, output
    assert output.count("has completed meanwhile and is taken up again") == 2
    assert starts(folder) == [1, 1, 1, 1]
    assert all(len(folder.attempts(f"logs/{i}.attempts.json")) == 1 for i in range(4))
    code, output = folder.finish("--jobs", "2")
    assert code == 0
    assert "Nothing to be done" in output


def test_jobs_that_still_run_are_taken_up_and_those_that_died_are_submitted_again(folder: Folder) -> None:
    folder.write(WORK)
    first = folder.start("--jobs", "4")
    until(lambda: len(list(folder.path.glob("starts.*"))) == 4)
    time.sleep(0.5)
    first.kill()
    first.wait(30)
    doomed = int((folder.path / "starts.2").read_text())
    controller = psutil.Process(doomed).parent()
    assert controller is not None
    root = controller.parent()
    assert root is not None
    root.kill()
    controller.kill()
    second = folder.start("--jobs", "4")
    until(lambda: len((folder.path / "starts.2").read_text().splitlines()) == 2)
    assert not psutil.pid_exists(doomed), "what the dead job had started still runs beside the new one"
    (folder.path / "go").touch()
    output, _ = second.communicate(timeout=60)
    assert second.returncode == 0, output
    assert output.count("is still there and is taken up again") == 3
    assert starts(folder) == [1, 1, 2, 1]
    assert [a["state"] for a in folder.attempts("logs/2.attempts.json")] == ["FAILED", "COMPLETED"]


def test_one_job_at_a_time_holds_across_a_restart(folder: Folder) -> None:
    folder.write(WORK)
    first = folder.start("out/3")
    until(lambda: (folder.path / "starts.3").exists())
    first.kill()
    first.wait(30)
    second = folder.start("out/0")
    assert second.stdout is not None
    for line in second.stdout:
        if "Waiting for local jobs of an earlier run" in line:
            break
    assert not (folder.path / "starts.0").exists()
    (folder.path / "go").touch()
    second.communicate(timeout=60)
    assert second.returncode == 0


def test_an_interrupt_ends_what_an_earlier_run_left_behind_and_names_what_is_not_asked_for(folder: Folder) -> None:
    """Four run when Snakemake is killed; the next start asks for three, of which one has its turn."""
    folder.write(WORK)
    (folder.path / "out").mkdir()
    (folder.path / "out" / "kept").touch()  # Snakemake removes an empty folder beside a failed output
    first = folder.start("--jobs", "4")
    until(lambda: len(list(folder.path.glob("starts.*"))) == 4)
    time.sleep(0.5)
    first.kill()
    first.wait(30)
    pids = [int((folder.path / f"starts.{i}").read_text()) for i in range(4)]
    second = folder.start("out/0", "out/1", "out/2", "--jobs", "1")
    assert second.stdout is not None
    said = ""
    for line in second.stdout:
        said += line
        if "is taken up again" in line:
            break
    os.killpg(second.pid, signal.SIGINT)
    said += second.communicate(timeout=60)[0]
    assert "3 job(s) still wait or run, and are taken up when it is their turn" in said
    assert said.count("1 job(s) still wait or run, and this run does not ask for them") == 2, "at the start and end"
    assert [psutil.pid_exists(pid) for pid in pids] == [False, False, False, True], said
    (folder.path / "go").touch()
    code, output = folder.finish("--jobs", "4")
    assert code == 0, output
    assert starts(folder) == [2, 2, 2, 1], output


def test_a_job_that_was_submitted_but_not_yet_recorded_does_not_run_twice(folder: Folder) -> None:
    """Snakemake dies just after submitit has started a job's process, before anyone wrote its id down."""
    folder.write(WORK)
    dying = (
        "import os, signal, sys\n"
        "from submitit.core import utils\n"
        "utils.JobPaths.move_temporary_file = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from snakemake.cli import main\n"
        "main(sys.argv[1:])\n"
    )
    first = folder.start("out/1", program=("-c", dying))
    first.wait(timeout=60)  # its output stays open in the job that it left behind
    assert first.returncode == -signal.SIGKILL
    (folder.path / "go").touch()
    code, output = folder.finish("out/1")
    assert code == 0, output
    assert "is still there and is taken up again" in output
    assert len((folder.path / "starts.1").read_text().splitlines()) == 1


def test_a_job_that_runs_an_earlier_command_is_cancelled_first(folder: Folder) -> None:
    folder.write(WORK)
    first = folder.start("out/1")
    until(lambda: (folder.path / "starts.1").exists())
    time.sleep(0.5)
    first.kill()
    first.wait(30)
    earlier = int((folder.path / "starts.1").read_text())
    folder.write(WORK.replace("echo done >", "echo changed >"))
    (folder.path / "go").unlink(missing_ok=True)
    second = folder.start("out/1")
    until(lambda: len((folder.path / "starts.1").read_text().splitlines()) == 2)
    assert not psutil.pid_exists(earlier)
    (folder.path / "go").touch()
    second.communicate(timeout=60)
    assert second.returncode == 0
    assert (folder.path / "out/1").read_text() == "changed\n"


def test_a_job_of_a_living_snakemake_is_not_started_by_another(folder: Folder) -> None:
    folder.write(WORK)
    folder.start("out/1")
    until(lambda: (folder.path / "starts.1").exists())
    code, output = folder.finish("out/1")
    assert code != 0
    assert "belongs to another Snakemake that is running in this folder" in output
    assert len((folder.path / "starts.1").read_text().splitlines()) == 1


def test_an_apptainer_image_wraps_the_command_on_every_task_without_runtime(folder: Folder) -> None:
    """A stand-in for apptainer notes its arguments and runs the rest; no real one has run this."""
    folder.write("""
rule inside:
    output: "done"
    resources: tasks=2, container_image="my image.sif", container_mounts="/a b:/c", container_runtime="apptainer"
    shell: "echo '$HOME' \\"$INSIDE\\" > in.$RANK; touch {output}"
""")
    stand_in = folder.path / "bin" / "apptainer"
    stand_in.parent.mkdir()
    stand_in.write_text('#!/bin/bash\nprintf "%s|" "${@:1:4}" > args.$RANK\nINSIDE=yes exec "${@:5}"\n')
    stand_in.chmod(0o755)
    folder.env["PATH"] = f"{stand_in.parent}:{folder.env['PATH']}"
    code, output = folder.finish("done")
    assert code == 0, output
    for rank in range(2):
        assert (folder.path / f"args.{rank}").read_text() == "exec|--bind|/a b:/c|my image.sif|"
        assert (folder.path / f"in.{rank}").read_text() == "$HOME yes\n"


def test_more_than_one_node_is_one_clear_error(folder: Folder) -> None:
    folder.write("""
rule wide:
    output: "done"
    log: "logs/wide.log"
    resources: nodes=2
    shell: "touch {output}"
""")
    code, output = folder.finish("done", "--retries", "2")
    assert code != 0
    why = "rule wide: resource nodes=2: the local executor has one node"
    assert output.count(why) == 1  # no retry mends it
    assert "Traceback" not in output
    assert why in (folder.path / "logs" / "wide.log").read_text()
    (attempt,) = json.loads((folder.path / "logs" / "wide.attempts.json").read_text())
    assert (attempt["state"], attempt["external_jobid"], attempt["started_at"]) == ("FAILED", None, None)
    assert why in attempt["reason"]


def test_the_debug_executor_runs_in_snakemakes_own_process(folder: Folder) -> None:
    folder.write("""
rule here:
    output: "done"
    log: "here.log"
    shell: "echo $PPID > {output}; exit $(cat code)"
""")
    (folder.path / "code").write_text("0")
    snakemake = folder.start("done", "--submitit-cluster", "debug")
    snakemake.communicate(timeout=60)
    assert snakemake.returncode == 0
    assert int((folder.path / "done").read_text()) == snakemake.pid
    (folder.path / "done").unlink()
    (folder.path / "code").write_text("3")
    code, output = folder.finish("done", "--submitit-cluster", "debug", "--retries", "0")
    assert code != 0
    assert "ended with exit code 3" in output
    assert [a["state"] for a in folder.attempts("here.attempts.json")] == ["COMPLETED", "FAILED"]
