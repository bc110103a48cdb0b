"""What the demo invents beside the purchases, so that a dossier has something in every section.

Everything is derived from the customer's number and purchases: the same on every machine.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from customers import attachments, bulk
from customers.demo.histories import Purchase
from customers.demo.identities import Identity
from customers.models import (
    AttributionResult,
    DecisionTrace,
    Delivery,
    DynamicRow,
    DynamicSchema,
    IdentityLink,
    InteractionSummary,
    JourneyEnrollment,
    Suppression,
    VariantAssignment,
)

SCHEMA = "loyalty-cards"
# For the progress bar: a profile, traces, a delivery and summaries; and what only some have.
ROWS_EACH = 6
MORE_ROWS = 8

_REASONS = ("do not call registry", "asked by phone", "bounced twice", "quiet period after a complaint")


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A customer of the demo, stored already."""

    pk: UUID
    person: Identity
    history: list[Purchase]

    @property
    def first(self) -> Purchase:
        return self.history[0]

    @property
    def last(self) -> Purchase:
        return self.history[-1]


def consents(subject: Subject, customer_id: str) -> Iterator[dict[str, Any]]:
    """Everybody agreed to newsletters when they first bought; one in seven took it back three months later."""
    given = subject.first.moment
    statement = {"customerId": customer_id, "channel": "email", "purpose": "marketing", "policyVersion": "2"}
    yield {**statement, "status": "granted", "recordedAt": given.isoformat(), "source": "checkout form"}
    if subject.person.number % 7 == 0:
        taken_back = given + timedelta(days=90)
        yield {**statement, "status": "withdrawn", "recordedAt": taken_back.isoformat(), "source": "link in a message"}


def _suppressions(subject: Subject, now: datetime) -> Iterable[Suppression]:
    number = subject.person.number
    yield Suppression(
        customer_id=subject.pk,
        channel=("sms", "call", "push")[number % 3],
        reason=_REASONS[number % len(_REASONS)],
        created_at=subject.last.moment,
        # Some for ever, most for half a year from now on.
        expires_at=None if number % 5 == 0 else now + timedelta(days=180 + number % 30),
    )


def _traces(subject: Subject, now: datetime) -> Iterable[DecisionTrace]:
    """One from the last month, and one from the time of the first purchase."""
    number = subject.person.number
    for moment, outcome in (
        (subject.first.moment, "welcome offer"),
        (now - timedelta(days=1 + number % 27, minutes=number % 600), "catalogue offer"),
    ):
        yield DecisionTrace(
            customer_id=subject.pk,
            decision="next-best-offer",
            channel="web",
            outcome=outcome,
            score=Decimal(number * 7919 % 10_000).scaleb(-4),
            model_version="2.3",
            inputs={"purchases": len(subject.history), "country": subject.person.country},
            reasons=["bought before", "no suppression on this channel"],
            decided_at=moment,
            created_at=moment,
        )


def _attributions(subject: Subject, now: datetime) -> Iterable[AttributionResult]:
    yield AttributionResult(
        customer_id=subject.pk,
        method="last_touch",
        channel=("email", "search", "web")[subject.person.number % 3],
        conversion=f"order-{subject.last.line:06}",
        credit=Decimal(1),
        amount=Decimal(subject.last.dollars),
        currency="USD",
        recorded_at=subject.last.moment + timedelta(hours=1),
    )


def _variants(subject: Subject, now: datetime) -> Iterable[VariantAssignment]:
    yield VariantAssignment(
        customer_id=subject.pk,
        experiment="checkout-in-one-page",
        variant=("control", "treatment")[subject.person.number % 2],
        recorded_at=subject.first.moment,
    )


def _identities(subject: Subject, now: datetime) -> Iterable[IdentityLink]:
    yield IdentityLink(
        customer_id=subject.pk,
        kind="device",
        value=hashlib.sha256(f"demo device {subject.person.number}".encode()).hexdigest()[:32],
        source="web",
        first_seen_at=subject.first.moment,
        last_seen_at=subject.last.moment,
    )


def _journeys(subject: Subject, now: datetime) -> Iterable[JourneyEnrollment]:
    yield JourneyEnrollment(
        customer_id=subject.pk,
        journey="welcome",
        step="third-message",
        state="completed",
        entered_at=subject.first.moment,
        ended_at=subject.first.moment + timedelta(days=14),
    )


def _deliveries(subject: Subject, now: datetime) -> Iterable[Delivery]:
    yield Delivery(
        customer_id=subject.pk,
        channel="email",
        template="order-confirmation",
        destination=subject.person.email,
        status=("delivered", "opened")[subject.person.number % 2],
        provider_id=f"msg-{subject.last.line:06}",
        sent_at=subject.last.moment + timedelta(minutes=2),
    )


def _summaries(subject: Subject, now: datetime) -> Iterable[InteractionSummary]:
    """The purchases of each quarter, in sums."""
    quarters: dict[tuple[int, int], list[Purchase]] = {}
    for purchase in subject.history:
        quarters.setdefault((purchase.moment.year, (purchase.moment.month - 1) // 3), []).append(purchase)
    for (year, quarter), bought in quarters.items():
        begins = datetime(year, quarter * 3 + 1, 1, tzinfo=UTC)
        ends = datetime(year + quarter // 3, (quarter * 3 + 3) % 12 + 1, 1, tzinfo=UTC)
        yield InteractionSummary(
            customer_id=subject.pk,
            kind="purchase",
            channel="web",
            period_start=begins,
            # A quarter that is not over is summed up to now.
            period_end=min(ends, now),
            interactions=len(bought),
            quantity=sum(p.cds for p in bought),
            amount=sum((Decimal(p.dollars) for p in bought), Decimal()),
            currency="USD",
            created_at=min(ends, now),
        )


Builder = Callable[[Subject, datetime], Iterable[Any]]

# Recorded by the statement, so everybody can have them.
FOR_EVERYBODY: tuple[Builder, ...] = (_summaries, _traces, _deliveries)
# Recorded by the row.
FOR_SOME: tuple[Builder, ...] = (_suppressions, _attributions, _variants, _identities, _journeys)


def letter(person: Identity, at: datetime) -> attachments.Upload:
    """A short letter from the customer."""
    text = f"{person.full_name}\n{person.address}\n\nPlease send my receipts to {person.email}.\n"
    return attachments.Upload(
        name=f"letter-{person.number}.txt",
        content=text.encode(),
        content_type="text/plain; charset=utf-8",
        uploaded_at=at,
    )


def fill_schema(subjects: list[Subject], *, now: datetime) -> None:
    """A table the tenant defined itself, with a row for each of these customers."""
    schema = DynamicSchema(
        name=SCHEMA,
        label="Loyalty cards",
        data_class="profiles",
        clock_field="lastUsed",
        fields=[
            {"name": "card", "type": "text", "personal": True},
            {"name": "tier", "type": "text", "personal": True},
            {"name": "points", "type": "number", "personal": True},
            {"name": "lastUsed", "type": "date", "personal": False},
        ],
        created_at=now,
    )
    schema.full_clean()
    schema.save(force_insert=True)
    bulk.insert([_card(schema, subject, now) for subject in subjects])


def _card(schema: DynamicSchema, subject: Subject, now: datetime) -> DynamicRow:
    spent = sum(Decimal(p.dollars) for p in subject.history)
    data = {
        "card": f"9{subject.person.number:07}",
        "tier": "gold" if spent > 200 else "basic",
        "points": int(spent),
        "lastUsed": subject.last.moment.date().isoformat(),
    }
    return DynamicRow(
        customer_id=subject.pk,
        schema=schema,
        row_key=data["card"],
        data=data,
        clock_at=schema.clock_of(data, otherwise=now),
        created_at=now,
    )
