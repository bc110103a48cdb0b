"""What the hold desk shows: matters, the holds under them, and classes that are held as a whole."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from uuid import UUID

from django.db.models import Count, Q

from compliance.holding import counts, words
from compliance.models import Hold, HoldState, Kind, Matter, RetentionPolicy
from compliance.models.hold import HoldQuerySet
from compliance.models.matter import MatterQuerySet
from customers.catalogue import DATA_CLASSES
from customers.models import Customer
from kaireon.tenancy.context import requires_transaction

# Of each matter's holds the desk shows so many; its own page shows the rest.
HOLDS_SHOWN = 5


class BadFilter(ValueError):
    """A filter that is none. `str()` says which."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the desk is narrowed to. `customer` is our own id of one: what holds something of theirs."""

    matter: UUID | None = None
    state: str = ""
    data_class: str = ""
    customer: UUID | None = None

    @property
    def about_holds(self) -> bool:
        return bool(self.state or self.data_class or self.customer)

    @property
    def is_empty(self) -> bool:
        return not (self.matter or self.about_holds)


@dataclass(frozen=True, kw_only=True)
class Line:
    """A hold in words."""

    hold: Hold
    covers: str
    told: counts.Told


@dataclass(frozen=True, kw_only=True)
class Section:
    """A matter, the first of its holds, how many there are of those, and how many hold at all."""

    matter: Matter
    lines: list[Line] = field(default_factory=list)
    count: int = 0
    effective: int = 0
    review: str = ""


@requires_transaction
def wanted(*, matter: str, state: str, data_class: str, number: str) -> Wanted:
    """Raises BadFilter. Another tenant's matter is none."""
    if state and state not in HoldState.values:
        raise BadFilter("There is no such state.")
    if data_class and data_class not in DATA_CLASSES:
        raise BadFilter("There is no such data class.")
    about = None
    if matter:
        try:
            about = Matter.objects.filter(pk=UUID(matter)).values_list("pk", flat=True).first()
        except ValueError:
            about = None
        if about is None:
            raise BadFilter("There is no such matter.")
    customer = None
    if number:
        customer = Customer.objects.filter(customer_id=number).values_list("pk", flat=True).first()
        if customer is None:
            raise BadFilter("No customer has this number.")
    return Wanted(matter=about, state=state, data_class=data_class, customer=customer)


@requires_transaction
def matters_of(asked: Wanted) -> MatterQuerySet:
    """The matters, newest first; where holds are asked for, those that have such."""
    rows = Matter.objects.newest_first()
    if asked.matter:
        return rows.filter(pk=asked.matter)
    return rows.filter(pk__in=holds_of(asked).order_by().values("matter")) if asked.about_holds else rows


@requires_transaction
def holds_of(asked: Wanted) -> HoldQuerySet:
    """The holds of matters that are asked for, newest first."""
    rows: HoldQuerySet = Hold.objects.for_matters().newest_first()
    if asked.matter:
        rows = rows.filter(matter=asked.matter)
    if asked.state:
        rows = rows.filter(state=asked.state)
    if asked.data_class:
        rows = rows.touching(asked.data_class)
    if asked.customer:
        rows = rows.reaching(asked.customer)
    return rows


@requires_transaction
def sections(matters: Sequence[Matter], asked: Wanted, *, today: date) -> list[Section]:
    """These matters with the first of the holds that are asked for."""
    ids = [matter.pk for matter in matters]
    there = holds_of(asked).filter(matter__in=ids).order_by().values("matter")
    counted = dict(there.annotate(count=Count("pk")).values_list("matter", "count"))
    effective = effective_of(ids)
    shown = {pk: list(holds_of(asked).filter(matter=pk)[:HOLDS_SHOWN]) for pk in counted}
    by_hold = {line.hold.pk: line for line in lines([hold for some in shown.values() for hold in some])}
    return [
        Section(
            matter=matter,
            lines=[by_hold[hold.pk] for hold in shown.get(matter.pk, [])],
            count=counted.get(matter.pk, 0),
            effective=effective.get(matter.pk, 0),
            review=review_of(matter, today=today),
        )
        for matter in matters
    ]


@requires_transaction
def with_lines(section: Section, holds: Collection[Hold]) -> Section:
    """The same with these of its holds."""
    return replace(section, lines=lines(holds))


@requires_transaction
def lines(holds: Collection[Hold]) -> list[Line]:
    ids = [hold.pk for hold in holds]
    named, told = counts.named(ids), counts.told(ids)
    return [
        Line(hold=hold, covers=words.scope(hold, named.get(hold.pk, 0)), told=told.get(hold.pk, counts.NOBODY))
        for hold in holds
    ]


@requires_transaction
def effective_of(matters: Collection[UUID]) -> dict[UUID, int]:
    """How many holds of each matter hold now; those without any are not in it."""
    rows = Hold.objects.for_matters().effective().filter(matter__in=matters).order_by().values("matter")
    return dict(rows.annotate(count=Count("pk")).values_list("matter", "count"))


@requires_transaction
def classes_held(asked: Wanted) -> list[RetentionPolicy]:
    """The classes that are held as a whole, of everybody; of no matter, and never on their way out."""
    if asked.matter or asked.state not in ("", HoldState.ACTIVE):
        return []
    rows = RetentionPolicy.objects.held().by_class()
    return list(rows.filter(data_class=asked.data_class) if asked.data_class else rows)


@requires_transaction
def pauses(asked: Wanted) -> int:
    """How many open requests of subjects keep retention from theirs meanwhile."""
    if asked.matter or asked.state not in ("", HoldState.ACTIVE):
        return 0
    rows = Hold.objects.effective().filter(kind=Kind.REQUEST)
    return rows.reaching(asked.customer).count() if asked.customer else rows.count()


def review_of(matter: Matter, *, today: date) -> str:
    """`due` on the day on which somebody is to look whether an open matter is still needed, `overdue` after it."""
    if matter.closed_at is not None or matter.review_on is None or matter.review_on > today:
        return ""
    return "due" if matter.review_on == today else "overdue"


def to_review(today: date) -> Q:
    """The open matters whose day of review has come."""
    return Q(closed_at=None, review_on__lte=today)
