"""Every tenant model, and Mallory with the ids of Acme's rows."""

from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.apps import apps
from django.db import ProgrammingError, connection, models
from psycopg import sql

from kaireon.lib.clock import at
from kaireon.tenancy.context import WrongTenant, scope, transaction
from kaireon.tenancy.models import TenantModel
from tests.cast import ACME, ADA, MALLORY

MODELS = sorted((m for m in apps.get_models() if issubclass(m, TenantModel)), key=lambda m: m._meta.label)

# The month whose partitions the rows go to.
MOMENT = at("2031-03-05T12:00:00Z")


def value_of(model_field: Any) -> Any:
    """Something the column takes."""
    if model_field.null:
        return None
    if model_field.choices:
        return model_field.choices[0][0]
    match model_field:
        case models.FileField() if model_field.blank:
            return ""
        case models.UUIDField() | models.ForeignKey():
            return uuid4()
        case models.DateTimeField():
            return MOMENT
        case models.DateField():
            return MOMENT.date()
        case models.TimeField():
            return MOMENT.time()
        case models.BooleanField():
            return False
        case models.IntegerField() | models.DecimalField() | models.FloatField():
            return 1
        case models.JSONField():
            return psycopg.types.json.Jsonb({})
        case models.BinaryField():
            return b"x"
    return uuid4().hex[: min(model_field.max_length or 8, 8)]


@pytest.fixture
def acmes(superuser_url: str) -> dict[type[TenantModel], UUID]:
    """The id of a row of Acme's in every tenant table, put there past all triggers."""
    found: dict[type[TenantModel], UUID] = {}
    with psycopg.connect(superuser_url) as root:
        root.execute("SET session_replication_role = replica")
        root.execute("SELECT set_config('app.tenant_id', %s, false)", [ACME])
        for (parent,) in root.execute("SELECT relname FROM pg_class WHERE relkind = 'p'").fetchall():
            root.execute("SELECT public.partition_ensure(%s, %s)", [parent, MOMENT.date()])
        for model in MODELS:
            row = {f.column: value_of(f) for f in model._meta.concrete_fields} | {"tenant_id": ACME, "id": uuid4()}
            table = sql.Identifier(model._meta.db_table)
            root.execute(
                sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING").format(
                    table,
                    sql.SQL(", ").join(map(sql.Identifier, row)),
                    sql.SQL(", ").join([sql.Placeholder()] * len(row)),
                ),
                list(row.values()),
            )
            # Of what a tenant has one of from the start, that one.
            one = root.execute(sql.SQL("SELECT id FROM {} WHERE tenant_id = %s").format(table), [ACME]).fetchone()
            assert one, model
            found[model] = one[0]
    return found


def test_there_are_tenant_models() -> None:
    assert len(MODELS) > 20


def test_mallory_reads_none_of_them(acmes: dict[type[TenantModel], UUID]) -> None:
    for model, key in acmes.items():
        rows: Any = model._default_manager
        with ADA.here(), transaction():
            assert rows.filter(pk=key).exists(), model
        with MALLORY.here(), transaction():
            assert not rows.filter(pk=key).exists(), model
            assert rows.filter(pk=key).count() == 0, model
            assert rows.in_bulk([key]) == {}, model
            assert rows.filter(tenant_id=ACME).first() is None, model
            with pytest.raises(model.DoesNotExist):
                rows.get(pk=key)
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT count(*) FROM {model._meta.db_table} WHERE id = %s", [key])
                assert cursor.fetchone() == (0,), model


def test_mallory_changes_none_of_them(acmes: dict[type[TenantModel], UUID]) -> None:
    for model, key in acmes.items():
        rows: Any = model._default_manager
        with ADA.here(), transaction():
            row = rows.get(pk=key)
        for write in (
            lambda row=row: row.save(),
            lambda row=row: row.save(force_update=True),
            lambda row=row: row.delete(),
            lambda row=row, rows=rows: rows.bulk_update([row], ["tenant"]),
            lambda row=row, rows=rows: rows.bulk_create([row]),
        ):
            with MALLORY.here(), pytest.raises(WrongTenant), transaction():
                write()
        for statement in ("UPDATE {} SET tenant_id = tenant_id WHERE id = %s", "DELETE FROM {} WHERE id = %s"):
            with MALLORY.here():
                assert _changed(statement.format(model._meta.db_table), key) == 0, model
        with ADA.here(), transaction():
            assert rows.filter(pk=key).exists(), model


def test_mallory_adds_none_to_them(acmes: dict[type[TenantModel], UUID]) -> None:
    for model in acmes:
        with MALLORY.here(), pytest.raises(WrongTenant), transaction():
            model(tenant_id=ACME).save(force_insert=True)
        with MALLORY.here(), pytest.raises(ProgrammingError), transaction(), connection.cursor() as cursor:
            # A partitioned parent would look for the month before it asks the policy.
            month = {f.column: MOMENT for f in model._meta.concrete_fields if isinstance(f, models.DateTimeField)}
            columns = ", ".join(["id", "tenant_id", *month])
            marks = ", ".join(["%s"] * (2 + len(month)))
            cursor.execute(
                f"INSERT INTO {model._meta.db_table} ({columns}) VALUES ({marks})", [uuid4(), ACME, *month.values()]
            )


def test_nobody_reads_them_without_a_tenant(acmes: dict[type[TenantModel], UUID]) -> None:
    for model, key in acmes.items():
        with pytest.raises(ProgrammingError), connection.cursor() as cursor:
            cursor.execute(f"SELECT 1 FROM {model._meta.db_table} WHERE id = %s", [key])


def test_a_tenant_that_is_not_there_sees_nothing(acmes: dict[type[TenantModel], UUID]) -> None:
    with scope(tenant_id="nowhere", actor=ADA.actor), transaction():
        for model in acmes:
            assert model._default_manager.count() == 0, model


def _changed(statement: str, key: UUID) -> int:
    try:
        with transaction(), connection.cursor() as cursor:
            cursor.execute(statement, [key])
            return cursor.rowcount
    except ProgrammingError:
        # Not even granted.
        return 0
