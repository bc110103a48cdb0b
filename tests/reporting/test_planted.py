"""Each report of a world that was planted, against numbers that were counted by hand."""

from collections.abc import Iterator

import pytest

from compliance.reporting import templates
from compliance.reporting.document import Cell, Chart, Document, Section, Table
from compliance.reporting.rendering import FORMATS, render
from kaireon.tenancy.context import transaction
from tests.cast import ADA, MALLORY, Person
from tests.reporting.planted import NOW, SEQ, YEAR, ZONE, plant
from tests.servers import SUITE

Documents = dict[str, Document]


@pytest.fixture(scope="module")
def both(django_db_blocker) -> Iterator[tuple[Documents, Documents]]:
    """All reports of the year: Acme's, and those of Globex, where everything happened three times."""
    with django_db_blocker.unblock(), SUITE.database() as name:
        plant(name)
        yield made(ADA), made(MALLORY)


@pytest.fixture
def acme(both: tuple[Documents, Documents]) -> Documents:
    return both[0]


def made(who: Person) -> Documents:
    with who.here(), transaction(one_moment=True):
        names = [name for name in templates.TEMPLATES if not name.startswith("test_")]
        return {name: templates.build(name, period=YEAR, zone=ZONE, now=NOW) for name in names}


def section(document: Document, title: str) -> Section:
    return next(one for one in document.sections if one.title == title)


def figures(document: Document, title: str) -> dict[str, str | None]:
    return {figure.label: figure.value for figure in section(document, title).figures}


def table(document: Document, title: str, place: int = 0) -> Table:
    return section(document, title).tables[place]


def rows(found: Table) -> dict[Cell, tuple[Cell, ...]]:
    return {row[0]: row[1:] for row in found.rows}


def drawn(chart: Chart) -> dict[str, dict[str, float | None]]:
    """What is not 0, by series and label."""
    return {
        one.name: {label: value for label, value in zip(chart.labels, one.values, strict=True) if value}
        for one in chart.series
    }


def test_requests(acme: Documents) -> None:
    found = acme["subject_requests"]
    # As tests/dsar/test_report.py counts them.
    assert figures(found, "Requests") == {
        "Received": "16",
        "Answered": "11",
        "On time": "90.9 %",
        "Median days to answer": "10.0",
        "Mean days to answer": "17.5",
        "Extended": "1",
        "Open at the end": "4",
        "Overdue at the end": "1",
    }
    received, answered = section(found, "Requests").charts
    assert len(received.labels) == 12
    assert drawn(received)["Received"]["2025-02"] == 3
    assert sum(value or 0 for value in received.series[0].values) == 16
    assert drawn(answered) == {
        "On time": {"2025-01": 2, "2025-02": 1, "2025-03": 4, "2025-04": 1, "2025-06": 1, "2025-08": 1},
        "Late": {"2025-03": 1},
    }
    ccpa = table(found, "CCPA, 11 CCR § 7102(a)")
    assert rows(ccpa)["Requests to know"] == (6, 1, 1, 2, 4.0, 4.5)
    assert "Received: 16 requests. Answered: 11, 90.9 % of them on time." in found.summary


def test_retention(acme: Documents) -> None:
    found = acme["retention"]
    assert table(found, "Policies").rows == (("interactions", 30, "Normal", "", 2),)
    assert figures(found, "Decisions about policies") == {
        "Decisions": "1",
        "That shorten": "1",
        "Agreed to by a second person": "1",
    }
    decided = table(found, "Decisions about policies").rows[0]
    assert decided[0] == "2025-05-01 09:00 NZST"
    assert decided[1:5] == ("interactions", 365, 30, "Normal")
    assert figures(found, "Disposed of") == {
        "Rows": "157",
        "Deleted by the row": "7",
        "Dropped with its month": "100",
        "Identifiers shredded": "50",
    }
    assert drawn(section(found, "Disposed of").charts[0]) == {
        "Deleted by the row": {"2025-01": 7},
        "Dropped with its month": {"2025-04": 100},
        "Identifiers shredded": {"2025-11": 50},
    }
    assert table(found, "Plans of purges").rows == (("Applied", 1, 57),)


def test_holds(acme: Documents) -> None:
    found = acme["legal_holds"]
    assert figures(found, "In effect")["Holds"] == "2"
    assert figures(found, "In this period") == {"Placed": "3", "Released": "1", "Refused because of a hold": "1"}
    assert drawn(section(found, "In this period").charts[0]) == {
        "Placed": {"2025-03": 2, "2025-12": 1},
        "Released": {"2025-09": 1},
    }
    assert figures(found, "Matters") == {"Open": "1", "Past their day of review": "1", "Closed in the period": "0"}
    assert table(found, "Matters").rows == (("Case 7", "", "2024-06-01", "2026-01-31", 2),)


def test_the_log(acme: Documents) -> None:
    found = acme["audit_integrity"]
    assert figures(found, "The log")["Records of the period"] == "20"
    assert figures(found, "The log")["Positions"] == f"{SEQ} to {SEQ + 20}"
    by_month = {1: 1, 2: 2, 3: 1, 4: 3, 5: 1, 6: 4, 7: 2, 8: 1, 9: 1, 10: 3, 11: 1}
    assert drawn(section(found, "The log").charts[0])["Records"] == {
        f"2025-{month:02}": count for month, count in by_month.items()
    }
    runs = figures(found, "Verifications")
    assert (runs["Intact"], runs["Broken"], runs["Abandoned"]) == ("1", "1", "0")
    assert table(found, "Verifications").rows[0] == (
        "2025-07-01 09:00 NZST",
        "Ada",
        "The whole log",
        40,
        "Broken",
        "record 17: hash_mismatch",
    )
    assert "1 verification of the period found the log intact and 1 found it broken" in found.summary


def test_access_to_personal_data(acme: Documents) -> None:
    found = acme["personal_data_access"]
    assert figures(found, "By kind") == {"Read": "4", "Taken away": "3", "Refused": "1"}
    assert drawn(section(found, "By kind").charts[0]) == {
        "Read": {"2025-01": 1, "2025-02": 2, "2025-03": 1},
        "Taken away": {"2025-06": 3},
        "Refused": {"2025-07": 1},
    }
    kinds = rows(table(found, "By kind"))
    assert kinds["Personal values looked at"] == ("personal.view", 3, SEQ, SEQ + 2)
    assert kinds["Dossiers downloaded"] == ("dsar.export.downloaded", 2, SEQ + 6, SEQ + 7)
    assert kinds["Log read"] == ("audit_log.read", 0, None, None)
    assert table(found, "By whom").rows == (
        ("Ada", "Member", 5, 3, "2025-06-30 23:59 NZST", SEQ + 7),
        ("Aud", "Member", 2, 2, "2025-06-05 09:00 NZST", SEQ + 5),
    )


def test_evidence_of_controls(acme: Documents) -> None:
    found = acme["soc2_evidence"]
    evidence = {row[0]: row[1:] for one in found.sections for row in one.tables[0].rows}
    assert evidence["Sign-ins"][:3] == (3, f"{SEQ + 9} to {SEQ + 11}", "2025-09-02 09:00 NZST")
    assert evidence["Failed sign-ins"][0] == 2
    assert evidence["Looks at personal values in clear"][:2] == (4, f"{SEQ} to {SEQ + 4}")
    assert evidence["API keys made"][:2] == (1, str(SEQ + 12))
    assert evidence["API keys changed or ended"][:2] == (2, f"{SEQ + 13} to {SEQ + 14}")
    assert evidence["Memberships granted"][:2] == (1, str(SEQ + 15))
    assert evidence["Roles changed"][:2] == (1, str(SEQ + 16))
    assert evidence["Memberships ended"][:2] == (0, "")
    assert evidence["Signals raised by the scan of the log"][0] == 2
    assert evidence["Signals raised by the scan of the log"][3] == "1 to wake somebody; taken on after 3.0 h on average"
    assert evidence["Signals that nobody took on"][0] == 1
    assert evidence["Alerts fired"][:2] == (1, str(SEQ + 19))
    assert evidence["Requests for a second person's yes"][0] == 3
    assert (evidence["Approved"][0], evidence["Rejected"][0]) == (2, 1)
    assert evidence["Approved by somebody else than who asked"][0] == 2
    assert evidence["Rows disposed of by retention"][0] == 157
    assert evidence["Purges"][:2] == (1, str(SEQ + 20))
    assert evidence["Packages handed out"][:2] == (2, f"{SEQ + 6} to {SEQ + 7}")
    assert evidence["Runs of scheduled jobs"][0] == 0


def test_nothing_of_another_tenant_is_in_them(both: tuple[Documents, Documents]) -> None:
    ours, theirs = both
    assert figures(theirs["legal_holds"], "In this period")["Placed"] == "9"
    assert figures(theirs["personal_data_access"], "By kind")["Read"] == "12"
    assert figures(theirs["subject_requests"], "Requests")["Received"] == "0"
    assert theirs["subject_requests"].summary == "No request was received, answered or open in this period."
    assert {one.tenant for one in ours.values()} == {"Acme"}


def test_all_of_them_are_written_in_all_formats(acme: Documents) -> None:
    for document in acme.values():
        for format_ in FORMATS:
            assert len(render(document, format_)) > 1_000
