"""Cursors: where a follower of the active scope's log stands, and when it may try again."""

import random
from datetime import datetime, timedelta

from django.db import connection

from audit.models import AuditHead, Cursor
from kaireon.tenancy.context import current, requires_transaction

FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(hours=1)
MOST_DOUBLINGS = 12


class CursorMoved(RuntimeError):
    """The cursor is not where this follower left it: another one is at work, or somebody set it back. Begin anew."""


@requires_transaction
def opened(follower: str, *, now: datetime) -> Cursor:
    """The follower's cursor; when there is none it is made before record 1, whether that is kept or not: a follower has
    to say what was gone before it came."""
    tenant = current().tenant_id
    found = Cursor.objects.filter(tenant_id=tenant, follower=follower).first()
    if found is None:
        made = Cursor(tenant_id=tenant, follower=follower, seq=0, created_at=now)
        Cursor.objects.bulk_create([made], ignore_conflicts=True)
        found = Cursor.objects.get(tenant_id=tenant, follower=follower)
    return found


@requires_transaction
def head() -> int:
    """The last record of the active scope's log, as it is sequenced; 0 when there is none."""
    return AuditHead.objects.filter(tenant_id=current().tenant_id).values_list("seq", flat=True).first() or 0


@requires_transaction
def move(cursor: Cursor, *, to: int, now: datetime) -> None:
    """Say that the work up to record `to` is done, in the transaction that notes the work. Raises CursorMoved.

    The condition is in the UPDATE: of two at the same batch, one moves it.
    """
    changed = {"seq": to, "moved_at": now, "failures": 0, "error": "", "failed_at": None, "due_at": None}
    _update(cursor, **changed)
    for name, value in changed.items():
        setattr(cursor, name, value)


@requires_transaction
def catch_up(cursor: Cursor, *, now: datetime) -> None:
    """Say that nothing is left to do. Raises CursorMoved."""
    _update(cursor, caught_up_at=now, failures=0, error="", failed_at=None, due_at=None)


@requires_transaction
def put_off(cursor: Cursor, *, code: str, wait: timedelta | None, now: datetime) -> None:
    """Note a failure: not before `wait` from now, or for a time that doubles with each failure. Raises CursorMoved."""
    failures = cursor.failures + 1
    if wait is None:
        wait = FIRST_WAIT * 2 ** min(failures - 1, MOST_DOUBLINGS) * random.uniform(0.8, 1.2)  # noqa: S311  no secret
    due = now + min(max(wait, timedelta(0)), LONGEST_WAIT)
    _update(cursor, failures=failures, error=code[:64], failed_at=now, due_at=due)
    cursor.failures, cursor.error, cursor.failed_at, cursor.due_at = failures, code[:64], now, due


def is_due(cursor: Cursor, now: datetime) -> bool:
    """Whether the pause after a failure is over. A clock that was set back shortens the pause, never lengthens it."""
    if cursor.due_at is None or cursor.failed_at is None:
        return True
    return now >= cursor.due_at or now < cursor.failed_at


@requires_transaction
def set_back(follower: str, *, to: int, now: datetime) -> Cursor:
    """Repeat the work from record `to` + 1 on. A cursor is never set forward: that would skip what nobody did.

    Raises ValueError when `to` is not before where the cursor stands.
    """
    cursor = opened(follower, now=now)
    if not 0 <= to <= cursor.seq:
        raise ValueError(f"The cursor stands at {cursor.seq}: it can be set back to 0 or more, and not forward.")
    _update(cursor, seq=to, failures=0, error="", failed_at=None, due_at=None)
    cursor.seq = to
    return cursor


def _update(cursor: Cursor, **changed: object) -> None:
    rows = Cursor.objects.filter(tenant_id=cursor.tenant_id, follower=cursor.follower, seq=cursor.seq)
    if not rows.update(**changed):
        raise CursorMoved(f"{cursor.follower} is no longer at {cursor.seq}.")


@requires_transaction
def tenant_is_active() -> bool:
    """Whether the active scope's tenant is; the platform always is."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT is_active FROM public.tenancy_tenant WHERE id = %s", [current().tenant_id])
        row = cursor.fetchone()
    return row is None or bool(row[0])
