"""Noise of a proposal: all wait for the slowest node, with its products, its collectives and its checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from procurement_cases import procurement, stated
from test_procurement import decided, figure, projected, row

from seatrial.analysis.decisions.procurement.projection import BYTES, WRITTEN
from seatrial.analysis.decisions.procurement.step import (
    ALLTOALL,
    HIDDEN,
    LINK,
    NETWORK,
    NETWORK_NOISE,
    NOISE,
    PRODUCTS,
    STORAGE_NOISE,
    behind_seconds,
    greatest_of,
    products_seconds,
    slowest,
    step_seconds,
)

Z_32 = greatest_of(32)
RATES = {PRODUCTS: 630.0, NETWORK: 40.0, ALLTOALL: 5.0, LINK: 350.0, HIDDEN: 0.1}


def values(**more: float) -> dict[str, Any]:
    return {name: np.array([value]) for name, value in (RATES | more).items()}


def noisy(**more: Any) -> dict[str, Any]:
    """The proposal on 32 nodes with noise as `more` states it."""
    plan = procurement()
    plan["proposals"]["dense"] |= more
    return plan


def test_what_is_sent_and_not_hidden_takes_as_much_longer_as_the_slowest_of_32_nodes_makes_it() -> None:
    """By hand: products P hide a tenth of P; what is behind them, B, takes 1 + 0.05 z_32 = 1.10 times as long."""
    done = projected(procurement()).planned
    still, network = values(), values(**{NOISE: 0.0, NETWORK_NOISE: 0.05})
    products, behind = float(products_seconds(done, still)[0]), float(behind_seconds(done, still)[0])
    assert step_seconds(done, still)[0] == pytest.approx(products + behind - 0.1 * products)
    assert pytest.approx(2.07, abs=0.01) == Z_32
    expected = products + behind * (1 + 0.05 * Z_32) - 0.1 * products
    assert step_seconds(done, network)[0] == pytest.approx(expected)
    assert expected > products + behind - 0.1 * products


def test_collectives_vary_as_the_nodes_do_where_nothing_else_is_known() -> None:
    done = projected(procurement()).planned
    alone, same = values(**{NOISE: 0.03}), values(**{NOISE: 0.03, NETWORK_NOISE: 0.03})
    assert step_seconds(done, alone)[0] == pytest.approx(step_seconds(done, same)[0], rel=1e-12)
    assert step_seconds(done, alone)[0] == pytest.approx(step_seconds(done, values())[0] * (1 + 0.03 * Z_32))
    assert slowest(1, alone, NETWORK_NOISE) == 1.0 and slowest(32, values(), NETWORK_NOISE) == 1.0


def test_a_noisy_network_lengthens_the_all_to_all_and_needs_more_of_it(tmp_path: Path) -> None:
    _, still = decided(tmp_path, noisy())
    needed = {q: row(tmp_path, q, 64)["needed"] for q in ("all_to_all", "bisection")}
    _, loud = decided(tmp_path, noisy(noise=stated(0.0), network_noise=stated(0.05, 0.02, 0.1)))
    times = 1 + 0.05 * Z_32
    name = "All-to-all of a step over 64 ranks"
    assert figure(loud, name).value == pytest.approx(figure(still, name).value * times)  # type: ignore[operator]
    for question, before in needed.items():
        assert row(tmp_path, question, 64)["needed"] == pytest.approx(before * times)
    assert any(words.startswith(NETWORK_NOISE) for words in still.missing)
    assert not any(words.startswith(NETWORK_NOISE) for words in loud.missing)


def test_a_checkpoint_is_written_when_the_slowest_node_is_through(tmp_path: Path) -> None:
    decided(tmp_path, noisy())
    before = row(tmp_path, "checkpoint")["needed"]
    one = projected(noisy(storage_noise=stated(0.1)))
    saving = {name: np.array([one.inputs[name].value]) for name in (BYTES, WRITTEN)}
    longer = one.save_seconds(saving | {STORAGE_NOISE: np.array([0.1])}) / one.save_seconds(saving)
    assert longer[0] == pytest.approx(1 + 0.1 * Z_32)
    decided(tmp_path, noisy(storage_noise=stated(0.1)))
    assert row(tmp_path, "checkpoint")["needed"] == pytest.approx(before * (1 + 0.1 * Z_32))
