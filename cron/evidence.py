"""What the scheduled jobs put into the evidence of controls: runs of the period, by how they ended."""

from django.db.models import Count

from compliance.reporting import counting, soc2
from compliance.reporting.templates import Asked
from cron.jobs import JOBS
from cron.models import JobRun, RunState


def runs(asked: Asked) -> dict[str, int]:
    """Of all jobs, without dry runs, by state. A run serves all tenants."""
    rows = counting.within(JobRun.objects.real().filter(job__in=JOBS).order_by(), "started_at", asked)
    return dict(rows.values_list("state").annotate(Count("pk")))


def done(asked: Asked) -> tuple[int, str]:
    return asked.once(runs).get(RunState.SUCCEEDED, 0), "of all tenants; runs that are kept still"


def failed(asked: Asked) -> tuple[int, str]:
    found = asked.once(runs)
    return found.get(RunState.FAILED, 0) + found.get(RunState.LOST, 0), ""


soc2.add("A1.2", soc2.counted("Runs of scheduled jobs", done), soc2.counted("Runs that failed or were lost", failed))
