"""The accelerator that is found is the one that the target declares."""

from pathlib import Path

import pytest

from seatrial.errors import Unsupported
from seatrial.measure.device import check_declared
from seatrial.plan import make_plan

CONF = Path(__file__).parents[2] / "conf"


def target(name):
    return make_plan(["study=demo", f"target={name}", "max_accelerator_hours=null"], CONF).study.target


def test_another_accelerator_than_declared_is_unsupported_in_words_without_device():
    check_declared(target("dgx_h100"), "NVIDIA H100 80GB HBM3")
    with pytest.raises(Unsupported, match=r"declares NVIDIA H100.*calls this device 'NVIDIA H200'.*device_names"):
        check_declared(target("dgx_h100"), "NVIDIA H200")


def test_a_target_without_names_takes_any_device_without_device():
    check_declared(target("mini_slurm"), "whatever")
