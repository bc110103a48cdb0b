"""When a job runs next, for pages of the layers below."""

from datetime import datetime

from django_celery_beat.models import PeriodicTask

from compliance.explaining import tomorrow
from cron import states
from cron.jobs import JOBS


def next_run(name: str, now: datetime) -> datetime | None:
    """By the schedule that counts; None for what is unknown, paused, or has none."""
    job = JOBS.get(name)
    if job is None:
        return None
    row = PeriodicTask.objects.select_related("crontab", "interval", "solar", "clocked").filter(name=name).first()
    return states.status_of(job, row, now=now).next


tomorrow.NEXT_RUN.append(next_run)
