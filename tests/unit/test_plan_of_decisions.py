"""What `seatrial plan` says of a study that only decides, and of figures dated after today."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from seatrial.errors import ConfigError
from seatrial.plan import make_plan
from seatrial.plan_text import print_plan, totals

CONF = Path(__file__).parents[2] / "conf"
TODAY = dt.date(2026, 11, 23)


@pytest.mark.parametrize(
    ("study", "decides"),
    [("own_or_cloud", "owning or renting accelerators"), ("time_to_revenue", "time to revenue")],
)
def test_a_plan_without_work_says_what_it_decides_and_names_no_target(study, decides, capsys):
    plan = make_plan([f"study={study}"], CONF)
    assert totals(plan, TODAY) == [f"nothing runs: decides on {decides}"]
    print_plan(plan, TODAY)
    said = capsys.readouterr().out
    assert "target" not in said and "cost" not in said and "0 cases" not in said


@pytest.mark.parametrize("as_of", ["2026-12", "2027"])
def test_a_figure_dated_after_this_month_is_refused_when_a_study_is_planned(as_of):
    word = f"economics.own.residual.as_of='{as_of}'"
    with pytest.raises(ConfigError, match="in the future") as caught:
        make_plan(["study=own_or_cloud", word], CONF, TODAY)
    mistake = caught.value
    assert (mistake.file, mistake.key) == ("command line", "economics.own.residual.as_of")
    assert (mistake.value, mistake.allowed) == (as_of, "2026-11 or earlier")


@pytest.mark.parametrize("as_of", ["2026-11", "2026", "2025-12-31"])
def test_a_figure_of_this_month_or_before_is_planned(as_of):
    plan = make_plan(["study=own_or_cloud", f"economics.own.residual.as_of='{as_of}'"], CONF, TODAY)
    assert plan.study.economics.own.residual.as_of == as_of


def test_a_clock_that_is_behind_refuses_none_of_the_shipped_figures():
    plan = make_plan(["study=own_or_cloud"], CONF, dt.date(2001, 1, 1))
    assert plan.study == make_plan(["study=own_or_cloud"], CONF, TODAY).study
