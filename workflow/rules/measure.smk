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
    log:
        study.prepare_log,
    conda:
        "../../environment.yml"
    resources:
        **study.prepare_resources,
    params:
        folder=subpath(output.prepared, parent=True),
    shell:
        "seatrial prepare {input.case:q} --id {wildcards.prepared} --output {params.folder:q}"


rule measure:
    input:
        case=ancient(study.case),
        prepared=ancient(study.prepared_of),
    output:
        record=study.record,
    log:
        study.measure_log,
    conda:
        "../../environment.yml"
    resources:
        **study.measure_resources,
    params:
        prepared=study.prepared_option,
        # a repeat that was asked for again (rerun=failed) runs again
        rerun=study.rerun_of,
    shell:
        "seatrial measure {input.case:q} --repeat {wildcards.repeat}"
        " --output {output.record:q} {params.prepared:q}"
