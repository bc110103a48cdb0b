"""Which rows are held, as a condition for the statements we issue. The database's guards ask the same: scopes.sql.

Take the epoch (`holds.lock_epoch`) before you act on the answer, in the same transaction.
"""

from collections.abc import Collection

from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Coalesce

from compliance.holding.queries import condition
from compliance.holding.scopes import SCOPES, Scope
from compliance.models import Hold, HoldState, HoldSubject, Kind
from customers.catalogue import CATALOGUE, DERIVED, Entity
from kaireon.tenancy.context import requires_transaction

# Retention stops for these. An erasure stops for matters alone: an open request of the subject is why it is there.
FOR_RETENTION: tuple[str, ...] = (Kind.MATTER, Kind.REQUEST)
FOR_ERASURE: tuple[str, ...] = (Kind.MATTER,)


@requires_transaction
def held(entity: Entity, data_class: str, *, kinds: Collection[str] = FOR_RETENTION) -> Q:
    """True of the rows of an entity and class that a hold with a scope covers.

    A class that is held as a whole is not asked for: see `holds.held_classes`.
    """
    return held_in(entity.table, data_class, kinds=kinds)


@requires_transaction
def held_in(table: str, data_class: str, *, kinds: Collection[str] = FOR_RETENTION) -> Q:
    """The same by the table's name, also for tables that are not in the catalogue."""
    scope = SCOPES[table]
    reach = _reach(scope, data_class, kinds)
    found = Q(Exists(Hold.objects.filter(reach, of_subjects=False, query__isnull=True)))
    if scope.subject:
        subjects = HoldSubject.objects.filter(
            _reach(scope, data_class, kinds, of="hold__"),
            subject_id=OuterRef(scope.subject),
            hold__of_subjects=True,
            hold__query__isnull=True,
        )
        found |= Q(Exists(subjects))
    # Few, and each asks for other columns: read now, under the epoch.
    for hold in Hold.objects.filter(_touching(scope, data_class, kinds), query__isnull=False):
        found |= _by_query(scope, hold)
    return found


@requires_transaction
def subject_held(data_class: str, subject_id: str) -> bool:
    """Whether a matter's hold covers what a class keeps of a person beside rows, such as their key in the log."""
    holds = Hold.objects.effective().for_matters().filter(entity="", data_class__in=["", data_class])
    everybody = holds.filter(of_subjects=False).exists()
    return everybody or HoldSubject.objects.filter(subject_id=subject_id, hold__in=holds).exists()


@requires_transaction
def touched(data_class: str) -> bool:
    """Whether a matter's hold covers a class as a whole or in part; for the log, which goes by prefix."""
    return Hold.objects.effective().for_matters().filter(entity="", data_class__in=["", data_class]).exists()


def entity_named(name: str) -> Entity | None:
    return next((entity for entity in (*CATALOGUE, *DERIVED) if entity.name == name), None)


def _touching(scope: Scope, data_class: str, kinds: Collection[str], of: str = "") -> Q:
    """The effective holds on this class and entity."""
    there = {f"{of}kind__in": kinds, f"{of}entity__in": ["", scope.entity], f"{of}data_class__in": ["", data_class]}
    return Q(**there) & ~Q(**{f"{of}state": HoldState.RELEASED})


def _reach(scope: Scope, data_class: str, kinds: Collection[str], of: str = "") -> Q:
    """Those of them whose time is the outer row's. A row that has no time yet may be of any."""

    def clock_or(limit: str) -> Coalesce:
        return Coalesce(OuterRef(scope.clock), F(limit))

    begins, ends = f"{of}from_at", f"{of}until_at"
    within = Q(**{begins: None}) | Q(**{f"{begins}__lte": clock_or(begins)})
    if not scope.moves:
        within &= Q(**{ends: None}) | Q(**{f"{ends}__gte": clock_or(ends)})
    return _touching(scope, data_class, kinds, of) & within


def _by_query(scope: Scope, hold: Hold) -> Q:
    found = condition(scope, hold.query or [])
    undated = Q(**{f"{scope.clock}__isnull": True})
    if hold.from_at is not None:
        found &= undated | Q(**{f"{scope.clock}__gte": hold.from_at})
    if hold.until_at is not None and not scope.moves:
        found &= undated | Q(**{f"{scope.clock}__lte": hold.until_at})
    if hold.of_subjects:
        if not scope.subject:
            return Q(pk__in=[])
        found &= Q(**{f"{scope.subject}__in": HoldSubject.objects.filter(hold=hold).values("subject_id")})
    return found
