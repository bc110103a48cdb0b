"""What the log of a period tells, counted in one look: how often each thing was done, and where that stands."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db import connection

from compliance.reporting.templates import Asked
from kaireon.tenancy import context


class Change(StrEnum):
    """What a record says became of its row; an event has none."""

    CREATED = "created"
    CHANGED = "changed"
    REMOVED = "removed"
    EVENT = "event"


@dataclass(frozen=True, kw_only=True)
class Told:
    """So many records, the first and the last of them by position, and when the last was."""

    count: int = 0
    first: int | None = None
    last: int | None = None
    at: datetime | None = None

    @property
    def positions(self) -> str:
        if self.first is None:
            return ""
        return str(self.first) if self.first == self.last else f"{self.first} to {self.last}"


@dataclass(frozen=True, kw_only=True)
class Line:
    action: str
    entity_type: str
    change: Change
    told: Told


# Equality of action and type is by index; what is within the time is read from the rows that are found.
_TOLD = """
SELECT action, entity_type,
       CASE WHEN before IS NULL AND after IS NULL THEN 'event' WHEN before IS NULL THEN 'created'
            WHEN after IS NULL THEN 'removed' ELSE 'changed' END AS change,
       count(*), min(seq), max(seq), max("timestamp")
  FROM public.audit_record
 WHERE tenant_id = %(tenant)s AND "timestamp" >= %(start)s AND "timestamp" < %(end)s
   AND (action = ANY(%(actions)s) OR entity_type = ANY(%(types)s))
 GROUP BY 1, 2, 3
"""


def lines(asked: Asked, *, actions: Collection[str], entity_types: Collection[str] = ()) -> list[Line]:
    """Records of these verbs and of these types, in one query."""
    values: dict[str, Any] = {
        "tenant": context.tenant_id(),
        "start": asked.period.start,
        "end": asked.period.end,
        "actions": sorted(actions),
        "types": sorted(entity_types),
    }
    with connection.cursor() as cursor:
        cursor.execute(_TOLD, values)
        return [
            Line(
                action=action,
                entity_type=entity_type,
                change=Change(change),
                told=Told(count=count, first=first, last=last, at=at),
            )
            for action, entity_type, change, count, first, last, at in cursor.fetchall()
        ]


def together(told: Iterable[Told]) -> Told:
    """All of them as one."""
    there = [one for one in told if one.count]
    return Told(
        count=sum(one.count for one in there),
        first=min((one.first for one in there if one.first is not None), default=None),
        last=max((one.last for one in there if one.last is not None), default=None),
        at=max((one.at for one in there if one.at is not None), default=None),
    )
