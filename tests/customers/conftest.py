"""What the tests of customers share: the scope of Ada, a clock, and short ways to bring rows in."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from rest_framework.test import APIClient

from customers import ingest
from customers.models import Customer
from kaireon.lib.clock import at
from kaireon.tenancy.context import transaction
from tests.cast import ADA, KEYS

NOW = at("2026-01-15T12:00:00Z")


@pytest.fixture
def ada(db: str) -> Iterator[None]:
    """Ada at work: her scope is open, transactions are not."""
    with ADA.here():
        yield


@pytest.fixture
def client_of(db: str) -> Callable[[str], APIClient]:
    """The API as somebody of the cast, by first name."""

    def make(nick: str) -> APIClient:
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {KEYS[nick]}")
        return client

    return make


def bring(kind: str, *rows: dict[str, Any], now: datetime = NOW) -> ingest.Outcome:
    with transaction():
        return getattr(ingest, f"ingest_{kind}")(list(rows), now=now)


def purchase(external_id: str, customer: str = "c-1", **more: Any) -> dict[str, Any]:
    return {
        "customerId": customer,
        "externalId": external_id,
        "kind": "purchase",
        "occurredAt": "2026-01-10T10:00:00Z",
        "quantity": 2,
        "amount": "11.77",
        "currency": "USD",
        **more,
    }


def consent(status: str = "granted", customer: str = "c-1", **more: Any) -> dict[str, Any]:
    return {
        "customerId": customer,
        "channel": "email",
        "purpose": "marketing",
        "status": status,
        "recordedAt": "2026-01-01T00:00:00Z",
        **more,
    }


def customer(number: str = "c-1", **more: Any) -> Customer:
    """A customer that is there, as Ada or whoever's scope is open."""
    bring("customers", {"customerId": number, **more})
    with transaction():
        return Customer.objects.numbered(number).get()
