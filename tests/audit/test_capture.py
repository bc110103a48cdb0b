"""Every way to change an audited row brings its record, with actor and request id."""

import pytest
from django.db import connection
from django.db.utils import ProgrammingError

import audit
from audit import services
from audit.models import AuditRecord
from kaireon.tenancy.context import transaction
from kaireon.tenancy.models import ApiKey
from tests.cast import ACME, ADA

pytestmark = pytest.mark.usefixtures("db")


def records(**wanted: object) -> list[AuditRecord]:
    services.drain(ACME)
    with ADA.here(), transaction():
        return list(AuditRecord.objects.filter(**wanted).order_by("seq"))


def test_it_records_a_queryset_update() -> None:
    with ADA.here("req-update"), transaction():
        ApiKey.objects.filter(prefix="vi").update(name="Renamed")

    [record] = records(request_id="req-update")
    assert record.action == "update"
    assert record.changes == {"name": ["vi", "Renamed"]}
    assert record.user_id == ADA.actor.id


def test_it_records_a_bulk_update_row_by_row() -> None:
    with ADA.here("req-bulk"), transaction():
        keys = list(ApiKey.objects.order_by("prefix"))
        for key in keys:
            key.name = f"{key.name}!"
        ApiKey.objects.bulk_update(keys, ["name"])

    assert len(records(request_id="req-bulk")) == len(keys) == 4


def test_it_records_raw_sql() -> None:
    with ADA.here("req-raw"), transaction(), connection.cursor() as cursor:
        cursor.execute("UPDATE tenancy_apikey SET name = 'raw' WHERE prefix = 'vi'")

    [record] = records(request_id="req-raw")
    assert record.user_name == "Ada"
    assert record.after["name"] == "raw"


def test_it_refuses_a_change_without_an_actor() -> None:
    with (
        pytest.raises(ProgrammingError, match="needs an actor"),
        ADA.here(),
        transaction(),
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT set_config('app.actor_type', '', true)")
        cursor.execute("UPDATE tenancy_apikey SET name = 'raw' WHERE prefix = 'vi'")


def test_it_gives_the_next_change_its_verb_and_only_that() -> None:
    with ADA.here("req-verb"), transaction():
        key = ApiKey.objects.get(prefix="vi")
        audit.action("api_key.rename", entity=key)
        key.name = "first"
        key.save()
        key.name = "second"
        key.save()

    assert [r.action for r in records(request_id="req-verb")] == ["api_key.rename", "update"]


def test_it_never_records_a_secret() -> None:
    with ADA.here("req-secret"), transaction():
        ApiKey.objects.filter(prefix="vi").update(secret_hash="0" * 64)

    [record] = records(request_id="req-secret")
    assert "secret_hash" not in {**record.before, **record.after, **record.changes}


def test_it_drops_the_record_with_the_change() -> None:
    with pytest.raises(RuntimeError), ADA.here("req-rolled-back"), transaction():
        ApiKey.objects.filter(prefix="vi").update(name="never")
        raise RuntimeError

    assert records(request_id="req-rolled-back") == []
