"""Every way in which something is not measured, against everything that the rest may show: none of them passes."""

from __future__ import annotations

import itertools

import pytest
from study_on_disk import B200, FINETUNE, GEMM, LAPTOP

from seatrial.analysis.verdict_file import read_verdicts
from seatrial.record import Error, measurement

TWO_NODES = {**LAPTOP, "nodes": 2}
GOOD, BAD, OPEN = (12.0, 12.1, 12.2), (8.0, 8.1, 8.2), (9.0, 10.2, 11.5)
STATES = {"pass": GOOD, "fail": BAD, "inconclusive": OPEN}
"""Values of three repeats, and the verdict on them where 10 is asked for at least."""
CEILING = 20.0
BOUNDS = {
    "value": {"at_least": 10.0},
    "ceiling": {"at_least": 0.5, "unit_of": "ceiling"},
    "reference": {"at_least": 0.8, "unit_of": "reference", "reference": {"value": 12.5, "source": "the offer"}},
}
LABELS = {"dtype": "float32"}


def found_of(value, ceiling=CEILING, labels=LABELS):
    samples = [value * f for f in (0.99, 0.995, 1.0, 1.005, 1.01)]
    basis = None if ceiling is None else "dense peak"
    return measurement("gemm.throughput", samples, labels, ceiling, basis)


def ended(outcome, kind):
    return lambda study, case, n, value: study.record(
        case, n, found_of(value), outcome=outcome, error=Error(kind=kind, message="no")
    )


def truncated(study, case, n, value):
    path = study.record(case, n, found_of(value))
    path.write_text(path.read_text()[:-40])


def not_a_number(study, case, n, value):
    long = found_of(value).model_copy(update={"samples": [value] * 1001 + [float("nan")]})
    study.record(case, n, long)


def another_repeats(study, case, n, value):
    path = study.record(case, n, found_of(value))
    path.write_text(path.read_text().replace(f'"repeat": {n}', f'"repeat": {n + 5}'))


DEFECTS = {
    "absent": lambda study, case, n, value: None,
    "truncated": truncated,
    "of another repeat": another_repeats,
    "not a number": not_a_number,
    "without the metric": lambda study, case, n, value: study.record(case, n),
    "under another label": lambda study, case, n, value: study.record(
        case, n, found_of(value, labels={"dtype": "float16"})
    ),
    "crashed": ended("failed", "crashed"),
    "wrong result": ended("failed", "wrong_result"),
    "out of memory": ended("failed", "out_of_memory"),
    "timeout": ended("failed", "timeout"),
    "skipped": ended("unsupported", "crashed"),
    "aborted": ended("aborted", "cancelled"),
    "node failed": ended("aborted", "node_fail"),
    "one node not tested": lambda study, case, n, value: study.record(
        case, n, found_of(value), provenance={"hosts": ["n1", "n1"]}
    ),
    "nodes not known": lambda study, case, n, value: study.record(case, n, found_of(value), provenance={}),
}
"""What may be wrong with one repeat, each as it lies on disk."""
OF_ALL = {
    "nothing": {},
    "too few repeats": {"minimum_repeats": 9},
    "nothing selected": {"where": {"dtype": "float64"}},
}


class Table:
    """One study whose every criterion is about an experiment of its own, analysed once."""

    def __init__(self, study):
        self.study, self.expected = study, {}

    def add(self, values, defects, bound, expected, ceiling=CEILING, **words):
        name = f"c{len(self.expected)}"
        repeats = len(values) + len(defects)
        (case,) = self.study.experiment(name, GEMM, repeats)
        for n, value in enumerate(values):
            self.study.record(case, n, found_of(value, ceiling))
        for n, defect in enumerate(defects, start=len(values)):
            DEFECTS[defect](self.study, case, n, values[0] if values else 12.0)
        where = {"experiment": name, **LABELS, **words.pop("where", {})}
        self.study.study.setdefault("criteria", []).append(
            {"name": name, "metric": "gemm.throughput", "where": where, **BOUNDS[bound], **words}
        )
        self.expected[name] = (expected, values, defects, bound, words)

    def check(self):
        self.study.write()
        for verdict in read_verdicts(self.study.analyse()):
            expected, *what = self.expected[verdict["criterion"]]
            assert verdict["verdict"] == expected, (what, verdict)
            assert verdict["reason"]


@pytest.fixture
def table(make_study, monkeypatch):
    study = make_study(target=TWO_NODES)
    # study.json once, when all is planned
    write = study.write
    monkeypatch.setattr(study, "write", lambda: None)
    made = Table(study)
    yield made
    monkeypatch.setattr(study, "write", write)
    made.check()


def test_one_repeat_that_was_not_measured_in_every_combination(table):
    for bound, defect in itertools.product(BOUNDS, DEFECTS):
        for word, values in STATES.items():
            table.add(values, [defect], bound, "fail" if word == "fail" else "incomplete")
        table.add([], [defect], bound, "incomplete")


def test_two_repeats_that_were_not_measured_in_every_combination(table):
    for pair in itertools.combinations_with_replacement(DEFECTS, 2):
        table.add(GOOD, pair, "value", "incomplete")


def test_what_is_wrong_with_all_repeats_in_every_combination(table):
    for bound, word, (what, words) in itertools.product(BOUNDS, STATES, OF_ALL.items()):
        table.add(STATES[word], [], bound, word if what == "nothing" else "incomplete", **words)
    for word in STATES:
        table.add(STATES[word], [], "ceiling", "incomplete", ceiling=None)


def test_a_single_repeat_passes_and_fails_nothing_unless_its_samples_are_enough(table):
    for bound, values in itertools.product(BOUNDS, STATES.values()):
        table.add(values[:1], [], bound, "inconclusive")
    for defect, values in itertools.product(DEFECTS, (GOOD, BAD)):
        table.add(values[:1], [defect], "value", "incomplete")


def test_a_rank_or_a_swept_point_that_is_missing_everywhere_passes_nothing(make_study):
    study = make_study(target={**LAPTOP, "tasks_per_node": 2})
    whole, short = study.experiment("gemm", GEMM, 3, {"workload.m": [64, 256]})
    for case, ranks in ((whole, (0, 1)), (short, (1,))):
        for n in range(3):
            study.record(case, n, *(found_of(12.0 + n / 10, labels={"rank": r, **LABELS}) for r in ranks))
    study.criterion("whole", "gemm.throughput", at_least=10.0, where={"m": 64})
    study.criterion("short", "gemm.throughput", at_least=10.0)
    study.criterion("first", "gemm.throughput", at_least=10.0, where={"rank": 0})
    study.criterion("second", "gemm.throughput", at_least=10.0, where={"rank": 1})
    found = read_verdicts(study.analyse())
    assert [v["verdict"] for v in found] == ["pass", "incomplete", "incomplete", "pass"]
    assert "1 of 2 ranks have no measurement of it (rank 0)" in found[1]["reason"]


@pytest.mark.parametrize(("fleet", "verdict"), [(["n[1-2]"], "pass"), (["n[1-3]"], "incomplete")])
def test_a_node_of_the_fleet_that_nothing_ran_on_passes_no_criterion_on_every_rank(make_study, fleet, verdict):
    study = make_study(target={**TWO_NODES}, fleet=fleet)
    (case,) = study.experiment("gemm", GEMM, 3)
    for n in range(3):
        study.record(case, n, *(found_of(12.0 + n / 10, labels={"rank": rank}) for rank in (0, 1)))
    study.criterion("all", "gemm.throughput", at_least=10.0)
    (found,) = read_verdicts(study.analyse())
    assert found["verdict"] == verdict
    assert ("1 of 3 nodes of the fleet were not tested (n3)" in found["reason"]) == (verdict == "incomplete")


def test_a_parameter_that_the_measurement_decides_does_not_hide_a_case_without_records(make_study):
    study = make_study()
    sizes = {"kind": "collective", "operation": "all_reduce", "size_bytes": None, "sizes": SIZES}
    there, absent = study.experiment("sizes", sizes, 3, {"workload.iterations": [5, 6]})
    for n in range(3):
        found = measurement("collective.bus_bandwidth", [12.0 + n] * 5, {"size_bytes": 64})
        study.record(there, n, found)
    study.criterion("at-64", "collective.bus_bandwidth", at_least=1.0, where={"size_bytes": 64})
    (verdict,) = read_verdicts(study.analyse())
    assert verdict["verdict"] == "incomplete" and "3 of 3 repeats not completed" in verdict["reason"]
    assert absent.case_id != there.case_id


SIZES = {"smallest": 8, "largest": 64, "factor": 8}


@pytest.mark.parametrize(
    ("sizes", "where", "verdict"),
    [
        ((8, 64), {"operation": "all_reduce"}, "pass"),
        ((8,), {"operation": "all_reduce"}, "incomplete"),
        ((8,), {"operation": "all_reduce", "backend": "gloo"}, "incomplete"),
        ((8,), {"size_bytes": 8}, "pass"),
        ((8,), {"size_bytes": 64}, "incomplete"),
    ],
)
def test_a_size_that_is_missing_in_every_repeat_passes_nothing(make_study, sizes, where, verdict):
    study = make_study()
    (case,) = study.experiment(
        "sizes", {"kind": "collective", "operation": "all_reduce", "size_bytes": None, "sizes": SIZES}, 3
    )
    for n in range(3):
        labels = {"operation": "all_reduce", "backend": "gloo"}
        found = [
            measurement("collective.bus_bandwidth", [12.0 + n / 10] * 5, labels | {"size_bytes": s}) for s in sizes
        ]
        study.record(case, n, *found)
    study.criterion("fast", "collective.bus_bandwidth", at_least=1.0, where=where)
    (found,) = read_verdicts(study.analyse())
    assert found["verdict"] == verdict, found
    if where == {"operation": "all_reduce"} and verdict == "incomplete":
        assert "size_bytes 64" in found["reason"] and "3 of 3 repeats did not measure it" in found["reason"]


@pytest.mark.parametrize(
    ("labels", "verdict"),
    [
        ([{"cut": "host_order"}, {"cut": "shift"}], "pass"),
        ([{"cut": "host_order", "also": "shift"}], "pass"),
        ([{"cut": "host_order"}], "incomplete"),
    ],
)
def test_a_cut_that_is_missing_in_every_repeat_passes_nothing(make_study, labels, verdict):
    study = make_study(target=TWO_NODES)
    (case,) = study.experiment(
        "halves", {"kind": "bisection", "size_bytes": 1024, "cuts": ["host_order", "shift", "rail"]}, 3
    )
    for n in range(3):
        shared = {"scale": 2, "hosts": 2, "ranks": 2, "size_bytes": 1024}
        found = [measurement("bisection.bandwidth", [12.0 + n / 10] * 5, shared | one) for one in labels]
        study.record(case, n, *found)
    study.criterion("fast", "bisection.bandwidth", at_least=1.0)
    (found,) = read_verdicts(study.analyse())
    assert found["verdict"] == verdict, found


@pytest.mark.parametrize(
    ("ranks", "where", "verdict"),
    [
        ((0, 2), {}, "pass"),
        ((0, 1), {}, "incomplete"),
        ((0, 1), {"device": "cpu"}, "incomplete"),
        ((0, 1), {"rank": 1}, "pass"),
    ],
)
@pytest.mark.parametrize("hosts", [["n1", "n1", "n2", "n2"], ["n1", "n2"]])
def test_a_node_whose_sensors_nobody_read_passes_nothing(make_study, ranks, where, verdict, hosts):
    study = make_study(target={**TWO_NODES, "tasks_per_node": 2})
    (case,) = study.experiment("finetune", FINETUNE, 3)
    for n in range(3):
        found = [
            measurement("telemetry.power", [60.0 + n, 61.0 + n, 62.0 + n], {"rank": rank, "device": "cpu"})
            for rank in ranks
        ]
        study.record(case, n, *found, provenance={"hosts": hosts})
    study.criterion("frugal", "telemetry.power", at_most=500.0, where=where)
    (found,) = read_verdicts(study.analyse())
    assert found["verdict"] == verdict, found
    assert ("1 of 2 nodes have no reading of it (n2)" in found["reason"]) == (verdict == "incomplete")


def test_one_of_many_fails_the_whole_only_where_chance_would_not(make_study):
    study = make_study()
    cases = study.experiment("gemm", GEMM, 3, {"workload.m": list(range(64, 96))})
    for case in cases[1:]:
        study.gemm(case, [12.0, 12.1, 12.2])
    study.gemm(cases[0], [9.5, 9.7, 9.8])
    study.criterion("one", "gemm.throughput", at_least=10.0, where={"m": 64})
    study.criterion("all", "gemm.throughput", at_least=10.0)
    one, all_of_them = read_verdicts(study.analyse())
    assert one["verdict"] == "fail"
    assert all_of_them["verdict"] == "inconclusive"
    assert "one of 32 is as bad by chance" in all_of_them["reason"]
    study.gemm(cases[0], [5.0, 5.01, 5.02])
    assert read_verdicts(study.analyse())[1]["verdict"] == "fail"


@pytest.mark.usefixtures("same_work")
@pytest.mark.parametrize(
    ("factors", "crash", "verdict"),
    [([0.99, 1.0, 1.01], 0, "pass"), ([1.99, 2.0, 2.01], 1, "fail"), ([0.99, 1.0, 1.01], 1, "incomplete")],
)
def test_a_time_as_a_multiple_of_the_published_median(make_study, factors, crash, verdict):
    study = make_study(target=B200)
    (case,) = study.experiment("finetune", FINETUNE | {"benchmark": "llama2_70b_lora"}, len(factors) + crash)
    (other,) = study.experiment("other", FINETUNE, 3)
    study.trained(case, [9.81 * f for f in factors])
    study.trained(other, [1.0, 1.1, 1.2])
    for name in ("finetune", "other"):
        words = {"at_most": 1.3, "unit_of": "reference", "where": {"experiment": name}}
        study.criterion(name, "train.mlperf_minutes", **words)
    first, second = read_verdicts(study.analyse())
    assert (first["verdict"], first["unit"]) == (verdict, "of the reference")
    assert second["verdict"] == "no_reference"
