"""Why a time was extended or a clock paused may name a person: sealed, shown to those who may see, and shredded."""

from importlib import import_module
from typing import Any
from uuid import UUID

import psycopg
from django.apps import apps
from django.db import connection, connections

from audit import services as log
from audit.models import AuditRecord
from customers import models as m
from dsar.deadlines import Ground
from dsar.models import ClockPause, DsarRequest
from dsar.requests import clocks, services
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.cast import ACME, ADA
from tests.dsar.conftest import again, answer, client, file

DSAR = "/api/v1/dsar"
WHY, WHAT = "Jane Roe has forty accounts", "Jane Roe's passport, page 2"


def told(filed: services.Filed) -> dict[str, Any]:
    with transaction():
        clocks.pause_request(
            request=filed.request, ground=Ground.IDENTITY, reason=WHAT, actor=ADA.actor, now=clock.now()
        )
        clocks.resume_request(request=filed.request, actor=ADA.actor, now=clock.now())
        clocks.extend_request(request=filed.request, reason=WHY, actor=ADA.actor, now=clock.now())
    shown: dict[str, Any] = client().get(f"{DSAR}/{filed.request.pk}/clock").json()
    return shown


def rows(superuser_url: str) -> str:
    """All that the database has about requests and has logged, as text."""
    with psycopg.connect(superuser_url) as root:
        found = ""
        for table in ("dsar_dsarrequest", "dsar_clockpause", "audit_record", "audit_inbox"):
            for (line,) in root.execute(f"SELECT t::text FROM {table} t").fetchall():
                found += line
        return found


def test_they_are_shown_to_those_who_may_see_and_stand_nowhere_in_clear(jane: m.Customer, superuser_url: str) -> None:
    filed = file("rectification", details="Roe")
    shown = told(filed)
    assert [pause["reason"] for pause in shown["pauses"]] == [WHAT]
    row = again(filed)
    with transaction():
        assert clocks.clock_of(row).extension.reason == row.extension_reason == WHY
    # What was noted before stays.
    assert row.notes["details"] == "Roe"
    log.drain(ACME)
    assert "Jane Roe" not in rows(superuser_url)
    with transaction():
        assert AuditRecord.objects.filter(action__in=["dsar.extend", "dsar.pause"]).count() == 2


def test_an_erasure_shreds_them_and_the_dates_stay(jane: m.Customer) -> None:
    filed = file("rectification", details="Roe")
    before = told(filed)
    assert answer(file("delete")).outcome == "completed"
    row = again(filed)
    assert (row.is_shredded, row.notes, row.extension_reason) == (True, {}, "")
    after = client().get(f"{DSAR}/{filed.request.pk}/clock").json()
    assert [pause["reason"] for pause in after["pauses"]] == [""]
    for name in ("dueAt", "deadlineAt", "extendedDueAt", "rules"):
        assert after[name] == before[name], name


def test_what_stood_in_clear_is_sealed_by_the_migration(jane: m.Customer, superuser_url: str) -> None:
    filed, other = file("rectification", details="Roe"), file("grievance", details="None answers")
    told(filed)
    with transaction():
        [standing] = ClockPause.objects.all()
        shredded = file("objection", details="x").request
        DsarRequest.objects.filter(pk=shredded.pk).update(subject_sealed=None, notes_sealed=None, pseudonym="erased-x")
        DsarRequest.objects.filter(pk=filed.request.pk).update(notes_sealed=None)
    with connections["owner"].cursor() as cursor:
        # As it was before.
        cursor.execute("ALTER TABLE dsar_dsarrequest ADD extension_reason varchar(500) NOT NULL DEFAULT ''")
        cursor.execute("ALTER TABLE dsar_clockpause ADD reason varchar(500) NOT NULL DEFAULT ''")
    with psycopg.connect(superuser_url) as root:
        root.execute("SET session_replication_role = replica")
        root.execute(
            "UPDATE dsar_dsarrequest SET extension_reason = 'Jane Roe asked for much' WHERE id = ANY(%s)",
            [[filed.request.pk, other.request.pk, shredded.pk]],
        )
        root.execute("UPDATE dsar_clockpause SET reason = 'Her passport'")
    seal = import_module("dsar.migrations.0002_reasons_sealed").seal_reasons
    with connections["owner"].schema_editor() as editor:
        seal(apps, editor)
    with connection.cursor() as cursor, transaction():
        cursor.execute(
            "SELECT relforcerowsecurity FROM pg_class WHERE relname IN ('dsar_dsarrequest', 'dsar_clockpause')"
        )
        assert cursor.fetchall() == [(True,), (True,)]

    def notes(pk: UUID) -> dict[str, str]:
        with transaction():
            return DsarRequest.objects.get(pk=pk).notes

    assert notes(filed.request.pk) == {"extension": "Jane Roe asked for much", standing.note: "Her passport"}
    assert notes(other.request.pk) == {"details": "None answers", "extension": "Jane Roe asked for much"}
    assert notes(shredded.pk) == {}
