"""How long the ranks of a repeat wait for each other."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import yaml
from ranks import case, collective
from small_training import workload

from seatrial.measure.launch import Launch
from seatrial.measure.session import DEFAULT_TIMEOUT, _Session
from seatrial.reference.own_points import key_of

CONF = Path(__file__).parents[2] / "conf" / "workload"


def patience(what: dict[str, Any]) -> tuple[dt.timedelta, dt.timedelta]:
    """Within a collective, and until all have started."""
    session = _Session(case(what, 2), 0, Path("0.json"), Launch(world_size=2), [])
    return session._timeout(), session._meeting_timeout()


def test_ranks_of_a_training_wait_as_long_as_it_says_and_for_a_start_no_longer_than_others() -> None:
    assert patience(workload()) == (dt.timedelta(minutes=30), DEFAULT_TIMEOUT)
    assert patience(workload(rank_timeout_minutes=120)) == (dt.timedelta(hours=2), DEFAULT_TIMEOUT)
    assert patience(collective(timeout_seconds=7.0)) == (dt.timedelta(seconds=7),) * 2


def test_ranks_of_other_probes_wait_for_a_slow_one_as_long_as_the_repeat_may_take() -> None:
    checkpoint = {"kind": "checkpoint", "parameters": 1, "path": "/scratch"}
    samples = {"source": "synthetic", "samples": 1, "sample_bytes": 512}
    loaded = {"kind": "dataload", "dataset": samples, "batch_size": 1}
    for what in (checkpoint, loaded):
        assert patience({**what, "time_limit_minutes": 45}) == (dt.timedelta(minutes=45),) * 2
        assert patience({**what, "time_limit_minutes": 2}) == (DEFAULT_TIMEOUT,) * 2


def test_patience_makes_no_other_case_and_no_other_configuration() -> None:
    usual, patient = case(workload(), 2), case(workload(rank_timeout_minutes=120), 2)
    assert usual.case_id == patient.case_id
    assert key_of(usual) == key_of(patient)
    assert usual.case_id != case(workload(max_steps=81), 2).case_id


@pytest.mark.parametrize("name", ["llama2_70b_lora", "llama31_8b"])
def test_large_models_have_two_hours_to_be_read(name: str) -> None:
    content = yaml.safe_load((CONF / f"{name}.yaml").read_text(encoding="utf-8"))
    assert content["rank_timeout_minutes"] == 120
