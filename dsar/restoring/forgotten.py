"""Whom a restored database has again: the people of an entry of the journal, found by their keyed hashes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from audit.models import SubjectKey
from customers import subjects
from customers.models import Customer
from dsar.journal import entries
from dsar.models import ErasureEntry
from kaireon.lib.masking import KeyedHash
from kaireon.lib.progress import Progress
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction

_AT_ONCE = 2000


@dataclass
class Found:
    """By number of entry: customers that are there again, and people of whom only a key to the log's values is."""

    customers: dict[int, list[UUID]] = field(default_factory=dict)
    keys: dict[int, list[UUID]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Hashes:
    """How ids and numbers are hashed under one master key."""

    ref: KeyedHash
    number: KeyedHash


def said(row: ErasureEntry) -> list[dict[str, str | None]]:
    """The keyed hashes of those whom an entry is about. Raises JournalBroken."""
    content = bytes(row.content)
    found: list[dict[str, str | None]] = entries.opened(content, form=entries.ENTRY, name=str(row))["subjects"]
    return found


@requires_transaction
def find(rows: Iterable[ErasureEntry], *, label: str, quiet: bool = False) -> Found:
    """Look through all customers of the active tenant once, and through the keys of its log: memory does not grow.

    A customer is the same by our own id, or by their number, which is one person's in a tenant. Raises JournalBroken,
    and UnknownKeyVersion when a master key is missing by which an entry was keyed.
    """
    wanted: dict[str, int] = {}
    for row in rows:
        for subject in said(row):
            for key in (subject["ref"], subject["number"]):
                if key:
                    wanted[key] = row.number
    found = Found()
    if not wanted:
        return found
    hashes = [
        _Hashes(entries.ref_key(version), subjects.number_hash(version))
        for version in sorted({int(key.partition(":")[0].removeprefix("v")) for key in wanted})
    ]
    there: set[UUID] = set()
    customers = Customer.objects.order_by("pk")
    with Progress(label, total=customers.count(), quiet=quiet) as progress:
        for pk, number in customers.values_list("pk", "customer_id").iterator(chunk_size=_AT_ONCE):
            if (entry := _first(wanted, _keys_of(pk, number, hashes))) is not None:
                found.customers.setdefault(entry, []).append(pk)
                there.add(pk)
            progress.advance(1)
    for ref in _living_keys():
        if ref not in there and (entry := _first(wanted, (one.ref(str(ref)) for one in hashes))) is not None:
            found.keys.setdefault(entry, []).append(ref)
    return found


def _keys_of(pk: UUID, number: str, hashes: list[_Hashes]) -> Iterator[str]:
    for one in hashes:
        yield one.ref(str(pk))
        yield one.number(subjects.number_text(number))


def _first(wanted: dict[str, int], keys: Iterable[str]) -> int | None:
    return next((wanted[key] for key in keys if key in wanted), None)


def _living_keys() -> Iterator[UUID]:
    living = SubjectKey.objects.filter(tenant_id=context.tenant_id(), destroyed_at=None, key_version__gt=0)
    for subject in living.values_list("subject_id", flat=True).iterator(chunk_size=_AT_ONCE):
        try:
            yield UUID(subject)
        except ValueError:
            # A subject of another kind.
            continue
