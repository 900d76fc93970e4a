"""Prices that were read in a collection of others, not in a provider's own list, say so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from seatrial.analysis.decisions.basis import Basis
from seatrial.analysis.decisions.own_or_cloud import own_or_cloud
from seatrial.paths import StudyPaths
from seatrial.plan import make_plan

CONF = Path(__file__).parents[2] / "conf"


def test_a_price_that_no_provider_stated_itself_is_said_to_be_second_hand() -> None:
    """Rents and purchases in conf/ are read in collections of others: each says so, with its date."""
    words = [one for one in CONF.rglob("*.yaml") if one.parent.name in ("economics", "target")]
    prices = [found for path in words for found in rents(yaml.safe_load(path.read_text(encoding="utf-8")))]
    assert len(prices) >= 16
    for price_ in prices:
        assert "second hand" in price_["source"] and price_["as_of"], price_
    study = make_plan(["study=own_or_cloud"], CONF).study
    for found in own_or_cloud(Basis(StudyPaths(Path("nowhere")), study, {})):
        offers = [one for one in found.inputs if one.unit.endswith("/accelerator-hour")]
        assert len(offers) == 5 and all("second hand" in one.source and one.as_of for one in offers)


def rents(content: Any) -> list[dict[str, Any]]:
    """Every price of an hour below `content`."""
    if not isinstance(content, dict):
        return []
    own = [content[key] for key in ("accelerator_hour", "node_hour") if isinstance(content.get(key), dict)]
    own += [offer["price"] for offer in (content.get("offers") or {}).values()]
    return [*own, *(price_ for below in content.values() for price_ in rents(below))]
