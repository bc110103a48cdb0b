"""Recipients of the data hear of erasure, rectification and restriction, and the subject hears who did (Article 19)."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from audit import services as log
from audit.models import AuditRecord
from customers import models as m
from dsar.models import Letter, RecipientNotice
from dsar.recipients import recipients
from dsar.requests import services
from dsar.restoring import replay
from kaireon.jobs import runner
from kaireon.lib import clock
from kaireon.outbox import streams, webhooks
from kaireon.outbox.models import Message, Payload
from kaireon.tenancy.context import transaction
from tests.cast import ACME, ADA
from tests.dsar.conftest import EMAIL, NUMBER, answer, client, file
from tests.dsar.mailbox import Box, letters_on, mail_server
from tests.dsar.mailbox import deliver as deliver_letters
from tests.dsar.test_erasure import _hold, _release
from tests.dsar.test_erasure_deferral import work_off
from tests.dsar.test_letters import code_of, post
from tests.outbox.conftest import Receiver, deliver, deliver_until_settled, destination, receiver_on, say
from tests.race import at_once

DSAR = "/api/v1/dsar"
SECRET = "shared-secret-0123456789"


@pytest.fixture
def shop(jane: m.Customer, settings: Any) -> Iterator[Receiver]:
    """A shop that knows customers by number and got deliveries; a lab that knows addresses and got everything."""
    settings.ALLOW_PRIVATE_DESTINATIONS = True
    webhooks._pool.cache_clear()
    streams.client.cache_clear()
    with receiver_on() as hook:
        destination("shop", "webhook", {"url": hook.url}, SECRET)
        destination("lab", "stream", {"stream": "lab"})
        with transaction():
            recipients.save(name="The Shop", destination="shop", sections=["deliveries", "profile"], now=clock.now())
            recipients.save(name="Lab & Co", destination="lab", knows_by="email", now=clock.now())
        yield hook


@pytest.fixture
def box(settings: Any) -> Iterator[Box]:
    with mail_server(settings) as box:
        yield box


def notices(request_id: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client().get(f"{DSAR}/{request_id}/notices").json()["notices"]
    return sorted(found, key=lambda notice: (notice["madeAt"], notice["recipient"]))


def states(request_id: object) -> list[tuple[str, str]]:
    return [(notice["recipient"], notice["state"]) for notice in notices(request_id)]


def payloads() -> int:
    with transaction():
        return Payload.objects.count()


def test_an_erasure_is_told_to_those_who_got_the_data_and_to_the_subject(shop: Receiver, box: Box) -> None:
    letters_on()
    filed = file("delete")
    runner.run(job_id=filed.job.pk)
    # The last look of the erasure has been, and left what tells of it.
    assert states(filed.request.pk) == [("Lab & Co", "waiting"), ("The Shop", "waiting")]
    assert deliver().sent == 2
    assert states(filed.request.pk) == [("Lab & Co", "told"), ("The Shop", "told")]
    [got] = shop.got
    assert got.data["subject"] == {"by": "customer_id", "value": NUMBER}
    assert (got.data["kind"], got.data["article"], got.data["sections"]) == (
        *("erasure", "GDPR Art. 19"),
        ["deliveries", "profile"],
    )
    assert got.data["requestId"] == str(filed.request.pk)
    [lab] = streams.client().xrange(streams.key(ACME, "lab"))
    assert EMAIL.encode() in lab[1][b"body"]
    assert payloads() == 0
    deliver_letters()
    assert "are being told (GDPR Art. 19):\n- Lab & Co\n- The Shop" in box.texts()[-1]
    log.drain(ACME)
    told = [e["action"] for e in client().get(f"{DSAR}/{filed.request.pk}/timeline").json()["events"]]
    assert (told.count("dsar.recipient.notice"), told.count("dsar.recipient.told")) == (2, 2)
    with transaction():
        about = AuditRecord.objects.filter(entity_type__in=["Recipient", "RecipientNotice", "Message"])
        assert not [r.pk for r in about if NUMBER in str(r.changes) or EMAIL in str(r.changes)]
        assert not [m for m in Message.objects.all() if NUMBER in str(vars(m)) or EMAIL in str(vars(m))]


def test_the_rest_that_a_hold_kept_is_told_by_the_id_of_the_request(shop: Receiver) -> None:
    _hold("deliveries")
    filed = file("delete")
    runner.run(job_id=filed.job.pk)
    deliver()
    [first] = [got.data for got in shop.got]
    # The profile was emptied, and its deliveries wait.
    assert (first["sections"], first["deferred"], first["subject"]["value"]) == (["profile"], ["deliveries"], NUMBER)
    _release("deliveries")
    work_off()
    deliver()
    second = shop.got[-1].data
    assert second["subject"] == {"by": "request", "value": str(filed.request.pk)}
    assert ("deliveries" in second["sections"], second["deferred"], len(shop.got)) == (True, [], 2)
    assert {state for _, state in states(filed.request.pk)} == {"told"}
    assert payloads() == 0


def test_a_recipient_that_is_away_fails_and_an_officer_says_why_it_is_not_told(shop: Receiver, box: Box) -> None:
    letters_on(language="de")
    shop.always = say(410)
    filed = file("rectification", details="Roe")
    base = f"{DSAR}/{filed.request.pk}"
    assert post(f"{base}/complete", {"resolution": "Geändert."}).status_code == 200
    deliver_until_settled()
    assert states(filed.request.pk) == [("Lab & Co", "told"), ("The Shop", "failed")]
    [failed] = [notice for notice in notices(filed.request.pk) if notice["state"] == "failed"]
    assert (failed["error"], failed["kind"]) == ("http_410", "rectification")
    mark = f"{base}/notices/{failed['id']}/not-told"
    for body in ({}, {"effort": "lazy", "reason": "x"}, {"effort": "impossible", "reason": ""}):
        assert post(mark, body).status_code == 400, body
    assert post(f"{base}/notices/{uuid4()}/not-told", {"effort": "impossible", "reason": "x"}).status_code == 404
    assert post(mark, {"effort": "impossible", "reason": "It was wound up."}, "mallory").status_code == 404
    said = post(mark, {"effort": "impossible", "reason": "It was wound up."}).json()
    assert (said["state"], said["effort"], said["reason"]) == ("not_told", "impossible", "It was wound up.")
    assert code_of(post(mark, {"effort": "impossible", "reason": "again"})) == (409, "notice_settled")
    assert payloads() == 0
    preview = post(f"{base}/letters/preview", {"kind": "completion"}).json()["text"]
    assert "unterrichtet (Art. 19 DSGVO):\n- Lab & Co" in preview
    assert "unverhältnismäßigem Aufwand unterrichten:\n- The Shop" in preview


def test_a_dead_notice_that_is_replayed_is_told(shop: Receiver) -> None:
    shop.always = say(500)
    filed = file("restriction")
    post(f"{DSAR}/{filed.request.pk}/complete", {"resolution": "Restricted."})
    deliver_until_settled()
    assert ("The Shop", "failed") in states(filed.request.pk)
    shop.always = say(204)
    assert post("/api/v1/admin/dlq", {"action": "retry", "topic": "dsar.recipient_notice"}).status_code == 200
    deliver()
    assert states(filed.request.pk) == [("Lab & Co", "told"), ("The Shop", "told")]
    assert [got.data["kind"] for got in shop.got][-1] == "restriction"


def test_who_got_nothing_of_it_or_cannot_know_them_hears_nothing(shop: Receiver) -> None:
    with transaction():
        m.Customer.objects.filter(customer_id=NUMBER).update(email="")
        recipients.save(name="The Shop", destination="shop", sections=["attachments"], enabled=False, now=clock.now())
    filed = file("restriction")
    post(f"{DSAR}/{filed.request.pk}/complete", {"resolution": "Restricted."})
    [notice] = notices(filed.request.pk)
    assert (notice["recipient"], notice["state"], notice["error"]) == ("Lab & Co", "failed", "no_identifier")
    # Nothing was done, so nobody is told.
    other = file("rectification")
    post(f"{DSAR}/{other.request.pk}/complete", {"resolution": "Nothing found.", "outcome": "no_data"})
    post(f"{DSAR}/{file('export').request.pk}/withdraw")
    answer(file())
    with transaction():
        assert RecipientNotice.objects.count() == 1


def test_what_is_no_recipient_is_refused(shop: Receiver) -> None:
    good = {"name": "Print", "destination": "lab", "sections": ["deliveries"]}
    for change in (
        {"name": ""},
        {"name": "a\nb"},
        {"name": "x" * 121},
        {"destination": "nowhere"},
        {"sections": ["secrets"]},
        {"knowsBy": "shoe_size"},
        {"tenant": "globex"},
    ):
        assert post(f"{DSAR}/recipients", {**good, **change}).status_code == 400, change
    assert post(f"{DSAR}/recipients", good).json()["sections"] == ["deliveries"]
    assert post(f"{DSAR}/recipients", {**good, "enabled": False}).json()["enabled"] is False
    assert len(client().get(f"{DSAR}/recipients").json()["recipients"]) == 3
    assert client("mallory").get(f"{DSAR}/recipients").json()["recipients"] == []


def test_what_is_done_again_after_a_restore_is_told_nobody_a_second_time(shop: Receiver, box: Box) -> None:
    letters_on()
    with transaction():
        done_again = services.create_request(
            request_type="delete", subject_id=NUMBER, again=True, actor=replay.ACTOR, now=clock.now()
        )
    assert done_again.request.is_repeated
    assert answer(done_again).outcome == "completed"
    deliver()
    deliver_letters()
    assert (box.mails, shop.got, payloads()) == ([], [], 0)
    with transaction():
        assert not RecipientNotice.objects.exists()
        assert not Letter.objects.exists()


def test_a_destination_for_mail_is_none_for_notices(ada: None) -> None:
    destination("post", "email", {})
    body = {"name": "The Post", "destination": "post"}
    answered = client().post(f"{DSAR}/recipients", body, format="json")
    assert answered.status_code == 400
    assert answered.json()["error"]["message"].startswith("destination: A notice is for programs")


def test_two_who_make_the_same_recipient_at_once_make_one(ada: None) -> None:
    destination("lab", "stream", {"stream": "lab"})

    def save() -> str:
        with ADA.here(), transaction():
            return str(recipients.save(name="Lab & Co", destination="lab", now=clock.now()).pk)

    assert len({str(pk) for pk in at_once(save, save, save)}) == 1
