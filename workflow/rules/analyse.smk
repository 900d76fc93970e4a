# Records to tables, tables to verdicts.


localrules:
    collect,
    analyse,


rule collect:
    input:
        study=study.study_file,
        # asked for by somebody, or a study that changed would not be planned again
        planned=study.planned,
        records=study.records,
    output:
        measurements=study.measurements,
        repeats=study.repeats,
    log:
        study.collect_log,
    conda:
        "../../environment.yml"
    params:
        root=subpath(input.study, parent=True),
        ingested=study.ingested,
    shell:
        "seatrial collect {params.root:q} > {log:q} 2>&1"


rule analyse:
    input:
        study=study.study_file,
        measurements=study.measurements,
        repeats=study.repeats,
        # more published results beside the shipped ones, where the study names any
        published=study.published_tables,
        # an earlier study to compare with, where one is named
        earlier=study.earlier_tables,
    output:
        time_to_quality=study.time_to_quality,
        comparison=study.comparison,
        references=study.references,
        findings=study.findings,
        verdicts=study.verdicts,
        decisions=study.decisions,
        junit=study.junit,
        of_workloads=study.of_workloads,
        # empty where the study has no survey of the published results
        survey=study.survey,
        against=study.against,
    log:
        study.analyse_log,
    conda:
        "../../environment.yml"
    params:
        root=subpath(input.study, parent=True),
        against=study.against_words,
    shell:
        "seatrial analyse {params.root:q} {params.against:q} > {log:q} 2>&1"
