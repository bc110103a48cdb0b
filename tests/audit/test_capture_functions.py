"""The capture function that each table has: what it shows of odd rows, what gets past it, and what it refuses."""

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.db import connection as django_connection
from psycopg import sql

import audit
from audit.capture.triggers import captured
from audit.models import AuditRecord
from kaireon.tenancy.context import transaction
from kaireon.tenancy.models import ApiKey
from tests.audit.log import records, verdict
from tests.cast import ACME, ADA
from tests.servers import SUITE

pytestmark = pytest.mark.usefixtures("db")

HIDDEN = {"personal": True}


def session(db: str, alias: str) -> psycopg.Connection:
    connection = psycopg.connect(SUITE.urls(db)[alias], autocommit=True)
    for name, value in (("tenant_id", ACME), ("actor_type", "user"), ("actor_id", "7"), ("request_id", "req-x")):
        connection.execute("SELECT set_config(%s, %s, false)", [f"app.{name}", value])
    return connection


@pytest.fixture
def owner(db: str) -> Any:
    with session(db, "owner") as connection:
        yield connection


@pytest.fixture
def app(db: str) -> Any:
    with session(db, "default") as connection:
        yield connection


Scratch = Callable[..., None]


def install(owner: psycopg.Connection, operation: Any, *, back: bool = False) -> None:
    with owner.transaction():
        owner.execute(operation.reverse_sql if back else operation.sql)


@pytest.fixture
def scratch(owner: psycopg.Connection) -> Scratch:
    """Makes a table of the owner's, under capture, for the application to write to."""

    def make(columns: str, suffix: str = "", **options: Any) -> None:
        owner.execute(f"CREATE TABLE scratch (id text, tenant_id text NOT NULL, {columns}) {suffix}")
        owner.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON scratch TO kaireon_app")
        install(owner, captured("scratch", "Scratch", **options))

    return make


def shown(**wanted: Any) -> list[AuditRecord]:
    found = records(ACME, entity_type="Scratch", **wanted)
    assert verdict(ACME).intact
    return found


def test_a_personal_column_without_a_subject_tells_only_whether_there_is_a_value(scratch, app):
    scratch("note jsonb", personal=["note"])
    app.execute("INSERT INTO scratch VALUES ('sql', 'acme', NULL), ('json', 'acme', 'null'), ('empty', 'acme', '{}')")
    app.execute('UPDATE scratch SET note = \'{"name": "Ann"}\'')

    created = {r.entity_id: r.after["note"] for r in shown(action="create")}
    assert created == {"sql": None, "json": None, "empty": HIDDEN}
    changed = {r.entity_id: r.changes for r in shown(action="update")}
    assert changed == {
        "sql": {"note": [None, HIDDEN]},
        "json": {"note": [None, HIDDEN]},
        "empty": {"note": [HIDDEN, HIDDEN]},
    }


def test_a_composite_or_array_value_shows_nothing_of_its_parts(scratch, app, owner):
    owner.execute("CREATE TYPE person AS (name text, age int)")
    scratch("who person, names text[], key person", personal=["who", "names"], secret=["key"])
    app.execute("INSERT INTO scratch VALUES ('1', 'acme', ROW('Ann', NULL), ARRAY['Ann', NULL], ROW('Ann', 3))")
    app.execute("UPDATE scratch SET who = ROW('Ann', 4), names = '{Ann,Bo}', key = ROW('Bo', 3)")

    found = shown()
    assert [r.action for r in found] == ["create", "update"]
    assert "Ann" not in str([(r.changes, r.before, r.after) for r in found])
    assert set(found[1].changes) == {"who", "names"}


def test_a_long_id_is_cut_and_its_verb_still_found(scratch, app):
    scratch("n int")
    long = "ключ'\"{}" * 100
    with app.transaction():
        app.execute(
            "SELECT set_config('app.audit_actions', %s, true)", [json.dumps({f"Scratch:{long}": "scratch.try"})]
        )
        app.execute("INSERT INTO scratch VALUES (%s, 'acme', 1)", [long])
    [record] = shown()
    assert (record.action, record.entity_id) == ("scratch.try", long[:400])


@pytest.mark.parametrize("verb", ["it's", 'a "quoted" verb', "{}", "null", "\\", "x" * 5000, "глагол"])
def test_a_verb_is_taken_as_it_is(verb):
    with ADA.here("req-verb"), transaction():
        key = ApiKey.objects.get(prefix="vi")
        audit.action(verb, entity=key)
        ApiKey.objects.filter(pk=key.pk).update(name="renamed")
    assert [r.action for r in records(ACME, request_id="req-verb")] == [verb[:400]]


@pytest.mark.parametrize("verbs", ["{", '["ApiKey:%s"]', '{"ApiKey:%s": null}'])
def test_verbs_that_name_nothing_do_not_hide_a_change(verbs):
    """What is no table of verbs, or names none, fails the change or leaves it its plain name."""
    with ADA.here("req-verbs"):
        with transaction():
            key = ApiKey.objects.get(prefix="vi")
        with pytest.raises(Exception, match=r"json|null"), transaction(), django_connection.cursor() as cursor:
            cursor.execute("SELECT set_config('app.audit_actions', %s, true)", [verbs.replace("%s", str(key.pk))])
            ApiKey.objects.filter(pk=key.pk).update(name="renamed")
        with transaction():
            assert ApiKey.objects.get(pk=key.pk).name == "vi"


@pytest.mark.parametrize(
    "setting",
    [
        "search_path = pg_temp, scratches, public",
        "bytea_output = 'escape'",
        "\"TimeZone\" = 'Asia/Kolkata'",
        "\"DateStyle\" = 'SQL, DMY'",
        "\"IntervalStyle\" = 'iso_8601'",
        "extra_float_digits = -15",
        "default_transaction_isolation = 'serializable'",
    ],
)
def test_no_setting_of_the_session_makes_a_change_invisible(scratch, app, superuser, setting):
    scratch("n numeric, at timestamptz, d date, b bytea, i interval", exact=["n"])
    superuser.execute("CREATE SCHEMA scratches")
    superuser.execute("GRANT USAGE, CREATE ON SCHEMA scratches TO kaireon_app")
    app.execute("CREATE FUNCTION scratches.to_jsonb(anyelement) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$")
    app.execute("INSERT INTO scratch VALUES ('1', 'acme', 1.001, '2026-01-01T00:00Z', '2026-01-02', '\\x00', '1 day')")
    app.execute(f"SET {setting}")
    changes = ("n = 1.0011", "at = at + '1 us'", "d = '2026-02-01'", "b = '\\x01'", "i = '25 h'")
    for change in changes:
        app.execute(f"UPDATE public.scratch SET {change}")
    assert [list(r.changes) for r in shown(action="update")] == [["n"], ["at"], ["d"], ["b"], ["i"]]


def test_no_captured_table_has_a_type_that_shows_less_than_it_holds(superuser):
    """Settings of a session round floats in a record, and hide a change that is smaller; json cannot be compared."""
    found = superuser.execute(
        "SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " WHERE a.atttypid IN ('real'::regtype, 'double precision'::regtype, 'json'::regtype) AND EXISTS ("
        "  SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'audit_capture')"
    ).fetchall()
    assert found == []


@pytest.mark.parametrize("column", ["secret", "personal"])
def test_a_column_that_was_renamed_stops_its_table_rather_than_show_itself(scratch, app, owner, column):
    scratch("key text, n int", **{column: ["key"]})
    app.execute("INSERT INTO scratch VALUES ('1', 'acme', 's3cret', 1)")
    owner.execute("ALTER TABLE scratch RENAME COLUMN key TO renamed")
    for statement in (
        "UPDATE scratch SET n = 2",
        "INSERT INTO scratch VALUES ('2', 'acme', 's3cret', 1)",
        "DELETE FROM scratch",
    ):
        with pytest.raises(psycopg.errors.UndefinedColumn):
            app.execute(statement)
    assert "s3cret" not in str([(r.changes, r.before, r.after) for r in shown()])


@pytest.mark.parametrize("option", ["personal", "secret", "ignore", "exact"])
def test_a_column_that_is_not_there_is_refused_by_the_migration(scratch, option):
    with pytest.raises(psycopg.errors.UndefinedColumn, match="kye"):
        scratch("key text", **{option: ["kye"]})


def test_a_renamed_subject_leaves_values_that_nobody_can_open(scratch, app, owner):
    scratch("note text, whose text", personal=["note"], subject="whose")
    app.execute("INSERT INTO scratch VALUES ('1', 'acme', 's3cret', 'jane')")
    owner.execute("ALTER TABLE scratch RENAME COLUMN whose TO someone")
    app.execute("INSERT INTO scratch VALUES ('2', 'acme', 's3cret', 'jane')")
    first, second = shown()
    assert set(first.after["note"]) == {"sealed"}
    assert second.after["note"] == HIDDEN


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"personal": ["note"], "subject": "note"}, "says whose the values are"),
        ({"personal": ["note"], "subject": "key", "secret": ["key"]}, "says whose the values are"),
        ({"personal": ["note"], "secret": ["note"]}, "cannot be sealed"),
        ({"personal": ["note"], "ignore": ["note"]}, "cannot be sealed"),
    ],
)
def test_a_capture_that_could_not_seal_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        captured("scratch", "Scratch", **options)


@pytest.mark.parametrize("option", ["personal", "secret"])
def test_a_name_may_not_be_personal_or_secret(option):
    with pytest.raises(ValueError, match="name"):
        captured("scratch", "Scratch", name="label", **{option: ["label"]})


def test_every_column_that_captures_leave_out_is_there(superuser):
    """Left out by name: under another name it would stand in the log."""
    sources = superuser.execute(
        "SELECT c.relname, p.prosrc FROM pg_proc p JOIN pg_trigger t ON t.tgfoid = p.oid"
        " JOIN pg_class c ON c.oid = t.tgrelid WHERE t.tgname = 'audit_capture'"
    ).fetchall()
    assert len(sources) > 20
    for table, source in sources:
        columns = {
            name
            for (name,) in superuser.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = ('public.' || %s)::regclass AND NOT attisdropped",
                [table],
            ).fetchall()
        }
        for piece in source.split("- '{")[1:]:
            assert set(piece.partition("}'")[0].split(",")) <= columns, table


def test_a_table_with_months_is_captured_row_by_row_in_every_partition(scratch, app, owner):
    scratch("at date NOT NULL", suffix="PARTITION BY RANGE (at)")
    for month in ("01", "02"):
        owner.execute(
            sql.SQL("CREATE TABLE {} PARTITION OF scratch FOR VALUES FROM ({}) TO ({})").format(
                sql.Identifier(f"scratch_{month}"), f"2026-{month}-01", f"2026-{int(month) + 1:02}-01"
            )
        )
        owner.execute(sql.SQL("GRANT ALL ON {} TO kaireon_app").format(sql.Identifier(f"scratch_{month}")))
    app.execute("INSERT INTO scratch VALUES ('1', 'acme', '2026-01-05')")
    app.execute("INSERT INTO scratch_02 VALUES ('2', 'acme', '2026-02-05')")
    app.execute("UPDATE scratch SET at = '2026-02-06' WHERE id = '1'")
    app.execute("DELETE FROM scratch_02 WHERE id = '2'")
    found = [(r.action, r.entity_id) for r in shown()]
    assert found[:2] == [("create", "1"), ("create", "2")]
    assert found[-1] == ("delete", "2")
    # A row that changes its month is deleted here and created there.
    assert ("create", "1") in found[2:] or ("update", "1") in found[2:]


def test_only_capture_owns_the_functions_and_nobody_may_call_them(superuser):
    found = superuser.execute(
        "SELECT p.proname, p.proowner::regrole::text, p.prosecdef, p.proconfig,"
        " (SELECT array_agg(a.grantee::regrole::text || ' ' || a.privilege_type) FROM aclexplode(p.proacl) a"
        "   WHERE a.grantee <> p.proowner) FROM pg_proc p"
        " WHERE starts_with(p.proname, 'audit_capture_') AND p.proname <> 'audit_capture_bulk'"
    ).fetchall()
    assert len(found) > 20
    for name, owned_by, is_definer, config, others in found:
        assert (owned_by, is_definer) == ("kaireon_capture", True), name
        assert config == ["search_path=pg_catalog, pg_temp"], name
        # The owner makes partitions, which copy the trigger.
        assert others == ["kaireon_owner EXECUTE"], name


def test_the_application_can_neither_replace_nor_borrow_a_capture(app):
    for statement in (
        "CREATE OR REPLACE FUNCTION public.audit_capture_tenancy_apikey() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN RETURN NULL; END'",
        "ALTER FUNCTION public.audit_capture_tenancy_apikey() SET search_path = public",
        "ALTER FUNCTION public.audit_capture_tenancy_apikey() OWNER TO kaireon_app",
        "DROP FUNCTION public.audit_capture_tenancy_apikey() CASCADE",
        "CREATE TRIGGER forged AFTER UPDATE ON tenancy_membership FOR EACH ROW"
        " EXECUTE FUNCTION public.audit_capture_tenancy_apikey()",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute(statement)


def test_a_capture_is_taken_away_and_put_back(scratch, app, owner):
    operation = captured("scratch", "Scratch", secret=["key"], name="label")
    scratch("key text, label text", secret=["key"], name="label")
    for _ in range(2):
        install(owner, operation, back=True)
        app.execute("INSERT INTO scratch VALUES ('unseen', 'acme', 'k', 'x')")
        install(owner, operation)
    app.execute("UPDATE scratch SET label = 'seen' WHERE ctid = (SELECT min(ctid) FROM scratch)")
    assert [(r.action, r.entity_name) for r in shown()] == [("update", "seen")]
    assert [name for (name,) in owner.execute("SELECT proname FROM pg_proc WHERE proname ~ '_scratch$'")] == [
        "audit_capture_scratch"
    ]
