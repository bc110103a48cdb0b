"""An officer decides how long to keep things: sees what goes before it does, thinks better of it, and minds the law."""

from datetime import timedelta
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from compliance.retention import policies
from customers.models import Customer, Interaction
from customers.partitions import ensure_months
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.browser.conftest import Officers
from tests.browser.steps import fits, press, write
from tests.cast import ADA

PAGES = "/admin/compliance/retentionpolicy"
AGES = (400, 330, 300, 200, 120, 60, 20, 5)


@pytest.mark.slow
def test_a_period_is_shortened_with_open_eyes_and_laws_are_minded(officers: Officers) -> None:
    what_happened()
    page = officers.arrive(ADA)

    # What nobody decided about is named, with the way to decide.
    page.goto(f"{PAGES}/")
    expect(page.get_by_role("heading", name="Kept for ever: nobody said how long")).to_be_visible()
    fits(page)
    press(page, "Set a policy for dsar")
    write(page.get_by_label("Keep for (days)"), "700")
    fits(page)
    press(page, "Save")
    expect(page.get_by_text("dsar is kept for 700 days.")).to_be_visible()

    shorten(page, "90")
    expect(page.locator("#goes")).to_have_text("4 rows will go")
    expect(page.locator("#losses")).to_contain_text("Interaction history")
    fits(page)
    press(page, "Shorten it")
    expect(page.get_by_text("interactions is kept for 365 days now, and 90 from")).to_be_visible()
    expect(page.locator("#versions tbody tr").first).to_contain_text("waits")
    fits(page)
    page.goto(f"{PAGES}/")
    expect(page.locator("#result_list").get_by_text("90 days, from")).to_be_visible()

    press(page, "What goes when")
    expect(page.get_by_role("img", name="Rows that fall due, by class and month")).to_be_visible()
    expect(page.locator("svg .k-timeline-mark-text")).to_contain_text("90 days from")
    expect(page.locator("#timeline").get_by_role("row", name="interactions")).to_contain_text("365 days")
    fits(page)

    page.goto(f"{PAGES}/")
    press(page, "interactions")
    press(page, "Take back")
    expect(page.get_by_text("Taken back, 365 days go on to count.")).to_be_visible()
    press(page, "Take it back")
    expect(page.locator("#versions tbody tr").first).to_contain_text("counts")
    expect(page.get_by_role("link", name="Take back")).to_have_count(0)

    # A law is switched on: it raises what was decided before, and refuses what is below it.
    page.goto(f"{PAGES}/laws/")
    fits(page)
    press(page, "Switch on ccpa-regulations")
    press(page, "It binds us")
    expect(page.locator("#clashes")).to_contain_text("The policy says less. The law counts.")
    fits(page)
    page.goto(f"{PAGES}/")
    expect(page.locator("#result_list")).to_contain_text("731 days by Cal. Code Regs. tit. 11, § 7101(a)")
    press(page, "dsar")
    press(page, "Change days")
    write(page.get_by_label("Keep for (days)"), "30")
    press(page, "Save")
    expect(page.get_by_role("alert")).to_contain_text("at least 731: Cal. Code Regs. tit. 11, § 7101(a)")
    fits(page)
    assert officers.faults == []


def shorten(page: Page, days: str) -> None:
    page.goto(f"{PAGES}/")
    press(page, "interactions")
    press(page, "Change days")
    write(page.get_by_label("Keep for (days)"), days)
    press(page, "Save")


def what_happened() -> None:
    now = clock.now()
    moments = [now - timedelta(days=age) for age in AGES]
    with ADA.here(), transaction():
        ensure_months("customers_interaction", moments)
        someone = Customer.objects.create(customer_id="c-1", name="Somebody", last_activity_at=now)
        Interaction.objects.bulk_create(
            Interaction(customer=someone, kind="visit", occurred_at=moment, external_id=uuid4().hex)
            for moment in moments
        )
        policies.upsert_policy(data_class="interactions", retention_days=365, actor=ADA.actor, now=now)
