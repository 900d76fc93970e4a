"""Containers become srun arguments or a prefix of the command. No container runtime has run these: only the words
are checked, which the tests' names say."""

import pytest
from snakemake_interface_common.exceptions import WorkflowError

from snakemake_executor_plugin_submitit.containers import container_from_resources
from snakemake_executor_plugin_submitit.submission import request_from_resources, slurm_parameters

RESOURCES = {
    "container_image": "nvcr.io/nvidia/pytorch:25.01-py3",
    "container_mounts": "/data:/data:ro,/my home:/my home",
    "container_workdir": "/data/run",
}


def test_pyxis_gets_srun_arguments_without_runtime() -> None:
    request = request_from_resources(RESOURCES, 1, "train", once=False)
    srun = slurm_parameters(request, "name", "comment", parallel=1, delay=30)["srun_args"]
    assert srun[-3:] == [
        "--container-image=nvcr.io/nvidia/pytorch:25.01-py3",
        "--container-mounts=/data:/data:ro,/my home:/my home",
        "--container-workdir=/data/run",
    ]
    assert request.container is not None
    assert request.container.command_prefix(with_gpus=True) == ()


def test_apptainer_becomes_a_prefix_of_the_command_without_runtime() -> None:
    container = container_from_resources({**RESOURCES, "container_runtime": "apptainer"}, "train")
    assert container is not None
    assert container.srun_arguments() == ()
    assert container.command_prefix(with_gpus=True) == (
        "apptainer",
        "exec",
        "--nv",
        "--bind",
        "/data:/data:ro",
        "--bind",
        "/my home:/my home",
        "--pwd",
        "/data/run",
        "nvcr.io/nvidia/pytorch:25.01-py3",
    )
    assert "--nv" not in container.command_prefix(with_gpus=False)


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ({"container_mounts": "/a:/a"}, "container_mounts is given without container_image"),
        ({**RESOURCES, "container_runtime": "docker"}, "container_runtime='docker' is not one of pyxis, apptainer"),
    ],
)
def test_a_container_that_cannot_be_is_refused(resources: dict[str, str], words: str) -> None:
    with pytest.raises(WorkflowError, match=words):
        container_from_resources(resources, "train")
