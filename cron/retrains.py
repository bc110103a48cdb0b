"""The job `scheduled-retrains`: queue the retrains of models that are due; workers of `retrain-jobs` train."""

from collections.abc import Mapping, Sequence
from typing import Any

from cron.work import Work
from customers.models import RetrainSchedule
from customers.propensity import schedules
from kaireon.jobs import services as jobs
from kaireon.tenancy import context
from kaireon.tenancy.context import scope, transaction


def enqueue(work: Work) -> tuple[Mapping[str, Any], Sequence[str]]:
    """`{schedules, due, enqueued}`; a dry run queues nothing. A schedule has one retrain a day, whoever asks again."""
    due, enqueued, errors = 0, 0, []
    with scope(tenant_id=context.tenant_id(), actor=work.actor, request_id=str(work.run_id)):
        with transaction():
            found = list(RetrainSchedule.objects.order_by("offer"))
        for schedule in found:
            try:
                with transaction():
                    said = schedules.due(schedule, now=work.now)
                    slot = schedules.slot_of(work.now)
                    queued = said.is_due and not work.dry_run
                    job = schedules.queue(schedule, slot=slot, cause=said.why, now=work.now) if queued else None
            except Exception as error:  # noqa: BLE001  becomes the outcome; the other schedules are still served
                errors.append(type(error).__name__)
                continue
            due += said.is_due
            if job is not None:
                enqueued += 1
                jobs.wake(job)
    return {"schedules": len(found), "due": due, "enqueued": enqueued}, errors
