"""`disk-projection`: what is measured, and what a line through earlier runs says."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from cron import checks, disk, runner
from cron.models import JobRun, RunState, Trigger
from kaireon.lib import clock
from kaireon.lib.clock import at
from kaireon.ops import gauges

MIB = 1024 * 1024


def run(**settings: Any) -> Any:
    with override_settings(**{"DISK_CAPACITY_BYTES": 0, "DISK_PATH": "", **settings}):
        return runner.run_job("disk-projection", trigger=Trigger.COMMAND)


def sampled(days_ago: float, database: int, **tables: int) -> None:
    """A run of that day, as it would have been stored."""
    moment = clock.now() - timedelta(days=days_ago)
    JobRun.objects.create(
        job=disk.JOB,
        trigger=Trigger.BEAT,
        state=RunState.SUCCEEDED,
        started_at=moment,
        finished_at=moment,
        result={
            "ok": True,
            "measuredAt": clock.rfc3339(moment),
            "databaseBytes": database,
            "tables": [{"table": name, "bytes": size} for name, size in tables.items()],
        },
    )


@pytest.fixture
def size(db: str) -> int:
    """What the database takes now."""
    return int(run().body["databaseBytes"])


def test_the_first_run_measures_and_says_that_samples_are_missing(db: str) -> None:
    ran = run(DISK_CAPACITY_BYTES=10**12)
    body = ran.body
    assert ran.ok
    assert body["databaseBytes"] > MIB
    assert (body["samples"], body["growthBytesPerDay"], body["daysToFull"]) == (1, None, None)
    assert body["note"] == "not enough samples: 1 of 3"
    assert 0 < len(body["tables"]) <= 10
    assert body["freeBytes"] == 10**12 - body["databaseBytes"]
    names = [entry["table"] for entry in body["tables"]]
    assert not any(name.startswith("customers_interaction_2") for name in names)


def test_runs_of_one_day_are_no_growth(size: int) -> None:
    run()
    body = run().body
    assert (body["samples"], body["growthBytesPerDay"]) == (3, None)
    assert body["note"] == "not enough samples: they span less than 2 days"


def test_it_projects_the_day_on_which_the_disk_is_full(db: str) -> None:
    size = int(run().body["databaseBytes"])
    JobRun.objects.all().delete()
    for weeks in (3, 2, 1):
        sampled(7 * weeks, size - weeks * 70 * MIB, audit_record=10 * MIB)
    body = run(DISK_CAPACITY_BYTES=size + 1000 * MIB).body
    # Ten mebibytes a day, but for what the runs themselves wrote.
    assert body["growthBytesPerDay"] == pytest.approx(10 * MIB, rel=0.05)
    assert body["daysToFull"] == pytest.approx(100, rel=0.05)
    assert body["fullOn"] == str((clock.now() + timedelta(days=body["daysToFull"])).date())
    assert (body["samples"], body["note"], body["warnings"]) == (4, "", [])


def test_less_than_a_month_is_a_warning_and_a_metric(db: str, caplog: pytest.LogCaptureFixture) -> None:
    size = int(run().body["databaseBytes"])
    JobRun.objects.all().delete()
    for days in (20, 10):
        sampled(days, size - days * 100 * MIB)
    body = run(DISK_CAPACITY_BYTES=size + 1000 * MIB).body
    assert body["daysToFull"] == pytest.approx(10, rel=0.05)
    assert body["warnings"] == ["full in 10 days"]
    assert any(record.message == "disk_fills" for record in caplog.records)
    figures = {sample.name: sample.value for family in gauges.upkeep() for sample in family.samples}
    assert figures["kaireon_disk_days_to_full"] == body["daysToFull"]


def test_what_shrinks_is_never_full_and_what_is_full_is_full_today(db: str) -> None:
    size = int(run().body["databaseBytes"])
    JobRun.objects.all().delete()
    for days in (20, 10):
        sampled(days, size + days * 100 * MIB)
    body = run(DISK_CAPACITY_BYTES=size + 1000 * MIB).body
    assert (body["daysToFull"], body["fullOn"], body["note"]) == (None, None, "it does not grow")
    assert body["growthBytesPerDay"] < 0
    assert run(DISK_CAPACITY_BYTES=1).body["daysToFull"] == 0


def test_a_size_that_nobody_told_is_asked_for(size: int) -> None:
    for days in (20, 10):
        sampled(days, size - days * 100 * MIB)
    body = run().body
    assert body["growthBytesPerDay"] > 0
    assert (body["capacityBytes"], body["daysToFull"]) == (None, None)
    assert "set DISK_CAPACITY_BYTES or DISK_PATH" in body["note"]


def test_the_disk_of_this_machine_is_asked_and_one_that_is_away_fails_the_run(db: str, tmp_path: Path) -> None:
    body = run(DISK_PATH=str(tmp_path)).body
    assert body["capacityBytes"] > body["freeBytes"] > 0
    ran = run(DISK_PATH=str(tmp_path / "nowhere"))
    assert (ran.ok, ran.body["error"]) == (False, "DISK_PATH cannot be asked: FileNotFoundError")
    assert ran.body["databaseBytes"] > 0


def test_a_measurement_of_a_clock_that_was_ahead_does_not_count(size: int) -> None:
    sampled(-400, 10**15)
    body = run().body
    assert body["samples"] == 2


def test_the_slope_is_that_of_least_squares() -> None:
    days = [(at("09:00") + timedelta(days=day), size) for day, size in ((0, 0), (1, 30), (2, 20), (4, 70))]
    # By hand: mean of days 1.75, of sizes 30; sum of products 140, of squares 8.75.
    assert disk.slope(days) == pytest.approx(140 / 8.75)


def test_a_capacity_below_nothing_is_refused_with_a_remedy() -> None:
    with override_settings(DISK_CAPACITY_BYTES=-1):
        (message,) = checks.disk_has_a_size(None)
    assert message.id == "kaireon.E034"
