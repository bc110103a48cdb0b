"""The admin as the cast sees it: a signed-in client for each person, and a row of everything in Acme."""

from collections.abc import Callable
from datetime import time, timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client

from audit.exports import jobs as export_jobs
from audit.shipping import destinations as siem
from compliance.alerting import providers, rules
from compliance.holding import matters, templates
from compliance.holding.matters import What
from compliance.models import Drift, SecuritySignal
from compliance.purging import dispositions, plans
from compliance.purging.dispositions import Run
from compliance.reporting import runs as reports
from compliance.reporting import schedules as report_schedules
from compliance.retention import policies
from cron.models import JobRun, Trigger
from customers.demo.loader import Share, load
from customers.models import ErasedSubject, ImportRun, PropensityVersion, SuppressionTombstone
from customers.propensity import schedules
from dsar.recipients import recipients
from dsar.requests import services
from kaireon.approvals import services as approvals
from kaireon.flows import pipelines
from kaireon.flows.models import RunTrigger
from kaireon.lib import clock
from kaireon.outbox import dead_letters, destinations
from kaireon.outbox import services as outbox
from kaireon.tenancy.context import transaction
from kaireon.tenancy.models import TenantModel
from kaireon.tenancy.roles import Permission
from tests.cast import ADA, PASSWORD, Person

SignIn = Callable[[Person], Client]
Rows = dict[type[Any], str]

# So few that a test has them in a second.
FEW = Share(prefix="A", rest=0, of=1500)


@pytest.fixture
def sign_in(db: str) -> SignIn:
    """A client of the admin, signed in through its own page."""

    def signed_in(person: Person) -> Client:
        client = Client(raise_request_exception=False)
        answer = client.post("/admin/login/", {"username": person.email, "password": PASSWORD})
        assert answer.status_code == 302
        return client

    return signed_in


@pytest.fixture
def rows(db: str) -> Rows:
    """One row's key for every page there is, all of them Acme's (runs of jobs are everybody's)."""
    now = clock.now()
    with ADA.here():
        load(FEW, now=now, advance=lambda _: None)
    with ADA.here(), transaction():
        policies.upsert_policy(data_class="interactions", retention_days=365, actor=ADA.actor, now=now)
        matter = matters.open_matter(name="Case 7", reason="order", actor=ADA.actor, now=now)
        # Of no row: the others are to come and go.
        long_ago = What(entity="delivery", from_at=now - timedelta(days=9000), until_at=now - timedelta(days=8999))
        matters.place(matter=matter, what=long_ago, confirm=True, actor=ADA.actor, now=now)
        templates.create(name="Dispute", given={"entity": "interactionHistory", "look_back_days": 365}, now=now)
        services.create_request(request_type="export", subject_id="A-01500", actor=ADA.actor, now=now)
        SuppressionTombstone.objects.create(subject_key="v1:0")
        ErasedSubject.objects.create(subject_key="v1:0", created_at=now)
        plan = plans.make(actor=ADA.actor, now=now)
        dispositions.add(
            Run(plan=plan.pk),
            data_class="interactions",
            entity="interactionHistory",
            clock_column="occurred_at",
            rows=7,
            terms=None,
            clock_from=now,
            clock_until=now,
        )
        Drift.objects.create(kind="retention", name="metrics", what="missing", first_seen_at=now, last_seen_at=now)
        approvals.ask(verb="role.grant", payload={"email": "n@x.example", "role": "viewer"}, actor=ADA.actor, now=now)
        steps = [
            {"name": "read", "node": "load_entity", "params": {"entity": "customers"}},
            {"name": "store", "node": "write_entity", "params": {"entity": "customers"}},
        ]
        flow = pipelines.create(name="nightly", definition={"steps": steps}, actor=ADA.actor, now=now)
        pipelines.start(flow, trigger=RunTrigger.ADMIN, now=now)
        destinations.save(name="stream", kind="stream", given={"stream": "news"}, now=now)
        mail = {"to": ["n@x.example"], "subject": "News", "text": "None."}
        message = outbox.publish(topic="mail", destination="stream", payload=mail, now=now)
        dead_letters.add(
            source="message",
            source_ref=message.pk,
            queue="outbox",
            topic="mail",
            error_type="timeout",
            permanent=False,
            attempts=3,
            now=now,
        )
        recipients.save(name="The Shop", destination="stream", now=now)
        desk = providers.create(name="Desk", kind="email", recipients=["desk@acme.example"], now=now)
        watched = {"name": "Overdue", "metric": "dsar_overdue", "operator": "gt", "threshold": 0}
        rules.create(given={**watched, "channels": [str(desk.pk)]}, now=now)
        export_jobs.request(format_="csv", actor=ADA.actor, now=now)
        terms = {"name": "Daily", "template": "audit_integrity", "formats": ["pdf"], "span": "day", "cadence": "daily"}
        daily = {**terms, "at": time(8), "time_zone": "UTC", "channels": [str(desk.pk)]}
        scheduled = report_schedules.create(given=daily, may=frozenset(Permission), now=now)
        reports.run_now(scheduled, delivers=False, actor=ADA.actor, now=now)
        SecuritySignal.objects.create(
            kind="mass_erasure",
            severity="page",
            record_id=message.pk,
            occurred_at=now,
            raised_at=now,
            fingerprint="0" * 64,
        )
        siem.save(
            row=None,
            given={"name": "ours", "backend": "elastic", "endpoint": "https://siem.example.com", "index": "audit"}
            | {"sourcetype": "", "event_bytes": None, "is_gzipped": True, "search_endpoint": ""},
            api_key="key-of-the-test",
            search_key=None,
            now=now,
        )
        model = schedules.create(offer="winter-sale", now=now)
        PropensityVersion.objects.create(
            schedule=model,
            number=1,
            content=b"{}",
            sha256="0" * 64,
            seal="v1:0",
            as_of=now,
            trained_at=now,
            verdict="the first version",
            **dict.fromkeys(("train_rows", "train_positives", "test_rows", "test_positives", "people"), 100),
            **dict.fromkeys(("base_rate", "auc", "log_loss", "base_log_loss", "brier", "calibration_error"), 0.5),
        )
        ImportRun.objects.create(kind="customers", format="csv", fingerprint="0" * 64, size=1)
    JobRun.objects.create(job="cleanup", trigger=Trigger.COMMAND, started_at=now)
    with ADA.here():
        from audit.services import drain

        drain(ADA.tenant_id)
        with transaction():
            return {model: str(_some(model).pk) for model in admin.site._registry}


def _some(model: type[Any]) -> Any:
    row = model.objects.first()
    assert row is not None, f"{model.__name__} has no row: make one in this fixture"
    assert not issubclass(model, TenantModel) or row.tenant_id == ADA.tenant_id
    return row
