"""What the figures of the product say, of one's own tenant."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from audit import services as log
from audit.shipping import destinations as siem
from compliance.alerting import metrics
from compliance.alerting.metrics import Asked, Metric, MetricTaken, Unit
from cron import runner
from cron.jobs import JOBS
from cron.models import JobRun, Trigger
from customers.models import Customer, Interaction
from dsar.models import DsarRequest
from dsar.requests import services
from kaireon.lib import clock
from kaireon.outbox import dead_letters, destinations
from kaireon.outbox import services as outbox
from kaireon.tenancy.context import transaction
from tests.caller import sign_in, with_key
from tests.cast import ADA, MALLORY, Person

pytestmark = pytest.mark.usefixtures("db")


def value(name: str, who: Person = ADA, **window: Any) -> float | None:
    now = clock.now()
    with who.here(), transaction():
        return metrics.get(name).read(Asked(now=now, since=now - timedelta(**window)))


def test_every_figure_has_a_value_or_none_in_a_tenant_that_is_new() -> None:
    for name, metric in metrics.METRICS.items():
        if not name.startswith("test_"):
            found = value(name, hours=1)
            assert found is None or found >= 0, name
            assert metric.title
            assert metric.help.endswith("."), name


def test_a_name_is_one_figure() -> None:
    known = metrics.METRICS["dsar_open"]
    metrics.register(known)
    with pytest.raises(MetricTaken):
        metrics.register(Metric(name="dsar_open", title="x", help="x", unit=Unit.COUNT, read=lambda asked: 1.0))


def test_requests_open_overdue_and_oldest() -> None:
    assert [value(f"dsar_{name}") for name in ("open", "overdue", "oldest_open", "days_left")] == [0, 0, 0, None]
    now = clock.now()
    with ADA.here(), transaction():
        for number, days in enumerate((1, 40)):
            services.create_request(
                request_type="export",
                subject_id=f"c-{number}",
                received_at=now - timedelta(days=days),
                actor=ADA.actor,
                now=now,
            )
        nearest = min(DsarRequest.objects.values_list("deadline_on", flat=True))
    assert value("dsar_open") == 2
    assert value("dsar_overdue") == 1
    assert 40 <= (value("dsar_oldest_open") or 0) < 40.1
    left = value("dsar_days_left")
    assert left is not None
    assert left == (nearest - clock.now().date()).days
    assert left < 0
    assert value("dsar_open", MALLORY) == 0


def test_the_log_was_verified_and_when() -> None:
    assert value("audit_chain_intact") is None
    assert value("audit_verification_age") is None
    assert with_key("ada").get("/audit-logs/verify").json()["intact"] is True
    log.drain(ADA.tenant_id)
    assert value("audit_chain_intact") == 1
    assert 0 <= (value("audit_verification_age") or 0) < 0.1
    assert value("audit_chain_intact", MALLORY) is None


def test_how_far_a_siem_is_behind() -> None:
    assert (value("siem_lag"), value("siem_refused")) == (None, None)
    given = {"name": "ours", "backend": "elastic", "endpoint": "https://siem.example.com", "index": "audit"}
    with ADA.here(), transaction():
        siem.save(
            row=None,
            given={**given, "sourcetype": "", "event_bytes": None, "is_gzipped": True, "search_endpoint": ""},
            api_key="key-of-the-test",
            search_key=None,
            now=clock.now() - timedelta(minutes=5),
        )
    log.drain(ADA.tenant_id)
    assert 300 <= (value("siem_lag") or 0) < 360
    assert value("siem_refused") == 0
    assert value("siem_lag", MALLORY) is None


def test_messages_and_dead_letters() -> None:
    now = clock.now() - timedelta(minutes=5)
    with ADA.here(), transaction():
        destinations.save(name="stream", kind="stream", given={"stream": "news"}, now=now)
        mail = {"to": ["n@x.example"], "subject": "News", "text": "None."}
        outbox.publish(topic="mail", destination="stream", payload=mail, now=now)
        dead_letters.add(
            source="message",
            source_ref=uuid4(),
            queue="outbox",
            topic="mail",
            error_type="timeout",
            permanent=False,
            attempts=3,
            now=now,
        )
    assert (value("outbox_backlog"), value("dead_letters")) == (1, 1)
    assert 300 <= (value("outbox_oldest_due") or 0) < 360
    assert (value("outbox_backlog", MALLORY), value("dead_letters", MALLORY)) == (0, 0)


def test_failed_sign_ins_to_ones_own_members_accounts_are_counted_over_the_window() -> None:
    for _ in range(3):
        assert sign_in(ADA.email, "wrong").status_code == 401
    assert sign_in(MALLORY.email, "wrong").status_code == 401
    assert sign_in("nobody@acme.example", "wrong").status_code == 401
    log.drain("_platform")
    assert value("auth_failures", hours=1) == 3
    assert value("auth_failures", MALLORY, hours=1) == 1
    later = clock.now() + timedelta(hours=2)
    with ADA.here(), transaction():
        assert metrics.get("auth_failures").read(Asked(now=later, since=later - timedelta(hours=1))) == 0


def test_refused_access_is_counted_over_the_window() -> None:
    for _ in range(2):
        assert with_key("vi").get("/members").status_code == 403
    log.drain(ADA.tenant_id)
    assert value("access_refused", hours=1) == 2
    assert value("access_refused", MALLORY, hours=1) == 0


def test_acceptance_and_conversion_are_shares_of_what_happened_in_the_window() -> None:
    assert value("acceptance_rate", hours=1) is None
    now = clock.now()
    with ADA.here(), transaction():
        customer = Customer.objects.create(customer_id="c-1")
    kinds = {"impression": 8, "click": 4, "conversion": 1}
    for kind, count in kinds.items():
        for number in range(count):
            plant(customer, kind, f"{kind}-{number}", now - timedelta(minutes=5))
    # Before the window, and after it.
    plant(customer, "click", "early", now - timedelta(minutes=65))
    plant(customer, "click", "late", now + timedelta(minutes=5))
    assert value("acceptance_rate", hours=1) == 50
    assert value("conversion_rate", hours=1) == 25
    assert value("interactions", hours=1) == 13
    assert value("interactions", MALLORY, hours=1) == 0


def plant(customer: Customer, kind: str, number: str, at: Any) -> None:
    from django.db import connection

    with ADA.here(), transaction():
        with connection.cursor() as cursor:
            cursor.execute("SELECT public.partition_ensure('customers_interaction', %s)", [at.date()])
        Interaction.objects.create(customer=customer, kind=kind, external_id=number, occurred_at=at)


def test_a_jobs_last_success_is_that_for_ones_own_tenant() -> None:
    assert value("job_success_age.cleanup") is None
    run = runner.run_job("approvals-expire", trigger=Trigger.COMMAND)
    assert run.ok
    assert 0 <= (value("job_success_age.approvals-expire") or 0) < 0.1
    JobRun.objects.filter(job="approvals-expire").update(
        state="failed",
        outcomes=[{"tenantId": "acme", "ok": False, "errors": ["x"]}, {"tenantId": "globex", "ok": True, "errors": []}],
    )
    assert value("job_success_age.approvals-expire") is None
    assert value("job_success_age.approvals-expire", MALLORY) is not None


def test_jobs_that_are_down_are_counted() -> None:
    assert value("jobs_down") == 0
    now = clock.now()
    JobRun.objects.create(job="cleanup", trigger=Trigger.BEAT, state="failed", started_at=now, finished_at=now)
    assert value("jobs_down") == 1
    assert set(metrics.METRICS) >= {f"job_success_age.{name}" for name in JOBS}
