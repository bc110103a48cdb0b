"""The desk of security signals: who sees which, who acknowledges, and what becomes of notes and rows."""

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from audit import services as log
from audit.models import AuditRecord
from compliance.detection import signals as service
from compliance.models import SecuritySignal
from compliance.purging.purge import purge_expired
from compliance.retention import policies
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.cast import ACME, ADA, AUD, ED, GLOBEX, MALLORY, PASSWORD, VI
from tests.compliance.detection_log import joined, key_of, run_flow, scan, signals

DESK = "/admin/compliance/securitysignal/"


def sign_in(person: Any) -> Client:
    client = Client(raise_request_exception=False)
    assert client.post("/admin/login/", {"username": person.email, "password": PASSWORD}).status_code == 302
    return client


def text_of(answer: Any) -> str:
    assert answer.status_code == 200
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode())))


@pytest.fixture
def signal(db: str) -> SecuritySignal:
    run_flow(key_of(joined("newcomer")))
    run_flow(joined("stranger", tenant=GLOBEX), tenant=GLOBEX)
    scan()
    scan(tenant=GLOBEX)
    (row,) = signals()
    return row


def test_it_lists_the_tenants_own(signal):
    page = text_of(sign_in(ADA).get(DESK))
    for said in ("First workflow of a new account", "Page", "API key used", "newcomer", "Open", "No time since"):
        assert said in page, said
    assert "stranger" not in page
    theirs = text_of(sign_in(MALLORY).get(DESK))
    assert "stranger" in theirs
    assert "newcomer" not in theirs


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("severity__exact=page", True),
        ("severity__exact=routine", False),
        ("state__exact=open", True),
        ("kind__exact=mass_erasure", False),
        ("raised_at_days=1", True),
    ],
)
def test_it_is_filtered(signal, query, found):
    listed = sign_in(ADA).get(f"{DESK}?{query}").content.decode().split('id="changelist-form"')[1]
    assert (str(signal.pk) in listed) is found


def test_one_shows_what_happened_and_leads_to_its_record(signal):
    page = sign_in(ADA).get(f"{DESK}{signal.pk}/change/").content.decode()
    for said in (
        str(signal.record_id),
        signal.fingerprint,
        "What was done: the run of a pipeline",
        "Acknowledge",
        "newcomer",
    ):
        assert said in page, said
    assert sign_in(MALLORY).get(f"{DESK}{signal.pk}/change/").status_code in (302, 404)


@pytest.mark.parametrize("person", [ED, VI, AUD], ids=lambda p: p.role)
def test_only_admins_look(signal, person):
    client = sign_in(person)
    assert client.get(DESK).status_code == 403
    assert client.post(f"{DESK}{signal.pk}/acknowledge/", {"note": "x"}).status_code == 403
    assert signals()[0].state == "open"


def test_it_is_acknowledged_once_with_a_sealed_note(signal):
    client = sign_in(ADA)
    assert client.post(f"{DESK}{signal.pk}/acknowledge/", {"note": "Called c-4711, is fine."}).status_code == 302
    (row,) = signals()
    assert (row.state, row.acknowledged_by_name, b"4711" in bytes(row.note_sealed)) == ("acknowledged", "Ada", False)
    page = text_of(client.get(f"{DESK}{signal.pk}/change/"))
    assert "Called c-4711, is fine." in page
    assert "Acknowledge " not in page.split("In the log pipeline")[1]
    assert "Somebody else" in text_of(client.post(f"{DESK}{signal.pk}/acknowledge/", {"note": "again"}))
    log.drain(ACME)
    with ADA.here(), transaction():
        record = AuditRecord.objects.get(action="security.signal.acknowledged")
        assert record.user_name == "Ada"
        assert "4711" not in str((record.changes, record.before, record.after))


def test_nobody_acknowledges_another_tenants(signal):
    assert sign_in(MALLORY).post(f"{DESK}{signal.pk}/acknowledge/", {"note": ""}).status_code == 404
    assert signals()[0].state == "open"


def test_of_two_at_once_one_counts(signal):
    with ADA.here(), transaction():
        service.acknowledge(signal=signal, note="", actor=ADA.actor, now=clock.now())
        with pytest.raises(service.AlreadyAcknowledged):
            service.acknowledge(signal=signal, note="", actor=ADA.actor, now=clock.now())


def purge(days: int) -> dict[str, int]:
    with ADA.here():
        deleted = purge_expired(now=clock.now() + timedelta(days=days), actor=ADA.actor).deleted
    return {name: count for name, count in deleted.items() if count}


def test_cleanup_takes_it_by_its_class_and_a_hold_keeps_it(signal):
    with ADA.here(), transaction():
        policies.upsert_policy(
            data_class="security", retention_days=30, legal_hold=True, actor=ADA.actor, now=clock.now()
        )
    assert purge(31) == {}
    with ADA.here(), transaction():
        policies.upsert_policy(
            data_class="security", retention_days=30, legal_hold=False, actor=ADA.actor, now=clock.now()
        )
    assert purge(29) == {}
    assert purge(31) == {"securitySignal": 1}
    assert len(signals(tenant=GLOBEX)) == 1


def test_without_a_policy_it_is_kept(signal):
    assert purge(9999) == {}
    assert len(signals()) == 1
