"""Recipients of the data in the admin: added, changed, told nothing more."""

from typing import Any

import pytest

from audit.models import AuditRecord
from audit.services import drain
from dsar.models import Recipient
from dsar.recipients import recipients
from kaireon.lib import clock
from kaireon.outbox import destinations
from kaireon.tenancy.context import transaction
from tests.admin.conftest import SignIn
from tests.admin.inline import refused
from tests.cast import ACME, ADA, AUD, ED, MALLORY, VI

PAGES = "/admin/dsar/recipient"
SHOP = {"name": "The Shop", "destination": "shop", "knows_by": "customer_id", "sections": ["deliveries", "profile"]}


@pytest.fixture
def ways(db: str) -> None:
    with ADA.here(), transaction():
        for name, kind, given in (("shop", "stream", {"stream": "s"}), ("lab", "stream", {"stream": "l"})):
            destinations.save(name=name, kind=kind, given=given, now=clock.now())
        destinations.save(name="post", kind="email", given={}, now=clock.now())


def all_of() -> list[dict[str, Any]]:
    with ADA.here(), transaction():
        fields = ("name", "destination__name", "knows_by", "sections", "is_enabled")
        return list(Recipient.objects.order_by("name").values(*fields))


def test_one_is_added_changed_and_told_nothing_more(sign_in: SignIn, ways: None) -> None:
    client = sign_in(ADA)
    asked = client.get(f"{PAGES}/add-recipient/")
    assert refused(asked) == []
    # A notice is no mail.
    assert 'value="shop"' in asked.content.decode()
    assert 'value="post"' not in asked.content.decode()
    assert client.post(f"{PAGES}/add-recipient/", {**SHOP, "destination": "post"}).status_code == 200
    assert all_of() == []
    assert client.post(f"{PAGES}/add-recipient/", SHOP).status_code == 302
    made = {"name": "The Shop", "destination__name": "shop", "knows_by": "customer_id", "is_enabled": True}
    assert all_of() == [{**made, "sections": ["deliveries", "profile"]}]
    # Added once: another of that name would change the first unawares.
    assert "change that one" in client.post(f"{PAGES}/add-recipient/", SHOP).content.decode()
    with ADA.here(), transaction():
        pk = Recipient.objects.get().pk
    page = client.get(f"{PAGES}/{pk}/change/").content.decode()
    assert f"{PAGES}/{pk}/stop/" in page
    assert f"{PAGES}/{pk}/resume/" not in page
    changed = {"destination": "lab", "knows_by": "email", "sections": []}
    assert client.post(f"{PAGES}/{pk}/change-recipient/", changed).status_code == 302
    lab = {**made, "destination__name": "lab", "knows_by": "email", "sections": []}
    assert all_of() == [lab]
    assert client.post(f"{PAGES}/{pk}/stop/", {}).status_code == 302
    assert all_of() == [{**lab, "is_enabled": False}]
    # Changed while off it stays off.
    assert client.post(f"{PAGES}/{pk}/change-recipient/", changed).status_code == 302
    assert all_of() == [{**lab, "is_enabled": False}]
    assert "Told nothing more" in client.get(f"{PAGES}/").content.decode()
    assert client.post(f"{PAGES}/{pk}/resume/", {}).status_code == 302
    assert all_of() == [lab]
    drain(ACME)
    with ADA.here(), transaction():
        assert AuditRecord.objects.filter(action="dsar.recipient.save", entity_id=str(pk)).count() == 5


def test_nobody_else_changes_them(sign_in: SignIn, ways: None) -> None:
    with ADA.here(), transaction():
        row = recipients.save(**SHOP, now=clock.now())
    before = all_of()
    for person in (ED, AUD, VI, MALLORY):
        client = sign_in(person)
        for verb in ("change-recipient", "stop", "resume"):
            assert client.post(f"{PAGES}/{row.pk}/{verb}/", SHOP).status_code in (403, 404), (person.role, verb)
    assert sign_in(MALLORY).get(f"{PAGES}/{row.pk}/change/").status_code == 302
    assert all_of() == before
