"""Letters to the subject, through a real mail server: one for each event, and none where nobody wanted any."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings as configured
from django.db import connection

from audit import services as log
from audit.models import AuditRecord
from customers import models as m
from dsar.letters import sending
from dsar.models import DsarRequest, Letter, LetterState, LetterText
from kaireon.jobs import runner
from kaireon.jobs import services as jobs
from kaireon.jobs.models import Job
from kaireon.lib import clock
from kaireon.outbox.models import DeadLetter, Destination
from kaireon.tenancy.context import transaction
from tests.cast import ACME
from tests.dsar.conftest import EMAIL, NUMBER, answer, client, file
from tests.dsar.mailbox import Box, deliver, letters_on, mail_server, states, text_of

DSAR = "/api/v1/dsar"


@pytest.fixture
def box(jane: m.Customer, settings: Any) -> Iterator[Box]:
    with mail_server(settings) as box:
        yield box


def post(path: str, body: Any = None, nick: str = "ada") -> Any:
    return client(nick).post(path, body or {}, format="json")


def code_of(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def listed(row: DsarRequest) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client().get(f"{DSAR}/{row.pk}/letters").json()["letters"]
    return found


def test_nothing_is_mailed_where_nobody_turned_letters_on(jane: m.Customer) -> None:
    answer(file())
    post(f"{DSAR}/{file('grievance').request.pk}/withdraw")
    answer(file("delete"))
    with transaction():
        assert (Letter.objects.count(), LetterText.objects.count()) == (0, 0)
        assert not Job.objects.filter(type="dsar_letter").exists()


def test_an_access_request_is_acknowledged_and_its_answer_told(box: Box) -> None:
    letters_on(sender="privacy@acme.example", contact="schreiben Sie an privacy@acme.example.")
    filed = file(language="de-AT")
    deliver()
    [mail] = box.mails
    [letter] = listed(filed.request)
    assert (box.to, mail["From"], mail["Message-ID"]) == ([EMAIL], "privacy@acme.example", letter["messageId"])
    assert box.subjects() == [f"Eingang Ihres Antrags ({filed.request.pk})"]
    text = text_of(mail)
    assert "Auskunft über Ihre personenbezogenen Daten" in text
    assert "(Art. 12 Abs. 3 DSGVO)" in text
    # Neither who they are nor what they are known by.
    assert "Jane" not in text
    assert NUMBER not in text
    runner.run(job_id=filed.job.pk)
    deliver()
    assert "stehen bis zum" in box.texts()[1]
    assert states() == [("acknowledgement", "sent"), ("completion", "sent")]
    log.drain(ACME)
    events = [e["action"] for e in client().get(f"{DSAR}/{filed.request.pk}/timeline").json()["events"]]
    assert events.count("dsar.letter.written") == events.count("dsar.letter.sent") == 2
    with transaction(), connection.cursor() as cursor:
        about = AuditRecord.objects.filter(entity_type__in=["Letter", "LetterText"])
        assert not [record.pk for record in about if EMAIL in str((record.changes, record.before, record.after))]
        cursor.execute("SELECT count(*) FROM public.dsar_lettertext t WHERE position('jane'::bytea IN t.sealed) > 0")
        assert cursor.fetchone() == (0,)


def test_each_event_has_its_letter(box: Box) -> None:
    letters_on(authority="the Authority of Hesse")
    first = file("rectification", details="Roe")
    again = file("rectification", details="Roe")
    base = f"{DSAR}/{first.request.pk}"
    assert post(f"{base}/extend", {"reason": "forty systems to search"}).status_code == 200
    assert post(f"{base}/complete", {"resolution": "It says Roe now.", "outcome": "completed"}).status_code == 200
    refused = file("objection")
    assert post(f"{DSAR}/{refused.request.pk}/reject", {"ground": "compelling_grounds", "reason": "Fraud"}).status_code
    withdrawn = file("restriction")
    assert post(f"{DSAR}/{withdrawn.request.pk}/withdraw").status_code == 200
    opted = answer(file("opt_out"))
    deliver()
    assert [kind for kind, _ in states()] == [
        *("acknowledgement", "duplicate", "extension", "completion"),
        *("acknowledgement", "refusal", "acknowledgement", "withdrawal", "acknowledgement", "completion"),
    ]
    assert {state for _, state in states()} == {"sent"}
    texts = dict(zip((str(letter["id"]) for letter in _all()), box.texts(), strict=True))

    def text(row: DsarRequest, kind: str) -> str:
        return next(texts[letter["id"]] for letter in listed(row) if letter["kind"] == kind)

    [told] = [letter for letter in listed(first.request) if letter["kind"] == "extension"]
    assert told["toldInTime"] is True
    assert "forty systems to search" in text(first.request, "extension")
    assert "It says Roe now." in text(first.request, "completion")
    assert "We answer both together" in text(again.request, "duplicate")
    for said in ("override your interests", "GDPR Art. 21(1)", "Fraud", "GDPR Art. 77", "GDPR Art. 79", "of Hesse"):
        assert said in text(refused.request, "refusal"), said
    assert "We do not contact you any more." in text(opted, "completion")
    # The mail to be sent again is the same mail, and an event has one letter.
    [answered] = [letter for letter in listed(first.request) if letter["kind"] == "completion"]
    assert code_of(post(f"{base}/letters/{answered['id']}/retry")) == (409, "letter_not_open")
    assert code_of(post(f"{base}/letters", {"kind": "completion"})) == (409, "already_written")
    assert code_of(post(f"{base}/letters", {"kind": "refusal"})) == (409, "not_happened")


def _all() -> list[dict[str, Any]]:
    with transaction():
        return [{"id": str(pk)} for pk in Letter.objects.order_by("written_at", "id").values_list("pk", flat=True)]


def test_nobody_is_written_to_before_it_is_known_that_they_ask(box: Box) -> None:
    letters_on()
    filed = file(identity_by="evidence")
    assert states() == []
    proof = {"method": "vouched", "reason": "Known"}
    assert post(f"{DSAR}/{filed.request.pk}/identity/vouch", proof).status_code == 200
    assert states() == [("acknowledgement", "waiting")]


def test_a_server_that_is_away_is_asked_again_and_then_somebody_sees_it(box: Box) -> None:
    letters_on()
    box.answer = "451 later"
    filed = file()
    deliver()
    [letter] = listed(filed.request)
    assert (letter["state"], letter["error"], box.mails) == ("failed", "smtp_451", [])
    with transaction():
        asked = Job.objects.filter(type="dsar_letter").order_by("created_at")
        assert (asked.count(), DeadLetter.objects.count()) == (sending.MOST_TRIES, 1)
    box.answer = "250 OK"
    assert post(f"{DSAR}/{filed.request.pk}/letters/{letter['id']}/retry").status_code == 200
    deliver()
    assert [mail["Message-ID"] for mail in box.mails] == [letter["messageId"]]
    assert states() == [("acknowledgement", "sent")]


def test_a_server_that_comes_back_gets_the_letter_without_anybody(box: Box) -> None:
    letters_on()
    box.answer = "421 going down"
    file()
    deliver(most=5)
    with transaction():
        letter = Letter.objects.get()
        later = Job.objects.get(pk=letter.job_ref)
        # RETRY_SECONDS times three to the fourth, give or take a half.
        assert (letter.state, letter.error, letter.tries) == ("waiting", "smtp_421", 5)
        assert later.due_at - later.created_at > timedelta(seconds=configured.RETRY_SECONDS * 81 / 2 - 1)
        assert not DeadLetter.objects.exists()
    box.answer = "250 OK"
    deliver()
    assert (states(), len(box.mails)) == ([("acknowledgement", "sent")], 1)


def test_a_server_that_says_never_is_not_asked_again_until_somebody_says_so(box: Box) -> None:
    letters_on()
    box.answer = "550 no such mailbox"
    filed = file()
    deliver()
    base = f"{DSAR}/{filed.request.pk}/letters"
    [letter] = listed(filed.request)
    assert (letter["state"], letter["error"]) == ("failed", "smtp_550")
    box.answer = "250 OK"
    with transaction():
        [old] = Job.objects.filter(type="dsar_letter")
    assert post(f"{base}/{letter['id']}/retry").json()["state"] == "waiting"
    assert code_of(post(f"{base}/{letter['id']}/retry")) == (409, "letter_not_open")
    # The old job's dead letter, replayed too, sends no second copy.
    with transaction():
        jobs.retry(job=old, now=clock.now())
    deliver()
    assert [mail["Message-ID"] for mail in box.mails] == [letter["messageId"]]


def test_a_worker_killed_between_sending_and_noting_sends_the_same_letter_again(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters_on()
    file()

    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(sending, "_sent", die)
        with pytest.raises(Killed):
            deliver()
    assert (len(box.mails), states()) == (1, [("acknowledgement", "waiting")])
    with transaction():
        Job.objects.filter(type="dsar_letter").update(lease_until=clock.now() - timedelta(seconds=1))
        [job] = Job.objects.filter(type="dsar_letter")
    runner.run(job_id=job.pk)
    assert states() == [("acknowledgement", "sent")]
    assert len({mail["Message-ID"] for mail in box.mails}) == 1
    # And what was noted is not sent a third time.
    with transaction():
        Job.objects.filter(pk=job.pk).update(state="queued", finished_at=None)
    runner.run(job_id=job.pk)
    assert len(box.mails) == 2


def test_a_letter_without_an_address_waits_for_an_officer_who_says_how_it_went(box: Box) -> None:
    letters_on()
    with transaction():
        m.Customer.objects.filter(customer_id=NUMBER).update(email="")
    filed = file("grievance")
    base = f"{DSAR}/{filed.request.pk}/letters"
    [letter] = listed(filed.request)
    assert (letter["state"], letter["error"]) == ("not_possible", "no_address")
    assert client().get(f"{base}/{letter['id']}").json()["to"] is None
    assert post(f"{base}/{letter['id']}/mark", {"evidence": ""}).status_code == 400
    marked = post(f"{base}/{letter['id']}/mark", {"evidence": "By registered mail, RR123"})
    assert (marked.status_code, marked.json()["state"]) == (200, "sent_otherwise")
    assert code_of(post(f"{base}/{letter['id']}/mark", {"evidence": "again"})) == (409, "letter_not_open")
    shown = client().get(f"{base}/{letter['id']}").json()
    assert (shown["evidence"], box.mails) == ("By registered mail, RR123", [])
    log.drain(ACME)
    with transaction():
        read = AuditRecord.objects.filter(action="dsar.letter.read", entity_id=letter["id"])
        assert read.count() == 2
        assert not AuditRecord.objects.filter(changes__icontains="RR123").exists()


def test_a_tenant_without_a_destination_for_mail_sees_why(box: Box) -> None:
    letters_on()
    with transaction():
        Destination.objects.update(is_enabled=False)
    filed = file()
    deliver()
    assert [(x["state"], x["error"]) for x in listed(filed.request)] == [("failed", "no_mail")]


def test_only_those_who_manage_requests_write_and_a_foreign_letter_is_none(box: Box) -> None:
    letters_on()
    row = file().request
    [letter] = listed(row)
    base = f"{DSAR}/{row.pk}/letters"
    other = file("grievance").request
    for path in (f"{DSAR}/{uuid4()}/letters", f"{base}/{uuid4()}", f"{DSAR}/{other.pk}/letters/{letter['id']}"):
        assert client().get(path).status_code == 404, path
    for body in ({}, {"kind": "nonsense"}, {"kind": "refusal", "language": "xx"}, {"kind": "refusal", "to": "x@y"}):
        assert post(f"{base}/preview", body).status_code == 400, body
    with transaction():
        assert LetterState.SENT not in Letter.objects.values_list("state", flat=True)
