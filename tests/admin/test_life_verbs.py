"""A request's life in the admin."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.test import Client

import audit
import dsar
from customers import suppressions
from dsar.models import DsarRequest, IdentityCheck
from dsar.requests import event_words
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


def test_what_happened_is_told_in_words(sign_in: SignIn, grievance: DsarRequest) -> None:
    client = sign_in(ADA)
    assert post(client, grievance, "assign", to=ADA.actor.id).status_code == 302
    assert post(client, grievance, "complete", outcome="completed", resolution="Done").status_code == 302
    shown = " ".join(page(client, grievance).split())
    for verb, words, state in (
        ("dsar.create", "Filed", "queued"),
        ("dsar.assign", "Assigned", "in review"),
        ("dsar.complete", "Completed by an officer", "completed"),
    ):
        assert f'title="{verb}">{words} <span class="k-quiet">{state}</span>' in shown, verb


def test_every_verb_that_a_timeline_can_show_has_words() -> None:
    # About other things than a request, its proof, letters and notices; the second are verbs of approvals and topics.
    elsewhere = ("dsar.certificate.", "dsar.public.", "dsar.dossier.", "dsar.letter.settings", "dsar.letter.template")
    elsewhere += (
        "dsar.erase",
        "dsar.calendar",
        "dsar.demand",
        "dsar.waive",
        "dsar.recipient.save",
        "dsar.recipient_notice",
    )
    elsewhere += ("dsar.erasure.plan", "dsar.erasure.agreed", "dsar.erasure.replayed", "dsar.erasure.taken_over")
    known = {*apps.all_models["dsar"], "recipient", "erasure"}
    found = set()
    for source in Path(dsar.__path__[0]).rglob("*.py"):
        found |= set(re.findall(r'"(dsar\.[a-z_.]+)"', source.read_text()))
    verbs = {verb for verb in found if not verb.startswith(elsewhere) and verb.removeprefix("dsar.") not in known}
    assert {"dsar.create", "dsar.letter.sent", "dsar.recipient.told"} < verbs
    assert {verb for verb in verbs if verb not in event_words.TITLES and verb.count(".") <= 2} == set()
    assert {"create", "update", "delete"} < set(event_words.TITLES)
    assert event_words.title_of("dsar.something.long_gone") == "Long gone"


@pytest.mark.parametrize("spelling", ["{0}-{1}", "{0}{1}", " {0}-{1} ", "lower"])
def test_a_request_is_found_by_its_reference(sign_in: SignIn, grievance: DsarRequest, spelling: str) -> None:
    with ADA.here():
        other = file("grievance", "C-2", details="Neither do they").request
    with MALLORY.here():
        theirs = file("grievance", "G-1").request
    first, second = grievance.reference.split("-")
    asked = grievance.reference.lower() if spelling == "lower" else spelling.format(first, second)
    listed = sign_in(ADA).get(f"{DSAR}/", {"q": asked}).content.decode()
    assert str(grievance.pk) in listed
    assert str(other.pk) not in listed
    assert str(theirs.pk) not in sign_in(ADA).get(f"{DSAR}/", {"q": theirs.reference}).content.decode()


def test_a_number_that_looks_like_a_reference_finds_its_requests_too(sign_in: SignIn, grievance: DsarRequest) -> None:
    number = grievance.reference.replace("-", "")
    with ADA.here():
        theirs = file("grievance", number, details="Mine").request
    listed = sign_in(ADA).get(f"{DSAR}/", {"q": number}).content.decode()
    assert str(grievance.pk) in listed
    assert str(theirs.pk) in listed


@pytest.mark.parametrize("name", ["assigned", "urgency", "q", "state__in", "request_type__exact"])
def test_a_filter_of_nonsense_is_an_empty_list_and_no_error(sign_in: SignIn, db: str, name: str) -> None:
    for value in ("\x00", "x" * 300, "%", "'"):
        assert sign_in(ADA).get(f"{DSAR}/", {name: value}).status_code in (200, 302), (name, value)


def test_an_objection_is_completed_with_what_it_was_to(sign_in: SignIn, db: str) -> None:
    with ADA.here():
        with transaction():
            jane = make_customer()
        row = file("objection", details="No more catalogues").request

    def is_suppressed() -> bool:
        with ADA.here(), transaction():
            return suppressions.is_suppressed(jane, channel="post", now=clock.now())

    client = sign_in(ADA)
    given = {"outcome": "completed", "resolution": "Taken off all lists"}
    for nothing in ("", "perhaps"):
        assert post(client, row, "complete", **given, direct_marketing=nothing).status_code == 200
    assert not is_suppressed()
    assert post(client, row, "complete", **given, direct_marketing="yes").status_code == 302
    assert is_suppressed()
    assert "Suppression on every channel" in page(client, row)
    with ADA.here():
        other = file("objection", details="No profiling").request
    assert post(client, other, "complete", **given, direct_marketing="no").status_code == 302
    assert row_of(other.pk).counts == {}
