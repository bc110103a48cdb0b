"""No change without an actor: each captured table refuses it, by every way in which rows come, change and go.

The tables' other rules are out of the way (the superuser disables all triggers but those of the audit log), so that
what refuses is the capture and nothing else. Rows are made from the catalogue, table by table, for a list kept by hand
would lack the next one.
"""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.db import ProgrammingError, connection, models
from psycopg import sql
from psycopg.types.json import Jsonb

from audit.capture import declared
from kaireon.tenancy.context import transaction
from tests.cast import ACME, ADA

NEEDS = "needs an actor"


def captured() -> dict[str, bool]:
    """Each captured table, and whether row by row."""
    found = {}
    for table, triggers in declared.expected().triggers.items():
        functions = {trigger.function for trigger in triggers.values()}
        if any(function.startswith("public.audit_capture") for function in functions):
            found[table] = "public.audit_capture_bulk" not in functions
    return found


TABLES = captured()


# A value of each type; a column with a check of its own wants one of CHOICES.
VALUES: dict[str, str] = {
    "uuid": "gen_random_uuid()",
    "timestamp with time zone": "'2031-07-15T00:00Z'::timestamptz",
    "boolean": "false",
    "jsonb": "'{}'::jsonb",
    "bytea": "'\\x00'::bytea",
    "interval": "'1 day'::interval",
    "time without time zone": "'00:00'::time",
    "inet": "'127.0.0.1'::inet",
}
OTHERS = {
    "text": "'z'",
    "character varying": "'z'",
    "uuid": "gen_random_uuid()",
    "timestamp with time zone": "'2031-07-16T00:00Z'",
    "bigint": "9",
}
# What moves with every batch, and brings no record by itself.
NOT_RECORDED = {"customers_exportcheckpoint": ("last_id", "head")}
NUMBERS = ("integer", "bigint", "smallint", "numeric", "double precision")
COLUMNS = """
SELECT a.attname, format_type(a.atttypid, NULL), a.attnotnull, a.attidentity <> '', a.attgenerated <> ''
  FROM pg_attribute a WHERE a.attrelid = ('public.' || %s)::regclass AND a.attnum > 0 AND NOT a.attisdropped
"""


class Table:
    """A captured table as the superuser sees it, without other rules."""

    def __init__(self, root: psycopg.Connection[Any], name: str) -> None:
        self.root, self.name = root, sql.Identifier(name)
        rows = root.execute(COLUMNS, [name]).fetchall()
        self.columns = [
            (column, kind) for column, kind, needed, identity, made in rows if needed and not (identity or made)
        ]
        root.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER ALL").format(self.name))
        for trigger, declaration in declared.expected().triggers[name].items():
            if declaration.function.startswith("public.audit_capture"):
                root.execute(sql.SQL("ALTER TABLE {} ENABLE TRIGGER {}").format(self.name, sql.Identifier(trigger)))
        # Some tables have one row of a tenant.
        checks = root.execute(
            "SELECT conname FROM pg_constraint c WHERE conrelid = ('public.' || %s)::regclass AND (contype = 'c'"
            " OR contype = 'u' AND conkey = ARRAY(SELECT attnum FROM pg_attribute"
            "                                    WHERE attrelid = c.conrelid AND attname = 'tenant_id'))",
            [name],
        ).fetchall()
        for (check,) in checks:
            root.execute(sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(self.name, sql.Identifier(check)))

    def values(self, number: int) -> sql.Composed:
        return sql.SQL(", ").join(sql.SQL(_value(column, kind, number)) for column, kind in self.columns)

    @property
    def names(self) -> sql.Composed:
        return sql.SQL(", ").join(sql.Identifier(column) for column, _ in self.columns)

    def row(self, number: int) -> sql.Composed:
        """An INSERT of one row."""
        return sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(self.name, self.names, self.values(number))

    @property
    def change(self) -> sql.Composed:
        """Something that is different afterwards, and no key."""
        name = self.name.as_string(self.root).strip('"')
        rows = self.root.execute(COLUMNS, [name]).fetchall()
        kinds = {column: kind for column, kind, _, identity, made in rows if not identity and not made}
        candidates = [
            (column, value)
            for wanted, value in OTHERS.items()
            for column, kind in kinds.items()
            if kind == wanted and column not in ("id", "tenant_id", *NOT_RECORDED.get(name, ()))
        ]
        column, value = candidates[0]
        return sql.SQL("{} = {}").format(sql.Identifier(column), sql.SQL(value))


def _value(column: str, kind: str, number: int) -> str:
    if column == "tenant_id":
        return f"'{ACME}'"
    if kind in NUMBERS:
        return str(number)
    if kind == "date":
        # There are tables with one row of a day.
        return f"'2031-07-15'::date + {number}"
    return VALUES.get(kind, f"'{number}'" if kind.startswith(("text", "char")) else "'{}'")


WAYS: dict[str, Callable[[Table], sql.Composed]] = {
    "insert": lambda t: t.row(2),
    "insert of many": lambda t: sql.SQL("INSERT INTO {} ({}) VALUES ({}), ({})").format(
        t.name, t.names, t.values(3), t.values(4)
    ),
    "insert from a query": lambda t: sql.SQL("INSERT INTO {} ({}) SELECT {}").format(t.name, t.names, t.values(5)),
    "upsert": lambda t: sql.SQL("{} ON CONFLICT DO NOTHING").format(t.row(6)),
    "update": lambda t: sql.SQL("UPDATE {} SET {}").format(t.name, t.change),
    "delete": lambda t: sql.SQL("DELETE FROM {}").format(t.name),
    "delete of what a query finds": lambda t: sql.SQL(
        "WITH gone AS (DELETE FROM {} RETURNING 1) SELECT count(*) FROM gone"
    ).format(t.name),
}


@pytest.fixture
def root(superuser_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(superuser_url) as connected:
        connected.execute("SELECT set_config('app.tenant_id', %s, true)", [ACME])
        yield connected
        connected.rollback()


def as_actor(root: psycopg.Connection[Any], kind: str) -> None:
    root.execute("SELECT set_config('app.actor_type', %s, true)", [kind])


def with_partition(root: psycopg.Connection[Any], name: str) -> str:
    """The table to name: of a partitioned one, a partition."""
    kind = root.execute("SELECT relkind FROM pg_class WHERE oid = ('public.' || %s)::regclass", [name]).fetchone()
    if kind != ("p",):
        return name
    root.execute("SELECT public.partition_ensure(%s, '2031-07-01')", [name])
    return f"{name}_2031_07"


def test_there_are_tables_of_both_kinds() -> None:
    assert len([name for name, by_row in TABLES.items() if by_row]) > 25
    assert len([name for name, by_row in TABLES.items() if not by_row]) >= 1


@pytest.mark.parametrize("way", WAYS)
def test_every_captured_table_refuses_a_change_without_an_actor(way: str, root: psycopg.Connection[Any]) -> None:
    for name in TABLES:
        with_partition(root, name)
        with root.transaction(force_rollback=True):
            table = Table(root, name)
            as_actor(root, "system")
            root.execute(table.row(1))
            for nobody in ("", "nobody"):
                as_actor(root, nobody)
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match=NEEDS), root.transaction():
                    root.execute(WAYS[way](table))
                    pytest.fail(f"{name}: {way}")
            # It is the actor that was missing, nothing else.
            as_actor(root, "job")
            root.execute(WAYS[way](table))


def test_copy_is_refused_without_an_actor(root: psycopg.Connection[Any]) -> None:
    for name in TABLES:
        target = with_partition(root, name)
        with root.transaction(force_rollback=True):
            table = Table(root, name)
            row = root.execute(sql.SQL("SELECT {}").format(table.values(1))).fetchone()
            assert row
            as_actor(root, "")
            for into in {name, target}:
                copy = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(into), table.names)
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match=NEEDS), root.transaction():
                    with root.cursor() as cursor, cursor.copy(copy) as lines:
                        lines.write_row([Jsonb(v) if isinstance(v, dict) else v for v in row])
                    pytest.fail(into)


def test_a_statement_that_names_the_partition_is_refused_too(root: psycopg.Connection[Any]) -> None:
    parted = [(name, target) for name in TABLES if (target := with_partition(root, name)) != name]
    assert parted
    for name, target in parted:
        with root.transaction(force_rollback=True):
            table = Table(root, name)
            as_actor(root, "system")
            root.execute(table.row(1))
            as_actor(root, "")
            table.name = sql.Identifier(target)
            for way in ("insert", "delete"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match=NEEDS), root.transaction():
                    root.execute(WAYS[way](table))
                    pytest.fail(f"{target}: {way}")


# -- the ORM, as the application ---------------------------------------------------------------------------------------


def orm_models() -> list[type[models.Model]]:
    """Tenants' models under capture whose rows the cast has or the application may make alone."""
    return [m for m in apps.get_models() if m._meta.db_table in ("tenancy_apikey", "tenancy_membership")]


ORM: dict[str, Callable[[type[models.Model], models.Model], object]] = {
    "save": lambda model, row: row.save(),
    "create": lambda model, row: model._default_manager.create(**_another(row)),
    "bulk_create": lambda model, row: model._default_manager.bulk_create([model(**_another(row))]),
    "update": lambda model, row: model._default_manager.filter(pk=row.pk).update(role="auditor"),
    "bulk_update": lambda model, row: model._default_manager.bulk_update([row], ["role"]),
    "delete": lambda model, row: row.delete(),
    "delete of a query": lambda model, row: model._default_manager.filter(pk=row.pk).delete(),
}


def _another(row: models.Model) -> dict[str, Any]:
    """A row like it with keys of its own."""
    given = {f.attname: getattr(row, f.attname) for f in row._meta.concrete_fields if not f.primary_key}
    return {**given, **({"prefix": "other"} if "prefix" in given else {"user_id": 999_999})}


@pytest.mark.parametrize("way", ORM)
def test_the_orm_is_refused_without_an_actor(way: str, db: str, superuser_url: str) -> None:
    with psycopg.connect(superuser_url) as connected:
        for model in orm_models():
            Table(connected, model._meta.db_table)
            # What the application may not do at all would be refused for that.
            connected.execute(sql.SQL("GRANT ALL ON {} TO kaireon_app").format(sql.Identifier(model._meta.db_table)))
    for model in orm_models():
        with ADA.here(), pytest.raises(ProgrammingError, match=NEEDS), transaction():
            row = model._default_manager.order_by("pk")[1]
            row.role = "auditor"  # type: ignore[attr-defined]
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('app.actor_type', '', true)")
            ORM[way](model, row)
            pytest.fail(f"{model._meta.label}: {way}")
