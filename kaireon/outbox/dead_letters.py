"""Work that was given up: kept, classified, tried again, archived, and only then purged."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count

from kaireon.outbox import payloads
from kaireon.outbox.models import DeadLetter, DeadLetterQuerySet, LetterClass, LetterState, Payload
from kaireon.tenancy import signals
from kaireon.tenancy.context import requires_transaction

# Automatic replays; a person may order more.
MOST_REPLAYS = 3
FIRST_REST = timedelta(minutes=10)

OK, WARNING, CRITICAL = "OK", "WARNING", "CRITICAL"
WARNING_ABOVE = 10
CRITICAL_ABOVE = 100

NOT_OPEN = "not_open"
NOT_ARCHIVED = "not_archived"
NOT_REPLAYABLE = "not_replayable"

Replay = Callable[[UUID, datetime], bool]
_replays: dict[str, Replay] = {}


@dataclass(kw_only=True)
class Handled:
    """What became of the letters somebody chose: those done, and the others by reason code."""

    done: list[DeadLetter] = field(default_factory=list)
    skipped: dict[UUID, str] = field(default_factory=dict)

    @property
    def reasons(self) -> Counter[str]:
        return Counter(self.skipped.values())


def replays(source: str, replay: Replay) -> None:
    """How work from `source` is put back on its way: called with its id in the transaction, False when it cannot."""
    _replays[source] = replay


def level(depth: int) -> str:
    """OK up to 10 open letters, WARNING up to 100, CRITICAL above."""
    if depth > CRITICAL_ABOVE:
        return CRITICAL
    return WARNING if depth > WARNING_ABOVE else OK


@requires_transaction
def depths() -> dict[str, int]:
    """Open letters of the active tenant, by queue."""
    rows = DeadLetter.objects.open().order_by().values_list("queue").annotate(n=Count("pk"))
    return dict(rows)


def all_depths() -> dict[str, int]:
    """Open letters of all tenants together, by queue: for the gauge kaireon_dlq_depth."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT queue, depth FROM public.dead_letter_depths()")
        return {queue: int(depth) for queue, depth in cursor.fetchall()}


@requires_transaction
def add(
    *,
    source: str,
    source_ref: UUID,
    queue: str,
    topic: str,
    error_type: str,
    permanent: bool,
    attempts: int,
    now: datetime,
    payload: Mapping[str, Any] | None = None,
    subject_ref: UUID | None = None,
) -> DeadLetter:
    """Keep what was given up, in the transaction that gave it up. What dies again after a replay keeps its letter.

    `payload` is sealed, unless one is there under `source_ref` already.
    """
    if payload is not None and not Payload.objects.filter(pk=source_ref).update(finished_at=now):
        payloads.store(ref=source_ref, text=payloads.encoded(payload, topic), subject_ref=subject_ref, now=now)
    known = DeadLetter.objects.select_for_update().filter(source=source, source_ref=source_ref).first()
    letter = known or DeadLetter(source=source, source_ref=source_ref, died_at=now, replay_at=now)
    letter.queue, letter.topic, letter.error_type, letter.attempts = queue, topic[:64], error_type[:64], attempts
    letter.classification = LetterClass.PERMANENT if permanent else LetterClass.TRANSIENT
    letter.state, letter.died_at, letter.resolved_at = LetterState.OPEN, now, None
    letter.archived_at, letter.archive_name = None, ""
    letter.replay_at = now + FIRST_REST * 2**letter.replays
    letter.save()
    return letter


@requires_transaction
def retry(letters: DeadLetterQuerySet, *, now: datetime) -> Handled:
    """Put what the letters stand for back on its way, each recorded. Wake workers after the commit."""
    handled = Handled()
    for letter in letters.select_for_update():
        replay = _replays.get(letter.source)
        if letter.state != LetterState.OPEN:
            handled.skipped[letter.pk] = NOT_OPEN
        elif replay is None or not replay(letter.source_ref, now):
            handled.skipped[letter.pk] = NOT_REPLAYABLE
        else:
            letter.state, letter.resolved_at, letter.replays = LetterState.REPLAYED, now, letter.replays + 1
            letter.save(update_fields=["state", "resolved_at", "replays"])
            handled.done.append(letter)
            _tell("dead_letter.retry", letter)
    return handled


@requires_transaction
def resolve(*, source: str, source_ref: UUID, now: datetime) -> None:
    """Close the letter of work that somebody put back on its way elsewhere."""
    DeadLetter.objects.open().filter(source=source, source_ref=source_ref).update(
        state=LetterState.REPLAYED, resolved_at=now
    )


@requires_transaction
def purge(letters: DeadLetterQuerySet, *, now: datetime) -> Handled:
    """Give up archived letters and delete their payloads, each recorded; what is not archived stays.

    Raises IntegrityError, from the guard of legal hold, while the class `jobs` is held.
    """
    handled = Handled()
    for letter in letters.select_for_update():
        if letter.state != LetterState.OPEN:
            handled.skipped[letter.pk] = NOT_OPEN
        elif letter.archived_at is None:
            handled.skipped[letter.pk] = NOT_ARCHIVED
        else:
            Payload.objects.filter(pk=letter.source_ref).delete()
            letter.state, letter.resolved_at = LetterState.PURGED, now
            letter.save(update_fields=["state", "resolved_at"])
            handled.done.append(letter)
            _tell("dead_letter.purge", letter)
    return handled


@requires_transaction
def archived(letters: Collection[DeadLetter], *, name: str, now: datetime) -> None:
    """Mark letters whose archive was read back and found complete."""
    DeadLetter.objects.filter(pk__in=[letter.pk for letter in letters]).update(archived_at=now, archive_name=name)
    for letter in letters:
        _tell("dead_letter.archive", letter)


@requires_transaction
def replay_due(*, now: datetime, most: int = 500) -> Handled:
    """Retry transient letters that rested long enough, none more than three times."""
    due = DeadLetter.objects.replayable(now, MOST_REPLAYS).order_by("replay_at").values("pk")[:most]
    ids = [row["pk"] for row in due]
    handled = retry(DeadLetter.objects.filter(pk__in=ids).order_by("died_at", "pk"), now=now)
    # What cannot be tried again is nothing that waiting mends.
    DeadLetter.objects.filter(pk__in=[pk for pk, why in handled.skipped.items() if why == NOT_REPLAYABLE]).update(
        classification=LetterClass.PERMANENT
    )
    return handled


def _tell(verb: str, letter: DeadLetter) -> None:
    signals.dead_letter_handled.send(
        sender=DeadLetter, verb=verb, letter_id=letter.pk, queue=letter.queue, topic=letter.topic
    )
