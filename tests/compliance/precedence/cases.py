"""Small worlds by seed: rows of every entity near the edge of what keeps them; policies, holds and laws to keep them.

A case is one row with all its reasons. Holds are cut to a row that is there, by one, two or three of its marks, and
then sometimes miss it by a microsecond or a value; so most rows stay for one reason or for none.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from random import Random
from typing import Any
from uuid import UUID

from tests.compliance.precedence.oracle import COOLING_OFF, KINDS, Decision, Floor, Hold, Row, World, purge

PEOPLE = 20
ROWS = 600
CLASSES = (
    "interactions",
    "decisions",
    "metrics",
    "profiles",
    "consents",
    "deliveries",
    "attachments",
    "dsar",
    "jobs",
    "security",
)
# Few months, so that few partitions are made; on both sides of what laws ask for.
DAYS = (3, 20, 45, 370, 400, 735)
MICROSECOND, DAY = timedelta(microseconds=1), timedelta(days=1)
COOLING_OFF_EDGES = (
    *(8 * DAY, COOLING_OFF + MICROSECOND, COOLING_OFF),
    *(COOLING_OFF - MICROSECOND, 3 * DAY, DAY, timedelta(hours=1)),
)

CHANNELS = ("", "web", "email", 'a"b')
# What rows say, and what saved queries may ask: few values, so that they meet.
FACTS: dict[str, dict[str, Callable[[Random], Any]]] = {
    "interactionHistory": {
        "kind": lambda r: r.choice(["visit", "click", "purchase"]),
        "channel": lambda r: r.choice(CHANNELS),
        "quantity": lambda r: r.choice([None, 1, 3, 7]),
        "amount": lambda r: r.choice([None, Decimal("1.2345"), Decimal("1.2346"), Decimal(-2)]),
        "context": lambda r: dict.fromkeys(r.sample(["k", "l"], r.randrange(3)), 1),
    },
    "decisionTrace": {
        "decision": lambda r: r.choice(["offer", "limit"]),
        "score": lambda r: r.choice([None, Decimal("0.25"), Decimal("0.75")]),
        "inputs": lambda r: dict.fromkeys(r.sample(["k", "l"], r.randrange(3)), 1),
    },
    "interactionSummary": {"kind": lambda r: r.choice(["visit", "click"]), "channel": lambda r: r.choice(CHANNELS)},
    "attributionResult": {"method": lambda r: r.choice(["linear", "last"]), "channel": lambda r: r.choice(CHANNELS)},
    "variantAssignment": {"variant": lambda r: r.choice("ab")},
    "journeyEnrollment": {"journey": lambda r: r.choice("jk")},
    "delivery": {"channel": lambda r: r.choice(CHANNELS), "template": lambda r: r.choice("st")},
    "attachment": {"size": lambda r: r.choice([0, 10, 2**40]), "content_type": lambda r: r.choice(["a/b", "c/d"])},
    "dynamicSchemaRows": {"data": lambda r: dict.fromkeys(r.sample(["k", "l"], r.randrange(3)), 1)},
    "suppression": {"channel": lambda r: r.choice(["sms", "email"])},
    "consentRecord": {"channel": lambda r: r.choice(["sms", "email"]), "purpose": lambda r: r.choice("np")},
    "dsarRequest": {
        "request_type": lambda r: r.choice(["export", "delete"]),
        "regulation": lambda r: r.choice(["gdpr", "ccpa"]),
    },
    "identityLink": {"kind": lambda r: r.choice(["device", "cookie"])},
    "customer": {
        "country": lambda r: r.choice(["", "DE", "IN"]),
        "attributes": lambda r: dict.fromkeys(r.sample(["k", "l"], r.randrange(3)), 1),
    },
}
# Rows whose clock may not have started yet.
UNDATED = (
    "journeyEnrollment",
    "suppression",
    "suppressionTombstone",
    "consentRecord",
    "outboxPayload",
    "letterText",
    "dsarRequest",
    "flowRun",
    "flowCheckpoint",
)
# What an age may be counted from beside the clock.
ANCHORS = {
    "interactionHistory": ("created_at",),
    "decisionTrace": ("created_at",),
    "interactionSummary": ("created_at",),
    "engagementHealth": ("created_at",),
    "journeyEnrollment": ("entered_at",),
    "dynamicSchemaRows": ("created_at",),
    "dsarRequest": ("received_at",),
    "identityLink": ("first_seen_at",),
    "customer": ("created_at", "updated_at"),
    "flowRun": ("created_at",),
    "securitySignal": ("occurred_at",),
}
OF_NOBODY = ("suppressionTombstone", "flowRun", "flowCheckpoint", "securitySignal")
# They name a person, who need not be a customer any more; the others refer to the customer's row.
BY_NAME = ("outboxPayload", "archivedDeadLetter", "letterText", "publicFiling", "dossier", "dsarRequest")
PLAIN = tuple(name for name in KINDS if name not in ("customer", "dossier", "flowCheckpoint"))


@dataclass(frozen=True, kw_only=True)
class Law:
    """A law pack: its floors, by class in days, and when it starts."""

    pack: str
    floors: Mapping[str, int]
    starts: datetime | None = None


# What the product's packs say, written down once more. A year is 366 days, so that none goes a day early.
PERSONAL = ("interactions", "decisions", "metrics", "profiles", "consents", "deliveries", "attachments")
DPDP_STARTS = datetime(2027, 5, 13, tzinfo=UTC)
LAWS = (
    Law(pack="dpdp-2025", floors=dict.fromkeys(PERSONAL, 366), starts=DPDP_STARTS),
    Law(pack="dpdp-2025-third-schedule", floors={}, starts=DPDP_STARTS),
    Law(pack="ccpa-regulations", floors={"dsar": 731}),
    Law(pack="tax-6-years", floors=dict.fromkeys(["deliveries", "attachments"], 2558)),
    Law(pack="tax-10-years", floors=dict.fromkeys(["deliveries", "attachments"], 4019)),
)
# When it is purged: before a law starts, a moment before, at that moment, later.
MOMENTS = (
    datetime(2026, 11, 20, 12, tzinfo=UTC),
    DPDP_STARTS - MICROSECOND,
    DPDP_STARTS,
    datetime(2027, 5, 17, 9, tzinfo=UTC),
)


@dataclass(kw_only=True)
class Maker:
    """One world: the same for the same seed and moment. `packs` are the laws that the tenant is bound by, or was until
    it said no."""

    seed: str
    now: datetime
    people_in_it: int = PEOPLE
    rows_in_it: int = ROWS
    fewest_holds: int = 3
    rows: list[Row] = field(default_factory=list)
    packs: dict[str, datetime | None] = field(default_factory=dict)
    reckoned: set[UUID] = field(default_factory=set)

    @cached_property
    def random(self) -> Random:
        return Random(self.seed)

    @cached_property
    def aside(self) -> Random:
        """For what came later: the rest of a world stays as it was."""
        return Random(f"{self.seed} anchors")

    def make(self) -> World:
        r = self.random
        for law in LAWS:
            if r.random() < 0.5:
                self.packs[law.pack] = self.now - r.choice(COOLING_OFF_EDGES) if r.random() < 0.25 else None
        self.floors = tuple(
            Floor(data_class=data_class, days=days, starts=law.starts, off_at=self.packs[law.pack])
            for law in LAWS
            if law.pack in self.packs
            for data_class, days in law.floors.items()
        )
        self.policies = {name: self._decisions(name) for name in CLASSES if r.random() > 0.1}
        self.schemas = {self._id(): r.choice(CLASSES) for _ in range(3)}
        self.people = [self._id() for _ in range(self.people_in_it)]
        for _ in range(self.rows_in_it - self.people_in_it):
            self._add_row()
        for person in self.people:
            self._add("customer", id=person, subject=person)
        bare = World(now=self.now, rows=tuple(self.rows), policies=self.policies, floors=self.floors)
        kept = purge(bare)
        self.due = [row for row in self.rows if not kept[row.id]]
        return replace(
            bare,
            held_classes=frozenset(r.sample(CLASSES, r.choice([0, 1, 1, 2]))),
            holds=tuple(self._hold() for _ in range(r.randint(self.fewest_holds, 16))),
            requests=frozenset(p for p in self.people if r.random() < 0.08),
        )

    def _id(self) -> UUID:
        return UUID(int=self.random.getrandbits(128), version=4)

    def _decisions(self, data_class: str) -> tuple[Decision, ...]:
        """What was decided in the last weeks, or long ago, some of it at the very edge of the cooling-off."""
        r = self.random
        ago = sorted(
            (r.choice([40 * DAY, 20 * DAY, *COOLING_OFF_EDGES]) for _ in range(r.choice([1, 1, 2, 2, 3, 4]))),
            reverse=True,
        )
        names = [name for entity, of in ANCHORS.items() if KINDS[entity].data_class == data_class for name in of]
        return tuple(
            Decision(days=r.choice(DAYS), at=self.now - a, anchor=self.aside.choice(["", "", *names])) for a in ago
        )

    def _anchors(self, entity: str, data_class: str, clock: datetime | None) -> dict[str, datetime]:
        """The same as the clock, near it, or at an edge of what was decided."""
        r = self.aside
        moments = [clock] * 4 if clock else []
        moments += [clock + step for step in (-DAY, -MICROSECOND, MICROSECOND, DAY, 30 * DAY)] if clock else []
        moments += [
            self.now - d.days * DAY + r.choice([-MICROSECOND, 0 * DAY, MICROSECOND])
            for d in self.policies.get(data_class, ())
        ]
        return {name: r.choice(moments or [self.now]) for name in ANCHORS.get(entity, ())}

    def _clock(self, data_class: str) -> datetime:
        """Mostly past everything that is said of the class, else at an edge of it."""
        r = self.random
        said = [d.days for d in self.policies.get(data_class, ())]
        said += [floor.days for floor in self.floors if floor.data_class == data_class]
        if r.random() < 0.55:
            return self.now - max(said, default=3) * DAY - r.choice([MICROSECOND, DAY, 5 * DAY])
        edge = r.choice([0, *said])
        return self.now - edge * DAY + r.choice([-DAY, -MICROSECOND, 0 * DAY, MICROSECOND, DAY])

    def _add_row(self) -> None:
        r = self.random
        entity = r.choice(PLAIN)
        if entity in OF_NOBODY:
            row = self._add(entity)
            if entity == "flowRun" and r.random() < 0.7:
                self._add("flowCheckpoint", refers=row.id, like=row)
            return
        person = r.choice(self.people)
        if entity in BY_NAME:
            row = self._add(entity, subject=r.choice([person, person, person, None]))
            if entity == "dsarRequest" and r.random() < 0.6:
                self._add("dossier", subject=row.subject, facts={"request_id": row.id})
            return
        if entity == "engagementHealth":
            # Of each there is one.
            entity = entity if person not in self.reckoned else "interactionSummary"
            self.reckoned.add(person)
        facts: dict[str, Any] = {}
        data_class = KINDS[entity].data_class
        if entity == "dynamicSchemaRows":
            facts["schema_id"], data_class = r.choice(sorted(self.schemas.items()))
        self._add(entity, data_class=data_class, subject=person, refers=person, facts=facts)

    def _add(
        self,
        entity: str,
        *,
        data_class: str = "",
        like: Row | None = None,
        facts: dict[str, Any] | None = None,
        **row: Any,
    ) -> Row:
        r = self.random
        data_class = data_class or KINDS[entity].data_class
        dated = entity not in UNDATED or r.random() > 0.1
        clock = self._clock(data_class) if dated else None
        if like is not None:
            # A step ends with its run.
            clock = like.clock
        said = {name: value(r) for name, value in FACTS.get(entity, {}).items()} | (facts or {})
        anchors = self._anchors(entity, data_class, clock)
        made = Row(
            **{"id": self._id(), **row},
            entity=entity,
            data_class=data_class,
            clock=clock,
            anchors=anchors,
            facts=said,
        )
        self.rows.append(made)
        return made

    def _hold(self) -> Hold:
        r = self.random
        # Rather a row that nothing else keeps: it tells whether this hold does.
        target = r.choice(self.due if self.due and r.random() < 0.8 else self.rows)
        state = r.choice(["active", "active", "active", "releasing", "released"])
        scope: dict[str, Any] = {}
        marks = r.sample(["data_class", "entity", "subjects", "time", "query"], r.choice([1, 1, 2, 2, 3]))
        for mark in marks:
            getattr(self, f"_by_{mark}")(target, scope)
        if scope.get("query") and not scope.get("entity"):
            scope["entity"] = target.entity
        if not scope:
            # Of everything, seldom.
            scope = {} if r.random() < 0.03 else {"entity": target.entity}
        if state == "releasing":
            scope["releases_at"] = self.now + r.choice([-DAY, 0 * DAY, MICROSECOND, DAY])
        return Hold(**scope, state=state)

    def _by_data_class(self, target: Row, scope: dict[str, Any]) -> None:
        scope["data_class"] = target.data_class if self.random.random() < 0.9 else self.random.choice(CLASSES)

    def _by_entity(self, target: Row, scope: dict[str, Any]) -> None:
        scope["entity"] = target.entity

    def _by_subjects(self, target: Row, scope: dict[str, Any]) -> None:
        named = {target.subject or self._id()}
        if self.random.random() < 0.3:
            named.add(self.random.choice(self.people))
        scope["subjects"] = frozenset(named)

    def _by_time(self, target: Row, scope: dict[str, Any]) -> None:
        r = self.random
        clock = target.clock or self.now - r.choice(DAYS) * DAY
        # An edge belongs to the range.
        before, after = (r.choice([0 * DAY, 0 * DAY, 0 * DAY, 2 * DAY]) for _ in range(2))
        if r.random() < 0.2:
            before, after = -MICROSECOND, 2 * DAY
        elif r.random() < 0.2:
            before, after = 2 * DAY, -MICROSECOND
        ends = r.choice(["from", "until", "both", "both"])
        if ends != "until":
            scope["from_at"] = clock - before
        if ends != "from":
            scope["until_at"] = max(clock + after, scope.get("from_at", clock + after))

    def _by_query(self, target: Row, scope: dict[str, Any]) -> None:
        r = self.random
        asked = FACTS.get(target.entity)
        if not asked:
            return
        names = r.sample(sorted(asked), min(len(asked), r.choice([1, 1, 2])))
        scope["query"] = tuple(self._condition(target, name, asked[name]) for name in names)
        scope["entity"] = target.entity

    def _condition(self, target: Row, name: str, another: Callable[[Random], Any]) -> tuple[str, str, Any]:
        r = self.random
        fact = target.facts[name]
        if r.random() < 0.2 or fact is None:
            fact = next(value for value in iter(lambda: another(r), object()) if value is not None)
        if isinstance(fact, dict):
            return name, "contains_key", r.choice([*fact, "k", "m"])
        if r.random() < 0.2:
            return name, "in", (fact, *(v for v in (another(r),) if v is not None and v != fact))
        # Texts are compared by the database's own order: not asked here.
        ops = ["eq", "eq", "ne"] if isinstance(fact, str) else ["eq", "ne", "lt", "lte", "gt", "gte"]
        return name, r.choice(ops), fact
