"""The kinds of requests: filed at one endpoint, answered by a worker or by a person."""

import io
import json
import zipfile

import pytest
from django.db import connection
from jsonschema import Draft202012Validator

from customers import consents, suppressions
from customers import models as m
from customers.particulars import PROVIDED
from dsar.models import DsarRequest, RequestType
from dsar.requests import grounds, kinds, services
from kaireon.jobs.models import Job
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.dsar.conftest import EMAIL, NUMBER, again, answer, client, file

DSAR = "/api/v1/dsar"


def test_every_kind_is_in_the_table_and_known_to_some_ground_of_every_law() -> None:
    from dsar import deadlines

    assert set(kinds.KINDS) == set(RequestType.values)
    for law in deadlines.LAWS:
        for kind in RequestType.values:
            known = grounds.allowed(request_type=kind, regulation=law)
            assert ("identity_not_proven" in known) == ((law, kind) not in grounds.UNPROVEN)
            assert all(grounds.article_for(g, request_type=kind, regulation=law) for g in known)


@pytest.mark.parametrize("kind", kinds.BY_PERSON)
def test_a_person_takes_it_and_says_what_was_done(jane: m.Customer, kind: str) -> None:
    api = client()
    asked = {"requestType": kind, "subjectId": NUMBER, "details": "My name is Jane Roe"}
    filed = api.post(DSAR, asked, format="json")
    assert (filed.status_code, filed.json()["status"]) == (202, "queued")
    path = f"{DSAR}/{filed.json()['requestId']}"
    with transaction():
        assert not Job.objects.exists()
    taken = api.post(f"{path}/assign", {"to": "ADA@acme.example"}, format="json").json()
    assert (taken["status"], taken["state"], taken["outcome"]) == ("processing", "review", None)
    assert api.get(path).json()["assignedTo"]["name"] == "Ada"
    ended = api.post(f"{path}/complete", {"resolution": "Name corrected to Roe"}, format="json").json()
    assert (ended["status"], ended["outcome"]) == ("completed", "completed")
    again_asked = api.post(f"{path}/complete", {"resolution": "twice"}, format="json")
    assert (again_asked.status_code, again_asked.json()["error"]["code"]) == (409, "already_completed")
    with transaction():
        row = DsarRequest.objects.get()
        assert row.notes == {"details": "My name is Jane Roe", "resolution": "Name corrected to Roe"}
        with connection.cursor() as cursor:
            cursor.execute("SELECT r::text FROM dsar_dsarrequest r")
            assert "Roe" not in cursor.fetchone()[0]


def test_what_a_worker_answers_is_not_completed_by_hand(jane: m.Customer) -> None:
    for kind in ("export", "delete", "opt_out", "portability"):
        filed = file(kind)
        refused = client().post(f"{DSAR}/{filed.request.pk}/complete", {"resolution": "done"}, format="json")
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "not_in_review")


def test_portability_is_answered_with_what_was_provided_and_nothing_else(jane: m.Customer) -> None:
    filed = file("portability")
    assert answer(filed).outcome == "completed"
    shown = client().get(f"{DSAR}/{filed.request.pk}").json()
    assert shown["exportedData"]["data"]["profile"]["email"] == EMAIL
    # What was inferred, and what is written down in the course of our duties, is not theirs to take along.
    assert set(shown["exportedData"]["data"]) == set(shown["counts"]) == set(PROVIDED)
    download = f"{DSAR}/{filed.request.pk}/download"
    assert client().get(download).status_code == 200
    content = b"".join(client().get(f"{download}?format=zip").streaming_content)
    with zipfile.ZipFile(io.BytesIO(content)) as package:
        names = package.namelist()
        dossier = json.loads(package.read("dossier.json"))
        Draft202012Validator(json.loads(package.read("schema.json"))).validate(dossier)
        assert "for you to take along" in package.read("index.html").decode()
    assert "csv/interactions.csv" in names
    assert not [name for name in names if "decisionTraces" in name or "auditLogs" in name or "portable" in name]


def test_an_opt_out_takes_effect_and_counts_what_it_did(jane: m.Customer) -> None:
    with transaction():
        now = clock.now()
        for channel in ("email", "sms"):
            m.ConsentRecord.objects.create(
                customer=jane, channel=channel, purpose="news", status="granted", recorded_at=now
            )
        assert consents.may_contact(jane, channel="sms", purpose="news", now=now)
    filed = file("opt_out", EMAIL.upper(), subject_type="email")
    row = answer(filed)
    assert (row.status, row.outcome) == ("completed", "completed")
    assert row.counts == {"suppressions": 1, "consentsWithdrawn": 2}
    assert client().get(f"{DSAR}/{row.pk}").json()["counts"] == row.counts
    with transaction():
        assert not consents.may_contact(jane, channel="sms", purpose="news", now=clock.now())
        assert suppressions.is_suppressed(jane, channel="post", now=clock.now())
        neighbour = m.Customer.objects.get(customer_id="C-99")
        assert not suppressions.is_suppressed(neighbour, channel="post", now=clock.now())
    # A second one finds nothing more to do, and says so.
    assert answer(file("opt_out")).counts == {"suppressions": 0, "consentsWithdrawn": 0}


def test_an_opt_out_of_nobody_known_binds_who_comes_later(ada: None) -> None:
    row = answer(file("opt_out", "Neu@Bücher.example", subject_type="email"))
    assert (row.outcome, row.counts) == ("completed", {"tombstones": 1})
    with transaction():
        later = m.Customer.objects.create(customer_id="C-7", email="neu@bücher.example")
        assert suppressions.is_suppressed(later, channel="email", now=clock.now())


def test_an_opt_out_by_an_address_of_several_fails_for_an_officer_to_see(jane: m.Customer) -> None:
    with transaction():
        m.Customer.objects.create(customer_id="C-18", email=EMAIL)
    row = answer(file("opt_out", EMAIL, subject_type="email"))
    assert (row.status, row.error) == ("failed", "ambiguous_subject")
    with transaction():
        assert not suppressions.is_suppressed(jane, channel="post", now=clock.now())


@pytest.mark.parametrize("number", ["a/b\\c", "'; DROP TABLE x; --", '"quoted"', "Ünï-한글-🙂", "%2e%2e/", "<b>"])
def test_odd_numbers_are_asked_for_like_others(ada: None, number: str) -> None:
    with transaction():
        m.Customer.objects.create(customer_id=number, email="odd@example.com")
    filed = client().post(DSAR, {"requestType": "opt_out", "subjectId": number}, format="json").json()
    with transaction():
        row = DsarRequest.objects.get(pk=filed["requestId"])
    row = answer(services.Filed(request=row, queued=_job(row)))
    assert row.counts["suppressions"] == 1
    assert client().get(f"{DSAR}/{row.pk}").json()["subjectId"] == number


@pytest.mark.parametrize("field", ["subjectId", "details"])
def test_ten_thousand_characters_are_refused(ada: None, field: str) -> None:
    body = {"requestType": "grievance", "subjectId": "C-1", field: "x" * 10_000}
    refused = client().post(DSAR, body, format="json")
    assert refused.status_code == 400
    assert refused.json()["error"]["message"].startswith(field)


def test_lists_are_filtered_by_kind_state_and_outcome(jane: m.Customer) -> None:
    answer(file("export"))
    file("grievance")
    api = client()

    def kinds_in(query: str) -> list[str]:
        return sorted(row["requestType"] for row in api.get(f"{DSAR}?{query}").json()["requests"])

    assert kinds_in("requestType=grievance") == ["grievance"]
    assert kinds_in("state=queued") == ["grievance"]
    assert kinds_in("outcome=completed") == ["export"]
    assert kinds_in("outcome=completed&requestType=grievance") == []
    for query in ("requestType=x", "state=x", "outcome=x"):
        assert api.get(f"{DSAR}?{query}").status_code == 400


def _job(row: DsarRequest) -> Job:
    with transaction():
        return Job.objects.get(pk=row.job_ref)


def test_a_filing_without_a_job_says_so(ada: None) -> None:
    filed = file("grievance")
    with pytest.raises(services.NothingQueued):
        _ = filed.job
    assert again(filed).state == "queued"
