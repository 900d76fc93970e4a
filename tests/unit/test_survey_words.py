"""The sentences of a survey are counted in its rows: other rows give other sentences."""

from __future__ import annotations

import pytest
from test_survey_tables import AFTER, BEFORE, made_table, rows_from

from seatrial.report.survey_words import bends_in_words, changes_in_words, size_in_words


def spread_row(benchmark, ratio, chip_ratio):
    return {"benchmark": benchmark, "ratio": ratio, "chip_ratio": chip_ratio}


def test_a_benchmark_that_lies_further_apart_per_accelerator_is_named_with_both_ratios():
    closer = spread_row("bert", 70.0, 7.0)
    assert size_in_words([closer, spread_row("dlrm", 5.14, 5.57)]) == (
        "Per accelerator the results lie closer together than in time in 1 of 2 benchmarks, "
        "not in dlrm (5.14 \u00d7 and 5.57 \u00d7)."
    )
    assert size_in_words([closer]).endswith("in 1 of 1 benchmark.")
    assert "in 0 of 1 benchmark, not in x" in size_in_words([spread_row("x", 2.0, 2.0)])
    assert size_in_words([spread_row("x", None, None), spread_row("y", 2.0, None)]) == ""


@pytest.mark.parametrize(
    ("minutes", "words"),
    [
        ((100.0, 50.0, 40.0), "Of 1 fit over three counts or more, 1 flatten"),
        ((100.0, 90.0, 45.0), "Of 1 fit over three counts or more, 0 flatten"),
        ((100.0, 50.0), "No fit has three counts or more"),
    ],
)
def test_whether_time_flattens_with_count_is_read_off_the_medians(minutes, words):
    rows = [{"accelerators": 8 * 2**i, "minutes": m} for i, m in enumerate(minutes)]
    scaling = rows_from(made_table(*rows))["scaling"]
    table = [dict.fromkeys(("first_exponent", "last_exponent")) | row for row in scaling]
    assert words in bends_in_words(table)
    assert "llama2_70b_lora on B200 in v9.1" in bends_in_words(table)
    assert bends_in_words([]) == ""


def test_what_was_carried_over_is_counted_and_nothing_is_put_down_to_software():
    def medians(before, after):
        return [
            {"round": r, "submitter": s, "system": s, "minutes": m}
            for s, old, new in zip("ABC", before, after, strict=True)
            for r, m in ((BEFORE, old), (AFTER, new))
        ]

    fell = changes_in_words(rows_from(made_table(*medians((10.0, 11.0, 12.0), (10.0, 9.0, 8.0))))["rounds"])
    assert "1 fell by 5 % or more, 0 rose by as much and 0 stayed" in fell
    assert "Of the 3 later results 1 are earlier ones entered again unchanged" in fell
    rose = changes_in_words(rows_from(made_table(*medians((10.0, 11.0, 12.0), (20.0, 19.0, 18.0))))["rounds"])
    assert "0 fell" in rose and "1 rose" in rose and "0 are earlier ones" in rose
    assert "software, hosts, networks and rules may each have changed" in rose
    assert changes_in_words([]).startswith("No family and count")
