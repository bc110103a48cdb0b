"""A follower sees each record of its log at least once, in order, and again when its cursor is set back."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from audit import reading, services
from audit.following import cursors
from audit.following.follower import CursorMoved, following
from audit.models import Cursor
from kaireon.lib import clock
from kaireon.tenancy.context import PLATFORM, scope, transaction
from tests.audit.log import WRITER, write
from tests.cast import ACME, GLOBEX
from tests.race import at_once

pytestmark = pytest.mark.usefixtures("db")

Records = Sequence[Mapping[str, Any]]


class Reader:
    """Keeps the numbers of what it was given, of each log."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.tenants: set[str] = set()

    def __call__(self, records: Records) -> None:
        self.seen += [record["seq"] for record in records]
        self.tenants |= {record["tenantId"] for record in records}


def run(reader: Callable[[Records], object], tenant: str = ACME, *, batch: int = 500) -> int:
    """Have the reader follow to the end of the log; how many records it was given."""
    done = 0
    with scope(tenant_id=tenant, actor=WRITER), following("reader") as here:
        while here is not None and here.seq < here.until:
            with transaction():
                last = min(here.seq + batch, here.until)
                records = list(reading.records(tenant, after=here.seq, until=last))
                reader(records)
                here.moved(last, now=clock.now())
            done += len(records)
    return done


def test_it_reads_everything_once_and_in_order_what_was_just_written_too() -> None:
    reader = Reader()
    write(25, tenant=ACME)
    done = run(reader, batch=10)
    write(3, tenant=ACME)
    assert run(reader, batch=10) == 3

    assert reader.seen == list(range(1, done + 4))
    assert run(reader) == 0


@pytest.mark.parametrize("tenant", [ACME, GLOBEX, PLATFORM])
def test_it_never_crosses_to_another_log(tenant: str) -> None:
    reader = Reader()
    write(5, tenant=ACME)
    write(5, tenant=GLOBEX)
    run(reader, tenant)

    assert reader.tenants == {tenant}
    with scope(tenant_id=tenant, actor=WRITER), transaction():
        assert [cursor.tenant_id for cursor in Cursor.objects.all()] == [tenant]


def test_work_that_fails_comes_again() -> None:
    reader = Reader()
    write(25, tenant=ACME)

    def failing(records: Records) -> None:
        if records[0]["seq"] > 10:
            raise RuntimeError("halfway")
        reader(records)

    with pytest.raises(RuntimeError, match="halfway"):
        run(failing, batch=10)
    assert reader.seen == list(range(1, 11))
    run(reader, batch=10)
    assert reader.seen == list(range(1, len(reader.seen) + 1))


def test_set_back_it_reads_again_from_there() -> None:
    reader = Reader()
    write(9, tenant=ACME)
    last = run(reader)
    with scope(tenant_id=ACME, actor=WRITER), transaction():
        cursors.set_back("reader", to=4, now=clock.now())
    reader.seen.clear()

    assert run(reader) == last - 4
    assert reader.seen == list(range(5, last + 1))


def test_of_two_at_once_one_is_at_it() -> None:
    first, second = Reader(), Reader()
    write(200, tenant=ACME)
    at_once(lambda: run(first, batch=7), lambda: run(second, batch=7))

    services.drain(ACME)
    assert sorted(first.seen + second.seen) == list(range(1, len(first.seen + second.seen) + 1))


def test_who_was_overtaken_is_told_so() -> None:
    write(9, tenant=ACME)
    with scope(tenant_id=ACME, actor=WRITER), following("reader") as here:
        assert here is not None
        with transaction():
            Cursor.objects.filter(tenant_id=ACME, follower="reader").update(seq=3)
        with transaction(), pytest.raises(CursorMoved):
            here.moved(5, now=clock.now())
