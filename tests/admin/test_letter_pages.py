"""Letters in the admin: on a request's page, previewed, sent otherwise; and in the tenant's own words."""

from typing import Any

import pytest
from django.test import Client

from audit.models import AuditRecord
from audit.services import drain
from dsar.letters import manner, texts
from dsar.models import DsarRequest, Letter, LetterTemplate
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.admin.conftest import SignIn
from tests.cast import ACME, ADA, MALLORY, VI
from tests.dsar.conftest import file, make_customer

DSAR = "/admin/dsar/dsarrequest"
WORDS = "?kind=refusal&language=de"


@pytest.fixture
def grievance(db: str) -> DsarRequest:
    with ADA.here():
        with transaction():
            make_customer(email="")
            manner.change({"automatic": True}, now=clock.now())
        return file("grievance", details="You never answer").request


def html(client: Client, path: str) -> str:
    answered = client.get(f"{DSAR}/{path}")
    assert answered.status_code == 200, path
    return answered.content.decode()


def test_a_letter_is_listed_read_with_a_record_and_noted_as_sent_otherwise(
    sign_in: SignIn, grievance: DsarRequest
) -> None:
    client = sign_in(ADA)
    with ADA.here(), transaction():
        letter = Letter.objects.get()
    page = html(client, f"{grievance.pk}/change/")
    assert "To be sent by other means" in page
    assert f"?letter={letter.pk}" in page
    shown = html(client, f"{grievance.pk}/letter/?letter={letter.pk}")
    assert "We have received your request" in shown
    mark = f"{DSAR}/{grievance.pk}/by-means/?letter={letter.pk}"
    assert mark in shown
    assert f"{DSAR}/{grievance.pk}/resend/" not in shown
    assert client.post(mark, {"evidence": ""}).status_code == 200
    assert client.post(mark, {"evidence": "By post, RR123"}).status_code == 302
    assert "was sent" in client.post(mark, {"evidence": "again"}).content.decode()
    assert "By post, RR123" in html(client, f"{grievance.pk}/letter/?letter={letter.pk}")
    drain(ACME)
    with ADA.here(), transaction():
        assert AuditRecord.objects.filter(action="dsar.letter.read", entity_id=str(letter.pk)).count() == 2
    for wanted in ("", "?letter=x", "?letter=00000000-0000-0000-0000-000000000000"):
        assert client.get(f"{DSAR}/{grievance.pk}/letter/{wanted}").status_code == 404
    for person, status in ((VI, 403), (MALLORY, 404)):
        assert sign_in(person).get(f"{DSAR}/{grievance.pk}/letter/?letter={letter.pk}").status_code == status


def test_a_refusal_and_an_extension_are_seen_before_they_are_sent(sign_in: SignIn, grievance: DsarRequest) -> None:
    client = sign_in(ADA)
    path = f"{DSAR}/{grievance.pk}/preview/"

    def preview(**given: object) -> str:
        answered = client.post(path, {"kind": "refusal", "language": "", "ground": "", "reason": "", **given})
        assert answered.status_code == 200
        return answered.content.decode()

    assert "Preview a letter" in html(client, f"{grievance.pk}/change/")
    assert "Say on which ground" in preview()
    refusal = preview(ground="excessive", reason="Daily since May", language="de")
    for said in ("exzessiv", "Art. 12 Abs. 5 Buchst. b DSGVO", "Daily since May", "Art. 79 DSGVO"):
        assert said in refusal, said
    assert "forty systems" in preview(kind="extension", reason="forty systems")
    with ADA.here(), transaction():
        assert Letter.objects.count() == 1
        assert DsarRequest.objects.get().status == "queued"


def test_letters_are_turned_on_and_say_it_in_the_tenants_words(sign_in: SignIn, db: str) -> None:
    client = sign_in(ADA)
    assert "Letters are off" in html(client, "letters/")
    given = {"automatic": "on", "language": "de", "sender": "privacy@acme.example", "contact": "a\r\nBcc: b@c"}
    refused = client.post(f"{DSAR}/letters/settings/", given)
    assert refused.status_code in (200, 302)
    with ADA.here(), transaction():
        assert "\n" not in manner.of_tenant().contact
    assert client.post(f"{DSAR}/letters/settings/", {**given, "contact": "to us."}).status_code == 302
    page = html(client, "letters/")
    assert "Letters are on" in page
    assert "privacy@acme.example" in page
    form = html(client, f"letters/wording/{WORDS}")
    assert "Unsere Antwort auf Ihren Antrag" in form
    own = {"subject": "Nein ({{ reference }})", "body": "Leider nein. {{ ground }} ({{ article }})\n{{ remedies }}"}

    def send(**more: object) -> Any:
        return client.post(f"{DSAR}/letters/wording/{WORDS}", {**own, **more})

    assert "Leider nein. " in send(look="").content.decode()
    with ADA.here(), transaction():
        assert not LetterTemplate.objects.exists()
    assert "no tags" in send(save="", body=own["body"] + "{% load x %}").content.decode()
    assert send(save="").status_code == 302
    assert send(save="", subject="Nein").status_code == 302
    assert "your own words, version 2" in html(client, "letters/")
    assert send(restore="").status_code == 302
    with ADA.here(), transaction():
        assert list(LetterTemplate.objects.order_by("version").values_list("version", "subject")) == [
            (1, own["subject"]),
            (2, "Nein"),
            (3, ""),
        ]
        assert texts.template_for("refusal", "de").version == 0
    assert client.get(f"{DSAR}/letters/wording/?kind=refusal&language=xx").status_code == 404
    for path in ("letters/settings/", f"letters/wording/{WORDS}"):
        assert sign_in(VI).get(f"{DSAR}/{path}").status_code == 403
