"""The nightly job: retention, what ended by itself, and the months to come."""

from datetime import date, timedelta

import pytest
from django.db import connection

from compliance.models import Disposition
from cron import cleanup, runner
from cron.models import Trigger
from customers import catalogue
from customers.models import Interaction
from dsar.models import Dossier, DsarRequest
from dsar.requests import services
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from kaireon.tenancy.models import IdempotencyKey, RefreshToken
from tests.cast import ACME, ADA, GLOBEX, MALLORY
from tests.compliance.rows import NOW, count, customer, days_ago, interactions, policy


@pytest.fixture(autouse=True)
def _noon():
    with clock.freeze(NOW):
        yield


def run(**options):
    return runner.run_job("cleanup", trigger=Trigger.COMMAND, **options)


def entry(body, tenant):
    return next(e for e in body["perTenant"] if e["tenantId"] == tenant)


def test_it_purges_every_tenant_by_its_own_policies(db):
    interactions(customer(), 40, 1)
    interactions(customer("m-1", who=MALLORY), 40, 1, who=MALLORY)
    policy("interactions", 30)
    policy("interactions", 30, hold=True, who=MALLORY)
    body = run().body
    assert (body["ok"], body["tenantsScanned"]) == (True, 2)
    assert entry(body, ACME)["deleted"]["interactionHistory"] == 1
    assert entry(body, GLOBEX)["held"] == ["interactions"]
    assert (count(Interaction), count(Interaction, who=MALLORY)) == (1, 2)


def test_it_removes_used_up_keys_and_tokens(db):
    with ADA.here(), transaction():
        for expires in (NOW - timedelta(days=1), NOW + timedelta(days=1)):
            IdempotencyKey.objects.create(
                principal="p", key=str(expires), fingerprint="f", locked_until=NOW, expires_at=expires
            )
            RefreshToken.objects.create(user=ADA.user, token_hash=str(expires), expires_at=expires)
    done = entry(run().body, ACME)["deleted"]
    assert (done["idempotencyKey"], done["refreshToken"]) == (1, 1)
    assert (count(IdempotencyKey), count(RefreshToken)) == (1, 1)


def test_it_makes_the_months_to_come(db):
    made = run().body["partitionsCreated"]
    assert made >= 3
    with connection.cursor() as cursor:
        for month in ("2026_01", "2026_02", "2026_03", "2026_04"):
            cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [f"public.customers_interaction_{month}"])
            assert cursor.fetchone() == (True,)
    assert run().body["partitionsCreated"] == 0


def test_months_go_over_the_end_of_a_year():
    months = cleanup.months_from(clock.at("2025-11-30T23:00:00Z"))
    assert months == [date(2025, 11, 1), date(2025, 12, 1), date(2026, 1, 1), date(2026, 2, 1)]


def test_a_dry_run_counts_and_does_nothing(db):
    interactions(customer(), 40)
    policy("interactions", 30)
    dry = run(dry_run=True).body
    assert (dry["dryRun"], entry(dry, ACME)["deleted"]["interactionHistory"]) == (True, 1)
    assert dry["partitionsCreated"] > 0
    assert count(Interaction) == 1
    assert run().body["partitionsCreated"] == dry["partitionsCreated"]
    assert count(Interaction) == 0


def test_one_tenants_failure_does_not_stop_the_others(db, monkeypatch):
    interactions(customer("m-1", who=MALLORY), 40, who=MALLORY)
    policy("interactions", 30, who=MALLORY)
    plain = cleanup.purge.purge_expired

    def failing(**options):
        from kaireon.tenancy import context

        if context.tenant_id() == ACME:
            raise OSError("no")
        return plain(**options)

    monkeypatch.setattr(cleanup.purge, "purge_expired", failing)
    body = run().body
    assert (body["ok"], body["error"]) == (False, "1 of 2 tenants failed")
    assert count(Interaction, who=MALLORY) == 0


def closed_request(days):
    with ADA.here(), transaction():
        request = services.create_request(
            request_type="export", subject_id="c-1", received_at=days_ago(days), actor=ADA.actor, now=NOW
        ).request
        clock_column = catalogue.entity("dsarRequest").clock
        DsarRequest.objects.filter(pk=request.pk).update(
            status="completed", state="completed", **{clock_column: days_ago(days)}
        )
    return request


def test_it_takes_the_subject_out_of_old_requests(db):
    old, young = closed_request(40), closed_request(20)
    assert entry(run().body, ACME)["shredded"]["dsarRequest"] == 0
    policy("dsar", 30, hold=True)
    assert entry(run().body, ACME)["shredded"]["dsarRequest"] == 0
    policy("dsar", 30, hold=False)
    assert entry(run(dry_run=True).body, ACME)["shredded"]["dsarRequest"] == 1
    assert entry(run().body, ACME)["shredded"]["dsarRequest"] == 1
    with ADA.here(), transaction():
        old.refresh_from_db()
        young.refresh_from_db()
        assert (old.is_shredded, old.subject_id, old.customer_ref) == (True, "expired", None)
        assert young.subject_id == "c-1"
        said = Disposition.objects.get(entity="dsarRequest")
        assert (said.method, said.rows, said.retention_days, said.policy_version) == ("shredded", 1, 30, 1)
        assert (said.clock_from, said.clock_until) == (days_ago(40), days_ago(40))


def test_it_removes_expired_dossiers_and_keeps_them_under_hold(db):
    request = closed_request(1)
    with ADA.here(), transaction():
        Dossier.objects.create(
            request=request, sealed=b"x", sha256="0" * 64, size=1, created_at=days_ago(31), expires_at=days_ago(1)
        )
    policy("dsar", 3650, hold=True)
    run()
    assert count(Dossier) == 1
    policy("dsar", 3650, hold=False)
    assert entry(run().body, ACME)["deleted"]["dossier"] == 1
    assert count(Dossier) == 0
