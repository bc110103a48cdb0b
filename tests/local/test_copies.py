"""The databases the suite runs on: each test finds the template, whatever the one before it did."""

from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.db.backends.postgresql.base import DatabaseWrapper

from kaireon.local.databases import with_database
from tests.audit.kills.child import fork, killed
from tests.copies import Copies
from tests.servers import SUITE
from tests.sessions import Sessions

Contents = dict[str, tuple[int, str]]

UNCOUNTED = "-c track_counts=off"


@pytest.fixture
def copies(db: str) -> Iterator[Copies]:
    """Of the suite's template, beside its own."""
    own = Copies(
        SUITE.superuser_url("postgres"),
        template=SUITE.template,
        prefix=f"{db}_{token_hex(4)}",
        strategy="file_copy",
        sessions=Sessions(),
    )
    yield own
    own.close(drop=True)


def connect(name: str, options: str = "") -> psycopg.Connection:
    return psycopg.connect(with_database(SUITE.superuser_url("postgres"), name), options=options, autocommit=True)


def found_in(name: str) -> tuple[int, Contents]:
    """Which database it is, and what is in each of its relations."""
    with connect(name, UNCOUNTED) as root:
        oid = root.execute("SELECT oid::int8 FROM pg_database WHERE datname = current_database()").fetchone()
        relations = root.execute(
            "SELECT oid::regclass::text, relkind::text FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S')"
        ).fetchall()
        contents: Contents = {}
        for relation, kind in relations:
            row = "row(r.last_value, r.is_called)" if kind == "S" else "r"
            contents[relation] = root.execute(
                f"SELECT count(*), md5(string_agg({row}::text, ',' ORDER BY {row}::text)) FROM {relation} r"
            ).fetchone()
        contents["triggers"] = root.execute(
            "SELECT count(*), md5(string_agg(concat_ws(' ', c.relname, t.tgname, t.tgenabled), ',' ORDER BY t.oid))"
            " FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid WHERE c.relhastriggers"
        ).fetchone()
    assert oid is not None
    return oid[0], contents


def and_back(copies: Copies, name: str) -> str:
    """What becomes of that database once a test is through with it."""
    copies.give_back(name)
    copies.give_back(copies.take())
    return copies.take()


def again() -> tuple[int, str, tuple[object, ...]]:
    """The next database of this process: the session with it, its name, and what is set and held in it."""
    with SUITE.database() as name, connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('app.tenant_id', true), current_setting('statement_timeout'),"
            " (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),"
            " (SELECT count(*) FROM pg_listening_channels()), (SELECT count(*) FROM pg_cursors WHERE is_holdable)"
        )
        return connection.connection.info.backend_pid, name, cursor.fetchone()


def test_what_rows_came_changed_and_went_is_put_back_and_the_database_goes_out_again(copies: Copies) -> None:
    used = copies.take()
    which, before = found_in(used)
    full = [relation for relation, (rows, _) in before.items() if rows and relation != "triggers"]
    assert len(full) > 15
    with connect(used) as root:
        # As the superuser that nothing refuses anything; switching that is not what the test is about.
        with connect(used, UNCOUNTED) as quiet:
            quiet.execute("CREATE TABLE pg_temp.guarded AS SELECT oid FROM pg_class WHERE relhastriggers")
            quiet.execute("UPDATE pg_class SET relhastriggers = false WHERE oid IN (SELECT oid FROM pg_temp.guarded)")
            for relation in full:
                if "_seq" in relation:
                    root.execute("SELECT nextval(%s)", [relation])
                else:
                    root.execute(f"DELETE FROM {relation}")
            quiet.execute("UPDATE pg_class SET relhastriggers = true WHERE oid IN (SELECT oid FROM pg_temp.guarded)")
        # A row changed, too, and one that has come.
        root.execute("INSERT INTO django_session VALUES ('k', 'd', now())")
        root.execute("UPDATE django_session SET session_data = 'other'")
    _, emptied = found_in(used)
    assert {relation for relation in before if emptied[relation] != before[relation]} >= {*full, "django_session"}

    other = and_back(copies, used)
    assert other != used
    assert found_in(other) == (which, before)


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE scratch (id int)",
        "CREATE FUNCTION scratch() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE tenancy_tenant DISABLE TRIGGER USER",
        "GRANT DELETE ON audit_record TO kaireon_app",
        "DROP POLICY IF EXISTS scratch ON tenancy_apikey; CREATE POLICY scratch ON tenancy_apikey USING (true)",
        "TRUNCATE django_session",
        "ANALYZE tenancy_tenant",
        "VACUUM django_session",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET jit = off', current_database()); END $$",
        "DO $$ BEGIN EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO kaireon_app', current_database()); END $$",
        "INSERT INTO django_session SELECT n::text, 'd', now() FROM generate_series(1, 5000) n",
    ],
)
def test_after_anything_else_the_template_is_copied_anew(copies: Copies, change: str) -> None:
    used = copies.take()
    which, before = found_in(used)
    with connect(used) as root:
        for statement in change.split("; ") if change.startswith("DROP") else [change]:
            root.execute(statement)
    other, found = found_in(and_back(copies, used))
    assert other != which
    assert found == before


def test_it_is_copied_anew_while_somebody_is_still_there(copies: Copies) -> None:
    used = copies.take()
    which, before = found_in(used)
    with connect(used) as somebody:
        assert found_in(and_back(copies, used)) != (which, before)
        with pytest.raises(psycopg.OperationalError):
            somebody.execute("SELECT 1")


def test_one_that_a_test_has_put_in_its_place_goes(copies: Copies) -> None:
    used = copies.take()
    _, before = found_in(used)
    with connect(used) as root:
        root.execute("INSERT INTO django_session VALUES ('k', 'd', now())")
    with connect("postgres") as root:
        root.execute(f"CREATE DATABASE {used}_copy TEMPLATE {used}")
        root.execute(f"DROP DATABASE {used}")
        root.execute(f"ALTER DATABASE {used}_copy RENAME TO {used}")
    assert found_in(and_back(copies, used))[1] == before


def test_what_is_left_of_a_test_finds_nothing_under_the_name_it_knows(copies: Copies) -> None:
    used = copies.take()
    connect(used).close()
    and_back(copies, used)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        connect(used)


def test_a_session_goes_out_again_with_its_database_and_nothing_in_it_is_left_of_a_test(
    django_db_blocker: Any,
) -> None:
    with django_db_blocker.unblock():
        with SUITE.database() as name, connection.cursor() as cursor:
            pid = connection.connection.info.backend_pid
            cursor.execute("SELECT set_config('app.tenant_id', 'acme', false), pg_advisory_lock(7)")
            cursor.execute("LISTEN news; SET statement_timeout = 17; DECLARE c CURSOR WITH HOLD FOR SELECT 1")
        found = [state for own, other, state in [again() for _ in range(3)] if (own, other) == (pid, name)]
        assert found
        assert set(found) == {("", "0", 0, 0, 0)}


def test_a_child_that_is_forked_has_no_session_of_its_parent(
    db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pid() -> int:
        connection.ensure_connection()
        return int(connection.connection.info.backend_pid)

    # Put back as it was when the test ends.
    monkeypatch.setattr(DatabaseWrapper, "get_new_connection", DatabaseWrapper.get_new_connection)
    sessions, said = Sessions(), tmp_path / "pid"
    sessions.install()
    connection.close()
    kept = pid()
    sessions.keep(db, sessions.left_by_test(db))
    assert not killed(fork(lambda: said.write_text(str(pid()))))
    assert int(said.read_text()) != kept
    assert pid() == kept
