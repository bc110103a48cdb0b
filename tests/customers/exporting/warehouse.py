"""The side that reads exported files, and writers that commit when they like."""

import gzip
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

import psycopg
import pyarrow as pa
from django.core.files.storage import default_storage
from pyarrow.parquet import ParquetFile

from customers.exporting import arrivals, exporting
from customers.exporting.arrivals import Place
from customers.exporting.exporting import Exported
from customers.models import Interaction
from kaireon.lib.budget import Budget
from kaireon.lib.ids import uuid7
from kaireon.tenancy.context import transaction
from tests.cast import ACME
from tests.customers.conftest import NOW, bring, purchase
from tests.live import wait_until

# In the month that `some` made.
MOMENT = datetime(2026, 1, 10, 10, tzinfo=UTC)
# How a compressed page begins.
_ZSTD = re.escape(b"\x28\xb5\x2f\xfd")
_INSERT = """
INSERT INTO public.customers_interaction
    (id, tenant_id, customer_id, kind, channel, offer, currency, external_id, context, occurred_at, created_at)
SELECT unnest(%s::uuid[]), %s, %s, 'visit', '', '', '', 'late-' || gen_random_uuid(), '{}', %s, %s
"""


def settled() -> None:
    """Come back when all that is committed can be exported: other tests' servers share the numbers of transactions."""

    def nothing_above() -> bool:
        with transaction():
            return not arrivals.horizon(Place(0, UUID(int=0)))[1]

    wait_until(nothing_above)


def export(*, now: datetime = NOW, seconds: float = 60, beside_others: bool = False) -> Exported:
    """`beside_others`: somebody's transaction is open, and stays so."""
    if not beside_others:
        settled()
    exported = Exported()
    exporting.export(exported, now=now, budget=Budget(seconds))
    return exported


def some(count: int, *, customer: str = "c-1", prefix: str = "o") -> None:
    """Interactions of a customer, taken in as they are over the API."""
    bring("customers", {"customerId": customer})
    for start in range(0, count, 1000):
        rows = [purchase(f"{prefix}-{customer}-{n}", customer) for n in range(start, min(start + 1000, count))]
        outcome = bring("interactions", *rows)
        assert outcome.created == len(rows)
    settled()


def files(tenant: str = ACME) -> dict[str, bytes]:
    """Every file of interactions in storage, by name."""
    found: dict[str, bytes] = {}
    waiting = [f"exports/{tenant}/interaction_history"]
    while waiting:
        folder = waiting.pop()
        try:
            folders, names = default_storage.listdir(folder)
        except FileNotFoundError:
            continue
        waiting += [f"{folder}/{name}" for name in folders if name != "_manifests"]
        for name in names:
            with default_storage.open(f"{folder}/{name}") as file:
                found[f"{folder}/{name}"] = file.read()
    return found


def rows(tenant: str = ACME) -> list[dict[str, Any]]:
    """All that a reader finds in all files, file by file in the order of their names."""
    found = []
    for name, content in sorted(files(tenant).items()):
        found += read(name, content)
    return found


def read(name: str, content: bytes) -> list[dict[str, Any]]:
    """The rows of a file as its lines say them, or would. Nothing of the product is used."""
    if name.endswith(".parquet"):
        return [_as_line(row) for row in ParquetFile(pa.BufferReader(content)).read().to_pylist()]
    text = gzip.decompress(content) if name.endswith(".gz") else content
    assert text.endswith(b"\n")
    return [json.loads(line) for line in text.splitlines()]


def _as_line(row: dict[str, Any]) -> dict[str, Any]:
    moments = {name: row[name].strftime("%Y-%m-%dT%H:%M:%S.%fZ") for name in ("occurredAt", "createdAt")}
    amount = None if row["amount"] is None else str(row["amount"])
    return {**row, **moments, "amount": amount, "context": json.loads(row["context"])}


def readable(content: bytes) -> bytes:
    """All bytes that a file has, its pages and itself, as whoever looks for a name in it would."""
    found = [gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content]
    for at in (match.start() for match in re.finditer(_ZSTD, content)):
        with suppress(OSError), pa.CompressedInputStream(pa.BufferReader(content[at:]), "zstd") as page:
            # Byte by byte: what lies behind a page is none, and would take what was read along with it.
            while some := page.read(1):
                found.append(some)
    return b"".join(found)


def ids(tenant: str = ACME) -> list[str]:
    return [row["id"] for row in rows(tenant)]


def in_database() -> set[str]:
    with transaction():
        return {str(key) for key in Interaction.objects.values_list("pk", flat=True)}


def manifests(tenant: str = ACME) -> list[dict[str, Any]]:
    """In order; each says the hash of the one before, and of its file."""
    folder = f"exports/{tenant}/interaction_history/_manifests"
    found, previous = [], "genesis"
    for number, name in enumerate(sorted(default_storage.listdir(folder)[1]), start=1):
        with default_storage.open(f"{folder}/{name}") as file:
            content = file.read()
        entry = json.loads(content)
        assert (name, entry["number"], entry["previous"]) == (f"{number:010d}.json", number, previous)
        previous = sha256(content).hexdigest()
        found.append(entry)
    return found


def check(tenant: str = ACME) -> None:
    """What the manifests say is there is there, to the byte, and nothing else."""
    told: dict[int, dict[str, Any]] = {}
    for entry in manifests(tenant):
        told[entry["batch"]] = entry
    there = files(tenant)
    assert {entry["file"] for entry in told.values() if entry["file"]} == set(there)
    for entry in told.values():
        if entry["file"]:
            content = there[entry["file"]]
            assert (entry["sha256"], entry["bytes"]) == (sha256(content).hexdigest(), len(content))
            assert entry["rows"] == len(read(entry["file"], content))


@contextmanager
def writer(customer: UUID) -> Iterator["Writer"]:
    """Somebody with a transaction of their own; what is not committed at the end never was."""
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        for name, value in (("tenant_id", ACME), ("actor_type", "system"), ("actor_name", "system")):
            connection.execute("SELECT set_config(%s, %s, false)", [f"app.{name}", value])
        connection.commit()
        yield Writer(connection, customer)
        connection.rollback()


class Writer:
    def __init__(self, connection: psycopg.Connection[Any], customer: UUID) -> None:
        self._connection, self._customer = connection, customer

    def write(self, count: int = 1, *, ids: list[UUID] | None = None, at: datetime = MOMENT) -> list[str]:
        keys = ids or [uuid7() for _ in range(count)]
        self._connection.execute(_INSERT, [keys, ACME, self._customer, at, at])
        return [str(key) for key in keys]

    def commit(self) -> None:
        self._connection.commit()

    def roll_back(self) -> None:
        self._connection.rollback()
