"""Databases for the tests: copies of the migrated template that come back and go out again as they were.

A copy takes a thousand files, putting back what a test wrote takes some rows. So a database goes out again when nobody
is connected to it and nothing happened in it but that rows came, changed and went. PostgreSQL's own counters say so:
what touched a catalogue (a table made, a trigger switched off, a TRUNCATE, a vacuum) makes a new copy necessary.
Where others than this process were connected it gets a new name: what an old test left behind finds nothing under the
one it knows. Otherwise the sessions of this process go out again with it (tests/sessions.py).
"""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import psycopg
from psycopg import sql

from kaireon.local.databases import with_database
from tests.sessions import Sessions, tidied

# Removed rows stay in the files as dead ones, so no database goes out for ever.
_TURNS = 40
# From so many on a copy is the faster way.
_MOST_ROWS = 2_000
# How long the connections of a test may take to end, in seconds.
_PATIENCE = 0.2
# Nothing of what is done here shall be counted.
_UNCOUNTED = "-c track_counts=off"

_RELATIONS = """
    SELECT c.oid::int8, format('%I.%I', n.nspname, c.relname), c.relkind::text, n.nspname = 'public', c.relhastriggers,
           (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
             WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '')
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'm', 'S') AND NOT c.relisshared ORDER BY c.oid
"""
# Rows written, and whether a vacuum or an ANALYZE has run; of the relations it did not leave alone.
_TOUCHED = """
    SELECT oid::int8, written, tended
      FROM unnest(%s::oid[]) oid,
           LATERAL (SELECT pg_stat_get_tuples_inserted(oid) + pg_stat_get_tuples_updated(oid)
                           + pg_stat_get_tuples_deleted(oid) AS written,
                           pg_stat_get_vacuum_count(oid) + pg_stat_get_analyze_count(oid) > 0 AS tended) counted
     WHERE written > 0 OR tended
"""
# What belongs to a database and is in none of its relations.
_DATABASE = """
    SELECT datdba, datallowconn, datconnlimit, datacl::text,
           (SELECT count(*) FROM pg_db_role_setting WHERE setdatabase = d.oid)
      FROM pg_database d WHERE datname = %s
"""


@dataclass(frozen=True)
class Table:
    name: str
    columns: str
    has_triggers: bool
    # As COPY writes them.
    rows: bytes


@dataclass(frozen=True)
class Template:
    """What every copy looks like when it is new; oids are the same in all, because files are copied."""

    tables: dict[int, Table]
    catalogues: frozenset[int]
    # By name: the last value, and whether it was given out.
    sequences: dict[str, tuple[int, bool]]
    database: tuple[object, ...] | None


class Copies:
    """The databases of one process."""

    def __init__(self, superuser_url: str, *, template: str, prefix: str, strategy: str, sessions: Sessions) -> None:
        self._url = superuser_url
        self._source = template
        self._prefix = prefix
        self._strategy = strategy
        self._names = 0
        self._turns: dict[str, int] = {}
        # Which database it is that we gave out under a name: a test may have put another in its place.
        self._oids: dict[str, int] = {}
        self._sessions = sessions
        # Our own with each that was put back.
        self._inside: dict[str, psycopg.Connection] = {}
        # The next one is made ready while a test runs.
        self._maker = ThreadPoolExecutor(1, "copier")
        self._ready: list[Future[str]] = []

    def take(self) -> str:
        """The name of a database that is as the template is."""
        while len(self._ready) < 2:
            self._ready.append(self._maker.submit(self._copied))
        return self._ready.pop(0).result()

    def give_back(self, name: str) -> None:
        """When no test uses it any more."""
        left = self._sessions.left_by_test(name)
        opened = self._sessions.opened.pop(name, 0)
        self._ready.append(self._maker.submit(self._again, name, left + self._sessions.forget(name), opened))

    def leave(self, name: str) -> None:
        """Close what is kept open with a database that a test has: for one that must be alone with it."""
        _close(*self._sessions.forget(name), self._inside.pop(name, None))

    def close(self, *, drop: bool) -> None:
        """`drop` on a server that outlives the run."""
        for ready in self._ready:
            if not ready.cancel() and drop:
                self._maker.submit(self._drop, ready.result()).result()
        self._maker.shutdown()
        idle = [session for name in self._inside for session in self._sessions.forget(name)]
        _close(*self._inside.values(), *idle, self.__dict__.get("_root"))

    @cached_property
    def _root(self) -> psycopg.Connection:
        return psycopg.connect(self._url, autocommit=True)

    @cached_property
    def _template(self) -> Template:
        # Nobody may be connected to the template itself while another process copies it.
        name = self._copied()
        with psycopg.connect(with_database(self._url, name)) as connection:
            relations = connection.execute(_RELATIONS).fetchall()
            tables, sequences = {}, {}
            for oid, relation, kind, _, has_triggers, columns in (row for row in relations if row[3]):
                if kind == "S":
                    sequences[relation] = connection.execute(f"SELECT last_value, is_called FROM {relation}").fetchone()
                else:
                    with connection.cursor().copy(f"COPY {relation} ({columns}) TO STDOUT") as rows:
                        tables[oid] = Table(relation, columns, has_triggers, b"".join(map(bytes, rows)))
        catalogues = frozenset(row[0] for row in relations if not row[3])
        database = self._root.execute(_DATABASE, [name]).fetchone()
        self._drop(name)
        return Template(tables, catalogues, sequences, database)

    def _copied(self) -> str:
        name = self._next_name()
        self._root.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY {}").format(
                sql.Identifier(name), sql.Identifier(self._source), sql.SQL(self._strategy)
            )
        )
        # Rights on a database are the one thing that is not copied: grants.sql gave the template's.
        self._root.execute(
            "UPDATE pg_database SET datacl = (SELECT datacl FROM pg_database WHERE datname = %s) WHERE datname = %s",
            [self._source, name],
        )
        self._turns[name] = 0
        self._oids[name] = self._oid(name)
        return name

    def _oid(self, name: str) -> int:
        found = self._root.execute("SELECT oid::int8 FROM pg_database WHERE datname = %s", [name]).fetchone()
        return int(found[0]) if found else 0

    def _again(self, used: str, sessions: list[psycopg.Connection], opened: int) -> str:
        """The same database, under a new name when others knew the old one; or a new copy."""
        turns = self._turns.pop(used)
        sessions = [session for session in sessions if tidied(session)]
        inside = self._inside.pop(used, None)
        if inside is not None and not tidied(inside):
            inside = None
        name = used
        oid = self._oids.pop(used)
        if (
            turns < _TURNS
            and oid == self._oid(used)
            and self._is_alone(used, [*sessions, *([inside] if inside else [])])
        ):
            if self._visits(used) > opened:
                _close(*sessions, inside)
                sessions, inside = [], None
                name = self._next_name()
            if (name == used or self._rename(used, name)) and self._put_back(name, inside):
                self._turns[name] = turns + 1
                self._oids[name] = oid
                self._sessions.keep(name, sessions)
                return name
        _close(*sessions, inside, self._inside.pop(name, None))
        self._drop(used)
        self._drop(name)
        return self._copied()

    def _is_alone(self, name: str, but_for: list[psycopg.Connection]) -> bool:
        """No session is left but these."""
        deadline = time.monotonic() + _PATIENCE
        known = [session.info.backend_pid for session in but_for if not session.closed]
        others = "SELECT FROM pg_stat_activity WHERE datname = %s AND pid <> ALL (%s)"
        while self._root.execute(others, [name, known]).fetchone():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.002)
        return True

    def _visits(self, name: str) -> int:
        """How many sessions there have been with it since it was put back."""
        visits = self._root.execute(
            "SELECT pg_stat_get_db_sessions(oid) FROM pg_database WHERE datname = %s", [name]
        ).fetchone()
        return int(visits[0]) if visits else 0

    def _rename(self, used: str, name: str) -> bool:
        """So that nobody connects any more; False when somebody has."""
        try:
            self._root.execute(
                sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(used), sql.Identifier(name))
            )
        except psycopg.errors.ObjectInUse:
            return False
        return True

    def _put_back(self, name: str, inside: psycopg.Connection | None) -> bool:
        """The template's rows into the tables that a test wrote to. False when that would not be enough."""
        template = self._template
        if self._root.execute(_DATABASE, [name]).fetchone() != template.database:
            return False
        if inside is None:
            inside = psycopg.connect(with_database(self._url, name), options=_UNCOUNTED, autocommit=True)
        self._inside[name] = inside
        with inside.transaction():
            touched = inside.execute(_TOUCHED, [[*template.tables, *template.catalogues]]).fetchall()
            if any(tended or oid not in template.tables for oid, _, tended in touched):
                return False
            if sum(written for _, written, _ in touched) > _MOST_ROWS:
                return False
            self._wind_back(inside)
            _rewrite(inside, {oid: template.tables[oid] for oid, _, _ in touched})
        # Its own coming was a visit: that is counted before all is counted from nothing.
        inside.execute("SELECT pg_stat_force_next_flush()")
        inside.execute("SELECT pg_stat_reset()")
        return True

    def _wind_back(self, connection: psycopg.Connection) -> None:
        """The sequences."""
        before = self._template.sequences
        positions = " UNION ALL ".join(f"SELECT '{name}', last_value, is_called FROM {name}" for name in before)
        for name, *position in connection.execute(positions).fetchall():
            if tuple(position) != before[name]:
                connection.execute("SELECT setval(%s, %s, %s)", [name, *before[name]])

    def _next_name(self) -> str:
        self._names += 1
        return f"{self._prefix}_{self._names}"

    def _drop(self, name: str) -> None:
        self._root.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _rewrite(connection: psycopg.Connection, tables: dict[int, Table]) -> None:
    # Many triggers refuse, whoever asks: for the length of this transaction these tables have none.
    guarded = [oid for oid, table in tables.items() if table.has_triggers]
    switch = "UPDATE pg_class SET relhastriggers = %s WHERE oid = ANY(%s)"
    connection.execute(switch, [False, guarded])
    for table in tables.values():
        connection.execute(f"DELETE FROM {table.name}")
        if table.rows:
            with connection.cursor().copy(f"COPY {table.name} ({table.columns}) FROM STDIN") as rows:
                rows.write(table.rows)
    connection.execute(switch, [True, guarded])


def _close(*sessions: psycopg.Connection | None) -> None:
    for session in sessions:
        if session is not None:
            session.close()
