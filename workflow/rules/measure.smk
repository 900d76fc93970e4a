# Prepared base models, and the measurements: one record per repeat, the same command on every rank.
# A case file never changes (its name is the hash of its content) and is written with study.json, which never triggers
# a new measurement: neither do the cases that a study gains.


wildcard_constraints:
    case="[0-9a-f]{16}",
    prepared="[0-9a-f]{16}",
    repeat=r"\d+",


rule prepare:
    input:
        study=ancient(study.study_file),
    output:
        prepared=study.prepared,
    log:
        study.prepare_log,
    conda:
        "../../environment.yml"
    resources:
        **study.prepare_resources,
    params:
        case=study.case_to_prepare,
        folder=subpath(output.prepared, parent=True),
    shell:
        "seatrial prepare {params.case:q} --id {wildcards.prepared} --output {params.folder:q}"


rule measure:
    input:
        study=ancient(study.study_of_measure),
        prepared=ancient(study.needs_prepared),
    output:
        record=study.record,
    log:
        study.measure_log,
    conda:
        "../../environment.yml"
    resources:
        **study.measure_resources,
    params:
        case=study.case,
        prepared=study.prepared_words,
        # a repeat that was asked for again (rerun=failed) runs again
        rerun=study.rerun,
    shell:
        "seatrial measure {params.case:q} --repeat {wildcards.repeat}"
        " --output {output.record:q} {params.prepared:q}"
