"""When jobs run, as the file of the platform declares it."""

from pathlib import Path

import pytest
from django.core.management import CommandError

from cron import beat_rows, declared
from cron.jobs import find
from kaireon.lib import clock
from kaireon.tenancy.context import platform_scope, transaction
from tests.cast import ADA
from tests.compliance.declared import check, folder, manage

__all__ = ["folder"]


def test_schedules_are_the_platforms(db: str, folder: Path) -> None:
    beat_rows.install()
    path = folder / "_platform.yaml"
    path.write_text('kaireon: 1\nschedules:\n  cleanup: {cron: "0 6 * * *"}\n')
    found = check().body["platform"]
    assert [(one["name"], one["fields"]["cron"]["actual"]) for one in found["differences"]] == [
        ("cleanup", "30 4 * * *")
    ]
    assert "1 change would be made" in manage("config_apply", str(path), "--platform", "--dry-run")
    assert check().body["platform"]["drift"] == 1
    assert "1 change made" in manage("config_apply", str(path), "--platform")
    assert check().body["platform"]["drift"] == 0
    # What an operator changed and nobody declares is put back.
    with platform_scope(actor=ADA.actor), transaction():
        beat_rows.reschedule(find("outbox-reaper"), cron="*/9 * * * *", enabled=False, now=clock.now())
    assert [one["what"] for one in check().body["platform"]["differences"]] == ["undeclared"]
    manage("config_apply", str(path), "--platform")
    with platform_scope(actor=ADA.actor), transaction():
        there = declared.actual(clock.now())
    assert there["outbox-reaper"] == {"cron": "*/2 * * * *", "enabled": True}
    assert there["cleanup"]["cron"] == "0 6 * * *"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ("cleanup: {enabled: true}", "schedules.cleanup: cron: must be said"),
        ("cleanup: {cron: daily}", "schedules.cleanup: cron: "),
        ("cleanup: {cron: '0 0 31 2 *'}", "is never due"),
        ("cleanup: {cron: '0 0 * * *', enabled: 1}", "enabled: must be true or false"),
        ("clean: {cron: '0 0 * * *'}", "'clean' is no job"),
    ],
)
def test_a_schedule_that_is_none_is_refused(db: str, folder: Path, fields: str, problem: str) -> None:
    path = folder / "_platform.yaml"
    path.write_text(f"kaireon: 1\nschedules:\n  {fields}\n")
    with pytest.raises(CommandError) as refused:
        manage("config_apply", str(path), "--platform")
    assert problem in str(refused.value)
    ran = check()
    assert not ran.ok
    assert problem in ran.body["platform"]["problem"]
