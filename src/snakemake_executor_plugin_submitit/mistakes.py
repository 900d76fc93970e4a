"""Mistakes of whoever wrote a workflow or its profile."""

from snakemake_interface_common.exceptions import WorkflowError


class WrongResource(WorkflowError):
    """What a job asks for cannot be: no retry mends it, for it asks for the same again."""
