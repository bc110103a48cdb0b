"""Signed receipts of what a destination confirmed: the log's own key says which records, over their leaf hashes.

A receipt is a signed note (C2SP signed-note) of a header and one line of canonical JSON; the first line keeps it apart
from everything else that the key signs. `leavesHash` is SHA-256 over the records' leaf hashes as bytes, in order.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256

import orjson

from audit.models import ShippingReceipt
from audit.shipping import events
from audit.shipping.events import Event
from audit.tree import signing
from audit.tree.statements import Form
from kaireon.lib import clock
from kaireon.tenancy.context import current, requires_transaction

RECEIPT = Form(
    name="receipt",
    header="kaireon siem receipt v1",
    fields=frozenset(
        ("tenantId", "origin", "destination", "firstSeq", "lastSeq", "records", "refused", "leavesHash", "confirmedAt")
    ),
)
text, parse = RECEIPT.text, RECEIPT.parse
# Of a leaf hash.
HASH_DIGITS = 64
# So many are shipped with one batch at most.
TOGETHER = 100
# Of refused records that one receipt names: more would make it larger than what every destination takes.
MOST_REFUSED = 200


def leaves_hash(leaves: Iterable[str]) -> str:
    """Of leaf hashes in hex, each or many in a text."""
    return sha256(b"".join(bytes.fromhex(leaf) for leaf in leaves)).hexdigest()


@requires_transaction
def write(
    *, destination: str, first: int, last: int, leaves: str, refused: Sequence[int], now: datetime
) -> ShippingReceipt:
    """Sign that the destination has the records of these leaf hashes, in hex one behind the other: all of the range but
    the refused ones."""
    tenant = current().tenant_id
    signer = signing.signer()
    records = len(leaves) // HASH_DIGITS
    over = leaves_hash([leaves])
    said = {
        "tenantId": tenant,
        "origin": signer.public.name,
        "destination": destination,
        "firstSeq": first,
        "lastSeq": last,
        "records": records,
        "refused": list(refused),
        "leavesHash": over,
        "confirmedAt": clock.rfc3339(now),
    }
    return ShippingReceipt.objects.create(
        tenant_id=tenant,
        destination=destination,
        first_seq=first,
        last_seq=last,
        records=records,
        leaves_hash=over,
        key_version=signer.version,
        note=str(signer.sign(text(said))),
        confirmed_at=now,
    )


@requires_transaction
def write_some(
    *, destination: str, first: int, last: int, leaves: str, refused: Sequence[int], now: datetime
) -> list[ShippingReceipt]:
    """As `write`, in as many receipts as it takes to name all that were refused, in order."""
    made, begins, begins_at, named = [], first, 0, sorted(refused)
    while begins <= last:
        some, named = named[:MOST_REFUSED], named[MOST_REFUSED:]
        ends = some[-1] if named else last
        ends_at = begins_at + (ends - begins + 1 - len(some)) * HASH_DIGITS
        made.append(
            write(
                destination=destination,
                first=begins,
                last=ends,
                leaves=leaves[begins_at:ends_at],
                refused=some,
                now=now,
            )
        )
        begins, begins_at = ends + 1, ends_at
    return made


@requires_transaction
def waiting(destination: str) -> list[ShippingReceipt]:
    """Those of the active scope's log that the destination does not have yet, the oldest first."""
    rows = ShippingReceipt.objects.filter(
        tenant_id=current().tenant_id, destination=destination, shipped_at=None, error=""
    )
    return list(rows.order_by("id")[:TOGETHER])


@requires_transaction
def settle(rows: Sequence[ShippingReceipt], *, refused: Mapping[str, str], now: datetime) -> None:
    """Note that the destination has them; of those that it refused, why. `refused` is by event id."""
    tenant = current().tenant_id
    codes = {row.pk: refused.get(event(row).id, "") for row in rows}
    taken = [pk for pk, code in codes.items() if not code]
    ShippingReceipt.objects.filter(tenant_id=tenant, pk__in=taken).update(shipped_at=now)
    for pk, code in codes.items():
        if code:
            ShippingReceipt.objects.filter(tenant_id=tenant, pk=pk).update(error=code)


def event(row: ShippingReceipt) -> Event:
    """The receipt as it is shipped."""
    log = signing.origin(row.tenant_id)
    name = f"{log}/receipt-{row.first_seq}-{row.last_seq}-{row.leaves_hash[:16]}"
    said = {
        "eventId": name,
        "kind": "receipt",
        "tenantId": row.tenant_id,
        "firstSeq": row.first_seq,
        "lastSeq": row.last_seq,
        "records": row.records,
        "leavesHash": row.leaves_hash,
        "note": row.note,
    }
    return Event(
        id=name,
        seq=row.last_seq,
        hash=row.leaves_hash,
        block=events.block(row.tenant_id, row.last_seq),
        millis=int(row.confirmed_at.timestamp() * 1000),
        title="kaireon.siem.receipt",
        text=orjson.dumps(said),
        is_record=False,
    )
