"""Several requests given to one member at once, each by itself: what cannot be given is said, the others are."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from dsar.models import DsarRequest
from dsar.requests import assigning
from dsar.requests.outcomes import RequestClosed
from kaireon.tenancy.context import requires_transaction, transaction

# More than a page of the list or the board shows.
MOST = 100


class TooMany(ValueError):
    """More at once than a page shows."""

    def __init__(self) -> None:
        super().__init__(f"At most {MOST} requests can be assigned at once.")


@dataclass(frozen=True, kw_only=True)
class Given:
    """What came of it: references of those that were given, and of those that were closed; `name` of the member.

    Of `unknown` ids nothing is told but how many there were.
    """

    assigned: list[str]
    closed: list[str]
    unknown: int
    name: str


@requires_transaction
def chosen(ids: Collection[str]) -> list[DsarRequest]:
    """The requests of the active tenant among these, the most urgent first. Raises TooMany."""
    if len(ids) > MOST:
        raise TooMany
    return list(DsarRequest.objects.filter(pk__in=_keys(ids)).order_by("deadline_on", "id"))


@requires_transaction
def assign_each(ids: Collection[str], *, to: str) -> Given:
    """Give each of these to a member, or with "" to nobody; each is recorded as `dsar.assign`.

    Another tenant's are unknown, as are those that were never there. Raises assigning.NotAnOfficer, TooMany.
    """
    officer = assigning.officer_of(to) if to else None
    assigned, closed = [], []
    # Always in the same order: of two who give the same ones away at once the second waits, and neither for ever.
    for row in sorted(chosen(ids), key=lambda row: row.pk):
        try:
            with transaction():
                assigning.assign(request=row, to=to)
            assigned.append(row.reference)
        except RequestClosed:
            closed.append(row.reference)
    return Given(
        assigned=assigned,
        closed=closed,
        unknown=len(set(ids)) - len(assigned) - len(closed),
        name=officer.user.name if officer else "",
    )


def _keys(ids: Collection[str]) -> set[UUID]:
    found = set()
    for given in ids:
        try:
            found.add(UUID(given))
        except ValueError:
            # As unknown as one that was never there.
            continue
    return found
