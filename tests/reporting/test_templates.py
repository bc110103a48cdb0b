"""The registry of reports, how they fail, and what they say of a tenant in which nothing happened."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from compliance.reporting import retention, schedule, schedules, templates
from compliance.reporting.document import Document, Period, Section
from compliance.reporting.rendering import FORMATS, render
from compliance.reporting.templates import Asked, Template, TemplateFailed, TemplateTaken, UnknownTemplate
from compliance.retention import policies
from kaireon.flows import schedule as zones
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from kaireon.tenancy.roles import Permission
from tests.cast import MALLORY

BEFORE = Period(start=datetime(2020, 1, 1, tzinfo=UTC), end=datetime(2021, 1, 1, tzinfo=UTC))
# What a report may ask of the database, whatever there is: each section a handful.
MOST_QUERIES = 24


def made(name: str) -> Document:
    with MALLORY.here(), transaction(one_moment=True):
        return templates.build(name, period=BEFORE, zone=ZoneInfo("Europe/Berlin"), now=clock.now())


def known() -> list[str]:
    return sorted(name for name in templates.TEMPLATES if not name.startswith("test_"))


def _broken(asked: Asked) -> Section:
    raise ValueError("what was read")


@pytest.fixture
def one() -> Iterator[Template]:
    """A report of the tests' own: its only section fails."""
    given: dict[str, Any] = {"title": "Test", "help": "A test.", "permission": Permission.READ_TENANT}
    template = Template(name="test_report", summary=lambda asked: "Said.", sections={"Broken": _broken}, **given)
    templates.register(template)
    yield template
    del templates.TEMPLATES["test_report"]


def test_a_period_with_nothing_in_it_is_told_truly(db: str) -> None:
    for name in known():
        with CaptureQueriesContext(connection) as queries:
            found = made(name)
        assert len(queries) <= MOST_QUERIES, name
        for section in found.sections:
            assert not section.charts, (name, section.title)
            assert section.note or section.tables, (name, section.title)
        for format_ in FORMATS:
            assert render(found, format_)
    said = {name: made(name).summary for name in known()}
    assert said["subject_requests"] == "No request was received, answered or open in this period."
    assert said["personal_data_access"].startswith("Nobody looked at personal data")
    assert said["retention"].startswith("Nothing was disposed of in this period.")
    assert "It was never verified." in said["audit_integrity"]


def test_they_are_what_is_asked_for() -> None:
    assert known() == [
        "audit_integrity",
        "legal_holds",
        "personal_data_access",
        "retention",
        "soc2_evidence",
        "subject_requests",
    ]
    for template in templates.TEMPLATES.values():
        assert template.help.endswith(".")
        assert isinstance(template.permission, Permission)


def test_a_name_is_one_report(one: Template) -> None:
    templates.register(one)
    other = Template(**{**vars(one), "title": "Another"})
    with pytest.raises(TemplateTaken):
        templates.register(other)
    with pytest.raises(UnknownTemplate, match=r"'nothing' is no report; known are audit_integrity, "):
        templates.get("nothing")


def test_one_that_fails_says_where_and_nothing_of_what_it_read(db: str, one: Template) -> None:
    with pytest.raises(TemplateFailed) as failed:
        made("test_report")
    assert str(failed.value) == "The section “Broken” of the report test_report failed with ValueError."
    assert (failed.value.template, failed.value.section) == ("test_report", "Broken")


def test_a_figure_counts_what_its_table_has_no_room_for(db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = clock.now()
    with MALLORY.here():
        for data_class, days in (("metrics", 90), ("decisions", 90), ("metrics", 60), ("decisions", 60)):
            with transaction():
                policies.upsert_policy(
                    data_class=data_class, retention_days=days, actor=MALLORY.actor, now=now, reason="r"
                )
        monkeypatch.setattr(retention, "MOST_DECISIONS", 1)
        with transaction():
            period = Period(start=now - timedelta(days=1), end=now + timedelta(days=1))
            found = retention.decisions(Asked(period=period, zone=ZoneInfo("UTC"), now=now))
    assert [(figure.label, figure.value) for figure in found.figures][:2] == [("Decisions", "4"), ("That shorten", "2")]
    assert (len(found.tables[0].rows), found.tables[0].truncated) == (1, 3)


@pytest.mark.parametrize(
    ("first", "last", "points"),
    [
        # 62 days, one of 25 hours; 62, one of 23; and one more.
        ("2026-09-01", "2026-11-01", 62),
        ("2026-02-01", "2026-04-03", 62),
        ("2026-02-01", "2026-04-04", 3),
        ("2026-09-01", "2026-11-02", 3),
    ],
)
def test_so_many_days_are_told_by_the_day_whatever_the_clocks_do(first: str, last: str, points: int) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    start, end = schedule.moments(date.fromisoformat(first), date.fromisoformat(last), berlin)
    assert len(Period(start=start, end=end).parts(berlin)) == points


def test_the_database_counts_by_the_same_clocks_as_we_do(db: str) -> None:
    """Of some names it takes the first three letters for one offset all year, as winter has it."""
    moments = [datetime(2026, month, 1, 12, tzinfo=UTC) for month in (1, 7)]
    known = sorted(name for name in zones.zones() if name not in schedules.NOT_OF_THE_DATABASE)
    with MALLORY.here(), transaction(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT zone, moment, moment AT TIME ZONE zone"
            " FROM unnest(%s::text[]) zone, unnest(%s::timestamptz[]) moment",
            [known, moments],
        )
        told = cursor.fetchall()
    assert len(told) == 2 * len(known) > 1_000
    assert [zone for zone, at, local in told if at.astimezone(ZoneInfo(zone)).replace(tzinfo=None) != local] == []
    for name in (*schedules.NOT_OF_THE_DATABASE, "localtime"):
        with pytest.raises(schedules.ReportRefused):
            schedules.zone_of(name)


def test_what_two_sections_need_is_read_once() -> None:
    read: list[int] = []

    def look(asked: Asked) -> Section:
        read.append(1)
        return Section(title="S")

    asked = Asked(period=BEFORE, zone=ZoneInfo("UTC"), now=BEFORE.end)
    assert asked.once(look) is asked.once(look)
    assert len(read) == 1
