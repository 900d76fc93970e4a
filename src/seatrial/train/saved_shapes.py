"""Room for what has grown since a training began."""

from __future__ import annotations

from typing import Any

from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata


def as_long_as_saved(state: dict[str, Any], saved: Metadata) -> dict[str, Any]:
    """`state` with what an objective keeps of its course as long as it was saved, to be loaded in place.

    Only the first dimension may differ: a tensor of another kind is left for the loading to refuse.
    """
    found = dict(state)
    for name, tensor in state.items():
        entry = saved.state_dict_metadata.get(name)
        if not name.startswith("objective.") or not isinstance(entry, TensorStorageMetadata):
            continue
        if len(entry.size) == tensor.dim() > 0 and entry.size[1:] == tensor.shape[1:]:
            found[name] = tensor if entry.size == tensor.shape else tensor.new_empty(entry.size)
    return found
