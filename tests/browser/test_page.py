"""The page in a real browser: it asks for nothing, answers on one screen, sorts, and is readable for everybody."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import pytest
from chromium import LAPTOP, PHONE, opened
from study_on_disk import GEMM, StudyOnDisk
from test_report import SCRIPT, full_study

from seatrial.report.page import report

ROWS = "[...document.querySelectorAll('#table-{0} tbody tr')]"
SYSTEM = f"8 accelerators {SCRIPT}"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory) -> Path:
    """The page of a study with everything on it, of which a published system's name is a script."""
    root = tmp_path_factory.mktemp("browser")
    study = full_study(lambda folder, **words: StudyOnDisk(root / folder, **words))
    cases = study.experiment("more", GEMM, 1, {"workload.n": [256, 512, 1024, 2048]})
    for case, speed in zip(cases, (900.0, 7.0, 3000.0, 80.0), strict=True):
        study.gemm(case, [speed], ceiling=2 * speed)
    paths = study.analyse()
    with paths.comparison.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    for row in rows:
        row["system"] = SYSTEM if row["system"] else row["system"]
    with paths.comparison.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    report(paths)
    return paths.report


def column(page, table: str, number: int) -> list[str]:
    """What stands in a column, row by row, without what is smaller under it."""
    return page.evaluate(
        f"{ROWS.format(table)}.map(row => row.cells[{number}].firstChild.textContent.trim())",
    )


def test_the_page_opens_without_complaint_and_asks_for_nothing_but_itself(browser, page_file):
    with opened(browser, page_file) as found:
        assert found.requests == [page_file.as_uri()]
        assert found.complaints == []
        assert page_file.stat().st_size < 3_000_000


def test_a_script_in_a_systems_name_stays_text(browser, page_file):
    with opened(browser, page_file) as found:
        shown = found.page.locator("#table-comparison tbody th").filter(has_text=SYSTEM)
        assert shown.count() == 5 and shown.first.is_visible()
        assert found.page.locator("script").count() == 1
        assert found.complaints == []


def test_what_is_not_the_pages_own_script_does_not_run(browser, page_file, tmp_path):
    planted = tmp_path / "planted.html"
    text = page_file.read_text(encoding="utf-8")
    planted.write_text(text.replace("<footer>", f"{SCRIPT}<img src=x onerror=alert(2)><footer>"), encoding="utf-8")
    with opened(browser, planted) as found:
        assert any("Content Security Policy" in words for words in found.complaints)
        assert not [words for words in found.complaints if words.startswith("dialog")]
        assert found.page.locator("#table-probes thead button").count() > 0


def test_a_click_sorts_by_the_number_and_a_third_one_gives_the_first_order_back(browser, page_file):
    with opened(browser, page_file) as found:
        head = found.page.locator("#table-products thead th").nth(1)
        planned = column(found.page, "products", 1)
        numbers = sorted((float(text.replace(",", "")) for text in planned), reverse=True)
        assert len(set(numbers)) == 6 and head.get_attribute("aria-sort") == "none"
        for order, wanted in (("ascending", numbers[::-1]), ("descending", numbers)):
            head.get_by_role("button").click()
            assert head.get_attribute("aria-sort") == order
            assert [float(text.replace(",", "")) for text in column(found.page, "products", 1)] == wanted
        head.get_by_role("button").click()
        assert (column(found.page, "products", 1), head.get_attribute("aria-sort")) == (planned, "none")


def test_the_keyboard_sorts_and_only_one_column_is_sorted_at_a_time(browser, page_file):
    with opened(browser, page_file) as found:
        heads = found.page.locator("#table-products thead th")
        heads.nth(1).get_by_role("button").focus()
        found.page.keyboard.press("Enter")
        assert heads.nth(1).get_attribute("aria-sort") == "ascending"
        found.page.keyboard.press("Tab")
        found.page.keyboard.press("Space")
        assert [heads.nth(i).get_attribute("aria-sort") for i in (1, 2)] == ["none", "ascending"]


def test_what_was_not_measured_stands_last_either_way(browser, page_file):
    with opened(browser, page_file) as found:
        button = found.page.locator("#table-comparison thead th").nth(4).get_by_role("button")
        for _ in range(2):
            button.click()
            ratios = column(found.page, "comparison", 4)
            assert ratios[-1] == "-" and "-" not in ratios[:-1]


@pytest.mark.parametrize("viewport", [PHONE, LAPTOP], ids=["phone", "laptop"])
def test_the_body_never_scrolls_sideways(browser, page_file, viewport):
    with opened(browser, page_file, viewport) as found:
        found.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        assert found.number("document.documentElement.scrollWidth") <= viewport["width"]


def test_the_answer_stands_on_the_first_screen_of_a_small_laptop(browser, page_file):
    with opened(browser, page_file) as found:
        answer = found.page.locator("#answer")
        box = answer.bounding_box()
        # a window leaves the page less than its screen has: tabs and addresses take 120 pixels
        assert box and box["y"] + box["height"] <= LAPTOP["height"] - 120
        words = answer.inner_text()
        for said in ("Verdict:", "What holds it back", "Time to quality", "published median", "Cost", "not known"):
            assert said in words
        assert words.count("n = ") >= 4 and answer.locator("a").count() >= 8


def test_text_on_a_phone_is_large_enough_and_every_cell_says_what_it_is(browser, page_file):
    with opened(browser, page_file, PHONE) as found:
        texts = "[...document.querySelectorAll('main p, main td, main dd')]"
        smallest = f"Math.min(...{texts}.map(one => parseFloat(getComputedStyle(one).fontSize)))"
        assert found.number(smallest) >= 12
        label = "getComputedStyle(document.querySelector('#table-comparison td'), '::before').content"
        assert found.page.evaluate(label) == '"Benchmark"'
        assert found.page.locator("#table-comparison thead button").first.is_visible()


def test_the_dark_scheme_has_other_colours(browser, page_file):
    ground = "getComputedStyle(document.body).backgroundColor + getComputedStyle(document.body).color"
    line = "getComputedStyle(document.querySelector('#figure-comparison text')).fill"
    seen = {}
    for scheme in ("light", "dark"):
        with opened(browser, page_file, scheme=scheme) as found:
            seen[scheme] = [found.page.evaluate(expression) for expression in (ground, line)]
    assert all(light != dark for light, dark in zip(seen["light"], seen["dark"], strict=True))


def test_paper_has_everything_on_white(browser, page_file):
    with opened(browser, page_file, scheme="dark") as found:
        folded = found.page.locator("#table-references tbody tr").first
        assert not folded.is_visible()
        found.page.emulate_media(media="print", color_scheme="dark")
        assert folded.is_visible()
        assert not found.page.locator("nav").is_visible()
        ground = "getComputedStyle(document.documentElement).getPropertyValue('--ground').trim()"
        assert found.page.evaluate(ground) == "#ffffff"
        assert found.number("document.documentElement.scrollWidth") <= LAPTOP["width"]


def test_the_page_reads_without_its_script(browser, page_file):
    with opened(browser, page_file, scripts=False) as found:
        assert found.page.locator("#table-comparison thead th").first.inner_text() == "Subject"
        assert found.page.locator("thead button").count() == 0
        assert found.page.locator("#answer").is_visible()


def test_the_keyboard_finds_its_way_and_sees_where_it_is(browser, page_file):
    with opened(browser, page_file) as found:
        found.page.keyboard.press("Tab")
        skip = found.page.locator("a.skip").first
        box = skip.bounding_box()
        assert box and box["x"] >= 0 and found.page.evaluate("document.activeElement.className") == "skip"
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        assert found.page.evaluate(outline) == "solid"
        found.page.keyboard.press("Enter")
        assert found.page.evaluate("document.activeElement.id") == "main"


def test_landmarks_and_headings_are_in_order(browser, page_file):
    with opened(browser, page_file) as found:
        for landmark in ("banner", "main", "navigation", "contentinfo"):
            assert found.page.get_by_role(landmark).count() == 1, landmark
        levels = found.page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map(h => +h.tagName[1])")
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
        unnamed = "[...document.querySelectorAll('main section')].filter(s => !s.querySelector('h2')).length"
        assert found.number(unnamed) == 0
