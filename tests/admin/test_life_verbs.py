"""A request's life in the admin."""

from typing import Any

import pytest
from django.test import Client

import audit
from dsar.models import DsarRequest, IdentityCheck
from dsar.requests.demands import demand
from kaireon.lib import clock
from kaireon.outbox import destinations
from kaireon.tenancy.context import transaction
from tests.admin.conftest import SignIn
from tests.cast import ACME, ADA, MALLORY, VI
from tests.dsar.conftest import NUMBER, answer, file, make_customer
from tests.dsar.test_identity import mailed, wrong

DSAR = "/admin/dsar/dsarrequest"


def row_of(pk: object) -> DsarRequest:
    with ADA.here(), transaction():
        return DsarRequest.objects.get(pk=pk)


def post(client: Client, row: DsarRequest, verb: str, **given: object) -> Any:
    return client.post(f"{DSAR}/{row.pk}/{verb}/", given)


def page(client: Client, row: DsarRequest) -> str:
    audit.services.drain(ACME)
    answered = client.get(f"{DSAR}/{row.pk}/change/")
    assert answered.status_code == 200
    return answered.content.decode()


@pytest.fixture
def grievance(db: str) -> DsarRequest:
    with ADA.here():
        return file("grievance", details="You never answer").request


def test_another_kind_is_filed_given_to_an_officer_and_completed(sign_in: SignIn, db: str) -> None:
    client = sign_in(ADA)
    today = clock.now().date().isoformat()
    given = {"subject_id": "C-1", "subject_type": "customer_id", "received_on": today, "regulation": "gdpr"}
    filed = client.post(f"{DSAR}/other/", {**given, "kind": "rectification", "details": "Roe, not Doe"})
    assert filed.status_code == 302
    with ADA.here(), transaction():
        row = DsarRequest.objects.get()
    assert row.notes == {"details": "Roe, not Doe"}
    assert post(client, row, "assign", to=ADA.actor.id).status_code == 302
    assert row_of(row.pk).state == "review"
    assert post(client, row, "complete", outcome="completed", resolution="").status_code == 200
    assert post(client, row, "complete", outcome="completed", resolution="Corrected").status_code == 302
    ended = row_of(row.pk)
    assert (ended.outcome, ended.assigned_name) == ("completed", "Ada")
    shown = page(client, row)
    for told in ("dsar.create", "dsar.assign", "dsar.complete", "What happened"):
        assert told in shown
    # What is sealed stays so, and what has ended offers no move.
    assert "Roe" not in shown
    assert f"{DSAR}/{row.pk}/withdraw/" not in shown
    assert "already" in post(client, row, "withdraw").content.decode()


def test_a_rejection_offers_the_grounds_of_the_law_alone(sign_in: SignIn, grievance: DsarRequest) -> None:
    client = sign_in(ADA)
    form = client.get(f"{DSAR}/{grievance.pk}/reject/").content.decode()
    assert "GDPR Art. 12(5)(b)" in form
    assert "legal_obligation" not in form
    assert post(client, grievance, "reject", ground="legal_obligation", reason="x").status_code == 200
    assert row_of(grievance.pk).status == "queued"
    assert post(client, grievance, "reject", ground="excessive", reason="Daily").status_code == 302
    shown = page(client, grievance)
    assert "GDPR Art. 12(5)(b)" in shown
    assert "Daily" not in shown


def test_wrong_codes_count_here_too_and_an_officer_confirms(sign_in: SignIn, db: str) -> None:
    with ADA.here():
        with transaction():
            make_customer()
            destinations.save(name="letters", kind="email", given={}, now=clock.now())
            demand("identity", demanded=True, now=clock.now())
        row = file("export").request
        _, code = mailed(f"/api/v1/dsar/{row.pk}")
    client = sign_in(ADA)
    assert "Nothing is done before" in page(client, row)
    for _ in range(5):
        assert post(client, row, "verify", code=wrong(code)).status_code == 302
    with ADA.here(), transaction():
        assert IdentityCheck.objects.get().wrong_codes == 5
    assert post(client, row, "verify", code=code).status_code == 302
    assert row_of(row.pk).state == "identity"
    assert "Too many wrong codes" in post(client, row, "code").content.decode()
    assert post(client, row, "prove", seen="signed_in", reason="Signed in as Jane").status_code == 302
    proved = row_of(row.pk)
    assert (proved.state, proved.identity_method) == ("queued", "evidence")
    assert "does not wait" in post(client, row, "prove", seen="", reason="again").content.decode()


def test_an_officer_looks_at_a_package_and_releases_it(sign_in: SignIn, db: str) -> None:
    with ADA.here():
        with transaction():
            make_customer()
            demand("review", demanded=True, now=clock.now())
        row = answer(file("export"))
    client = sign_in(ADA)
    assert NUMBER in client.get(f"{DSAR}/{row.pk}/download/").content.decode()
    assert post(client, row, "complete", resolution="Nobody else in it").status_code == 302
    assert row_of(row.pk).outcome == "completed"


@pytest.mark.parametrize("verb", ["prove", "code", "verify", "complete", "assign", "reject", "withdraw"])
def test_nobody_else_moves_it(sign_in: SignIn, grievance: DsarRequest, verb: str) -> None:
    given = {"code": "12345678", "reason": "x", "resolution": "x", "ground": "excessive", "outcome": "completed"}
    assert post(sign_in(VI), grievance, verb, **given).status_code == 403
    assert post(sign_in(MALLORY), grievance, verb, **given).status_code == 404
    assert row_of(grievance.pk).state == "queued"
