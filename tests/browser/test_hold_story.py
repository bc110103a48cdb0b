"""A dispute: what it needs is held, a custodian says so, two officers let it go and one of them thinks again."""

import pytest
from playwright.sync_api import Page, expect

from compliance.purging import purge
from customers.models import Interaction
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.approvals.conftest import BEA, admins  # noqa: F401
from tests.browser.conftest import Officers
from tests.browser.steps import fits, follow, press, write
from tests.cast import ADA, ED
from tests.compliance.rows import customer, interactions, policy


@pytest.mark.slow
def test_a_dispute_is_held_acknowledged_and_let_go_by_two(admins: str, officers: Officers) -> None:  # noqa: F811
    for number in ("c-17", "c-18"):
        interactions(customer(number), 400)
    policy("interactions", 30)
    ada, bea = officers.arrive(ADA), officers.arrive(BEA)
    ada.goto("/admin/compliance/hold/")
    expect(ada.get_by_text("Nothing is held", exact=True)).to_be_visible()
    fits(ada)
    open_matter(ada)
    place(ada)
    assert purged() == ["c-17"]

    ed = officers.arrive(ED)
    press(ed, "Asked to keep")
    expect(ed.get_by_text("Interaction history of 1 customer from 2020-01-01 where kind is visit")).to_be_visible()
    expect(ed.get_by_text("c-17")).to_have_count(0)
    fits(ed)
    press(ed, "I will keep it")
    expect(ed.get_by_text("You said you keep")).to_be_visible()
    expect(ed.get_by_role("link", name="Asked to keep")).to_have_count(0)

    ada.goto("/admin/compliance/hold/")
    expect(ada.get_by_text("1 of 1 acknowledged")).to_be_visible()
    fits(ada)
    press(ada, "Interaction history of 1 customer")
    release(ada, bea)
    assert purged() == ["c-17"]
    ada.reload()
    expect(ada.get_by_text("until the first purge after that it holds")).to_be_visible()
    fits(ada)
    press(ada, "Take the release back")
    submit(ada)
    expect(ada.get_by_text("It holds on as before.")).to_be_visible()
    expect(ada.get_by_role("row").filter(has_text="Its release was agreed to")).to_contain_text("Bea")
    follow(ada, ada.get_by_role("row").filter(has_text="Its release was taken back").get_by_role("link"))
    expect(ada.get_by_text("legal_hold.release_taken_back").first).to_be_visible()
    assert officers.faults == []


def open_matter(page: Page) -> None:
    press(page, "Open a matter")
    write(page.locator("#id_name"), "Fall Öl 7")
    write(page.locator("#id_reason"), "Order of the regional court")
    fits(page)
    submit(page)
    expect(page.get_by_text("The matter is open.")).to_be_visible()


def place(page: Page) -> None:
    """For that matter, after a look at it, and at a number that nobody has."""
    press(page, "Place a hold")
    page.locator("#id_entity").select_option("interactionHistory")
    press(page, "Ask for its columns")
    page.get_by_label("Condition 1: column").select_option("kind")
    write(page.get_by_label("Condition 1: value"), "visit")
    page.locator("#id_subjects").fill("c-17\nc-71")
    page.locator("#id_begins").fill("2020-01-01")
    page.get_by_label("Ed, editor").check()
    fits(page)
    press(page, "Show what it finds")
    expect(page.get_by_text("Line 2 is no customer of yours.")).to_be_visible()
    fits(page)
    page.locator("#id_subjects").fill("c-17")
    press(page, "Show what it finds")
    expect(page.locator("#found").get_by_role("row", name="Interaction history")).to_contain_text("1")
    fits(page)
    press(page, "Place the hold")
    expect(page.get_by_text("It holds, from this moment on: 1 row.")).to_be_visible()
    fits(page)


def release(ada: Page, bea: Page) -> None:
    """Ada asks, Bea agrees; who asked has no yes to give."""
    press(ada, "Ask to release")
    write(ada.locator("#id_reason"), "Settled")
    fits(ada)
    submit(ada)
    follow(ada, ada.get_by_role("link", name="The request under Approvals"))
    request = ada.url
    expect(ada.get_by_role("link", name="Approve")).to_have_count(0)
    bea.goto(request)
    press(bea, "Approve")
    expect(bea.get_by_text("begins the cooling-off")).to_be_visible()
    submit(bea)
    expect(bea.get_by_text(": approved.")).to_be_visible()
    ada.go_back()


def purged() -> list[str]:
    """Whose visits a purge leaves."""
    with ADA.here():
        purge.purge_expired(now=clock.now(), actor=ADA.actor)
        with transaction():
            return sorted(Interaction.objects.values_list("customer__customer_id", flat=True))


def submit(page: Page) -> None:
    follow(page, page.locator(".k-verb button[type=submit]"))
