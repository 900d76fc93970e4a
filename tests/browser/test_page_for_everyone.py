"""What people who do not see the page, or see it on a phone, are told: rules that every page keeps."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from chromium import LAPTOP, PHONE, opened
from study_on_disk import GEMM, StudyOnDisk
from study_on_disk import LAPTOP as TARGET
from test_report import full_study

from seatrial.report.page import report

PRESET = Path(__file__).parents[2] / "conf" / "economics" / "h100_owned_or_rented.yaml"
OF_NAME = {
    "a picture without words": "svg[role=img], img",
    "a table without a caption": "main table",
    "a heading of a table without its scope": "main th",
    "a link or button without words": "a, button, summary",
    "a scrolling region without a name, or that no key reaches": ".scroll",
    "an id that stands twice": "[id]",
    "a reference to an id that is not there": "[aria-labelledby], a[href^='#']",
}
RULES = """
() => {
  const named = (id) => document.getElementById(decodeURIComponent(id));
  const said = (one) => (one.textContent || '').trim() || one.getAttribute('aria-label');
  const broken = {
    0: (one) => one.tagName === 'IMG' ? !one.alt : !(one.getAttribute('aria-labelledby') || '').split(' ')
      .every((id) => named(id) && named(id).textContent.trim()),
    1: (one) => !(one.caption && one.caption.textContent.trim()),
    2: (one) => !['col', 'row'].includes(one.scope),
    3: (one) => !said(one),
    4: (one) => !one.getAttribute('aria-label') || one.tabIndex !== 0,
    5: (one) => document.querySelectorAll(`[id="${CSS.escape(one.id)}"]`).length > 1,
    6: (one) => one.hasAttribute('href') ? !named(one.getAttribute('href').slice(1))
      : !one.getAttribute('aria-labelledby').split(' ').every(named),
  };
  return SELECTORS.map((selector, i) => [...document.querySelectorAll(selector)].filter(broken[i])
    .map((one) => one.outerHTML.slice(0, 120)));
}
"""
CONTRAST = """
() => {
  const parts = (colour) => (colour.match(/[\\d.]+/g) || []).map(Number);
  const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => [r, g, b].map((v) => linear(v / 255))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const colour = parts(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const ratio = (one) => {
    const [a, b] = [light(parts(getComputedStyle(one).color)), light(ground(one))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  };
  const texts = 'p, li, dt, dd, th, td, a, .mark, .under, summary, button, caption, figcaption, code';
  return [...document.querySelectorAll(texts)]
    .filter((one) => one.offsetParent && one.textContent.trim() && ratio(one) < 4.5)
    .map((one) => `${ratio(one).toFixed(2)} ${one.outerHTML.slice(0, 100)}`);
}
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    """Pages of a study with everything, of one that only decides, and of one in which every repeat failed."""
    root = tmp_path_factory.mktemp("everyone")
    full = full_study(lambda folder, **words: StudyOnDisk(root / folder, **words)).analyse()
    economics = yaml.safe_load(PRESET.read_text(encoding="utf-8"))
    decides = StudyOnDisk(root / "decides", target=TARGET, economics=economics)
    decides.write()
    failed = StudyOnDisk(root / "failed", references={"subjects": []})
    for case in failed.experiment("gemm", GEMM, 2):
        for repeat in range(2):
            failed.failed(case, repeat)
    found = {"full": full, "decides": decides.analyse(), "failed": failed.analyse()}
    for paths in found.values():
        report(paths)
    return {name: paths.report for name, paths in found.items()}


@pytest.mark.parametrize("name", ["full", "decides", "failed"])
def test_everything_has_a_name_and_every_reference_leads_somewhere(browser, pages, name):
    with opened(browser, pages[name]) as found:
        broken = found.page.evaluate(RULES.replace("SELECTORS", str(list(OF_NAME.values()))))
        assert dict(zip(OF_NAME, broken, strict=True)) == {rule: [] for rule in OF_NAME}
        assert found.complaints == [] and found.requests == [pages[name].as_uri()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["full", "decides", "failed"])
def test_text_stands_out_from_its_ground_in_both_schemes(browser, pages, name, scheme):
    with opened(browser, pages[name], scheme=scheme) as found:
        assert found.page.evaluate(CONTRAST) == []


def test_the_page_of_a_study_in_which_all_failed_says_so_on_the_first_screen(browser, pages):
    with opened(browser, pages["failed"]) as found:
        answer = found.page.locator("#answer")
        box, words = answer.bounding_box(), answer.inner_text()
        assert box and box["y"] + box["height"] <= LAPTOP["height"]
        assert "0 of 2" in words and "Not known" in words
        assert found.page.locator("#table-outcomes tbody tr").count() == 2


def test_a_phone_shows_what_moves_a_decision_without_scrolling_sideways(browser, pages):
    wider = (
        "[...document.querySelectorAll('#decisions .scroll')].filter(e => e.scrollWidth > e.clientWidth + 1).length"
    )
    with opened(browser, pages["decides"], PHONE) as found:
        assert found.number(wider) == 0
        assert found.page.locator("#decisions .swings li").first.is_visible()
    with opened(browser, pages["decides"]) as found:
        assert not found.page.locator("#decisions .swings").first.is_visible()
        assert found.page.locator("#decisions svg").first.is_visible()


def test_a_telephone_shows_the_whole_width_of_every_figure_and_a_laptop_the_wide_one(browser, pages):
    regions = "[...document.querySelectorAll('figure .scroll')].filter(e => e.offsetParent)"
    shown = "[...document.querySelectorAll('.{}')].filter(e => e.offsetParent).length"
    smallest = (
        "Math.min(...[...document.querySelectorAll('.narrow text')].map(e => e.getBoundingClientRect().height))"
    )
    with opened(browser, pages["full"], PHONE) as found:
        assert found.number(f"{regions}.length") > 3
        assert found.number(f"{regions}.filter(e => e.scrollWidth > e.clientWidth + 1).length") == 0
        assert found.number(shown.format("narrow")) > 0 and found.number(shown.format("wide")) == 0
        assert found.number(smallest) >= 8
    with opened(browser, pages["full"]) as found:
        assert found.number(shown.format("narrow")) == 0 and found.number(shown.format("wide")) > 0


def test_the_answer_of_a_study_that_only_decides_has_the_whole_width_and_one_screen(browser, pages):
    with opened(browser, pages["decides"]) as found:
        answer = found.page.locator("#answer")
        box, said = answer.bounding_box(), answer.locator(".verdict-line p").first.bounding_box()
        assert box and box["y"] + box["height"] <= LAPTOP["height"]
        assert said and said["width"] > 0.9 * box["width"]
        sentence = answer.locator(".verdict-line p").first.inner_text().partition(";")[0]
        assert sentence not in found.page.locator("#decisions").inner_text()


def test_no_small_print_on_paper_is_larger_than_the_text(browser, pages):
    small = "main thead th, main caption, main .under, main dt, main figcaption, main .file"
    sizes = f"[...document.querySelectorAll('{small}')].map(one => parseFloat(getComputedStyle(one).fontSize))"
    with opened(browser, pages["full"]) as found:
        found.page.emulate_media(media="print")
        found.page.set_viewport_size({"width": 718, "height": 1050})
        body = found.number("parseFloat(getComputedStyle(document.body).fontSize)")
        assert found.number(f"Math.max(...{sizes})") <= body
        assert found.number("document.documentElement.scrollWidth") <= 718


def test_a_phone_shows_no_label_with_nothing_under_it(browser, pages):
    bare = "[...document.querySelectorAll('tbody td')].filter(e => e.offsetParent && !e.textContent.trim()).length"
    hidden = "document.querySelectorAll('tbody td.empty').length"
    for name in ("full", "decides"):
        with opened(browser, pages[name], PHONE) as found:
            assert found.number(bare) == 0, name
            assert found.number(hidden) > 0 or name == "full"
