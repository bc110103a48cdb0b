"""Report schedules as files declare them."""

import json
from pathlib import Path

import pytest
from django.core.management import CommandError

from audit import services as audit_log
from audit.models import AuditRecord
from compliance.alerting import providers
from compliance.models import ReportSchedule
from compliance.reporting import schedules
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from kaireon.tenancy.roles import Permission
from tests.cast import ACME, ADA, MALLORY
from tests.compliance.declared import apply, check, declare, folder, manage, of_acme

__all__ = ["folder"]

SCHEDULES = """kaireon: 1
reportSchedules:
  Evidence:
    {template: soc2_evidence, formats: [pdf, csv], period: month, cadence: monthly, day: 31, time: "18:30",
     timeZone: Europe/Berlin, channels: [Office]}
  Requests: {template: subject_requests, formats: [html], period: week, cadence: weekly, weekday: 1, time: "08:00",
             timeZone: UTC, enabled: false}
"""


def there() -> dict[str, ReportSchedule]:
    with ADA.here(), transaction():
        return {row.name: row for row in ReportSchedule.objects.present()}


def change(name: str, **given: object) -> None:
    with ADA.here(), transaction():
        row = ReportSchedule.objects.present().get(name=name)
        schedules.change(row.pk, given=given, may=frozenset(Permission), now=clock.now())


def test_report_schedules_are_made_changed_and_removed_as_declared(db: str, folder: Path) -> None:
    path = declare(folder, SCHEDULES)
    with pytest.raises(CommandError, match="there is no notification provider 'Office'"):
        apply(path)
    assert there() == {}
    with ADA.here(), transaction():
        office = providers.create(name="Office", kind="email", recipients=[ADA.email], now=clock.now())
    assert json.loads(apply(path, "--dry-run", "--json"))["dryRun"] is True
    assert there() == {}
    assert "2 changes made" in apply(path)
    made = there()
    assert (f"{made['Evidence'].at:%H:%M}", made["Evidence"].channels) == ("18:30", [str(office.pk)])
    assert not made["Requests"].is_enabled
    assert of_acme(check())["drift"] == 0
    # What is exported is what is declared, and says the rest too.
    assert apply(declare(folder, manage("config_export", f"--tenant={ACME}"))) == "All is as declared.\n"
    declare(folder, SCHEDULES)
    change("Evidence", channels=[], at=clock.at("07:00").time())
    with ADA.here(), transaction():
        given = {"name": "By hand", "template": "retention", "formats": ["csv"], "span": "day", "cadence": "daily"}
        given |= {"at": clock.at("07:00").time(), "time_zone": "UTC"}
        schedules.create(given=given, may=frozenset(Permission), now=clock.now())
    found = of_acme(check())["differences"]
    assert [(one["name"], one["what"]) for one in found] == [("By hand", "undeclared"), ("Evidence", "changed")]
    assert found[1]["fields"] == {
        "time": {"declared": "18:30", "actual": "07:00"},
        "channels": {"declared": ["Office"], "actual": []},
    }
    apply(path)
    assert of_acme(check())["drift"] == 0
    assert {name: row.pk for name, row in there().items()} == {name: row.pk for name, row in made.items()}
    with MALLORY.here(), transaction():
        assert not ReportSchedule.objects.exists()
    with ADA.here():
        audit_log.drain(ACME)
        with transaction():
            verbs = AuditRecord.objects.filter(entity_type="ReportSchedule").order_by("seq")
            assert list(verbs.values_list("action", flat=True)) == [
                *["report_schedule.create"] * 2,
                "report_schedule.update",
                "report_schedule.create",
                "report_schedule.remove",
                "report_schedule.update",
            ]


def test_another_cadence_takes_its_day_along_and_another_report_is_another_schedule(db: str, folder: Path) -> None:
    said = "formats: [csv], period: week, time: '08:00', timeZone: UTC"
    apply(declare(folder, f"kaireon: 1\nreportSchedules:\n  One: {{template: retention, {said}, cadence: daily}}\n"))
    text = f"kaireon: 1\nreportSchedules:\n  One: {{template: retention, {said}, cadence: weekly, weekday: 2}}\n"
    assert "cadence weekly, is daily, weekday 2" in apply(declare(folder, text))
    apply(declare(folder, text.replace("weekly, weekday: 2", "monthly, day: 5")))
    assert (there()["One"].weekday, there()["One"].day) == (None, 5)
    with pytest.raises(CommandError, match="template stays what it is"):
        apply(declare(folder, text.replace("retention", "legal_holds")))
    assert (there()["One"].template, there()["One"].day) == ("retention", 5)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ("template: null", "template: must be text."),
        ("template: nope", "template: 'nope' is no report; known are"),
        ("formats: pdf", "formats: must be a list of formats."),
        ("formats: [1]", "formats: must be a list of formats."),
        ("formats: []", "formats: are one or more of pdf, html, csv."),
        ("formats: [csv, pdf]", "formats: write them as they are kept: pdf, csv."),
        ("period: year", "period: is one of day, week, month, quarter."),
        ("cadence: hourly", "cadence: is one of daily, weekly, monthly."),
        ("cadence: weekly", "weekday: is 1 to 7 in a weekly schedule."),
        ("cadence: monthly, day: 32", "day: is 1 to 31 in a monthly schedule."),
        ("cadence: monthly, day: true", "day: must be a whole number, 1 to 31, or null."),
        ("day: 1", "day: is of a monthly schedule: leave it out."),
        # Which YAML reads as a number.
        ("time: 18:30", 'time: must be text in quotes, such as "08:00".'),
        ("time: '8:00'", 'time: must be an hour and a minute, such as "08:00".'),
        ("time: '24:00'", 'time: must be an hour and a minute, such as "08:00".'),
        ("timeZone: Mars/Olympus", "timeZone: is a name of the IANA database"),
        ("channels: [b, a]", "channels: must be in the order of the alphabet, each once."),
        ("enabled: 1", "enabled: must be true or false."),
        ("at: '08:00'", "at: unknown; known are template, formats, period"),
    ],
)
def test_a_report_schedule_that_is_none_is_refused(db: str, folder: Path, fields: str, problem: str) -> None:
    said = {
        "template": "retention",
        "formats": "[csv]",
        "period": "day",
        "cadence": "daily",
        "time": "'08:00'",
        "timeZone": "UTC",
    }
    rest = ", ".join(f"{name}: {value}" for name, value in said.items() if f"{name}:" not in fields)
    path = declare(folder, f"kaireon: 1\nreportSchedules:\n  One: {{{rest}, {fields}}}\n")
    with pytest.raises(CommandError, match=r"acme\.yaml: reportSchedules\.One") as refused:
        apply(path)
    assert problem in str(refused.value)
    assert there() == {}


def test_what_a_report_schedule_needs_is_asked_for(db: str, folder: Path) -> None:
    path = declare(folder, "kaireon: 1\nreportSchedules:\n  One: {template: retention}\n")
    with pytest.raises(CommandError, match=r"reportSchedules\.One: formats: must be said"):
        apply(path)
