"""Two officers and a role that neither may grant alone, in real browsers."""

import pytest
from playwright.sync_api import Page, expect

from kaireon.approvals import members as approved_members
from kaireon.approvals import services
from kaireon.lib import clock
from kaireon.tenancy.context import scope, transaction
from tests.approvals.conftest import BEA, admins  # noqa: F401
from tests.browser.conftest import Officers
from tests.browser.steps import fits, follow, press, write
from tests.cast import ACME, ADA, SETUP

NEW = "nora@acme.example"


@pytest.mark.slow
def test_a_role_is_asked_for_by_one_officer_and_granted_by_another(admins: str, officers: Officers) -> None:  # noqa: F811
    ada, bea = officers.arrive(ADA), officers.arrive(BEA)
    ada.goto("/admin/approvals/approvalrequest/")
    expect(ada.get_by_text("What needs a second person appears here.")).to_be_visible()
    fits(ada)
    demand()

    members(ada)
    fits(ada)
    press(ada, "Grant a role")
    expect(ada.get_by_text("Your tenant demands a second person")).to_be_visible()
    tab_to_field(ada, "E-mail")
    ada.keyboard.type("nora")
    press(ada, "Ask for it")
    expect(ada.get_by_text("Enter a valid email address.")).to_be_visible()
    fits(ada)
    write(ada.locator("#id_email"), NEW)
    ada.locator("#id_role").select_option("editor")
    press(ada, "Ask for it")
    expect(ada.get_by_text("Asked. Nothing has changed yet")).to_be_visible()
    fits(ada)

    # Its author sees no button, and is refused where the button would have led.
    expect(ada.get_by_text("This is your own request: somebody else must answer it.")).to_be_visible()
    expect(ada.get_by_role("link", name="Approve")).to_have_count(0)
    request = ada.url
    ada.goto(request.replace("/change/", "/approve/"))
    press(ada, "Approve")
    expect(ada.get_by_role("alert")).to_contain_text("somebody else must answer it")
    members(ada)
    expect(ada.get_by_text(NEW)).to_have_count(0)

    bea.goto("/admin/")
    press(bea, "1 approval for you to answer")
    expect(bea.locator("#result_list tbody").get_by_role("row")).to_have_count(1)
    fits(bea)
    press(bea, "Editor for n***@acme.example")
    expect(bea.get_by_text("0 of 1 agreed of those who may manage members (now)")).to_be_visible()
    expect(bea.get_by_text("6 days left")).to_be_visible()
    expect(bea.get_by_text(NEW)).to_be_visible()
    fits(bea)
    press(bea, "Approve")
    fits(bea)
    tab_to_field(bea, "Comments")
    bea.keyboard.type("She starts on Monday.")
    press(bea, "Approve")
    expect(bea.get_by_text("Editor for n***@acme.example: approved.")).to_be_visible()
    expect(bea.get_by_text("1 of 1 agreed of those who may manage members (done)")).to_be_visible()
    expect(bea.get_by_text("She starts on Monday.")).to_be_visible()
    members(bea)
    expect(bea.get_by_role("row").filter(has_text=NEW)).to_contain_text("Editor")

    refuse_then_remove(ada, bea)
    bea.goto("/admin/")
    expect(bea.get_by_text("Nothing waits for your answer.")).to_be_visible()
    assert officers.faults == []


def refuse_then_remove(ada: Page, bea: Page) -> None:
    """Bea wants a reason the first time, and gets Ada's request for the removal again."""
    ask_for_removal(ada)
    bea.goto(ada.url)
    press(bea, "Reject")
    submit(bea)
    expect(bea.get_by_text("This field is required.")).to_be_visible()
    fits(bea)
    write(bea.locator("#id_comments"), "Why?")
    submit(bea)
    expect(bea.get_by_text("is no longer a member: rejected.")).to_be_visible()
    ada.reload()
    expect(ada.get_by_text("Why?")).to_be_visible()
    ask_for_removal(ada)
    bea.goto(ada.url.replace("/change/", "/approve/"))
    submit(bea)
    members(bea)
    expect(bea.get_by_text(NEW)).to_have_count(0)


def ask_for_removal(page: Page) -> None:
    members(page)
    follow(page, page.get_by_role("row").filter(has_text=NEW).get_by_role("link").first)
    fits(page)
    press(page, "Remove")
    fits(page)
    submit(page)
    expect(page.get_by_text("Asked. Nothing has changed yet")).to_be_visible()


def submit(page: Page) -> None:
    follow(page, page.locator(".k-verb button[type=submit]"))


def members(page: Page) -> None:
    page.goto("/admin/tenancy/membership/")


def tab_to_field(page: Page, label: str) -> None:
    """Press Tab until the field of this label is focused."""
    for _ in range(120):
        page.keyboard.press("Tab")
        labels = "[...(document.activeElement.labels ?? [])].map(label => label.textContent).join()"
        if label in str(page.evaluate(labels)):
            return
    raise AssertionError(f"The field {label} cannot be reached with Tab.")


def demand() -> None:
    """What an operator does with manage.py second_person."""
    with scope(tenant_id=ACME, actor=SETUP), transaction():
        for verb in (approved_members.GRANT, approved_members.REMOVE):
            services.demand_second_person(verb, demanded=True, now=clock.now())
