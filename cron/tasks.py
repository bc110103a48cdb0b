"""Jobs on a worker: what beat and the admin's button send."""

from datetime import datetime
from typing import Any

from celery import Task, shared_task

from cron import runner
from cron.jobs import JOBS
from cron.models import Trigger
from kaireon.tenancy.context import Actor
from kaireon.tenancy.models import User

RUN_TASK = "cron.run"
QUEUE = "batch-jobs"
# The job keeps its own deadline; this ends what ignores it, before the broker would hand the message out again.
_LIMIT = max(job.deadline for job in JOBS.values()) + 60


class KeywordsOnly(TypeError):
    """A task takes keyword arguments only, so that a newer caller and an older worker understand each other."""


class GlobalTask(Task):  # type: ignore[type-arg]
    """A task of no tenant. It sees tenant data only through `across_all_tenants`."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if args:
            raise KeywordsOnly(self.name)
        return super().__call__(**kwargs)


@shared_task(base=GlobalTask, name=RUN_TASK, acks_late=True, soft_time_limit=_LIMIT, time_limit=_LIMIT + 30)
def run(*, job: str, trigger: str = Trigger.BEAT, user_id: str = "", slot: str | None = None, **_newer: object) -> bool:
    """Run a job; whether it went well. `user_id` is the member who pressed the button, `slot` what beat sent it for."""
    moment = datetime.fromisoformat(slot) if slot else None
    return runner.run_job(job, trigger=trigger, actor=_member(user_id), slot=moment).ok


def _member(user_id: str) -> Actor | None:
    user = User.objects.filter(pk=user_id).first() if user_id else None
    return Actor(id=str(user.pk), name=user.name, type="user") if user else None
