"""Making what is due: each period once, whoever looks and whatever dies; nothing half of what failed."""

import threading
from datetime import time, timedelta
from typing import Any

import pytest
from django.core.files.storage import default_storage

from compliance.alerting import metrics
from compliance.alerting.metrics import Asked
from compliance.models import ReportRun, ReportSchedule
from compliance.reporting import running, runs, schedules
from compliance.reporting.schedule import MOST_CAUGHT_UP
from customers import removals
from customers.models.removal import ObjectRemoval
from kaireon.jobs import runner
from kaireon.jobs import services as jobs
from kaireon.lib import clock
from kaireon.outbox.models import Message
from kaireon.tenancy.context import transaction
from tests.cast import ACME, ADA, GLOBEX, MALLORY
from tests.race import at_once
from tests.reporting.conftest import (
    ALL,
    NOON,
    again,
    content,
    days,
    during,
    give_up,
    kept,
    look,
    made,
    make,
    notices,
    objects,
    periods,
    provider,
    recorded,
    work,
)

pytestmark = pytest.mark.usefixtures("db")


def failures() -> float | None:
    """What an alert rule watches."""
    with ADA.here(), transaction():
        return metrics.get("reports_failed").read(Asked(now=NOON, since=NOON))


class TestWhatIsDue:
    def test_each_period_is_made_once_and_says_so_in_the_log(self) -> None:
        make(formats=["pdf", "csv", "html"])
        assert look(NOON).queued == 0
        assert look(days(1)).as_dict() == {"schedules": 1, "queued": 1, "again": 0, "skipped": 0}
        assert look(days(1)).queued == 0
        [run] = made()
        assert (str(run.period_first), str(run.period_last), run.state) == ("2026-06-01", "2026-06-01", "queued")
        assert work(run) is not None
        assert again(run).state == "completed"
        assert b"2026-06-01T00:00:00+00:00 to 2026-06-02T00:00:00+00:00" in content(run)
        assert content(run, "pdf").startswith(b"%PDF-")
        assert b"<h1" in content(run, "html")
        verbs = ["report.due", "report.complete", "report.download", "report.download", "report.download"]
        assert [r.action for r in recorded(*set(verbs))] == verbs
        # In storage nothing of it can be read, and its names tell nothing.
        assert len(objects()) == 3
        assert not any(b"Test report" in path.read_bytes() or b"%PDF" in path.read_bytes() for path in objects())

    @pytest.mark.parametrize("missed", [1, 5, MOST_CAUGHT_UP + 4])
    def test_downtime_is_made_up_for_and_what_is_too_much_is_told(self, missed: int) -> None:
        make()
        looked = look(days(missed))
        skipped = max(0, missed - MOST_CAUGHT_UP)
        assert (looked.queued, looked.skipped) == (missed - skipped, skipped)
        assert len(periods(state="skipped")) == len(recorded("report.skip")) == skipped
        assert len(set(periods())) == missed
        assert periods(state="queued") == periods()[skipped:]
        assert look(days(missed)).queued == look(days(missed)).skipped == 0

    def test_a_clock_that_is_set_back_brings_nothing_again_nor_does_another_zone(self) -> None:
        row = make()
        look(days(5))
        before = periods()
        for back in (4.9, 3, 0, -30):
            look(days(back))
        with ADA.here(), transaction():
            ReportSchedule.objects.filter(pk=row.pk).update(active_from=NOON - timedelta(days=9))
        for back in (1, 3):
            look(days(back))
        with ADA.here(), transaction():
            ReportSchedule.objects.filter(pk=row.pk).update(time_zone="Pacific/Auckland")
        look(days(5))
        assert len(set(periods())) == len(periods())
        assert set(before) <= set(periods())

    def test_two_who_look_at_once_have_each_period_once(self) -> None:
        for number in range(4):
            make(name=f"Report {number}")
        at_once(*[lambda: look(days(3)) for _ in range(3)])
        look(days(3))
        assert len(made()) == 12
        assert {len(periods(title=f"Report {number}")) for number in range(4)} == {3}

    def test_what_is_switched_off_or_changed_does_not_make_up_for_what_was_before(self) -> None:
        row = make()
        for given, now in (({"is_enabled": False}, 1), ({"is_enabled": True}, 4)):
            with ADA.here(), transaction():
                schedules.change(row.pk, given=given, may=ALL, now=days(now))
            assert look(days(now + 0.5)).queued == 0
        assert look(days(5)).queued == 1
        assert periods() == ["2026-06-05"]

    def test_a_schedule_that_cannot_be_read_does_not_keep_the_next(self) -> None:
        broken = make(name="Broken")
        make(name="Whole")
        with ADA.here(), transaction():
            ReportSchedule.objects.filter(pk=broken.pk).update(time_zone="Europe/Atlantis")
        looked = look(days(1))
        assert (looked.queued, looked.errors) == (1, ("TimeZoneGone",))
        assert [run.title for run in made()] == ["Whole"]

    def test_tenants_have_their_own(self) -> None:
        make()
        make(MALLORY, name="Theirs")
        look(days(1))
        assert (periods(), periods(MALLORY)) == (["2026-06-01"], [])
        look(days(1), MALLORY)
        assert [run.title for run in made(MALLORY)] == ["Theirs"]

    def test_another_time_loses_no_period(self) -> None:
        # Half an hour before it is due, to an hour before that: the old moment comes no more, the new one is over.
        row = make()
        look(days(1))
        assert periods() == ["2026-06-01"]
        early = days(2) - timedelta(hours=4, minutes=30)
        change(row, early, at=time(7))
        assert look(early).queued == 1
        assert periods() == ["2026-06-01", "2026-06-02"]
        # Due, and not looked for yet, when it is moved.
        late = days(3) - timedelta(hours=4, minutes=58)
        change(row, late, at=time(6))
        assert look(late).queued == 1
        # To where the day's moment is over already, and to where it is still to come.
        change(row, days(3.5), time_zone="Asia/Tokyo")
        assert look(days(4)).queued == 1
        change(row, days(4), time_zone="America/Los_Angeles")
        look(days(6.5))
        assert periods() == [f"2026-06-{day:02}" for day in range(1, 7)]

    def test_another_day_of_the_month_loses_no_month(self) -> None:
        row = make(span="month", cadence="monthly", day=15)
        look(days(15))
        assert periods() == ["2026-05-01"]
        # On 10 July, to the 5th: June is over, and would wait for nobody until August.
        change(row, days(39), day=5)
        assert look(days(39)).queued == 1
        assert periods() == ["2026-05-01", "2026-06-01"]
        # With another period it begins anew.
        change(row, days(40), span="quarter")
        assert look(days(64)).queued == 0
        assert look(days(65)).queued == 0
        assert look(days(127)).queued == 1
        assert periods()[-1] == "2026-07-01"


def change(row: ReportSchedule, now: Any, **given: Any) -> None:
    with ADA.here(), transaction():
        schedules.change(row.pk, given=given, may=ALL, now=now)


class TestFailure:
    def test_a_template_that_fails_leaves_nothing_half_and_is_tried_with_the_next(self) -> None:
        desk = provider(kind="email", recipients=["desk@acme.example"])
        make(channels=[str(desk.pk)])
        look(days(1))
        [run] = made()
        during(ValueError("cust-17 is not a number"))
        assert give_up(run).state == "failed"
        failed = again(run)
        assert (failed.state, failed.error) == ("failed", "template_failed")
        assert failed.detail == f"The section “Test” of the report {run.template} failed with ValueError."
        assert (kept(), objects()) == ([], [])
        assert [notice.word for notice in notices()] == ["failed"]
        [record] = recorded("report.fail")
        assert "cust-17" not in str(vars(record))
        assert failures() == 1
        during(lambda: None)
        assert look(days(1)).again == 0
        looked = look(days(2))
        assert (looked.queued, looked.again) == (1, 1)
        for one in made():
            work(one)
        assert periods(state="completed") == ["2026-06-01", "2026-06-02"]
        assert (again(run).error, again(run).detail) == ("", "")
        assert failures() == 0
        assert [notice.word for notice in notices()] == ["failed", "ready", "ready"]

    def test_storage_that_is_away_leaves_nothing_half(self, monkeypatch: pytest.MonkeyPatch) -> None:
        make(formats=["pdf", "csv"])
        look(days(1))
        [run] = made()
        real, stored = default_storage.save, []

        def full(name: str, body: Any) -> str:
            stored.append(name)
            if len(stored) % 2 == 0:
                raise OSError(28, "No space left on device")
            return real(name, body)

        monkeypatch.setattr(default_storage, "save", full)
        assert give_up(run).state == "failed"
        monkeypatch.undo()
        assert (again(run).state, again(run).error, kept()) == ("failed", "oserror", [])
        with ADA.here():
            removals.remove_doomed(now=clock.now() + timedelta(hours=2))
            with transaction():
                assert not ObjectRemoval.objects.exists()
        assert objects() == []

    def test_a_worker_that_dies_between_storing_and_recording_is_made_up_for_and_told_once(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk = provider(kind="email", recipients=["desk@acme.example"])
        make(channels=[str(desk.pk)])
        look(days(1))
        [run] = made()

        class Killed(BaseException):
            pass

        def die(*_args: Any) -> None:
            raise Killed

        monkeypatch.setattr(running, "_complete", die)
        with pytest.raises(Killed):
            work(run)
        monkeypatch.undo()
        assert (again(run).state, len(objects()), kept(), notices()) == ("running", 1, [], [])
        later = clock.now() + jobs.LEASE * 2
        with clock.freeze(later):
            assert work(run) is not None
            assert work(run) is None
        assert again(run).state == "completed"
        assert ([notice.word for notice in notices()], len(kept())) == (["ready"], 1)
        with ADA.here():
            removals.remove_doomed(now=later + timedelta(hours=2))
            with transaction():
                assert Message.objects.filter(topic="report.email").count() == 1
        assert [path.name for path in objects()] == [str(kept()[0].file.name).rsplit("/", 1)[1]]

    def test_of_two_workers_one_has_it(self) -> None:
        desk = provider(kind="email", recipients=["desk@acme.example"])
        make(channels=[str(desk.pk)])
        look(days(1))
        [run] = made()
        # The first is still at it when its lease has run out and another has taken over.
        inside, over = threading.Event(), threading.Event()
        first = threading.local()

        def slow() -> None:
            if not getattr(first, "is_second", False):
                inside.set()
                over.wait(30)

        during(slow)

        def begin() -> Any:
            return work(run)

        def take_over() -> Any:
            first.is_second = True
            assert inside.wait(30)
            try:
                with ADA.here():
                    job = jobs.claim_at_once(job_id=run.job_ref, now=clock.now() + jobs.LEASE * 2)  # type: ignore[arg-type]
                    assert job is not None
                    return runner.work(job)
            finally:
                over.set()

        at_once(begin, take_over)
        assert again(run).state == "completed"
        assert (len(kept()), len(notices()), len(recorded("report.complete"))) == (1, 1, 1)
        with ADA.here():
            removals.remove_doomed(now=clock.now())
        assert len(objects()) == 1

    def test_a_job_that_was_replaced_does_nothing(self) -> None:
        make()
        look(days(1))
        [run] = made()
        during(ValueError())
        give_up(run)
        during(lambda: None)
        with ADA.here(), transaction():
            runs.again(run.pk, now=clock.now())
            with pytest.raises(runs.NotFailed):
                runs.again(run.pk, now=clock.now())
        assert again(run).job_ref != run.job_ref
        with ADA.here():
            with transaction():
                jobs.retry(job=jobs.Job.objects.get(pk=run.job_ref), now=clock.now())
            runner.run(job_id=run.job_ref)  # type: ignore[arg-type]
        assert again(run).state == "queued"
        work(again(run))
        assert again(run).state == "completed"

    def test_one_tenants_failure_is_its_own(self) -> None:
        make()
        make(MALLORY)
        for who in (ADA, MALLORY):
            look(days(1), who)
        during(ValueError(), ACME)
        give_up(made()[0])
        work(made(MALLORY)[0], MALLORY)
        assert [made()[0].state, made(MALLORY)[0].state] == ["failed", "completed"]
        assert MALLORY.tenant_id == GLOBEX


def test_a_failure_is_made_good_by_another_of_the_same_period_and_ends_with_its_schedule() -> None:
    """Of what nobody can make good any more, no alert rule complains for ever."""
    rows = [make(name=name) for name in ("One", "Two")]
    look(days(1))
    during(ValueError())
    for run in made():
        give_up(run)
    during(lambda: None)
    assert failures() == 2
    with ADA.here(), transaction():
        schedules.remove(rows[0].pk, now=days(1))
    assert failures() == 1
    [failed] = [run for run in made() if run.schedule_id == rows[1].pk]
    with ADA.here(), transaction():
        asked = runs.request(
            template=failed.template,
            formats=["csv"],
            first=failed.period_first,
            last=failed.period_last,
            time_zone=failed.time_zone,
            may=ALL,
            actor=ADA.actor,
            now=days(2),
        )
    work(asked.run)
    assert failures() == 0


def test_rows_cannot_be_had_twice_even_by_hand() -> None:
    from django.db import IntegrityError

    make()
    look(days(1))
    [run] = made()
    with ADA.here(), pytest.raises(IntegrityError), transaction():
        run.pk = None
        ReportRun.objects.create(**{f.attname: getattr(run, f.attname) for f in run._meta.fields if f.name != "id"})
