"""When jobs run, as a kind of what can be declared. It is the platform's: schedules belong to no tenant."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django_celery_beat.models import PeriodicTask

from compliance.drift.kinds import Items, Kind, NotAppliable, register
from cron import beat_rows
from cron.jobs import JOBS, UnknownJob, find
from cron.slots import BadSchedule, Cron
from cron.timings import when
from kaireon.lib import clock
from kaireon.tenancy.context import Actor


def actual(now: datetime) -> Items:
    """The rows of jobs, whoever said so last."""
    rows = PeriodicTask.objects.filter(name__in=JOBS).select_related("crontab", "interval")
    return {row.name: {"cron": when(row), "enabled": bool(row.enabled)} for row in rows}


def check(name: str, fields: Mapping[str, Any]) -> None:
    """Raises ValueError."""
    try:
        find(name)
    except UnknownJob as error:
        raise ValueError(str(error)) from error
    if not isinstance(fields.get("cron"), str):
        raise ValueError('cron: must be said, as text: five fields in UTC, like "30 4 * * *".')  # noqa: TRY004 - of a file
    try:
        if Cron(fields["cron"]).next(clock.now()) is None:
            raise ValueError(f"cron: {fields['cron']!r} is never due.")
    except BadSchedule as error:
        raise ValueError(f"cron: {error}") from error
    if not isinstance(fields.get("enabled", True), bool):
        raise ValueError("enabled: must be true or false.")  # noqa: TRY004 - as above


def put(name: str, fields: Mapping[str, Any], actor: Actor, now: datetime) -> None:
    """As if an operator had said so in the admin."""
    there = PeriodicTask.objects.filter(name=name).first()
    enabled = fields.get("enabled", there is None or there.enabled)
    beat_rows.reschedule(find(name), cron=fields["cron"], enabled=enabled, now=now)


def remove(name: str, actor: Actor, now: datetime) -> None:
    """Back to what the environment or we say. Raises NotAppliable."""
    try:
        beat_rows.put_back(find(name), now=now)
    except UnknownJob as error:
        raise NotAppliable(str(error)) from error


def was_edited(name: str) -> bool:
    """What nobody changed is as it is shipped: to declare it is allowed, and not asked for."""
    row = PeriodicTask.objects.filter(name=name).select_related("crontab", "interval").first()
    return row is not None and beat_rows.edited(row)


register(
    Kind(
        name="schedules",
        fields=("cron", "enabled"),
        actual=actual,
        check=check,
        put=put,
        remove=remove,
        of_tenant=False,
        wants_declaring=was_edited,
    )
)
