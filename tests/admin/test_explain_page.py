"""The page that tells why a record is kept."""

import pytest

from compliance.retention import policies
from customers.models import Customer
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.admin.conftest import SignIn
from tests.admin.inline import refused
from tests.cast import ADA, MALLORY, VI

PAGE = "/admin/compliance/retentionpolicy/explain/"


@pytest.fixture
def customer(db: str) -> Customer:
    with ADA.here(), transaction():
        policies.upsert_policy(data_class="profiles", retention_days=400, actor=ADA.actor, now=clock.now())
        return Customer.objects.create(customer_id="c-1", name="Somebody", last_activity_at=clock.now())


def test_a_customers_page_leads_to_it(customer: Customer, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    page = client.get(f"/admin/customers/customer/{customer.pk}/change/").content.decode()
    link = f"{PAGE}?entity=customer&amp;id={customer.pk}"
    assert link in page
    answer = client.get(link.replace("&amp;", "&"))
    assert refused(answer) == []
    said = answer.content.decode()
    assert "Its class is kept 400 days" in said
    assert "Policy, version 1" in said
    assert "erasure" in said
    # Nothing that names them.
    assert "Somebody" not in said


def test_who_may_not_ask_is_not_led_there(customer: Customer, sign_in: SignIn) -> None:
    client = sign_in(VI)
    page = client.get(f"/admin/customers/customer/{customer.pk}/change/").content.decode()
    assert "What is known about this customer" in page
    assert PAGE not in page
    assert client.get(PAGE).status_code == 403


@pytest.mark.parametrize("row_id", ["7", "", "no-uuid", "0190a5e0-0000-7000-8000-0000000000ff"])
def test_what_is_not_there_is_said(row_id: str, customer: Customer, sign_in: SignIn) -> None:
    answer = sign_in(ADA).get(PAGE, {"entity": "customer", "id": row_id})
    assert answer.status_code == 200
    assert ('role="alert"' in answer.content.decode()) is bool(row_id)


def test_another_tenants_record_is_not_there(customer: Customer, sign_in: SignIn) -> None:
    page = sign_in(MALLORY).get(PAGE, {"entity": "customer", "id": str(customer.pk)}).content.decode()
    assert "There is no such record." in page
