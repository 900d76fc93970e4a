"""The probes on a real accelerator, held against what published measurements found it can do.

Anchors: achievable bfloat16 products are 51 to 97 % of the dense peak over all accelerators that
stas00/ml-engineering measured (H100 and H200 80 %); copies and triads on H100 and H200 read 86 to 87 % of the
memory's bandwidth.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from seatrial.case import Case, case_id
from seatrial.config.target import Target
from seatrial.errors import Unsupported
from seatrial.measure import gemm, memory
from seatrial.measure.gemm import check_dtype
from seatrial.measure.session import run_repeat
from seatrial.record import Measurement

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator here: torch.cuda finds none"),
]
TARGETS = Path(__file__).parents[2] / "conf" / "target"
KNOWN = {"H100 80GB HBM3": "dgx_h100", "H200": "dgx_h200", "B200": "dgx_b200", "MI300X": "mi300x_oam8"}
"""Parts of device names and the target that states the same accelerator's facts."""


@pytest.fixture
def one_accelerator(monkeypatch: pytest.MonkeyPatch) -> Target:
    """The target of this machine's accelerator, cut down to one of them."""
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    device = torch.cuda.get_device_name(0)
    name = next((target for part, target in KNOWN.items() if part in device), None)
    if name is None:
        pytest.skip(f"no target states the facts of {device}; known: {', '.join(KNOWN)}")
    content = yaml.safe_load((TARGETS / f"{name}.yaml").read_text())
    content.update(nodes=1, accelerators_per_node=1, tasks_per_node=1)
    return Target.model_validate(content)


def measured(on: Target, work: Any, workload: dict[str, Any], folder: Path) -> Measurement:
    content = {"study": "try", "experiment": "probe", "repeats": 1, "base_seed": 3, "case_id": "x"}
    draft = Case.model_validate({**content, "workload": workload, "target": on})
    what = draft.model_copy(update={"case_id": case_id("probe", draft.workload, on, draft.base_seed)})
    record = run_repeat(what, 0, folder / "0.json", work)
    assert record is not None and record.outcome == "completed", record and record.error
    (found,) = record.measurements
    assert record.provenance["devices"] == [torch.cuda.get_device_name(0)]
    assert record.provenance["versions"].get("cuda") or record.provenance["versions"].get("hip")
    return found


def test_bfloat16_product_reaches_a_published_share_of_the_peak(one_accelerator: Target, tmp_path: Path) -> None:
    side = {"m": 8192, "n": 8192, "k": 8192}
    found = measured(one_accelerator, gemm.run, {"kind": "gemm", "dtype": "bfloat16", **side}, tmp_path)
    assert found.ceiling is not None
    assert 0.45 <= statistics.median(found.samples) / found.ceiling <= 1.0


@pytest.mark.parametrize("dtype", ["float32", "tf32", "float16"])
def test_products_of_other_dtypes_are_right(one_accelerator: Target, tmp_path: Path, dtype: str) -> None:
    try:
        check_dtype(torch.device("cuda", 0), dtype)
    except Unsupported as reason:
        pytest.skip(str(reason))
    side = {"m": 2048, "n": 1536, "k": 4096}
    measured(one_accelerator, gemm.run, {"kind": "gemm", "dtype": dtype, **side}, tmp_path)


@pytest.mark.parametrize("operation", ["copy", "triad"])
def test_memory_reaches_a_published_share_of_its_bandwidth(
    one_accelerator: Target, tmp_path: Path, operation: str
) -> None:
    workload = {"kind": "memory", "operation": operation, "size_bytes": 2**31}
    found = measured(one_accelerator, memory.run, workload, tmp_path)
    assert found.ceiling is not None
    assert 0.75 <= statistics.median(found.samples) / found.ceiling <= 1.0
