# Compose, validate, expand: study.json and one file per case.


localrules:
    plan,


rule plan:
    output:
        study=study.study_file,
        # the case files are written with it; ten thousand outputs of one job would take Snakemake minutes
        planned=touch(study.planned),
    log:
        study.plan_log,
    conda:
        "../../environment.yml"
    params:
        # the digest changes whenever a file would: a changed study is planned again
        digest=study.digest,
        words=study.words,
        conf=study.conf,
        root=subpath(output.study, parent=True),
    shell:
        "seatrial plan {params.words:q} --conf {params.conf:q} --write {params.root:q} > {log:q} 2>&1"
