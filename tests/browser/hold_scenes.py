"""The desk of legal holds for the pictures: a dispute whose release waits, and one that is being placed."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

from playwright.sync_api import Page, expect

from compliance.holding import matters
from compliance.holding.matters import What
from compliance.models import Matter
from customers.models import Customer, Interaction
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from kaireon.tenancy.models import Membership
from tests.approvals.conftest import BEA, admins  # noqa: F401
from tests.cast import ADA
from tests.outbox.conftest import Receiver, deliver_until_settled, destination, publish, receiver, say  # noqa: F401

# Name, file number, why, counsel, and in how many days it is reviewed.
DISPUTES = (
    (
        "Offers to closed accounts",
        "4 O 118/26",
        "Inquiry of the supervisory authority, letter of 2 May",
        "Legal desk",
        -4,
    ),
    ("Roth against Acme", "7 O 12/26", "Order of the regional court to preserve records", "Lind & Partners", 45),
)


def take_the_desk(page: Page, take: Callable[[Page, str], None]) -> None:
    now = clock.now()
    with ADA.here(uuid4().hex), transaction():
        customers = list(Customer.objects.order_by("customer_id").values_list("pk", "customer_id")[:12])
        told = [str(member) for member in Membership.objects.order_by("joined_at").values_list("user_id", flat=True)]
        for name, reference, reason, counsel, due in DISPUTES:
            review_on = now.date() + timedelta(days=due)
            matter = matters.open_matter(
                name=name, reference=reference, reason=reason, counsel=counsel, review_on=None, actor=ADA.actor, now=now
            )
            Matter.objects.filter(pk=matter.pk).update(review_on=review_on)
            for what in (
                What(entity="interactionHistory", subjects=[pk for pk, _ in customers[:3]], from_at=clock.at("00:00")),
                What(data_class="decisions", subjects=[pk for pk, _ in customers]),
            ):
                hold = matters.place(matter=matter, what=what, custodians=told, confirm=True, actor=ADA.actor, now=now)
        matters.acknowledge(hold=hold, actor=ADA.actor, now=now)
        matters.ask_release(hold=hold, reason="Settled out of court on 3 June", actor=ADA.actor, now=now)
    page.goto("/admin/compliance/hold/")
    take(page, "hold-desk")
    page.goto(f"/admin/compliance/hold/{hold.pk}/change/")
    take(page, "hold-page")
    page.goto("/admin/compliance/hold/asked/")
    take(page, "hold-asked")
    page.goto(f"/admin/compliance/hold/place/?matter={hold.matter_id}")
    page.locator("#id_entity").select_option("interactionHistory")
    page.get_by_role("button", name="Ask for its columns").click()
    page.get_by_label("Condition 1: column").select_option("channel")
    page.get_by_label("Condition 1: value").fill("email")
    page.locator("#id_subjects").fill("\n".join(number for _, number in customers))
    take(page, "hold-place")
    page.get_by_role("button", name="Show what it finds").click()
    expect(page.get_by_role("heading", name="It finds now")).to_be_visible()
    take(page, "hold-preview")
    with ADA.here(), transaction():
        seen = (
            Interaction.objects.filter(customer=customers[0][0]).order_by("occurred_at").values_list("pk", flat=True)[0]
        )
    page.goto(f"/admin/compliance/retentionpolicy/explain/?entity=interactionHistory&id={seen}")
    take(page, "explain")
