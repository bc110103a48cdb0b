"""What may go and what must stay, by DESIGN's order of precedence alone: hold > open subject request > statutory floor
> longest keep > shortest delete. Nothing of the product is imported here: two minds have to agree.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

# How long somebody may still think better of a shorter period.
COOLING_OFF = timedelta(days=7)


class Reason(StrEnum):
    """Why a row stays. One is enough."""

    CLASS_HOLD = "its whole class is held"
    HOLD_OF_ALL = "a matter holds it, of everybody"
    HOLD_OF_SUBJECT = "a matter holds it, of its subject"
    HOLD_OF_TIME = "a matter holds it, by its time"
    HOLD_OF_QUERY = "a matter holds it, by a saved query"
    REQUEST = "its subject has an open request"
    FLOOR = "a law wants it kept longer"
    COOLING_OFF = "its period was shortened and may still be lengthened"
    YOUNG = "its period is not over"
    NO_POLICY = "nobody said how long"
    NO_CLOCK = "its clock has not started"
    REFERRED_TO = "what stays refers to it"


HOLDS = frozenset(r for r in Reason if r.name.startswith(("HOLD", "CLASS")))


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What the contract says of an entity. `ends`: its clock is the moment it ends by itself, whatever its class's
    policy says; `ends_without_policy`: only when there is none. `moves`: its clock goes on with use, so that the end of
    a hold's range is no limit. `erasure`: delete, evidence, shred or none, as what becomes of a person's rows."""

    data_class: str
    ends: bool = False
    ends_without_policy: bool = False
    moves: bool = False
    erasure: str = "delete"


KINDS: dict[str, Kind] = {
    "interactionHistory": Kind(data_class="interactions"),
    "journeyEnrollment": Kind(data_class="interactions"),
    "interactionSummary": Kind(data_class="metrics"),
    "engagementHealth": Kind(data_class="metrics", moves=True),
    "decisionTrace": Kind(data_class="decisions"),
    "attributionResult": Kind(data_class="decisions"),
    "variantAssignment": Kind(data_class="decisions"),
    "delivery": Kind(data_class="deliveries"),
    "attachment": Kind(data_class="attachments"),
    # Of its schema's class.
    "dynamicSchemaRows": Kind(data_class=""),
    "suppression": Kind(data_class="consents", ends_without_policy=True),
    "suppressionTombstone": Kind(data_class="consents", ends=True, erasure="none"),
    "consentRecord": Kind(data_class="consents", erasure="evidence"),
    "outboxPayload": Kind(data_class="jobs"),
    "archivedDeadLetter": Kind(data_class="jobs"),
    "letterText": Kind(data_class="dsar"),
    "publicFiling": Kind(data_class="dsar", ends=True),
    "dossier": Kind(data_class="dsar", ends=True),
    # Gone means here: nobody can read any more whose it is.
    "dsarRequest": Kind(data_class="dsar", erasure="shred"),
    "identityLink": Kind(data_class="profiles", moves=True),
    "customer": Kind(data_class="profiles", moves=True),
    "flowCheckpoint": Kind(data_class="metrics", erasure="none"),
    "flowRun": Kind(data_class="metrics", erasure="none"),
    "securitySignal": Kind(data_class="security", erasure="none"),
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """`refers` is the id of the row that must not go before this one."""

    id: UUID
    entity: str
    data_class: str
    clock: datetime | None
    subject: UUID | None = None
    refers: UUID | None = None
    anchors: Mapping[str, datetime] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Hold:
    """For a matter, or for an open request. Empty and None say nothing; what is said must all be true of a row."""

    kind: str = "matter"
    data_class: str = ""
    entity: str = ""
    subjects: frozenset[UUID] | None = None
    from_at: datetime | None = None
    until_at: datetime | None = None
    query: tuple[tuple[str, str, Any], ...] = ()
    state: str = "active"
    releases_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Decision:
    """So many days from now on, said at a moment; counted from `anchor` where a row has it, else from its clock."""

    days: int
    at: datetime
    anchor: str = ""


@dataclass(frozen=True, kw_only=True)
class Floor:
    """A law: so many days at least, once it is in force, and until the tenant is not bound by it any more."""

    data_class: str
    days: int
    starts: datetime | None = None
    off_at: datetime | None = None

    def binds(self, now: datetime) -> bool:
        """That it was switched off counts after the cooling-off too."""
        started = self.starts is None or self.starts <= now
        return started and (self.off_at is None or self.off_at + COOLING_OFF > now)


@dataclass(frozen=True, kw_only=True)
class World:
    now: datetime
    rows: tuple[Row, ...]
    policies: Mapping[str, tuple[Decision, ...]] = field(default_factory=dict)
    held_classes: frozenset[str] = frozenset()
    holds: tuple[Hold, ...] = ()
    requests: frozenset[UUID] = frozenset()
    floors: tuple[Floor, ...] = ()


def purge(world: World) -> dict[UUID, frozenset[Reason]]:
    """Every row's reasons to stay when retention is done. Those without any must be gone."""
    own = {row.id: frozenset(_reasons(world, row)) for row in world.rows}
    return _with_references(world.rows, own)


def erasure(world: World, subject: UUID, *, now: datetime) -> dict[UUID, frozenset[Reason]]:
    """The same of an erasure, for the rows of one person: neither periods nor requests count, only what is held."""
    mine = [row for row in world.rows if row.subject == subject]
    own = {row.id: frozenset(_held(replace(world, now=now), row, {"matter"})) for row in mine}
    # What is reduced to evidence lets go of the customer, and is then no reason for them to stay.
    return _with_references(mine, own)


def in_force(decisions: Iterable[Decision], now: datetime) -> Decision | None:
    """The first decision and longer periods count at once, a shorter one, and one that counts from something else,
    after the cooling-off, unless somebody decides something else before: the last word counts, and until it does what
    was in force before it. The same word said again is no other word."""
    counting: Decision | None = None
    waiting: Decision | None = None
    for decision in (d for d in decisions if d.at <= now):
        if waiting and waiting.at + COOLING_OFF <= decision.at:
            counting, waiting = waiting, None
        if counting is None or (decision.days >= counting.days and decision.anchor == counting.anchor):
            counting, waiting = decision, None
        elif waiting is None or (decision.days, decision.anchor) != (waiting.days, waiting.anchor):
            waiting = decision
    return waiting if waiting and waiting.at + COOLING_OFF <= now else counting


def _with_references(rows: Iterable[Row], own: dict[UUID, frozenset[Reason]]) -> dict[UUID, frozenset[Reason]]:
    kept = {row.refers for row in rows if row.refers and own[row.id]}
    return {i: reasons | {Reason.REFERRED_TO} if i in kept else reasons for i, reasons in own.items()}


def _reasons(world: World, row: Row) -> Iterable[Reason]:
    yield from _held(world, row, {"matter", "request"})
    if row.subject in world.requests:
        yield Reason.REQUEST
    yield from _too_early(world, row)


def _held(world: World, row: Row, kinds: set[str]) -> Iterable[Reason]:
    if row.data_class in world.held_classes:
        yield Reason.CLASS_HOLD
    for hold in world.holds:
        if hold.kind in kinds and _lasts(hold, world.now) and covers(hold, row):
            yield _shape(hold)


def covers(hold: Hold, row: Row) -> bool:
    """Whether everything that the hold says is true of the row; what has no time yet may be of any."""
    if hold.data_class not in ("", row.data_class) or hold.entity not in ("", row.entity):
        return False
    if hold.subjects is not None and row.subject not in hold.subjects:
        return False
    if row.clock is not None:
        if hold.from_at is not None and row.clock < hold.from_at:
            return False
        if hold.until_at is not None and row.clock > hold.until_at and not KINDS[row.entity].moves:
            return False
    return all(_is_true(row.facts.get(name), op, value) for name, op, value in hold.query)


def _lasts(hold: Hold, now: datetime) -> bool:
    """A hold that is being released holds until that takes effect."""
    if hold.state == "releasing":
        assert hold.releases_at is not None
        return hold.releases_at > now
    return hold.state == "active"


def _shape(hold: Hold) -> Reason:
    if hold.kind == "request":
        return Reason.REQUEST
    if hold.query:
        return Reason.HOLD_OF_QUERY
    if hold.from_at or hold.until_at:
        return Reason.HOLD_OF_TIME
    return Reason.HOLD_OF_ALL if hold.subjects is None else Reason.HOLD_OF_SUBJECT


def _is_true(fact: Any, op: str, value: Any) -> bool:
    if op == "ne":
        return fact is None or fact != value
    if fact is None:
        return False
    match op:
        case "eq":
            return bool(fact == value)
        case "in":
            return fact in value
        case "contains_key":
            return value in fact
        case "lt":
            return bool(fact < value)
        case "lte":
            return bool(fact <= value)
        case "gt":
            return bool(fact > value)
        case "gte":
            return bool(fact >= value)
    raise AssertionError(op)


def _too_early(world: World, row: Row) -> Iterable[Reason]:
    kind = KINDS[row.entity]
    if row.clock is None:
        yield Reason.NO_CLOCK
        return
    if kind.ends:
        if row.clock >= world.now:
            yield Reason.YOUNG
        return
    decisions = [d for d in world.policies.get(row.data_class, ()) if d.at <= world.now]
    counting = in_force(decisions, world.now)
    if counting is not None and _is_young(row, counting, world.now):
        yield Reason.YOUNG if _is_young(row, decisions[-1], world.now) else Reason.COOLING_OFF
    if counting is None:
        if not kind.ends_without_policy:
            yield Reason.NO_POLICY
        elif row.clock >= world.now:
            yield Reason.YOUNG
    # By law from the later of both: in doubt nothing goes.
    age = world.now - max(row.clock, _counted_from(row, counting))
    if any(
        f.data_class == row.data_class and f.binds(world.now) and age <= timedelta(days=f.days) for f in world.floors
    ):
        yield Reason.FLOOR


def _is_young(row: Row, decision: Decision, now: datetime) -> bool:
    return now - _counted_from(row, decision) <= timedelta(days=decision.days)


def _counted_from(row: Row, decision: Decision | None) -> datetime:
    assert row.clock is not None
    return row.anchors.get(decision.anchor, row.clock) if decision else row.clock
