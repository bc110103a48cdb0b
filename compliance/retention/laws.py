"""What laws say about how long data must, or may, be kept. Data, with its source; a tenant switches on what binds it.

Periods are in days and count a leap day, so that nothing goes a day early: a year is 366, two are 731. This is no legal
advice: a pack says what its citation says, about the classes it names, and nothing else.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, kw_only=True)
class Period:
    """So many days, for these classes, by this rule."""

    data_classes: tuple[str, ...]
    days: int
    citation: str
    says: str


@dataclass(frozen=True, kw_only=True)
class Law:
    """`floors` say how long data must be kept at least, `ceilings` how long at most. Nothing of it counts before
    `starts`. A template is a period that many laws share: look yours up before you switch it on."""

    name: str
    title: str
    floors: tuple[Period, ...] = ()
    ceilings: tuple[Period, ...] = ()
    starts: datetime | None = None
    template: bool = False


@dataclass(frozen=True, kw_only=True)
class Bound:
    """A period as it binds one class."""

    law: str
    days: int
    citation: str
    says: str
    starts: datetime | None


PERSONAL = ("interactions", "decisions", "metrics", "profiles", "consents", "deliveries", "attachments")
# Rule 1(4): rules 3, 5 to 16, 22 and 23 come into force eighteen months after their publication, which is told as of
# 13 November 2025 and as of the day after. The earlier one keeps more.
DPDP_STARTS = datetime(2027, 5, 13, tzinfo=UTC)

LAWS: tuple[Law, ...] = (
    Law(
        name="dpdp-2025",
        title="India: Digital Personal Data Protection Rules, 2025",
        starts=DPDP_STARTS,
        floors=(
            Period(
                data_classes=(*PERSONAL, "audit"),
                days=366,
                citation="DPDP Rules 2025, rule 8(3)",
                says="personal data, traffic data and logs of a processing are kept for a year from its date at least",
            ),
        ),
    ),
    Law(
        name="dpdp-2025-third-schedule",
        title="India: DPDP Rules, 2025, large e-commerce, gaming and social media",
        starts=DPDP_STARTS,
        ceilings=(
            Period(
                data_classes=("profiles", "interactions"),
                days=1095,
                citation="DPDP Rules 2025, rule 8(1) and Third Schedule",
                says="personal data is erased three years after the person last came, or used their rights",
            ),
        ),
    ),
    Law(
        name="ccpa-regulations",
        title="California: CCPA regulations",
        floors=(
            Period(
                data_classes=("dsar",),
                days=731,
                citation="Cal. Code Regs. tit. 11, § 7101(a)",
                says="records of consumer requests and of the responses to them are kept for at least 24 months",
            ),
        ),
    ),
    Law(
        name="tax-6-years",
        title="Tax template: six years",
        template=True,
        floors=(
            Period(
                data_classes=("deliveries", "attachments"),
                days=2558,
                citation="Template, such as § 147(3) and (4) of the German Fiscal Code for business letters",
                says="six years from the end of the calendar year",
            ),
        ),
    ),
    Law(
        name="tax-10-years",
        title="Tax template: ten years",
        template=True,
        floors=(
            Period(
                data_classes=("deliveries", "attachments"),
                days=4019,
                citation="Template, such as § 147(3) and (4) of the German Fiscal Code for books and records",
                says="ten years from the end of the calendar year",
            ),
        ),
    ),
)
BY_NAME = {law.name: law for law in LAWS}


def bounds(names: Collection[str], data_class: str, *, upper: bool = False) -> list[Bound]:
    """What these laws ask of a class, whether they have started or not: floors, or ceilings."""
    return [
        Bound(law=law.name, days=p.days, citation=p.citation, says=p.says, starts=law.starts)
        for law in LAWS
        if law.name in names
        for p in (law.ceilings if upper else law.floors)
        if data_class in p.data_classes
    ]
