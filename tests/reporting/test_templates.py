"""Each report against a world that was planted by hand, and against a tenant in which nothing happened."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from audit import services as log
from compliance.reporting import templates
from compliance.reporting.document import Document, Period
from compliance.reporting.rendering import FORMATS, render
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.cast import ADA, MALLORY, Person

pytestmark = pytest.mark.usefixtures("db")
BERLIN = ZoneInfo("Europe/Berlin")


def made(name: str, who: Person = ADA, period: Period | None = None) -> Document:
    now = clock.now()
    log.drain(who.tenant_id)
    period = period or Period(start=now - timedelta(days=365), end=now + timedelta(days=1))
    with who.here(), transaction(one_moment=True):
        return templates.build(name, period=period, zone=BERLIN, now=now)


def test_every_report_is_made_of_a_tenant_and_a_period_with_nothing_in_them() -> None:
    before = Period(start=datetime(2020, 1, 1, tzinfo=UTC), end=datetime(2021, 1, 1, tzinfo=UTC))
    for name in templates.TEMPLATES:
        found = made(name, MALLORY, before)
        assert found.summary
        for format_ in FORMATS:
            assert render(found, format_)
