"""The workflow as a module of somebody else's: what Snakemake leaves out then is put back."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any, Protocol

Hook = Callable[[Any], None]


class Hooks(Protocol):
    """What a study does when Snakemake starts, succeeds or fails."""

    @property
    def conclude(self) -> str: ...

    @property
    def status(self) -> str: ...

    def hold(self) -> None: ...


def keep_hooks(study: Hooks, workflow: Any) -> None:
    """Let the study be held, reported and concluded also where the workflow is a module.

    Snakemake (9.27) runs onstart, onsuccess and onerror of the main Snakefile alone: two runs of one study would
    not refuse each other, and a study that failed would get no page. What the main Snakefile has said before the
    module still runs, first; what it says after the module takes the place of ours.
    """
    if workflow.modifier.is_main_snakefile():
        return
    workflow._onstart = _after(workflow._onstart, study.hold)
    workflow._onsuccess = _after(workflow._onsuccess, lambda: _shell(study.status))
    workflow._onerror = _after(workflow._onerror, lambda: _shell(study.conclude))


def _after(earlier: Hook, then: Callable[[], None]) -> Hook:
    def both(log: Any) -> None:
        earlier(log)
        then()

    return both


def _shell(command: str) -> None:
    """As Snakemake's own shell() would; whoever made the command has quoted its words."""
    subprocess.run(["bash", "-c", command], check=True)
