"""Verification by several processes says what one process says, and leaves nobody behind."""

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children

import psycopg
import pytest

from audit import services
from audit.tree import checkpoints
from audit.verification import checkers, rows, spans
from audit.verification.spans import Link
from audit.verification.verdict import Verdict
from audit.verification.verify import verify
from kaireon.tenancy.context import scope, transaction
from tests.audit.log import WRITER, records, verdict, write
from tests.cast import ACME

pytestmark = pytest.mark.usefixtures("db")

COUNT = 1200


@pytest.fixture(autouse=True)
def _long_log(db: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Spans so short, and a log long enough for them, that several processes have work."""
    monkeypatch.setattr(spans, "LENGTH", 256)
    monkeypatch.setattr(checkers, "WORTH_A_PROCESS", 0)
    write(COUNT, tenant=ACME)
    services.drain(ACME)
    checkpoints.make(ACME)
    services.drain(ACME)
    yield
    assert not active_children()


@pytest.fixture
def forger(superuser: psycopg.Connection) -> psycopg.Connection:
    superuser.execute("SET session_replication_role = replica")
    return superuser


def by_several(**more: int) -> Verdict:
    services.drain(ACME)
    with scope(tenant_id=ACME, actor=WRITER), transaction():
        return verify(jobs=2, **more)


def test_it_is_intact_for_several_too() -> None:
    found = by_several()
    assert (found.intact, found.verified) == (True, len(records(ACME)))
    assert found == verdict(ACME)
    assert by_several(limit=700) == verdict(ACME, limit=700)


def test_where_threads_run_the_others_are_fresh_processes() -> None:
    done = threading.Event()
    beside = threading.Thread(target=done.wait)
    beside.start()
    try:
        assert by_several().intact
    finally:
        done.set()
        beside.join()


@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE audit_record SET user_name = 'Mallory' WHERE tenant_id = 'acme' AND seq = %s",
        "UPDATE audit_record SET prev_hash = repeat('0', 64) WHERE tenant_id = 'acme' AND seq = %s",
        "DELETE FROM audit_record WHERE tenant_id = 'acme' AND seq = %s",
    ],
)
def test_several_find_what_one_finds(forger: psycopg.Connection, attack: str) -> None:
    """On both sides of where a span ends."""
    forger.execute("CREATE TABLE kept AS SELECT * FROM audit_record WHERE tenant_id = 'acme'")
    for seq in (1, 256, 257, COUNT):
        forger.execute(attack, [seq])  # type: ignore[arg-type]
        one, several = verdict(ACME), by_several()
        assert not one.intact
        assert several == one, seq
        forger.execute("DELETE FROM audit_record WHERE tenant_id = 'acme' AND seq = %s", [seq])
        forger.execute("INSERT INTO audit_record SELECT * FROM kept WHERE seq = %s", [seq])
    assert by_several().intact


def test_a_process_that_is_killed_is_an_error_and_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    # Copies have it too; whatever thread another test left behind, copies are made.
    monkeypatch.setattr(rows, "derive", lambda _rows: os._exit(1))
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    with pytest.raises(BrokenProcessPool):
        by_several()


def test_who_stops_listening_leaves_nobody_at_work() -> None:
    with scope(tenant_id=ACME, actor=WRITER), transaction():
        log = checkers.Log(tenant_id=ACME, beginning=0, committed=0)
        found = checkers.checked(log, spans.between(0, COUNT), Link(0, "genesis"), jobs=2)
        assert next(found).verified == 256
        found.close()
    deadline = time.monotonic() + 5
    while active_children() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not active_children()
