"""The board: requests by what they wait for, the most urgent first. Nobody is named on it: it stands open on screens.

It takes the same few queries however many requests there are: each column reads its first cards alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Count, F, Q

from dsar import deadlines
from dsar.models import DsarRequest, RequestType, State, Status
from dsar.models.request import STATUS_OF, DsarRequestQuerySet
from dsar.requests.countdown import standing_of
from dsar.urgency import Standing, Urgency, soon_days
from kaireon.tenancy.context import requires_transaction

CARDS = 12
# The last column shows what was answered lately; the list has the others.
ANSWERED_FOR = timedelta(days=30)
_OPEN = (Status.QUEUED, Status.PROCESSING, Status.FAILED)
MINE, NOBODY = "me", "nobody"
FILTERS = ("kind", "regulation", "assigned", "urgency")
# What a card shows. What is sealed is not read.
SHOWN = (
    *("request_type", "regulation", "status", "state", "outcome", "error", "duplicate_of", "retained"),
    *("received_at", "deadline_on", "answered_at", "closed_at", "assigned_to", "assigned_name"),
)


class BadFilter(ValueError):
    """A filter that is none. `str()` says which."""


@dataclass(frozen=True, kw_only=True)
class Column:
    name: str
    title: str
    states: tuple[State, ...]
    # What stands there when it is empty.
    empty: str

    @property
    def statuses(self) -> set[Status]:
        """Of its states: these have an index, in the order of deadlines."""
        return {STATUS_OF[state] for state in self.states}


COLUMNS: tuple[Column, ...] = (
    Column(name="identity", title="Identity", states=(State.IDENTITY,), empty="Nobody has to prove who they are."),
    Column(
        name="waiting",
        title="Approval or window",
        states=(State.APPROVAL, State.WINDOW),
        empty="No erasure waits.",
    ),
    Column(
        name="work",
        title="In work",
        states=(State.QUEUED, State.RUNNING, State.FINISHING),
        empty="Nothing is being worked on.",
    ),
    Column(name="review", title="In review", states=(State.REVIEW,), empty="Nothing waits for an officer."),
    Column(name="deferred", title="Deferred", states=(State.DEFERRED,), empty="Nothing is kept by a hold."),
    Column(name="failed", title="Failed", states=(State.FAILED,), empty="Nothing failed."),
    Column(name="answered", title="Answered, last 30 days", states=(State.COMPLETED,), empty="None yet."),
)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the board is narrowed to."""

    kind: str = ""
    regulation: str = ""
    # MINE, NOBODY, or a member's id.
    assigned: str = ""
    urgency: str = ""

    @property
    def is_empty(self) -> bool:
        return self == Wanted()


@dataclass(frozen=True, kw_only=True)
class Card:
    request: DsarRequest
    standing: Standing


@dataclass(frozen=True, kw_only=True)
class Lane:
    """A column with its first cards and how many there are of them."""

    column: Column
    cards: list[Card] = field(default_factory=list)
    count: int = 0

    @property
    def more(self) -> int:
        return self.count - len(self.cards)


def wanted(given: Mapping[str, str]) -> Wanted:
    """Raises BadFilter."""
    asked = Wanted(**{name: given.get(name, "").replace("\x00", "").strip() for name in FILTERS})
    if asked.kind and asked.kind not in RequestType.values:
        raise BadFilter("There is no such kind of request.")
    if asked.regulation and asked.regulation not in deadlines.LAWS:
        raise BadFilter("There is no such law.")
    if asked.urgency and asked.urgency not in list(Urgency):
        raise BadFilter("There is no such urgency.")
    if asked.assigned not in ("", MINE, NOBODY):
        try:
            UUID(asked.assigned)
        except ValueError as e:
            raise BadFilter("There is no such member.") from e
    return asked


@requires_transaction
def rows_of(asked: Wanted, *, me: str, today: date) -> DsarRequestQuerySet:
    """The requests that are asked for, open or not."""
    rows: DsarRequestQuerySet = DsarRequest.objects.all()
    if asked.kind:
        rows = rows.filter(request_type=asked.kind)
    if asked.regulation:
        rows = rows.filter(regulation=asked.regulation)
    if asked.assigned:
        rows = rows.filter(assigned_to={MINE: me, NOBODY: ""}.get(asked.assigned, asked.assigned))
    if asked.urgency:
        rows = rows.filter(urgent(Urgency(asked.urgency), today=today))
    return rows


@requires_transaction
def lanes(asked: Wanted, *, me: str, now: datetime, zone: ZoneInfo) -> list[Lane]:
    """Every column, each with its first cards."""
    today = deadlines.local_date(now, zone)
    rows = rows_of(asked, me=me, today=today)
    lately = rows.filter(state=State.COMPLETED, closed_at__gte=now - ANSWERED_FOR)
    opened = rows.filter(status__in=_OPEN).order_by().values("state")
    counted = dict(opened.annotate(count=Count("pk")).values_list("state", "count"))
    counted[State.COMPLETED] = lately.count()
    found = []
    for column in COLUMNS:
        if State.COMPLETED in column.states:
            cards: Any = lately.order_by("-closed_at", "-id")
        else:
            cards = rows.filter(status__in=column.statuses, state__in=column.states)
            cards = cards.order_by(F("deadline_on").asc(nulls_last=True), "received_at", "id")
        shown = [
            Card(request=row, standing=standing_of(row, today=today, zone=zone))
            for row in cards.only("tenant_id", *SHOWN)[:CARDS]
        ]
        found.append(Lane(column=column, cards=shown, count=sum(counted.get(state, 0) for state in column.states)))
    return found


def urgent(urgency: Urgency, *, today: date) -> Q:
    """The requests that are so urgent on this day."""
    answered = Q(answered_at__isnull=False) | Q(closed_at__isnull=False)
    if urgency == Urgency.ANSWERED:
        return answered
    if urgency == Urgency.PAUSED:
        return ~answered & Q(deadline_on=None)
    if urgency == Urgency.OVERDUE:
        return ~answered & Q(deadline_on__lt=today)
    soon = reduce(or_, (_within(days, pairs, today) for days, pairs in _by_days().items()))
    running = ~answered & Q(deadline_on__gte=today)
    return running & (soon if urgency == Urgency.SOON else ~soon)


def _within(days: int, pairs: list[tuple[str, str]], today: date) -> Q:
    kinds = reduce(or_, (Q(regulation=law, request_type=kind) for law, kind in pairs))
    return kinds & Q(deadline_on__lte=today + timedelta(days=days))


def _by_days() -> dict[int, list[tuple[str, str]]]:
    """Law and kind by the days in which such a request is soon due."""
    found: dict[int, list[tuple[str, str]]] = {}
    for law in deadlines.LAWS:
        for kind in RequestType.values:
            found.setdefault(soon_days(law, kind), []).append((law, kind))
    return found
