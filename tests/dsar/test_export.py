"""An access request: everything, once, as of one moment."""

import json
from datetime import datetime, timedelta

import psycopg
import pytest
from django.db import IntegrityError, connection

from customers import catalogue
from customers import models as m
from customers.catalogue import CATALOGUE
from dsar.deadlines import UnknownRegulation
from dsar.dossiers import dossier, export, keeping, writing
from dsar.models import Dossier, DsarRequest
from dsar.requests import services, subjects
from kaireon.jobs.models import Job, JobState
from kaireon.lib import clock
from kaireon.lib.ids import uuid7
from kaireon.tenancy.context import transaction
from tests.cast import MALLORY
from tests.dsar.conftest import EMAIL, NUMBER, again, answer, client, file, make_customer


def _package(request: DsarRequest) -> dict:
    with transaction():
        return json.loads(dossier.opened(Dossier.objects.get(request=request)))


def test_it_fills_every_section_and_its_counts_are_those_of_sql(jane: m.Customer) -> None:
    request = answer(file())
    assert (request.status, request.outcome) == ("completed", "completed")
    package = _package(request)
    assert package["customerId"] == NUMBER
    assert package["encrypted"] is False
    assert set(package["data"]) == set(package["counts"]) == set(writing.SECTIONS)
    assert all(package["counts"].values())
    assert package["data"]["profile"]["email"] == EMAIL
    with transaction(), connection.cursor() as cursor:
        for section in {entity.section for entity in CATALOGUE if entity.section}:
            count = 0
            for entity in catalogue.shown_in(section):
                cursor.execute(f"SELECT count(*) FROM {entity.table} WHERE {entity.subject} = %s", [jane.pk])
                count += cursor.fetchone()[0]
            assert package["counts"][section] == count, section
    for section, rows in package["data"].items():
        assert package["counts"][section] == (1 if section == "profile" else len(rows))
    assert request.counts == package["counts"]
    assert {r["entityType"] for r in package["data"]["auditLogs"]} >= {"Customer", "ConsentRecord", "DsarRequest"}
    assert "neighbour" not in json.dumps(package)


def test_the_package_is_sealed_at_rest_and_expires(jane: m.Customer) -> None:
    request = answer(file())
    with transaction(), connection.cursor() as cursor:
        cursor.execute("SELECT sealed FROM dsar_dossier")
        assert EMAIL.encode() not in bytes(cursor.fetchone()[0])
        cursor.execute("SELECT dsar_dsarrequest::text FROM dsar_dsarrequest")
        assert NUMBER not in cursor.fetchone()[0]
        row = Dossier.objects.get(request=request)
    assert row.expires_at - row.created_at == timedelta(days=30)
    assert request.package_expires_at == row.expires_at


@pytest.mark.parametrize("written", [EMAIL, f" {EMAIL.upper()} ", f"alias.{EMAIL}"])
def test_an_email_finds_the_customer_by_profile_and_by_identity_link(jane: m.Customer, written: str) -> None:
    request = answer(file(subject_id=written, subject_type="email"))
    assert request.customer_ref == jane.pk
    assert _package(request)["customerId"] == NUMBER


def test_an_email_of_several_customers_is_nobodys(jane: m.Customer) -> None:
    with transaction():
        make_customer("C-18", "other@example.com")
        m.IdentityLink.objects.create(customer=m.Customer.objects.numbered("C-18").get(), kind="email", value=EMAIL)
    for kind in ("export", "delete"):
        request = answer(file(kind, EMAIL, subject_type="email"))
        assert (request.status, request.error) == ("failed", "ambiguous_subject")
    with transaction():
        assert not Dossier.objects.exists()
        assert m.Customer.objects.filter(pk=jane.pk).exists()


def test_an_unknown_subject_is_answered_with_an_empty_package(ada: None) -> None:
    request = answer(file(subject_id="nobody"))
    assert (request.status, request.outcome) == ("completed", "no_data")
    package = _package(request)
    assert package["customerId"] == "nobody"
    assert {s for s, n in package["counts"].items() if n} <= {"dsarRequests", "auditLogs"}


@pytest.mark.parametrize("subject", ["", "   ", "a\x00b", "a\nb", "x" * 255])
def test_a_subject_that_names_nobody_is_refused(ada: None, subject: str) -> None:
    with pytest.raises(subjects.SubjectRefused):
        file(subject_id=subject)
    with pytest.raises(subjects.SubjectRefused):
        file(subject_id="no address", subject_type="email")


def test_it_refuses_the_future_and_unknown_laws(ada: None) -> None:
    with pytest.raises(services.ReceivedAtRefused):
        file(received_at=clock.now() + timedelta(seconds=5))
    with pytest.raises(UnknownRegulation):
        file(regulation="lex")
    with transaction():
        assert not DsarRequest.objects.exists()
        assert not Job.objects.exists()


def test_one_moment_sees_nothing_of_what_comes_after_its_first_look(jane: m.Customer, superuser_url: str) -> None:
    with transaction(one_moment=True):
        before = m.Interaction.objects.filter(customer=jane).count()
        with psycopg.connect(superuser_url) as other:
            other.execute("SELECT set_config('app.tenant_id', 'acme', true), set_config('app.actor_name', 'x', true)")
            other.execute("SELECT set_config('app.actor_type', 'system', true)")
            other.execute("DELETE FROM customers_interaction WHERE customer_id = %s", [jane.pk])
        assert m.Interaction.objects.filter(customer=jane).count() == before


def test_what_was_erased_while_it_was_read_does_not_come_back(
    jane: m.Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    filed = file()
    store = keeping.store

    def erased_meanwhile(made: keeping.Draft, *, now: datetime) -> None:
        assert answer(file("delete")).status == "completed"
        store(made, now=now)

    monkeypatch.setattr(keeping, "store", erased_meanwhile)
    request = answer(filed)
    assert (request.status, request.outcome) == ("completed", "no_data")
    with transaction():
        assert not Dossier.objects.exists()


def test_a_crash_before_the_last_commit_leaves_one_dossier_after_all(
    jane: m.Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    filed = file()
    keep = export._keep
    monkeypatch.setattr(export, "_keep", lambda *a: (keep(*a), 1 / 0))
    assert answer(filed).status == "processing"
    with transaction():
        assert not Dossier.objects.exists()
        job = Job.objects.get(pk=filed.job.pk)
        assert (job.state, job.error) == (JobState.QUEUED, "zero_division_error")
        Job.objects.filter(pk=job.pk).update(due_at=clock.now())
    monkeypatch.undo()
    assert answer(filed).status == "completed"
    assert answer(filed).status == "completed"
    with transaction():
        assert Dossier.objects.count() == 1


def test_the_database_refuses_a_second_dossier_of_a_request(jane: m.Customer) -> None:
    answer(file())
    with transaction():
        row = Dossier.objects.get()
    row.id = uuid7()
    with pytest.raises(IntegrityError), transaction():
        row.save(force_insert=True)


def test_after_its_last_retry_the_request_is_failed_and_can_be_tried_again(
    jane: m.Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    filed = file()
    monkeypatch.setattr(export, "_keep", lambda *a: 1 / 0)
    for _ in range(4):
        answer(filed)
        with transaction():
            Job.objects.filter(pk=filed.job.pk).update(due_at=clock.now())
    request = again(filed)
    assert (request.status, request.error) == ("failed", "zero_division_error")
    with transaction():
        retried = services.retry_request(request=request, now=clock.now())
    monkeypatch.undo()
    assert answer(retried).status == "completed"
    with transaction(), pytest.raises(services.RequestNotFailed):
        services.retry_request(request=request, now=clock.now())


def test_it_is_all_recorded(jane: m.Customer) -> None:
    answer(file())
    answer(file("delete"))
    logs = client().get("/api/v1/audit-logs?limit=100").json()["logs"]
    actions = {log["action"] for log in logs}
    assert actions >= {"dsar.create", "dsar.export.completed", "dsar.erasure.completed", "dsar.shred"}
    assert EMAIL not in json.dumps(logs)
    assert NUMBER not in json.dumps(logs)


def test_another_tenant_sees_nothing_of_it(jane: m.Customer) -> None:
    filed = file()
    answer(filed)
    with MALLORY.here():
        with transaction():
            assert not DsarRequest.objects.exists()
            assert not Dossier.objects.exists()
            with connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM dsar_dossier")
                assert cursor.fetchone()[0] == 0
        theirs = answer(file(subject_id=NUMBER))
        assert theirs.outcome == "no_data"


def test_a_foreign_transaction_cannot_refer_to_a_request_of_another_tenant(jane: m.Customer) -> None:
    filed = file()
    with MALLORY.here(), pytest.raises(IntegrityError), transaction():
        Dossier.objects.create(
            request_id=filed.request.pk, sealed=b"x", sha256="", size=0, created_at=clock.now(), expires_at=clock.now()
        )
