"""Parameters of the probe gemm."""

from __future__ import annotations

from typing import Literal

from seatrial.config.base import PositiveInt
from seatrial.config.probe.base import Dtype, Probe


class Gemm(Probe):
    """Matrix product C[m, n] = A[m, k] B[k, n] of normally distributed inputs."""

    kind: Literal["gemm"]
    m: PositiveInt
    n: PositiveInt
    k: PositiveInt
    dtype: Dtype = "float32"
