"""The verbs: each asks first, then makes one call of a service, which is recorded."""

import json
from typing import Any

from django.test import Client

import audit
from audit.models import AuditRecord
from compliance.models import RetentionPolicy
from dsar.models import DsarRequest, Status
from kaireon.jobs import runner
from kaireon.jobs.models import Job, JobState
from kaireon.lib import clock
from kaireon.tenancy import keys
from kaireon.tenancy.context import transaction
from kaireon.tenancy.models import ApiKey
from tests.admin.conftest import Rows, SignIn
from tests.cast import ACME, ADA

POLICY = "/admin/compliance/retentionpolicy"
DSAR = "/admin/dsar/dsarrequest"
KEY = "/admin/tenancy/apikey"


def records(action: str) -> list[AuditRecord]:
    audit.services.drain(ACME)
    with ADA.here(), transaction():
        return list(AuditRecord.objects.filter(action=action).order_by("seq"))


def only(model: Any, **where: object) -> Any:
    with ADA.here(), transaction():
        return model.objects.get(**where)


def ask(client: Client, path: str, **given: object) -> int:
    return client.post(path, given).status_code


def filing(**given: object) -> dict[str, object]:
    today = clock.now().date().isoformat()
    return {
        "subject_id": "A-01500",
        "subject_type": "customer_id",
        "received_on": today,
        "regulation": "gdpr",
        **given,
    }


def test_a_policy_is_made_changed_held_and_released(sign_in: SignIn) -> None:
    client = sign_in(ADA)
    assert ask(client, f"{POLICY}/new/", data_class="interactions", retention_days=365) == 302
    policy = only(RetentionPolicy, data_class="interactions")
    assert ask(client, f"{POLICY}/{policy.pk}/days/", retention_days=400) == 302
    assert ask(client, f"{POLICY}/{policy.pk}/place/", reason="Matter 7") == 302
    held = only(RetentionPolicy, data_class="interactions")
    assert (held.retention_days, held.legal_hold, held.hold_reason) == (400, True, "Matter 7")
    assert "Matter 7" in client.get("/admin/").content.decode()
    assert ask(client, f"{POLICY}/{policy.pk}/release/") == 302
    assert not only(RetentionPolicy, data_class="interactions").legal_hold
    assert len(records("retention_config.upsert")) == 2
    assert [r.user_name for r in records("retention_config.legal_hold")] == ["Ada", "Ada"]


def test_what_a_service_refuses_is_said_and_changes_nothing(sign_in: SignIn) -> None:
    client = sign_in(ADA)
    for days in ("0", "36501", "-1", "many", "1e3", ""):
        assert ask(client, f"{POLICY}/new/", data_class="interactions", retention_days=days) == 200
    assert ask(client, f"{POLICY}/new/", data_class="no-such-class", retention_days=5) == 200
    assert ask(client, f"{POLICY}/hold/", data_class="interactions", reason="") == 200
    assert ask(client, f"{POLICY}/hold/", data_class="interactions", reason="Matter\x007") == 200
    assert ask(client, f"{POLICY}/hold/", data_class="interactions", reason="Matter 7") == 302
    again = client.post(f"{POLICY}/hold/", {"data_class": "interactions", "reason": "Matter 8"})
    assert again.status_code == 200
    assert only(RetentionPolicy, data_class="interactions").hold_reason == "Matter 7"
    # Only what was asked: a field that the form does not have is not taken over.
    assert (
        ask(client, f"{POLICY}/new/", data_class="decisions", retention_days=5, legal_hold="on", tenant="globex") == 302
    )
    made = only(RetentionPolicy, data_class="decisions")
    assert (made.legal_hold, made.tenant_id) == (False, ACME)


def test_an_access_request_is_filed_answered_and_downloaded(rows: Rows, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    # There is one of the same customer already; once that is answered, this is no duplicate of it.
    with ADA.here():
        runner.run(job_id=only(DsarRequest).job_ref)
    assert ask(client, f"{DSAR}/access/", **filing()) == 302
    with ADA.here(), transaction():
        request = DsarRequest.objects.newest_first().first()
        assert request is not None
    page = f"{DSAR}/{request.pk}"
    assert client.get(f"{page}/download/").status_code == 302
    with ADA.here():
        runner.run(job_id=request.job_ref)
    answer = client.get(f"{page}/download/")
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="dsar-export-A-01500-')
    assert "no-store" in answer.headers["Cache-Control"]
    assert json.loads(answer.content)["customerId"] == "A-01500"
    assert "Download the package" in client.get(f"{page}/change/").content.decode()
    assert len(records("dsar.create")) == 2
    assert records("dsar.export.downloaded")[0].changes == {"via": {"new": "admin"}}


def test_an_erasure_is_confirmed_and_done(rows: Rows, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    shown = client.post(f"{DSAR}/erasure/", filing())
    assert shown.status_code == 200
    seen = shown.context["form"].initial["looked_at"]
    assert ask(client, f"{DSAR}/erasure/", **filing(typed="A-01500", looked_at=seen)) == 302
    with ADA.here(), transaction():
        request = DsarRequest.objects.newest_first().first()
        assert request is not None
    with ADA.here():
        runner.run(job_id=request.job_ref)
    assert only(DsarRequest, pk=request.pk).status == Status.COMPLETED
    listed = client.get(f"{DSAR}/").content.decode()
    assert "erased-v1-" in listed


def test_a_request_refuses_dates_and_names_that_cannot_be(sign_in: SignIn) -> None:
    client = sign_in(ADA)
    bad = ({"received_on": "2999-01-01"}, {"received_on": "1999-12-31"}, {"received_on": "2026-02-30"})
    more = ({"subject_id": " "}, {"subject_id": "x", "subject_type": "email"}, {"regulation": "lex"})
    for given in (*bad, *more, {"subject_type": "passport"}, {"subject_id": "x" * 300}):
        assert ask(client, f"{DSAR}/access/", **filing(**given)) == 200, given
    with ADA.here(), transaction():
        assert not DsarRequest.objects.exists()


def test_requests_are_limited_to_ten_a_minute(sign_in: SignIn) -> None:
    client = sign_in(ADA)
    answers = [ask(client, f"{DSAR}/access/", **filing(subject_id=f"n-{n}")) for n in range(11)]
    assert answers == [302] * 10 + [200]


def test_a_request_is_found_by_its_subject(rows: Rows, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    key = rows[DsarRequest]
    for term in ("A-01500", " A-01500 ", key):
        assert key in client.get(f"{DSAR}/", {"q": term}).content.decode()
    for term in ("A-0150", "nobody", "%", "'"):
        assert key not in client.get(f"{DSAR}/", {"q": term}).content.decode()


def test_the_customers_page_leads_to_the_form_without_naming_them(rows: Rows, sign_in: SignIn) -> None:
    from customers.models import Customer

    client = sign_in(ADA)
    customer = only(Customer, customer_id="A-01500")
    leads = client.get(f"/admin/customers/customer/{customer.pk}/erasure/").headers["Location"]
    assert leads == f"{DSAR}/erasure/?customer={customer.pk}"
    assert 'value="A-01500"' in client.get(leads).content.decode()
    assert client.get(f"{DSAR}/access/?customer=%00").status_code == 200


def test_a_key_is_shown_once_and_revoked_once(sign_in: SignIn) -> None:
    client = sign_in(ADA)
    page = client.post(f"{KEY}/new/", {"name": "warehouse", "role": "editor", "scopes": [], "lifetime": "30"})
    shown = page.content.decode().split('value="krn_')[1].split('"')[0]
    assert "no-store" in page.headers["Cache-Control"]
    key = only(ApiKey, name="warehouse")
    assert keys.find_key(f"krn_{shown}", now=clock.now()).id == key.pk  # type: ignore[union-attr]
    assert shown.split("_", 1)[1] not in client.get(f"{KEY}/{key.pk}/change/").content.decode()
    assert ask(client, f"{KEY}/{key.pk}/revoke/") == 302
    assert keys.find_key(f"krn_{shown}", now=clock.now()) is None
    again = client.post(f"{KEY}/{key.pk}/revoke/")
    assert again.status_code == 200
    assert "revoked before" in again.content.decode()


def test_a_key_cannot_have_more_than_its_role(sign_in: SignIn) -> None:
    client = sign_in(ADA)
    given = {"name": "sly", "role": "viewer", "scopes": ["manage_keys"], "lifetime": "30"}
    assert client.post(f"{KEY}/new/", given).status_code == 200
    with ADA.here(), transaction():
        assert not ApiKey.objects.filter(name="sly").exists()


def test_the_log_is_verified_from_the_home_page(sign_in: SignIn) -> None:
    client = sign_in(ADA)
    answer = client.post("/admin/audit/auditrecord/verify/", {"next": "home"}, follow=True)
    page = answer.content.decode()
    assert "The log is intact" in page
    assert "Intact:" in page
    assert records("audit_log.verify")[0].changes["intact"] is True  # type: ignore[index]


def test_reading_the_log_is_recorded(sign_in: SignIn) -> None:
    client = sign_in(ADA)
    client.get("/admin/audit/auditrecord/")
    assert [r.user_name for r in records("audit_log.read")] == ["Ada"]


def test_a_job_goes_to_a_worker_after_the_commit(sign_in: SignIn) -> None:
    answer = sign_in(ADA).post("/admin/cron/jobrun/start/", {"job": "cleanup"}, follow=True)
    assert "cleanup was sent to a worker" in answer.content.decode()


def test_a_failed_job_of_a_request_is_tried_again_as_a_request(rows: Rows, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    request = only(DsarRequest, pk=rows[DsarRequest])
    with ADA.here(), transaction():
        Job.objects.filter(pk=request.job_ref).update(state=JobState.FAILED, error="x", finished_at=clock.now())
        DsarRequest.objects.filter(pk=request.pk).update(status="failed", state="failed", error="x")
    job = f"/admin/jobs/job/{request.job_ref}"
    assert "Try again" not in client.get(f"{job}/change/").content.decode()
    assert ask(client, f"{job}/again/") == 302
    assert only(Job, pk=request.job_ref).state == JobState.FAILED
    assert "Try again" in client.get(f"{DSAR}/{request.pk}/change/").content.decode()
    assert ask(client, f"{DSAR}/{request.pk}/again/") == 302
    assert only(DsarRequest, pk=request.pk).status == Status.QUEUED
    assert ask(client, f"{DSAR}/{request.pk}/again/") == 200
