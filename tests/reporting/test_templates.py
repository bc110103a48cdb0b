"""The registry of reports, how they fail, and what they say of a tenant in which nothing happened."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from compliance.reporting import templates
from compliance.reporting.document import Document, Period, Section
from compliance.reporting.rendering import FORMATS, render
from compliance.reporting.templates import Asked, Template, TemplateFailed, TemplateTaken, UnknownTemplate
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


def test_what_two_sections_need_is_read_once() -> None:
    read: list[int] = []

    def look(asked: Asked) -> Section:
        read.append(1)
        return Section(title="S")

    asked = Asked(period=BEFORE, zone=ZoneInfo("UTC"), now=BEFORE.end)
    assert asked.once(look) is asked.once(look)
    assert len(read) == 1
