"""Security signals for the pictures: what new members and somebody curious gave the scan to find."""

from collections.abc import Callable
from datetime import timedelta

from playwright.sync_api import Page

import audit
from compliance.detection import signals
from compliance.models import SecuritySignal
from compliance.purging.purge import purge_expired
from compliance.retention import policies
from kaireon.lib import clock
from kaireon.tenancy.context import Actor, scope, transaction
from kaireon.tenancy.models import ApiKey
from kaireon.tenancy.roles import Role
from tests.browser.steps import follow
from tests.cast import ACME, ADA
from tests.compliance.detection_log import joined, key_of, run_flow, scan

DESK = "/admin/compliance/securitysignal/"


def take_the_desk(page: Page, take: Callable[[Page, str], None]) -> None:
    key = key_of(joined("Nora Lind", timedelta(minutes=4)))
    with ADA.here(), transaction():
        ApiKey.objects.filter(pk=key.id).update(name="import of the shop")
    run_flow(key)
    run_flow(joined("Tom Weber", timedelta(minutes=9), role=Role.EDITOR))
    read_much(joined("Iris Roth", timedelta(days=90), role=Role.AUDITOR))
    release_and_purge(joined("Paul Berg", timedelta(days=400)))
    scan()
    with ADA.here(), transaction():
        seen = SecuritySignal.objects.get(kind="audit_view_spike")
        note = "The quarterly review; announced by the auditor."
        signals.acknowledge(signal=seen, note=note, actor=ADA.actor, now=clock.now())
        row = SecuritySignal.objects.get(kind="new_account_first_workflow", severity="page")
    page.goto(DESK)
    take(page, "signals")
    page.goto(f"{DESK}{row.pk}/change/")
    take(page, "signal")
    follow(page, page.get_by_role("link", name="Acknowledge"))
    page.get_by_label("Note").fill("A new colleague of the data team; their manager knows of the key.")
    take(page, "signal-acknowledge")


def read_much(actor: Actor) -> None:
    with scope(tenant_id=ACME, actor=actor), transaction():
        for _ in range(100):
            audit.record(action="audit_log.read", entity_type="AuditLog", entity_id=ACME)


def release_and_purge(actor: Actor) -> None:
    with scope(tenant_id=ACME, actor=actor):
        for held in (True, False):
            with transaction():
                policies.upsert_policy(
                    data_class="deliveries", retention_days=30, legal_hold=held, actor=actor, now=clock.now()
                )
        assert purge_expired(now=clock.now(), actor=actor).deleted["delivery"]
