"""What alert rules can watch of the scheduled jobs: how they are doing, and what they came to in this tenant."""

from collections.abc import Callable

from django.db import connection

from compliance.alerting.metrics import Asked, Metric, Unit, register
from cron import overview
from cron.jobs import JOBS
from cron.states import JobState
from cron.work import Job
from kaireon.tenancy import context

# So many of its runs are looked through: one that has not succeeded in any of them has no age.
_RUNS = 5_000
_LAST_SUCCESS = """
SELECT run.finished_at
  FROM (SELECT finished_at, started_at, outcomes, state FROM public.cron_jobrun
         WHERE job = %s AND state <> 'running' AND NOT dry_run ORDER BY started_at DESC LIMIT %s) run
 WHERE run.outcomes @> jsonb_build_array(jsonb_build_object('tenantId', %s::text, 'ok', true))
    OR (run.outcomes = '[]' AND run.state = 'succeeded')
 ORDER BY run.started_at DESC LIMIT 1
"""


def jobs_down(asked: Asked) -> float:
    return float(sum(line.state == JobState.DOWN for line in overview.lines(now=asked.now)))


def success_age(job: str) -> Callable[[Asked], float | None]:
    def read(asked: Asked) -> float | None:
        with connection.cursor() as cursor:
            cursor.execute(_LAST_SUCCESS, [job, _RUNS, context.tenant_id()])
            found = cursor.fetchone()
        return None if found is None else max(0.0, (asked.now - found[0]).total_seconds() / 3600)

    return read


def _of(job: Job) -> Metric:
    return Metric(
        name=f"job_success_age.{job.name}",
        title=f"Last success of {job.name}",
        help=f"Hours since the job {job.name} last did well for this tenant. No data: it never did.",
        unit=Unit.HOURS,
        read=success_age(job.name),
    )


register(
    Metric(
        name="jobs_down",
        title="Jobs down",
        help="Scheduled jobs that failed, were lost, run too long, or did not run when they were due.",
        unit=Unit.COUNT,
        read=jobs_down,
    ),
    *(_of(job) for job in JOBS.values()),
)
