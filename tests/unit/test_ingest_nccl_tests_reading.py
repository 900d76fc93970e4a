"""Reading the output of nccl-tests: every layout, whatever stands between its lines."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nccl_tests_output import Written, document, error_text, fit, new_text, root_text

from seatrial.ingest.nccl_tests.read import read_content
from seatrial.nccl_tests.document import read_document
from seatrial.nccl_tests.measured import measured
from seatrial.nccl_tests.operations import BINARIES, operation_in_name
from seatrial.nccl_tests.run import ProgramRun
from seatrial.nccl_tests.text import read_text

DATA = Path(__file__).parents[1] / "data" / "nccl_tests"
LAYOUTS = {"new": new_text, "root": root_text, "error": error_text}


def only(text: str) -> ProgramRun:
    """The one run of a log in which every line was read."""
    reading = read_text(text, "run.log")
    assert not reading.unread, [entry.in_words() for entry in reading.unread]
    (run,) = reading.runs
    return run


def bandwidths(run: ProgramRun, operation: str = "all_reduce", ranks: int = 8) -> dict[tuple[int, bool], float]:
    found = measured(run, operation, ranks, run.statistic)
    assert not found.refused, [entry.in_words() for _, entry in found.refused]
    return {
        (int(m.labels["size_bytes"]), bool(m.labels["in_place"])): m.samples[0]
        for m in found.measurements
        if m.metric == "collective.bus_bandwidth"
    }


sizes = st.integers(1, 34).map(lambda n: 8 * 2**n)
times = st.floats(1.0, 9e6, allow_nan=False)
runs = st.builds(
    Written,
    operation=st.sampled_from(sorted(BINARIES)),
    type=st.sampled_from(["float", "half", "bfloat16", "double"]),
    hosts=st.integers(1, 3),
    each=st.sampled_from([1, 2, 4, 8]),
    rows=st.lists(st.tuples(sizes, times, times), min_size=1, max_size=6),
    checked=st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(runs, st.sampled_from(sorted(LAYOUTS)))
def test_every_row_of_every_layout_comes_back_as_it_was_printed(run, layout):
    found = only(LAYOUTS[layout](run))
    assert (found.ranks, found.processes, found.out_of_bounds) == (run.ranks, run.ranks, 0)
    assert len(found.hosts) == run.hosts and found.settings["iterations"] == 20
    assert [(row.size, row.type) for row in found.rows] == [(size, run.type) for size, *_ in run.rows]
    for row, (size, *written) in zip(found.rows, run.rows, strict=True):
        for (_, side), time in zip(row.sides, written, strict=True):
            assert abs(side.time.value - time) <= side.time.half * 1.0001
            assert abs(side.algorithm.value - run.rates(size, time)[0]) <= side.algorithm.half * 1.0001
            assert side.checked is run.checked
    # what nccl-tests prints agrees with itself, however coarsely it is rounded
    assert {why.kind for why, _ in measured(found, run.operation, run.ranks, "max").refused} <= {"empty"}


@settings(max_examples=30, deadline=None)
@given(runs, st.booleans())
def test_every_row_of_the_json_file_comes_back(run, iterations):
    read = read_document(document(run, iterations), "run.json")
    assert read is not None
    found, unread = read
    assert not unread and found.ranks == run.ranks and found.concluded
    assert found.program == BINARIES[run.operation]
    assert [row.size for row in found.rows] == [size for size, *_ in run.rows]
    got = measured(found, run.operation, run.ranks, found.statistic)
    assert {why.kind for why, _ in got.refused} <= {"empty"}
    if iterations and run.ranks > 1:
        assert {m.labels["over_ranks"] for m in got.measurements} == {"max"}
        assert all(len(m.samples) % 20 == 0 for m in got.measurements)


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.binary(max_size=400), st.text(max_size=400).map(lambda text: text.encode("utf-8", "replace"))))
def test_any_bytes_are_read_without_a_fault(content):
    found, remarks = read_content(content, "x")
    assert not found or remarks is not None


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_a_log_with_anything_cut_out_or_put_in_is_read_without_a_fault(data):
    whole = data.draw(
        st.sampled_from([new_text(Written()), root_text(Written()), error_text(Written()), document(Written())])
    )
    begin = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(begin, min(len(whole), begin + 200)))
    text = whole[:begin] + data.draw(st.text(max_size=30)) + whole[end:]
    found, _ = read_content(text.encode("utf-8", "replace"), "x")
    for run in found:
        for m in measured(run, "all_reduce", 8, None).measurements:
            assert all(math.isfinite(s) and s > 0 for s in m.samples) or m.metric.endswith("bus_bandwidth")


def test_new_layout_says_program_versions_and_devices():
    run = only(new_text(Written(hosts=2, each=4)))
    assert run.program == "all_reduce_perf" and run.hosts == ["gpu00", "gpu01"]
    assert run.versions == {"nccl-tests": "2.18.0", "nccl-headers": "2.29.7", "nccl": "2.29.7"}
    assert run.average_bus_bandwidth == 123.456


def test_columns_of_each_iteration_and_times_of_day_are_no_results():
    run = Written()
    plain = bandwidths(only(new_text(run)))
    assert bandwidths(only(new_text(run, per_iteration=True))) == plain
    assert bandwidths(only(new_text(run, timestamps=True))) == plain


def test_published_figures_of_old_layouts_are_read_as_they_stand():
    (old,) = read_text((DATA / "all_reduce_v100_errors.log").read_text(), "old").runs
    assert old.program == "all_reduce_perf" and old.ranks == 8 and old.statistic == "max"
    assert bandwidths(old)[(2097152, False)] == pytest.approx(2097152 / 52.71e-6 / 1e9 * 1.75)
    (rccl,) = read_text((DATA / "all_reduce_rccl_two_ranks.log").read_text(), "rccl").runs
    assert rccl.ranks == 2 and bandwidths(rccl, ranks=2)[(134217728, True)] == pytest.approx(24.21, abs=0.005)
    assert rccl.versions["nccl-tests"].startswith("develop")


def test_colours_of_a_terminal_and_other_line_ends_change_nothing():
    text = new_text(Written())
    assert only("\x1b[32m" + text.replace("\n", "\x1b[0m\r\n")) == only(text)


def test_in_place_alltoall_is_never_checked_and_its_sides_are_told_apart():
    (run,) = read_text((DATA / "alltoall_two_nodes.log").read_text(), "a2a").runs
    assert run.ranks == 16 and run.versions["nccl"] == "2.29.3+cuda13.1" and run.statistic == "mean"
    got = measured(run, "all_to_all", 16, run.statistic)
    assert not got.refused
    assert {(m.labels["in_place"], m.labels["checked"]) for m in got.measurements} == {(False, True), (True, False)}


def test_one_rank_alone_measures_no_collective():
    run = only(new_text(Written(each=1)))
    found = measured(run, "all_reduce", 1, run.statistic)
    assert not found.measurements and {why.kind for why, _ in found.refused} == {"empty"}


@pytest.mark.parametrize("label", ["[1,{}]<stdout>:", "[4711,{}]<stdout>: ", "{}: ", "[{}] ", " {}: "])
def test_launchers_labels_are_taken_off_and_keep_ranks_apart(label):
    first, second = Written(), Written(operation="all_gather", each=4)
    lines: list[str] = []
    for one, other in zip(new_text(first).splitlines(), new_text(second).splitlines(), strict=False):
        lines += [label.format(0) + one, label.format(1) + other]
    lines += [label.format(0) + rest for rest in new_text(first).splitlines()[len(lines) // 2 :]]
    reading = read_text("\n".join(lines) + "\n", "mixed")
    assert not reading.unread
    assert [(run.program, run.ranks, len(run.rows)) for run in reading.runs] == [
        ("all_reduce_perf", 8, 3),
        ("all_gather_perf", 4, 3),
    ]


def test_processes_that_print_over_each_other_without_labels_give_no_run():
    one = new_text(Written(each=1)).splitlines()
    text = "\n".join(line for pair in zip(one, one, strict=True) for line in pair) + "\n"
    runs_, _ = read_content(text.encode(), "srun.log")
    assert runs_ and all(run.mixed for run in runs_)


def test_lines_of_nccl_in_the_middle_of_a_row_do_not_lose_it():
    lines = new_text(Written()).splitlines()
    at = next(i for i, line in enumerate(lines) if line.lstrip().startswith("1048576"))
    row = lines[at]
    begin = row.index("-1") + 2
    noise = "gpu00:4711:4720 [0] NCCL INFO Channel 00/24 : 0 1 2 3"
    warning = "[2026-01-02 03:04:05] gpu00:4711:4720 [3] transport/net_ib.cc:120 NCCL WARN NET/IB : slow"
    lines[at : at + 1] = [row[:begin] + noise, noise, warning, row[begin:]]
    run = only("\n".join(lines) + "\n")
    assert [r.size for r in run.rows] == [8, 1048576, 2**30]
    assert bandwidths(run) == bandwidths(only(new_text(Written())))
    assert len(run.warnings) == 1 and "slow" in run.warnings[0]


def test_a_torn_row_that_does_not_go_on_is_named():
    lines = new_text(Written()).splitlines()
    at = next(i for i, line in enumerate(lines) if line.lstrip().startswith("1048576"))
    lines[at] = lines[at][: lines[at].index("-1") + 2] + "gpu00:1:2 [0] NCCL INFO x"
    reading = read_text("\n".join(lines) + "\n", "torn")
    assert len(reading.runs[0].rows) == 2
    assert [(entry.line, entry.problem) for entry in reading.unread] == [(at + 1, "a row that does not end")]


def test_runs_one_after_the_other_and_what_is_around_them():
    text = (
        "module load nccl\nhostname: login\n"
        + new_text(Written())
        + "done\n"
        + root_text(Written(each=4))
        + "bye\n"
    )
    reading = read_text(text, "two.log")
    assert [(run.ranks, run.program) for run in reading.runs] == [(8, "all_reduce_perf"), (4, None)]
    lines = text.splitlines()
    assert [entry.line for entry in reading.unread] == [1, lines.index("done") + 1, len(lines)]
    assert "with 1 more up to line 2" in reading.unread[0].problem


def test_the_command_before_a_run_says_what_it_is_and_what_its_times_are():
    head = "+ srun -n 16 /opt/nccl-tests/alltoall_perf -b 8 -e 1G -f 2 {}\n"
    for words, statistic in (("-a 3", "max"), ("--average=2", "min"), ("-a0", "rank0"), ("", "mean")):
        run = only(head.format(words) + root_text(Written(operation="all_to_all", hosts=2)))
        assert (run.program, run.statistic) == ("alltoall_perf", statistic)
    assert only(root_text(Written(hosts=2))).statistic is None
    # one process waits for all its devices: that is the maximum, whatever -a says
    assert only(root_text(Written(per_process=8))).statistic == "max"


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (
            "gpu00: Test NCCL failure common.cu:1036 'unhandled system error / Call to ibv_modify_qp failed'",
            "crashed",
        ),
        (" .. gpu00 pid 4711: Test failure common.cu:891", "crashed"),
        ("gpu00: Test CUDA failure common.cu:892 'out of memory'", "out_of_memory"),
        ("gpu00: Test timeout (30s) common.cu:310", "timeout"),
        (
            "slurmstepd: error: *** STEP 12.0 ON gpu00 CANCELLED AT 2026-01-02T03:04:05 DUE TO TIME LIMIT ***",
            "timeout",
        ),
        ("slurmstepd: error: *** STEP 12.0 ON gpu00 CANCELLED AT 2026-01-02T03:04:05 ***", "cancelled"),
    ],
)
def test_a_run_that_fails_says_how(line, kind):
    text = new_text(Written(), footer=False) + line + "\n"
    (run,) = read_text(text, "bad").runs
    assert not run.concluded and [failure.kind for failure in run.failures] == [kind]
    labelled = "".join(f"0: {entry}\n" for entry in new_text(Written(), footer=False).splitlines()) + f"5: {line}\n"
    (run,) = read_text(labelled, "bad").runs
    assert [failure.kind for failure in run.failures] == [kind]


def test_long_lines_and_long_logs_of_nccl_are_read_in_their_stride():
    info = "gpu00:4711:4720 [0] NCCL INFO Channel 00/24 : 0 1 2 3 4 5 6 7\n"
    text = new_text(Written())
    reading = read_text(info * 20_000 + "a.b-" * 300_000 + "\n" + "1 " * 300_000 + "\n" + text, "long")
    assert len(reading.runs) == 1 and len(reading.runs[0].rows) == 3
    assert [entry.problem.startswith("a line of") for entry in reading.unread] == [True, True]


def test_a_log_that_is_cut_off_is_not_concluded_and_its_last_row_is_no_row():
    text = new_text(Written(), footer=False)
    reading = read_text(text[:-8], "cut")
    (run,) = reading.runs
    assert not run.concluded and len(run.rows) == 2
    assert [entry.problem for entry in reading.unread] == ["a row that is cut off"]


def test_rows_that_are_wrong_contradict_themselves_or_are_no_numbers_yield_none():
    def refusals(text: str) -> list[tuple[str, str]]:
        (run,) = read_text(text, "x").runs
        return [(why.kind, why.words) for why, _ in measured(run, "all_reduce", 8, None).refused]

    text = new_text(Written(wrong={1: 3}))
    assert refusals(text) == [("wrong", "3 wrong elements")]
    honest = fit(Written().rates(2**30, 4123.4)[1], 6)
    assert honest in new_text(Written())
    kind, words = refusals(new_text(Written()).replace(honest, "512.34"))[0]
    assert kind == "contradiction" and "busbw 512.34 does not follow" in words
    assert [kind for kind, _ in refusals(new_text(Written()).replace(honest, "  -nan"))] == ["unreadable"]
    assert [kind for kind, _ in refusals(new_text(Written()).replace(honest, "   inf"))] == ["unreadable"]
    # the bandwidth of another operation over as many ranks is a contradiction too
    (run,) = read_text(new_text(Written(operation="all_gather")), "x").runs
    assert {why.kind for why, _ in measured(run, "all_reduce", 8, None).refused} == {"contradiction"}


def test_wrong_results_of_a_layout_that_prints_errors_leave_no_number_at_all():
    (run,) = read_text(error_text(Written(wrong={0: 1})), "x").runs
    found = measured(run, "all_reduce", 8, None)
    assert not found.measurements and {why.kind for why, _ in found.refused} == {"wrong"}
    (run,) = read_text(error_text(Written()).replace("5e-07", "4e+00*", 1), "x").runs
    assert [why.kind for why, _ in measured(run, "all_reduce", 8, None).refused] == ["wrong"]


def test_unchecked_results_and_host_times_are_labelled_or_refused():
    (run,) = read_text(new_text(Written(checked=False)), "x").runs
    assert {m.labels["checked"] for m in measured(run, "all_reduce", 8, None).measurements} == {False}
    (run,) = read_text(new_text(Written()).replace("   time  ", "cputime  "), "x").runs
    assert run.cpu_time and not measured(run, "all_reduce", 8, None).measurements


def test_sizes_too_small_for_the_ranks_move_nothing():
    run = only(new_text(Written(rows=[(0, 5.0, 5.0), (64, 9.0, 9.0)])))
    found = measured(run, "all_reduce", 8, None)
    assert {why.kind for why, _ in found.refused} == {"empty"}
    assert {m.labels["size_bytes"] for m in found.measurements} == {64}


def test_cycles_are_samples_of_one_size():
    run = only(new_text(Written(rows=[(64, 9.0, 9.0), (128, 9.5, 9.5), (64, 11.0, 11.0)])))
    found = {
        m.labels["size_bytes"]: m.samples
        for m in measured(run, "all_reduce", 8, None).measurements
        if m.metric == "collective.time" and not m.labels["in_place"]
    }
    assert found[64] == pytest.approx([9e-6, 11e-6]) and found[128] == pytest.approx([9.5e-6])


def test_a_json_file_that_is_cut_off_keeps_its_whole_rows():
    text = document(Written())
    at = text.index('"size":1073741824')
    read = read_document(text[: at + 40], "cut.json")
    assert read is not None
    run, unread = read
    assert [row.size for row in run.rows] == [8, 1048576] and not run.concluded
    assert [failure.kind for failure in run.failures] == ["crashed"] and "ends before" in unread[0].problem
    assert run.ranks == 8


def test_json_writes_infinities_bare_and_nan_as_text():
    text = document(Written()).replace('"bus_bw":', '"bus_bw":inf,"x":', 1)
    read = read_document(text, "inf.json")
    assert read is not None
    found = measured(read[0], "all_reduce", 8, None)
    assert [why.kind for why, _ in found.refused] == ["unreadable"]
    content = json.loads(document(Written()))
    content["results"][0]["out_of_place"]["time"] = "nan"
    read = read_document(json.dumps(content), "nan.json")
    assert read is not None and measured(read[0], "all_reduce", 8, None).refused[0][0].kind == "unreadable"


def test_one_device_is_listed_for_each_process_so_ranks_are_counted():
    read = read_document(document(Written(hosts=2, per_process=4)), "x.json")
    assert read is not None
    assert (read[0].ranks, read[0].processes, len(read[0].devices)) == (16, 4, 4)
    assert read_document('{"version":2,"results":[]}', "x") is None and read_document("[1, 2", "x") is None


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("all_reduce-n4.log", "all_reduce"),
        ("alltoall.out", "all_to_all"),
        ("2026-reduce-scatter.txt", "reduce_scatter"),
        ("sendrecv_perf.json", "send_recv"),
        ("reduce.log", "reduce"),
        ("slurm-17.out", None),
        ("all_reduce_and_broadcast.log", None),
    ],
)
def test_a_files_name_tells_the_operation_where_it_speaks_of_one(name, operation):
    assert operation_in_name(name) == operation


@pytest.mark.parametrize("levels", [100, 450, 900, 5000])
@pytest.mark.parametrize("key", ["version", "args", "hostname", "size", "root", "time", "nwrong", "errors"])
def test_values_that_are_nested_deeply_are_no_fault(key, levels):
    text = document(Written())
    place = text.index(f'"{key}":') + len(key) + 3
    read_content((text[:place] + "[" * levels + "]" * levels + ',"rest":' + text[place:]).encode(), "deep.json")
