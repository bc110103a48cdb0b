"""Somebody without an account asks, confirms, follows, fetches and withdraws."""

import io
import json
import logging
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from audit import services as log
from audit.models import AuditRecord
from customers import models as m
from kaireon.api.logs import JsonFormatter
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.cast import ACME
from tests.dsar.conftest import EMAIL, NUMBER, SECRETS
from tests.dsar.public.conftest import (
    Visitor,
    code_in,
    customers,
    earlier,
    link_in,
    mails,
    requests,
    text_of,
    work,
)


def test_a_package_is_asked_for_followed_and_fetched(acme: str) -> None:
    jane = Visitor()
    page = text_of(jane.arrive("export", address=" Jane.DOE@Example.com "))
    assert "Your request waits for its turn. Nothing is needed from you." in page
    [row] = requests()
    assert (row.subject_id, row.subject_type, row.state, row.identity_method) == (EMAIL, "email", "queued", "code")
    assert (row.requested_by_name, row.notes) == ("public page", {"address": EMAIL})
    assert f"Answer by {row.deadline_on:%-d %B %Y}" in page
    assert "GDPR Art. 12(3)" in page
    work()
    done = jane.get("request/")
    assert "Your request is completed." in text_of(done)

    # The link in the mail does the same in another browser, and leaves nothing in the address.
    elsewhere = Visitor()
    link = link_in(mails()[-1])
    entered = elsewhere.client.get(link)
    assert (entered.status_code, entered["Location"], entered["Referrer-Policy"]) == (
        *(303, f"{acme}request/"),
        "no-referrer",
    )
    cookie = entered.cookies["kaireon_request"]
    assert (cookie["path"], cookie["httponly"], cookie["samesite"]) == (acme, True, "Lax")
    assert text_of(elsewhere.get("request/")) == text_of(done)

    # For the package the link is not enough.
    assert elsewhere.post("request/fetch/", {"code": "12345678", "as_format": "zip"}).status_code == 200
    assert "A code is on its way" in text_of(elsewhere.post("request/fetch/code/"))
    code = code_in(mails()[-1])
    package = elsewhere.post("request/fetch/", {"code": f" {code[:4]} {code[4:]} ", "as_format": "zip"})
    assert (package["Content-Type"], package["Cache-Control"]) == ("application/zip", "no-store")
    inside = zipfile.ZipFile(io.BytesIO(package.getvalue()))
    assert json.loads(inside.read("dossier.json"))["data"]["profile"]["email"] == EMAIL
    assert "This code has ended" in text_of(elsewhere.post("request/fetch/", {"code": code, "as_format": "zip"}))
    earlier(timedelta(minutes=2))
    elsewhere.post("request/fetch/code/")
    second = elsewhere.post("request/fetch/", {"code": code_in(mails()[-1]), "as_format": "json"})
    assert json.loads(second.getvalue())["customerId"] == NUMBER

    log.drain(ACME)
    with transaction():
        about = AuditRecord.objects.filter(entity_id=str(row.pk)).order_by("seq")
        told = [(record.action, record.actor_type) for record in about]
    assert [action for action, _ in told] == [
        *("dsar.create", "update", "dsar.identity.proved", "dsar.start", "dsar.export.completed"),
        *["dsar.export.downloaded"] * 2,
    ]
    assert {kind for action, kind in told if action not in ("dsar.start", "dsar.export.completed")} == {"system"}


def test_it_is_withdrawn_with_a_question_first(acme: str) -> None:
    jane = Visitor()
    jane.arrive("export")
    asked = text_of(jane.get("request/withdraw/"))
    assert "It ends without an answer." in asked
    assert [row.outcome for row in requests()] == [""]
    assert jane.post("request/withdraw/").status_code == 303
    assert "You withdrew your request." in text_of(jane.get("request/"))
    assert [row.outcome for row in requests()] == ["withdrawn"]
    assert "This request has ended already." in text_of(jane.post("request/withdraw/"))
    work()
    assert [row.outcome for row in requests()] == ["withdrawn"]


def test_an_erasure_is_followed_to_its_end_and_takes_the_address_along(acme: str, settings: Any) -> None:
    settings.DSAR_ERASURE_WINDOW_HOURS = 1
    jane = Visitor()
    assert "You can still withdraw it." in text_of(jane.arrive("delete"))
    assert jane.post("request/withdraw/").status_code == 303
    settings.DSAR_ERASURE_WINDOW_HOURS = 0
    earlier(timedelta(minutes=2))
    jane.arrive("delete")
    assert customers() == 2
    with clock.freeze(clock.now() + timedelta(seconds=1)):
        work()
        page = text_of(jane.get("request/"))
    assert customers() == 1
    assert "What became of your data" in page
    assert "entries erased." in page
    assert "Withdraw the request" not in page
    assert "This request has ended already." in text_of(jane.post("request/withdraw/"))
    earlier(timedelta(minutes=2))
    assert "nothing can be mailed to you any more" in text_of(jane.post("request/link/"))
    # The mails went with the person.
    assert [mail for mail in mails() if EMAIL in json.dumps(mail)] == []


def test_an_address_that_is_known_and_one_that_is_not_are_answered_alike(acme: str) -> None:
    """Byte for byte, until the owner of the address has confirmed; then they are told the truth."""
    with clock.freeze(clock.now()):
        said = [walk("delete", address) for address in (EMAIL, "nobody@nowhere.example")]
        assert said[0] == said[1]
        nobody = Visitor()
        nobody.arrive("export", "nobody.else@nowhere.example")
        work()
        page = text_of(nobody.get("request/"))
    assert "Nothing is held about you under this address." in page
    assert [row.outcome for row in requests()] == ["no_data"]


def walk(kind: str, address: str) -> list[Any]:
    """Every answer before the confirmation, but for what is random in it."""
    visitor = Visitor()
    answers = [
        visitor.ask(kind, address),
        visitor.get("code/"),
        visitor.confirm("12345678"),
        visitor.post("code/again/"),
    ]
    work()
    answers += [visitor.get("code/"), visitor.confirm("87654321"), visitor.post("code/again/"), visitor.get("request/")]
    random = {"X-Request-Id"}
    return [
        (
            answer.status_code,
            {name: value for name, value in answer.headers.items() if name not in random},
            sorted((name, cookie["path"], cookie["max-age"]) for name, cookie in answer.cookies.items()),
            [line for line in answer.content.decode().splitlines() if "csrfmiddlewaretoken" not in line],
        )
        for answer in answers
    ]


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What the product's own handler writes to the log, at every level."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.setLevel(level)
    root.removeHandler(handler)


def test_before_the_code_came_back_there_is_no_request_and_nothing_is_to_be_read(acme: str, lines: io.StringIO) -> None:
    jane = Visitor()
    jane.ask("rectification", details="My name is O'Doe-Secret", number="C-17-Secret")
    work()
    assert requests() == []
    with transaction():
        assert not m.Customer.objects.filter(name__contains="Secret").exists()
    code = code_in(mails()[-1])
    jane.confirm(f"{(int(code) + 1) % 10**8:08d}")
    jane.confirm(code)
    [row] = requests()
    assert row.notes == {"details": "My name is O'Doe-Secret", "number": "C-17-Secret", "address": EMAIL}
    link = link_in(mails()[-1])
    Visitor().client.get(link)
    jane.post("request/withdraw/")
    jane.client.get(link + "nonsense")
    work()
    log.drain(ACME)
    logged = lines.getvalue()
    assert logged.count('"event": "request"') > 5
    assert "Not Found: unmatched" in logged
    token = link.split("/")[-2]
    secrets = (*SECRETS, "Secret", code, token, jane.client.cookies["kaireon_request"].value, "csrftoken")
    assert [secret for secret in secrets if secret in logged] == []
    with transaction():
        records = list(AuditRecord.objects.values_list("changes", "before", "after", "entity_name", "user_name"))
    recorded = str(records)
    assert [secret for secret in (EMAIL, "O'Doe", code, token) if secret in recorded] == []
