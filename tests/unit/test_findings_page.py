"""The page says what holds the workload back in its first lines, with the evidence below the criteria."""

from html.parser import HTMLParser

import numpy as np
from findings_on_disk import Made
from study_on_disk import FINETUNE, GEMM, StudyOnDisk

from seatrial.analysis.findings.findings_file import FindingEntry
from seatrial.report.findings import findings_section
from seatrial.report.page import report

FOUR_NODES = {
    "name": "four",
    "description": "four nodes",
    "nodes": 4,
    "accelerators_per_node": 0,
    "tasks_per_node": 1,
    "device": "cpu",
}


class Text(HTMLParser):
    """The words of a page in order, tags left out."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def handle_data(self, data: str) -> None:
        self.words += data.split()


def page(study: StudyOnDisk) -> str:
    report(study.analyse())
    return study.paths.report.read_text(encoding="utf-8")


def words(html: str) -> str:
    parser = Text()
    parser.feed(html)
    return " ".join(parser.words)


def trained(folder, made):
    study = StudyOnDisk(folder, target=FOUR_NODES)
    [case] = study.experiment("finetune", FINETUNE, repeats=2)
    draw = np.random.default_rng(3)
    for repeat in range(2):
        hosts = {"hosts": ["n1", "n2", "n3", "n4"]}
        study.record(case, repeat, *made.measurements(draw), provenance=hosts)
    return study


def test_the_main_finding_stands_in_the_first_lines_and_its_evidence_below(tmp_path):
    html = page(trained(tmp_path, Made(slow="n2", times=2.0)))
    text = words(html.partition("<body>")[2])
    assert "What holds it back Straggling node: n2 keeps the others waiting" in text[:1500]
    section = words(html.partition('<section id="findings">')[2].partition("</section>")[0])
    for said in ("Evidence", "Counter-evidence", "Without it", "What that costs", "robust z", "instead of"):
        assert said in section


def test_none_found_is_an_answer_on_the_page_with_what_was_looked_at(tmp_path):
    html = page(trained(tmp_path, Made()))
    text = words(html.partition("<body>")[2])
    assert "None found: nothing that was measured holds the workload back." in text[:1500]
    assert "clocks and throttling were not sampled" in text


def test_a_study_that_only_probes_claims_nothing_in_its_first_lines(tmp_path):
    study = StudyOnDisk(tmp_path)
    [case] = study.experiment("gemm", GEMM)
    study.gemm(case, [2.0])
    assert "What holds it back Not known: no training was measured" in words(page(study).partition("<body>")[2])


def entry(**changes: object) -> FindingEntry:
    content = {
        "cause": "interconnect",
        "severity": "inconclusive",
        "title": "The links are slow",
        "workload": "<b>train</b>",
        "where": "case",
        "place": {"case": "case"},
        "cost": {"value": 0.2, "low": None, "high": None, "method": "none", "n": 1},
        "evidence": ["a"],
        "counter_evidence": [],
        "without_it": "",
        "action": "look",
        "next_step": "",
        "remedy_cost": "",
    }
    return FindingEntry.model_validate({**content, **changes})


def test_a_suspicion_is_called_one_and_a_cost_without_an_interval_says_so():
    section = findings_section([entry(), entry(title="Another")])
    assert section is not None
    assert section.sentence == "Suspected, not yet known: the links are slow. 1 more below."
    assert section.shown[0].cost == "20 % of the time, no interval"


def test_no_finding_at_all_has_no_section():
    assert findings_section([]) is None
