"""Own against cloud: the decision that is made of what both cost."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from own_or_cloud_cases import RENTS, by_hour, decided, economics, figure, price, stated

from seatrial.analysis.decisions.ownership import power_per_year
from seatrial.analysis.decisions.sensitivity import moves_most

PRESET = Path(__file__).parents[2] / "conf" / "economics" / "h100_owned_or_rented.yaml"


def test_the_case_that_everyone_argues_about() -> None:
    """measurement anchors: owned about 17 to 20 million a year, 50 million at the start, rented 25.8 to 107.7."""
    found, hour = decided(economics()), by_hour(economics())
    assert figure(hour, "Owning, per used accelerator-hour").value == pytest.approx(2.08 + 0.15, abs=0.01)
    a_year = next(f.value for f in found.figures if f.name == "Owning, per year")
    assert a_year is not None and 17e6 < a_year < 20e6
    assert figure(found, "Owning, paid at the start").value == pytest.approx(49.2e6)
    rents = [figure(found, f"Renting for 12 months, all hours paid: {name}").value for name in RENTS]
    assert rents == pytest.approx([25.842e6, 60.2688e6, 107.6604e6])
    assert figure(hour, "Break-even utilisation, of all hours: aws").value == pytest.approx(a_year / 60.2688e6)
    assert "By the used hour, owning is cheaper than neocloud, aws and azure." in hour.answer
    assert found.answer.endswith("By the used hour, owning is cheaper than neocloud, aws and azure.")


def test_the_shipped_case_names_what_moves_it_and_gives_every_figure_an_interval() -> None:
    content = yaml.safe_load(PRESET.read_text(encoding="utf-8"))
    found, hour = decided(content), by_hour(content)
    rent = "price of a 12-month reservation"
    assert moves_most(found.swings) == ["residual value", rent, "support"]
    assert moves_most(hour.swings) == ["utilisation", "residual value", "support"]
    for one, most in ((found, "residual value"), (hour, "utilisation")):
        assert f": it depends most on {most}, " in one.answer
    assert [words.partition(":")[0] for words in found.missing] == [
        "economics.own.residual_at_cloud_end",
        "economics.cloud.rent_change_per_year",
        "inputs of one date",
        "economics.cloud",
    ]
    for figure_ in (*found.figures, *hour.figures):
        exact = figure_.method.startswith("no interval")
        low, value, high = figure_.low, figure_.value, figure_.high
        assert exact == (low is None) and (exact or low < value < high), figure_  # type: ignore[operator]
        assert not exact or "Renting for 12 months" in figure_.name, figure_
    for given_ in (*found.inputs, *hour.inputs):
        dated = given_.as_of is not None or given_.source == "stated by the study"
        assert dated and given_.source, given_


def test_the_first_figure_is_of_the_cheapest_offer_and_no_other_vendor_moves_it() -> None:
    content = yaml.safe_load(PRESET.read_text(encoding="utf-8"))
    found = decided(content)
    first = found.figures[0]
    assert first.name.endswith("over its term: a 12-month reservation") and first.unit == "months"
    assert first.value is not None and 30 < first.value < 40
    content["cloud"]["offers"]["azure_nd_h100_v5_on_demand"]["price"] |= {"low": 40.0, "high": 90.0}
    dearer = decided(content)
    assert dearer.figures[0] == first and dearer.swings == found.swings
    assert {s.input for s in found.swings if s.input.startswith("price of a")} == {
        "price of a 12-month reservation"
    }


def test_the_answer_is_a_verdict_and_three_short_sentences() -> None:
    """By hand, each: (49,200 + 3 x 1,184) over 3 years = 52,752; 3 x 8,760 x 2.1 = 55,188 of rent.

    Ending at 12 months: 49,200 + 1,184 = 50,384 sold for nothing, 1,184 sold for all; the rent is 18,396, so the
    sale must bring (50,384 - 18,396) / 49,200 = 65.0 %.
    """
    content = economics()
    content["cloud"]["offers"]["reserved"] = {"paid_hours": "all", "price": price(2.1), "name": "a reservation"}
    found = decided(content)
    assert found.answer == (
        "Owning is cheaper over 3 years. "
        "Renting 1,000 for all hours of 12 months costs 18.4 million USD at the cheapest offer (a reservation), "
        "for 3 years 55.2 million USD at today's rent throughout; owning costs 52.8 million USD over 3 years. "
        "If the need ends after 12 months, renting is cheaper unless the machine is sold for 65 % or more "
        "of its price: owning costs 50.4 million USD sold for nothing, 1.18 million USD for all of it. "
        "By the used hour, owning is cheaper than neocloud, aws, azure and a reservation."
    )
    alike, rent, resale, nothing, all_ = (one.value for one in found.figures[:5])
    assert alike == pytest.approx(52_752 / (730 * 2.1), rel=1e-4)
    assert rent == pytest.approx(1000 * 18_396)
    assert resale == pytest.approx(0.65016, abs=1e-4)
    assert (nothing, all_) == (pytest.approx(50.384e6, rel=1e-4), pytest.approx(1.184e6, rel=1e-3))
    third = figure(found, "Owning, a third of its 3 years")
    assert third.value == pytest.approx(52.752e6 / 3, rel=1e-4)
    assert not [one for one in found.figures if one.name.startswith("Owning, for 12 months")]
    dearer = content["cloud"]["offers"]["reserved"]["price"] = price(1.9)
    assert dearer["low"] == 1.9 and decided(content).answer.startswith("Renting is cheaper over 3 years. ")
    content["cloud"]["offers"]["reserved"]["price"] = price(1.9, 2.2)
    rent_name = "price of a reservation"
    assert decided(content).answer.startswith(f"Not told apart over 3 years: it depends most on {rent_name}. ")


@pytest.mark.parametrize(("hour", "words"), [(6.0, "owning is cheaper"), (0.1, "renting is cheaper")])
def test_a_rent_outside_the_bounds_needs_no_resale(hour: float, words: str) -> None:
    """50.4 million sold for nothing and 1.2 sold for all: 52.6 and 0.9 million of rent lie outside."""
    content = economics()
    content["cloud"]["offers"] = {"one": {"paid_hours": "all", "price": price(hour)}}
    assert (
        f"{words} whatever part of its price the machine is sold for: owning costs 50.4 m"
        in decided(content).answer
    )


def test_a_need_that_ends_early_bears_the_whole_loss_of_the_machine() -> None:
    content = economics()
    assert "economics.own.residual_at_cloud_end" in " ".join(decided(content).missing)
    content["own"]["residual_at_cloud_end"] = stated(0.6)
    found = decided(content)
    sold = figure(found, "Owning, sold after 12 months as stated").value
    power = 1000 * float(power_per_year(1.3, 1.3, 0.08))
    assert sold == pytest.approx(1000 * 49_200 * 0.4 + power)
    assert "for all of it, 20.9 million USD as stated." in found.answer
    assert "residual_at_cloud_end" not in " ".join(found.missing)
    content["cloud"]["months"] = 36
    assert "need ends" not in decided(content).answer


def test_prices_of_different_years_are_said_to_be() -> None:
    content = economics()
    assert not [words for words in decided(content).missing if words.startswith("inputs of one date")]
    content["own"]["purchase"]["as_of"] = "2024-08"
    content["own"]["power_kw"]["as_of"] = "2024"
    content["own"]["interest"]["as_of"] = "2025-11"
    (said,) = [words for words in decided(content).missing if words.startswith("inputs of one date")]
    assert said.startswith(
        "inputs of one date: purchase price (2024-08) is 27 months and power (2024) is at least 23 months older "
        "than the rent of neocloud (2026-11)"
    )


def test_a_break_even_above_the_availability_is_never_reached() -> None:
    content = economics()
    assert "never enough" not in by_hour(content).answer
    content["cloud"]["offers"]["neocloud"]["price"] = price(2.10)
    content["own"]["availability"] = stated(0.9)
    content["own"]["utilisation"] = stated(0.9)
    found = by_hour(content)
    share = figure(found, "Break-even utilisation, of all hours: neocloud").value
    assert share is not None and 0.9 < share < 1
    assert found.answer.endswith("and 90 % can be reached; never enough against neocloud.")


def test_what_is_not_stated_is_not_in_the_cost_and_is_said() -> None:
    content = economics()
    bare = decided(content)
    assert [words.partition(":")[0] for words in bare.missing] == [
        "economics.own.colocation_kw_month",
        "economics.own.staff_year",
        "economics.own.support",
        "economics.own.spares",
        "economics.own.residual_at_cloud_end",
        "economics.cloud.rent_change_per_year",
        "economics.cloud",
    ]
    assert "no staff, storage or egress is in the cost of renting" in bare.missing[-1]
    content["own"]["staff_year"] = price(1e6)
    content["own"]["colocation_kw_month"] = price(100)
    more = decided(content)
    by_name = {f.name: f.value for f in more.figures}
    assert by_name["Owning, per year: staff"] == pytest.approx(1e6)
    assert by_name["Owning, per year: colocation"] == pytest.approx(1000 * 1.3 * 100 * 12)
    parts = [v for name, v in by_name.items() if name.startswith("Owning, per year: ") and v is not None]
    assert by_name["Owning, per year"] == pytest.approx(sum(parts))
    billed = "economics.own.contracted_kw: colocation is billed on the mean power, not on what is contracted"
    assert len(more.missing) == len(bare.missing) - 1 and billed in more.missing


def test_a_reserved_offer_is_paid_for_idle_hours_too() -> None:
    content = economics()
    offers = content["cloud"]["offers"]
    offers["reserved"] = {"paid_hours": "all", "price": price(2.1)}
    found = by_hour(content)
    saves = figure(found, "Owning saves, per used accelerator-hour: reserved").value
    own = figure(found, "Owning, per used accelerator-hour").value
    assert own is not None and saves == pytest.approx(2.1 / 0.9 - own)
    assert not [f for f in found.figures if f.name.startswith("Break-even") and f.name.endswith("reserved")]


def test_owning_and_an_offer_are_not_told_apart_where_the_interval_holds_both() -> None:
    content = economics()
    content["own"]["utilisation"] = stated(0.6, 0.3, 0.9)
    answer = by_hour(content).answer
    assert answer.startswith(
        "By the used hour, owning is cheaper than aws and azure and not told apart from neocloud: "
    )
    content["own"]["utilisation"] = stated(0.1, 0.09, 0.11)
    assert by_hour(content).answer.startswith("By the used hour, owning is dearer than neocloud, aws and azure: ")


def test_owning_without_a_cloud_is_not_compared() -> None:
    content = economics()
    del content["cloud"]
    found = decided(content)
    assert found.title == "What owning costs" and found.missing[-1].startswith("economics.cloud")
