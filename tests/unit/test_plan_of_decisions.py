"""What `seatrial plan` says of a study that only decides, and of figures dated after today."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

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
