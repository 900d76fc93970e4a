# Records to tables, tables to verdicts.


localrules:
    collect,
    analyse,


rule collect:
    input:
        study=study.study_file,
        records=study.records,
    output:
        measurements=study.measurements,
        repeats=study.repeats,
    params:
        root=subpath(input.study, parent=True),
    log:
        study.logs + "/collect.log",
    conda:
        "../../environment.yml"
    shell:
        "seatrial collect {params.root:q} > {log:q} 2>&1"


rule analyse:
    input:
        study=study.study_file,
        measurements=study.measurements,
        repeats=study.repeats,
    output:
        time_to_quality=study.time_to_quality,
        comparison=study.comparison,
        references=study.references,
        verdicts=study.verdicts,
        junit=study.junit,
    params:
        root=subpath(input.study, parent=True),
    log:
        study.logs + "/analyse.log",
    conda:
        "../../environment.yml"
    shell:
        "seatrial analyse {params.root:q} > {log:q} 2>&1"
