"""The certificate of an erasure in the admin."""

import pytest

from customers import models as m
from dsar.models import Certificate, DsarRequest
from kaireon.tenancy.context import transaction
from tests.admin.conftest import SignIn
from tests.cast import ADA, AUD, MALLORY
from tests.dsar.certified import taken
from tests.dsar.conftest import NUMBER, SECRETS, answer, file, make_customer

PAGE = "/admin/dsar/dsarrequest/{}/certificate/"


@pytest.fixture
def erased(db: str) -> DsarRequest:
    with ADA.here():
        with transaction():
            make_customer()
        return answer(file("delete"))


def test_the_first_look_issues_it_and_shows_what_it_says(erased: DsarRequest, sign_in: SignIn) -> None:
    ada = sign_in(ADA)
    assert PAGE.format(erased.pk) in ada.get(f"/admin/dsar/dsarrequest/{erased.pk}/change/").content.decode()
    page = ada.get(PAGE.format(erased.pk))
    text = page.content.decode()
    with ADA.here(), transaction():
        row = Certificate.objects.get()
    for word in (row.sha256, row.key_id, erased.pseudonym, "GDPR Art. 17(1)", "Customer profile", "?format=json"):
        assert word in text, word
    assert not any(secret in text for secret in (*SECRETS, NUMBER))
    signed = ada.get(PAGE.format(erased.pk), {"format": "json"})
    with ADA.here():
        assert signed.content == taken(erased)
    printed = ada.get(PAGE.format(erased.pk), {"format": "html"})
    assert printed["Content-Disposition"].endswith('.html"')
    assert "How to check it" in printed.content.decode()


def test_it_refuses(erased: DsarRequest, sign_in: SignIn) -> None:
    with ADA.here():
        waiting = file("delete", "C-99").request
    ada = sign_in(ADA)
    assert PAGE.format(waiting.pk) not in ada.get(f"/admin/dsar/dsarrequest/{waiting.pk}/change/").content.decode()
    page = ada.get(PAGE.format(waiting.pk)).content.decode()
    assert "There is no certificate." in page
    assert "it has a certificate when it is completed" in page
    assert ada.get(PAGE.format(erased.pk), {"format": "pdf"}).status_code == 400
    assert ada.post(PAGE.format(erased.pk)).status_code == 405
    assert sign_in(MALLORY).get(PAGE.format(erased.pk)).status_code == 404
    assert sign_in(AUD).get(PAGE.format(erased.pk)).status_code == 403
    with ADA.here(), transaction():
        assert not Certificate.objects.exists()
        assert not m.Customer.objects.exists()
