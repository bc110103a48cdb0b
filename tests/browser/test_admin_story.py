"""An officer's day in the admin, in a real browser, with a real worker."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from dsar.requests import services
from kaireon.approvals import services as approvals
from kaireon.lib import clock
from kaireon.tenancy import tenants
from kaireon.tenancy.context import scope, transaction
from tests.approvals.conftest import BEA
from tests.browser.conftest import Watched, demo
from tests.browser.steps import focus_on, follow, here_in_menu, overflow, press, sign_in, tab_to
from tests.cast import ACME, ADA, PASSWORD, SETUP
from tests.servers import SUITE

NUMBER = "A-00120"
ERASED = "A-00240"


@pytest.fixture(scope="module")
def live(browser: Browser, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One installation for all of this: the officer changes what no other test here looks at."""
    with django_db_blocker.unblock(), SUITE.database(), demo(tmp_path_factory.mktemp("live")) as url:
        yield url
    SUITE.flush_redis()


@pytest.fixture(autouse=True)
def _clean_redis() -> None:
    """Not between these tests: it is the installation's own."""


@pytest.mark.slow
def test_the_desk_from_the_board_to_the_certificate(watched: Watched, browser: Browser, tmp_path: Path) -> None:
    wanted = prepare_the_desk()
    page = watched.page
    sign_in(page)
    # The board by keyboard: narrowed, two chosen, and given to a colleague.
    press(page, "Request desk")
    expect(page.locator("[data-lane=work]")).to_be_visible()
    page.get_by_label("Kind").focus()
    page.keyboard.type("Recti")
    press(page, "Show", whole=True)
    cards = page.locator("[data-card]")
    expect(cards).to_have_count(2)
    for number in range(2):
        page.keyboard.press("j")
        expect(cards.nth(number)).to_be_focused()
        page.keyboard.press("x")
    with page.expect_navigation():
        page.keyboard.press("a")
    page.get_by_label("Officer").focus()
    page.keyboard.type("Bea")
    press(page, "Assign 2", whole=True)
    expect(page.get_by_text("2 requests are assigned to Bea.")).to_be_visible()
    expect(page.locator("[data-lane=review] [data-card]")).to_have_count(2)
    press(page, wanted)
    expect(page.get_by_text("What happened")).to_be_visible()
    # From the list too.
    page.goto("/admin/dsar/dsarrequest/")
    expect(page.get_by_role("button", name="Assign together")).to_be_hidden()
    page.locator("input.action-select").first.check()
    follow(page, page.get_by_role("button", name="Assign together"))
    expect(page.get_by_role("button", name="Assign 1")).to_be_visible()

    page.goto("/admin/dsar/dsarrequest/erasure/")
    page.locator("#id_subject_id").fill(ERASED)
    page.get_by_role("button", name="Show what would be erased").click()
    expect(page.locator("#lines [data-entity=interactionHistory]")).to_contain_text("Erased")
    typed = page.get_by_label(f"Type {ERASED} to confirm")
    typed.fill("A-00241")
    page.get_by_role("button", name="Erase the customer").click()
    expect(page.get_by_text("This is not the customer that you gave before. Nothing was done.")).to_be_visible()
    typed.fill(ERASED)
    page.get_by_role("button", name="Erase the customer").click()
    until(page, "Waiting for a second person")
    reference = page.locator("[data-field=reference]").inner_text().strip()

    with second_person(browser, watched) as bea:
        bea.get_by_role("link", name="For your decision").click()
        bea.get_by_role("link", name="Approve").click()
        expect(bea.locator("#lines [data-entity=interactionHistory]")).to_be_visible()
        bea.get_by_label("Type the reference of the request").fill(reference[::-1])
        bea.get_by_role("button", name="Approve").click()
        expect(bea.get_by_text("This is not the reference of the request. Nothing was done.")).to_be_visible()
        bea.get_by_label("Type the reference of the request").fill(reference)
        bea.get_by_role("button", name="Approve").click()
        expect(bea.get_by_text("approved.", exact=False).first).to_be_visible()

    page.reload()
    until_completed(page)
    expect(page.locator("[data-step=verification]")).to_contain_text("Done")
    page.get_by_role("link", name="The certificate of this erasure").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Page to print").click()
    file = tmp_path / "certificate.html"
    download.value.save_as(file)
    page.goto(file.as_uri())
    expect(page.get_by_role("heading").first).to_be_visible()
    assert page.pdf().startswith(b"%PDF")
    with ADA.here(), transaction():
        approvals.demand_second_person("dsar.erase", demanded=False, now=clock.now())
    assert watched.faults == []


def prepare_the_desk() -> str:
    """A second admin, whose yes erasures need, and two requests for people; gives the reference of one."""
    user = tenants.create_user(email=BEA.email, name="Bea", password=PASSWORD, actor=SETUP)
    with scope(tenant_id=ACME, actor=SETUP), transaction():
        tenants.add_member(user=user, role=BEA.role)
    now = clock.now()
    with ADA.here(), transaction():
        approvals.demand_second_person("dsar.erase", demanded=True, now=now)
        rows = [
            services.create_request(request_type="rectification", subject_id=number, actor=ADA.actor, now=now).request
            for number in ("A-00360", "A-00480")
        ]
        return rows[0].reference


@contextmanager
def second_person(browser: Browser, watched: Watched) -> Iterator[Page]:
    """Bea, in a browser of her own."""
    address = watched.page.evaluate("location.origin")
    context = browser.new_context(base_url=address, viewport={"width": 1280, "height": 800})
    page = Watched(context.new_page(), watched.faults).page
    sign_in(page, BEA)
    yield page
    context.close()


@pytest.mark.slow
def test_an_officer_answers_erases_holds_and_proves_it(watched: Watched, tmp_path: Path) -> None:
    page = watched.page
    sign_in(page)
    switch_tenant(page, "Globex")
    expect(page.get_by_role("link", name="Audit log", exact=True)).to_have_count(0)
    switch_tenant(page, "Acme")

    open_customer(page, NUMBER)
    page.get_by_role("link", name="Access request").click()
    expect(page.locator("#id_subject_id")).to_have_value(NUMBER)
    page.get_by_role("button", name="File the request").click()
    until_completed(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the package").click()
    file = tmp_path / "package.json"
    download.value.save_as(file)
    package = json.loads(file.read_text())
    assert package["customerId"] == NUMBER
    assert all(package["counts"].values()), package["counts"]

    place_hold(page, "decisions", "Matter 2026-14")
    open_customer(page, NUMBER)
    page.get_by_role("link", name="Erasure request").click()
    page.get_by_role("button", name="Show what would be erased").click()
    expect(page.locator("#lines [data-action=retain]").first).to_contain_text("legal hold")
    page.get_by_label(f"Type {NUMBER} to confirm").fill(NUMBER)
    page.get_by_role("button", name="Erase the customer").click()
    until(page, "Deferred while something must stay")
    expect(page.get_by_text("legal hold", exact=True).first).to_be_visible()

    page.get_by_role("link", name="Home").click()
    expect(page.get_by_text("Matter 2026-14")).to_be_visible()
    page.get_by_role("button", name="Verify now").click()
    expect(page.get_by_text("The log is intact")).to_be_visible()

    for action in ("dsar.create", "dsar.export.completed", "dsar.erasure.rows_erased", "retention_config.legal_hold"):
        page.goto(f"/admin/audit/auditrecord/?q={action}")
        expect(page.get_by_role("row").filter(has_text=action).first).to_be_visible()
    page.get_by_role("row").filter(has_text="retention_config.legal_hold").first.get_by_role("link").first.click()
    expect(page.get_by_text("Ada", exact=True).first).to_be_visible()
    page.locator(".k-account summary").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You are signed out")).to_be_visible()
    assert watched.faults == []


@pytest.mark.slow
def test_everything_is_reached_with_the_keyboard(watched: Watched) -> None:
    page = watched.page
    page.goto("/admin/")
    focus_on(page, "#id_username")
    page.keyboard.type(ADA.email)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Needs attention")).to_be_visible()

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the page's content")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to the page's content")).to_be_in_viewport()
    for name in ("Subject requests", "Customers", "New access request", "Place a hold", "Verify now", "Run a job"):
        tab_to(page, name)
    # The switcher opens and closes without a mouse.
    page.goto("/admin/")
    tab_to(page, "Acme")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Globex viewer")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Globex viewer")).to_be_hidden()
    # So do the filters of a list.
    page.goto("/admin/dsar/dsarrequest/")
    tab_to(page, "Filters")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="By status")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="By status")).to_be_hidden()
    assert watched.faults == []


@pytest.mark.slow
def test_every_page_fits_a_phone(watched: Watched) -> None:
    page = watched.page
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/admin/")
    assert overflow(page) == 0
    sign_in(page)
    addresses = page.locator("#nav-sidebar a").evaluate_all("links => links.map(link => link.pathname)")
    assert len(addresses) > 20
    verbs = [
        "dsar/dsarrequest/access/",
        "dsar/dsarrequest/erasure/",
        "dsar/dsarrequest/report/",
        "compliance/retentionpolicy/hold/",
    ]
    more = ["tenancy/apikey/new/", "cron/jobrun/start/", "audit/auditrecord/verify/", "password_change/"]
    opened = set()
    for address in [*addresses, *(f"/admin/{verb}" for verb in verbs + more)]:
        page.goto(address)
        assert overflow(page) == 0, address
        first = page.locator("#result_list tbody a[href*='/change/']").first
        if first.count():
            opened.add(address)
            page.goto(str(first.evaluate("link => link.href")))
            assert overflow(page) == 0, page.url
    assert len(opened) > 8, opened
    page.goto("/admin/cron/jobrun/")
    page.get_by_role("button", name="Open the menu").click()
    expect(page.get_by_role("link", name="Audit log", exact=True)).to_be_visible()
    expect(here_in_menu(page)).to_be_in_viewport(ratio=1)
    page.goto("/api/v1/docs/")
    expect(page.locator(".opblock").first).to_be_visible()
    # Nor did the policy of any page have anything to refuse: Chromium would say so as an error.
    assert watched.faults == []


def switch_tenant(page: Page, name: str) -> None:
    page.locator(".k-tenant summary").click()
    page.locator(".k-tenant-list").get_by_role("button", name=name).click()
    expect(page.locator(".k-tenant-name")).to_have_text(name)


def open_customer(page: Page, number: str) -> None:
    field = page.get_by_role("searchbox", name="Find a customer")
    field.fill(number)
    field.press("Enter")
    page.get_by_role("link", name=number).click()
    expect(page.get_by_text("What is known about this customer")).to_be_visible()


def place_hold(page: Page, data_class: str, reason: str) -> None:
    page.get_by_role("link", name="Retention", exact=True).click()
    page.get_by_role("link", name="Place a hold").click()
    page.get_by_label("Data class").select_option(data_class)
    page.get_by_label("Reason").fill(reason)
    page.get_by_role("button", name="Place the hold").click()
    expect(page.get_by_text(f"{data_class} is held.")).to_be_visible()


def until_completed(page: Page) -> None:
    until(page, "Completed")


def until(page: Page, state: str) -> None:
    """Look again until the worker is done, as an officer would."""
    page.wait_for_url("**/change/")
    for _ in range(60):
        if page.locator("[data-field=status_label], [data-field=outcome_label]").get_by_text(state).count():
            return
        page.wait_for_timeout(500)
        page.reload()
    raise AssertionError(f"The request did not get to: {state}.")
