"""The form of the journal: an entry for each erasure that took rows, and statements of how many entries there are.

Both are canonical JSON with a MAC under a key derived from SEALING_KEYS, which is not in the database. An entry holds
the hash of the one before it. Who was erased stands in it as keyed hashes, which can be computed again from the rows
of a restored database, and from nothing else.
"""

import hmac
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from customers import returns, subjects
from customers.models import Customer
from dsar.requests.subjects import is_remnant
from kaireon.lib import clock
from kaireon.lib.canonical import NotCanonical, canonical, loads_exact
from kaireon.lib.masking import KeyedHash
from kaireon.lib.sealing import UnknownKeyVersion
from kaireon.tenancy import context
from kaireon.tenancy.keyring import keyring

ENTRY = "kaireon-erasure-1"
STATEMENT = "kaireon-erasures-1"
_SEALING = "erasure journal"
_WHO = "erasure journal subject"


class JournalBroken(RuntimeError):
    """The journal does not hold: an object was changed, exchanged or removed. The message names it and says why."""


def entry_name(number: int) -> str:
    return f"{folder()}/{file_name(number)}"


def file_name(number: int) -> str:
    """Of an entry, in the folder of its tenant."""
    return f"{number:018d}.json"


def folder() -> str:
    return f"erasures/{context.current().tenant_id}"


def statement_name(checkpoint: str) -> str:
    """`checkpoint`: the file name of its object."""
    return f"{folder()}/at/{checkpoint.removesuffix('.txt')}.json"


def who(customer: Customer) -> dict[str, str | None]:
    """Keyed hashes of a customer, before they are erased. What an earlier erasure left has no number any more.

    The address is there only where it shuts somebody out: one that others share says nothing about whose data it is.
    """
    is_nameless = is_remnant(customer)
    return {
        "ref": ref_key()(str(customer.pk)),
        "number": None if is_nameless else subjects.number_key(customer.customer_id),
        "email": returns.address_key(customer) or None,
    }


def ref_key(version: int | None = None) -> KeyedHash:
    """How our own id of a customer, or of whose key the log has, stands in the journal."""
    return KeyedHash(keyring=keyring(), tenant_id=context.tenant_id(), purpose=_WHO, version=version)


def entry(
    *,
    number: int,
    previous: str | None,
    request_id: UUID,
    subjects: list[dict[str, str | None]],
    counts: Mapping[str, Any],
    now: datetime,
) -> bytes:
    """`previous`: the hash of the entry before, None for the first."""
    said = {
        "format": ENTRY,
        "tenantId": context.tenant_id(),
        "number": number,
        "previous": previous,
        "requestId": str(request_id),
        "erasedAt": clock.rfc3339(now),
        "subjects": subjects,
        "counts": dict(counts),
    }
    return _sealed(said)


def statement(*, tree_size: int, number: int, last: str | None) -> bytes:
    """That there were so many entries, the last with this hash, when the checkpoint of this size was published."""
    said = {
        "format": STATEMENT,
        "tenantId": context.tenant_id(),
        "treeSize": tree_size,
        "number": number,
        "last": last,
    }
    return _sealed(said)


def opened(content: bytes, *, form: str, name: str) -> dict[str, Any]:
    """What an object of the journal says. Raises JournalBroken unless this installation wrote it, for this tenant."""
    try:
        said: Any = loads_exact(content.decode())
        mac = said.pop("mac")
        version = int(mac.partition(":")[0].removeprefix("v"))
        expected = _mac(said, version)
    except UnknownKeyVersion as error:
        raise JournalBroken(f"{name} was written under a version that SEALING_KEYS does not have: {error}") from error
    except (UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError, NotCanonical) as error:
        raise JournalBroken(f"{name} is no object of the journal, or only a part of one") from error
    # As bytes: text beyond ASCII is not compared.
    is_ours = hmac.compare_digest(expected.encode(), mac.encode(errors="replace"))
    if not is_ours or content != canonical({**said, "mac": mac}):
        raise JournalBroken(f"{name} is not as it was written: its seal does not hold")
    if said["format"] != form or said["tenantId"] != context.tenant_id():
        raise JournalBroken(f"{name} belongs somewhere else: it was moved here")
    return dict(said)


def digest(content: bytes) -> str:
    return sha256(content).hexdigest()


def _sealed(said: dict[str, Any]) -> bytes:
    return canonical({**said, "mac": _mac(said, keyring().newest)})


def _mac(said: Mapping[str, Any], version: int) -> str:
    keyed = KeyedHash(keyring=keyring(), tenant_id=context.tenant_id(), purpose=_SEALING, version=version)
    return keyed(canonical(dict(said)).decode())
