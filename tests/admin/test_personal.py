"""Personal values: in the clear for those who may read them, masked for the rest, and not to be guessed."""

import pytest

from customers.models import Customer
from kaireon.tenancy.context import transaction
from tests.admin.conftest import Rows, SignIn
from tests.cast import ADA, VI

LIST = "/admin/customers/customer/"


@pytest.fixture
def nils(rows: Rows) -> Customer:
    with ADA.here(), transaction():
        return Customer.objects.create(
            customer_id="N-77001", name="Nils Öberg", email="Nils@Example.org", phone="+46 8 465 004 15"
        )


def test_an_administrator_sees_values_a_viewer_masks(nils: Customer, sign_in: SignIn) -> None:
    page = f"{LIST}{nils.pk}/change/"
    for path in (LIST, page):
        clear, masked = sign_in(ADA).get(path).content.decode(), sign_in(VI).get(path).content.decode()
        for value in ("Nils Öberg", "nils@example.org", "N-77001"):
            assert value in clear
            assert value not in masked
        assert "n***@example.org" in masked


def test_rows_about_a_customer_do_not_name_them_to_a_viewer(rows: Rows, sign_in: SignIn) -> None:
    viewer = sign_in(VI)
    for name in (
        "interaction",
        "delivery",
        "identitylink",
        "consentrecord",
        "decisiontrace",
        "attachment",
        "dynamicrow",
    ):
        page = viewer.get(f"/admin/customers/{name}/").content.decode()
        assert "A-01500" not in page
        assert "@example" not in page.replace("***@example", "")


@pytest.mark.parametrize("term", ["N-77001", "nils@example.org", "NILS@EXAMPLE.ORG", "nils  öberg", "NILS ÖBERG"])
def test_a_customer_is_found_by_number_address_and_name(term: str, nils: Customer, sign_in: SignIn) -> None:
    for person in (ADA, VI):
        assert str(nils.pk) in sign_in(person).get(LIST, {"q": term}).content.decode()


def test_beginnings_find_for_those_who_see_values_only(nils: Customer, sign_in: SignIn) -> None:
    for term in ("N-77", "nils@", "Nils"):
        assert str(nils.pk) in sign_in(ADA).get(LIST, {"q": term}).content.decode()
        assert str(nils.pk) not in sign_in(VI).get(LIST, {"q": term}).content.decode()


@pytest.mark.parametrize("query", ["email__startswith=n", "name__contains=N", "phone__regex=4", "tenant__id=globex"])
def test_addresses_of_pages_do_not_ask_columns(query: str, nils: Customer, sign_in: SignIn) -> None:
    answer = sign_in(VI).get(f"{LIST}?{query}")
    assert answer.status_code == 400


@pytest.mark.parametrize("query", ["o=1", "o=2.3", "o=-99", "p=0", "p=9999", "q=%00", "customer=x", "e=1", "all=1"])
def test_odd_addresses_are_answered(query: str, nils: Customer, sign_in: SignIn) -> None:
    for page in (LIST, "/admin/customers/interaction/", "/admin/audit/auditrecord/"):
        assert sign_in(ADA).get(f"{page}?{query}").status_code in (200, 302, 400)


def test_names_are_shown_not_run(sign_in: SignIn) -> None:
    nasty = "<script>alert(1)</script>"
    with ADA.here(), transaction():
        row = Customer.objects.create(customer_id=nasty, name=nasty, attributes={nasty: nasty})
    client = sign_in(ADA)
    for path in (LIST, f"{LIST}{row.pk}/change/", f"{LIST}?q={nasty}", "/admin/"):
        assert nasty not in client.get(path).content.decode()
