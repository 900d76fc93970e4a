"""The columns of a table of published results, in order: what the importer writes and the shipped table has."""

from __future__ import annotations

COLUMNS = (
    "round",
    "division",
    "availability",
    "submitter",
    "system",
    "accelerator_model",
    "accelerator_family",
    "accelerators",
    "nodes",
    "benchmark",
    "minutes",
    "unscaled_minutes",
    "rcp_factor",
    "runs",
    "successful_runs",
    "min_minutes",
    "max_minutes",
    "global_batch_size",
    "samples_to_quality",
    "confidence",
    "source",
    "note",
    "system_id",
)
"""`system` is the submitter's description, `system_id` the result folder's name: several may share a description.
`minutes` is the official score: the olympic mean of the runs (`unscaled_minutes`) times `rcp_factor`."""
ENERGY = "energy_joules"
"""A column that the importer adds: energy to train, where there are power logs."""
RETRIEVED = "retrieved"
"""A column that an added table may have: the day of retrieval, YYYY-MM-DD, for the citation."""
