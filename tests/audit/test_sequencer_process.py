"""The sequencer as a process: how it ends, and what it does when the database or its connection goes away."""

import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.db import connections

from audit.management.commands import audit_sequencer
from tests.audit.log import verdict, write
from tests.cast import ACME
from tests.live import Live, wait_until
from tests.ops.stage import database_away, lines

pytestmark = pytest.mark.usefixtures("db")


class Sequencer(Live):
    def __init__(self, log: Path) -> None:
        super().__init__(log, "manage", "audit_sequencer")

    def is_ready(self) -> bool:
        return True


@pytest.fixture
def sequencer(tmp_path: Path) -> Iterator[Sequencer]:
    with Sequencer(tmp_path / "sequencer.log") as process:
        yield process


def wait_until_sequenced(root: psycopg.Connection, process: Sequencer) -> None:
    def empty() -> bool:
        return root.execute("SELECT count(*) FROM audit_inbox").fetchone() == (0,)

    wait_until(empty, or_show=process.log)


def test_it_comes_back_when_its_connections_end_and_when_the_database_was_away(
    sequencer: Sequencer, superuser: psycopg.Connection, db: str, superuser_url: str
) -> None:
    write(3, tenant=ACME)
    wait_until_sequenced(superuser, sequencer)
    # As a pooler does, or a failover.
    superuser.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'kaireon_sequencer'"
        " AND datname = current_database()"
    )
    write(3, tenant=ACME)
    wait_until_sequenced(superuser, sequencer)

    superuser.close()
    connections.close_all()
    with database_away(superuser_url, db):
        wait_until(lambda: len(lines(sequencer.log, "sequencer_waits")) > 2, or_show=sequencer.log)
    with psycopg.connect(superuser_url, autocommit=True) as root:
        write(3, tenant=ACME)
        wait_until_sequenced(root, sequencer)
        # Its chores go on too.
        due = "SELECT count(*) FROM audit_checkpoint WHERE tenant_id = 'acme'"
        wait_until(lambda: root.execute(due).fetchone() != (0,), or_show=sequencer.log)
    assert verdict(ACME).intact


def test_it_ends_when_told_to_also_while_it_waits_for_the_database(
    sequencer: Sequencer, superuser: psycopg.Connection, db: str, superuser_url: str
) -> None:
    assert sequencer.process is not None
    wait_until_sequenced(superuser, sequencer)
    superuser.close()
    with database_away(superuser_url, db):
        # Its pauses are seconds by then.
        wait_until(lambda: len(lines(sequencer.log, "sequencer_waits")) > 4, or_show=sequencer.log)
        sequencer.process.send_signal(signal.SIGTERM)
        assert sequencer.process.wait(timeout=60) == 0


def test_a_chore_of_many_steps_is_done_a_slice_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_sequencer, "SLICE_SECONDS", 0.0)
    begun: list[int] = []

    def work() -> Iterator[int]:
        for step in range(3):
            begun.append(step)
            yield step

    chore = audit_sequencer.Chore(1000.0, work)
    for turn in range(1, 4):
        chore.do_when_due()
        assert begun == list(range(turn))
    # It ends, and is not due again.
    for _ in range(3):
        chore.do_when_due()
    assert (begun, chore.left) == ([0, 1, 2], None)
