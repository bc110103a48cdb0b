"""How engaged customers are, in the admin, after the job was there."""

from datetime import timedelta
from typing import Any

import pytest

from cron import runner
from cron.models import Trigger
from customers.models import EngagementDay, EngagementHealth
from kaireon.lib import clock
from kaireon.lib.ids import uuid7
from kaireon.tenancy.context import transaction
from tests.admin.conftest import SignIn
from tests.cast import ACME, ADA, AUD, MALLORY
from tests.customers.conftest import bring, customer, purchase

HEALTH = "/admin/customers/engagementhealth/"
DAYS = "/admin/customers/engagementday/"


@pytest.fixture
def three(db: str) -> None:
    """One of each band in Acme."""
    now = clock.now()
    with ADA.here():
        for number, ages in (("lively", range(0, 60, 3)), ("fading", (45,)), ("gone", (300,))):
            customer(number)
            rows = [
                purchase(f"{number}-{age}", number, occurredAt=clock.rfc3339(now - timedelta(days=age, hours=1)))
                for age in ages
            ]
            bring("interactions", *rows, now=now)


def job(**options: Any) -> dict[str, Any]:
    ran = runner.run_job("engagement-health-recompute", trigger=Trigger.COMMAND, **options)
    assert ran.ok
    [entry] = [entry for entry in ran.body["perTenant"] if entry["tenantId"] == ACME]
    return dict(entry)


def test_the_job_reckons_every_tenant_and_a_dry_run_none(three: None, sign_in: SignIn) -> None:
    assert job(dry_run=True)["lookedAt"] == 3
    with ADA.here(), transaction():
        assert not EngagementHealth.objects.exists()
    page = sign_in(ADA).get(HEALTH).content.decode()
    assert "The job engagement-health-recompute reckons it" in page
    done = job()
    assert (done["whole"], done["lookedAt"], done["reckoned"], done["done"]) == (True, 3, 3, True)
    with MALLORY.here(), transaction():
        assert EngagementDay.objects.get().customers == 0


def test_bands_are_shown_and_filtered_by_the_score_of_today(three: None, sign_in: SignIn) -> None:
    job()
    client = sign_in(ADA)
    page = client.get(HEALTH).content.decode()
    assert all(band in page for band in ("engaged", "fading", "dormant", "less than before"))
    for band, shown, hidden in (("engaged", "lively", "gone"), ("dormant", "gone", "lively")):
        page = client.get(HEALTH, {"band": band}).content.decode()
        rows = page.split("result_list", 1)[1]
        assert shown in rows
        assert f">{hidden}<" not in rows
    assert client.get(HEALTH, {"band": "nonsense"}).status_code in (200, 302)


def test_the_picture_of_the_days_needs_two(three: None, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    assert "there is none so far" in client.get(DAYS).content.decode()
    job()
    assert "there is one so far" in client.get(DAYS).content.decode()
    with ADA.here(), transaction():
        today = EngagementDay.objects.get()
        today.pk, today.day = uuid7(), today.day - timedelta(days=40)
        today.save(force_insert=True)
    page = client.get(DAYS).content.decode()
    assert "<polygon" in page
    assert "engaged: 1 at last" in page


def test_others_do_not_see_it(three: None, sign_in: SignIn) -> None:
    job()
    assert sign_in(AUD).get(HEALTH).status_code == 403
    with ADA.here(), transaction():
        row = EngagementHealth.objects.first()
    assert row is not None
    assert sign_in(MALLORY).get(f"{HEALTH}{row.pk}/change/").status_code in (302, 404)
