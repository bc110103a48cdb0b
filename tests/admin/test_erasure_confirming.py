"""An erasure in the admin: what would go is shown, and words are typed, before anything happens."""

import re
from typing import Any

from django.test import Client

from customers.models import Customer, Interaction
from dsar.models import DsarRequest
from dsar.requests import services
from kaireon.approvals import services as approvals
from kaireon.approvals.models import ApprovalRequest
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.admin.conftest import SignIn
from tests.admin.inline import refused
from tests.approvals.conftest import BEA, admins  # noqa: F401
from tests.cast import ADA, AUD, ED, VI
from tests.dsar.conftest import NUMBER, file, make_customer

FILE = "/admin/dsar/dsarrequest/erasure/"
DSAR = "/admin/dsar/dsarrequest"


def given(**more: str) -> dict[str, str]:
    today = clock.now().date().isoformat()
    return {"subject_id": NUMBER, "subject_type": "customer_id", "received_on": today, "regulation": "gdpr", **more}


def looked_at(page: str) -> str:
    found = re.search(r'name="looked_at" value="([0-9a-f]{64})"', page)
    assert found is not None, "nothing was shown to be confirmed"
    return found[1]


def requests() -> list[DsarRequest]:
    with ADA.here(), transaction():
        return list(DsarRequest.objects.newest_first())


def post(client: Client, path: str, data: dict[str, Any]) -> tuple[int, str]:
    answer = client.post(path, data)
    assert refused(answer) == []
    return answer.status_code, answer.content.decode()


def test_an_erasure_is_filed_after_its_plan_was_seen_and_the_customer_typed(sign_in: SignIn) -> None:
    with ADA.here(), transaction():
        customer = make_customer()
    client = sign_in(ADA)
    status, page = post(client, FILE, given())
    assert status == 200
    assert 'data-entity="interactionHistory" data-action="erase"' in page
    assert "Type C-17 to confirm the erasure" in page
    seen = looked_at(page)
    # A wrong word, none at all, somebody else's number, no look at the plan: nothing happens, and it is said.
    for typed in ("C-18", "c-17", "", "C-17 C-17", "\x00"):
        status, page = post(client, FILE, given(typed=typed, looked_at=seen))
        assert status == 200, typed
        assert "This is not the customer that you gave before. Nothing was done." in page or typed == "\x00", typed
        assert looked_at(page) == seen
    for unseen in ("", "0" * 64):
        status, page = post(client, FILE, given(typed=NUMBER, looked_at=unseen))
        assert (status, "changed meanwhile" in page) == (200, True), unseen
    # What was shown is not what would go now.
    with ADA.here(), transaction():
        Interaction.objects.create(customer=customer, kind="visit", external_id="late", occurred_at=clock.now())
    status, page = post(client, FILE, given(typed=NUMBER, looked_at=seen))
    assert (status, "changed meanwhile" in page) == (200, True)
    # Another customer than the one that was looked at.
    assert post(client, FILE, given(subject_id="C-99", typed="C-99", looked_at=looked_at(page)))[0] == 200
    assert requests() == []
    assert post(client, FILE, given(typed=f" {NUMBER} ", looked_at=looked_at(page)))[0] == 302
    assert [row.request_type for row in requests()] == ["delete"]
    for person in (ED, AUD, VI):
        other = sign_in(person)
        assert other.post(FILE, given(typed=NUMBER, looked_at=seen)).status_code == 403, person
    assert len(requests()) == 1


def test_an_address_is_typed_in_any_case_and_nobody_is_confirmed_too(sign_in: SignIn) -> None:
    client = sign_in(ADA)
    by_mail = given(subject_id="Jane.Doe@Example.com", subject_type="email")
    page = post(client, FILE, by_mail)[1]
    assert "Nobody is known by this name" in page
    answered = {**by_mail, "typed": "JANE.DOE@example.com", "looked_at": looked_at(page)}
    assert post(client, FILE, answered)[0] == 302
    for wrong in ({"received_on": "2999-01-01"}, {"received_on": "1999-12-31"}, {"subject_id": "x" * 255}):
        status, page = post(client, FILE, given(**wrong))
        assert (status, "looked_at" in page) == (200, False), wrong


def test_a_second_person_sees_the_plan_and_types_the_reference(sign_in: SignIn, admins: str) -> None:  # noqa: F811
    with ADA.here():
        with transaction():
            make_customer()
            approvals.demand_second_person("dsar.erase", demanded=True, now=clock.now())
        row = file("delete").request
        with transaction():
            asked = ApprovalRequest.objects.get()
    page = f"/admin/approvals/approvalrequest/{asked.pk}/approve/"
    bea = sign_in(BEA)
    shown = bea.get(page)
    assert refused(shown) == []
    text = shown.content.decode()
    assert "as planned" in text
    assert f"Type the reference of the request, {row.reference}," in text
    assert NUMBER not in text, "the reference names nobody"
    seen = looked_at(text)
    for typed in ("", NUMBER, "0000-0000", str(row.pk)):
        status, text = post(bea, page, {"comments": "", "typed": typed, "looked_at": seen})
        assert (status, "This is not the reference of the request" in text) == (200, True), typed
    assert post(bea, page, {"comments": "", "typed": row.reference, "looked_at": "0" * 64})[0] == 200
    # The one who asked cannot, whatever they type; a no needs no words.
    status, text = post(sign_in(ADA), page, {"comments": "", "typed": row.reference, "looked_at": seen})
    assert (status, "your own request" in text) == (200, True)
    assert requests()[0].state == "approval"
    assert post(bea, page, {"comments": "", "typed": row.reference.lower(), "looked_at": seen})[0] == 302
    assert requests()[0].state == "queued"


def test_whoever_vouches_for_the_subject_of_an_erasure_confirms_it(sign_in: SignIn) -> None:
    with ADA.here():
        with transaction():
            make_customer()
            row = services.create_request(
                request_type="delete", subject_id=NUMBER, identity_by="vouched", actor=ADA.actor, now=clock.now()
            ).request
        export = file("export", identity_by="vouched").request
    client = sign_in(ADA)
    page = f"{DSAR}/{row.pk}/prove/"
    seen = looked_at(client.get(page).content.decode())
    told = {"seen": "", "reason": "I know her"}
    assert post(client, page, told)[0] == 200
    assert post(client, page, {**told, "typed": "nothing", "looked_at": seen})[0] == 200
    assert {r.state for r in requests()} == {"identity"}
    assert post(client, page, {**told, "typed": row.reference, "looked_at": seen})[0] == 302
    assert {r.request_type: r.state for r in requests()} == {"delete": "queued", "export": "identity"}
    # What erases nothing asks for nothing.
    assert "looked_at" not in client.get(f"{DSAR}/{export.pk}/prove/").content.decode()
    assert post(client, f"{DSAR}/{export.pk}/prove/", told)[0] == 302
    with ADA.here(), transaction():
        assert Customer.objects.filter(customer_id=NUMBER).exists()
