"""Events recorded outside any transaction: refused access, sign-ins that failed or did not.

They go to the database, each with an id. While it is away they go to the spool of this machine, sealed, and are
brought in when it is back, with their own time and `late: true` in their changes. What can be put into neither was not
recorded: the request that it came from is refused with 503.
"""

import base64
import json
import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection, connections

from audit.spool import spool
from audit.spool.spool import Damaged, Spool
from kaireon.api.breakers import DATABASE, Breaker, BreakerOpen
from kaireon.lib import clock
from kaireon.lib.canonical import exact
from kaireon.lib.ids import uuid7
from kaireon.lib.sealing import CannotOpen
from kaireon.tenancy import context
from kaireon.tenancy.context import PLATFORM, Actor, scope
from kaireon.tenancy.keyring import open_text, seal_text

logger = logging.getLogger("kaireon.audit.events")

AWAY = (OperationalError, InterfaceError)
# Brought in with one transaction.
CHUNK = 200
# Between two looks into the spool, and between two tries while the database is away.
LOOK_SECONDS = 2.0
LONGEST_PAUSE = 30.0
# Ids of arrivals are kept for longer than an event may be late; see audit/spool/spool.sql.
REMEMBERED = timedelta(days=31)

_CONTEXT = "audit-spool"
_BREAKER = Breaker(DATABASE, ignore=(lambda error: not isinstance(error, AWAY),))


class InTransaction(RuntimeError):
    """Such an event must stay whatever becomes of the caller's transaction: record it before or after, not inside."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """What audit.record takes, with who, where and when. Holds nothing of a subject."""

    id: UUID
    tenant_id: str
    actor: Actor
    request_id: str
    action: str
    entity_type: str
    entity_id: str
    changes: dict[str, Any] | None
    occurred: datetime

    def text(self) -> str:
        return json.dumps({**asdict(self), "id": str(self.id), "occurred": clock.rfc3339(self.occurred)})

    @classmethod
    def parse(cls, text: str) -> "Event":
        fields = json.loads(text)
        return cls(
            **{
                **fields,
                "id": UUID(fields["id"]),
                "actor": Actor(**fields["actor"]),
                "occurred": datetime.fromisoformat(fields["occurred"]),
            }
        )


def record(
    *,
    tenant_id: str,
    actor: Actor,
    request_id: str,
    action: str,
    entity_type: str,
    entity_id: str,
    changes: dict[str, Any] | None = None,
) -> None:
    """Record an event by itself, in the database or else in the spool. PLATFORM is the log of no tenant.

    Raises InTransaction; and OperationalError when neither takes it.
    """
    if connection.in_atomic_block:
        raise InTransaction(f"{action} is recorded outside the transaction of what it is about.")
    event = Event(
        id=uuid7(),
        tenant_id=tenant_id,
        actor=actor,
        request_id=request_id,
        action=action,
        entity_type=entity_type,
        entity_id=str(exact(entity_id)),
        changes=changes and exact(changes),  # type: ignore[arg-type]
        occurred=clock.now(),
    )
    try:
        _BREAKER.call(_store, event)
    except (*AWAY, BreakerOpen) as away:
        _keep(event, away)


def folder() -> Spool:
    """The spool of this machine."""
    return _spool(settings.AUDIT_SPOOL_DIR, settings.AUDIT_SPOOL_BYTES)


@cache
def _spool(path: str, limit: int) -> Spool:
    return Spool(Path(path), limit=limit)


def replay() -> int:
    """Bring in what waits in the spool; gives how many records that made.

    What cannot be used is set aside and logged. Raises OperationalError or InterfaceError while the database is away,
    and OSError when the disk refuses; nothing is lost by either, and the next call makes nothing twice.
    """
    made = 0
    place = folder()
    with place.taking() as files:
        for taken in files:
            events, useless = _read(spool.raw_lines(taken))
            for first in range(0, len(events), CHUNK):
                arrived, refused = _bring_in(events[first : first + CHUNK])
                made += arrived
                useless += refused
            if aside := place.set_aside(useless):
                logger.error("events_set_aside", extra={"records": aside})
            place.done(taken)
    if made:
        logger.warning("events_brought_in", extra={"records": made})
    return made


def replay_forever(*, stopped: Callable[[], bool] = lambda: False) -> None:
    """Look into the spool again and again, in a thread of a process that lives long."""
    pause = LOOK_SECONDS
    while not stopped():
        time.sleep(pause)
        if folder().is_empty():
            continue
        try:
            replay()
            pause = LOOK_SECONDS
        except (*AWAY, OSError) as error:
            pause = min(pause * 2, LONGEST_PAUSE)
            logger.warning("replay_waits", extra={"error_type": type(error).__name__, "seconds": pause})
        finally:
            connections.close_all()


def keep_replaying() -> None:
    """For the web process: its spool may be on a disk that no other process sees."""
    threading.Thread(target=replay_forever, name="audit-spool", daemon=True).start()


def forget_arrivals() -> int:
    """Delete the ids that no late event can have any more."""
    with connections["sequencer"].cursor() as cursor:
        cursor.execute("DELETE FROM public.audit_arrival WHERE arrived_at < %s", [clock.now() - REMEMBERED])
        return int(cursor.rowcount)


def _store(event: Event, *, late: bool = False) -> bool:
    """Whether it is new to the log."""
    with (
        scope(tenant_id=event.tenant_id, actor=event.actor, request_id=event.request_id),
        context.transaction(),
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "SELECT public.audit_event_once(%s, %s, %s, %s, %s, %s, NULL, %s::jsonb)",
            [
                event.id,
                event.occurred if late else None,
                event.tenant_id == PLATFORM,
                event.action,
                event.entity_type,
                event.entity_id,
                None if event.changes is None else json.dumps(event.changes, allow_nan=False),
            ],
        )
        return bool(cursor.fetchone()[0])


def _keep(event: Event, away: Exception) -> None:
    try:
        folder().append(base64.b64encode(seal_text(event.text(), context=_CONTEXT)))
    except OSError as error:
        logger.error("event_not_recorded", extra={"action": event.action, "error_type": type(error).__name__})  # noqa: TRY400
        raise OperationalError("The database is away and the spool takes nothing.") from away
    logger.warning("event_spooled", extra={"action": event.action, "error_type": type(away).__name__})


Kept = tuple[bytes, Event]


def _read(lines: Iterable[bytes]) -> tuple[list[Kept], list[bytes]]:
    """The events, each with its line, and the lines that are none."""
    events: list[Kept] = []
    useless: list[bytes] = []
    for line in lines:
        try:
            sealed = base64.b64decode(spool.content_of(line), validate=True)
            events.append((line, Event.parse(open_text(sealed, context=_CONTEXT))))
        except (Damaged, CannotOpen, ValueError, KeyError, TypeError):
            useless.append(line)
    return events, useless


def _bring_in(events: list[Kept]) -> tuple[int, list[bytes]]:
    """How many arrived, and the lines of those that the database refuses."""
    arrived = 0
    refused: list[bytes] = []
    for tenant, of_tenant in groupby(events, key=lambda kept: kept[1].tenant_id):
        with scope(tenant_id=tenant, actor=Actor.system("audit-spool")), context.transaction(durable=True):
            for line, event in of_tenant:
                try:
                    # Its scope is a savepoint here: one refusal takes nothing else with it.
                    arrived += _store(event, late=True)
                except AWAY:
                    raise
                except DatabaseError:
                    refused.append(line)
    return arrived, refused
