"""A planted world: an offer presented to people whose answer depends on what they did before, or on nothing."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from customers import partitions
from customers.models import Customer, Interaction, RetrainRun, RetrainSchedule
from customers.propensity import by_hand, examples, fitting, schedules
from customers.propensity.fitting import Fitted
from kaireon.lib.ids import uuid7
from kaireon.tenancy.context import transaction
from tests.customers.exporting.warehouse import settled

OFFER = "winter-sale"
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
Answers = Callable[[random.Random, bool], bool]


def by_visit(rng: random.Random, visited: bool) -> bool:
    """Whoever visited before mostly accepts, the others mostly do not."""
    return rng.random() < (0.8 if visited else 0.1)


def against(rng: random.Random, visited: bool) -> bool:
    """The other way round: what is learnt of these misleads about the others."""
    return rng.random() < (0.1 if visited else 0.8)


def by_chance(rng: random.Random, visited: bool) -> bool:
    return rng.random() < 0.4


def never(rng: random.Random, visited: bool) -> bool:
    return False


def plant(
    now: datetime,
    *,
    answers: Answers = by_visit,
    people: int = 60,
    each: int = 6,
    prefix: str = "p",
    offer: str = OFFER,
) -> list[Customer]:
    """`people` customers, each shown the offer `each` times over 150 days; in the scope that is open."""
    rng = random.Random(f"{prefix}{people}")
    customers = [Customer(customer_id=f"{prefix}-{n}", email=f"{prefix}{n}@example.com") for n in range(people)]
    rows: list[Interaction] = []

    def did(who: Customer, kind: str, at: datetime, **more: Any) -> None:
        rows.append(Interaction(customer=who, kind=kind, occurred_at=at, external_id=f"x-{prefix}-{len(rows)}", **more))

    for who in customers:
        # So that each is judged by what was before, not by who they are.
        start = now - 160 * DAY + rng.random() * 20 * DAY
        for n in range(each):
            at = start + n * (140 / each) * DAY
            visited = rng.random() < 0.5
            if visited:
                did(who, "call", at - 2 * HOUR, channel="phone")
            did(who, "impression", at, channel=rng.choice(["email", "app"]), offer=offer)
            if answers(rng, visited):
                did(who, "click", at + HOUR, channel="email", offer=offer)
    with transaction():
        partitions.ensure_months("customers_interaction", [row.occurred_at for row in rows])
        Customer.objects.bulk_create(customers)
        Interaction.objects.bulk_create(rows)
    settled()
    return customers


def mislead(now: datetime) -> list[Customer]:
    """More people, who answered the other way round, before the others: who learns of them is worse on the later."""
    return plant(now - 150 * DAY, answers=against, people=90, prefix="m")


def schedule(now: datetime, offer: str = OFFER, **given: Any) -> RetrainSchedule:
    with transaction():
        return schedules.create(offer=offer, given={"min_positives": 10, **given}, now=now)


def fitted(now: datetime, offer: str = OFFER, seed: int = 7) -> Fitted:
    """Read and fit, without a schedule."""
    settled()
    with transaction():
        asked = examples.window(offer=offer, days=365, now=now)
    return fitting.fit(examples.read(asked=asked, seed=seed), least_positives=10)


def retrained(now: datetime, offer: str = OFFER) -> RetrainRun:
    settled()
    return by_hand.retrain(offer=offer, now=now)


def one(who: Customer, kind: str, at: datetime, offer: str = OFFER, **more: Any) -> Interaction:
    with transaction():
        partitions.ensure_months("customers_interaction", [at])
        return Interaction.objects.create(
            customer=who, kind=kind, occurred_at=at, external_id=str(uuid7()), offer=offer, **more
        )
