"""From a sample's bytes to tensors."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

from seatrial.errors import UnreadableFile, Unsupported

if TYPE_CHECKING:
    import torch

Tensors = tuple["torch.Tensor", ...]


def as_bytes(content: bytes, name: str) -> Tensors:
    """The bytes as they are, uint8 [n]."""
    import torch

    return (torch.frombuffer(bytearray(content), dtype=torch.uint8),)


def with_numpy(content: bytes, name: str) -> Tensors:
    """The array of a .npy file, or the arrays of a .npz by name. Raises UnreadableFile."""
    import zipfile

    import numpy as np
    import torch

    try:
        loaded = np.load(io.BytesIO(content), allow_pickle=False)
        arrays = [loaded[key] for key in sorted(loaded.files)] if hasattr(loaded, "files") else [loaded]
        return tuple(torch.from_numpy(array) for array in arrays)
    except (ValueError, EOFError, TypeError, zipfile.BadZipFile) as problem:
        raise UnreadableFile(name, f"no array of numpy: {problem}") from None


def with_pillow(content: bytes, name: str) -> Tensors:
    """The pixels, uint8 [height, width, 3]. Raises UnreadableFile, and Unsupported without Pillow."""
    import numpy as np
    import torch

    image = pillow()
    try:
        with image.open(io.BytesIO(content)) as opened:
            return (torch.from_numpy(np.array(opened.convert("RGB"))),)
    except (OSError, ValueError) as problem:
        raise UnreadableFile(name, f"no image that Pillow can decode: {problem}") from None


def pillow():  # type: ignore[no-untyped-def]
    """Pillow's module Image. Raises Unsupported where it is not installed."""
    try:
        from PIL import Image
    except ImportError:
        raise Unsupported("decode jpeg needs the package Pillow, which is not installed here") from None
    return Image


DECODERS: dict[str, Callable[[bytes, str], Tensors]] = {
    "none": as_bytes,
    "numpy": with_numpy,
    "jpeg": with_pillow,
}
"""By `decode` of the workload's dataset; each takes the bytes and the name of the file they come from."""
