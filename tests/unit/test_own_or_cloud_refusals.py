"""Own against cloud: what a study may state of it, and how a mistake is said."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from own_or_cloud_cases import economics, price, stated, study
from study_on_disk import GEMM, LAPTOP

from seatrial.errors import ConfigError


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"own": None}, "nothing says what owning costs"),
        ({"accelerators": None}, "target laptop has none"),
        ({"own.utilisation": stated(0.0)}, "nothing would ever be used"),
        ({"own.utilisation": stated(1.2)}, "outside what it can be"),
        ({"own.energy.pue": stated(0.9)}, "outside what it can be"),
        ({"own.interest": stated(8.0)}, "outside what it can be"),
        ({"own.interest": stated(0.08, 0.09, 0.1)}, "is not between"),
        ({"own.interest.as_of": "soon"}, "not a date"),
        ({"own.purchase.currency": "EUR"}, "one currency"),
        ({"cloud.offers.aws.paid_hours": "some"}, "paid_hours"),
    ],
)
def test_a_mistake_in_the_economics_is_one_clear_error(change: dict[str, Any], words: str) -> None:
    content = copy.deepcopy(economics())
    for key, value in change.items():
        *path, last = key.split(".")
        place = content
        for name in path:
            place = place[name]
        place[last] = value
    with pytest.raises(ConfigError, match=words):
        study(economics=content)


def test_a_study_of_economics_alone_has_something_to_do() -> None:
    assert study(economics=economics()).experiments == {}
    with pytest.raises(ConfigError, match="at least one experiment"):
        study()


def test_a_budget_in_another_currency_than_the_hour_is_refused() -> None:
    hour = price(3.0)
    budget = {"amount": 10.0, "currency": "EUR", "source": "me", "as_of": "2026"}
    with pytest.raises(ConfigError, match="no rate of exchange is known"):
        study(economics={**economics(), "budget": budget})
    with pytest.raises(ConfigError, match="in USD, economics in EUR"):
        study(
            target=LAPTOP | {"prices": {"node_hour": hour}},
            economics={"budget": budget},
            experiments={"gemm": {"workload": GEMM}},
        )
