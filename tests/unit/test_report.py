"""The page: made whatever is missing, the same bytes each time, self-contained, and text stays text."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib import resources
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from study_on_disk import COLLECTIVE, FINETUNE, FLORIDA, GEMM, training_measurements

from seatrial.errors import UnreadableFile
from seatrial.record import measurement
from seatrial.report.page import report
from seatrial.report.rendering import script

SCRIPT = "<script>alert('x')</script>"
DELL = {"round": "v5.1", "submitter": "Dell", "system": "1xXE9680Lx8B200-SXM-180GB"}


class Page(HTMLParser):
    """Tags, ids, addresses and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        found = dict(attrs)
        self.attributes.append((tag, found))
        if "id" in found:
            self.ids.append(found["id"])
        self.addresses += [
            found[k] for k in ("href", "src", "xlink:href", "action", "srcset", "data") if k in found
        ]

    def handle_data(self, data):
        (self.scripts if self.tags[-1:] == ["script"] and self.cdata_elem == "script" else self.words).append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def full_study(make_study, folder="trial", **words):
    """A study with probes, a training, a failed and a missing repeat, a published subject and criteria."""
    study = make_study(folder, references={"subjects": [DELL]}, **words)
    for i, case in enumerate(study.experiment("gemm", GEMM, 2, {"workload.m": [64, 128]})):
        study.gemm(case, [1.0 + i, 1.1 + i], ceiling=4.0)
    for case in study.experiment("reduce", COLLECTIVE, 1, {"workload.size_bytes": [1024, 4096]}):
        labels = {"operation": "all_reduce", "dtype": "float32", "size_bytes": case.workload.size_bytes, "ranks": 2}
        bandwidths = [measurement(f"collective.{n}_bandwidth", [1.0, 1.1], labels) for n in ("algorithm", "bus")]
        study.record(case, 0, measurement("collective.time", [4e-6, 5e-6], labels), *bandwidths)
    (case,) = study.experiment("finetune", FINETUNE, 4)
    for repeat, minutes in enumerate((1.0, 1.2)):
        losses = [measurement("train.evaluation_loss", [3.0 - s / 50], {"step": s}) for s in (0, 20, 40)]
        study.record(case, repeat, *training_measurements(minutes), *losses)
    study.failed(case, 2, "diverged", f"loss is infinite {SCRIPT}")
    study.criterion("fast", "gemm.throughput", at_least=0.5)
    return study


def made(study) -> Page:
    paths = study.analyse()
    report(paths)
    return Page(paths.report.read_text(encoding="utf-8"))


def test_the_page_shows_verdict_tables_figures_and_what_is_missing(make_study):
    page = made(full_study(make_study))
    for words in (
        "All criteria pass",
        "2 of 4",
        "diverged",
        "not started",
        "unverified",
        "not slower",
        "n = 8, 5 submitters",
        "Result not verified by MLCommons Association",
        "mlcommons/training_results_v5.1",
        "node-hours",
    ):
        assert words in page.text, words
    assert page.tags.count("figure") == 6


@pytest.mark.parametrize("records", ["none", "no study tables of trainings"])
def test_without_any_record_there_is_still_a_page(make_study, records):
    study = make_study()
    study.experiment("gemm", GEMM, 3)
    if records == "none":
        study.experiment("finetune", FINETUNE, 2)
    study.criterion("fast", "gemm.throughput", at_least=0.5)
    page = made(study)
    assert "not started" in page.text
    assert "incomplete" in page.text
    assert "svg" not in page.tags
    assert not list(study.paths.figures.glob("*.svg"))


def test_a_study_of_a_published_subject_alone_has_a_page(make_study):
    study = make_study(references={"subjects": [DELL]})
    study.write()
    page = made(study)
    assert "This study plans no work of its own" in page.text
    assert "Dell against the published median" in page.text
    assert "Result not verified" not in page.text


def test_a_comparison_that_is_not_in_the_headline_stays_in_table_and_figure(make_study):
    study = make_study(references={"subjects": [FLORIDA]})
    study.criterion("c", "comparison.ratio", at_most=1.3, where={"benchmark": "llama2_70b_lora"})
    page = made(study)
    assert page.text.count("retinanet") > 1
    assert "2.53" in (study.paths.figures / "comparison.svg").read_text()
    assert "2.51 to 2.56" in page.text


def test_every_cell_names_its_column_for_narrow_windows(make_study):
    page = made(full_study(make_study))
    cells = [found for tag, found in page.attributes if tag == "td"]
    assert cells and all(found["data-label"] and found["role"] == "cell" for found in cells)
    assert "attr(data-label)" in resources.files("seatrial.report").joinpath("page.css").read_text()


def test_planted_markup_stays_text_wherever_it_comes_from(make_study):
    target = {
        "name": "laptop",
        "description": f"a laptop {SCRIPT}",
        "nodes": 1,
        "accelerators_per_node": 0,
        "tasks_per_node": 1,
        "device": "cpu",
    }
    study = full_study(make_study, title=f"Trial {SCRIPT}", description=SCRIPT, target=target)
    study.criterion("other", "gemm.throughput", at_least=0.5, where={"dtype": SCRIPT}, source=SCRIPT)
    (case,) = study.experiment("other", GEMM | {"m": 7}, 1, {"workload.dtype": ["float16"]})
    study.record(case, 0, measurement("gemm.throughput", [1.0], {"device": SCRIPT, "x": "$\\frac{"}))
    study.attempts(study.planned[4], 3, {"state": "FAILED", "reason": SCRIPT, "nodes": [SCRIPT]})
    study.write()
    page = made(study)
    assert page.scripts == [script()]
    assert page.text.count(SCRIPT) >= 6
    for figure in study.paths.figures.glob("*.svg"):
        assert "<script" not in figure.read_text()


def test_the_page_asks_for_nothing_from_outside(make_study):
    page = made(full_study(make_study))
    assert not set(page.tags) & {"img", "iframe", "object", "embed", "audio", "video", "form", "base"}
    assert [tag for tag, _ in page.attributes if tag == "link"] == ["link"]  # the empty icon
    assert not any(":" in address for address in page.addresses if address != "data:,"), page.addresses
    text = resources.files("seatrial.report").joinpath("page.css").read_text()
    assert "url(" not in text and "@import" not in text


def test_only_the_pages_own_script_may_run(make_study):
    page = made(full_study(make_study))
    (policy,) = [found["content"] for _, found in page.attributes if found.get("http-equiv")]
    digest = base64.b64encode(hashlib.sha256("".join(page.scripts).encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy and "default-src 'none'" in policy
    assert page.tags.count("script") == 1
    assert not any(name.startswith("on") for _, found in page.attributes for name in found)


def test_every_link_to_a_file_leads_to_one_that_is_there(make_study):
    study = full_study(make_study)
    page = made(study)
    files = {unquote(a) for a in page.addresses if not a.startswith(("#", "data:"))}
    assert not [file for file in files if not (study.paths.root / file).is_file()]
    assert {"verdicts.json", "tables/repeats.csv", "tables/comparison.csv", "figures/comparison.pdf"} <= files
    assert {f"records/{case.case_id}/0.json" for case in study.planned} <= files


def test_ids_are_unique_and_links_lead_somewhere(make_study):
    page = made(full_study(make_study))
    assert len(page.ids) == len(set(page.ids))
    assert {a[1:] for a in page.addresses if a.startswith("#")} <= set(page.ids)


def test_tables_and_figures_can_be_read_aloud(make_study):
    page = made(full_study(make_study))
    assert page.tags.count("caption") == page.tags.count("table") > 5
    assert all(found.get("scope") in ("col", "row") for tag, found in page.attributes if tag == "th")
    for found in (found for tag, found in page.attributes if tag == "svg"):
        assert found["role"] == "img"
        assert set(found["aria-labelledby"].split()) <= set(page.ids)
    assert ("html", {"lang": "en"}) in page.attributes


def test_the_same_records_give_the_same_bytes_in_another_process(make_study):
    study = full_study(make_study)
    made(study)
    files = [study.paths.report, *sorted(study.paths.figures.iterdir())]
    before = [file.read_bytes() for file in files]
    program = (
        "import sys; from pathlib import Path; from seatrial.paths import StudyPaths; "
        "from seatrial.analysis.collect import collect; from seatrial.analysis.analyse import analyse; "
        "from seatrial.report.page import report; "
        "p = StudyPaths(Path(sys.argv[1])); collect(p); analyse(p); report(p)"
    )
    environment = {"PYTHONHASHSEED": "12345", "SOURCE_DATE_EPOCH": "1", "PATH": "/usr/bin:/bin", "TZ": "Asia/Tokyo"}
    command = [sys.executable, "-c", program, str(study.paths.root)]
    subprocess.run(command, check=True, timeout=120, env=environment, cwd=study.paths.root)
    assert [file.read_bytes() for file in files] == before


def test_a_figure_that_is_no_longer_drawn_is_removed(make_study):
    study = full_study(make_study)
    study.paths.figures.mkdir(parents=True)
    stale = study.paths.figures / "stale.svg"
    stale.write_text("<svg/>")
    made(study)
    assert not stale.exists()


@pytest.mark.parametrize("table", ["repeats", "comparison", "time_to_quality", "references_used", "measurements"])
def test_a_foreign_table_makes_no_page(make_study, table):
    study = full_study(make_study)
    paths = study.analyse()
    file = getattr(paths, table)
    if table == "measurements":
        pq.write_table(pa.table({"other": [1]}), file)
    else:
        file.write_text("other\n1\n")
    with pytest.raises(UnreadableFile, match=rf"{file.name}: .*without the columns .*(experiment|submitter)"):
        report(paths)
    assert not paths.report.exists()


@pytest.mark.parametrize("table", ["repeats", "comparison", "time_to_quality", "measurements"])
def test_a_table_of_another_study_makes_no_page(make_study, table):
    paths = full_study(make_study).analyse()
    other = make_study("other")
    (case,) = other.experiment("other", FINETUNE | {"max_steps": 70})
    other.trained(case, [1.0])
    getattr(paths, table).write_bytes(getattr(other.analyse(), table).read_bytes())
    with pytest.raises(UnreadableFile, match=f"case {case.case_id} is not of this study"):
        report(paths)


def test_verdicts_on_other_criteria_make_no_page(make_study):
    paths = full_study(make_study).analyse()
    paths.verdicts.write_text("[]")
    with pytest.raises(UnreadableFile, match=r"verdicts\.json: it has verdicts on none"):
        report(paths)


def test_a_long_table_is_cut_and_says_so(make_study):
    study = make_study()
    study.experiment("gemm", GEMM, 230)
    page = made(study)
    assert "200 of 230 rows, the worst and the swept first; all 230 are in tables/repeats.csv" in page.text


def colours(css: str) -> list[dict[str, str]]:
    """The variables of the light and of the dark scheme, and of paper."""
    parts = re.findall(r":root \{(.*?)\}", css, flags=re.DOTALL)
    return [dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6})", part)) for part in parts]


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio of two colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def test_text_has_contrast_in_light_and_dark():
    schemes = colours(resources.files("seatrial.report").joinpath("page.css").read_text())
    words = ("--ink", "--muted", "--link", "--pass", "--fail", "--wait", "--none")
    grounds = ("--ground", "--card", *(f"--{name}-ground" for name in ("pass", "fail", "wait", "none")))
    assert len(schemes) == 3 and schemes[0] != schemes[1]
    for scheme in schemes:
        for name in words:
            for ground in grounds:
                assert contrast(scheme[name], scheme[ground]) >= 4.5, (name, ground)
        for name in ("--figure-ink", "--figure-reference"):
            assert contrast(scheme[name], scheme["--ground"]) >= 4.5, name
        for i in range(1, 7):
            assert contrast(scheme[f"--series-{i}"], scheme["--ground"]) >= 3, i


def test_paper_has_the_light_schemes_colours():
    light, _, paper = colours(resources.files("seatrial.report").joinpath("page.css").read_text())
    assert paper == light
