"""E-mail addresses have one spelling, however they were written."""

import pytest

from customers.models import Customer
from customers.models.customer import normal_email
from kaireon.tenancy.context import transaction
from tests.customers.conftest import bring

SAME = {
    "jane@bücher.example": ("JANE@BÜCHER.Example", " jane@xn--bcher-kva.example ", "Jane@XN--Bcher-KVA.EXAMPLE"),
    "用户@例子.广告": ("用户@xn--fsqu00a.xn--4rr70v",),
    "o'brien+x@faß.de": ("O'Brien+X@xn--fa-hia.de",),
}
# No letters behind them, or not in their one form: two domains would become one.
AS_THEY_ARE = (
    "a@xn--admin-.example",
    "a@xn--.example",
    "a@xn--a.example",
    "a@xn--\u00fc.example",
    "a@xn--bcher-kva--.example",
    "xn--bcher-kva@example.com",
    "xn--bcher-kva",
)


def test_a_domain_is_the_same_in_letters_and_as_mail_servers_write_it() -> None:
    for spelling, others in SAME.items():
        for other in (spelling, *others):
            assert normal_email(other) == spelling, other
            assert normal_email(normal_email(other)) == spelling
    for address in AS_THEY_ARE:
        assert normal_email(address) == address
    # A capital letter, a space and a line break in disguise are no domain's.
    for label in ("Ü", "a\u00a0ü", "ü\u2028"):
        disguised = f"a@xn--{label.encode('punycode').decode().lower()}.example"
        assert normal_email(disguised) == disguised


@pytest.mark.usefixtures("ada")
def test_customers_are_found_by_either() -> None:
    bring("customers", {"customerId": "c-1", "email": "Jane@xn--bcher-kva.example"})
    with transaction():
        assert Customer.objects.get().email == "jane@bücher.example"
        for address in ("jane@bücher.example", "jane@xn--bcher-kva.EXAMPLE"):
            assert Customer.objects.at_address(address).count() == 1
