"""seatrial doctor: what it sees, what it says to do, and that nothing it asks makes it wait."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from doctor_machines import cluster_targets, machine, standing

from seatrial.cli import main
from seatrial.doctor import command, models
from seatrial.doctor.check import Check, Topic, merged
from seatrial.doctor.command import ask
from seatrial.doctor.examine import exit_code
from seatrial.doctor.facts import Asked, NodeFacts
from seatrial.doctor.folders import files_checks, folders_checks
from seatrial.doctor.limits import Limits
from seatrial.doctor.machine import devices_checks
from seatrial.doctor.needs import Needs, needs_of
from seatrial.doctor.node import gather, infiniband
from seatrial.doctor.part import folder
from seatrial.doctor.text import plain_lines, summary
from seatrial.plan import make_plan

CONF = Path(__file__).parents[2] / "conf"
ANY = Topic("any")
SLURM = all(shutil.which(name) for name in ("scontrol", "sinfo", "sbatch", "srun", "squeue", "sacct", "scancel"))
DEAD = """ClusterName=dead
SlurmctldHost=localhost
SlurmctldPort=1
AuthType=auth/munge
NodeName=n1 CPUs=1
PartitionName=main Nodes=n1
"""


def doctor(capsys, *words) -> tuple[int, list[dict[str, str]]]:
    """Exit code and checks of the command, run here."""
    capsys.readouterr()
    code = main(["doctor", "--json", "--conf", str(CONF), "--write-mb", "1", *words])
    return code, json.loads(capsys.readouterr().out)


def one(found, topic, name=""):
    """The only check of a topic whose name begins so."""
    (check,) = [c for c in found if c["topic"] == topic and c["name"].startswith(name)]
    return check


@pytest.fixture
def empty_folder(tmp_path, monkeypatch) -> Path:
    """A working folder with nothing in it."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.skipif(not SLURM, reason="Slurm's commands are not installed (`make slurm`)")
def test_a_dead_slurmctld_is_said_in_the_time_given_and_no_job_is_asked_for(empty_folder, monkeypatch, capsys):
    conf = empty_folder.parent / "slurm.conf"
    conf.write_text(DEAD)
    monkeypatch.setenv("SLURM_CONF", str(conf))
    began = time.monotonic()
    code, found = doctor(capsys, "study=demo", "target=mini_slurm", "--seconds", "0.5")
    assert time.monotonic() - began < 20
    dead = one(found, "slurm", "slurmctld")
    assert (code, dead["standing"], dead["saw"]) == (1, "lacks", "scontrol did not answer within 0.5 s")
    assert "slurmctld runs" in dead["do"]
    assert one(found, "nodes", "srun")["standing"] == "not checked"
    assert not [c for c in found if c["name"].startswith("partition")]
    assert list(empty_folder.iterdir()) == []


def test_without_slurm_a_study_of_this_machine_lacks_nothing(empty_folder, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(empty_folder))
    code, found = doctor(capsys, "study=demo", "target=local")
    assert (code, one(found, "slurm")["standing"]) == (0, "not checked")
    assert "needs none" in one(found, "slurm")["saw"]
    # what the study would make is not made
    assert one(found, "folders", "results/demo")["saw"].startswith("can be made in ./")
    assert list(empty_folder.iterdir()) == []


def test_without_slurm_a_cluster_of_several_nodes_lacks_it(empty_folder, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(empty_folder))
    code, found = doctor(capsys, "study=demo", "target=mini_slurm")
    missing = one(found, "slurm")
    assert (code, missing["standing"]) == (1, "lacks")
    assert "sbatch" in missing["saw"] and "login node" in missing["do"]


def test_every_file_that_is_not_there_is_said_not_only_the_first(empty_folder, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(empty_folder))
    at = "experiments.finetune.workload.model"
    words = [f"~{at}", f"+{at}={{source: pretrained, name: ./a}}", f"{at}.name=./a,./b"]
    code, found = doctor(capsys, "study=demo", *words)
    lacking = {c["saw"] for c in found if c["topic"] == "study"}
    assert (code, lacking) == (1, {"there is no such file: ./a", "there is no such file: ./b"})
    # and the same by what the study reads
    read = {c["name"]: c["standing"] for c in found if c["topic"] == "files"}
    assert read == {"a": "lacks", "b": "lacks"}


@pytest.mark.parametrize(
    "words",
    [["study=nonesuch"], ["target.nodes=0"], ["--nodes", "-1"], ["--seconds", "0"], ["--limits", "none.yaml"]],
)
def test_wrong_usage_ends_with_2_and_looks_at_nothing(words, empty_folder, capsys):
    try:
        code = main(["doctor", "--conf", str(CONF), *words])
    except SystemExit as end:
        code = end.code
    said = capsys.readouterr()
    assert (code, said.out) == (2, "")
    assert "Traceback" not in said.err


def test_limits_of_a_file_replace_the_usual_ones_and_unknown_ones_are_refused(tmp_path, capsys):
    file = tmp_path / "limits.yaml"
    file.write_text("open_file: {value: 1, source: us}")
    assert main(["doctor", "--limits", str(file)]) == 2
    assert "open_files" in capsys.readouterr().err
    facts = machine(open_files=1000)
    stricter = Limits.model_validate({"open_files": {"value": 2000, "source": "our site"}})
    laxer = Limits.model_validate({"open_files": {"value": 500, "source": "our site"}})
    assert standing(facts, "open files", limits=stricter) == "warning"
    assert standing(facts, "open files", limits=laxer) == "ok"


def test_a_program_that_ignores_its_end_is_given_up_with_all_that_it_started(monkeypatch):
    monkeypatch.setattr(command, "LAST_SECONDS", 0.2)
    began = time.monotonic()
    answer = ask(["sh", "-c", "trap '' TERM; echo $$; sleep 30"], 0.3)
    assert time.monotonic() - began < 5
    assert (answer.code, answer.late, answer.problem) == (None, True, "sh did not answer within 0.3 s")


def test_a_program_that_is_not_there_is_an_answer_too():
    answer = ask(["seatrial-nonesuch"], 1)
    assert (answer.fine, answer.late) == (False, False)
    assert "No such file" in answer.why


def test_a_check_without_what_to_do_is_refused_and_nothing_seen_is_no_check():
    with pytest.raises(ValueError, match="what to do"):
        ANY.lacks("x", "gone", "")
    with pytest.raises(ValueError, match="what it saw"):
        ANY.ok("x", "")


def test_what_was_not_checked_is_never_called_ok():
    checks = [ANY.ok("a", "fine"), ANY.not_checked("b", "nobody asked"), ANY.warning("c", "odd", "mend it")]
    assert exit_code(checks) == 0
    assert summary(checks) == "nothing lacks: 1 warning, 1 not checked, 1 ok"
    assert exit_code([*checks, ANY.lacks("d", "gone", "get it")]) == 1
    assert summary([*checks, ANY.lacks("d", "gone", "get it")]) == "1 lacks, 1 warning, 1 not checked, 1 ok"
    assert plain_lines(checks)[2] == "warning      any: c: odd"
    assert plain_lines(checks)[3].split() == ["do:", "mend", "it"]


def test_nodes_that_read_alike_are_one_line_and_others_their_own():
    alike, other = ANY.ok("driver", "550"), ANY.ok("driver", "535")
    lines = [check.saw for check in merged([("n1", [alike]), ("n2", [other]), ("n3", [alike])])]
    assert lines == ["n1, n3: 550", "n2: 535"]


def test_a_folder_is_written_at_a_speed_and_left_as_it_was(tmp_path):
    found = folder(str(tmp_path), 2, "")
    assert found.writable and found.speed > 0 and found.free > 0
    assert list(tmp_path.iterdir()) == []
    made = folder(str(tmp_path / "a" / "b"), 1, "")
    assert (made.exists, made.made_in, made.writable) == (False, str(tmp_path), True)


def test_a_folder_that_takes_too_long_is_given_up_and_left_as_it_was(tmp_path):
    (found,) = gather(Asked(written=[str(tmp_path)], write_mb=100_000, seconds=0.7)).folders
    assert found.problem == "folder did not answer within 0.7 s"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_a_file_or_is_full_lacks(tmp_path):
    file = tmp_path / "file"
    file.touch()
    closed = "/proc/nonesuch"
    needs = Needs(written=(str(file), closed, str(tmp_path)), made=(closed,), bytes_at=((str(tmp_path), 10**18),))
    seen = [folder(path, 1, "") for path in needs.written]
    checks = folders_checks(seen, needs, Limits())
    assert [check.standing for check in checks] == ["lacks"] * 3
    assert checks[0].saw == "it is a file"
    assert checks[1].saw.startswith("/proc cannot be written")
    assert "the study writes 1,000,000,000 GB at once" in checks[2].saw


def test_what_the_study_reads_must_be_there_and_on_a_cluster_that_is_not_known_here(tmp_path):
    absent = str(tmp_path / "absent")
    seen = [folder(absent, 0, "")]
    here, cluster = Needs(read=(absent,)), Needs(read=(absent,), targets=cluster_targets())
    assert [c.standing for c in files_checks(seen, here)] == ["lacks"]
    assert [c.standing for c in files_checks(seen, cluster)] == ["not checked"]


def test_a_slow_folder_is_a_warning(tmp_path):
    needs = Needs(written=(str(tmp_path),))
    fast = Limits.model_validate({"write_mb_per_s": {"value": 1e9, "source": "no disk"}})
    (check,) = folders_checks([folder(str(tmp_path), 1, "")], needs, fast)
    assert check.standing == "warning"
    assert "no disk" in check.do


def test_the_hubs_cache_is_looked_into_for_a_model(tmp_path, monkeypatch):
    for name in models.OFFLINE:
        monkeypatch.delenv(name, raising=False)
    assert models._in_cache(tmp_path, "models", "org/name").standing == "warning"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    absent = models._in_cache(tmp_path, "models", "org/name")
    assert (absent.standing, "hf download org/name" in absent.do) == ("lacks", True)
    kept = tmp_path / "models--org--name" / "snapshots" / "abc"
    kept.mkdir(parents=True)
    (kept / "config.json").touch()
    assert models._in_cache(tmp_path, "models", "org/name").standing == "ok"


def test_of_logs_that_are_handed_over_nothing_runs_and_no_cluster_is_needed(empty_folder, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(empty_folder))
    code, found = doctor(capsys, "study=vendor_logs")
    assert (code, {c["topic"] for c in found}) == (0, {"study", "software", "slurm", "folders"})
    assert [c["name"] for c in found if c["standing"] == "lacks"] == []


def test_needs_are_read_from_the_cases(tmp_path):
    words = ["study=demo", "target=mini_slurm", "target.nodes=3"]
    needs = needs_of(make_plan(words, CONF), tmp_path / "results", tmp_path / "submitit")
    assert (needs.nodes, needs.here) == (3, False)
    largest = max(needs.requests, key=lambda request: request.nodes)
    assert (largest.nodes, largest.cpus_per_node, largest.gpus_per_node, largest.memory_mb) == (3, 2, 2, 6000)
    assert largest["slurm_partition"] == "main"
    assert needs.written == (str(tmp_path / "results" / "demo"), str(tmp_path / "submitit"))


def test_this_machine_says_what_it_is_and_reads_back_as_it_was(tmp_path):
    facts = gather(Asked(written=[str(tmp_path)], programs=["sh", "seatrial-nonesuch"], write_mb=1))
    assert facts.host == os.uname().nodename
    assert facts.programs["sh"] and facts.programs["seatrial-nonesuch"] is None
    assert abs(facts.at - time.time()) < 60
    assert NodeFacts.from_json(facts.to_json()) == facts


def test_infiniband_ports_of_a_made_up_sysfs(tmp_path):
    for name, state, rate in (("mlx5_0", "4: ACTIVE", "400 Gb/sec (4X NDR)"), ("mlx5_1", "1: DOWN", "10 Gb/sec")):
        port = tmp_path / name / "ports" / "1"
        port.mkdir(parents=True)
        (port / "state").write_text(f"{state}\n")
        (port / "rate").write_text(f"{rate}\n")
    lines, gbit = infiniband(tmp_path)
    assert lines == ["mlx5_0 port 1 ACTIVE, 400 Gb/sec (4X NDR)", "mlx5_1 port 1 DOWN, 10 Gb/sec"]
    assert gbit == 400


def test_a_check_is_one_line_whatever_a_tool_printed():
    check = Check("slurm", "x", "lacks", "first\n  second", "do\tthis\nthen that")
    assert (check.saw, check.do) == ("first second", "do this then that")


@pytest.fixture
def fake_nvidia_smi(tmp_path, monkeypatch):
    """Puts a program of that name on PATH: there is no accelerator where this is tested."""
    program = tmp_path / "nvidia-smi"

    def make(script: str) -> None:
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return make


def test_a_fake_nvidia_smi_that_hangs_is_given_up_and_what_is_known_besides_is_kept(fake_nvidia_smi):
    fake_nvidia_smi("exec sleep 30")
    facts = gather(Asked(seconds=0.5))
    assert facts.device_problem == "devices did not answer within 0.5 s"
    (check,) = devices_checks(facts, Needs(targets=cluster_targets()))
    assert (check.standing, bool(facts.shared_memory)) == ("lacks", True)


def test_devices_of_a_fake_nvidia_smi_that_the_torch_here_cannot_use_are_said(fake_nvidia_smi):
    fake_nvidia_smi("echo NVIDIA H100 80GB HBM3; echo NVIDIA H100 80GB HBM3")
    facts = gather(Asked())
    if facts.devices:
        pytest.skip("the torch here is built with CUDA")
    checks = devices_checks(facts, Needs(targets=cluster_targets()))
    assert [check.standing for check in checks] == ["warning", "lacks"]
    assert "2 x NVIDIA H100 80GB HBM3 not used: the installed torch is built without cuda" in checks[0].saw
