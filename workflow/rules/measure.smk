# Prepared base models, and the measurements: one record per repeat, the same command on every rank.
# A case file never changes (its name is the hash of its content), so it never triggers a new measurement.


wildcard_constraints:
    case="[0-9a-f]{16}",
    prepared="[0-9a-f]{16}",
    repeat=r"\d+",


rule prepare:
    input:
        case=ancient(study.case_to_prepare),
    output:
        prepared=study.prepared,
    params:
        folder=subpath(output.prepared, parent=True),
    log:
        study.prepare_log,
    conda:
        "../../environment.yml"
    resources:
        nodes=1,
        tasks_per_node=1,
        runtime=study.prepare_runtime,
        mem_mb=study.launcher("memory_mb_per_node"),
        cpus_per_task=study.launcher("cpus_per_task"),
        slurm_account=study.launcher("account"),
        slurm_partition=study.launcher("partition"),
        qos=study.launcher("qos"),
    shell:
        "seatrial prepare {input.case:q} --output {params.folder:q}"


rule measure:
    input:
        case=ancient(study.case),
        prepared=ancient(study.prepared_of),
    output:
        record=study.record,
    params:
        prepared=study.prepared_option,
    log:
        study.measure_log,
    conda:
        "../../environment.yml"
    resources:
        nodes=study.nodes,
        tasks_per_node=study.tasks_per_node,
        runtime=study.runtime,
        mem_mb=study.launcher("memory_mb_per_node"),
        cpus_per_task=study.launcher("cpus_per_task"),
        gres=study.gres,
        gpus=study.gpus,
        slurm_account=study.launcher("account"),
        slurm_partition=study.launcher("partition"),
        qos=study.launcher("qos"),
        constraint=study.launcher("constraint"),
        reservation=study.launcher("reservation"),
        exclude=study.launcher("exclude"),
        slurm_extra=study.launcher("slurm_extra"),
        container_runtime=study.container("runtime"),
        container_image=study.container("image"),
        container_mounts=study.container("mounts"),
        container_workdir=study.container("workdir"),
    shell:
        "seatrial measure {input.case:q} --repeat {wildcards.repeat}"
        " --output {output.record:q} {params.prepared:q}"
