"""What the page refuses, each in words on a page, and nothing comes of it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from dsar.dossiers import export, keeping
from dsar.models import Dossier, FollowLink, PublicFiling
from dsar.public import filing, guard, page
from kaireon.api.throttles import Rate
from kaireon.lib import clock
from kaireon.tenancy.context import scope, transaction
from kaireon.tenancy.models import Tenant
from tests.cast import GLOBEX, MALLORY, SETUP
from tests.dsar.conftest import EMAIL
from tests.dsar.public.conftest import (
    Visitor,
    code_in,
    earlier,
    link_in,
    mails,
    open_page,
    requests,
    text_of,
    work,
    wrong,
)
from tests.race import at_once
from tests.s3 import Bucket

PASSED = "code/"


def filings() -> int:
    with transaction():
        return PublicFiling.objects.count()


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


def test_five_wrong_codes_end_it_and_no_new_code_gives_new_tries(acme: str) -> None:
    jane = Visitor()
    jane.ask()
    assert "This code has ended." in text_of(jane.confirm("12345678"))
    work()
    code = code_in(mails()[-1])
    for given, said in (
        ("", "Enter the code from the mail."),
        ("1234", "A code is eight digits."),
        ("١٢٣٤٥٦٧٨", "A code is eight digits."),
        ("1" * 10_000, "at most 40 characters"),
    ):
        assert said in text_of(jane.confirm(given)), given
    answers = at_once(*[lambda: jane.confirm(wrong(code)) for _ in range(4)])
    assert ["not the code that we sent" in text_of(answer) for answer in answers] == [True] * 4
    assert "Wait" in text_of(jane.post("code/again/"))
    earlier(timedelta(minutes=2))
    jane.post("code/again/")
    work()
    newest = code_in(mails()[-1])
    assert "none counts any more" in text_of(jane.confirm(wrong(newest)))
    assert "none counts any more" in text_of(jane.confirm(newest))
    earlier(timedelta(minutes=2))
    assert "none counts any more" in text_of(jane.post("code/again/"))
    assert requests() == []


def test_codes_end_by_time_use_and_number(acme: str) -> None:
    jane = Visitor()
    jane.ask()
    work()
    first = code_in(mails()[-1])
    # Not before the worker has come to the last one.
    earlier(timedelta(minutes=2))
    jane.post("code/again/")
    assert "Wait 60 seconds" in text_of(jane.post("code/again/"))
    work()
    assert "not the code that we sent" in text_of(jane.confirm(first))
    earlier(timedelta(minutes=2))
    jane.post("code/again/")
    work()
    earlier(timedelta(minutes=2))
    assert "No more codes can be sent" in text_of(jane.post("code/again/"))
    third = code_in(mails()[-1])
    earlier(timedelta(minutes=30))
    assert "This code has ended." in text_of(jane.confirm(third))

    # Of two at once one makes the request, and a code makes no second one.
    jane.ask()
    work()
    code = code_in(mails()[-1])
    handle = jane.client.cookies["kaireon_filing"].value
    both = [Visitor(), Visitor()]
    for each in both:
        each.client.cookies["kaireon_filing"] = handle
    answers = at_once(*[lambda each=each: each.confirm(code) for each in both])
    assert sorted(answer["Location"].removeprefix(acme) for answer in answers) == ["code/confirmed/", "request/"]
    assert len(requests()) == 1
    assert "This code has ended." in text_of(jane.post("code/again/"))

    # A code is good for its filing alone, and ends with it.
    other, one = Visitor(), Visitor()
    other.ask(address="other@example.com")
    work()
    others = code_in(mails()[-1])
    one.ask(address="one@example.com")
    work()
    assert "not the code that we sent" in text_of(one.confirm(others))
    earlier(filing.LIVES)
    assert "This code has ended." in text_of(other.confirm(others))


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


def test_downloads_have_limits_of_their_own(acme: str) -> None:
    jane = Visitor()
    jane.arrive("export")
    assert "The package has ended" in text_of(jane.post("request/fetch/code/"))
    work()
    jane.post("request/fetch/code/")
    code = code_in(mails()[-1])
    given = {"code": code, "as_format": "exe"}
    assert "Select a valid choice." in text_of(jane.post("request/fetch/", given))
    assert "Wait" in text_of(jane.post("request/fetch/code/"))
    given = {"code": wrong(code), "as_format": "zip"}
    for _ in range(4):
        assert "not the code that we sent" in text_of(jane.post("request/fetch/", given))
    assert "none counts any more" in text_of(jane.post("request/fetch/", given))
    assert "none counts any more" in text_of(jane.post("request/fetch/", {**given, "code": code}))
    # The link still shows how it stands.
    assert jane.get("request/").status_code == 200
    with clock.freeze(clock.now() + timedelta(days=31)), transaction():
        FollowLink.objects.update(wrong_codes=0)
    with clock.freeze(clock.now() + timedelta(days=31)):
        assert "nothing to fetch" in text_of(jane.get("request/fetch/"))


def test_too_many_are_told_when_to_come_again(acme: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(answer: Any) -> bool:
        assert answer.status_code in (200, 303, 404, 429)
        if answer.status_code == 429:
            assert int(answer["Retry-After"]) > 0
            assert f"Wait {answer['Retry-After']} seconds" in text_of(answer)
        return bool(answer.status_code == 429)

    # By network: ten forms a minute, whatever is in them; one subscriber's IPv6 addresses are one.
    many = [Visitor(REMOTE_ADDR=f"2001:db8:1:2::{n:x}").post("", {"kind": "x"}) for n in range(11)]
    assert [busy(answer) for answer in many] == [False] * 10 + [True]
    assert not busy(Visitor(REMOTE_ADDR="2001:db8:1:3::1").post("", {"kind": "x"}))
    # By mail address, in any spelling and from anywhere: six an hour, known or not.
    for address in (EMAIL, "nobody@nowhere.example"):
        spellings = [address, address.upper(), f" {address} "] * 3
        tries = [Visitor(REMOTE_ADDR=f"10.0.{n}.1").ask(address=spelled) for n, spelled in enumerate(spellings[:7])]
        assert [busy(answer) for answer in tries] == [False] * 6 + [True], address
    assert filings() == 12
    # A code sent again counts too.
    jane = Visitor(REMOTE_ADDR="10.1.0.1")
    jane.client.cookies["kaireon_filing"] = tries[0].cookies["kaireon_filing"].value
    assert busy(jane.post("code/again/"))
    # Codes and links are not tried in numbers.
    guesser = Visitor(REMOTE_ADDR="10.2.0.1")
    assert sum(busy(guesser.confirm("12345678")) for _ in range(23)) == 3
    monkeypatch.setattr(guard, "LOOKS", Rate("privacy-look", per_minute=4))
    assert sum(busy(guesser.get(f"follow/{n:043}/")) for n in range(3)) == 0
    assert [busy(guesser.get(path)) for path in ("request/", "request/", "request/withdraw/")] == [False, True, True]
    # Behind a proxy the address is the one that the proxy saw.
    settings.TRUSTED_PROXIES = 1
    proxied = [
        Visitor(REMOTE_ADDR="10.3.0.1").post("", {"kind": "x"}, headers={"x-forwarded-for": f"1.1.1.1, 10.4.0.{n}"})
        for n in range(12)
    ]
    assert not any(busy(answer) for answer in proxied)
    # Whatever it writes of it: with the port, and of IPv4 as a socket for both tells it.
    for spelling, refused in (
        ("10.5.0.{}:{}", 0),
        ("::ffff:10.6.0.{}", 0),
        ("10.7.0.1:{}", 2),
        ("[2001:db8::1]:{}", 2),
    ):
        answers = [
            Visitor().post("", {"kind": "x"}, headers={"x-forwarded-for": spelling.format(n, 4000 + n)})
            for n in range(12)
        ]
        assert sum(busy(answer) for answer in answers) == refused, spelling


def test_a_link_that_others_have_floods_nobody(acme: str) -> None:
    jane = Visitor()
    jane.arrive()
    sent = 1
    for _ in range(9):
        earlier(timedelta(minutes=2))
        answer = jane.post("request/link/")
        sent += answer.status_code == 200
        assert answer.status_code in (200, 429)
    # The code that was asked for counts too.
    assert (sent, jane.post("request/link/").status_code) == (6, 429)
    work()
    assert jane.post("request/fetch/code/").status_code == 429


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
