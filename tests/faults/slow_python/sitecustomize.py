"""Every Python that finds this folder on PYTHONPATH waits FAULT_SECONDS_PER_SAMPLE before it hands over a sample.

Python imports this before anything else. What hands over samples is changed as it is imported, and nothing else is.
"""

import importlib.abc
import importlib.machinery
import os
import sys
import time

SECONDS = float(os.environ.get("FAULT_SECONDS_PER_SAMPLE", "0"))
READERS = {
    "seatrial.train.moe.run": ("MoeObjective", "fetch"),
    "seatrial.measure.dataload.loader": ("Reading", "__getitem__"),
}
"""Module -> the class and its method that hands over one sample, or the samples of a tensor of numbers."""


class Finder(importlib.abc.MetaPathFinder):
    """Finds READERS where Python does, and has them changed once they are executed."""

    def find_spec(self, name, path=None, target=None):
        """As importlib has it."""
        spec = importlib.machinery.PathFinder.find_spec(name, path, target) if name in READERS else None
        if spec is not None:
            execute = spec.loader.exec_module

            def execute_and_change(module):
                execute(module)
                owner, method = READERS[name]
                slow_down(getattr(module, owner), method)

            spec.loader.exec_module = execute_and_change
        return spec


def slow_down(owner, method):
    """Let `method` of a class wait for each sample before it does what it did."""
    hand_over = getattr(owner, method)

    def waits_first(self, numbers):
        time.sleep(SECONDS * (1 if isinstance(numbers, int) else len(numbers)))
        return hand_over(self, numbers)

    setattr(owner, method, waits_first)


if SECONDS > 0:
    sys.meta_path.insert(0, Finder())
