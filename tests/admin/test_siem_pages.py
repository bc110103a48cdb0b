"""The pages of SIEM destinations: made, changed, tried, paused, set back; who may, and what they never show."""

import html
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from audit import services
from audit.models import AuditRecord, Cursor, SiemDestination
from audit.shipping import destinations, lag
from audit.shipping.shipping import ship
from audit.tree import signing
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import transaction
from tests.admin.conftest import SignIn
from tests.audit.log import write
from tests.audit.shipping.elastic import Elastic
from tests.audit.shipping.receivers import TOKEN, listening
from tests.cast import ACME, ADA, AUD, ED, MALLORY

LIST = "/admin/audit/siemdestination/"


@pytest.fixture
def receiver(settings: Any) -> Iterator[Elastic]:
    settings.ALLOW_PRIVATE_DESTINATIONS = True
    with listening(Elastic()) as it:
        yield it


def given(receiver: Elastic, **other: Any) -> dict[str, Any]:
    where = {"name": "ours", "backend": "elastic", "endpoint": receiver.url, "index": "audit"}
    return {**where, "is_gzipped": "on", "api_key": TOKEN, **other}


def made(client: Client, receiver: Elastic, **other: Any) -> SiemDestination:
    assert client.post(f"{LIST}new/", given(receiver, **other)).status_code == 302
    return row()


def row() -> SiemDestination:
    with ADA.here(), transaction():
        return SiemDestination.objects.get()


def text_of(answer: Any) -> str:
    assert answer.status_code == 200
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode())))


def shipped() -> int:
    """Ship what there is; how many were refused."""
    with ADA.here():
        with transaction():
            [target] = destinations.own()
        return ship(target, budget=Budget(60)).refused


def verbs() -> list[str]:
    services.drain(ACME)
    with ADA.here(), transaction():
        rows = AuditRecord.objects.filter(entity_type="SiemDestination").order_by("seq")
        return list(rows.values_list("action", flat=True))


def test_it_is_made_tried_shipped_to_and_shown(sign_in: SignIn, receiver: Elastic) -> None:
    client = sign_in(ADA)
    page = f"{LIST}{made(client, receiver).pk}"
    assert "took the test event" in text_of(client.post(f"{page}/test/", follow=True))
    assert [event["kind"] for event in receiver.events] == ["test"]
    found = row()
    assert (found.test_error, found.tested_at is None) == ("", False)
    assert verbs() == ["siem_destination.create", "siem_destination.test"]

    with ADA.here(), transaction():
        # Making it is a record too.
        signing.signer()
    write(7, tenant=ACME)
    with ADA.here():
        with transaction():
            [target] = destinations.own()
        assert ship(target, budget=Budget(60)).error == ""
    shown = text_of(client.get(f"{page}/change/"))
    assert "Up to date" in shown
    assert "took the test event" in shown
    assert "Up to date" in text_of(client.get(LIST))


@pytest.mark.parametrize("key", ["", "wrong-key"])
def test_what_is_wrong_is_said_in_words(sign_in: SignIn, receiver: Elastic, key: str) -> None:
    client = sign_in(ADA)
    if not key:
        answer = client.post(f"{LIST}new/", given(receiver, api_key=""))
        assert "required" in text_of(answer)
        return
    page = f"{LIST}{made(client, receiver, api_key=key).pk}"
    assert "The key was refused: change it. (unauthorized)" in text_of(client.post(f"{page}/test/", follow=True))
    assert row().test_error == "unauthorized"


def test_a_form_that_cannot_be_says_why(sign_in: SignIn, receiver: Elastic, settings: Any) -> None:
    client = sign_in(ADA)
    assert "Index is needed" in text_of(client.post(f"{LIST}new/", given(receiver, index="")))
    assert "Name takes letters" in text_of(client.post(f"{LIST}new/", given(receiver, name="operator")))
    settings.ALLOW_PRIVATE_DESTINATIONS = False
    assert "must begin with https" in text_of(client.post(f"{LIST}new/", given(receiver)))


def test_it_is_changed_and_its_key_stays_unless_the_endpoint_is_another(sign_in: SignIn, receiver: Elastic) -> None:
    client = sign_in(ADA)
    page = f"{LIST}{made(client, receiver).pk}"
    shown = client.get(f"{page}/edit/").content.decode()
    assert TOKEN not in shown
    assert client.post(f"{page}/edit/", given(receiver, api_key="", name="theirs")).status_code == 302
    assert row().name == "theirs"
    assert "took the test event" in text_of(client.post(f"{page}/test/", follow=True))
    other = given(receiver, api_key="", endpoint="https://thief.example")
    assert "The key is needed again" in text_of(client.post(f"{page}/edit/", other))


def test_gzip_is_on_until_it_is_turned_off(sign_in: SignIn, receiver: Elastic) -> None:
    client = sign_in(ADA)
    assert client.get(f"{LIST}new/").context["form"]["is_gzipped"].initial is True
    page = f"{LIST}{made(client, receiver).pk}"
    assert "took the test event" in text_of(client.post(f"{page}/test/", follow=True))
    changed = {name: value for name, value in given(receiver, api_key="").items() if name != "is_gzipped"}
    assert client.post(f"{page}/edit/", changed).status_code == 302
    assert "took the test event" in text_of(client.post(f"{page}/test/", follow=True))
    assert (row().is_gzipped, receiver.encodings) == (False, ["gzip", None])
    assert client.get(f"{page}/edit/").context["form"]["is_gzipped"].value() is False


def test_it_is_paused_and_goes_on(sign_in: SignIn, receiver: Elastic) -> None:
    client = sign_in(ADA)
    page = f"{LIST}{made(client, receiver).pk}"
    for paused, does, shown in ((True, "pause", "Go on"), (False, "resume", "Pause")):
        assert client.post(f"{page}/{does}/").status_code == 302
        assert row().is_paused == paused
        buttons = text_of(client.get(f"{page}/change/")).split("Ship again")[0]
        assert [word for word in ("Pause", "Go on") if f" {word} " in buttons] == [shown]
        assert ("Paused" in text_of(client.get(LIST))) == paused
    assert verbs() == ["siem_destination.create", "siem_destination.pause", "siem_destination.resume"]


def test_it_is_set_back_and_not_forward(sign_in: SignIn, receiver: Elastic, monkeypatch: pytest.MonkeyPatch) -> None:
    client = sign_in(ADA)
    page = f"{LIST}{made(client, receiver).pk}"
    write(7, tenant=ACME)
    receiver.faults.refuses = lambda event: event.get("seq") in (3, 5)
    assert shipped() == 2
    monkeypatch.setattr(lag, "NAMED", 1)
    assert "and 1 more" in text_of(client.get(f"{page}/change/"))
    receiver.faults.refuses = lambda event: event.get("seq") == 5
    assert "has not come so far" in text_of(client.post(f"{page}/again/", {"seq": 10_000}))
    assert client.post(f"{page}/again/", {"seq": 3}).status_code == 302
    with ADA.here(), transaction():
        assert Cursor.objects.get(tenant_id=ACME, follower=f"siem:{row().pk}").seq == 2
    assert verbs()[-1] == "siem_destination.ship_again"
    # What was refused before and is taken now is refused no longer, and what is refused twice is one record.
    assert shipped() == 1
    with ADA.here(), transaction():
        found = lag.lag(str(row().pk), created_at=row().created_at)
    assert [(a, b) for a, b, _ in found.refused] == [(5, 5)]
    assert (found.refused_ranges, found.refused_records) == (1, 1)


def test_auditors_look_and_admins_change(sign_in: SignIn, receiver: Elastic) -> None:
    page = f"{LIST}{made(sign_in(ADA), receiver).pk}"
    auditor = sign_in(AUD)
    assert auditor.get(f"{page}/change/").status_code == 200
    for verb in ("edit", "test", "pause", "again"):
        assert auditor.post(f"{page}/{verb}/").status_code == 403, verb
        assert sign_in(ED).post(f"{page}/{verb}/").status_code == 403, verb
        assert sign_in(MALLORY).post(f"{page}/{verb}/").status_code == 404, verb
    assert auditor.post(f"{LIST}new/", given(receiver)).status_code == 403
    assert sign_in(MALLORY).get(f"{page}/change/").status_code in (302, 404)


def test_no_page_shows_a_key(sign_in: SignIn, receiver: Elastic) -> None:
    client = sign_in(ADA)
    page = f"{LIST}{made(client, receiver, search_key='another-key').pk}"
    for path in (LIST, f"{page}/change/", f"{page}/edit/", f"{page}/test/", f"{page}/pause/", f"{page}/resume/"):
        shown = client.get(path).content.decode()
        assert TOKEN not in shown
        assert "another-key" not in shown
