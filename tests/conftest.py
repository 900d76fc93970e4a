"""What all tests share."""

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]

# a shared machine may take long over any one example; pytest-timeout ends what hangs
settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")

# a shell starts what it puts in the background with Ctrl-C ignored, and what tests start would inherit that
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def project(tmp_path):
    """A copy of the project's workflow as a user has it, so that a run leaves nothing in the checkout."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("conf", "workflow"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("slurm", "local"):
        (folder / name).symlink_to((ROOT / name).readlink())
    return folder


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Beside other workers a test's own process computes with one thread, until it asks for more.

    OpenMP's threads spin while they wait for each other: where workers have more of them than there are cores, most
    of the time goes into that. The commands that tests start choose for themselves, as they do for a user.
    """
    if int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1 and "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With several workers the tests of a file stay together, and those that want a real Slurm are two groups.

    What a file's tests share is made once then, and each group starts Slurms of its own. (xdist 3.8 loses its own
    groups under pytest 9.2.)
    """
    from xdist.scheduler import LoadFileScheduling

    class LoadFolderScheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            if not file.startswith("tests/slurm/"):
                return file
            # the executor's wait for times that Slurm has (limits, lost nodes); the studies' compute beside them
            return "tests/slurm executor" if file.startswith("tests/slurm/test_executor_") else "tests/slurm"

    return LoadFolderScheduling(config, log)


def pytest_terminal_summary(terminalreporter):
    """One line for each reason why tests were left out, with how many they were."""
    reasons = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2].removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else "?"
        reasons[reason] = reasons.get(reason, 0) + 1
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"left out: {count} tests: {reason}")
