"""Which days are no working days for a tenant: the public holidays of a country or a part of it, from `holidays`."""

from datetime import date, timedelta

import holidays

import audit
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.models import Tenant

# Longer than any period of a law, with room for its pauses.
HORIZON = timedelta(days=731)


class UnknownCalendar(ValueError):
    """No country or part of one has this code. The message says what a code looks like."""

    field = "calendar"


def calendars() -> list[str]:
    """The code of every country, and of every part of one that has holidays of its own."""
    known = holidays.list_supported_countries(include_aliases=False)
    return sorted([*known, *(f"{country}-{part}" for country, parts in known.items() for part in parts)])


def public_holidays(calendar: str, first: date) -> frozenset[date]:
    """The public holidays that a period from `first` on can meet; none for no calendar. Raises UnknownCalendar."""
    if not calendar:
        return frozenset()
    country, _, part = calendar.partition("-")
    last = first + HORIZON
    try:
        found = holidays.country_holidays(country, subdiv=part or None, years=range(first.year, last.year + 1))
    except NotImplementedError as e:
        raise UnknownCalendar(
            "A calendar is the code of a country, or of a part of one, such as DE, DE-BE, GB-ENG or US-CA."
        ) from e
    return frozenset(day for day in found if first <= day <= last)


@requires_transaction
def choose(*, calendar: str, roll: bool, dry_run: bool = False) -> Tenant:
    """Set the tenant's calendar, for requests filed from now on; recorded as `dsar.calendar`.

    Clocks that run already keep what they were counted with. `dry_run` changes nothing. Raises UnknownCalendar.
    """
    if calendar and calendar not in calendars():
        # Refuses what the library would take for another name of the same country too: one code, one spelling.
        raise UnknownCalendar(
            "A calendar is the code of a country, or of a part of one, such as DE, DE-BE, GB-ENG or US-CA."
        )
    tenant = Tenant.objects.select_for_update().get(pk=context.tenant_id())
    was = (tenant.holiday_calendar, tenant.roll_deadlines)
    tenant.holiday_calendar, tenant.roll_deadlines = calendar, roll
    if dry_run:
        return tenant
    tenant.save(update_fields=["holiday_calendar", "roll_deadlines"])
    # The change itself stands in the platform's log, as every change of a tenant; this is for the tenant's own.
    audit.record(
        action="dsar.calendar",
        entity_type="Tenant",
        entity_id=tenant.pk,
        changes={
            "holidayCalendar": {"old": was[0], "new": calendar},
            "rollDeadlines": {"old": was[1], "new": roll},
        },
    )
    return tenant
