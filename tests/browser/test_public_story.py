"""Somebody without an account, on their phone and by keyboard: asks, reads their mail, follows, withdraws, fetches."""

import re
import socket
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from playwright.sync_api import Browser, Page, expect

from customers.models import Customer
from dsar.public import guard
from kaireon.tenancy.context import transaction
from tests.browser.conftest import Watched
from tests.browser.steps import fits, follow, press, reload_until, write
from tests.cast import ADA
from tests.dsar.public.conftest import open_page
from tests.live import Web, Worker, together, wait_until
from tests.outbox.test_mail import Mailbox

EMAIL = "jane.doe@example.com"
WITHIN_REACH = 44  # px: what a finger hits


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, str]]:
    """A mail server that keeps what it is given, and its address."""
    box = Mailbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = Controller(box, hostname="127.0.0.1", port=port)
    server.start()
    yield box, f"smtp://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def page(
    browser: Browser, db: str, tmp_path: Path, mailbox: tuple[Mailbox, str], settings: Any
) -> Iterator[tuple[Watched, str]]:
    """A phone at Acme's page, with the product behind it, and the product's address."""
    own = {"EMAIL_URL": mailbox[1], "ALLOW_PRIVATE_DESTINATIONS": "true"}
    web = Web(tmp_path / "web.log", **own)
    settings.PUBLIC_URL = web.environment["PUBLIC_URL"] = own["PUBLIC_URL"] = web.url
    open_page(ADA, contact="Acme, Data protection officer, 1 Long Road, Springfield")
    with ADA.here(), transaction():
        Customer.objects.create(customer_id="c-17", email=EMAIL, name="Jane Doe")
    with together(web, Worker(tmp_path / "worker.log", "dsar-jobs", "journey-jobs", **own)):
        context = browser.new_context(base_url=web.url, viewport={"width": 390, "height": 844}, accept_downloads=True)
        context.set_default_timeout(10_000)
        yield Watched(context.new_page()), web.url
        context.close()


@pytest.mark.slow
def test_a_person_asks_on_the_phone_and_withdraws_and_fetches(
    page: tuple[Watched, str], mailbox: tuple[Mailbox, str], browser: Browser
) -> None:
    watched, url = page
    phone, box = watched.page, mailbox[0]
    phone.goto("/privacy/acme/")
    assert phone.evaluate("document.documentElement.lang") == "en"
    fits(phone)
    # In another language, and back, where one is.
    for name, tag, heading in (
        ("Deutsch", "de", "Ihre Daten, Ihre Rechte"),
        ("Français", "fr", "Vos données, vos droits"),
        ("Español", "es", "Sus datos, sus derechos"),
        ("English", "en", "Your data, your rights"),
    ):
        link = phone.get_by_role("link", name=name)
        size = link.bounding_box()
        assert size is not None
        assert size["height"] >= WITHIN_REACH
        follow(phone, link)
        expect(phone.get_by_role("heading", name=heading)).to_be_visible()
        assert phone.evaluate("document.documentElement.lang") == tag
        fits(phone)
    # What is wrong is said at the top, where one is then, and at the field.
    press(phone, "Send")
    expect(phone).to_have_title(re.compile("^Not sent:"))
    expect(phone.get_by_role("alert")).to_be_focused()
    phone.get_by_role("alert").get_by_role("link", name="Give your e-mail address").click()
    address = phone.get_by_label("Your e-mail address")
    expect(address).to_be_focused()
    expect(address).to_have_accessible_description(re.compile("Give your e-mail address"))
    expect(address).to_have_attribute("aria-invalid", "true")
    expect(phone.get_by_role("radio", name="See my data")).to_have_accessible_description(re.compile("GDPR Art. 15"))
    fits(phone)

    ask(phone, "Correct my data", details="I am Jane Roe now")
    expect(phone.get_by_role("heading", name="Enter the code")).to_be_visible()
    fits(phone)
    code = re.search(r"\b[0-9]{8}\b", mail(box, 1))
    assert code is not None
    write(phone.get_by_label("The code from the mail"), f"{(int(code[0]) + 1) % 10**8:08d}")
    press(phone, "Confirm")
    expect(phone.get_by_role("alert")).to_contain_text("This is not the code that we sent.")
    write(phone.get_by_label("The code from the mail"), code[0])
    press(phone, "Confirm")
    expect(phone.get_by_role("heading", name="Correct my data")).to_be_visible()
    expect(phone.get_by_text("Your request is with our staff.")).to_be_visible()
    fits(phone)

    # Who lost the link has another.
    follow(phone, phone.get_by_role("button", name="Leave this page"))
    follow(phone, phone.get_by_role("link", name="Have it mailed again"))
    phone.get_by_label("Your e-mail address").fill(EMAIL)
    fits(phone)
    phone.wait_for_timeout(guard.LEAST.total_seconds() * 1000)
    press(phone, "Mail it to me")
    expect(phone.get_by_role("heading", name="Look into your mail")).to_be_visible()
    fits(phone)
    again = re.search(rf"{url}\S+", mail(box, 3))
    assert again is not None
    phone.goto(again[0])
    expect(phone.get_by_role("heading", name="Correct my data")).to_be_visible()

    # By the link in the mail, on another device: its secret is not in the address.
    link = re.search(rf"{url}\S+", mail(box, 2))
    assert link is not None
    desk = browser.new_context(viewport={"width": 1280, "height": 800})
    other = Watched(desk.new_page(), watched.faults).page
    other.goto(link[0])
    assert other.url == f"{url}/privacy/acme/request/"
    assert other.evaluate("document.referrer") == ""
    expect(other.get_by_text("Answer by")).to_be_visible()
    press(other, "Withdraw the request")
    expect(other.get_by_role("heading", name="Withdraw the request?")).to_be_visible()
    fits(other)
    press(other, "Withdraw it")
    expect(other.get_by_text("You withdrew your request.")).to_be_visible()
    fits(other)
    desk.close()
    phone.reload()
    expect(phone.get_by_text("You withdrew your request.")).to_be_visible()

    phone.goto("/privacy/acme/")
    ask(phone, "See my data")
    code = re.search(r"\b[0-9]{8}\b", mail(box, 4))
    assert code is not None
    phone.get_by_label("The code from the mail").fill(code[0])
    follow(phone, phone.get_by_role("button", name="Confirm"))
    reload_until(phone, phone.get_by_text("Your request is completed."))
    fits(phone)
    press(phone, "Fetch my data")
    fits(phone)
    press(phone, "Send me a code")
    code = re.search(r"\b[0-9]{8}\b", mail(box, 6))
    assert code is not None
    phone.get_by_label("The code from the mail").fill(code[0])
    with phone.expect_download() as fetched:
        phone.get_by_role("button", name="Fetch").click()
    assert "index.html" in zipfile.ZipFile(fetched.value.path()).namelist()
    assert watched.faults == []


def ask(phone: Page, what: str, *, details: str = "") -> None:
    phone.get_by_role("radio", name=what).check()
    phone.get_by_label("Your e-mail address").fill(EMAIL)
    phone.get_by_label("What we should know").fill(details)
    button = phone.get_by_role("button", name="Send")
    size = button.bounding_box()
    assert size is not None
    assert size["height"] >= WITHIN_REACH
    # A person takes longer than that.
    phone.wait_for_timeout(guard.LEAST.total_seconds() * 1000)
    follow(phone, button)


def mail(box: Mailbox, number: int) -> str:
    """What the mail with this number says, as soon as it is there."""
    wait_until(lambda: len(box.mails) >= number)
    readers, letter = box.mails[number - 1]
    assert readers == [EMAIL]
    return str(letter.get_payload(decode=True), "utf-8")  # type: ignore[arg-type]
