"""Who was erased is not taken in again unawares, and comes back when they want to."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from audit import services as audit_log
from audit.models import AuditRecord
from customers import consents, ingest, returns, suppressions
from customers import models as m
from kaireon.lib import clock
from kaireon.tenancy.context import current, transaction
from tests.caller import error_of, with_key
from tests.cast import ADA, MALLORY, PASSWORD
from tests.dsar.conftest import EMAIL, NUMBER, answer, file, make_customer
from tests.dsar.test_erasure import _hold

WHY = "A new contract, signed on 3 May."


@pytest.fixture
def erased(jane: m.Customer) -> m.Customer:
    answer(file("delete"))
    return jane


def bring(*rows: dict[str, Any]) -> ingest.Outcome:
    with transaction():
        return ingest.ingest_customers(rows, now=clock.now())


def let_in(**who: str) -> int:
    with transaction():
        return returns.let_in(**{"reason": WHY, **who}, actor=current().actor, now=clock.now())


def there(number: str) -> bool:
    with transaction():
        return m.Customer.objects.numbered(number).exists()


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"customerId": NUMBER, "name": "Jane"}, "customerId"),
        ({"customerId": f" {NUMBER} "}, "customerId"),
        ({"customerId": "C-18", "email": EMAIL.upper()}, "email"),
    ],
)
def test_a_batch_does_not_bring_them_back(erased: m.Customer, row: dict[str, Any], field: str) -> None:
    outcome = bring({"customerId": "C-20"}, row, {"customerId": "C-21"})
    assert outcome.created == 2
    [error] = outcome.errors
    assert (error.index, error.field) == (1, field)
    # What to do, and not who it was.
    assert "customer_return" in error.message
    assert not any(word in error.message for word in (NUMBER, EMAIL, "Jane"))
    assert not there(row["customerId"])


def test_nor_does_a_batch_that_names_them_twice(erased: m.Customer) -> None:
    outcome = bring({"customerId": NUMBER}, {"customerId": NUMBER, "email": "other@example.com"})
    assert (outcome.created, len(outcome.errors)) == (0, 2)


def test_nor_do_several_rows_with_their_address(erased: m.Customer) -> None:
    outcome = bring(
        *({"customerId": f"C-5{n}", "email": EMAIL} for n in range(3)), {"customerId": NUMBER, "email": EMAIL}
    )
    assert outcome.created == 0
    assert [error.field for error in outcome.errors] == ["email", "email", "email", "customerId"]


def test_nor_over_http_nor_from_a_file(erased: m.Customer, tmp_path: Path) -> None:
    said = with_key("ed").post("/customers", {"customers": [{"customerId": NUMBER}]}).json()
    assert (said["created"], said["errors"][0]["message"]) == (0, returns.REFUSED)
    brought = tmp_path / "customers.csv"
    brought.write_text(f"customerId,email\nC-30,\n{NUMBER},{EMAIL}\nC-31,{EMAIL}\n")
    call_command("import_customers", brought, tenant="acme", format="csv", verbosity=0, stdout=StringIO())
    rejects = brought.with_name("customers.csv.rejects.csv").read_text()
    assert rejects.count("customer_return") == 2
    assert not any(word in rejects for word in (NUMBER, EMAIL))
    assert (there("C-30"), there(NUMBER), there("C-31")) == (True, False, False)
    # What they do is nobody's either.
    bought = with_key("ed").post(
        "/interactions",
        {
            "interactions": [
                {"customerId": NUMBER, "externalId": "x", "kind": "purchase", "occurredAt": "2026-01-01T00:00:00Z"}
            ]
        },
    )
    assert bought.json()["created"] == 0


def test_neighbours_and_other_tenants_are_not_meant(erased: m.Customer) -> None:
    assert bring({"customerId": "C-99", "name": "Still here"}).updated == 1
    with MALLORY.here():
        assert bring({"customerId": NUMBER, "email": EMAIL}).created == 1
        with pytest.raises(returns.NobodyToLetIn):
            let_in(customer_id=NUMBER)
    assert bring({"customerId": NUMBER}).created == 0


def test_an_address_that_a_family_shares_shuts_out_nobody(jane: m.Customer) -> None:
    with transaction():
        make_customer("C-40", EMAIL)
    answer(file("delete"))
    assert bring({"customerId": "C-41", "email": EMAIL}).created == 1
    assert bring({"customerId": NUMBER}).created == 0


def test_nobody_is_shut_out_by_an_erasure_that_did_not_happen(jane: m.Customer) -> None:
    answer(file("delete", "nobody"))
    assert bring({"customerId": "nobody"}).created == 1


def test_what_a_hold_left_does_not_let_them_in(jane: m.Customer) -> None:
    _hold("interactions")
    answer(file("delete"))
    assert bring({"customerId": NUMBER}).created == 0


@pytest.mark.parametrize("who", [{"customer_id": NUMBER}, {"customer_id": NUMBER, "email": EMAIL}])
def test_they_come_back_by_their_own_will_and_their_opt_outs_stay(erased: m.Customer, who: dict[str, str]) -> None:
    released = let_in(**who)
    assert released == len(who)
    row = {"customerId": NUMBER, "email": EMAIL if "email" in who else "new@example.com"}
    assert bring(row).created == 1
    with transaction():
        returned = m.Customer.objects.numbered(NUMBER).get()
        assert suppressions.is_suppressed(returned, channel="email", now=clock.now())
        assert consents.standing(returned) == {("email", "news"): "withdrawn"}
        assert not consents.may_contact(returned, channel="email", purpose="news", now=clock.now())
    audit_log.drain("acme")
    with transaction():
        records = list(AuditRecord.objects.filter(action="customer.return"))
    assert len(records) == released
    assert {(r.user_name, r.after["reason"]) for r in records} == {("Ada", WHY)}
    assert not any(NUMBER in str(r.changes) + str(r.after) for r in records)
    # Erased again, they are shut out again.
    answer(file("delete"))
    assert bring(row).created == 0


def test_letting_in_refuses(erased: m.Customer) -> None:
    for who in ({"customer_id": "C-99"}, {"email": "x@example.com"}, {}, {"customer_id": "  "}):
        with pytest.raises(returns.NobodyToLetIn):
            let_in(**who)
    for reason in ("", "   ", "a\x00b", "x" * 501):
        with pytest.raises(returns.NoReason):
            let_in(customer_id=NUMBER, reason=reason)
    assert let_in(customer_id=NUMBER) == 1
    with pytest.raises(returns.NobodyToLetIn):
        let_in(customer_id=NUMBER)


def test_letting_in_over_http(erased: m.Customer) -> None:
    path, body = "/customer-returns", {"customerId": NUMBER, "reason": WHY}
    for nick in ("ed", "vi", "aud"):
        assert with_key(nick).post(path, body).status_code == 403, nick
    assert with_key("mallory").post(path, body).status_code == 404
    assert with_key("ada").post(path, {"reason": WHY}).status_code == 400
    for bad in ({"reason": ""}, {"customerId": NUMBER}, {**body, "email": "no address"}, {**body, "more": 1}):
        assert with_key("ada").post(path, bad).status_code == 400, bad
    assert with_key("ada").post(path, body).json() == {"released": 1}
    again = with_key("ada").post(path, body)
    assert (again.status_code, NUMBER in error_of(again)["message"]) == (404, False)


def test_the_admin_lets_them_in(erased: m.Customer) -> None:
    ada = Client()
    ada.post("/admin/login/", {"username": ADA.email, "password": PASSWORD})
    page = "/admin/customers/erasedsubject/"
    assert NUMBER not in ada.get(page).content.decode()
    given = {"customer_id": "C-99", "email": "", "reason": WHY}
    assert "Nobody who was erased" in ada.post(f"{page}let-in/", given).content.decode()
    assert ada.post(f"{page}let-in/", {**given, "customer_id": NUMBER}).status_code == 302
    assert WHY in ada.get(page).content.decode()
    assert bring({"customerId": NUMBER}).created == 1


def test_letting_in_by_command(erased: m.Customer, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("customer_return", tenant="acme", customer_id=NUMBER, email=EMAIL, reason=WHY)
    assert "2 keys released" in capsys.readouterr().out
    with pytest.raises(CommandError, match="Nobody who was erased"):
        call_command("customer_return", tenant="acme", customer_id=NUMBER, reason=WHY)
    assert bring({"customerId": NUMBER, "email": EMAIL}).created == 1
