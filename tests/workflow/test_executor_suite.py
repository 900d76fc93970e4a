"""Snakemake's own test-suite for executor plugins, on submitit's local and debug executors."""

import pytest
from snakemake.common.tests import TestWorkflowsLocalStorageBase

from snakemake_executor_plugin_submitit import ExecutorSettings

pytestmark = pytest.mark.timeout(240)


class TestLocal(TestWorkflowsLocalStorageBase):
    """Every job is a process of submitit's local executor."""

    __test__ = True

    def get_executor(self) -> str:
        return "submitit"

    def get_executor_settings(self) -> ExecutorSettings:
        return ExecutorSettings(cluster="local")


class TestDebug(TestLocal):
    """Every job runs in Snakemake's own process."""

    def get_executor_settings(self) -> ExecutorSettings:
        return ExecutorSettings(cluster="debug")
