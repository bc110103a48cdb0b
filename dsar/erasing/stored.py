"""What an erasure has to take out of storage once the rows are gone: the objects of its rows, and earlier exports."""

from functools import cache
from typing import Any
from uuid import UUID, uuid4

from django.db import connection

from customers import removals, spelling
from customers.models import ExportCheckpoint, ExportEntry
from customers.models.removal import ObjectRemoval
from dsar.erasing import exported
from kaireon.jobs.runner import JobError, JobRun
from kaireon.lib import clock
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction

NOTHING = {"deleted": 0, "wereMissing": 0}


class ObjectsLeft(JobError):
    """Storage did not let every object go. Those that went stay gone, the others are tried again."""

    def __init__(self) -> None:
        super().__init__("objects_left")


@requires_transaction
def is_any(request_id: UUID) -> bool:
    """Whether the erasure has anything in storage, or had: objects of its rows, or the tenant files of exports.

    Ask it after the transaction in which the rows went: what is exported later is without them.
    """
    with connection.cursor() as cursor:
        cursor.execute(_whether_any(), {"tenant": context.tenant_id(), "request": request_id})
        return any(cursor.fetchone())


def take(run: JobRun, request_id: UUID) -> None:
    """Take the people out of exported files, and remove what the rows left, each confirmed and ticked off by itself.

    What is gone already is fine. Raises ObjectsLeft, exported.FilesBusy; the next attempt goes on with what is left.
    """
    exported.strike(run, request_id)
    removed = removals.remove_doomed(now=clock.now(), reference=request_id, before_each=run.check)
    if removed.failed:
        raise ObjectsLeft


@requires_transaction
def counts(request_id: UUID) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    """What was taken so far: `{deleted, wereMissing}` objects, and `{exports: …}` where somebody was in one."""
    if not is_any(request_id):
        return {**NOTHING}, {}
    removed = removals.removed_of(request_id)
    return {"deleted": removed.attempted, "wereMissing": removed.missing}, exported.counts(request_id)


@cache
def _whether_any() -> str:
    """All of them in one statement."""
    request = uuid4()
    looks: tuple[Any, ...] = (
        ObjectRemoval.objects.of(request),
        ExportEntry.objects.of(request),
        ExportCheckpoint.objects.all(),
    )
    some = (spelling.named(rows.order_by().values_list("pk"), request=request) for rows in looks)
    return f"SELECT {', '.join(f'EXISTS ({rows})' for rows in some)}"
