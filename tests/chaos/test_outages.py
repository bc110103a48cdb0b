"""A server that goes away for a while ends no process: each waits, and goes on."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from kaireon.jobs.models import Job, JobState
from kaireon.tenancy.context import transaction
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


def test_beat_waits_for_a_database_that_is_not_there_yet_and_for_one_that_goes_away(db: str, tmp_path: Path) -> None:
    log = tmp_path / "beat.log"

    def said(*events: str) -> int:
        text = log.read_text()
        return sum(text.count(event) for event in events)

    with ExitStack() as running:
        with nobody_let_in(db):
            beat = running.enter_context(Beat(log))
            wait_until(lambda: said("beat_waits"), or_show=log)
        wait_until(lambda: said("Sending due task jobs.sweep"), or_show=log)
        with nobody_let_in(db):
            # It looks whether a schedule has changed, and cannot.
            already = said("beat_waits", "OperationalError")
            wait_until(lambda: said("beat_waits", "OperationalError") > already, or_show=log)
        before = said("Sending due task jobs.sweep")
        wait_until(lambda: said("Sending due task jobs.sweep") > before, or_show=log)
        assert beat.process is not None
        assert beat.process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_beat_can_be_stopped_while_it_waits_for_its_first_database(
    number: signal.Signals, db: str, tmp_path: Path
) -> None:
    log = tmp_path / "beat.log"
    with nobody_let_in(db), Beat(log) as beat:
        wait_until(lambda: "beat_waits" in log.read_text(), or_show=log)
        assert beat.process is not None
        beat.process.send_signal(number)
        assert beat.process.wait(timeout=30) == 0


def test_beat_can_be_stopped_in_the_middle_of_a_statement(db: str, superuser_url: str, tmp_path: Path) -> None:
    log = tmp_path / "beat.log"
    stuck = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND usename = 'kaireon_app' AND wait_event_type = 'Lock'"
    )
    with Beat(log) as beat, psycopg.connect(superuser_url) as locker, psycopg.connect(superuser_url) as root:
        root.autocommit = True
        wait_until(lambda: "Sending due task jobs.sweep" in log.read_text(), or_show=log)
        locker.execute("LOCK TABLE django_celery_beat_periodictasks")
        wait_until(lambda: root.execute(stuck).fetchone() != (0,), or_show=log)
        assert beat.process is not None
        beat.process.send_signal(signal.SIGTERM)
        assert beat.process.wait(timeout=30) == 0


@pytest.mark.slow
def test_lost_wake_ups_are_found_while_the_workers_of_other_queues_have_no_time(db: str, tmp_path: Path) -> None:
    """Nobody works on batch-jobs at all: what waits there is not looked at, and must not stand before anything."""
    log = tmp_path / "worker.log"
    with ADA.here(), Worker(log, "dsar-jobs"), Beat(tmp_path / "beat.log"):
        # No worker is told of it.
        filed = file()

        def done() -> bool:
            with transaction():
                return Job.objects.get(pk=filed.job.pk).state == JobState.DONE

        wait_until(done, or_show=log)
