"""Clocks of requests over HTTP and from the command line: what changes them, and what is refused."""

import json
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection

from customers import models as m
from dsar import deadlines
from dsar.deadlines import Ground
from dsar.models import ClockPause, DsarRequest
from dsar.requests import clocks, services, working_days
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from kaireon.tenancy.models import Tenant
from tests.cast import ACME, ADA
from tests.dsar.conftest import again, answer, client, file
from tests.race import at_once

DSAR = "/api/v1/dsar"
pytestmark = pytest.mark.usefixtures("ada")


def post(filed: services.Filed, verb: str, body: Any = None, nick: str = "ada") -> Any:
    return client(nick).post(f"{DSAR}/{filed.request.pk}/{verb}", body, format="json")


def clock_of(filed: services.Filed) -> Any:
    return client().get(f"{DSAR}/{filed.request.pk}/clock").json()


def records(filed: services.Filed, action: str) -> list[Any]:
    found = client().get(f"/api/v1/audit-logs?action={action}&entityId={filed.request.pk}").json()
    return list(found["logs"])


def days_ago(count: int) -> datetime:
    return clock.now() - timedelta(days=count)


def refused(answered: Any, code: str, *words: str) -> None:
    assert (answered.status_code, answered.json()["error"]["code"]) == (409, code)
    for word in words:
        assert word in answered.json()["error"]["message"]


def test_an_extension_moves_the_deadline_once_and_never_the_due_date() -> None:
    filed = file(received_at=days_ago(10))
    before = clock_of(filed)
    assert before["deadlineAt"] == before["dueAt"]
    assert "extendedDueAt" not in before
    extended = post(filed, "extend", {"reason": " Forty systems to search. "})
    assert extended.status_code == 200
    after = extended.json()
    assert after == clock_of(filed)
    assert after["dueAt"] == before["dueAt"]
    assert after["deadlineAt"] == after["extendedDueAt"] > after["dueAt"]
    assert after["rules"][-1]["rule"] == "extended"
    row = again(filed)
    assert (row.due_on, row.extension_reason) == (filed.request.due_on, "Forty systems to search.")
    with transaction(), connection.cursor() as cursor:
        cursor.execute("SELECT r::text FROM dsar_dsarrequest r")
        assert "Forty" not in cursor.fetchone()[0]
    assert row.deadline_on is not None
    assert after["deadlineAt"].startswith(row.deadline_on.isoformat())
    shown = client().get(f"{DSAR}/{filed.request.pk}").json()
    assert (shown["dueAt"], shown["deadlineAt"]) == (after["dueAt"], after["deadlineAt"])
    [record] = records(filed, "dsar.extend")
    assert record["userName"] == "ada"
    assert record["changes"]["deadline_on"] == [row.due_on.isoformat(), row.deadline_on.isoformat()]
    refused(post(filed, "extend", {"reason": "Still complex."}), "extension_refused", "only once", "GDPR Art. 12(3)")
    assert len(records(filed, "dsar.extend")) == 1


@pytest.mark.parametrize(
    ("regulation", "article"),
    [("gdpr", "GDPR Art. 12(3)"), ("uk_gdpr", "UK GDPR Art. 12A(3)"), ("ccpa", "§ 7021(b)"), ("dpdpa", "r. 14(3)")],
)
def test_a_late_extension_is_refused_with_its_article(regulation: str, article: str) -> None:
    filed = file(received_at=days_ago(60), regulation=regulation)
    refused(post(filed, "extend", {"reason": "Too late."}), "extension_refused", "ran out", article)
    assert again(filed).deadline_on == filed.request.due_on


@pytest.mark.parametrize(
    "body", [{}, {"reason": ""}, {"reason": "  "}, {"reason": "x" * 501}, {"reason": None}, {"why": "x"}]
)
def test_an_extension_wants_a_reason(body: Any) -> None:
    filed = file()
    assert post(filed, "extend", body).status_code == 400
    assert again(filed).extended_at is None


@pytest.mark.parametrize("verb", ["extend", "pause", "resume"])
def test_nobody_else_touches_a_clock(verb: str) -> None:
    filed = file(regulation="uk_gdpr")
    body = {"extend": {"reason": "x"}, "pause": {"reason": "x", "ground": "fee"}, "resume": None}[verb]
    assert {nick: post(filed, verb, body, nick).status_code for nick in ("mallory", "ed", "aud", "vi")} == {
        "mallory": 404,
        "ed": 403,
        "aud": 403,
        "vi": 403,
    }
    row = again(filed)
    assert (row.deadline_on, row.extended_at) == (row.due_on, None)


def test_a_request_that_was_answered_keeps_its_clock(jane: m.Customer) -> None:
    filed = file(regulation="uk_gdpr")
    answer(filed)
    for verb, body in (("extend", {"reason": "x"}), ("pause", {"reason": "x", "ground": "fee"}), ("resume", None)):
        refused(post(filed, verb, body), "already_answered")


@pytest.mark.parametrize(
    ("regulation", "ground", "article"),
    [
        ("gdpr", "fee", "GDPR Art. 12(3)"),
        ("ccpa", "identity", "11 CCR § 7021(b)"),
        ("ccpa", "clarification", "11 CCR § 7021(b)"),
        ("dpdpa", "identity", "DPDP Rules 2025 r. 14(3)"),
    ],
)
def test_a_pause_that_the_law_does_not_know_is_refused_with_its_article(
    regulation: str, ground: str, article: str
) -> None:
    filed = file(regulation=regulation)
    refused(post(filed, "pause", {"ground": ground, "reason": "Passport asked for."}), "pause_refused", article)
    row = again(filed)
    assert row.deadline_on == row.due_on


def test_a_clock_stands_and_runs_again() -> None:
    filed = file(regulation="uk_gdpr", received_at=days_ago(20))
    refused(post(filed, "resume"), "resume_refused", "not standing")
    paused = post(filed, "pause", {"ground": "identity", "reason": "Passport asked for."})
    assert paused.status_code == 200
    assert paused.json()["deadlineAt"] is None
    assert again(filed).deadline_on is None
    refused(post(filed, "pause", {"ground": "fee", "reason": "A fee."}), "pause_refused", "stands already")
    assert client().get(f"{DSAR}/{filed.request.pk}").json()["deadlineAt"] is None
    running = post(filed, "resume").json()
    # The month begins with the day on which the passport came.
    today = deadlines.local_date(clock.now(), clocks.zone_of(filed.request))
    assert running["deadlineAt"].startswith(deadlines.add_months(today, 1).isoformat())
    assert running["dueAt"].startswith(filed.request.due_on.isoformat())
    [pause] = running["pauses"]
    assert (pause["ground"], pause["reason"]) == ("identity", "Passport asked for.")
    assert pause["resumedAt"] >= pause["pausedAt"]
    assert [rule["article"] for rule in running["rules"][-2:]] == ["UK GDPR Art. 12(6), 12A(2)(b)"] * 2
    assert [len(records(filed, verb)) for verb in ("dsar.pause", "dsar.resume")] == [1, 1]
    refused(post(filed, "resume"), "resume_refused")


def test_a_clock_that_has_run_out_cannot_stand() -> None:
    filed = file(regulation="uk_gdpr", received_at=days_ago(60))
    refused(post(filed, "pause", {"ground": "fee", "reason": "A fee."}), "pause_refused", "ran out", "12A(2)(c)")


def test_a_pause_across_the_deadline_keeps_the_rest_of_the_time() -> None:
    filed = file(regulation="gdpr", received_at=days_ago(80))
    start = days_ago(60)
    with transaction():
        clocks.pause_request(request=filed.request, ground=Ground.IDENTITY, reason="Asked.", actor=ADA.actor, now=start)
        assert not DsarRequest.objects.due_before(clock.now().date()).exists()
        running = clocks.resume_request(request=filed.request, actor=ADA.actor, now=clock.now())
    assert running.deadline == filed.request.due_on + timedelta(days=60)
    assert running.in_time(clock.now())
    assert post(filed, "extend", {"reason": "Complex."}).status_code == 200


@pytest.mark.parametrize(
    "body", [{}, {"ground": "weather", "reason": "x"}, {"ground": "fee"}, {"ground": "fee", "reason": ""}]
)
def test_a_pause_wants_a_ground_and_a_reason(body: Any) -> None:
    filed = file(regulation="uk_gdpr")
    assert post(filed, "pause", body).status_code == 400
    assert again(filed).deadline_on is not None


def test_of_two_extensions_at_once_one_counts() -> None:
    filed = file()

    def extend() -> None:
        with ADA.here(), transaction():
            clocks.extend_request(request=filed.request, reason="Complex.", actor=ADA.actor, now=clock.now())

    lost = [e for e in at_once(extend, extend, extend, losing=(deadlines.ExtensionRefused,)) if e is not None]
    assert len(lost) == 2
    assert len(records(filed, "dsar.extend")) == 1


def test_of_two_pauses_at_once_one_counts() -> None:
    filed = file(regulation="uk_gdpr")

    def pause() -> None:
        with ADA.here(), transaction():
            clocks.pause_request(
                request=filed.request, ground=Ground.FEE, reason="Fee.", actor=ADA.actor, now=clock.now()
            )

    lost = [e for e in at_once(pause, pause, losing=(deadlines.PauseRefused,)) if e is not None]
    assert len(lost) == 1
    with transaction():
        assert ClockPause.objects.count() == 1


@pytest.mark.parametrize(
    "change",
    [
        "due_on = due_on + 1",
        "received_at = now()",
        "regulation = 'ccpa'",
        "deadline_on = due_on + 1",
        "deadline_on = NULL",
    ],
)
def test_the_database_keeps_clocks_too(change: str) -> None:
    filed = file()
    with (
        pytest.raises(DatabaseError, match=r"never moves|recorded reason"),
        transaction(),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"UPDATE dsar_dsarrequest SET {change} WHERE id = %s", [filed.request.pk])


def test_a_clock_keeps_the_zone_and_the_days_it_began_with() -> None:
    with transaction():
        working_days.choose(calendar="DE-BE", roll=True)
    # Good Friday to Easter Monday, and the month's last day is the Friday.
    filed = file(received_at=datetime(2026, 3, 3, 12, tzinfo=UTC))
    assert filed.request.due_on == date(2026, 4, 7)
    shown = clock_of(filed)
    assert "1182/71 Art. 3(4)" in next(rule["article"] for rule in shown["rules"] if rule["rule"] == "roll")
    with transaction():
        Tenant.objects.filter(pk=ACME).update(time_zone="Pacific/Kiritimati")
        working_days.choose(calendar="", roll=False)
    assert clock_of(filed) == shown
    assert client().get(f"{DSAR}/{filed.request.pk}").json()["dueAt"] == shown["dueAt"]
    assert file(received_at=datetime(2026, 3, 3, 12, tzinfo=UTC)).request.due_on == date(2026, 4, 4)
    log = client().get("/api/v1/audit-logs?action=dsar.calendar").json()
    assert log["total"] == 2


@pytest.mark.parametrize("calendar", ["XX", "DE-XX", "de", "DEU", "DE-", "-", "UK ", "🎄"])
def test_a_calendar_that_nobody_knows_is_refused(calendar: str) -> None:
    with pytest.raises(working_days.UnknownCalendar), transaction():
        working_days.choose(calendar=calendar, roll=True)


def test_every_calendar_on_offer_has_holidays_that_can_be_counted() -> None:
    assert {"DE-BE", "GB-ENG", "US-CA", "IN"} <= set(working_days.calendars())
    assert date(2026, 12, 25) in working_days.public_holidays("GB-ENG", date(2026, 12, 1))
    assert working_days.public_holidays("", date(2026, 12, 1)) == frozenset()


def command(*args: str, **options: Any) -> str:
    out = StringIO()
    call_command("dsar", *args, tenant=ACME, stdout=out, **options)
    return out.getvalue()


def test_the_command_does_the_same_and_can_only_look() -> None:
    filed = file(regulation="uk_gdpr")
    name = str(filed.request.pk)
    would = json.loads(command("extend", name, reason="Complex.", dry_run=True, json=True))
    assert (would["dryRun"], would["deadlineAt"]) == (True, would["extendedDueAt"])
    assert again(filed).extended_at is None
    assert (
        json.loads(command("pause", name, ground="fee", reason="Fee.", dry_run=True, json=True))["deadlineAt"] is None
    )
    assert again(filed).deadline_on == filed.request.due_on
    assert "Nothing was changed" in command("extend", name, reason="Complex.", dry_run=True)
    assert "UK GDPR Art. 12A(3)" in command("extend", name, reason="Complex.")
    with pytest.raises(CommandError, match="only once"):
        command("extend", name, reason="Complex.")
    assert "the clock stands" in command("pause", name, ground="fee", reason="Fee.")
    assert "paused" in command("list")
    assert "12A(2)(c)" in command("resume", name)
    told = json.loads(command("clock", name, json=True))
    assert told["dryRun"] is False
    assert {key: told[key] for key in clock_of(filed)} == clock_of(filed)


def test_the_command_refuses_what_the_law_does_and_what_is_not_there() -> None:
    filed = file(regulation="ccpa")
    name = str(filed.request.pk)
    with pytest.raises(CommandError, match=r"7021\(b\)"):
        command("pause", name, ground="identity", reason="Asked.")
    with pytest.raises(CommandError, match="--ground"):
        command("pause", name, reason="Asked.")
    with pytest.raises(CommandError, match="demands"):
        command("extend", name)
    with pytest.raises(CommandError, match="500"):
        command("extend", name, reason="x" * 501)
    with pytest.raises(CommandError, match="not standing"):
        command("resume", name)
    with pytest.raises(CommandError, match="no such request"):
        command("clock", "00000000-0000-0000-0000-000000000000")
    with pytest.raises(CommandError, match="needs the id"):
        command("extend", reason="x")


def test_the_command_sets_the_working_days() -> None:
    said = json.loads(command("calendar", calendar="US-CA", roll="on", dry_run=True, json=True))
    assert said == {"calendar": "US-CA", "roll": True, "dryRun": True}
    assert file().request.clock_terms["calendar"] == ""
    assert "roll on" in command("calendar", calendar="US-CA", roll="on")
    assert file().request.clock_terms["calendar"] == "US-CA"
    with pytest.raises(CommandError, match="country"):
        command("calendar", calendar="Mars", roll="off")
    with pytest.raises(CommandError, match="needs"):
        command("calendar", roll="off")


def test_overdue_goes_by_the_day_that_counts() -> None:
    late = file(received_at=days_ago(60))
    longer = file(received_at=days_ago(40), subject_id="C-2")
    standing = file(received_at=days_ago(60), subject_id="C-3", regulation="uk_gdpr")
    with transaction():
        clocks.extend_request(request=longer.request, reason="Complex.", actor=ADA.actor, now=days_ago(20))
        clocks.pause_request(
            request=standing.request, ground=Ground.FEE, reason="Fee.", actor=ADA.actor, now=days_ago(45)
        )
        assert [row.pk for row in DsarRequest.objects.due_before(clock.now().date())] == [late.request.pk]
        with connection.cursor() as cursor:
            cursor.execute("SELECT sum(requests), sum(overdue) FROM gauge_requests(%s)", [clock.now()])
            assert cursor.fetchone() == (3, 1)


def test_a_standing_clock_can_be_extended_and_counts_both() -> None:
    filed = file(regulation="uk_gdpr", received_at=days_ago(2))
    post(filed, "pause", {"ground": "clarification", "reason": "Which account?"})
    extended = post(filed, "extend", {"reason": "Complex."}).json()
    assert extended["deadlineAt"] is None
    assert len(records(filed, "dsar.extend")) == 1
    running = post(filed, "resume").json()
    # The day of asking and of answer is one, and does not count.
    due, last = (datetime.fromisoformat(running[name]).date() for name in ("dueAt", "deadlineAt"))
    received = datetime.fromisoformat(running["receivedAt"]).date()
    assert due == deadlines.add_months(received, 1)
    assert last == deadlines.add_months(received, 3) + timedelta(days=1)


def test_an_earlier_request_under_another_law_lends_its_day(jane: m.Customer) -> None:
    first = file(regulation="ccpa")
    file(regulation="gdpr", received_at=days_ago(3))
    row = again(first)
    assert row.deadline_on == row.due_on < first.request.due_on
    shown = clock_of(first)
    assert shown["deadlineAt"] == shown["dueAt"]
    assert shown["dueAt"].startswith(row.due_on.isoformat())
    assert shown["rules"][-1]["rule"] == "duplicate"
