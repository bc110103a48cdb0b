"""What the statements we issue leave out, and what the database guards: the same rows."""

import os
from random import Random
from uuid import uuid4

import psycopg
import pytest

from compliance.holding.predicate import FOR_ERASURE, held
from customers.catalogue import CATALOGUE, DERIVED
from customers.models import (
    Attachment,
    ConsentRecord,
    IdentityLink,
    Interaction,
    InteractionSummary,
    JourneyEnrollment,
    Suppression,
    VariantAssignment,
)
from customers.partitions import ensure_months
from kaireon.tenancy.context import transaction
from tests.compliance.rows import (
    ADA,
    NOW,
    customer,
    days_ago,
    end,
    hold,
    interactions,
    traces,
)

ENTITIES = {entity.name: entity for entity in (*CATALOGUE, *DERIVED)}


def one_of_each(who, moment):
    """Rows about a customer, one of most tables."""
    InteractionSummary.objects.create(customer=who, kind="visit", period_start=moment, period_end=moment)
    VariantAssignment.objects.create(customer=who, experiment="e", variant="b", recorded_at=moment)
    JourneyEnrollment.objects.create(customer=who, journey="j", ended_at=None)
    JourneyEnrollment.objects.create(customer=who, journey="k", ended_at=moment)
    Attachment.objects.create(customer=who, name="a", file=f"a/{uuid4()}", size=moment.day, uploaded_at=moment)
    Suppression.objects.create(customer=who, channel="sms", expires_at=moment)
    Suppression.objects.create(customer=who, channel="email", expires_at=None)
    ConsentRecord.objects.create(
        customer=who, channel="email", purpose="news", status="withdrawn", recorded_at=moment, withdrawn_at=moment
    )
    ConsentRecord.objects.create(
        customer=None, subject_key="v1:x", channel="sms", purpose="news", status="granted", recorded_at=moment
    )
    IdentityLink.objects.create(customer=who, kind="device", value=uuid4().hex, last_seen_at=moment)


QUERIES = {
    "interactionHistory": [
        [{"field": "quantity", "op": "gt", "value": "3"}],
        [{"field": "quantity", "op": "ne", "value": "3"}],
        [{"field": "amount", "op": "lte", "value": "1.23456"}],
        [{"field": "channel", "op": "in", "value": ["", 'a"b', "web"]}],
        [{"field": "context", "op": "contains_key", "value": "k"}, {"field": "kind", "op": "eq", "value": "visit"}],
        [{"field": "created_at", "op": "lt", "value": NOW.isoformat()}],
    ],
    "attachment": [[{"field": "size", "op": "gte", "value": "15"}]],
    "journeyEnrollment": [[{"field": "journey", "op": "eq", "value": "j"}]],
    "consentRecord": [[{"field": "channel", "op": "ne", "value": "sms"}]],
}


def test_the_database_and_the_predicate_agree_of_every_row(db, superuser_url):
    random = Random(5)
    people = [customer(f"c-{n}", active=days_ago(random.randrange(60))) for n in range(4)]
    for who in people:
        interactions(who, *(random.randrange(60) for _ in range(5)))
        traces(who, *(random.randrange(60) for _ in range(3)))
    moments = [days_ago(random.randrange(60)) for _ in people]
    with ADA.here(), transaction():
        ensure_months("customers_interactionsummary", moments)
        for who, moment in zip(people, moments, strict=True):
            one_of_each(who, moment)
        for n, row in enumerate(Interaction.objects.all()):
            row.quantity = (None, 1, 3, 7)[n % 4]
            row.amount = (None, "1.2345", "1.2346")[n % 3]
            row.channel = ("", "web", 'a"b')[n % 3]
            row.context = ({}, {"k": 1})[n % 2]
            row.save()
    names = [name for name in ENTITIES if not name.startswith("flow")]
    for _ in range(int(os.environ.get("KAIREON_HOLD_SHAPES", "12"))):
        entity = random.choice(["", *names])
        queries = [None, *QUERIES.get(entity, [])]
        begins, ends = random.choice([(None, None), (40, None), (None, 20), (45, 15)])
        placed = hold(
            *random.sample(people, random.choice([0, 0, 1, 2])),
            entity=entity,
            data_class=random.choice(["", "", "interactions", "profiles", "consents", "metrics"]),
            from_at=begins and days_ago(begins),
            until_at=ends and days_ago(ends),
            query=random.choice(queries) or None,
            kind="matter",
        )
        agree(superuser_url)
        if random.random() < 0.7:
            end(placed)


def in_hold(entity, data_class):
    return entity.in_class(data_class).filter(held(entity, data_class, kinds=FOR_ERASURE)).values_list("pk", flat=True)


def agree(url):
    """Each table, each row: deleting it alone is refused exactly when the predicate finds it."""
    with ADA.here(), transaction():
        expected = {
            (entity.table, pk)
            for entity in ENTITIES.values()
            for data_class in entity.data_classes()
            for pk in entity.in_class(data_class)
            .filter(held(entity, data_class, kinds=FOR_ERASURE))
            .values_list("pk", flat=True)
        }
        # What is free goes in one statement by table, what is held is refused by itself.
        rows = {e.table: set(e.queryset().values_list("pk", flat=True)) for e in ENTITIES.values()}
    with psycopg.connect(url) as root:
        root.execute("SELECT set_config('app.tenant_id', 'acme', false)")
        root.execute("SET session_replication_role = replica")
        root.execute("SELECT set_config('app.actor_type', 'user', false)")
        root.commit()
        for table, keys in rows.items():
            free = [pk for pk in keys if (table, pk) not in expected]
            with root.transaction(force_rollback=True):
                root.execute("SET LOCAL session_replication_role = replica")
                assert root.execute(f"DELETE FROM {table} WHERE id = ANY(%s)", [free]).rowcount == len(free)
            for pk in keys - set(free):
                with pytest.raises(psycopg.errors.IntegrityError, match="legal hold"), root.transaction():
                    root.execute("SET LOCAL session_replication_role = replica")
                    root.execute(f"DELETE FROM {table} WHERE id = %s", [pk])
