"""A command on several ranks: where it starts, what it finds set, and that one rank's failure ends all of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from external_cases import external, goal, mlperf_run, program
from ranks import bare_environment, case, free_port

from seatrial.errors import EXIT_FAULT
from seatrial.record import Record
from seatrial.train.external.tasks import place_of

pytestmark = pytest.mark.timeout(150)

RANK = """
    import sys
    from pathlib import Path
    from seatrial.case import Case
    from seatrial.measure.session import run_repeat
    from seatrial.train.external import process, tasks
    from seatrial.train.kinds import WORK
    tasks.SILENCE_SECONDS, tasks.LISTEN_SECONDS, process.GRACE_SECONDS = 6.0, 0.5, 1.0
    run_repeat(Case.read(Path(sys.argv[1])), 0, Path(sys.argv[2]), WORK["external"])
"""
SAYS_WHERE_IT_IS = """
    import json, os, time
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "SEATRIAL_SEED")
    here = {name: os.environ[name] for name in names}
    with open(f"{os.environ['SEATRIAL_FOLDER']}/{here['RANK']}.json", "w") as file:
        json.dump(here, file)
    value = 0.25 + int(here["RANK"])
    print(':::MLLOG {"key": "eval_accuracy", "value": %s, "time_ms": 1, "event_type": "POINT_IN_TIME"}' % value)
"""


@dataclass
class Started:
    """Ranks that run, and where their record will be."""

    processes: list[subprocess.Popen[str]]
    folder: Path

    def end(self, within: float = 90) -> Record | None:
        """Wait for all; the record, if there is one."""
        deadline = time.monotonic() + within
        self.said = [p.communicate(timeout=max(1.0, deadline - time.monotonic()))[0] for p in self.processes]
        path = self.folder / "records" / "0.json"
        return Record.read(path) if path.exists() else None

    def pid(self, name: str, within: float = 60) -> int:
        """The process id that a command has written into a file of its folder."""
        path = self.folder / "records" / "0.external" / name
        deadline = time.monotonic() + within
        while not path.exists() or not path.read_text():
            assert time.monotonic() < deadline, "timed out"
            time.sleep(0.05)
        return int(path.read_text())


def start(workload: dict[str, Any], folder: Path, ranks: int = 2) -> Started:
    what = case(workload, ranks)
    what.write(folder / "case.json")
    shared = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    words = [*program(folder, RANK, "rank.py"), str(folder / "case.json"), str(folder / "records" / "0.json")]
    processes = [
        subprocess.Popen(
            words,
            env=bare_environment(**shared, RANK=str(rank), LOCAL_RANK=str(rank)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(ranks)
    ]
    return Started(processes, folder)


@pytest.fixture
def started(tmp_path: Path) -> Any:
    """Starts ranks; none of them outlives the test."""
    all_of_them: list[Started] = []

    def begin(workload: dict[str, Any], ranks: int = 2) -> Started:
        all_of_them.append(start(workload, tmp_path, ranks))
        return all_of_them[-1]

    yield begin
    for one in all_of_them:
        for process in one.processes:
            if process.poll() is None:
                process.kill()
                process.wait()


def whereabouts(folder: Path) -> dict[str, dict[str, str]]:
    return {p.stem: json.loads(p.read_text()) for p in sorted((folder / "records/0.external").glob("*.json"))}


def completed(one: Started) -> Record:
    record = one.end()
    assert [p.returncode for p in one.processes] == [os.EX_OK] * len(one.processes), one.said
    assert record is not None and record.outcome == "completed", one.said
    return record


def test_on_every_task_a_command_meets_its_peers_at_a_port_of_its_own(tmp_path: Path, started: Any) -> None:
    text = """
        import torch
        import torch.distributed as dist
        dist.init_process_group("gloo")
        total = torch.ones(1) * (dist.get_rank() + 1)
        dist.all_reduce(total)
        if dist.get_rank() == 0:
            found = ':::MLLOG {"key": "eval_accuracy", "value": %s, "time_ms": 1, "event_type": "POINT_IN_TIME"}'
            print(found % total.item())
        dist.destroy_process_group()
    """
    record = completed(started(external(program(tmp_path, text))))
    assert [m.samples for m in record.measurements] == [[3.0]]
    assert record.provenance["external"]["started_on_ranks"] == [0, 1]
    assert (tmp_path / "records/0.external.1.log").exists()


def test_what_every_rank_samples_is_in_the_record(tmp_path: Path, started: Any) -> None:
    workload = mlperf_run(tmp_path, "success", "2.0,1.0", 0.5, launch="once", telemetry_interval_seconds=0.2)
    record = completed(started(workload))
    hosts = [m.labels["rank"] for m in record.measurements if m.metric == "telemetry.utilisation"]
    assert hosts == [0], "one rank of each host reads the host's sensors"
    assert (tmp_path / "records" / "0.telemetry.parquet").exists()


@pytest.mark.parametrize("launch", ["per_node", "once"])
def test_a_command_is_started_once_where_that_is_asked_for(tmp_path: Path, started: Any, launch: str) -> None:
    one = started(external(program(tmp_path, SAYS_WHERE_IT_IS), launch=launch))
    record = completed(one)
    found = whereabouts(tmp_path)
    assert list(found) == ["0"]
    assert (found["0"]["WORLD_SIZE"], found["0"]["LOCAL_WORLD_SIZE"]) == ("1", "1")
    assert record.provenance["external"]["started_on_ranks"] == [0]
    assert not (tmp_path / "records/0.external.1.log").exists()


def test_the_last_commands_lines_are_read_where_it_says_them(tmp_path: Path, started: Any) -> None:
    record = completed(started(external(program(tmp_path, SAYS_WHERE_IT_IS), read_from="last")))
    assert [m.samples for m in record.measurements] == [[1.25]]
    found = whereabouts(tmp_path)
    assert [found[rank]["LOCAL_RANK"] for rank in ("0", "1")] == ["0", "1"]
    assert len({(place["MASTER_PORT"], place["SEATRIAL_SEED"]) for place in found.values()}) == 1


def test_commands_of_other_ranks_are_stopped_at_the_quality(tmp_path: Path, started: Any) -> None:
    losses = ",".join(["3.0", "1.0", *["0.9"] * 2000])
    record = completed(started(mlperf_run(tmp_path, "success", losses, quality=goal(1.5), stop_at_quality=True)))
    assert record.quality is not None and record.quality.crossing is not None


def test_a_failure_on_one_rank_names_it_and_stops_the_others_commands(tmp_path: Path, started: Any) -> None:
    text = """
        import os, sys, time
        line = ':::MLLOG {"key": "eval_accuracy", "value": 0.5, "time_ms": 1, "event_type": "POINT_IN_TIME"}'
        if os.environ["RANK"] == "0":
            with open(os.environ["SEATRIAL_FOLDER"] + "/pid", "w") as file:
                file.write(str(os.getpid()))
            print(line)
            time.sleep(600)
        while not os.path.exists(os.environ["SEATRIAL_FOLDER"] + "/pid"):
            time.sleep(0.05)
        time.sleep(1)
        print("out of paper")
        sys.exit(5)
    """
    one = started(external(program(tmp_path, text)))
    record = one.end()
    assert record is not None and record.error is not None
    assert (record.outcome, record.error.kind, record.error.rank) == ("failed", "crashed", 1)
    assert "exit code 5" in record.error.message and "out of paper" in record.error.message
    assert [m.samples for m in record.measurements] == [[0.5]], "what was read is kept"
    gone_within(one.pid("pid"), 10)


def test_a_rank_that_vanishes_takes_its_command_along_and_the_others_notice(tmp_path: Path, started: Any) -> None:
    text = """
        import os, time
        with open(os.environ["SEATRIAL_FOLDER"] + "/pid" + os.environ["RANK"], "w") as file:
            file.write(str(os.getpid()))
        time.sleep(600)
    """
    one = started(external(program(tmp_path, text)))
    pids = [one.pid("pid0"), one.pid("pid1")]
    one.processes[1].kill()
    assert one.end() is None, "a rank that vanished leaves no record"
    assert one.processes[0].returncode == EXIT_FAULT
    assert "rank 1 has said nothing" in one.said[0]
    for pid in pids:
        gone_within(pid, 10)


def gone_within(pid: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while psutil.pid_exists(pid):
        assert time.monotonic() < deadline, "the command outlived its rank"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("launch", "ranks", "number", "local", "count"),
    [
        ("per_task", [0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 0, 1], 4),
        ("per_node", [0, 2], [0, 1], [0, 0], 2),
        ("once", [0], [0], [0], 1),
    ],
)
def test_where_a_command_starts_on_two_nodes_of_two_tasks(
    launch: str, ranks: list[int], number: list[int], local: list[int], count: int
) -> None:
    places = [place_of(launch, rank, [0, 1, 0, 1]) for rank in range(4)]
    assert [rank for rank, place in enumerate(places) if place.starts] == ranks
    assert [places[rank].number for rank in ranks] == number
    assert [places[rank].local_number for rank in ranks] == local
    assert {place.count for place in places} == {count}
    assert {place.first_ranks for place in places} == {tuple(ranks)}


def test_nothing_a_rank_imports_for_it_is_slow(tmp_path: Path) -> None:
    text = "import sys; from seatrial.train.external import run; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & {"pandas", "hydra", "snakemake", "sklearn", "transformers", "matplotlib", "peft"}
