"""A server that goes away for a while ends no process: each waits, and goes on."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from django_celery_beat.models import IntervalSchedule
from psycopg import sql

from cron import beat_rows
from kaireon.jobs.models import Job, JobState
from kaireon.tenancy.context import Actor, platform_scope, transaction
from tests.cast import ADA
from tests.dsar.conftest import file
from tests.live import Beat, Worker, wait_until
from tests.servers import SUITE


@contextmanager
def nobody_let_in(database: str) -> Iterator[None]:
    """The database ends every session and takes no new one, as while it starts."""
    allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    with psycopg.connect(SUITE.superuser_url("postgres"), autocommit=True) as root:
        root.execute(allow.format(sql.Identifier(database), sql.SQL("false")))
        root.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database])
        try:
            yield
        finally:
            root.execute(allow.format(sql.Identifier(database), sql.SQL("true")))


@pytest.fixture
def hurried(db: str) -> str:
    """The test's database, whose operator has everything swept each second."""
    beat_rows.install()
    with platform_scope(actor=Actor.system("test")), transaction():
        IntervalSchedule.objects.filter(every=5).update(every=1)
    return db


def said(log: Path, *events: str) -> int:
    text = log.read_text()
    return sum(text.count(event) for event in events)


SENT = "Sending due task jobs.sweep"


def test_beat_waits_for_its_database_and_can_be_stopped_in_the_middle_of_a_statement(
    hurried: str, superuser_url: str, tmp_path: Path
) -> None:
    """It waits for one that is not there yet, and for one that goes away."""
    log = tmp_path / "beat.log"
    with ExitStack() as running:
        with nobody_let_in(hurried):
            beat = running.enter_context(Beat(log))
            wait_until(lambda: said(log, "beat_waits"), or_show=log)
        wait_until(lambda: said(log, SENT), or_show=log)
        with nobody_let_in(hurried):
            # It looks whether a schedule has changed, and cannot.
            already = said(log, "beat_waits", "OperationalError")
            wait_until(lambda: said(log, "beat_waits", "OperationalError") > already, or_show=log)
        before = said(log, SENT)
        wait_until(lambda: said(log, SENT) > before, or_show=log)
        assert beat.process is not None
        assert beat.process.poll() is None

        locker, root = (running.enter_context(psycopg.connect(superuser_url)) for _ in range(2))
        root.autocommit = True
        locker.execute("LOCK TABLE django_celery_beat_periodictasks")
        wait_until(lambda: root.execute(_STUCK).fetchone() != (0,), or_show=log)
        beat.process.send_signal(signal.SIGTERM)
        assert beat.process.wait(timeout=30) == 0


_STUCK = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND usename = 'kaireon_app' AND wait_event_type = 'Lock'"
)


def test_beat_can_be_stopped_while_it_waits_for_its_first_database(db: str, tmp_path: Path) -> None:
    with nobody_let_in(db), ExitStack() as running:
        for number in (signal.SIGTERM, signal.SIGINT):
            log = tmp_path / f"{number.name}.log"
            beat = running.enter_context(Beat(log))
            wait_until(lambda log=log: said(log, "beat_waits"), or_show=log)  # type: ignore[misc]
            assert beat.process is not None
            beat.process.send_signal(number)
            assert beat.process.wait(timeout=30) == 0


@pytest.mark.slow
def test_lost_wake_ups_are_found_while_the_workers_of_other_queues_have_no_time(hurried: str, tmp_path: Path) -> None:
    """Nobody works on batch-jobs at all: what waits there is not looked at, and must not stand before anything."""
    log = tmp_path / "worker.log"
    with ADA.here(), Worker(log, "dsar-jobs"), Beat(tmp_path / "beat.log"):
        # No worker is told of it.
        filed = file()

        def done() -> bool:
            with transaction():
                return Job.objects.get(pk=filed.job.pk).state == JobState.DONE

        wait_until(done, or_show=log)
