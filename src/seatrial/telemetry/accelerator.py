"""Which accelerator a rank holds, in words that the vendor's library understands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol


class Device(Protocol):
    """What is needed of a torch.device."""

    @property
    def type(self) -> str: ...

    @property
    def index(self) -> int | None: ...


@dataclass(frozen=True)
class Accelerator:
    """One accelerator. `name` is torch's (`cuda:0`); `uuid` and `pci` do not depend on what is visible."""

    name: str
    vendor: Literal["nvidia", "amd"]
    uuid: str | None
    """Without the prefix GPU- or MIG-."""
    pci: str | None
    """Domain, bus, device and function: `0000:1b:00.0`; None where this torch does not tell."""


def accelerator_of(device: Device) -> Accelerator | None:
    """The accelerator that torch calls `device`, or None for a CPU.

    torch counts only what CUDA_VISIBLE_DEVICES (HIP_VISIBLE_DEVICES) shows, the vendors' libraries count all:
    the index says nothing there, so the device is named by what it is.
    """
    if device.type != "cuda":
        return None
    import torch

    index = torch.cuda.current_device() if device.index is None else device.index
    found = torch.cuda.get_device_properties(index)
    return Accelerator(f"cuda:{index}", "amd" if torch.version.hip else "nvidia", _uuid(found), _pci(found))


def _uuid(properties: Any) -> str | None:
    found = getattr(properties, "uuid", None)
    return None if found is None else str(found).removeprefix("GPU-")


def _pci(properties: Any) -> str | None:
    if not hasattr(properties, "pci_domain_id"):
        return None
    # the function of a GPU that computes is 0
    return f"{properties.pci_domain_id:04x}:{properties.pci_bus_id:02x}:{properties.pci_device_id:02x}.0"
