"""Tables on the page: great-tables' layout, escaped cells, numbers to sort by, which rows a long table keeps."""

from __future__ import annotations

import csv
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup, escape
from study_on_disk import FINETUNE, GEMM, training_measurements
from test_report import SCRIPT, Page, made

from seatrial.record import measurement
from seatrial.report import rendering
from seatrial.report.page import report
from seatrial.report.table import MOST_ROWS, NUMBER, TEXT, Cell, table
from seatrial.report.table_html import sort_value, table_html


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2.37 s", 2.37), ("1.5 min", 90.0), ("1 h 30 min", 5400.0), ("12 ms", 0.012), ("4 KiB", 4096.0),
        ("21,202", 21202.0), ("3 of 4", 3.0), ("1.2 to 1.4", 1.2), ("41.2 %", 41.2), ("1.09 \u00d7", 1.09),
        ("-13.4 %", -13.4), ("6.1e+07", 6.1e7), ("-", None), ("", None), ("not measured", None),
        ("at least 60 s", None),
    ],
)  # fmt: skip
def test_a_cell_is_sorted_by_its_first_figure_in_its_units_base(text, value):
    found = sort_value(text)
    assert found == (value if value is None else pytest.approx(value))


def text_of_cell(cell: Cell) -> Markup:
    return escape(cell.text)


@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), max_size=4))
def test_whatever_a_cell_says_it_stays_text_in_its_place(rows):
    cells = [[Cell(first), Cell(second)] for first, second in rows]
    made = table_html(table("t", "a < b", [("A & B", TEXT), ("{{C}}", NUMBER)], cells, "t.csv"), text_of_cell)
    page = Page(made)
    assert page.tags[:8] == ["table", "caption", "span", "thead", "tr", "th", "th", "tbody"]
    assert page.tags[8:] == ["tr", "th", "td"] * len(rows)
    found = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", made[made.index("<tbody") :], re.DOTALL)
    # white space between tags is great-tables' own and not kept
    assert [text.strip() for text in found] == [str(escape(text)).strip() for row in rows for text in row]


def test_a_table_has_a_caption_scopes_roles_and_one_style_for_all():
    cells = [[Cell("one"), Cell("2 min", "median")]]
    long = replace(table("t", "What", [("Who", TEXT), ("Time", NUMBER)], cells, "tables/t.csv"), total=1234)
    made = table_html(replace(long, anchors=["row-1"], citation="cited"), text_of_cell)
    assert made.startswith(
        '<table id="table-t" role="table"><caption><span>What (1 of 1,234 rows, the worst and the '
    )
    assert "all 1,234 are in tables/t.csv" in made and '<span class="citation">cited</span>' in made
    assert '<th scope="col" role="columnheader" class="number">Time</th>' in made
    assert '<tr role="row" id="row-1">\n<th scope="row" role="rowheader">one</th>' in made
    assert '<td role="cell" class="number" data-label="Time" data-sort="120">2 min</td>' in made
    assert "style" not in made and "gt_" not in made and made.count("id=") == 2


def test_a_table_that_is_cut_keeps_the_worst_then_the_swept_in_their_order():
    rows = [[Cell(str(n), swept=n % 2 == 0)] for n in range(300)]
    rows[250] = [Cell("250"), Cell("fail", kind="verdict fail")]
    rows[260] = [Cell("260"), Cell("missing", kind="outcome missing")]
    kept = [row[0].text for row in table("t", "", [("A", TEXT)], rows, "t.csv").rows]
    swept = [str(n) for n in range(0, 300, 2) if n not in (250, 260)]
    assert kept[: 2 + len(swept)] == ["250", "260", *swept]
    assert kept[2 + len(swept) :] == [str(n) for n in range(1, 300, 2)][: MOST_ROWS - 2 - len(swept)]


def many_measurements(make_study, n: int):
    """A study with one swept case and one that is not, of which every rank has a fraction of its ceiling."""
    study = make_study()
    (alone,) = study.experiment("alone", GEMM)
    (swept,) = study.experiment("swept", GEMM, axes={"workload.m": [64]})
    for case in (alone, swept):
        found = [
            measurement("gemm.throughput", [1.0 + rank], {"dtype": "float32", "rank": rank}, 1000.0, "peak")
            for rank in range(n)
        ]
        study.record(case, 0, *found)
    return study


def test_measurements_that_do_not_fit_are_a_csv_and_the_furthest_below_their_ceilings_stand_first(make_study):
    study = many_measurements(make_study, 150)
    page = made(study)
    file = study.paths.measurements_of("probes")
    with file.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 300 and {row["repeats"] for row in rows} == {"1"}
    words = "200 of 300 rows, the worst and the swept first; all 300 are in tables/measurements_probes.csv"
    assert words in page.text
    assert "tables/measurements_probes.csv" in page.addresses
    text = study.paths.report.read_text(encoding="utf-8")
    body = text[text.index('<table id="table-probes"') :].partition("</table>")[0]
    shown = re.findall(r'<tr role="row">.*?records/(\w+)/.*?"Median" data-sort="(\d+)"', body, re.DOTALL)
    worst, others = shown[:100], shown[100:]
    assert [int(value) for _, value in worst] == sorted([*range(1, 51), *range(1, 51)])
    assert {int(value) for _, value in others} == set(range(51, 151))
    assert {case_id for case_id, _ in others} == {study.planned[1].case_id}
    many_measurements(make_study, 3)
    report(study.analyse())
    assert not file.exists()


def test_medians_over_repeats_stand_with_how_many_there_were(make_study):
    study = make_study()
    (case,) = study.experiment("gemm", GEMM, 3)
    study.gemm(case, [1.0, 3.0, 2.0], ceiling=4.0)
    page = made(study)
    text = study.paths.report.read_text(encoding="utf-8")
    body = text[text.index('<table id="table-probes"') :].partition("</table>")[0]
    assert " ".join(Page(body).text.split()).endswith(
        "gemm.throughput 2 TFLOP/s 1.98 to 2.02 3 15 50 % 4: dense peak"
    )
    assert page.addresses.count(f"records/{case.case_id}/2.json") >= 1


def one_figure(make_study) -> tuple[Page, int]:
    study = make_study()
    (case,) = study.experiment("finetune", FINETUNE)
    study.record(case, 0, *training_measurements(1.0))
    page = made(study)
    assert "figures/time_to_quality.svg" in page.addresses
    return page, study.paths.report.stat().st_size


def test_a_figure_too_large_for_the_page_is_there_as_its_png(make_study, monkeypatch):
    monkeypatch.setattr(rendering, "MOST_OF_ONE", 1000)
    page, _ = one_figure(make_study)
    assert "svg" not in page.tags and "too large to stand on the page" not in page.text
    (shown,) = [found for tag, found in page.attributes if tag == "img"]
    assert shown["src"].startswith("data:image/png;base64,iVBOR") and shown["alt"].startswith("finetune: 60 s")


def test_figures_beyond_the_pages_size_are_files_beside_it(make_study, monkeypatch):
    monkeypatch.setattr(rendering, "MOST_OF_ALL", 1000)
    page, _ = one_figure(make_study)
    assert not {"svg", "img"} & set(page.tags)
    assert "too large to stand on the page" in page.text


def test_a_log_and_a_record_of_what_failed_are_a_link_away(make_study):
    study = make_study()
    (case,) = study.experiment("gemm", GEMM, 2)
    study.failed(case, 0, "crashed", SCRIPT)
    log = study.paths.measure_log(case.case_id, 0)
    log.parent.mkdir(parents=True)
    log.write_text("it died")
    page = made(study)
    assert f"records/{case.case_id}/0.json" in page.addresses
    assert f"logs/measure/{case.case_id}/0.log" in page.addresses
    assert f"records/{case.case_id}/1.json" not in page.addresses
