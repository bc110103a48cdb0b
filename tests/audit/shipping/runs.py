"""Runs of shipping and reconciling, and what they leave behind."""

import json
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from audit import services
from audit.following import cursors
from audit.models import Cursor, Unshippable
from audit.shipping.destinations import Target
from audit.shipping.shipping import Shipped, ship
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import scope, transaction
from tests.audit.log import WRITER
from tests.cast import ACME


def shipped(target: Target, tenant: str = ACME, seconds: float = 60.0) -> Shipped:
    with scope(tenant_id=tenant, actor=WRITER):
        return ship(target, budget=Budget(seconds))


def cursor(target: Target, tenant: str = ACME) -> Cursor:
    with scope(tenant_id=tenant, actor=WRITER), transaction():
        return cursors.opened(target.follower, now=clock.now())


def head(tenant: str = ACME) -> int:
    services.drain(tenant)
    with scope(tenant_id=tenant, actor=WRITER), transaction():
        return cursors.head()


def refusals(tenant: str = ACME) -> list[tuple[int, int, str]]:
    with scope(tenant_id=tenant, actor=WRITER), transaction():
        rows = Unshippable.objects.filter(tenant_id=tenant).order_by("first_seq")
        return [(row.first_seq, row.last_seq, row.code) for row in rows]


def is_seq(number: int) -> Callable[[dict[str, Any]], bool]:
    return lambda event: event["kind"] == "record" and event["seq"] == number


def reconcile(tenant: str = ACME, *, fails: bool = False, **options: Any) -> dict[str, Any]:
    out = StringIO()
    given = {"tenant": tenant, "json": True, "stdout": out, **options}
    if fails:
        with pytest.raises(CommandError, match="does not have what the log has"):
            call_command("siem_reconcile", **given)
    else:
        call_command("siem_reconcile", **given)
    said: dict[str, Any] = json.loads(out.getvalue())
    return said
