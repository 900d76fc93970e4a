# Tables to figures and page.


localrules:
    report,


rule report:
    input:
        study=study.study_file,
        repeats=study.repeats,
        measurements=study.measurements,
        time_to_quality=study.time_to_quality,
        comparison=study.comparison,
        verdicts=study.verdicts,
        of_workloads=study.of_workloads,
        survey=study.survey,
        against=study.against,
    output:
        page=study.report,
        summary=study.summary,
        figures=directory(study.figures),
    log:
        study.report_log,
    conda:
        "../../environment.yml"
    params:
        root=subpath(input.study, parent=True),
    shell:
        "seatrial report {params.root:q} > {log:q} 2>&1"
