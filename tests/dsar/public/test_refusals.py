"""What the page refuses, each in words on a page, and nothing comes of it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from dsar.dossiers import export, keeping
from dsar.models import Dossier
from dsar.public import guard, page
from kaireon.lib import clock
from kaireon.tenancy.context import scope, transaction
from kaireon.tenancy.models import Tenant
from tests.cast import GLOBEX, MALLORY, SETUP
from tests.dsar.conftest import EMAIL
from tests.dsar.public.conftest import (
    Visitor,
    code_in,
    earlier,
    filings,
    link_in,
    mails,
    open_page,
    requests,
    text_of,
    work,
)
from tests.race import at_once
from tests.s3 import Bucket

PASSED = "code/"


@pytest.fixture
def stopped() -> Iterator[None]:
    """However long a test takes, nobody was fast or slow."""
    with clock.freeze(clock.now()):
        yield


@pytest.mark.usefixtures("stopped")
def test_what_is_no_request_is_said_by_field_and_nothing_is_kept(acme: str) -> None:
    shown = guard.stamp(clock.now() - timedelta(seconds=30))
    good = {"kind": "export", "address": EMAIL, "shown": shown}
    for change, said, place in (
        ({"kind": ""}, "Choose what you want.", "id_kind_error"),
        ({"kind": "portability; DROP"}, "Select a valid choice.", "id_kind_error"),
        # Not a right under this law.
        ({"kind": "grievance"}, "Select a valid choice.", "id_kind_error"),
        ({"address": ""}, "Give your e-mail address", "id_address_error"),
        ({"address": "jane"}, "This is no e-mail address", "id_address_error"),
        ({"address": "a b@example.com"}, "This is no e-mail address", "id_address_error"),
        ({"address": "a\nb@example.com"}, "This is no e-mail address", "id_address_error"),
        ({"address": "a@example.com,b@example.com"}, "This is no e-mail address", "id_address_error"),
        ({"address": "a<b@example.com>"}, "This is no e-mail address", "id_address_error"),
        ({"address": "b@example.com(a@example.com)"}, "This is no e-mail address", "id_address_error"),
        ({"address": "a@example.com\r\nBcc:b@example.com"}, "This is no e-mail address", "id_address_error"),
        ({"address": "a\x00b@example.com"}, "Null characters are not allowed.", "id_address_error"),
        ({"address": "x" * 10_000 + "@example.com"}, "at most 254 characters", "id_address_error"),
        ({"number": "1\x0012"}, "Null characters are not allowed.", "id_number_error"),
        ({"number": "1\u008512"}, "no control characters", "id_number_error"),
        ({"number": "9" * 10_000}, "at most 128 characters", "id_number_error"),
        ({"kind": "rectification"}, "Tell us: what is wrong, and what it should say.", "id_details_error"),
        ({"kind": "objection", "details": "  "}, "Tell us: which use you object to, and why.", "id_details_error"),
        ({"details": "x" * 10_000}, "at most 2000 characters", "id_details_error"),
        ({"website": "https://spam.example"}, "A field that nobody sees was filled in.", "faults"),
        ({"shown": guard.stamp(clock.now())}, "That was very fast.", "faults"),
        ({"shown": guard.stamp(clock.now() - timedelta(hours=13))}, "open for too long", "faults"),
        ({"shown": ""}, "open for too long", "faults"),
        ({"shown": shown[:-1] + "~"}, "open for too long", "faults"),
        ({"shown": "1.0:x"}, "open for too long", "faults"),
    ):
        # A network of its own for each.
        visitor = Visitor(REMOTE_ADDR=f"10.0.{len(place)}.{len(said)}")
        answer = visitor.post("", {**good, **change})
        page = answer.content.decode()
        assert answer.status_code == 200, change
        assert said in page, change
        assert f'id="{place}"' in page, change
        assert 'role="alert"' in page, change
        assert "<title>Not sent:" in page, change
        assert not answer.cookies.get("kaireon_filing"), change
    assert filings() == 0
    # What was typed is still there, and is no markup.
    answer = Visitor().post("", {**good, "address": '"><script>alert(1)</script>', "number": "'\"/\\<b>"})
    assert b"<script" not in answer.content
    assert b"&lt;script&gt;" in answer.content
    assert b"&#x27;&quot;/\\&lt;b&gt;" in answer.content
    # An old page can be sent again as it is shown anew.
    stale = Visitor().post("", {**good, "shown": guard.stamp(clock.now() - timedelta(hours=13))})
    assert f'value="{shown}"' not in stale.content.decode()
    assert "1.0:x" not in stale.content.decode()


@pytest.mark.parametrize(
    ("address", "number", "details"),
    [
        ("Jürgen.Groß@Bücher.Example", "Ünïcode/№ 'x'\"\\", "Ätsch 你好 '; DROP TABLE --\r\n\u202eback"),
        ("用户@例子.广告", "../../etc/passwd", "<script>alert(1)</script> {{ x }} {% y %}"),
        ("o'brien+x@example.com", "%00%0a", "x" * 2000),
    ],
)
def test_what_people_write_comes_through_as_they_wrote_it(acme: str, address: str, number: str, details: str) -> None:
    visitor = Visitor()
    page = visitor.arrive("rectification", address, number=number, details=details)
    assert page.status_code == 200
    [row] = requests()
    assert row.subject_id == address.lower()
    assert row.notes == {"details": details.replace("\r\n", "\n"), "number": number, "address": address.lower()} or (
        row.notes["details"] == details
    )
    assert mails()[-1]["to"] == [address.lower()]


def test_a_form_of_another_site_is_refused_on_every_page(acme: str) -> None:
    strict = Visitor(enforce_csrf_checks=True)
    for path in ("", "code/", "code/again/", "request/withdraw/", "request/fetch/", "request/link/", "leave/"):
        answer = strict.post(path, {"kind": "export", "address": EMAIL, "code": "12345678"})
        assert (answer.status_code, "This form has expired" in answer.content.decode()) == (403, True), path
        assert b"/admin/" not in answer.content, path
    assert filings() == 0
    # With its token it passes.
    token = strict.get().content.decode().split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
    assert strict.ask(csrfmiddlewaretoken=token).status_code == 303
    # And too large is too large.
    assert Visitor().post("", {"details": "x" * 6_000_000}).status_code == 400


def test_a_link_opens_its_request_in_its_tenant_until_it_ends(acme: str) -> None:
    open_page_of_globex()
    jane = Visitor()
    jane.arrive()
    link = link_in(mails()[-1])
    token = link.split("/")[-2]
    for path in (
        reverse("privacy:enter", args=[GLOBEX, token]),
        reverse("privacy:enter", args=["acme", token[:-1] + ("A" if token[-1] != "A" else "B")]),
        reverse("privacy:enter", args=["acme", "x"]),
        reverse("privacy:enter", args=["acme", "ü'\"<b>"]),
        reverse("privacy:enter", args=["acme", "x" * 3000]),
    ):
        answer = Client().get(path)
        assert (answer.status_code, "This link has ended" in text_of(answer)) == (404, True), path
        assert token not in answer.content.decode()
    # Nor does the cookie.
    stranger = Visitor(f"/privacy/{GLOBEX}/")
    stranger.client.cookies["kaireon_request"] = token
    for path in ("request/", "request/withdraw/", "request/fetch/"):
        assert stranger.get(path).status_code == 404
    for path in ("request/withdraw/", "request/fetch/code/", "request/link/"):
        assert stranger.post(path).status_code == 404, path
        assert Visitor().post(path).status_code == 404, path
    assert stranger.post("request/fetch/", {"code": "12345678", "as_format": "zip"}).status_code == 404
    assert [row.outcome for row in requests()] == [""]

    # A new link ends the old one, and the browser goes on with it.
    assert "Wait" in text_of(jane.post("request/link/"))
    earlier(timedelta(minutes=2))
    assert "another one is on its way" in text_of(jane.post("request/link/"))
    renewed = link_in(mails()[-1])
    assert renewed != link
    assert Client().get(link).status_code == 404
    assert Client().get(renewed).status_code == 303
    assert jane.get("request/").status_code == 200
    # It ends some time after the answer, and by itself.
    jane.post("request/withdraw/")
    with clock.freeze(clock.now() + timedelta(days=61)):
        assert jane.get("request/").status_code == 404
    earlier(timedelta(days=366))
    assert jane.get("request/").status_code == 404
    # Who leaves takes nothing along.
    jane.post("leave/")
    assert jane.client.cookies["kaireon_request"].value == ""


def open_page_of_globex() -> None:
    """Outside Acme's scope, which the test has open."""
    with scope(tenant_id=GLOBEX, actor=SETUP):
        open_page(MALLORY)


def test_a_page_that_is_not_open_is_not_there(acme: str, settings: Any) -> None:
    jane = Visitor()
    jane.arrive()
    link = link_in(mails()[-1])
    before = filings()

    def is_there(root: str = acme) -> bool:
        jane.root = root
        answers = [jane.get(path) for path in ("", "code/", "received/", "request/", "request/withdraw/")]
        answers += [jane.client.get(link.replace(acme, root)), jane.ask(), jane.post("request/withdraw/")]
        gone = [answer.status_code == 404 and "There is no such page" in text_of(answer) for answer in answers]
        assert all(gone) or not any(gone), [answer.status_code for answer in answers]
        return not gone[0]

    for root in ("/privacy/globex/", "/privacy/nowhere/", "/privacy/_platform/", "/privacy/ACME/"):
        assert not is_there(root), root
    assert Client().get("/privacy/").status_code == 404
    with transaction():
        Tenant.objects.update(is_active=False)
    assert not is_there()
    with transaction():
        Tenant.objects.update(is_active=True)
    settings.SINGLE_TENANT_MODE = True
    assert not is_there()
    assert Client().get("/privacy/")["Location"] == "/privacy/default/"
    settings.SINGLE_TENANT_MODE = False
    # Also for those who follow a request, which goes on.
    with transaction():
        page.close_page()
    assert not is_there()
    assert (filings(), [row.outcome for row in requests()]) == (before, [""])
    with transaction():
        page.open_page(contact="", now=clock.now())
    assert is_there()
    assert [row.outcome for row in requests()] == ["withdrawn"]


def test_what_is_sent_twice_is_written_down_once(acme: str) -> None:
    jane = Visitor()
    shown = guard.stamp(clock.now() - timedelta(seconds=30))
    given = {"kind": "rectification", "address": EMAIL, "details": "Doe-Roe", "shown": shown}
    answers = at_once(*[lambda: Visitor().post("", given) for _ in range(3)])
    assert [answer.status_code for answer in answers] == [303] * 3
    assert (filings(), len({answer.cookies["kaireon_filing"].value for answer in answers})) == (1, 1)
    # Another form, or other words in it, is another matter; and who comes back later means it.
    jane.post("", {**given, "details": "Roe"})
    jane.post("", {**given, "shown": guard.stamp(clock.now() - timedelta(seconds=30))})
    assert filings() == 3
    earlier(timedelta(minutes=1))
    assert jane.post("", given).status_code == 303
    assert filings() == 4
    work()
    assert len(mails()) == 4
    jane.confirm(code_in(mails()[-1]))
    assert len(requests()) == 1


def test_two_clicks_on_another_link_leave_its_browser_in(acme: str) -> None:
    jane = Visitor()
    jane.arrive()
    earlier(timedelta(minutes=2))
    old = jane.client.cookies["kaireon_request"].value
    jane.post("request/link/")
    new = jane.client.cookies["kaireon_request"].value
    jane.client.cookies["kaireon_request"] = old
    assert (jane.post("request/link/").status_code, jane.client.cookies["kaireon_request"].value) == (404, old)
    jane.client.cookies["kaireon_request"] = new
    assert jane.get("request/").status_code == 200


def test_it_is_withdrawn_while_a_worker_is_at_it(acme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package that comes out of it is dropped; nobody fetches it."""
    jane = Visitor()
    jane.arrive()
    asked: list[int] = []
    answer = export._answer

    def withdrawn(*given: Any) -> None:
        asked.append(jane.post("request/withdraw/").status_code)
        answer(*given)

    monkeypatch.setattr(export, "_answer", withdrawn)
    work()
    assert asked == [303]
    assert [(row.state, row.outcome) for row in requests()] == [("completed", "withdrawn")]
    assert "You withdrew your request." in text_of(jane.get("request/"))
    assert "nothing to fetch" in text_of(jane.get("request/fetch/"))
    with transaction():
        assert not Dossier.objects.exists()


def test_while_storage_is_away_the_code_stays_good(
    acme: str, s3: Bucket, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "MOST_IN_ROW", 100)
    jane = Visitor()
    jane.arrive()
    work()
    jane.post("request/fetch/code/")
    given = {"code": code_in(mails()[-1]), "as_format": "zip"}
    there = settings.STORAGES
    away = there["default"]["OPTIONS"] | {"endpoint_url": "http://127.0.0.1:1"}
    settings.STORAGES = {**there, "default": there["default"] | {"OPTIONS": away}}
    refused = jane.post("request/fetch/", given)
    assert (refused.status_code, refused["Retry-After"]) == (503, "60")
    assert "The code stays good" in text_of(refused)
    settings.STORAGES = there
    assert jane.post("request/fetch/", given)["Content-Type"] == "application/zip"
