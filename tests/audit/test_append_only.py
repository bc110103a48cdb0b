"""What is in the log stays as it is, for the application and for the owner, and nothing gets past the capture."""

from collections.abc import Iterator
from itertools import product

import psycopg
import pytest
from psycopg import sql

from audit import sequencer
from tests.audit.log import records, verdict, write
from tests.cast import ACME
from tests.servers import SUITE

pytestmark = pytest.mark.usefixtures("db")

TABLES = ("audit_record", "audit_inbox", "audit_head")
STATEMENTS = {
    "UPDATE": "UPDATE {} SET tenant_id = 'globex'",
    "DELETE": "DELETE FROM {}",
    "TRUNCATE": "TRUNCATE {}",
    "INSERT": "INSERT INTO {} (tenant_id, seq, integrity_hash) VALUES ('acme', 99, 'forged')",
}
# The inbox has no seq; its INSERT is tried below.
REFUSED = [(t, s) for t, s in product(TABLES, STATEMENTS) if (t, s) != ("audit_inbox", "INSERT")]


def as_role(alias: str, db: str) -> Iterator[psycopg.Connection]:
    """A session of the role with Acme's settings, in every transaction."""
    with psycopg.connect(SUITE.urls(db)[alias], autocommit=True) as connection:
        for name, value in (("tenant_id", ACME), ("actor_type", "user"), ("actor_id", "7"), ("request_id", "req-x")):
            connection.execute("SELECT set_config(%s, %s, false)", [f"app.{name}", value])
        yield connection


@pytest.fixture
def app(db: str) -> Iterator[psycopg.Connection]:
    yield from as_role("default", db)


@pytest.fixture
def owner(db: str) -> Iterator[psycopg.Connection]:
    yield from as_role("owner", db)


@pytest.fixture(autouse=True)
def _something_to_lose(db: str) -> None:
    write(3, tenant=ACME)
    sequencer.sweep()
    write(2, tenant=ACME)


def attempt(role: psycopg.Connection, table: str, statement: str) -> str:
    """The server's refusal."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
        role.execute(sql.SQL(STATEMENTS[statement]).format(sql.Identifier(table)))
    return str(refused.value)


@pytest.mark.parametrize(("table", "statement"), REFUSED)
def test_it_refuses_the_application(app: psycopg.Connection, table: str, statement: str) -> None:
    assert "permission denied" in attempt(app, table, statement)
    assert verdict(ACME).intact


@pytest.mark.parametrize(("table", "statement"), REFUSED)
def test_it_refuses_the_owner(owner: psycopg.Connection, table: str, statement: str) -> None:
    assert "append-only" in attempt(owner, table, statement)
    assert verdict(ACME).intact


@pytest.mark.parametrize("role", ["app", "owner"])
def test_only_the_capture_writes_to_the_inbox(role: str, request: pytest.FixtureRequest) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        request.getfixturevalue(role).execute(
            "INSERT INTO audit_inbox (tenant_id, operation, action, entity_type, entity_id, user_name, actor_type,"
            " \"timestamp\") VALUES ('acme', 'E', 'forged', 'Thing', '1', 'x', 'user', now())"
        )


@pytest.mark.parametrize("statement", ["UPDATE", "DELETE", "TRUNCATE"])
def test_the_sequencer_may_not_change_the_log_either(db: str, statement: str) -> None:
    for role in as_role("sequencer", db):
        attempt(role, "audit_record", statement)


# What has switched triggers off elsewhere.
SWITCHES = (
    "SET session_replication_role = replica",
    "SET session_replication_role = local",
    "SET pgtrigger.ignore = '{audit_record:append_only,tenancy_apikey:audit_capture}'",
    "SET audit.disabled = 'on'",
    "SET row_security = off",
    "SET search_path = pg_temp, public",
    "ALTER TABLE audit_record DISABLE TRIGGER ALL",
    "ALTER TABLE tenancy_apikey DISABLE TRIGGER audit_capture",
    "DROP TRIGGER audit_capture ON tenancy_apikey",
    "CREATE OR REPLACE FUNCTION public.audit_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "SET ROLE kaireon_capture",
    "SET ROLE kaireon_sequencer",
    "SET ROLE kaireon_pruner",
)


@pytest.mark.parametrize("switch", SWITCHES)
def test_no_switch_of_the_application_opens_the_log(app: psycopg.Connection, switch: str) -> None:
    try:
        app.execute(switch)
    except psycopg.errors.InsufficientPrivilege:
        refused = True
    else:
        refused = False
    for statement in ("UPDATE", "DELETE", "TRUNCATE"):
        attempt(app, "audit_record", statement)
    if refused or "row_security" not in switch:
        app.execute("UPDATE public.tenancy_apikey SET name = 'switched' WHERE prefix = 'vi'")
        assert len(records(ACME, request_id="req-x")) == 1


@pytest.mark.parametrize(
    "table", ["tenancy_apikey", "tenancy_membership", "customers_importrun", "customers_objectremoval"]
)
def test_the_owner_empties_no_recorded_table_unseen(owner: psycopg.Connection, table: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="TRUNCATE is refused"):
        owner.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier(table)))


@pytest.mark.parametrize("role", ["app", "owner"])
def test_nobody_makes_temporary_tables(role: str, request: pytest.FixtureRequest) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        request.getfixturevalue(role).execute("CREATE TEMPORARY TABLE audit_inbox (tenant_id text)")


def test_a_temporary_table_in_the_name_of_the_inbox_swallows_nothing(
    app: psycopg.Connection, superuser: psycopg.Connection
) -> None:
    database = sql.Identifier(superuser.info.dbname)
    superuser.execute(sql.SQL("GRANT TEMPORARY ON DATABASE {} TO kaireon_app").format(database))
    app.execute(
        "CREATE TEMPORARY TABLE audit_inbox AS SELECT i.* FROM (VALUES (1)) v LEFT JOIN LATERAL"
        " jsonb_to_record('{}') AS i(tenant_id text, action text) ON true"
    )
    app.execute("SET search_path = pg_temp, public")
    app.execute("UPDATE public.tenancy_apikey SET name = 'swallowed' WHERE prefix = 'vi'")
    app.execute("SELECT public.audit_event(false, 'test.swallowed', 'Thing', '1', NULL, NULL)")

    assert [r.action for r in records(ACME, request_id="req-x")] == ["update", "test.swallowed"]
