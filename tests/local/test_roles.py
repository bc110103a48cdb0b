"""What deploy/postgres/roles.sql and grants.sql make of an empty server."""

import psycopg
import pytest
from psycopg import sql

from kaireon.local import databases
from kaireon.local.databases import DatabaseNotReady

ATTRIBUTES = """
SELECT rolname, rolcanlogin, rolinherit, rolbypassrls,
       rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication AS powerful
  FROM pg_roles WHERE rolname LIKE 'kaireon\\_%' ORDER BY rolname
"""


def test_the_roles_have_exactly_these_attributes(superuser_url: str) -> None:
    with psycopg.connect(superuser_url) as connection:
        assert connection.execute(ATTRIBUTES).fetchall() == [
            ("kaireon_app", True, False, False, False),
            ("kaireon_backup", True, True, True, False),
            ("kaireon_capture", False, False, False, False),
            ("kaireon_owner", True, False, False, False),
            ("kaireon_pruner", False, False, False, False),
            ("kaireon_resolver", False, False, False, False),
            ("kaireon_sequencer", True, False, False, False),
        ]


@pytest.mark.parametrize("role", ["kaireon_resolver", "kaireon_capture", "kaireon_pruner"])
def test_the_owner_hands_functions_over_without_seeing_what_their_owner_sees(superuser_url: str, role: str) -> None:
    name = sql.Identifier(role)
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute("SET ROLE kaireon_owner")
        connection.execute("CREATE TABLE walled AS SELECT 1 AS n")
        connection.execute("ALTER TABLE walled ENABLE ROW LEVEL SECURITY")
        connection.execute("ALTER TABLE walled FORCE ROW LEVEL SECURITY")
        connection.execute(sql.SQL("CREATE POLICY open ON walled TO {} USING (true)").format(name))
        connection.execute("CREATE FUNCTION look() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM public.walled'")
        connection.execute(sql.SQL("ALTER FUNCTION look() OWNER TO {}").format(name))
        connection.execute(sql.SQL("GRANT SELECT ON walled TO {}").format(name))
        assert connection.execute("SELECT count(*) FROM walled").fetchone() == (0,)
        connection.execute(sql.SQL("SET ROLE {}").format(name))
        assert connection.execute("SELECT count(*) FROM walled").fetchone() == (1,)


@pytest.mark.parametrize("role", ["kaireon_app", "kaireon_sequencer", "kaireon_backup"])
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (n int)",
        "CREATE TEMPORARY TABLE mine (n int)",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE ROLE mine",
    ],
)
def test_only_the_owner_creates(superuser_url: str, role: str, statement: str) -> None:
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)):
            connection.execute(statement)


def test_the_owner_makes_no_temporary_tables_either(superuser_url: str) -> None:
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute("SET ROLE kaireon_owner")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE TEMPORARY TABLE audit_inbox (n int)")


def test_a_hanging_request_loses_its_transaction(superuser_url: str) -> None:
    with psycopg.connect(superuser_url) as connection:
        row = connection.execute("SELECT rolconfig FROM pg_roles WHERE rolname = 'kaireon_app'").fetchone()
    assert row == (["idle_in_transaction_session_timeout=30s"],)


def test_an_ordinary_address_wants_its_companions(db: str, superuser_url: str) -> None:
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS kaireon_test_nobody")
        connection.execute("CREATE ROLE kaireon_test_nobody LOGIN PASSWORD 'x'")
        try:
            url = databases.with_login(superuser_url, "kaireon_test_nobody", "x")
            with pytest.raises(DatabaseNotReady, match="OWNER_DATABASE_URL and SEQUENCER_DATABASE_URL must be set"):
                databases.given(url, owner_url=None, sequencer_url=None, password=str)
        finally:
            connection.execute("DROP ROLE kaireon_test_nobody")


def test_an_address_that_does_not_connect_names_its_variable() -> None:
    with pytest.raises(DatabaseNotReady, match="DATABASE_URL does not connect"):
        databases.given("postgresql://x@127.0.0.1:1/x", owner_url=None, sequencer_url=None, password=str)


def test_addresses_keep_everything_but_what_is_asked_for() -> None:
    url = "postgresql://root:a%40b@db.example:6432/old?sslmode=require"
    assert databases.with_login(url, "kaireon_app", "p@ss/word") == (
        "postgresql://kaireon_app:p%40ss%2Fword@db.example:6432/old?sslmode=require"
    )
    assert databases.with_database(url, "new") == "postgresql://root:a%40b@db.example:6432/new?sslmode=require"
