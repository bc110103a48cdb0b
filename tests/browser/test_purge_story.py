"""A purge from the look ahead to what was disposed of, by two officers in real browsers."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from compliance.models import PurgePlan
from compliance.purging import applying, plans
from compliance.purging.refusals import PlanRefused
from compliance.retention import policies
from cron import beat_rows
from customers.models import Customer, Interaction
from customers.partitions import ensure_months
from kaireon.approvals import services
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import transaction
from tests.approvals.conftest import BEA, admins  # noqa: F401
from tests.browser.conftest import Officers
from tests.browser.steps import fits, follow, press
from tests.cast import ADA
from tests.compliance.rows import hold

ROWS = 12_000


@pytest.mark.slow
def test_a_purge_is_looked_at_agreed_to_applied_and_stopped_by_a_hold(admins: str, officers: Officers) -> None:  # noqa: F811
    who = prepare()
    ada, bea = officers.arrive(ADA), officers.arrive(BEA)
    look_ahead(ada)
    press(ada, "Make a plan of these classes")
    expect(ada.locator("#found")).to_contain_text("12,000")
    expect(ada.get_by_text("Somebody else has to agree to it first.")).to_be_visible()
    fits(ada)
    press(ada, "Make the plan")
    expect(ada.get_by_text("The plan names 12,000 rows. Nothing is deleted yet.")).to_be_visible()
    expect(ada.get_by_text("A second person must agree before it can be applied.")).to_be_visible()
    expect(ada.get_by_role("link", name="Approve")).to_have_count(0)
    expect(ada.get_by_role("link", name="Apply")).to_have_count(0)
    fits(ada)

    bea.goto("/admin/compliance/purgeplan/")
    expect(bea.get_by_text("Waits for a second person")).to_be_visible()
    fits(bea)
    follow(bea, bea.locator("#result_list tbody").get_by_role("link").first)
    press(bea, "Approve")
    fits(bea)
    press(bea, "Approve")
    expect(bea.get_by_text("Your yes is kept. The plan may be applied.")).to_be_visible()

    ada.reload()
    expect(ada.get_by_text("Everything is as it was planned: it may be applied.")).to_be_visible()
    press(ada, "Apply")
    expect(ada.get_by_text("A hold or a longer policy that appears on the way stops it.")).to_be_visible()
    fits(ada)
    press(ada, "Delete them")
    # The page follows the worker by itself to the end.
    expect(ada.locator("#k-progress [role=status]")).to_have_text("Applied", timeout=30_000)
    expect(ada.locator("[data-figure=deleted]")).to_have_text("12,000")
    fits(ada)
    press(ada, "What was disposed of")
    expect(ada.locator("#sums")).to_contain_text("12,000")
    expect(ada.locator("#result_list")).to_contain_text("Ada")
    expect(ada.locator("#result_list")).to_contain_text("approved by Bea")
    fits(ada)
    with ada.expect_download() as download:
        ada.goto("/admin/compliance/disposition/")
        ada.get_by_role("link", name="CSV").click()
    assert re.fullmatch(r"dispositions-acme-\w+\.csv", download.value.suggested_filename)

    stopped(ada, bea, who)
    assert officers.faults == []


def look_ahead(page: Page) -> None:
    page.goto("/admin/compliance/purgeplan/")
    expect(page.get_by_text("Make one to look.")).to_be_visible()
    press(page, "What goes next")
    expect(page.get_by_text("cleanup runs next at")).to_be_visible()
    expect(page.locator("#found")).to_contain_text("30 days, version 1 of the policy")
    fits(page)
    follow(page, page.locator("#found").get_by_role("link").first)
    expect(page.locator("#verdict-title")).to_have_text("Interaction history")
    page.go_back()


def stopped(ada: Page, bea: Page, who: Customer) -> None:
    """A second plan: a hold comes while it is being applied, and a third is told of it before it begins."""
    put(who, 6)
    ada.goto("/admin/compliance/purgeplan/new/?look=1")
    press(ada, "Make the plan")
    bea.goto(ada.url.replace("/change/", "/approve/"))
    press(bea, "Approve")
    with ADA.here():
        with transaction():
            plan = PurgePlan.objects.newest_first().first()
            assert plan is not None
        applying.begin(plan_id=plan.pk, actor=ADA.actor, now=clock.now())
        with pytest.raises(PlanRefused):
            applying.go_on(
                plan_id=plan.pk,
                now=clock.now(),
                budget=Budget(60),
                size=2,
                told=lambda done, _: hold(who) if done == 2 else None,
            )
    ada.reload()
    expect(ada.get_by_role("alert")).to_contain_text("It was stopped for good. A hold came since the plan was made")
    expect(ada.locator("[data-figure=deleted]")).to_have_text("2")
    expect(ada.locator("#items")).to_contain_text("Hold: Case 7")
    fits(ada)
    ada.goto("/admin/compliance/purgeplan/")
    expect(ada.locator("#result_list")).to_contain_text("2 deleted, then: A hold came")
    fits(ada)
    ada.goto("/admin/compliance/purgeplan/tomorrow/")
    expect(ada.locator("#found tbody tr")).to_contain_text("Hold: Case 7")
    fits(ada)


def prepare() -> Customer:
    """Twelve thousand interactions past their time, a second person demanded, and the schedule."""
    beat_rows.install()
    now = clock.now()
    with ADA.here(), transaction():
        services.demand_second_person(plans.VERB, demanded=True, now=now)
        policies.upsert_policy(data_class="interactions", retention_days=30, actor=ADA.actor, now=now)
        who = Customer.objects.create(customer_id="c-1", name="Somebody", last_activity_at=now)
    put(who, ROWS)
    return who


def put(who: Customer, count: int) -> None:
    moment = clock.now() - timedelta(days=40)
    with ADA.here(), transaction():
        ensure_months("customers_interaction", [moment])
        Interaction.objects.bulk_create(
            Interaction(customer=who, kind="visit", occurred_at=moment, external_id=uuid4().hex) for _ in range(count)
        )
