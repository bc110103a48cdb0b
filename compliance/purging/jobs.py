"""The job behind the application of a plan."""

from uuid import UUID

from compliance.models import PlanState, PurgePlan
from compliance.purging import applying
from compliance.purging.refusals import PlanRefused
from kaireon.jobs import services
from kaireon.jobs.registry import job_type
from kaireon.jobs.runner import JobError, JobRun
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import transaction

TIME_LIMIT = 600
# A job does so much at a time and is queued again: what it deleted stays deleted, and the next turn goes on behind it.
SECONDS = 300


@job_type(applying.JOB_TYPE, queue="batch-jobs", time_limit=TIME_LIMIT)
def retention_apply(run: JobRun) -> None:
    plan_id = UUID(run.payload["plan_id"])

    def told(done: int, total: int) -> None:
        run.check()
        run.progress(lambda: 100 * done / max(total, 1))

    with transaction():
        if PurgePlan.objects.get(pk=plan_id).state == PlanState.APPLIED:
            run.finish()
            return
    try:
        done = applying.go_on(plan_id=plan_id, now=clock.now(), budget=Budget(SECONDS), told=told)
    except PlanRefused as refusal:
        raise JobError(refusal.code, permanent=True) from refusal
    with transaction():
        if done.finished:
            run.finish({"rows": done.rows})
        else:
            services.put_off(job=run.job, due_at=clock.now())
