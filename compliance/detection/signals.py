"""What people do with a signal: they acknowledge it, and may say why. The note is sealed."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

import audit
from compliance.models import SecuritySignal, SignalState
from compliance.models.signal import SignalQuerySet
from kaireon.lib.naming import Names
from kaireon.lib.sealing import CannotOpen
from kaireon.tenancy.context import Actor, requires_transaction
from kaireon.tenancy.keyring import open_text, seal_text

ACKNOWLEDGED_VERB = "security.signal.acknowledged"
FORGOTTEN_VERB = "security.signal.note_shredded"
LONGEST_NOTE = 1000


class AlreadyAcknowledged(RuntimeError):
    """Somebody else acknowledged this signal; their word stands."""


@requires_transaction
def acknowledge(*, signal: SecuritySignal, note: str = "", actor: Actor, now: datetime) -> None:
    """Say that it was looked at. Raises AlreadyAcknowledged when somebody was faster."""
    audit.action(ACKNOWLEDGED_VERB, entity=signal)
    text = note.strip()[:LONGEST_NOTE]
    done = (
        SecuritySignal.objects.open()
        .filter(pk=signal.pk)
        .update(
            state=SignalState.ACKNOWLEDGED,
            acknowledged_by=actor.id[:64],
            acknowledged_by_name=actor.name[:200],
            acknowledged_at=now,
            note_sealed=seal_text(text, context=signal.sealing_context) if text else None,
        )
    )
    if not done:
        raise AlreadyAcknowledged(str(signal.pk))


def note_of(signal: SecuritySignal) -> str:
    """What was noted, or "". Raises what opening raises when its key is gone."""
    return open_text(bytes(signal.note_sealed), context=signal.sealing_context) if signal.note_sealed else ""


def noted() -> SignalQuerySet:
    """The signals that have a note."""
    return SecuritySignal.objects.filter(note_sealed__isnull=False)


@requires_transaction
def naming(names: Names) -> list[UUID]:
    """The signals whose note names this person."""
    rows = noted().order_by("pk")
    return [row.pk for row in rows.iterator(chunk_size=500) if _says(row, names)]


@requires_transaction
def forget_notes(ids: Collection[UUID]) -> int:
    """Destroy these notes; the signals stay. How many."""
    rows = noted().filter(pk__in=ids)
    for row in rows:
        audit.action(FORGOTTEN_VERB, entity=row)
    return rows.update(note_sealed=None)


def _says(row: SecuritySignal, names: Names) -> bool:
    try:
        return names.said_in(note_of(row))
    except CannotOpen:
        # What no key opens says nothing to anybody, and goes with its row.
        return False
