"""Logs of any size, made fast: the rows that the sequencer would have written, by COPY into the log itself.

What is proven, verified and exported afterwards cannot tell the difference: every hash is the product's own.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

import orjson
import psycopg

from audit.chain import GENESIS, integrity_hash, leaf_hash, timestamp_text

_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
_AT_ONCE = 500
_EVERY = 10_000

# Of a record, as it is named in the log and on the wire.
_COLUMNS = {
    "id": "id",
    "tenant_id": "tenantId",
    "seq": "seq",
    "action": "action",
    "entity_type": "entityType",
    "entity_id": "entityId",
    "entity_name": "entityName",
    "changes": "changes",
    "before": "before",
    "after": "after",
    "entity_version": "entityVersion",
    "user_id": "userId",
    "user_name": "userName",
    "actor_type": "actorType",
    "request_id": "requestId",
    "timestamp": "timestamp",
    "integrity_hash": "integrityHash",
    "prev_hash": "prevHash",
}


def record_id(tenant: str, seq: int) -> UUID:
    """Of the record with this number: whoever loaded a log can ask for any of its records."""
    return UUID(int=0x0190_A5E0_0000_7000_8000_0000_0000_0000 | (hash_of(tenant) << 32) | seq)


def hash_of(tenant: str) -> int:
    return sum(place * byte for place, byte in enumerate(tenant.encode(), 1)) & 0xFFFF


def load(superuser_url: str, sizes: Mapping[str, int], *, moved: Callable[[str], object] = lambda _text: None) -> None:
    """Give each tenant, which has no log yet, one of so many records. `moved` hears how far it is."""
    with psycopg.connect(superuser_url) as connection:
        # The log takes rows from the sequencer only; whoever owns the server is let in by the server.
        connection.execute("SET session_replication_role = replica")
        for tenant, size in sizes.items():
            last = _copy(connection, tenant, size, moved)
            connection.execute(
                "INSERT INTO public.audit_head (tenant_id, seq, integrity_hash) VALUES (%s, %s, %s)",
                [tenant, size, last],
            )
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE public.audit_record")


def _copy(connection: "psycopg.Connection[Any]", tenant: str, size: int, moved: Callable[[str], object]) -> str:
    columns = ", ".join(f'"{name}"' for name in (*_COLUMNS, "leaf_hash"))
    last = GENESIS
    made = records(tenant, size)
    with connection.cursor().copy(f"COPY public.audit_record ({columns}) FROM STDIN") as rows:
        for first in range(0, size, _AT_ONCE):
            some = list(islice(made, _AT_ONCE))
            rows.write("".join([_line(record) for record in some]))
            last = some[-1]["integrityHash"]
            if first % _EVERY == 0:
                moved(f"writing a log: {first:,} of {size:,} records")
    return last


def _line(record: dict[str, Any]) -> str:
    """As COPY reads it; no value here holds what it would have to escape."""
    values = [record[name] for name in _COLUMNS.values()]
    texts = [
        "\\N" if value is None else orjson.dumps(value).decode() if type(value) is dict else str(value)
        for value in values
    ]
    return "\t".join([*texts, leaf_hash(record)]) + "\n"


def records(tenant: str, size: int) -> Iterator[dict[str, Any]]:
    """Orders that are placed, paid and sent, chained from the beginning."""
    previous = GENESIS
    for seq in range(1, size + 1):
        record = _record(tenant, seq)
        record["prevHash"] = previous
        record["integrityHash"] = previous = integrity_hash(
            action=record["action"],
            entity_type=record["entityType"],
            entity_id=record["entityId"],
            entity_name=record["entityName"],
            changes=record["changes"],
            user_id=record["userId"],
            user_name=record["userName"],
            tenant_id=record["tenantId"],
            request_id=record["requestId"],
            prev_hash=previous,
        )
        yield record


def _record(tenant: str, seq: int) -> dict[str, Any]:
    order, turn = divmod(seq, 3)
    row = {"id": order, "reference": f"ORD-{order:08d}", "quantity": 1 + order % 7, "amount": f"{order % 9000}.00"}
    states = ("placed", "paid", "sent")
    before = None if turn == 0 else {**row, "status": states[turn - 1]}
    after = {**row, "status": states[turn]}
    return {
        "id": str(record_id(tenant, seq)),
        "tenantId": tenant,
        "seq": seq,
        "action": "create" if before is None else "update",
        "entityType": "Order",
        "entityId": str(order),
        "entityName": None,
        "changes": after if before is None else {"status": [before["status"], after["status"]]},
        "before": before,
        "after": after,
        "entityVersion": turn + 1,
        "userId": "0190a5e0-0000-7000-8000-00000000000a",
        "userName": "Ada",
        "actorType": "user",
        "requestId": f"req-{seq}",
        "timestamp": timestamp_text(_BEGAN + timedelta(milliseconds=seq * 10)),
    }
