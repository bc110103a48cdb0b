"""Whether a destination has every record of a range, looked up there; what is missing is shipped again.

The log says what must be there, the destination what is: nothing is taken from what was noted while shipping, but for
where the cursor stands (what is behind it has yet to be shipped) and which receipts were signed.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from audit import services
from audit.following import cursors
from audit.models import ShippingReceipt, Unshippable
from audit.shipping import events, receipts
from audit.shipping.client import Client
from audit.shipping.destinations import Target
from audit.shipping.events import BLOCK, Event
from audit.shipping.sending import Sender
from audit.tree import signing
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import current, transaction, without_transaction

# What was shipped again is looked for until it is found, for as long.
PATIENCE = 120.0
_FIRST_LOOK = 0.2
_LAST_LOOK = 10.0
# Of faults of a kind so many are named.
NAMED = 100


@dataclass(kw_only=True)
class Reconciled:
    """What was found in `first` to `last`. `missing` and `different` are numbers of records, `unknown` event ids of
    the log's that it never had; `receipts_missing` and `receipts_wrong` are the first numbers of their ranges.

    `still_missing` is what could not be repaired; a destination that refused a record names it in `refused`.
    """

    first: int
    last: int
    expected: int = 0
    found: int = 0
    missing: list[int] = field(default_factory=list)
    different: list[int] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    receipts: int = 0
    receipts_missing: list[int] = field(default_factory=list)
    receipts_wrong: list[int] = field(default_factory=list)
    reshipped: int = 0
    still_missing: list[int] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether every record and receipt of the range is there, now, and none differs."""
        return not (self.still_missing or self.different or self.unknown or self.receipts_wrong)

    def json(self) -> dict[str, Any]:
        return {
            "firstSeq": self.first,
            "lastSeq": self.last,
            "records": self.expected,
            "found": self.found,
            "missing": len(self.missing),
            "missingSeqs": self.missing[:NAMED],
            "different": self.different[:NAMED],
            "unknown": self.unknown[:NAMED],
            "refused": self.refused[:NAMED],
            "receipts": self.receipts,
            "receiptsMissing": len(self.receipts_missing),
            "receiptsWrong": self.receipts_wrong[:NAMED],
            "reshipped": self.reshipped,
            "stillMissing": len(self.still_missing),
            "whole": self.is_whole,
        }


@dataclass(frozen=True, kw_only=True)
class _Block:
    """What must be there of up to BLOCK records: of each event id its hash, and of records the number."""

    name: str
    first: int
    last: int
    records: Mapping[str, tuple[int, str]]
    receipts: Mapping[str, ShippingReceipt]
    earliest: int

    @property
    def hashes(self) -> dict[str, str]:
        return {name: leaf for name, (_, leaf) in self.records.items()} | {
            name: row.leaves_hash for name, row in self.receipts.items()
        }


@without_transaction
def reconcile(target: Target, *, first: int, last: int, dry_run: bool = False) -> Reconciled:
    """Look up the active scope's records `first` to `last`, those the destination is said to have, and mend what is
    missing. Opens its own transactions. Nothing is sent in a dry run.

    Raises formats.NotSearchable, client.Away, BreakerOpen.
    """
    tenant = current().tenant_id
    services.drain(tenant)
    with transaction():
        last = min(last, cursors.opened(target.follower, now=clock.now()).seq)
    found = Reconciled(first=first, last=last)
    with Client(allow_private=target.allow_private) as client:
        sender = Sender(target, client, budget=Budget(PATIENCE))
        sender.format.searchable(target)
        for start in range(first - first % BLOCK, last + 1, BLOCK):
            with transaction():
                block = _block(tenant, target, max(first, start), min(last, start + BLOCK - 1))
            _look(block, found, client, sender, dry_run=dry_run)
    return found


def _block(tenant: str, target: Target, first: int, last: int) -> _Block:
    rows = ShippingReceipt.objects.filter(
        tenant_id=tenant, destination=target.key, last_seq__gte=first, last_seq__lte=last
    ).exclude(shipped_at=None)
    with connection.cursor() as cursor:
        cursor.execute(
            'SELECT min("timestamp") FROM public.audit_record WHERE tenant_id = %s AND seq BETWEEN %s AND %s',
            [tenant, first, last],
        )
        (earliest,) = cursor.fetchone() or (None,)
    return _Block(
        name=events.block(tenant, first),
        first=first,
        last=last,
        records=events.ids(tenant, first=first, last=last),
        receipts={receipts.event(row).id: row for row in rows.order_by("id")},
        earliest=int((earliest or clock.now()).timestamp() * 1000),
    )


def _look(block: _Block, found: Reconciled, client: Client, sender: Sender, *, dry_run: bool) -> None:
    there = _find(block, client, sender)
    hashes = block.hashes
    absent = [name for name in hashes if name not in there]
    found.expected += len(block.records)
    found.receipts += len(block.receipts)
    found.found += sum(name in there for name in block.records)
    found.missing += [block.records[name][0] for name in absent if name in block.records]
    found.receipts_missing += [block.receipts[name].first_seq for name in absent if name in block.receipts]
    for name, said in there.items():
        if name in hashes and said != hashes[name]:
            found.different.append(block.records[name][0] if name in block.records else block.receipts[name].first_seq)
    found.unknown += _unknown(block, there)
    with transaction():
        found.receipts_wrong += [row.first_seq for row in block.receipts.values() if not _holds(row)]
    if not absent:
        return
    if dry_run:
        found.still_missing += _numbers(block, absent)
        return
    _ship_again(block, absent, found, sender)
    found.still_missing += _numbers(block, _looked_for(block, absent, found, client, sender))


def _find(block: _Block, client: Client, sender: Sender) -> dict[str, str]:
    asked = sender.format.find(client, sender.target, block.name, list(block.hashes), block.earliest)
    return dict(asked)


def _unknown(block: _Block, there: Mapping[str, str]) -> list[str]:
    """Records under the log's name that it does not have in this range. Other ranges of the block are not looked at."""
    log = signing.origin(current().tenant_id) + "/"
    unknown = []
    for name in there:
        number = name.removeprefix(log).partition("-")[0]
        if name in block.records or not (name.startswith(log) and number.isdigit()):
            continue
        if block.first <= int(number) <= block.last:
            unknown.append(name)
    return unknown


def _holds(row: ShippingReceipt) -> bool:
    """Whether the receipt is signed and says what the log says. What was pruned since cannot be compared."""
    try:
        said = receipts.parse(row.note, signing.trusted(row.tenant_id))
    except receipts.NotAReceipt:
        return False
    refused = set(said["refused"])
    leaves = events.ids(row.tenant_id, first=row.first_seq, last=row.last_seq).values()
    kept = [leaf for seq, leaf in leaves if seq not in refused]
    if len(kept) < said["records"]:
        return True
    over = receipts.leaves_hash(kept)
    return bool(over == said["leavesHash"] == row.leaves_hash)


def _ship_again(block: _Block, absent: Sequence[str], found: Reconciled, sender: Sender) -> None:
    wanted = set(absent)
    after = block.first - 1
    lost = [receipts.event(row) for name, row in block.receipts.items() if name in wanted]
    while after < block.last or lost:
        with transaction():
            read = (
                events.read(
                    current().tenant_id,
                    after=after,
                    until=block.last,
                    most=BLOCK,
                    as_text=sender.format.as_text,
                )
                if after < block.last
                else []
            )
        after = read[-1].seq if read else block.last
        left = [*lost, *(event for event in read if event.id in wanted)]
        lost = []
        while left:
            part = sender.fitting(left)
            _send(part, found, sender)
            left = left[len(part) :]


def _send(part: Sequence[Event], found: Reconciled, sender: Sender) -> None:
    sent = sender.send(part)
    if sent.acks:
        sender.wait_for(sent.acks)
    if sent.failure is not None:
        raise sent.failure
    found.reshipped += len(sent.taken)
    found.refused += [event.seq for event in part if event.id in sent.refused and event.is_record]
    with transaction():
        for event in part:
            if event.id in sent.taken and event.is_record:
                Unshippable.objects.filter(
                    tenant_id=current().tenant_id,
                    destination=sender.target.key,
                    first_seq=event.seq,
                    last_seq=event.seq,
                    resolved_at=None,
                ).update(resolved_at=clock.now())


def _looked_for(block: _Block, absent: Sequence[str], found: Reconciled, client: Client, sender: Sender) -> list[str]:
    """Those that are not found however long one looks: what was accepted is indexed a while later."""
    refused = set(found.refused)
    hopeless = [name for name in absent if name in block.records and block.records[name][0] in refused]
    ends, pause = time.monotonic() + PATIENCE, _FIRST_LOOK
    while True:
        there = _find(block, client, sender)
        left = [name for name in absent if name not in there]
        if set(left) <= set(hopeless) or time.monotonic() + pause > ends:
            return left
        time.sleep(pause)
        pause = min(2 * pause, _LAST_LOOK)


def _numbers(block: _Block, names: Sequence[str]) -> list[int]:
    return [block.records[name][0] if name in block.records else block.receipts[name].first_seq for name in names]
