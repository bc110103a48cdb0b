"""Nothing gets past the log: what the migrations declare is what the database has, and whatever is amiss is named."""

import json
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection
from psycopg import sql

from audit.capture import coverage, declared
from audit.capture.coverage import EXEMPT
from kaireon.ops import health
from tests.cast import ACME
from tests.ops.test_health import Probe

TRIGGERS = """
SELECT c.relname, t.tgname, pg_get_triggerdef(t.oid), p.proname, c.relispartition FROM pg_trigger t
  JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
 WHERE NOT t.tgisinternal AND c.relnamespace = 'public'::regnamespace
"""


@pytest.fixture
def root(superuser_url: str) -> Iterator[psycopg.Connection]:
    """The superuser, in a transaction that is never committed."""
    with psycopg.connect(superuser_url) as connected:
        yield connected
        connected.rollback()


def found(root: psycopg.Connection) -> list[str]:
    with root.cursor() as cursor:
        return [str(fault) for fault in coverage.find(cursor)]


def test_a_migrated_database_is_as_declared(db: str) -> None:
    assert coverage.inspect(strict=True) == []


def test_every_trigger_of_the_database_is_declared_in_a_migration(root: psycopg.Connection) -> None:
    """But for those of holds, which a function of the database writes; see compliance/holding/guards.sql."""
    there = {
        (table, name) for table, name, _, function, _ in root.execute(TRIGGERS) if not function.startswith("hold_")
    }
    must = {(table, name) for table, triggers in declared.expected().triggers.items() for name in triggers}
    assert {pair for pair in there if pair[0] in declared.expected().triggers} == {
        (table, name) for table, name in must if not _function(table, name).startswith("public.hold_")
    }
    assert len(must) > 60


def _function(table: str, name: str) -> str:
    return declared.expected().triggers[table][name].function


def test_every_captured_model_is_among_the_declared_tables() -> None:
    captured = {
        table
        for table, triggers in declared.expected().triggers.items()
        if any(trigger.function.startswith("public.audit_capture") for trigger in triggers.values())
    }
    models = {model._meta.label: model._meta.db_table for model in apps.get_models() if model._meta.managed}
    assert {label for label, table in models.items() if table not in captured} == set(EXEMPT)


def test_the_exemptions_are_few_and_each_says_why() -> None:
    assert len(EXEMPT) <= 36
    assert all(len(reason.split()) > 2 for reason in EXEMPT.values())


def test_each_trigger_that_is_switched_off_or_dropped_is_named(root: psycopg.Connection) -> None:
    must = declared.expected().triggers
    there = [
        (t, n) for t, n, _, _, is_part in root.execute(TRIGGERS).fetchall() if not is_part and n in must.get(t, {})
    ]
    assert len(there) > 60
    for change, fault in (
        ("ALTER TABLE {table} DISABLE TRIGGER {name}", "is disabled"),
        ("ALTER TABLE {table} ENABLE REPLICA TRIGGER {name}", "fires in replica sessions only"),
        ("DROP TRIGGER {name} ON {table}", "is missing"),
    ):
        for table, name in there:
            statement = sql.SQL(change).format(table=sql.Identifier(table), name=sql.Identifier(name))
            root.execute(statement)
        assert {f"{table}: trigger {name} {fault}" for table, name in there} <= set(found(root))


def test_each_function_that_is_altered_is_named(root: psycopg.Connection) -> None:
    functions = declared.expected().functions
    rows = root.execute(
        "SELECT p.proname, p.pronargs, p.oid::regprocedure::text, pg_get_functiondef(p.oid) FROM pg_proc p"
        " WHERE p.pronamespace = 'public'::regnamespace"
    ).fetchall()
    there = [row for row in rows if (row[0], row[1]) in functions]
    assert len(there) == len(functions) > 40
    for name, arguments, signature, definition in there:
        root.execute(definition.replace("AS $function$", "AS $function$ ", 1).encode())
        other = "SECURITY INVOKER" if functions[name, arguments].definer else "SECURITY DEFINER"
        for change in ("OWNER TO postgres", other, "SET search_path = public"):
            root.execute(f"ALTER FUNCTION {signature} {change}".encode())
    named = set(found(root))
    for what in ("source", "owner", "definer", "search_path"):
        assert {f"{name}: the function has another {what}" for name, *_ in there} <= named


# What else takes a change past the log, and how it is called.
ALTERED: dict[str, tuple[str, str]] = {
    "a trigger that fires less often": (
        "DROP TRIGGER audit_capture ON tenancy_apikey; CREATE TRIGGER audit_capture AFTER INSERT ON tenancy_apikey"
        " FOR EACH ROW EXECUTE FUNCTION audit_capture_tenancy_apikey()",
        "tenancy_apikey: trigger audit_capture is not the declared one",
    ),
    "a trigger with a condition": (
        "DROP TRIGGER audit_capture ON tenancy_apikey; CREATE TRIGGER audit_capture AFTER UPDATE ON tenancy_apikey"
        " FOR EACH ROW WHEN (false) EXECUTE FUNCTION audit_capture_tenancy_apikey()",
        "tenancy_apikey: trigger audit_capture is not the declared one",
    ),
    "a trigger with another argument": (
        "DROP TRIGGER audit_capture_insert ON customers_interaction; CREATE TRIGGER audit_capture_insert AFTER INSERT"
        " ON customers_interaction REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT"
        " EXECUTE FUNCTION audit_capture_bulk('Nothing', 'occurred_at')",
        "customers_interaction: trigger audit_capture_insert is not the declared one",
    ),
    "a function of the same name elsewhere": (
        "CREATE SCHEMA elsewhere; CREATE FUNCTION elsewhere.audit_capture_tenancy_apikey() RETURNS trigger"
        " LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; SET LOCAL search_path = elsewhere, public;"
        " DROP TRIGGER audit_capture ON tenancy_apikey; CREATE TRIGGER audit_capture AFTER INSERT OR UPDATE OR DELETE"
        " ON tenancy_apikey FOR EACH ROW EXECUTE FUNCTION elsewhere.audit_capture_tenancy_apikey()",
        "tenancy_apikey: trigger audit_capture is not the declared one",
    ),
    "a trigger that swallows what is recorded": (
        "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        " CREATE TRIGGER swallow BEFORE INSERT ON audit_inbox FOR EACH ROW EXECUTE FUNCTION swallow()",
        "audit_inbox: trigger swallow is not declared",
    ),
    "a rule that swallows what is recorded": (
        "CREATE RULE swallow AS ON INSERT TO audit_inbox DO INSTEAD NOTHING",
        "audit_inbox: rule swallow is not declared",
    ),
    "row-level security that is lifted for the owner": (
        "ALTER TABLE tenancy_apikey NO FORCE ROW LEVEL SECURITY",
        "tenancy_apikey: row-level security is not enabled and forced",
    ),
    "row-level security that is off": (
        "ALTER TABLE audit_record DISABLE ROW LEVEL SECURITY",
        "audit_record: row-level security is not enabled and forced",
    ),
    "a partition without its trigger": (
        "SELECT partition_ensure('customers_interaction', '2031-07-01');"
        " DROP TRIGGER audit_capture_delete ON customers_interaction_2031_07",
        "customers_interaction_2031_07: trigger audit_capture_delete is missing",
    ),
    "a partition made by hand": (
        "CREATE TABLE by_hand PARTITION OF customers_interaction FOR VALUES FROM ('2031-08-01') TO ('2031-09-01')",
        "by_hand: trigger audit_capture_insert is missing",
    ),
    "a table that is gone": (
        "DROP TABLE approvals_approvalvote",
        "approvals_approvalvote: the table is missing",
    ),
    "a function that is gone": (
        "DROP FUNCTION audit_event(boolean, text, text, text, text, jsonb)",
        "audit_event: the function is missing",
    ),
    "a session that fires no triggers": (
        "SET LOCAL session_replication_role = replica",
        "session_replication_role: ordinary triggers are switched off for this session",
    ),
    "a role whose sessions fire no triggers": (
        "ALTER ROLE kaireon_capture SET session_replication_role = replica",
        "session_replication_role: ordinary triggers are switched off for kaireon_capture",
    ),
    "a database whose sessions fire no triggers": (
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET session_replication_role = local', current_database());"
        " END $$",
        "session_replication_role: ordinary triggers are switched off for every role",
    ),
}


@pytest.mark.parametrize("way", ALTERED)
def test_what_else_takes_a_change_past_the_log_is_named(way: str, root: psycopg.Connection) -> None:
    statements, fault = ALTERED[way]
    root.execute("SELECT set_config('app.tenant_id', %s, true)", [ACME])
    root.execute(statements.encode())
    assert fault in found(root)


def test_a_table_of_somebody_else_is_none_of_ours(root: psycopg.Connection) -> None:
    root.execute(
        "CREATE TABLE report (id int); CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'"
    )
    root.execute("CREATE TRIGGER noted AFTER INSERT ON report FOR EACH ROW EXECUTE FUNCTION noted()")
    assert found(root) == []


def test_while_a_newer_version_migrates_only_what_is_off_is_looked_for(root: psycopg.Connection) -> None:
    root.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('audit', '9999_newer', now())")
    root.execute("ALTER FUNCTION audit_refuse() SET search_path = public")
    assert found(root) == []
    with root.cursor() as cursor:
        [fault] = coverage.find(cursor, strict=True)
    assert str(fault) == "audit.9999_newer: this code does not know the migration"
    root.execute("ALTER TABLE audit_record DISABLE TRIGGER append_only")
    assert found(root) == ["audit_record: trigger append_only is disabled"]


def test_it_leaves_the_session_as_it_was(db: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('search_path')")
        before = cursor.fetchone()
        coverage.inspect()
        cursor.execute("SELECT current_setting('search_path')")
        assert cursor.fetchone() == before


@pytest.fixture
def switch(superuser_url: str) -> Iterator[Callable[[str], None]]:
    """Switches the capture of API keys off and on, for everybody to see."""
    with psycopg.connect(superuser_url, autocommit=True) as connected:

        def put(state: str) -> None:
            connected.execute(f"ALTER TABLE tenancy_apikey {state} TRIGGER audit_capture".encode())

        yield put


def probe() -> Any:
    return Probe().get("/readyz")


def test_readiness_turns_red_says_why_and_green_again(
    switch: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health.audit_coverage, "seconds", 0.0)
    monkeypatch.setattr(health.audit_coverage, "_good_until", 0.0)
    assert probe().json()["checks"]["audit_coverage"] == "ok"
    switch("DISABLE")
    answer = probe()
    assert answer.status_code == 503
    assert answer.json()["checks"]["audit_coverage"] == "failed"
    assert answer.json()["reasons"] == {"audit_coverage": ["tenancy_apikey: trigger audit_capture is disabled"]}
    switch("ENABLE")
    answer = probe()
    assert answer.status_code == 200
    assert "reasons" not in answer.json()


def test_a_yes_is_remembered_and_a_no_is_not(switch: Callable[[str], None]) -> None:
    check = health.AuditCoverage()
    switch("DISABLE")
    assert check() is False
    switch("ENABLE")
    assert check() is True
    switch("DISABLE")
    # Within its seconds.
    assert check() is True
    check.seconds, check._good_until = 0.0, 0.0
    assert check() is False


def test_the_self_test_names_what_is_amiss_and_fails(switch: Callable[[str], None]) -> None:
    out = StringIO()
    call_command("audit_selftest", stdout=out)
    assert "triggers on" in out.getvalue()
    switch("DISABLE")
    for arguments in ([], ["--json"]):
        out = StringIO()
        with pytest.raises(CommandError, match="1 fault"):
            call_command("audit_selftest", *arguments, stdout=out)
        assert "trigger audit_capture is disabled" in out.getvalue()
    answer = json.loads(out.getvalue())
    assert answer == {
        "intact": False,
        "faults": [{"part": "tenancy_apikey", "what": "trigger audit_capture is disabled"}],
    }
