"""Months to keep and to drop: November 2025, which ended 45.5 days ago."""

from datetime import date, datetime
from typing import Any

from django.db import connection

from compliance.models import Disposition
from compliance.purging import months
from compliance.purging.months import Month
from customers import catalogue
from kaireon.lib.ids import uuid7
from kaireon.tenancy.context import Actor, platform_scope, transaction
from tests.cast import ADA, Person
from tests.compliance.rows import NOW

FIRST = date(2025, 11, 1)
TABLE = "customers_interaction_2025_11"
# A row of that month was seen so many days ago; a policy of so few days lets the month go, one of so many does not.
IN_IT, ALSO_IN_IT = 60, 50
PAST, NOT_PAST = 45, 46

JOB = Actor.job("cleanup")


def look(now: datetime = NOW, **options: Any) -> dict[tuple[str, str], Month]:
    """What became of each month, by entity and name."""
    return {(m.entity, m.name): m for m in months.drop_past(now=now, actor=JOB, **options)}


def drop(now: datetime = NOW, **options: Any) -> Month:
    """What became of the interactions of that month."""
    return look(now, **options)["interactionHistory", "2025-11"]


def drop_one(now: datetime = NOW) -> Month:
    """The same month alone, and no look at any other."""
    with platform_scope(actor=JOB), transaction():
        return months.drop(catalogue.entity("interactionHistory"), FIRST, now=now, run=uuid7())


def is_there(table: str = TABLE) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_class WHERE relname = %s)", [table])
        return bool(cursor.fetchone()[0])


def dispositions(who: Person = ADA) -> list[Disposition]:
    with who.here(), transaction():
        return list(Disposition.objects.order_by("first_at", "id"))
