"""Keys under which erased people are still recognised, and by which nobody can find out who they were.

A key is HMAC-SHA256 of the customer's own number or e-mail address under the tenant's key. Somebody who has the number
can ask whether it is on the list; the list gives no number away.
"""

from customers.models.customer import normal_email
from kaireon.lib.masking import KeyedHash, keyed_hashes
from kaireon.tenancy import context
from kaireon.tenancy.keyring import keyring

_PURPOSE = "erased subject"


def number_key(customer_id: str) -> str:
    """The key of a customer's number under the newest master key: what erasure writes."""
    return _newest()(number_text(customer_id))


def email_key(email: str) -> str:
    """The key of an e-mail address, or "" when there is none."""
    return _newest()(email_text(email)) if email else ""


def number_keys(customer_id: str) -> list[str]:
    """The keys of a number under every master key: what to look up."""
    return _all(number_text(customer_id))


def email_keys(email: str) -> list[str]:
    return _all(email_text(email)) if email else []


def number_hash(version: int) -> KeyedHash:
    """How numbers were keyed under one master key: for looking through many."""
    return KeyedHash(keyring=keyring(), tenant_id=context.tenant_id(), purpose=_PURPOSE, version=version)


def number_text(customer_id: str) -> str:
    """What of a number is keyed."""
    return f"number:{customer_id}"


def email_text(email: str) -> str:
    """What of an e-mail address is keyed."""
    return f"email:{normal_email(email)}"


def all_keys(*, customer_id: str, email: str) -> list[str]:
    return number_keys(customer_id) + email_keys(email)


def _newest() -> KeyedHash:
    return KeyedHash(keyring=keyring(), tenant_id=context.tenant_id(), purpose=_PURPOSE)


def _all(value: str) -> list[str]:
    return keyed_hashes(value, keyring=keyring(), tenant_id=context.tenant_id(), purpose=_PURPOSE)
