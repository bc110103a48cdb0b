"""Putting a world into the database, each in a tenant of its own, and looking what is left of it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from compliance.holding import queries, scopes
from compliance.models import Hold, HoldSubject, Matter, SecuritySignal
from compliance.retention import binding, policies
from customers import models as m
from customers.partitions import PARTITIONED, ensure_months
from dsar.models import Dossier, DsarRequest, LetterText, PublicFiling
from kaireon.flows.models import FlowCheckpoint, FlowRun
from kaireon.outbox.models import ArchiveKey, Payload
from kaireon.tenancy import tenants
from kaireon.tenancy.context import Actor, scope, transaction
from tests.compliance.precedence import oracle
from tests.compliance.precedence.oracle import Row, World

OFFICER = Actor.system("officer")
NAME = "Somebody"

# Entity, model, the column of its clock.
TABLES: dict[str, tuple[Any, str]] = {
    "interactionHistory": (m.Interaction, "occurred_at"),
    "interactionSummary": (m.InteractionSummary, "period_end"),
    "engagementHealth": (m.EngagementHealth, "period_end"),
    "decisionTrace": (m.DecisionTrace, "decided_at"),
    "attributionResult": (m.AttributionResult, "recorded_at"),
    "variantAssignment": (m.VariantAssignment, "recorded_at"),
    "journeyEnrollment": (m.JourneyEnrollment, "ended_at"),
    "delivery": (m.Delivery, "sent_at"),
    "attachment": (m.Attachment, "uploaded_at"),
    "dynamicSchemaRows": (m.DynamicRow, "clock_at"),
    "suppression": (m.Suppression, "expires_at"),
    "suppressionTombstone": (m.SuppressionTombstone, "expires_at"),
    "consentRecord": (m.ConsentRecord, "withdrawn_at"),
    "outboxPayload": (Payload, "finished_at"),
    "archivedDeadLetter": (ArchiveKey, "archived_at"),
    "letterText": (LetterText, "settled_at"),
    "publicFiling": (PublicFiling, "ends_at"),
    "dossier": (Dossier, "expires_at"),
    "dsarRequest": (DsarRequest, "closed_at"),
    "identityLink": (m.IdentityLink, "last_seen_at"),
    "customer": (m.Customer, "last_activity_at"),
    "flowRun": (FlowRun, "finished_at"),
    "flowCheckpoint": (FlowCheckpoint, "finished_at"),
    "securitySignal": (SecuritySignal, "raised_at"),
}
# Nothing before what it refers to.
ORDER = ("customer", "flowRun", "dsarRequest", *TABLES)


@contextmanager
def tenant_with(world: World, tenant_id: str, *, packs: Mapping[str, datetime | None]) -> Iterator[None]:
    """A new tenant with everything of the world in it; the block runs in its scope."""
    tenants.create_tenant(tenant_id=tenant_id, name=tenant_id, actor=OFFICER)
    with scope(tenant_id=tenant_id, actor=OFFICER, request_id="precedence"):
        with transaction():
            _store_rows(world)
        with transaction():
            _decide(world)
            _bind(packs, world)
            _place_holds(world)
        yield


def left() -> set[UUID]:
    """The rows that are there; of requests, those that still say whose they are."""
    found: set[UUID] = set()
    with transaction():
        for model, _ in TABLES.values():
            rows = model.objects.filter(subject_sealed__isnull=False) if model is DsarRequest else model.objects
            found.update(rows.values_list("pk", flat=True))
    return found


def _store_rows(world: World) -> None:
    by_entity = {name: list(rows) for name, rows in groupby(sorted(world.rows, key=_entity), key=_entity)}
    for name in TABLES:
        if TABLES[name][0]._meta.db_table in PARTITIONED:
            clocks = (row.clock for row in by_entity.get(name, ()))
            ensure_months(TABLES[name][0]._meta.db_table, [clock for clock in clocks if clock])
    schemas = {row.facts["schema_id"]: row.data_class for row in by_entity.get("dynamicSchemaRows", ())}
    m.DynamicSchema.objects.bulk_create(
        m.DynamicSchema(id=pk, name=str(pk), data_class=data_class) for pk, data_class in schemas.items()
    )
    for name in dict.fromkeys(ORDER):
        model, clock = TABLES[name]
        model.objects.bulk_create(_made(model, clock, row, world) for row in by_entity.get(name, ()))


def _entity(row: Row) -> str:
    return row.entity


def _made(model: Any, clock: str, row: Row, world: World) -> Any:
    """What the table wants beside what the world says."""
    unique, then = row.id.hex, row.clock or world.now
    some = timedelta(microseconds=row.id.int % 10**9)
    more: dict[str, dict[str, Any]] = {
        "interactionHistory": {"external_id": unique},
        "interactionSummary": {"period_start": then},
        "engagementHealth": {"last_act_at": then, "lively": 1, "steady": 1, "score": 50, "period_start": then},
        "attributionResult": {"conversion": unique, "credit": 1},
        "variantAssignment": {"experiment": unique},
        "attachment": {"name": "a", "file": f"attachments/{unique}"},
        "suppressionTombstone": {"subject_key": unique},
        "consentRecord": {"status": "withdrawn", "source": "form", "recorded_at": then - some},
        "outboxPayload": {"sealed": b"x", "subject_ref": row.subject},
        "archivedDeadLetter": {
            "letter_ref": row.id,
            "archive_name": "a",
            "key_sealed": b"x",
            "subject_ref": row.subject,
        },
        "letterText": {"sealed": b"x", "customer_ref": row.subject},
        "publicFiling": {"sealed": b"x", "handle_hash": unique, "received_at": then, "subject_ref": row.subject},
        "dossier": {"sealed": b"x", "sha256": "", "size": 1, "created_at": then, "customer_ref": row.subject},
        "dsarRequest": {
            "subject_sealed": b"x",
            "customer_ref": row.subject,
            "received_at": then,
            "due_on": then.date(),
            "requested_at": then,
            "requested_by": "officer",
            **({"state": "completed", "status": "completed"} if row.clock else {}),
        },
        "identityLink": {"value": unique},
        "customer": {"customer_id": unique, "name": NAME},
        "flowRun": {"name": "flow", "trigger": "code", "state": "done" if row.clock else "running"},
        "flowCheckpoint": {"step": unique, "code_version": "1", "started_at": then, "updated_at": then},
        "securitySignal": {
            "kind": "mass_erasure",
            "severity": "page",
            "record_id": row.id,
            "occurred_at": then,
            "fingerprint": unique,
        },
    }
    refers = {}
    if row.refers:
        refers = {"run_id" if row.entity == "flowCheckpoint" else "customer_id": row.refers}
    return model(id=row.id, **{clock: row.clock}, **row.facts, **refers, **{**more.get(row.entity, {}), **row.anchors})


def _decide(world: World) -> None:
    for data_class, decisions in world.policies.items():
        for decision in decisions:
            policies.upsert_policy(
                data_class=data_class,
                retention_days=decision.days,
                anchor=decision.anchor or "clock",
                actor=OFFICER,
                now=decision.at,
            )
    for data_class in world.held_classes:
        policies.upsert_policy(
            data_class=data_class, retention_days=None, legal_hold=True, actor=OFFICER, now=world.now
        )


def _bind(packs: Mapping[str, datetime | None], world: World) -> None:
    """After the policies were decided: those that ask for less than the law are older than it."""
    for pack, off_at in packs.items():
        binding.switch(name=pack, on=True, actor=OFFICER, now=(off_at or world.now) - timedelta(days=1))
        if off_at:
            binding.switch(name=pack, on=False, actor=OFFICER, now=off_at)


def _place_holds(world: World) -> None:
    matter = Matter.objects.create(name="Case 7", reason="order", opened_by=OFFICER.id, opened_at=world.now)
    for hold in world.holds:
        _place(hold, world, matter)
    for subject in world.requests:
        _place(oracle.Hold(kind="request", subjects=frozenset([subject])), world, None)


def _place(hold: oracle.Hold, world: World, matter: Matter | None) -> None:
    placed = Hold.objects.create(
        matter=matter,
        kind=hold.kind,
        data_class=hold.data_class,
        entity=hold.entity,
        of_subjects=hold.subjects is not None,
        from_at=hold.from_at,
        until_at=hold.until_at,
        query=_query(hold),
        state=hold.state,
        placed_by=OFFICER.id,
        placed_at=world.now,
        releases_at=hold.releases_at,
        released_at=world.now if hold.state == "released" else None,
    )
    HoldSubject.objects.bulk_create(HoldSubject(hold=placed, subject_id=subject) for subject in hold.subjects or ())


def _query(hold: oracle.Hold) -> list[dict[str, Any]] | None:
    if not hold.query:
        return None
    of = scopes.by_entity(hold.entity)
    assert of is not None
    return queries.normal(of, [{"field": f, "op": op, "value": _plain(value)} for f, op, value in hold.query])


def _plain(value: Any) -> Any:
    return [_plain(v) for v in value] if isinstance(value, tuple) else str(value)
