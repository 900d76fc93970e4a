from snakemake.utils import min_version

from seatrial.versions import one_version
from seatrial.wiring import load_study

min_version("9.0")

# of the package that these rules belong to: another one is refused in words
one_version("0.1.0", str(workflow.basedir))
study = load_study(config, workflow)


# of snakemake --report
report: "workflow/report/study.rst"


include: "workflow/rules/plan.smk"
include: "workflow/rules/measure.smk"
include: "workflow/rules/analyse.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        study.report,
        study.verdicts,
        # named here too: after a failure the page is there, and what is missing must still be run
        study.records,


onstart:
    study.hold()


onsuccess:
    shell("{study.status}")


onerror:
    shell("{study.conclude}")
