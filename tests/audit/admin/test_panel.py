"""The whole log: how it is doing, verified and taken away."""

import psycopg
import pytest
from django.test import Client

from audit import sequencer, services
from audit.models import VerificationKind, VerificationState
from audit.tree import checkpoints
from audit.verification import runs
from kaireon.jobs import runner
from kaireon.jobs.models import Job
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import transaction
from tests.admin.conftest import SignIn
from tests.audit.admin.pages import LOG
from tests.audit.log import records, write
from tests.cast import ACME, ADA, ED, GLOBEX, VI, Person


def test_the_panel_tells_how_the_log_is_doing(client: Client, superuser_url: str) -> None:
    # Of every tenant, also what making the cast left some time ago.
    while sequencer.sweep():
        pass
    page = client.get(LOG).content.decode()
    assert "Not verified yet" in page
    assert "No checkpoint yet" in page
    assert "The sequencer keeps up" in page
    checkpoints.make(ACME)
    assert "The log is intact" in client.post(f"{LOG}verify/", follow=True).content.decode()
    page = client.get(LOG).content.decode()
    assert "Intact: all" in page
    assert "by Aud" in page
    assert "Not published yet" in page
    services.drain(GLOBEX)
    with psycopg.connect(superuser_url) as root:
        root.execute("SET session_replication_role = replica")
        root.execute("UPDATE audit_checkpoint SET signed_at = signed_at - interval '1 hour'")
        root.execute(
            "INSERT INTO audit_inbox (tenant_id, operation, action, entity_type, entity_id, user_name,"
            " actor_type, \"timestamp\") VALUES ('globex', 'E', 'x', 'X', '1', 'x', 'job', now() - interval '1 hour')"
        )
    page = client.get(LOG).content.decode()
    assert "the next one is overdue" in page
    assert "is a sequencer running?" in page


def test_the_panel_is_asked_for_alone_of_its_tenant_and_is_no_reading_of_records(client: Client) -> None:
    page = client.get(LOG).content.decode()
    assert f'hx-get="{LOG}?tenant=acme" hx-trigger="every 10s"' in page
    reads = len(records(ACME, action="audit_log.read"))
    part = client.get(LOG, {"tenant": ACME}, headers={"HX-Request": "true"})
    assert part.content.decode().strip().startswith('<div class="k-doing" hx-get=')
    assert "Not verified yet" in part.content.decode()
    assert "no-store" in part.headers["Cache-Control"]
    assert len(records(ACME, action="audit_log.read")) == reads
    other = client.get(LOG, {"tenant": GLOBEX}, headers={"HX-Request": "true"})
    assert (other.content, other.headers["HX-Refresh"]) == (b"", "true")


def test_it_is_asked_for_more_often_while_the_log_is_verified(client: Client) -> None:
    write(1, tenant=ACME)
    services.drain(ACME)
    with ADA.here():
        # It has no time, so it stops under way.
        assert runs.run(VerificationKind.FULL, budget=Budget(0)).state == VerificationState.RUNNING
    part = client.get(LOG, {"tenant": ACME}, headers={"HX-Request": "true"}).content.decode()
    assert "Being verified" in part
    assert 'hx-trigger="every 2s"' in part


@pytest.mark.parametrize("person", [ED, VI], ids=lambda p: p.role)
def test_it_is_for_those_who_may_read_the_log(person: Person, sign_in: SignIn) -> None:
    asked = sign_in(person).get(LOG, {"tenant": ACME}, headers={"HX-Request": "true"})
    assert asked.status_code == 403


def test_an_evidence_bundle_of_a_period_is_downloaded_and_recorded(client: Client) -> None:
    write(5, tenant=ACME)
    answer = client.post(f"{LOG}evidence/", {"since": "", "until": ""})
    content = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    assert content.startswith(b"PK")
    assert answer.headers["Content-Type"] == "application/zip"
    [export] = records(ACME, action="audit_log.export")
    assert "'format': 'bundle'" in str(export.changes)
    for given, words in (
        ({"since": "2026-02-02", "until": "2026-02-01"}, "ends before it begins"),
        ({"since": "2999-01-01"}, "No record lies in this period"),
        ({"since": "soon"}, "valid date"),
    ):
        refused = client.post(f"{LOG}evidence/", given)
        assert refused.status_code == 200
        assert words in refused.content.decode(), given


def test_a_long_log_is_verified_by_a_worker(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.admin.MOST_AT_ONCE", 3)
    write(10, tenant=ACME)
    answer = client.post(f"{LOG}verify/", follow=True)
    assert "A worker reads the whole log" in answer.content.decode()
    with ADA.here():
        with transaction():
            [job] = Job.objects.filter(type="audit_verify")
        done = runner.run(job_id=job.pk)
    assert done is not None
    assert (done.state, done.result and done.result["state"]) == ("done", "intact")
    assert "Intact: all" in client.get(LOG).content.decode()


def test_an_export_is_asked_for_made_and_fetched(client: Client) -> None:
    write(4, tenant=ACME)
    page = "/admin/audit/auditexport/"
    for given, words in (
        ({"format": "pdf"}, "valid choice"),
        ({"format": "csv", "since": "2026-02-02", "until": "2026-02-01"}, "ends before it begins"),
    ):
        assert words in client.post(f"{page}new/", given).content.decode()
    answer = client.post(f"{page}new/", {"format": "ndjson", "action": "test.event"})
    assert answer.status_code == 302
    row = answer.headers["Location"].removesuffix("change/")
    assert "is queued" in client.get(f"{row}download/", follow=True).content.decode().lower()
    with ADA.here():
        with transaction():
            [job] = Job.objects.filter(type="audit_export")
        runner.run(job_id=job.pk)
    assert "100 %" in client.get(f"{row}change/").content.decode()
    fetched = client.get(f"{row}download/")
    lines = b"".join(fetched.streaming_content).splitlines()  # type: ignore[attr-defined]
    assert len([line for line in lines if b'"test.event"' in line]) == 4
    assert len(records(ACME, action="audit_log.download")) == 1
