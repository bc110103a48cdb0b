"""The figures of a period, against a table that was counted by hand."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command

from dsar.deadlines import law_pack
from dsar.models import DsarRequest, State
from dsar.models.request import STATUS_OF
from dsar.reporting import telling
from dsar.reporting.figures import BadPeriod, Figures, Report, report
from dsar.requests.grounds import GROUNDS
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from kaireon.tenancy.models import Tenant
from tests.cast import ACME, ADA, MALLORY
from tests.dsar.conftest import client

AUCKLAND = ZoneInfo("Pacific/Auckland")
YEAR = (date(2025, 1, 1), date(2025, 12, 31))
NOW = clock.at("2026-03-01T12:00:00+13:00")
OPEN: dict[str, Any] = {"state": State.REVIEW}


def made(law: str, kind: str, received: str, deadline: str | None, ended: str = "", **more: Any) -> None:
    """A request as it lies; times are Auckland's. Without `outcome` it is completed, without `ended` in review."""
    given: dict[str, Any] = {"state": State.COMPLETED, "outcome": "completed"} if ended else OPEN
    given = {**given, **more}
    last = date.fromisoformat(deadline) if deadline else None
    row = DsarRequest(
        **given,
        status=STATUS_OF[State(given["state"])],
        request_type=kind,
        regulation=law,
        pseudonym=f"erased-{uuid4()}",
        received_at=local(received),
        requested_at=local(received),
        requested_by="x",
        due_on=last or date(2026, 1, 1),
        deadline_on=last,
        clock_terms={"zone": "Pacific/Auckland"},
        **({"closed_at": local(ended)} if ended and "answered_at" not in more else {}),
    )
    # Saved by itself a new request's clock runs.
    DsarRequest.objects.bulk_create([row])


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=AUCKLAND)


def fill() -> None:
    """In Ada's scope and a transaction. Received and ended in 2025 unless said; days are counted by hand."""
    # CCPA, delete: 10 days and in time; 50 days, late; 60 days, extended and in time; in part at the first answer.
    made("ccpa", "delete", "2025-02-01T09:00", "2025-03-18", "2025-02-11T23:59")
    made("ccpa", "delete", "2025-02-01T09:00", "2025-03-18", "2025-03-23T00:00")
    made("ccpa", "delete", "2025-02-01T09:00", "2025-05-02", "2025-04-02T10:00", extended_at=NOW)
    deferred = {"state": State.DEFERRED, "outcome": "partially_completed", "answered_at": local("2025-06-21T10:00")}
    made("ccpa", "delete", "2025-06-01T09:00", "2025-07-16", "x", **deferred)
    # CCPA, to know: access and portability are one; nothing held; denied twice; a duplicate and one withdrawn.
    made("ccpa", "export", "2025-03-01T09:00", "2025-04-15", "2025-03-01T20:00")
    made("ccpa", "portability", "2025-03-01T09:00", "2025-04-15", "2025-03-04T20:00", outcome="no_data")
    made("ccpa", "export", "2025-03-01T09:00", "2025-04-15", "2025-03-11T20:00", **denied("identity_not_proven"))
    made("ccpa", "export", "2025-03-01T09:00", "2025-04-15", "2025-03-06T20:00", **denied("excessive"))
    made("ccpa", "export", "2025-03-01T09:00", "2025-04-15", "2025-03-01T20:00", outcome="duplicate")
    made("ccpa", "export", "2025-03-01T09:00", "2025-04-15", "2025-03-20T20:00", outcome="withdrawn")
    # CCPA: an opt-out on its last day in time, a second before its end; a right to limit that waits, and is late.
    made("ccpa", "opt_out", "2025-08-01T09:00", "2025-08-22", "2025-08-22T23:59:59")
    made("ccpa", "restriction", "2025-12-01T09:00", "2025-12-22")
    # GDPR: the edges of the year. In UTC each of these is on the other side of it.
    made("gdpr", "export", "2025-01-01T00:30", "2025-02-01", "2025-01-05T10:00")
    made("gdpr", "export", "2024-12-31T23:30", "2025-01-31", "2025-01-10T10:00")
    made("gdpr", "export", "2025-12-31T23:30", "2026-01-31", "2026-01-01T00:10")
    made("gdpr", "export", "2026-01-01T00:10", "2026-02-01", "2026-01-02T00:10")
    # Received in the year, its clock stands; failed, which is open.
    made("gdpr", "rectification", "2025-11-01T09:00", None)
    made("gdpr", "delete", "2025-12-20T09:00", "2026-01-20", state=State.FAILED)


def denied(ground: str) -> dict[str, Any]:
    return {"outcome": "rejected", "ground": ground, "article": "x"}


@pytest.fixture
def filled(db: str) -> Iterator[None]:
    with clock.freeze(NOW), ADA.here():
        with transaction():
            Tenant.objects.filter(pk=ACME).update(time_zone=AUCKLAND.key)
            fill()
        yield


def figures(since: date = YEAR[0], until: date = YEAR[1]) -> Report:
    with transaction():
        return report(since=since, until=until, zone=AUCKLAND, now=NOW)


def by(lines: list[Figures]) -> dict[tuple[str, str], Figures]:
    return {(line.regulation, line.request_type): line for line in lines}


def test_it_counts_what_a_hand_counts(filled: None) -> None:
    found = figures()
    delete = Figures(
        regulation="ccpa", request_type="delete", received=4, in_whole=3, in_part=1, answered=4, on_time=3, extended=1
    )
    lines = by(found.lines)
    # 10, 20, 50, 60 days.
    assert lines["ccpa", "delete"] == replace(delete, median_days=35.0, mean_days=35.0)
    # 0, 10, 5 days; the duplicate and the withdrawn one took none.
    know = lines["ccpa", "export"]
    assert (know.received, know.in_whole, know.denied, know.duplicates, know.withdrawn) == (5, 1, 2, 1, 1)
    assert (know.answered, know.on_time, know.median_days, know.mean_days) == (3, 3, 5.0, 5.0)
    # 4 and 10 days; one came the year before, one was answered the year after.
    edges = lines["gdpr", "export"]
    assert (edges.received, edges.in_whole, edges.median_days, edges.open_at_end) == (2, 2, 7.0, 1)
    assert (lines["ccpa", "restriction"].open_at_end, lines["ccpa", "restriction"].overdue_at_end) == (1, 1)
    assert (lines["gdpr", "rectification"].open_at_end, lines["gdpr", "rectification"].overdue_at_end) == (1, 0)
    assert (lines["gdpr", "delete"].open_at_end, lines["gdpr", "delete"].overdue_at_end) == (1, 0)
    assert found.total == Figures(
        received=16,
        in_whole=7,
        in_part=1,
        no_data=1,
        denied=2,
        withdrawn=1,
        duplicates=1,
        answered=11,
        on_time=10,
        extended=1,
        # 0, 3, 4, 5, 10, 10, 10, 20, 21, 50, 60.
        median_days=10.0,
        mean_days=17.5,
        open_at_end=4,
        overdue_at_end=1,
    )
    assert found.total.on_time_rate == 90.9
    assert {(d.ground, d.count) for d in found.denials} == {("identity_not_proven", 1), ("excessive", 1)}
    assert found.states == {"completed": 12, "deferred": 1, "failed": 1, "review": 2}
    # Each sum is that of its lines.
    for name in ("received", "answered", "denied", "withdrawn", "duplicates", "open_at_end", "on_time"):
        for lines_of in (found.lines, found.by_kind, found.by_law):
            assert sum(getattr(line, name) for line in lines_of) == getattr(found.total, name), name
    # What the CCPA's regulations count together has a median of its own: 0, 3, 5, 10 days.
    assert (found.metrics["know"].received, found.metrics["know"].median_days) == (6, 4.0)
    assert (found.metrics["know"].complied, found.metrics["know"].mean_days) == (1, 4.5)
    assert found.metrics["correct"] == Figures(regulation="ccpa")
    assert telling.reasons(found) == {"notVerifiable": 1, "exempt": 0, "other": 1}


def test_other_periods_other_tenants_and_none_at_all(filled: None) -> None:
    before, after = figures(date(2024, 1, 1), date(2024, 12, 31)), figures(date(2026, 1, 1), date(2026, 12, 31))
    assert (before.total.received, before.total.answered, before.total.open_at_end) == (1, 0, 1)
    assert before.total.on_time_rate is None
    # A year that runs still: late is what is late today.
    assert (after.total.received, after.total.in_whole) == (1, 2)
    assert (after.total.open_at_end, after.total.overdue_at_end) == (3, 2)
    one_day = figures(date(2025, 12, 31), date(2025, 12, 31))
    assert (one_day.total.received, one_day.total.answered) == (1, 0)
    with MALLORY.here(), transaction():
        nothing = report(since=YEAR[0], until=YEAR[1], zone=AUCKLAND, now=NOW)
    assert nothing.is_empty
    assert nothing.total == Figures()
    assert (nothing.lines, nothing.denials, nothing.states) == ([], [], {})
    for since, until in ((YEAR[1], YEAR[0]), (date(1999, 12, 31), YEAR[1]), (YEAR[0], date.max)):
        with transaction(), pytest.raises(BadPeriod):
            report(since=since, until=until, zone=AUCKLAND, now=NOW)


def test_it_is_handed_out_over_http_on_the_command_line_and_as_a_table(filled: None) -> None:
    answered = client().get("/api/v1/dsar/report?from=2025-01-01&to=2025-12-31")
    assert answered.status_code == 200
    said = answered.json()
    assert said["totals"]["medianDays"] == 10.0
    assert (said["from"], said["to"], said["timeZone"]) == ("2025-01-01", "2025-12-31", "Pacific/Auckland")
    assert said["ccpa"]["metrics"][2] == {
        "metric": "know",
        "received": 6,
        "complied": 1,
        "noData": 1,
        "denied": 2,
        "medianDays": 4.0,
        "meanDays": 4.5,
    }
    default = client().get("/api/v1/dsar/report").json()
    assert (default["from"], default["to"]) == ("2026-01-01", "2026-03-01")
    for wrong in ("from=2025-13-01", "from=2025-W01-1", "to=x", "from=2026-01-02&to=2026-01-01", "from=1999-01-01"):
        assert client().get(f"/api/v1/dsar/report?{wrong}").status_code == 400, wrong
    for nick in ("ed", "aud", "vi"):
        assert client(nick).get("/api/v1/dsar/report").status_code == 403, nick

    def command(*options: str) -> str:
        out = io.StringIO()
        call_command(
            "dsar_report", "--tenant", ACME, "--from", "2025-01-01", "--to", "2025-12-31", *options, stdout=out
        )
        return out.getvalue()

    assert json.loads(command("--json")) == said
    assert "16 received, 8 complied with, 1 nothing held, 2 denied" in command()
    with pytest.raises(CommandError):
        call_command("dsar_report", "--tenant", ACME, "--from", "2025-02-30")
    rows = list(csv.DictReader(io.StringIO(command("--csv"), newline="")))
    total = rows[0]
    assert (total["Law"], total["Kind"], total["Received"], total["Mean days"]) == ("All", "All", "16", "17.5")
    assert total[f"Denied: {GROUNDS['excessive'].title}"] == "1"
    laws = {name: law_pack(name).title for name in ("ccpa", "gdpr")}
    among = {(laws["ccpa"], "All"), ("All", "Erasure"), (laws["gdpr"], "Access")}
    assert {(row["Law"], row["Kind"]) for row in rows} >= among
