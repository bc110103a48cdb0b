"""Matters and the holds that are placed for them: opening, placing, releasing by two people, taking a release back."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Q
from django.db.models.expressions import RawSQL

import audit
from compliance.holding import notices, predicate, queries, signals
from compliance.holding.scopes import by_entity
from compliance.models import Hold, HoldState, HoldSubject, Kind, Matter, Notice
from compliance.retention import policies
from customers.models import Customer
from kaireon.approvals import registry
from kaireon.approvals import services as approvals
from kaireon.approvals.models import ApprovalRequest
from kaireon.approvals.registry import NotApplicable, Stage
from kaireon.lib import clock
from kaireon.tenancy import context
from kaireon.tenancy.context import Actor, requires_transaction
from kaireon.tenancy.kept import Kept
from kaireon.tenancy.managers import TenantQuerySet
from kaireon.tenancy.roles import Permission

VERB = "legal_hold.release"
ENTITY = "LegalHold"
MOST_SUBJECTS = 10_000
_PLACES_SHOWN = 10
# Asked before each erasure.
_RELEASING = Kept(lambda: Hold.objects.filter(state=HoldState.RELEASING).values_list("pk")[:1])
# Characters; as the columns of matters have them, and for a release its reason.
LONGEST = {"name": 200, "reason": 500, "reference": 100, "counsel": 200}


class ScopeRefused(ValueError):
    """What should be held cannot be. `field` says which part of it, `str()` what is wrong, without values."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


class ScopeSurprising(ScopeRefused):
    """The scope finds nothing, or everything there is. Say `confirm` when that is meant."""


class SubjectsUnknown(ScopeRefused):
    """Some are no customers: nothing would be held of them. `places` says which of the numbers given, from 1."""

    def __init__(self, places: Sequence[int]) -> None:
        shown = ", ".join(map(str, places[:_PLACES_SHOWN]))
        more = f" and {len(places) - _PLACES_SHOWN} more" if len(places) > _PLACES_SHOWN else ""
        super().__init__(
            "subjects", f"{len(places)} of them are no customers of yours: number {shown}{more} in the list."
        )
        self.places = tuple(places)


class AlreadyDone(RuntimeError):
    """The same form was sent before, and what it asks for is there."""


class MatterClosed(RuntimeError):
    """Nothing new is held for a matter that is closed."""


class MatterHolds(RuntimeError):
    """A matter is closed when its last hold is released."""


class HoldNotActive(RuntimeError):
    """This hold is being released, or was: somebody was faster."""


class HoldNotReleasing(RuntimeError):
    """This hold is not in its cooling-off, so there is nothing to take back."""


class ReleaseAskedAlready(RuntimeError):
    """A request to release this hold waits for an answer."""


@dataclass(frozen=True, kw_only=True)
class What:
    """The scope of a hold as it is asked for. `subjects` are our own ids of customers; None is everybody."""

    data_class: str = ""
    entity: str = ""
    subjects: Collection[UUID] | None = None
    from_at: datetime | None = None
    until_at: datetime | None = None
    query: Any = None


@requires_transaction
def open_matter(
    *,
    name: str,
    reason: str,
    reference: str = "",
    counsel: str = "",
    review_on: date | None = None,
    matter_id: UUID | None = None,
    actor: Actor,
    now: datetime,
) -> Matter:
    """Raises ScopeRefused for an empty name or reason. Neither may name a customer: they stand in the log in clear.

    Who says under which id asks once: the second time it is AlreadyDone.
    """
    for field, text in (("name", name), ("reason", reason)):
        if not text.strip():
            raise ScopeRefused(field, "must say something.")
    for field, text in (("name", name), ("reason", reason), ("reference", reference), ("counsel", counsel)):
        _check_length(field, text, LONGEST[field])
    if review_on is not None and review_on < now.date():
        raise ScopeRefused("reviewOn", "must not be over.")
    if matter_id is not None:
        _once(f"matter:{matter_id}")
        if Matter.objects.filter(pk=matter_id).exists():
            raise AlreadyDone(str(matter_id))
    matter = Matter(
        **({"id": matter_id} if matter_id else {}),
        name=name.strip(),
        reason=reason.strip(),
        reference=reference.strip(),
        counsel=counsel.strip(),
        review_on=review_on,
        opened_by=actor.id,
        opened_at=now,
    )
    audit.action("matter.open", entity=matter)
    matter.save(force_insert=True)
    return matter


@requires_transaction
def close_matter(*, matter: Matter, now: datetime) -> None:
    """Raises MatterHolds while something is held for it, MatterClosed when it is closed."""
    # Whoever places a hold for it takes the same lock: what they place is seen here, or they see it closed.
    Matter.objects.select_for_update().get(pk=matter.pk)
    if matter.holds.exclude(state=HoldState.RELEASED).exists():
        raise MatterHolds(str(matter.pk))
    audit.action("matter.close", entity=matter)
    if not Matter.objects.open().filter(pk=matter.pk).update(closed_at=now):
        raise MatterClosed(str(matter.pk))


@requires_transaction
def set_review(*, matter: Matter, review_on: date | None, now: datetime) -> None:
    """Say when somebody is asked next whether it is still needed. Raises ScopeRefused, MatterClosed."""
    if review_on is not None and review_on < now.date():
        raise ScopeRefused("reviewOn", "must not be over.")
    audit.action("matter.review", entity=matter)
    if not Matter.objects.open().filter(pk=matter.pk).update(review_on=review_on, reviewed_at=None):
        raise MatterClosed(str(matter.pk))


@requires_transaction
def place(
    *,
    matter: Matter,
    what: What,
    custodians: Collection[str] = (),
    confirm: bool = False,
    hold_id: UUID | None = None,
    actor: Actor,
    now: datetime,
) -> Hold:
    """Hold what the scope says, from the end of this transaction on; its custodians get a notice to acknowledge.

    Waits for a deletion that is under way, and no later one passes. Raises ScopeRefused, ScopeSurprising, MatterClosed.
    Who says under which id asks once: the second time it is AlreadyDone.
    """
    if hold_id is not None:
        _once(f"hold:{hold_id}")
        if Hold.objects.filter(pk=hold_id).exists():
            raise AlreadyDone(str(hold_id))
    if not Matter.objects.open().select_for_update().filter(pk=matter.pk).exists():
        raise MatterClosed(str(matter.pk))
    what = checked(what)
    if not confirm and (found := surprise(what)):
        field = "query" if what.query is not None else "scope"
        raise ScopeSurprising(field, f"finds {found}; send confirm when that is what you mean.")
    hold = _hold(what)
    hold.pk = hold_id or hold.pk
    hold.matter, hold.placed_by, hold.placed_at = matter, actor.id, now
    audit.action("legal_hold.place", entity=hold, entity_type=ENTITY)
    hold.save(force_insert=True)
    HoldSubject.objects.bulk_create(HoldSubject(hold=hold, subject_id=subject) for subject in what.subjects or ())
    try:
        notices.send(hold=hold, member_ids=custodians, now=now)
    except notices.CustodiansUnknown as e:
        raise ScopeRefused("custodians", str(e)) from e
    return hold


def checked(what: What) -> What:
    """The same, its query in the spelling that is kept. Raises ScopeRefused."""
    if what.data_class:
        try:
            policies.check_class(what.data_class)
        except policies.UnknownDataClass as e:
            raise ScopeRefused("dataClass", str(e)) from e
    scope = by_entity(what.entity)
    if what.entity and scope is None:
        raise ScopeRefused("entity", f"unknown entity; known are {', '.join(e.name for e in predicate.ENTITIES)}.")
    if what.from_at and what.until_at and what.until_at < what.from_at:
        raise ScopeRefused("until", "must not lie before from.")
    if what.subjects is not None and not 1 <= len(set(what.subjects)) <= MOST_SUBJECTS:
        raise ScopeRefused("subjects", f"must name 1 to {MOST_SUBJECTS:,} customers; leave it out for everybody.")
    subjects = None if what.subjects is None else sorted(set(what.subjects))
    if what.query is None:
        return replace(what, subjects=subjects)
    if scope is None:
        raise ScopeRefused("query", "asks for columns of an entity: name it.")
    try:
        return replace(what, subjects=subjects, query=queries.normal(scope, what.query))
    except queries.QueryRefused as e:
        raise ScopeRefused("query", str(e)) from e


@requires_transaction
def reach(what: What) -> dict[str, int]:
    """How many rows of each entity the scope finds now. Raises ScopeRefused."""
    counts = Counter[str]()
    for name, found, _ in _reached(checked(what)):
        counts[name] += found.count()
    return dict(+counts)


@requires_transaction
def surprise(what: What) -> str:
    """What `confirm` is asked for: the scope finds nothing at all, or everything there is; else empty.

    A query that leaves out no row of its entity asks for nothing, so that is a surprise too. Raises ScopeRefused.
    """
    found = missed = False
    for name, inside, outside in _reached(checked(what)):
        if what.query is not None and name != what.entity:
            continue
        found = found or inside.exists()
        missed = missed or outside.exists()
        if found and missed:
            return ""
    if not found:
        return "nothing at all"
    return "everything there is" if what.query is None else "every row of its entity"


def _reached(what: What) -> Iterator[tuple[str, TenantQuerySet[Any], TenantQuerySet[Any]]]:
    """Entity by entity: its name, the rows that the scope finds, and those it does not."""
    draft = _hold(what)
    for entity in predicate.ENTITIES:
        for data_class in entity.data_classes():
            rows = entity.in_class(data_class)
            found = predicate.would_hold(entity, data_class, draft, what.subjects or ())
            yield (
                (entity.name, rows, rows.none())
                if found is None
                else (
                    entity.name,
                    rows.filter(found),
                    rows.exclude(found),
                )
            )


def _hold(what: What) -> Hold:
    """Not saved, and of no matter yet."""
    return Hold(
        kind=Kind.MATTER,
        data_class=what.data_class,
        entity=what.entity,
        of_subjects=what.subjects is not None,
        from_at=what.from_at,
        until_at=what.until_at,
        query=what.query,
    )


@requires_transaction
def ask_release(*, hold: Hold, reason: str, actor: Actor, now: datetime) -> ApprovalRequest:
    """Ask for a second person's yes to release; nothing else happens until it is given.

    Raises ScopeRefused for no reason, HoldNotActive, ReleaseAskedAlready, and approvals.RequesterMayNot.
    """
    if not reason.strip():
        raise ScopeRefused("reason", "must say something.")
    _check_length("reason", reason, LONGEST["reason"])
    if not Hold.objects.for_matters().filter(pk=hold.pk, state=HoldState.ACTIVE).exists():
        raise HoldNotActive(str(hold.pk))
    payload = {"hold": str(hold.pk)}
    if approvals.asked_already(verb=VERB, payload=payload, now=now):
        raise ReleaseAskedAlready(str(hold.pk))
    return approvals.ask(verb=VERB, payload={**payload, "reason": reason.strip(), "by": actor.id}, actor=actor, now=now)


def _describe(payload: Mapping[str, Any]) -> str:
    return f"Release the legal hold {payload['hold']}"


@registry.approved(
    VERB,
    title="Release a legal hold",
    permission=Permission.MANAGE_RETENTION,
    describe=_describe,
    stages=(Stage(permission=Permission.MANAGE_RETENTION),),
    always=True,
    then="The last approval begins the cooling-off; until its end the hold holds and can be taken back.",
)
def _begin_release(payload: Mapping[str, Any]) -> None:
    now = clock.now()
    hold = Hold.objects.filter(pk=payload["hold"]).first()
    if hold is None:
        raise NotApplicable("hold_not_active")
    audit.action("legal_hold.release_agreed", entity=hold, entity_type=ENTITY)
    # The condition is in the UPDATE, so the database decides who was first.
    begun = (
        Hold.objects.for_matters()
        .filter(pk=hold.pk, state=HoldState.ACTIVE)
        .update(
            state=HoldState.RELEASING,
            release_asked_by=payload["by"],
            release_reason=payload["reason"],
            release_agreed_by=context.current().actor.id,
            releases_at=now + timedelta(hours=settings.HOLD_COOLING_OFF_HOURS),
        )
    )
    if not begun:
        raise NotApplicable("hold_not_active")
    signals.released.send(sender=Hold, at=now + timedelta(hours=settings.HOLD_COOLING_OFF_HOURS))


@requires_transaction
def take_back(*, hold: Hold) -> None:
    """Let a hold that is being released go on as before; a release is to be asked for anew. Raises HoldNotReleasing."""
    audit.action("legal_hold.release_taken_back", entity=hold, entity_type=ENTITY)
    back = Hold.objects.filter(pk=hold.pk, state=HoldState.RELEASING).update(
        state=HoldState.ACTIVE, release_asked_by="", release_reason="", release_agreed_by="", releases_at=None
    )
    if not back:
        raise HoldNotReleasing(str(hold.pk))


@requires_transaction
def finish_releases(*, now: datetime) -> int:
    """End the holds whose cooling-off is over; returns how many. Several may call it at once: each ends once."""
    if not _RELEASING.is_any():
        return 0
    ended = 0
    for hold in Hold.objects.filter(state=HoldState.RELEASING, releases_at__lte=now).order_by("pk"):
        audit.action(VERB, entity=hold, entity_type=ENTITY)
        still = Hold.objects.filter(Q(state=HoldState.RELEASING, releases_at__lte=now), pk=hold.pk)
        ended += still.update(state=HoldState.RELEASED, released_at=now)
    if ended:
        signals.released.send(sender=Hold)
    return ended


@requires_transaction
def acknowledge(*, hold: Hold, actor: Actor, now: datetime) -> bool:
    """A custodian's word that they will keep it; False when they gave it before. Raises Notice.DoesNotExist."""
    notice = Notice.objects.get(hold=hold, member_id=actor.id)
    audit.action("legal_hold.acknowledge", entity=notice, entity_type="HoldNotice")
    return bool(Notice.objects.filter(pk=notice.pk, acknowledged_at=None).update(acknowledged_at=now))


def subjects_named(numbers: Sequence[str]) -> set[UUID]:
    """Our own ids of these customer numbers. Raises SubjectsUnknown."""
    found = dict(Customer.objects.filter(customer_id__in=_array(numbers)).values_list("customer_id", "pk"))
    if unknown := [place for place, number in enumerate(numbers, start=1) if number not in found]:
        raise SubjectsUnknown(unknown)
    return set(found.values())


def _array(numbers: Sequence[str]) -> RawSQL:
    return RawSQL("SELECT unnest(%s::text[])", [list(numbers)])


def _check_length(field: str, text: str, most: int) -> None:
    if len(text.strip()) > most:
        raise ScopeRefused(field, f"must have at most {most} characters.")


def _once(name: str) -> None:
    """Of two that come at once the second waits here, until the end of the first one's transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{context.tenant_id()}:{name}"])
