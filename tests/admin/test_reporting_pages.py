"""Report schedules and reports in the admin: made, run, looked at, fetched, tried again, by those who may."""

from datetime import timedelta
from typing import Any

import pytest

import audit
from audit import services as log
from audit.models import AuditRecord
from compliance.models import ReportRun, ReportSchedule
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.admin.conftest import SignIn
from tests.admin.test_alert_pages import only, text_of
from tests.cast import ACME, ADA, AUD, ED, MALLORY, VI
from tests.reporting.conftest import (
    TEMPLATE,
    _nothing_happens,  # noqa: F401
    again,
    during,
    files_expire,
    give_up,
    look,
    made,
    make,
    provider,
    recorded,
    work,
)

SCHEDULES = "/admin/compliance/reportschedule/"
REPORTS = "/admin/compliance/reportrun/"
GIVEN = {
    "name": "Monthly",
    "template": TEMPLATE,
    "formats": ["pdf", "html"],
    "period": "month",
    "cadence": "monthly",
    "weekday": "",
    "day": "31",
    "time": "08:00",
    "timeZone": "Europe/Berlin",
    "enabled": "on",
}


def test_a_schedule_is_made_changed_run_looked_at_and_removed(sign_in: SignIn) -> None:
    ada = sign_in(ADA)
    desk = provider(kind="email", recipients=["desk@acme.example"])
    assert "Make one to begin" in text_of(ada.get(SCHEDULES))
    assert ada.get(f"{SCHEDULES}new/").status_code == 200
    assert ada.post(f"{SCHEDULES}new/", {**GIVEN, "channels": [str(desk.pk)]}).status_code == 302
    row = only(ReportSchedule)
    assert (row.day, row.weekday, row.formats, row.channels) == (31, None, ["pdf", "html"], [str(desk.pk)])
    one = f"{SCHEDULES}{row.pk}/"
    page = text_of(ada.get(f"{one}change/"))
    for said in ("on the last day of the month at 08:00 (Europe/Berlin)", "The month before", "Desk (E-mail)"):
        assert said in page, said
    assert "Nothing yet: its first report comes when a period has ended." in page
    assert 'value="08:00"' in ada.get(f"{one}alter/").content.decode()
    weekly = {**GIVEN, "cadence": "weekly", "day": "", "weekday": "1", "period": "week", "channels": [str(desk.pk)]}
    assert ada.post(f"{one}alter/", weekly).status_code == 302
    assert "every Monday at 08:00 (Europe/Berlin)" in text_of(ada.get(SCHEDULES))

    shown = ada.get(f"{one}look/")
    assert (shown.status_code, "no-store" in shown["Cache-Control"]) == (200, True)
    assert "default-src 'none'" in shown["Content-Security-Policy"]
    assert "Test report" in shown.content.decode()
    assert [record.entity_id for record in recorded("report.preview")] == [str(row.pk)]

    answer = ada.post(f"{one}go/", {"deliver": "on"})
    run = only(ReportRun)
    assert answer["Location"] == f"{REPORTS}{run.pk}/change/"
    assert "Not yet." in text_of(ada.get(f"{REPORTS}{run.pk}/change/"))
    work(run)
    page = text_of(ada.get(f"{REPORTS}{run.pk}/change/"))
    for said in ("Completed", "PDF", "HTML", "Desk: ready, on its way"):
        assert said in page, said
    file = ada.get(f"{REPORTS}{run.pk}/pdf/")
    assert (file.status_code, file["Content-Type"], file.content[:5]) == (200, "application/pdf", b"%PDF-")
    # A page of ours that came from outside is not run on our address.
    assert ada.get(f"{REPORTS}{run.pk}/html/")["Content-Disposition"].startswith("attachment;")
    assert ada.get(f"{REPORTS}{run.pk}/csv/").status_code == 302
    assert len(recorded("report.download")) == 2
    assert "Completed" in text_of(ada.get(f"{one}change/"))
    assert ada.post(f"{one}remove/").status_code == 302
    assert ada.get(f"{one}change/").status_code != 200
    assert str(run.pk) in ada.get(REPORTS).content.decode()


def test_a_report_of_any_days_and_one_that_failed(sign_in: SignIn) -> None:
    ada = sign_in(ADA)
    assert "Press New report" in text_of(ada.get(REPORTS))
    given = {"template": TEMPLATE, "formats": ["csv"], "since": "2026-01-01", "to": "2026-01-31", "timeZone": "UTC"}
    assert ada.post(f"{REPORTS}new/", given).status_code == 302
    run = only(ReportRun)
    during(ValueError("cust-17"))
    give_up(run)
    page = ada.get(f"{REPORTS}{run.pk}/change/")
    for said in ("Failed", "template_failed", "failed with ValueError", "nothing of a report that failed is kept"):
        assert said in text_of(page), said
    assert "cust-17" not in page.content.decode()
    assert ada.get(f"{REPORTS}{run.pk}/csv/").status_code == 302
    during(lambda: None)
    assert ada.post(f"{REPORTS}{run.pk}/again/").status_code == 302
    assert "It is not failed any more." in text_of(ada.post(f"{REPORTS}{run.pk}/again/"))
    text_of(ada.post(f"{REPORTS}new/", {**given, "since": "2026-02-01"}))
    assert [(r.entity_type, r.entity_id, r.changes) for r in recorded("report.refused")] == [
        ("Report", str(run.pk), {"reason": "not_failed"}),
        ("Report", "", {"reason": "report_refused", "field": "from"}),
    ]
    work(again(run))
    assert ada.get(f"{REPORTS}{run.pk}/csv/").status_code == 200
    files_expire(clock.now() + timedelta(days=5000))
    assert "its time is over" in text_of(ada.get(f"{REPORTS}{run.pk}/change/"))
    assert ada.get(f"{REPORTS}{run.pk}/csv/").status_code == 302


def test_a_preview_that_fails_says_so_and_nothing_of_it(sign_in: SignIn) -> None:
    row = make()
    during(ValueError("cust-17"))
    answer = sign_in(ADA).get(f"{SCHEDULES}{row.pk}/look/", follow=True)
    assert "failed with ValueError" in text_of(answer)
    assert "cust-17" not in answer.content.decode()


def test_a_preview_counts_what_was_recorded_just_before(sign_in: SignIn) -> None:
    row = make()
    ada = sign_in(ADA)
    log.drain(ACME)
    with ADA.here(), transaction():
        audit.record(action="test.seen", entity_type="Test", entity_id="x")
    with ADA.here(), transaction():
        assert not AuditRecord.objects.filter(action="test.seen").exists()
    assert ada.get(f"{SCHEDULES}{row.pk}/look/").status_code == 200
    with ADA.here(), transaction():
        assert AuditRecord.objects.filter(action="test.seen").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"name": ""}, "This field is required"),
        ({"template": "nothing"}, "not one of the available choices"),
        ({"formats": []}, "This field is required"),
        ({"day": ""}, "Is 1 to 31 in a monthly schedule"),
        ({"weekday": "3"}, "Is of a weekly schedule"),
        ({"time": "8 o'clock"}, "Enter a valid time"),
        ({"timeZone": "Europe/Atlantis"}, "Is a name of the IANA database"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field_and_nothing_is_made(
    sign_in: SignIn, more: dict[str, Any], said: str
) -> None:
    assert said in text_of(sign_in(ADA).post(f"{SCHEDULES}new/", {**GIVEN, **more}))
    with ADA.here(), transaction():
        assert not ReportSchedule.objects.exists()


def test_nobody_else_gets_there(sign_in: SignIn) -> None:
    row = make(now=clock.now() - timedelta(days=1, hours=1))
    look(clock.now())
    [run] = made()
    work(run)
    for person in (AUD, ED, VI, MALLORY):
        client = sign_in(person)
        paths = (f"{SCHEDULES}{row.pk}/change/", f"{SCHEDULES}{row.pk}/look/", f"{REPORTS}{run.pk}/csv/")
        for path in (*paths, *((SCHEDULES, REPORTS) if person is not MALLORY else ())):
            assert client.get(path).status_code in (302, 403, 404), (person, path)
            assert b"Test" not in client.get(path).content
        for path in (f"{SCHEDULES}{row.pk}/remove/", f"{SCHEDULES}{row.pk}/go/", f"{REPORTS}{run.pk}/again/"):
            client.post(path, {})
    assert (len(made()), only(ReportSchedule).removed_at, recorded("report.download")) == (1, None, [])
