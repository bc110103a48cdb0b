"""Explaining one record: every policy, hold, law and open request that touches it, what refers to it, and the verdict.

What may go is asked of the same conditions by which a purge deletes; the words beside it are found one by one.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from compliance.explaining import due, facts, holding, log, months, timing
from compliance.explaining.due import Reference
from compliance.explaining.explanation import Explanation, Path, Reason, Way, Why, free_at
from compliance.models import Hold, Kind
from compliance.purging import periods
from compliance.retention.binding import binding
from compliance.retention.in_force import in_force
from customers.catalogue import CATALOGUE, DERIVED, DSAR_PURGE, Entity, Erasure
from customers.partitions import PARTITIONED
from kaireon.tenancy.context import requires_transaction

# What an erasure leaves so that a suppression lasts: no personal data, so not in the catalogue. It ends by itself.
TOMBSTONE = Entity(
    name="suppressionTombstone",
    model="customers.SuppressionTombstone",
    title="Tombstone of a suppression",
    data_class="consents",
    clock="expires_at",
    own_expiry=True,
    erasure=Erasure.NONE,
    subject="",
)
ENTITIES: dict[str, Entity] = {entity.name: entity for entity in (*CATALOGUE, *DERIVED, TOMBSTONE)}
OF_LOG = (log.NAME, log.TITLE)
NAMES = (*ENTITIES, log.NAME)

DOES = {
    Erasure.DELETE: "deletes it",
    Erasure.SHRED: "takes its person out of it; the rest stays",
    Erasure.EVIDENCE: "cuts it loose from its person and keeps keyed evidence",
}


class UnknownEntity(ValueError):
    """No entity has this name. `str()` of it lists those there are."""

    def __init__(self) -> None:
        super().__init__(f"unknown entity; known are {', '.join(NAMES)}.")


class UnknownRecord(LookupError):
    """The active tenant has no record of this entity by this id."""


@requires_transaction
def explain(entity: str, row_id: UUID, *, now: datetime) -> Explanation:
    """Everything that keeps one record of the active tenant at a moment. Raises UnknownEntity, UnknownRecord."""
    if entity not in NAMES:
        raise UnknownEntity
    if entity == log.NAME:
        said = log.explain(row_id, now=now)
        if said is None:
            raise UnknownRecord
        return said
    found = ENTITIES[entity]
    row = found.queryset().filter(pk=row_id).first()
    if row is None:
        raise UnknownRecord
    return _explain(found, row, now)


def _explain(entity: Entity, row: Any, now: datetime) -> Explanation:
    data_class = row.schema.data_class if entity.name == "dynamicSchemaRows" else entity.data_class
    sweep = due.in_force(entity, data_class, now=now)
    counts = in_force(data_class, now)
    covering = due.covering(entity, row.pk, data_class, now=now)
    references = due.kept_references(entity, row.pk, now=now)
    # What has not begun does not age, whatever its policy counts from.
    begun = getattr(row, entity.clock) is not None
    column = sweep.clock if sweep and begun else entity.clock
    moments = {name: getattr(row, name) for name in due.columns(entity)}
    floor = None if entity.own_expiry else binding(now).floor(data_class, now)
    said = Explanation(
        entity=entity.name,
        title=entity.title,
        id=row.pk,
        data_class=data_class,
        at=now,
        clock=column,
        clock_at=moments[column],
        is_due=due.is_due(row.pk, sweep, references, now=now),
        policies=facts.policies(counts),
        holds=[*facts.class_holds(data_class), *facts.scoped_holds(covering)],
        floors=facts.floors(floor, max(moments[column], moments[entity.clock]) if begun else None),
        requests=facts.requests(covering),
        references=[reference.as_dict() for reference in references],
    )
    held = holding.reasons(said, covering)
    timed = timing.reasons(entity, said, sweep, counts, moments)
    left = [*_nothing_left(row, said), *_still_used(references)]
    said.reasons = [*held, *timed, *left]
    does = DOES[Erasure.SHRED] if entity.erasure == Erasure.SHRED else "deletes it"
    said.paths = [Path(way=Way.CLEANUP, does=does, earliest=said.free_at)]
    if entity.table in PARTITIONED:
        said.paths = [months.cleanup(entity, said, counts, moments)]
    if DSAR_PURGE in entity.swept_by:
        strictest = _strictest(entity, said, timed, moments)
        earliest = free_at([*held, *strictest, *left], now)
        said.paths.append(Path(way=Way.DSAR_PURGE, does=does, earliest=earliest))
        if said.first is said.paths[1]:
            # It goes before its own class's period: that is what there is to say of it.
            said.reasons = [*held, *strictest, *left]
            said.is_due = not said.reasons
    said.paths.extend(_erasure(entity, row, said, covering))
    return said


def _strictest(entity: Entity, said: Explanation, timed: list[Reason], moments: due.Moments) -> list[Reason]:
    """What keeps it from dsar-purge by its time: the same as from cleanup, unless all classes go by the shortest."""
    if not periods.is_strictest(DSAR_PURGE) or said.clock_at is None:
        return timed
    sweep = due.in_force(entity, said.data_class, now=said.at, swept_by=DSAR_PURGE)
    return timed if sweep is None else timing.strictest(said, sweep, moments)


def _nothing_left(row: Any, said: Explanation) -> list[Reason]:
    if said.entity == "dsarRequest" and row.is_shredded:
        return [Reason(why=Why.EMPTY, text="Nothing of its person is left in it: what is there stays.")]
    return []


def _still_used(references: Collection[Reference]) -> list[Reason]:
    return [
        Reason(
            why=Why.REFERENCES,
            text=f"Rows that stay for now refer to it: {reference.entity.title.lower()}, {reference.rows:,}.",
            until=reference.until,
        )
        for reference in references
    ]


def _erasure(entity: Entity, row: Any, said: Explanation, covering: Collection[Hold]) -> list[Path]:
    """An erasure of its person stops for matters alone."""
    if entity.erasure == Erasure.NONE or not entity.subject or getattr(row, entity.subject, None) is None:
        return []
    if any(reason.why == Why.EMPTY for reason in said.reasons):
        return []
    ends: list[datetime | None] = [holding.ends(hold) for hold in covering if hold.kind == Kind.MATTER]
    if any(reason.why == Why.CLASS_HOLD for reason in said.reasons):
        ends.append(None)
    earliest = None if None in ends else max([said.at, *(end for end in ends if end is not None)])
    return [Path(way=Way.ERASURE, does=DOES[entity.erasure], earliest=earliest)]
