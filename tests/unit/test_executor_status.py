"""What Slurm's commands print, and what became of a job."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_executor_plugin_submitit import slurm
from snakemake_executor_plugin_submitit.outcomes import judge, memory_message
from snakemake_executor_plugin_submitit.ranks import RankReport, failing_rank
from snakemake_executor_plugin_submitit.status import (
    Accounting,
    expand_ids,
    expand_nodes,
    plain_state,
    read_sacct,
    read_squeue,
)

# JobID|State|ExitCode|NodeList|Start|End|Submit|Reason|JobName, as Slurm 22.05 printed them
SACCT = """\
5|FAILED|9:0|node1|2026-11-22T16:37:41|2026-11-22T16:37:43|2026-11-22T16:37:40|None|a|b
5.batch|FAILED|9:0|node1|2026-11-22T16:37:41|2026-11-22T16:37:43|2026-11-22T16:37:41||batch
5.0|OUT_OF_MEMORY|0:125|node1|2026-11-22T16:37:41|2026-11-22T16:37:43|2026-11-22T16:37:41||0
6|CANCELLED by 1000|0:0|None assigned|None|2026-11-22T16:37:43|2026-11-22T16:37:40|Priority|a|b
7_[2-3,8%4]|PENDING|0:0|None assigned|Unknown|Unknown|2026-11-22T16:37:40|Resources|a|b
7_0|NODE_FAIL|0:0|node[1-2]|2026-11-22T16:37:41|2026-11-22T16:37:43|2026-11-22T16:37:40|None|a|b
half a line
"""


def report(rank: int, **known: object) -> RankReport:
    values = {"node": f"node{rank // 2}", "pid": 1, "started_at": "2026-01-01T00:00:00Z", **known}
    return RankReport(rank=rank, **values)  # type: ignore[arg-type]


def test_sacct_is_read_with_arrays_steps_and_words_in_states() -> None:
    found = read_sacct(SACCT)
    assert {job: facts.state for job, facts in found.items()} == {
        "5": "OUT_OF_MEMORY",
        "6": "CANCELLED",
        "7_2": "PENDING",
        "7_3": "PENDING",
        "7_8": "PENDING",
        "7_0": "NODE_FAIL",
    }
    assert found["7_0"].nodes == ("node1", "node2")
    assert found["6"].started_at is None
    assert found["7_0"].name == "a|b"
    assert found["5"].ended_at == "2026-11-22T16:37:43Z"
    assert found["7_2"].active
    assert not found["6"].active


COUNTING_SACCT = r"""#!/bin/sh
echo called >> "$0.calls"
for word; do case $word in --jobs=*)
    echo "${word#--jobs=}" | tr , '\n' | sed 's/$/|RUNNING|0:0|node1|Unknown|Unknown|2026-11-22T16:37:40|None|n/'
esac; done
"""


@pytest.mark.parametrize(("count", "calls"), [(0, 0), (1, 1), (10_000, 1), (25_000, 3)])
def test_sacct_is_asked_about_more_jobs_than_one_argument_can_name_in_few_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, calls: int
) -> None:
    sacct = tmp_path / "sacct"
    sacct.write_text(COUNTING_SACCT)
    sacct.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    ids = [str(4_000_000_000 + number) for number in range(count)]
    assert sorted(slurm.accounting(ids, 60)) == ids
    counted = tmp_path / "sacct.calls"
    assert (len(counted.read_text().splitlines()) if count else counted.exists()) == calls


def test_a_job_that_ran_and_nobody_cancelled_was_lost_and_may_run_again() -> None:
    """So Slurm closes what ran when its controller starts without its jobs; scancel leaves who it was."""
    ran = "5|CANCELLED|0:0|node1|2026-11-24T03:46:16|2026-11-24T03:46:17|2026-11-24T03:46:16|None|n\n"
    facts = read_sacct(ran)["5"]
    assert (facts.state, facts.cancelled_by) == ("FAILED", None)
    assert judge([], facts, None, True, False).reason == (
        "a process of it failed; Slurm notes it as cancelled, and by nobody: its controller has lost it; "
        "no rank of it had started its command"
    )
    by_somebody = read_sacct(ran.replace("CANCELLED", "CANCELLED by 0"))["5"]
    assert (by_somebody.state, by_somebody.cancelled_by) == ("CANCELLED", 0)
    never_started = "5|CANCELLED|0:0|None assigned|None|2026-11-24T03:46:17|2026-11-24T03:46:16|None|n\n"
    assert read_sacct(never_started)["5"].state == "CANCELLED"


def test_a_job_that_sacct_does_not_know_is_not_there() -> None:
    assert read_sacct("") == {}


def test_squeue_is_read_by_array_and_index() -> None:
    text = "17|3|22|RUNNING|2|main|None|smk-a-1-x\n18|N/A|18|PENDING|1|main|Resources|smk-b|odd\nbroken\n"
    found = read_squeue(text)
    assert {job: (shown.state, shown.name) for job, shown in found.items()} == {
        "17_3": ("RUNNING", "smk-a-1-x"),
        "18": ("PENDING", "smk-b|odd"),
    }


@given(st.lists(st.integers(0, 300), min_size=1, unique=True).map(sorted))
def test_any_set_of_array_elements_survives_slurms_short_form(indices: list[int]) -> None:
    spans: list[list[int]] = []
    for index in indices:
        if spans and spans[-1][1] == index - 1:
            spans[-1][1] = index
        else:
            spans.append([index, index])
    short = ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
    assert expand_ids(f"9_[{short}%5]") == [f"9_{index}" for index in indices]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("gpu[01-03,7],login", ("gpu01", "gpu02", "gpu03", "gpu7", "login")),
        ("r[1-2]n[1-2]", ("r1n1", "r1n2", "r2n1", "r2n2")),
        ("None assigned", ()),
        ("", ()),
    ],
)
def test_node_lists_are_written_out(text: str, names: tuple[str, ...]) -> None:
    assert expand_nodes(text) == names


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("CANCELLED by 0", "CANCELLED"),
        ("CANCELLED+", "CANCELLED"),
        ("BOOT_FAIL", "NODE_FAIL"),
        ("DEADLINE", "TIMEOUT"),
        ("NEW_WORD_OF_A_LATER_SLURM", "FAILED"),
        ("", "FAILED"),
        ("COMPLETING", "COMPLETING"),
    ],
)
def test_states_are_one_word_of_a_closed_list(text: str, word: str) -> None:
    assert plain_state(text) == word


def test_the_failing_rank_is_the_first_that_failed_by_itself() -> None:
    ranks = [
        report(0, ended_at="2026-01-01T00:00:01Z", exit_code=143, signal=15, told_to_stop=True),
        report(1, ended_at="2026-01-01T00:00:05Z", exit_code=1),
        report(2, ended_at="2026-01-01T00:00:04Z", exit_code=7),
        report(3, ended_at="2026-01-01T00:00:00Z", exit_code=0),
    ]
    found = failing_rank(ranks)
    assert found is not None
    assert found.rank == 2


def test_a_rank_that_died_unheard_is_the_failing_one_if_it_is_the_only_one() -> None:
    stopped = report(0, ended_at="2026-01-01T00:00:01Z", exit_code=143, signal=15, told_to_stop=True)
    found = failing_rank([stopped, report(1)])
    assert found is not None
    assert found.rank == 1
    assert failing_rank([stopped, report(1), report(2)]) is None


def test_a_rank_that_was_told_to_stop_and_is_still_ending_did_not_die_unheard() -> None:
    found = failing_rank([report(0, told_to_stop=True), report(1)])
    assert found is not None
    assert found.rank == 1


def test_a_return_code_above_128_is_a_signal() -> None:
    killed = report(0)
    killed.set_end(137)
    assert (killed.exit_code, killed.signal) == (137, 9)
    killed.set_end(-11)
    assert (killed.exit_code, killed.signal) == (None, 11)
    killed.set_end(255)
    assert (killed.exit_code, killed.signal) == (255, None)


def test_memory_counts_only_when_a_daemon_says_so(tmp_path: Path) -> None:
    program, daemon = tmp_path / "program", tmp_path / "daemon"
    program.write_text("RuntimeError: out of memory\n")
    daemon.write_text("noise\nslurmstepd-node1: error: Detected 1 oom_kill event in StepId=3.0.\n")
    assert memory_message([program, tmp_path / "absent"]) is None
    assert memory_message([program, daemon]) == "slurmstepd-node1: error: Detected 1 oom_kill event in StepId=3.0."


STOPPED = {"ended_at": "2026-01-01T00:00:09Z", "exit_code": 143, "signal": 15, "told_to_stop": True}


@pytest.mark.parametrize(
    ("ranks", "facts", "memory", "state"),
    [
        ([report(0, ended_at="x", exit_code=7)], Accounting("FAILED"), None, "FAILED"),
        ([report(0)], Accounting("FAILED"), "slurmstepd: Exceeded job memory limit", "OUT_OF_MEMORY"),
        ([report(0, **STOPPED, time_limit=True)], Accounting("FAILED"), None, "TIMEOUT"),
        ([report(0, **STOPPED)], Accounting("FAILED"), None, "PREEMPTED"),
        ([report(0, **STOPPED)], Accounting("CANCELLED"), None, "CANCELLED"),
        ([], Accounting("NODE_FAIL"), None, "NODE_FAIL"),
        ([report(0)], Accounting("COMPLETED"), None, "COMPLETED"),
    ],
)
def test_the_state_is_slurms_word_or_what_the_ranks_tell(
    ranks: list[RankReport], facts: Accounting, memory: str | None, state: str
) -> None:
    assert judge(ranks, facts, memory, on_slurm=True, completed=False).state == state


def test_a_local_job_that_was_told_to_stop_is_cancelled_not_preempted() -> None:
    assert judge([report(0, **STOPPED)], None, None, on_slurm=False, completed=False).state == "CANCELLED"


def test_what_is_unknown_stays_unknown() -> None:
    outcome = judge([], None, None, on_slurm=True, completed=False)
    assert (outcome.exit_code, outcome.signal, outcome.failing_rank, outcome.started_at) == (None,) * 4
    assert outcome.reason is not None
    assert "no rank of it had started" in outcome.reason
