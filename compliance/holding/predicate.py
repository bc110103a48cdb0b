"""Which rows are held, as a condition for the statements we issue. The database's guards ask the same: scopes.sql.

Take the epoch (`holds.lock_epoch`) before you act on the answer, in the same transaction.
"""

from collections.abc import Collection
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.db.models import DateTimeField, F, OuterRef, Q, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce

from compliance.holding.queries import condition
from compliance.holding.scopes import SCOPES, Scope
from compliance.models import Hold, HoldState, HoldSubject, Kind
from customers.catalogue import CATALOGUE, DERIVED, Entity
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.kept import Kept
from kaireon.tenancy.managers import TenantQuerySet

# Retention stops for these. An erasure stops for matters alone: an open request of the subject is why it is there.
FOR_RETENTION: tuple[str, ...] = (Kind.MATTER, Kind.REQUEST)
FOR_ERASURE: tuple[str, ...] = (Kind.MATTER,)

# What can be held row by row.
ENTITIES: tuple[Entity, ...] = (*CATALOGUE, *DERIVED)

# Asked in every erasure.
_KINDS = Kept(lambda kind: Hold.objects.effective().filter(kind=kind).values_list("pk")[:1], kind=str)
_SCOPES_OF = Kept(
    lambda data_class: (
        Hold.objects.effective()
        .for_matters()
        .filter(Q(data_class="") | Q(data_class=data_class), entity="")
        .order_by()
        .values_list("of_subjects")
        .distinct()
    ),
    data_class=str,
)


@requires_transaction
def held(
    entity: Entity, data_class: str, *, kinds: Collection[str] = FOR_RETENTION, ended_by: datetime | None = None
) -> Q:
    """True of the rows of an entity and class that a hold with a scope covers.

    A class that is held as a whole is not asked for: see `holds.held_classes`. Releases that will have ended by
    `ended_by` hold nothing: for those who foretell what a purge of that moment does, which ends them first.
    """
    return held_in(entity.table, data_class, kinds=kinds, ended_by=ended_by)


@requires_transaction
def held_in(
    table: str, data_class: str, *, kinds: Collection[str] = FOR_RETENTION, ended_by: datetime | None = None
) -> Q:
    """The same by the table's name, also for tables that are not in the catalogue."""
    return reduce(or_, _ways(SCOPES[table], data_class, kinds, ended_by), Q(pk__in=[]))


@requires_transaction
def free(
    rows: TenantQuerySet[Any],
    data_class: str,
    *,
    kinds: Collection[str] = FOR_RETENTION,
    ended_by: datetime | None = None,
) -> TenantQuerySet[Any]:
    """These rows of one class without those that are held."""
    for way in _ways(SCOPES[rows.model._meta.db_table], data_class, kinds, ended_by):
        rows = rows.filter(~way)
    return rows


@requires_transaction
def is_any(*, kinds: Collection[str]) -> bool:
    """Whether there is a hold of these kinds at all: where there is none, no row need be asked about."""
    return any(_KINDS.is_any(kind=str(kind)) for kind in kinds)


@requires_transaction
def would_hold(entity: Entity, data_class: str, hold: Hold, subjects: Collection[UUID]) -> Q | None:
    """The condition of a hold that is not placed yet: True of the rows it would find. None: it finds them all."""
    if hold.entity not in ("", entity.name) or hold.data_class not in ("", data_class):
        return Q(pk__in=[])
    # One array, however many: written out one by one they cost Python more than all of it costs PostgreSQL.
    named = RawSQL("SELECT unnest(%s::uuid[])", [list(subjects)])
    found = _found_by(SCOPES[entity.table], hold, named)
    return found or None


@requires_transaction
def covering(
    rows: TenantQuerySet[Any], data_class: str, *, kinds: Collection[str] = FOR_RETENTION
) -> TenantQuerySet[Hold]:
    """The holds that keep one row, oldest first, found by the conditions that keep it. `rows` has that row alone."""
    scope = SCOPES[rows.model._meta.db_table]
    dated = Value(rows.values_list(scope.clock, flat=True).get(), output_field=DateTimeField())
    found = Q(_reach(scope, data_class, kinds, clock=dated), of_subjects=False, query__isnull=True)
    if scope.subject:
        subjects = HoldSubject.objects.filter(
            _reach(scope, data_class, kinds, of="hold__", clock=dated),
            subject_id__in=rows.values(scope.subject),
            hold__of_subjects=True,
            hold__query__isnull=True,
        )
        found |= Q(pk__in=subjects.values("hold"))
    asking = Hold.objects.filter(_touching(scope, data_class, kinds), query__isnull=False)
    found |= Q(pk__in=[hold.pk for hold in asking if rows.filter(_by_query(scope, hold)).exists()])
    return Hold.objects.filter(found).order_by("placed_at", "id")


@requires_transaction
def touching(entity: Entity, data_class: str) -> TenantQuerySet[Hold]:
    """The holds that stop retention for rows of an entity and class, whichever rows those are, oldest first."""
    found = Hold.objects.filter(_touching(SCOPES[entity.table], data_class, FOR_RETENTION))
    return found.order_by("placed_at", "id")


@requires_transaction
def touching_log(data_class: str) -> TenantQuerySet[Hold]:
    """Those that `touched` found, oldest first."""
    holds = Hold.objects.effective().for_matters().filter(entity="", data_class__in=["", data_class])
    return holds.order_by("placed_at", "id")


@requires_transaction
def subject_held(data_class: str, subject_id: str) -> bool:
    """Whether a matter's hold covers what a class keeps of a person beside rows, such as their key in the log."""
    scopes = {of_subjects for (of_subjects,) in _SCOPES_OF.values(data_class=data_class)}
    if not scopes or False in scopes:
        return bool(scopes)
    holds = Hold.objects.effective().for_matters().filter(entity="", data_class__in=["", data_class])
    return HoldSubject.objects.filter(subject_id=subject_id, hold__in=holds).exists()


@requires_transaction
def names_subject(entity: Entity, subject_id: UUID) -> bool:
    """Whether a matter's hold names this person for rows of the entity, whatever else it asks of them."""
    holds = Hold.objects.filter(_touching(SCOPES[entity.table], entity.data_class, FOR_ERASURE), of_subjects=True)
    return HoldSubject.objects.filter(subject_id=subject_id, hold__in=holds).exists()


@requires_transaction
def touched(data_class: str) -> bool:
    """Whether a matter's hold covers a class as a whole or in part; for the log, which goes by prefix."""
    return touching_log(data_class).exists()


def _ways(scope: Scope, data_class: str, kinds: Collection[str], ended_by: datetime | None) -> list[Q]:
    """The ways in which a row may be held; one is enough."""
    touching = Hold.objects.filter(_touching(scope, data_class, kinds, ended_by=ended_by))
    times = touching.filter(query__isnull=True).values_list("of_subjects", "from_at", "until_at").order_by().distinct()
    ways = []
    # Read now, under the epoch, and not in the statement: of a join on a range of times PostgreSQL expects that it
    # leaves a single row, and then compares every row with every held subject.
    for of_subjects, from_at, until_at in times:
        within = _within(scope, from_at, until_at)
        if not of_subjects:
            ways.append(within)
        elif scope.subject:
            # Looked up in a hash of them, however many, whatever the statistics say: it depends on no outer row.
            subjects = HoldSubject.objects.filter(
                _touching(scope, data_class, kinds, of="hold__", ended_by=ended_by),
                hold__of_subjects=True,
                hold__query__isnull=True,
                hold__from_at=from_at,
                hold__until_at=until_at,
            )
            ways.append(within & Q(**{f"{scope.subject}__in": subjects.values("subject_id")}))
    # Few, and each asks for other columns.
    return [*ways, *(_by_query(scope, hold) for hold in touching.filter(query__isnull=False))]


def _within(scope: Scope, from_at: datetime | None, until_at: datetime | None) -> Q:
    """True of the rows of that time. A row that has no time yet may be of any."""
    undated = Q(**{f"{scope.clock}__isnull": True})
    within = Q(pk__isnull=False)
    if from_at is not None:
        within &= undated | Q(**{f"{scope.clock}__gte": from_at})
    if until_at is not None and not scope.moves:
        within &= undated | Q(**{f"{scope.clock}__lte": until_at})
    return within


def _touching(
    scope: Scope, data_class: str, kinds: Collection[str], of: str = "", ended_by: datetime | None = None
) -> Q:
    """The effective holds on this class and entity."""
    there = {f"{of}kind__in": kinds, f"{of}entity__in": ["", scope.entity], f"{of}data_class__in": ["", data_class]}
    effective = Q(**there) & ~Q(**{f"{of}state": HoldState.RELEASED})
    if ended_by is None:
        return effective
    return effective & ~Q(**{f"{of}state": HoldState.RELEASING, f"{of}releases_at__lte": ended_by})


def _reach(scope: Scope, data_class: str, kinds: Collection[str], of: str = "", clock: Value | None = None) -> Q:
    """Those of them whose time is the outer row's, or `clock`. A row that has no time yet may be of any."""

    def clock_or(limit: str) -> Coalesce:
        return Coalesce(clock or OuterRef(scope.clock), F(limit))

    begins, ends = f"{of}from_at", f"{of}until_at"
    within = Q(**{begins: None}) | Q(**{f"{begins}__lte": clock_or(begins)})
    if not scope.moves:
        within &= Q(**{ends: None}) | Q(**{f"{ends}__gte": clock_or(ends)})
    return _touching(scope, data_class, kinds, of) & within


def _by_query(scope: Scope, hold: Hold) -> Q:
    return _found_by(scope, hold, HoldSubject.objects.filter(hold=hold).values("subject_id"))


def _found_by(scope: Scope, hold: Hold, subjects: Any) -> Q:
    found = condition(scope, hold.query or [])
    if hold.from_at is not None or hold.until_at is not None:
        found &= _within(scope, hold.from_at, hold.until_at)
    if hold.of_subjects:
        found &= Q(**{f"{scope.subject}__in": subjects}) if scope.subject else Q(pk__in=[])
    return found
