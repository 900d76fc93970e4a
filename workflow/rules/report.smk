# Tables to figures and page.


localrules:
    report,
    figures,


rule report:
    input:
        study=study.study_file,
        repeats=study.repeats,
        measurements=study.measurements,
        time_to_quality=study.time_to_quality,
        comparison=study.comparison,
        verdicts=study.verdicts,
        decisions=study.decisions,
        of_workloads=study.of_workloads,
        survey=study.survey,
        against=study.against,
    output:
        page=report(study.report, caption="../report/page.rst", category="Page"),
        summary=study.summary,
        figures=report(
            directory(study.figures),
            patterns=["{name}.svg"],
            caption="../report/figure.rst",
            category="Figures",
            labels=study.figure_labels,
        ),
    log:
        study.report_log,
    conda:
        "../../environment.yml"
    params:
        root=subpath(input.study, parent=True),
    shell:
        "seatrial report {params.root:q} > {log:q} 2>&1"


# By itself, from the tables as they are: without inputs and outputs nothing is planned, measured or removed for it.
rule figures:
    log:
        study.figures_log,
    conda:
        "../../environment.yml"
    params:
        root=study.root,
    shell:
        "seatrial figures {params.root:q} > {log:q} 2>&1"
