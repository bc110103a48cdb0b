"""Verification while the log grows, and of logs and records of any size."""

import os
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from django.db import connections

from audit import sequencer, services
from audit.models import VerificationKind
from audit.tree import checkpoints, tiles
from audit.verification import runs, spans
from audit.verification import verify as verifying
from audit.verification.verify import verify
from kaireon.tenancy.context import scope, transaction
from tests.audit.log import WRITER, records, verdict, write
from tests.bench import biglog
from tests.cast import ACME, ADA

pytestmark = pytest.mark.usefixtures("db")

WRITERS = 16


def test_it_says_nothing_false_while_sixteen_write() -> None:
    """Records, checkpoints and tiles come while it reads: what came after it began is for the next time."""
    done = threading.Event()

    def writing(number: int) -> None:
        try:
            while not done.is_set():
                write(5, tenant=ACME, first=number)
        finally:
            connections.close_all()

    def sequencing() -> None:
        try:
            while not done.is_set():
                sequencer.sweep()
                checkpoints.make(ACME, wait=False)
        finally:
            connections.close_all()

    write(300, tenant=ACME)
    seen = []
    with ThreadPoolExecutor(WRITERS + 1) as pool:
        work = [pool.submit(writing, number) for number in range(WRITERS)] + [pool.submit(sequencing)]
        try:
            for turn in range(6):
                with scope(tenant_id=ACME, actor=WRITER), transaction():
                    found = verify(limit=50 if turn % 3 == 2 else None)
                assert found.intact, found
                seen.append(found.total)
                with ADA.here():
                    run = runs.run(VerificationKind.SINCE_LAST if turn % 2 else VerificationKind.FULL)
                assert run.state == "intact", (run.broken_reason, run.broken_at_seq)
        finally:
            done.set()
        for each in work:
            each.result()
    assert seen == sorted(seen)
    assert seen[0] < seen[-1]
    assert verdict(ACME).intact


def most_memory(limit: int | None = None) -> int:
    """Bytes that a verification took at its most."""
    with scope(tenant_id=ACME, actor=WRITER), transaction():
        verify(limit=1)
        tracemalloc.start()
        try:
            assert verify(limit=limit).intact
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


def test_its_memory_does_not_grow_with_the_log(superuser_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    services.drain(ACME)
    with psycopg.connect(superuser_url) as root:
        root.execute("SET session_replication_role = replica")
        for table in ("record", "head", "tile", "checkpoint", "inbox"):
            root.execute(f"DELETE FROM audit_{table} WHERE tenant_id = 'acme'")  # type: ignore[arg-type]
    biglog.load(superuser_url, {ACME: 20_000})
    while checkpoints.make(ACME):
        pass
    # A span and its leaves, whatever the log.
    assert most_memory(spans.LENGTH + 1) < 8 * 1024 * 1024
    # By shorter spans this log is a long one: nothing near the 12 MB of all those records.
    monkeypatch.setattr(spans, "LENGTH", 16 * tiles.WIDTH)
    assert most_memory() < 1.2 * most_memory(spans.LENGTH + 1)


def test_large_values_are_read_one_at_a_time() -> None:
    value = os.urandom(500_000).hex()
    write(1, tenant=ACME, changes={"value": value})
    services.drain(ACME)
    one = most_memory()
    write(4, tenant=ACME, changes={"value": value})
    services.drain(ACME)
    assert len(records(ACME, action="test.event")) == 5
    assert most_memory() < one + len(value)


def grow(records: int) -> None:
    """The log grows by so many, as another process would have it."""

    def growing() -> None:
        write(records, tenant=ACME)
        services.drain(ACME)
        checkpoints.make(ACME)
        connections.close_all()

    beside = threading.Thread(target=growing)
    beside.start()
    beside.join()


@pytest.mark.parametrize("window", [{"limit": 5}, {"span": (20, 400)}, {"span": (45, 400)}], ids=str)
def test_a_window_ends_where_the_log_ended_when_it_was_asked(
    window: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many records come right after."""
    write(30, tenant=ACME)
    services.drain(ACME)
    ended = records(ACME)[-1].seq
    asked = verifying._start

    def meanwhile(*about: Any) -> object:
        grow(20)
        return asked(*about)

    monkeypatch.setattr(verifying, "_start", meanwhile)
    with scope(tenant_id=ACME, actor=WRITER), transaction():
        found = verify(**window)
    assert found.intact, found
    assert found.verified == min(window.get("limit", ended), max(ended + 1 - window.get("span", (0,))[0], 0))


def test_a_checkpoint_that_is_made_while_it_reads_is_not_ahead_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Right before it asks for the checkpoint, and right after."""
    write(5, tenant=ACME)
    services.drain(ACME)
    checkpoints.make(ACME)
    asked = checkpoints.newest

    def meanwhile(tenant: str) -> object:
        found = None
        for look in (False, True, False):
            if look:
                found = asked(tenant)
                continue
            grow(20)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "newest", meanwhile)
        assert verdict(ACME).intact
    assert verdict(ACME).intact
