"""Rows to keep and to delete: Acme's customers and what they did, so many days ago."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from compliance.models import Hold, HoldState, HoldSubject, Kind, Matter
from compliance.retention import policies
from customers.models import Customer, DecisionTrace, Interaction
from customers.partitions import ensure_months
from kaireon.lib.clock import at
from kaireon.tenancy.context import transaction
from tests.cast import ACME, ADA, GLOBEX, MALLORY, Person

NOW = at("12:00")
HELD = "23K01"


def days_ago(days: float, *, now: datetime = NOW) -> datetime:
    return now - timedelta(days=days)


def customer(number: str = "c-1", *, who: Person = ADA, active: datetime = NOW) -> Customer:
    with who.here(), transaction():
        return Customer.objects.create(customer_id=number, name="Somebody", last_activity_at=active)


def interactions(of: Customer, *days: float, who: Person = ADA) -> list[Interaction]:
    moments = [days_ago(d) for d in days]
    with who.here(), transaction():
        ensure_months("customers_interaction", moments)
        return Interaction.objects.bulk_create(
            Interaction(customer=of, kind="visit", occurred_at=moment, external_id=uuid4().hex) for moment in moments
        )


def traces(of: Customer, *days: float, who: Person = ADA) -> list[DecisionTrace]:
    moments = [days_ago(d) for d in days]
    with who.here(), transaction():
        ensure_months("customers_decisiontrace", moments)
        return DecisionTrace.objects.bulk_create(
            DecisionTrace(customer=of, decision="offer", decided_at=moment) for moment in moments
        )


def policy(data_class: str, days: int, *, hold: bool | None = None, who: Person = ADA) -> None:
    with who.here(), transaction():
        policies.upsert_policy(data_class=data_class, retention_days=days, legal_hold=hold, actor=who.actor, now=NOW)


def hold(*subjects: Any, who: Person = ADA, kind: str = Kind.MATTER, **scope: Any) -> Hold:
    """A hold of these customers, or of everybody, in what the scope says."""
    with who.here(), transaction():
        matter = None
        if kind == Kind.MATTER:
            matter = Matter.objects.create(name="Case 7", reason="order", opened_by=who.actor.id, opened_at=NOW)
        placed = Hold.objects.create(
            matter=matter,
            kind=kind,
            of_subjects=bool(subjects),
            placed_by=who.actor.id,
            placed_at=NOW,
            **scope,
        )
        HoldSubject.objects.bulk_create(HoldSubject(hold=placed, subject_id=s.pk) for s in subjects)
    return placed


# What a hold whose release one asked for and another agreed to has.
AGREED = {"state": HoldState.RELEASING, "release_asked_by": "one", "release_agreed_by": "another"}


def end(placed: Hold, *, who: Person = ADA) -> None:
    """A hold's release, with its cooling-off over."""
    with who.here(), transaction():
        this = Hold.objects.effective().filter(pk=placed.pk)
        if placed.kind == Kind.MATTER and placed.state == HoldState.ACTIVE:
            assert this.update(**AGREED, releases_at=NOW) == 1
        assert this.update(state=HoldState.RELEASED, released_at=NOW) == 1


def count(model: Any, *, who: Person = ADA) -> int:
    with who.here(), transaction():
        return model.objects.count()


def connect(url: str, *, tenant: str | None = ACME, level: str = "read committed") -> psycopg.Connection[Any]:
    """A connection of its own inside a transaction that says who and where, as an SQL console would have it."""
    connection = psycopg.connect(url)
    connection.execute(f"SET TRANSACTION ISOLATION LEVEL {level}")
    connection.execute("SELECT set_config('app.actor_type', 'user', true), set_config('app.actor_id', 'ada', true)")
    if tenant:
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", [tenant])
    return connection


__all__ = ["ACME", "ADA", "GLOBEX", "MALLORY", "NOW"]


def refused(connection: psycopg.Connection[Any], statement: str) -> None:
    """The database refuses this for a legal hold, and says so."""
    with pytest.raises(psycopg.errors.IntegrityError, match="legal hold") as caught:
        connection.execute(statement)
    assert caught.value.sqlstate == HELD
    connection.rollback()
