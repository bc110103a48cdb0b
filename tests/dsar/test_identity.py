"""Making sure that the subject asks. Nothing is done before."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from audit import services as log
from customers import models as m
from dsar.models import DsarRequest, IdentityCheck
from dsar.requests import identity
from dsar.requests.demands import demand
from kaireon.jobs import runner
from kaireon.jobs.models import Job
from kaireon.lib import clock
from kaireon.outbox import destinations, payloads
from kaireon.outbox.models import Message
from kaireon.tenancy.context import transaction
from tests.cast import ACME
from tests.dsar.conftest import EMAIL, NUMBER, answer, client, file
from tests.race import at_once

DSAR = "/api/v1/dsar"


@pytest.fixture
def post_room(jane: m.Customer) -> None:
    with transaction():
        destinations.save(name="letters", kind="email", given={}, now=clock.now())


def ask(method: str = "code", **more: Any) -> str:
    """The path of an export that waits for proof."""
    body = {"requestType": "export", "subjectId": NUMBER, "identity": {"method": method}, **more}
    filed = client().post(DSAR, body, format="json")
    assert (filed.status_code, filed.json()["status"]) == (202, "queued")
    return f"{DSAR}/{filed.json()['requestId']}"


def post(path: str, body: Any = None, nick: str = "ada", **headers: str) -> Any:
    return client(nick).post(path, body or {}, format="json", headers=headers)


def verify(path: str, code: str, nick: str = "ada", **headers: str) -> Any:
    return post(f"{path}/identity/verify", {"code": code}, nick, **headers)


def mailed(path: str) -> tuple[dict[str, Any], str]:
    """Have a code sent; the newest mail and the code in it."""
    assert post(f"{path}/identity/code").status_code == 200
    with transaction():
        newest = Message.objects.order_by("-created_at", "-id").first()
        assert newest is not None
        mail = payloads.read(newest.pk)
    assert mail is not None
    found = re.search(r"\b[0-9]{8}\b", mail["text"])
    assert found is not None
    return mail, found[0]


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10**8:08d}"


def code_of(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def state(path: str) -> str:
    found: str = client().get(path).json()["state"]
    return found


def later(by: timedelta) -> None:
    """The clock of every check, moved: as if that long had passed."""
    with transaction():
        for check in IdentityCheck.objects.exclude(sent_at=None):
            assert check.sent_at
            assert check.expires_at
            IdentityCheck.objects.filter(pk=check.pk).update(
                sent_at=check.sent_at - by, expires_at=check.expires_at - by
            )


@pytest.mark.usefixtures("post_room")
def test_a_mailed_code_lets_the_request_go_on() -> None:
    path = ask()
    assert client().get(path).json()["identity"] == {"method": "code", "proved": False, "provedAt": None}
    with transaction():
        assert not Job.objects.exists()
    mail, code = mailed(path)
    assert (mail["to"], "Jane" in mail["text"], NUMBER in mail["text"]) == ([EMAIL], False, False)
    assert verify(path, code).json()["state"] == "queued"
    assert client().get(path).json()["identity"]["proved"] is True
    # A code proves once.
    assert code_of(verify(path, code)) == (409, "identity_not_waiting")
    with transaction():
        [job] = Job.objects.all()
    runner.run(job_id=job.pk)
    events = [event["action"] for event in client().get(f"{path}/timeline").json()["events"]]
    assert events == [
        *("dsar.create", "dsar.identity.code_sent", "dsar.identity.proved", "dsar.start", "dsar.export.completed"),
    ]


@pytest.mark.usefixtures("post_room")
def test_the_code_is_nowhere_in_the_clear() -> None:
    path = ask()
    _, code = mailed(path)
    verify(path, wrong(code))
    log.drain(ACME)
    with transaction(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND column_name = 'tenant_id'"
        )
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT count(*) FROM public."{table}" r WHERE r::text LIKE %s', [f"%{code}%"])
            assert cursor.fetchone() == (0,), table


@pytest.mark.usefixtures("post_room")
def test_five_wrong_codes_lock_it_for_every_code_and_an_officer_can_still_vouch() -> None:
    path = ask()
    _, code = mailed(path)
    refused = [code_of(verify(path, wrong(code)))[1] for _ in range(5)]
    assert refused == ["wrong_code"] * 4 + ["identity_locked"]
    assert code_of(verify(path, code)) == (409, "identity_locked")
    later(timedelta(minutes=2))
    assert code_of(post(f"{path}/identity/code")) == (409, "identity_locked")
    assert state(path) == "identity"
    vouched = post(f"{path}/identity/vouch", {"method": "vouched", "reason": "Known to me for years"})
    assert vouched.json()["state"] == "queued"


@pytest.mark.usefixtures("post_room")
def test_a_new_code_ends_the_one_before_and_gives_no_new_tries() -> None:
    path = ask()
    _, first = mailed(path)
    assert code_of(verify(path, wrong(first))) == (409, "wrong_code")
    assert code_of(post(f"{path}/identity/code")) == (429, "code_too_soon")
    later(timedelta(minutes=2))
    _, second = mailed(path)
    assert code_of(verify(path, first)) == (409, "wrong_code")
    with transaction():
        assert IdentityCheck.objects.get().wrong_codes == 2
    later(timedelta(minutes=2))
    mailed(path)
    later(timedelta(minutes=2))
    assert code_of(post(f"{path}/identity/code")) == (409, "too_many_codes")
    assert code_of(verify(path, second)) == (409, "wrong_code")


@pytest.mark.usefixtures("post_room")
def test_an_expired_code_proves_nothing() -> None:
    path = ask()
    assert code_of(verify(path, "12345678")) == (409, "code_expired")
    _, code = mailed(path)
    later(identity.CODE_LIVES)
    assert code_of(verify(path, code)) == (409, "code_expired")
    assert state(path) == "identity"


@pytest.mark.usefixtures("post_room")
def test_a_code_is_good_for_its_request_alone() -> None:
    one, other = ask(), ask()
    _, code = mailed(one)
    mailed(other)
    assert code_of(verify(other, code)) == (409, "wrong_code")
    assert verify(other, code, "mallory").status_code == 404
    assert verify(other, code, "ed").status_code == 403
    assert verify(one, code).status_code == 200


@pytest.mark.usefixtures("post_room")
@pytest.mark.parametrize("code", ["", "12345", "abcdefgh", "١٢٣٤٥٦٧٨", "1" * 10_000, "12345678; --"])
def test_what_is_no_code_is_refused_and_not_counted(code: str) -> None:
    path = ask()
    mailed(path)
    assert verify(path, code).status_code == 400
    with transaction():
        assert IdentityCheck.objects.get().wrong_codes == 0


@pytest.mark.usefixtures("post_room")
def test_of_two_verifications_at_once_one_proves_and_one_job_runs() -> None:
    path = ask()
    _, code = mailed(path)
    answers = at_once(*[lambda: verify(path, code) for _ in range(3)])
    assert sorted(a.status_code for a in answers) == [200, 409, 409]  # type: ignore[union-attr]
    with transaction():
        assert Job.objects.count() == 1


@pytest.mark.usefixtures("post_room")
def test_wrong_codes_at_once_are_all_counted() -> None:
    path = ask()
    _, code = mailed(path)
    answers = at_once(*[lambda: verify(path, wrong(code)) for _ in range(7)])
    assert sorted(code_of(a)[1] for a in answers) == ["identity_locked"] * 3 + ["wrong_code"] * 4
    with transaction():
        assert IdentityCheck.objects.get().wrong_codes == 5


def test_without_address_or_mail_room_no_code_is_promised(jane: m.Customer) -> None:
    assert code_of(post(f"{ask()}/identity/code")) == (409, "no_mail")
    assert code_of(post(f"{ask(subjectId='nobody-9')}/identity/code")) == (409, "no_address")


@pytest.mark.usefixtures("post_room")
@pytest.mark.parametrize("address", ["Jürgen.Groß@Bücher.Example", "用户@例子.广告", "O'Brien+x@example.com"])
def test_codes_go_to_the_address_that_asks_in_one_spelling(address: str) -> None:
    path = ask(subjectId=f"  {address.upper()} ", subjectType="email")
    mail, code = mailed(path)
    assert mail["to"] == [address.upper().lower()]
    assert verify(path, code).status_code == 200


def test_an_officer_says_what_was_seen_and_it_is_sealed(jane: m.Customer) -> None:
    path = ask("evidence")
    for body in (
        {"method": "evidence", "reason": "x"},
        {"method": "evidence", "reason": "x", "evidence": "scan.pdf"},
        {"method": "vouched", "reason": "x", "evidence": "signed_in"},
        {"method": "vouched"},
        {"method": "vouched", "reason": ""},
        {"method": "vouched", "reason": "x" * 10_000},
        {"method": "code", "reason": "x"},
        {"method": "evidence", "reason": "x", "evidence": "signed_in", "document": "aGk="},
    ):
        assert post(f"{path}/identity/vouch", body).status_code == 400, body
    seen = {"method": "evidence", "evidence": "identity_document", "reason": "Passport of Jane Roe"}
    assert post(f"{path}/identity/vouch", seen, "ed").status_code == 403
    assert post(f"{path}/identity/vouch", seen).json()["state"] == "queued"
    assert code_of(post(f"{path}/identity/vouch", seen)) == (409, "identity_not_waiting")
    with transaction():
        row = DsarRequest.objects.get()
    assert row.notes == {"identity": "Passport of Jane Roe", "evidence": "identity_document"}
    assert "Roe" not in client().get(path).content.decode()


def test_proof_can_come_with_the_filing(jane: m.Customer) -> None:
    path = ask("vouched", identity={"method": "vouched", "reason": "They stand before me"})
    shown = client().get(path).json()
    assert (shown["state"], shown["identity"]["method"], shown["identity"]["proved"]) == ("queued", "vouched", True)
    bad = {"requestType": "export", "subjectId": NUMBER, "identity": {"method": "code", "reason": "x"}}
    assert client().post(DSAR, bad, format="json").status_code == 400


def test_a_tenant_can_demand_it_of_every_request(jane: m.Customer) -> None:
    with transaction():
        demand("identity", demanded=True, now=clock.now())
    waiting = file("delete")
    assert (waiting.queued, waiting.request.state) == (None, "identity")
    at_door = client().post("/api/v1/gdpr/erasure", {"customerId": NUMBER}, format="json")
    assert (at_door.status_code, at_door.json()["status"]) == (202, "queued")
    with transaction():
        assert m.Customer.objects.filter(pk=jane.pk).exists()
    # Nobody has to prove who they are to opt out in California.
    assert answer(file("opt_out", regulation="ccpa")).outcome == "completed"
    for verb, body in (("complete", {"resolution": "x"}), ("assign", {"to": "ada@acme.example"})):
        answered = post(f"{DSAR}/{file('grievance').request.pk}/{verb}", body)
        assert answered.status_code == 409 or answered.json()["state"] == "identity"


@pytest.mark.usefixtures("post_room")
def test_who_proved_nothing_neither_holds_others_up_nor_gets_their_answer() -> None:
    unproved = ask()
    first = file("export")
    assert first.queued is not None
    assert client().get(unproved).json()["duplicateOf"] is None
    _, code = mailed(unproved)
    assert verify(unproved, code).status_code == 200
    assert client().get(unproved).json()["duplicateOf"] == str(first.request.pk)
    answer(first)
    assert client().get(unproved).json()["outcome"] == "duplicate"


@pytest.mark.usefixtures("post_room")
def test_what_waits_can_be_rejected_and_withdrawn_and_its_code_ends_with_it() -> None:
    path = ask()
    _, code = mailed(path)
    rejected = post(f"{path}/reject", {"ground": "identity_not_proven", "reason": "No answer"})
    assert rejected.json()["outcome"] == "rejected"
    assert code_of(verify(path, code)) == (409, "identity_not_waiting")
    assert post(f"{ask()}/withdraw").json()["outcome"] == "withdrawn"
    with transaction():
        assert not Job.objects.exists()
