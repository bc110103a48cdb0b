"""A customer with rows in every section, and a neighbour whom nothing may touch."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.base import ContentFile
from rest_framework.test import APIClient

from customers import models as m
from customers import suppressions
from customers.partitions import ensure_months
from dsar.models import DsarRequest
from dsar.requests import services
from kaireon.jobs import runner
from kaireon.lib import clock
from kaireon.tenancy.context import current, transaction
from tests.cast import ADA, KEYS
from tests.s3 import s3, s3_url  # noqa: F401

NUMBER = "C-17"
EMAIL = "jane.doe@example.com"
SECRETS = (EMAIL, "Jane Doe", "device-4711", "letter.pdf", "vip-row", "+44 20 7946 0000")


def client(nick: str = "ada") -> APIClient:
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {KEYS[nick]}")
    return api


def upload(who: m.Customer, name: str, content: bytes) -> None:
    """A file that is there: what a test does with it is not how it came."""
    m.Attachment.objects.create(
        customer=who, name=name, size=len(content), uploaded_at=clock.now(), file=ContentFile(content, name=name)
    )


def make_customer(number: str = NUMBER, email: str = EMAIL, *, interactions: int = 3) -> m.Customer:
    """In a transaction of the caller's scope: one row at least in every table about customers."""
    now = clock.now()
    then = now - timedelta(days=40)
    for table in ("customers_interaction", "customers_interactionsummary", "customers_decisiontrace"):
        ensure_months(table, [then, now])
    who = m.Customer.objects.create(
        customer_id=number, email=email, name="Jane Doe", phone="+44 20 7946 0000", attributes={"tier": "gold"}
    )
    m.Interaction.objects.bulk_create(
        m.Interaction(
            customer=who,
            kind="purchase",
            external_id=f"{number}-{n}",
            amount="12.5000",
            currency="EUR",
            occurred_at=then + timedelta(seconds=n),
        )
        for n in range(interactions)
    )
    m.InteractionSummary.objects.create(customer=who, kind="purchase", period_start=then, period_end=now)
    m.EngagementHealth.objects.create(
        customer=who, last_act_at=now, lively=1, steady=1, score=61, period_start=then, period_end=now
    )
    m.DecisionTrace.objects.create(customer=who, decision="offer", decided_at=then, inputs={"email": email})
    m.AttributionResult.objects.create(customer=who, method="linear", channel="email", conversion="x", credit="0.5")
    m.VariantAssignment.objects.create(customer=who, experiment="e", variant="b")
    m.JourneyEnrollment.objects.create(customer=who, journey="welcome")
    m.Delivery.objects.create(customer=who, channel="email", destination=email)
    m.ConsentRecord.objects.create(
        customer=who, channel="email", purpose="news", status="withdrawn", source="form", recorded_at=then
    )
    suppressions.suppress(who, now=now, channel="email", reason="asked")
    m.IdentityLink.objects.create(customer=who, kind="email", value=f"alias.{email}")
    m.IdentityLink.objects.create(customer=who, kind="device", value=f"device-4711-{number}")
    upload(who, "letter.pdf", b"dear jane")
    schema, _ = m.DynamicSchema.objects.get_or_create(
        name="loyalty", defaults={"data_class": "profiles", "fields": [{"name": "note", "type": "text"}]}
    )
    m.DynamicRow.objects.create(customer=who, schema=schema, data={"note": "vip-row"})
    return who


@pytest.fixture
def ada(db: str) -> Iterator[None]:
    """The test runs in Ada's scope, in Acme."""
    with ADA.here():
        yield


@pytest.fixture
def jane(ada: None) -> m.Customer:
    with transaction():
        make_customer("C-99", "neighbour@example.com")
        return make_customer()


def file(request_type: str = "export", subject_id: str = NUMBER, **more: Any) -> services.Filed:
    with transaction():
        return services.create_request(
            request_type=request_type, subject_id=subject_id, actor=current().actor, now=clock.now(), **more
        )


def answer(filed: services.Filed) -> DsarRequest:
    """What a worker does with it."""
    runner.run(job_id=filed.job.pk)
    return again(filed)


def again(filed: services.Filed) -> DsarRequest:
    with transaction():
        return DsarRequest.objects.get(pk=filed.request.pk)
