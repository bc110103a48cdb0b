"""What a package says beside the data: who answers whom, how long each kind is kept, and which rights there are."""

from dataclasses import dataclass
from datetime import datetime

from compliance.retention.in_force import InForce, all_in_force
from customers.catalogue import CATALOGUE
from customers.particulars import PARTICULARS
from dsar.dossiers.writing import SECTIONS, sections_of
from dsar.models import DsarRequest
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.models import Tenant

UNTIL_FURTHER = "No period is set: kept until it is not needed any more, or until you have it erased."
BY_KIND = "As the organisation states for each kind."

_GDPR = (
    "Have what is wrong or incomplete put right (Article 16).",
    "Have your data erased (Article 17).",
    "Have its use restricted (Article 18).",
    "Take along what you provided, in the folder “portable” (Article 20).",
    "Object to its use (Article 21).",
    "Not be subject to a decision made without a person, ask for one, state your view and contest it (Article 22).",
    "Withdraw a consent at any time; what happened before stays lawful (Article 7(3)).",
    "Complain to a supervisory authority (Article 77).",
)
# By the law that a request is answered under.
RIGHTS: dict[str, tuple[str, ...]] = {
    "gdpr": _GDPR,
    "uk_gdpr": (*_GDPR[:-1], "Complain to the Information Commissioner (Article 77)."),
    "ccpa": (
        "Have your personal information deleted (Cal. Civ. Code §1798.105).",
        "Have what is inaccurate corrected (§1798.106).",
        "Opt out of its sale and sharing (§1798.120).",
        "Limit the use of sensitive personal information (§1798.121).",
        "Not be treated worse for exercising a right (§1798.125).",
    ),
    "dpdpa": (
        "Have your data corrected, completed, updated and erased (section 12).",
        "Have a grievance redressed, and then go to the Board (section 13).",
        "Name somebody who exercises your rights when you cannot (section 14).",
        "Withdraw a consent at any time, as easily as it was given (section 6(4)).",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Cover:
    """`retention` has a sentence by section."""

    organisation: str
    request_id: str
    regulation: str
    retention: dict[str, str]
    sections: tuple[str, ...] = SECTIONS

    @property
    def portable(self) -> bool:
        """Whether the whole is what the person provided, to take along."""
        return self.sections != SECTIONS

    @property
    def rights(self) -> tuple[str, ...]:
        return RIGHTS.get(self.regulation, ())


@requires_transaction
def cover(request: DsarRequest, *, now: datetime) -> Cover:
    """As it stands now: periods may have changed since the data was read."""
    periods = all_in_force(now)
    classes = {e.section: e.data_class for e in CATALOGUE if e.section} | {"auditLogs": "audit"}
    return Cover(
        organisation=Tenant.objects.get(pk=context.tenant_id()).name,
        request_id=str(request.pk),
        regulation=request.regulation,
        sections=sections_of(request.request_type),
        retention={s: _period(periods.get(classes[s])) if classes[s] else BY_KIND for s in PARTICULARS},
    )


def _period(counts: InForce | None) -> str:
    if counts is None:
        return UNTIL_FURTHER
    because = f", because of {counts.law.citation}" if counts.law else ""
    return f"{counts.days} days{because}."
