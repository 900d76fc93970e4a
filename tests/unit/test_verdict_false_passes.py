"""What looks measured and is not what was planned: none of it passes."""

from __future__ import annotations

import pytest
from study_on_disk import COLLECTIVE, FINETUNE, GEMM, LAPTOP, crossing, training_measurements

from seatrial.analysis.verdict_file import read_verdicts
from seatrial.errors import UnreadableFile
from seatrial.record import measurement

TWO_NODES = {**LAPTOP, "nodes": 2}


def only(study):
    (found,) = read_verdicts(study.analyse())
    return found["verdict"], found["reason"]


@pytest.mark.parametrize(
    ("axes", "hosts", "verdict", "words"),
    [
        (None, [["n1", "n2"]] * 3, "incomplete", "2 of 4 nodes of the fleet were not tested (n3, n4)"),
        (None, [["n1", "n2"], ["n3.cluster", "n4.cluster"], ["n1", "n2"]], "pass", ""),
        (
            {"target.nodes": [2]},
            [["n1", "n2"]] * 3,
            "pass",
            "nothing is said of 2 of 4 nodes of the fleet (n3, n4)",
        ),
        ({"target.nodes": [4]}, [["n1", "n2", "x", "y"]] * 3, "incomplete", "2 of 4 nodes of the fleet"),
    ],
)
def test_a_collective_on_half_of_the_fleet_passes_only_where_that_was_swept(
    make_study, axes, hosts, verdict, words
):
    study = make_study(target=TWO_NODES, fleet=["n[1-4]"])
    (case,) = study.experiment("all", COLLECTIVE, 3, axes)
    for n, names in enumerate(hosts):
        found = measurement("collective.bus_bandwidth", [12.0 + n / 10] * 5)
        study.record(case, n, found, provenance={"hosts": names})
    study.criterion("fast", "collective.bus_bandwidth", at_least=1.0)
    found, reason = only(study)
    assert found == verdict and words in reason


def test_repeats_on_different_hosts_are_judged_by_host(make_study):
    study = make_study(target=TWO_NODES, fleet=["n[1-4]"])
    (case,) = study.experiment("gemm", GEMM, 10)
    for n in range(10):
        value, hosts = (1.0, ["n3", "n4"]) if n == 4 else (10.0 + n / 100, ["n1", "n2"])
        found = [measurement("gemm.throughput", [value] * 5, {"rank": rank}) for rank in (0, 1)]
        study.record(case, n, *found, provenance={"hosts": hosts})
    study.criterion("fast", "gemm.throughput", at_least=9.0, minimum_repeats=3)
    verdict, reason = only(study)
    assert verdict == "incomplete" and "host n3" in reason and "3 are the least" in reason


def test_two_names_of_one_host_are_one_node(make_study):
    study = make_study(target=TWO_NODES)
    (case,) = study.experiment("all", COLLECTIVE, 3)
    for n in range(3):
        found = measurement("collective.bus_bandwidth", [12.0 + n / 10] * 5)
        study.record(case, n, found, provenance={"hosts": ["n1", "n1.cluster"]})
    study.criterion("fast", "collective.bus_bandwidth", at_least=1.0)
    verdict, reason = only(study)
    assert verdict == "incomplete" and "1 of 2 nodes" in reason


@pytest.mark.parametrize(("not_cleared", "verdict"), [(0, "pass"), (7, "incomplete"), (None, "incomplete")])
def test_a_screen_that_did_not_clear_all_nodes_passes_nothing(make_study, not_cleared, verdict):
    study = make_study(target=TWO_NODES)
    (case,) = study.experiment("screen", {"kind": "screen"}, 6)
    for n in range(6):
        counts = {"screen.bad_nodes": 0, "screen.slow_links": 0, "screen.not_cleared": not_cleared}
        study.record(case, n, *(measurement(name, [count]) for name, count in counts.items() if count is not None))
    for name in ("bad_nodes", "slow_links"):
        study.criterion(name.replace("_", "-"), f"screen.{name}", at_most=0)
    assert [found["verdict"] for found in read_verdicts(study.analyse())] == [verdict] * 2


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"operation": "all_reduce", "dtype": "float32", "size_bytes": 4096, "ranks": 1}, None),
        ({"operation": "broadcast", "size_bytes": 4096}, "with operation broadcast, planned was all_reduce"),
        ({"operation": "all_reduce", "size_bytes": 64}, "with size_bytes 64, planned was 4096"),
        ({"dtype": "bfloat16"}, "with dtype bfloat16, planned was float32"),
    ],
)
def test_what_is_labelled_otherwise_than_planned_passes_nothing(make_study, labels, words):
    study = make_study()
    (case,) = study.experiment("all", COLLECTIVE, 3)
    for n in range(3):
        study.record(case, n, measurement("collective.bus_bandwidth", [12.0 + n / 10] * 5, labels))
    study.criterion("fast", "collective.bus_bandwidth", at_least=1.0)
    verdict, reason = only(study)
    assert verdict == ("incomplete" if words else "pass") and (words or "") in reason


@pytest.mark.parametrize(
    ("ceilings", "words"),
    [
        ((20.0, 20.0, 20.0), None),
        ((6.3, 6.3, 6.3), "of its ceiling, above the 107 % that are possible"),
        ((20.0, 20.0, 13.0), "different ceilings (13"),
    ],
)
def test_more_than_the_ceiling_and_ceilings_that_differ_pass_nothing(make_study, ceilings, words):
    study = make_study()
    (case,) = study.experiment("gemm", GEMM, 3)
    for n, ceiling in enumerate(ceilings):
        study.record(case, n, measurement("gemm.throughput", [12.0 + n / 10] * 5, {}, ceiling, "dense peak"))
    study.criterion("fast", "gemm.throughput", at_least=0.5, unit_of="ceiling")
    verdict, reason = only(study)
    assert verdict == ("incomplete" if words else "pass") and (words or "") in reason


def test_a_copied_record_is_no_repeat(make_study):
    study = make_study()
    (case,) = study.experiment("gemm", GEMM, 3)
    for n, value in enumerate((12.0, 12.1, 12.0)):
        start = {"started_at": "2026-01-02T03:00:00+00:00", "finished_at": "2026-01-02T03:01:00+00:00"}
        study.record(case, n, measurement("gemm.throughput", [value] * 5), **start)
    study.criterion("fast", "gemm.throughput", at_least=1.0)
    verdict, reason = only(study)
    assert verdict == "incomplete" and "repeat 2 is a copy of repeat 0" in reason


def test_a_verdict_says_what_was_run_again(make_study):
    study = make_study()
    (case,) = study.experiment("gemm", GEMM, 3)
    study.gemm(case, [12.0, 12.1, 12.2])
    study.attempts(case, 1, {"state": "FAILED"}, {"state": "COMPLETED"})
    study.paths.reruns.write_text(f'{{"{case.case_id}/2": 1}}')
    study.criterion("fast", "gemm.throughput", at_least=1.0)
    verdict, reason = only(study)
    assert verdict == "pass" and "2 repeats were run again" in reason


@pytest.mark.parametrize(
    ("quality", "words"),
    [
        (crossing(10.0), None),
        (None, "states no quality"),
        (crossing(10.0).model_copy(update={"crossing": None}), "was never crossed"),
        (
            crossing(10.0).model_copy(update={"target": 9.9}),
            "is evaluation_loss 9.9, planned was evaluation_loss 2.5",
        ),
    ],
)
def test_a_training_whose_quality_is_not_the_planned_one_passes_nothing(make_study, quality, words):
    study = make_study()
    (case,) = study.experiment("finetune", FINETUNE, 3)
    for n in range(3):
        study.record(case, n, *training_measurements(10.0 + n / 10), quality=quality)
    study.criterion("in-time", "train.time_to_quality", at_most=20)
    verdict, _ = only(study)
    assert verdict == ("incomplete" if words else "pass")
    assert (words or "") in study.paths.repeats.read_text()


def test_fewer_repeats_or_cases_than_were_planned_are_refused(make_study):
    study = make_study()
    first, second = study.experiment("gemm", GEMM, 6, {"workload.m": [64, 256]})
    file, text = study.paths.case(first.case_id), study.paths.case(first.case_id).read_text()
    file.write_text(text.replace('"repeats": 6', '"repeats": 5'))
    with pytest.raises(UnreadableFile, match="repeats is 5, study"):
        study.analyse()
    file.write_text(text)
    planned = study.paths.study.read_text()
    study.paths.study.write_text(planned.replace(f', "{second.case_id}"', ""))
    with pytest.raises(UnreadableFile, match="its 1 cases have 6 repeats, its plan asks for 12"):
        study.analyse()


def test_records_that_the_plan_does_not_list_are_named(make_study):
    study = make_study()
    (case,) = study.experiment("gemm", GEMM, 3)
    study.gemm(case, [12.0, 12.1, 12.2])
    (study.paths.records / "struck").mkdir()
    study.criterion("fast", "gemm.throughput", at_least=1.0)
    assert "records/ has 1 cases that the plan does not list, and that do not count (struck)" in only(study)[1]
