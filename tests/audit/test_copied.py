"""Rows of COPY, many at a time, are those that come one at a time; and what goes wrong on the way is said."""

from collections.abc import Iterator

import psycopg
import pytest

from audit import copied


@pytest.fixture
def connected(superuser_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(superuser_url) as connection:
        yield connection


MANY = "SELECT CASE WHEN n % 7 > 0 THEN repeat('ü', n) END FROM generate_series(1, 900) n"


def test_many_at_a_time_are_the_same_rows(connected: psycopg.Connection) -> None:
    with connected.cursor() as cursor:
        with cursor.copy(f"COPY ({MANY}) TO STDOUT") as copy:
            expected = [bytes(row) for row in copy]
        with cursor.copy(f"COPY ({MANY}) TO STDOUT") as copy:
            lists = list(copied.batches(copy, size=5000))
    assert [bytes(row) for rows in lists for row in rows] == expected
    assert len(lists) > 50
    assert all(sum(map(len, rows)) >= 5000 for rows in lists[:-1])


@pytest.mark.parametrize("size", [1, 5000, 10**9])
def test_texts_are_bare(connected: psycopg.Connection, size: int) -> None:
    expected = "".join(row[0] or "" for row in connected.execute(MANY).fetchall())
    with connected.cursor() as cursor:
        with cursor.copy(f"COPY ({MANY}) TO STDOUT (FORMAT binary)") as copy:
            assert b"".join(copied.texts(copy, size=size)).decode() == expected
        with cursor.copy("COPY (SELECT 'none' WHERE false) TO STDOUT (FORMAT binary)") as copy:
            assert b"".join(copied.texts(copy, size=size)) == b""


def test_an_error_half_way_is_raised(connected: psycopg.Connection) -> None:
    failing = "COPY (SELECT 1 / (5000 - n) FROM generate_series(1, 9000) n) TO STDOUT"
    with connected.cursor() as cursor, pytest.raises(psycopg.errors.DivisionByZero), cursor.copy(failing) as copy:
        for _ in copied.batches(copy, size=100):
            pass
    connected.rollback()
    assert connected.execute("SELECT 1").fetchone() == (1,)


def test_whoever_has_seen_enough_leaves_a_connection_that_works(connected: psycopg.Connection) -> None:
    class Enough(Exception):
        pass

    many = "COPY (SELECT repeat('x', 9000) FROM generate_series(1, 9000)) TO STDOUT"
    with connected.cursor() as cursor, pytest.raises(Enough), cursor.copy(many) as copy:
        for _ in copied.batches(copy, size=100):
            raise Enough
    connected.rollback()
    assert connected.execute("SELECT 1").fetchone() == (1,)
