"""Whether a destination has every record of a range, looked up there; what is missing is shipped again.

The log says what must be there, the destination what is: nothing is taken from what was noted while shipping, but for
where the cursor stands (what is behind it has yet to be shipped), which receipts were signed, and what retention
removed before it was shipped. What is there is compared whole (marks.py), every copy of it: where ids do not keep
copies away, a forged one may stand beside the true one.
"""

import time
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from audit import services
from audit.following import cursors
from audit.models import ShippingReceipt, Unshippable
from audit.pruning import beginning
from audit.shipping import blocks, events, marks, receipts
from audit.shipping.blocks import Block
from audit.shipping.client import Away, Client
from audit.shipping.destinations import Target
from audit.shipping.events import BLOCK, Event
from audit.shipping.findings import Interrupted, Reconciled
from audit.shipping.formats import Sought
from audit.shipping.sending import Sender
from audit.shipping.shipping import PRUNED
from audit.tree import signing
from audit.tree.statements import NotAStatement
from kaireon.api.breakers import BreakerOpen
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import current, transaction, without_transaction

# What was shipped again is looked for until it is found, for as long.
PATIENCE = 120.0
# What was confirmed a shorter time ago may not be found yet: it is looked for again before it counts as missing.
SETTLES = timedelta(seconds=60)
# A search that is throttled waits as long as it is asked to, and no longer than so in all: Datadog counts by the hour.
THROTTLED = 3_900.0
# To repair what is missing, however long that takes.
_REPAIRS = 24 * 3_600.0
_FIRST_LOOK = 0.2
_LAST_LOOK = 10.0

# Of each event id that is there the marks of all its copies.
_There = Mapping[str, Sequence[str]]


@without_transaction
def reconcile(target: Target, *, first: int, last: int, dry_run: bool = False) -> Reconciled:
    """Look up the active scope's records `first` to `last`, those the destination is said to have, and mend what is
    missing. Opens its own transactions. Nothing is sent in a dry run.

    Raises formats.NotSearchable; Interrupted when the destination does not answer to the end.
    """
    tenant = current().tenant_id
    services.drain(tenant)
    with transaction():
        cursor = cursors.opened(target.follower, now=clock.now())
        begins = beginning.kept_from(tenant).seq
        last = min(last, cursor.seq)
        found = Reconciled(first=first, last=last, lost=_lost(target, first, last))
    with Client(allow_private=target.allow_private) as client:
        run = _Run(target, client, found, settled_at=(cursor.moved_at or clock.now()) + SETTLES, dry_run=dry_run)
        run.sender.format.searchable(target)
        begin = max(first, begins)
        for start in range(begin - begin % BLOCK, last + 1, BLOCK):
            with transaction():
                block = blocks.block(tenant, target, max(begin, start), min(last, start + BLOCK - 1))
            try:
                run.look(block)
            except (Away, BreakerOpen) as failure:
                found.last = block.first - 1
                raise Interrupted(found, str(failure)) from failure
    return found


def _lost(target: Target, first: int, last: int) -> list[tuple[int, int]]:
    rows = Unshippable.objects.filter(
        tenant_id=current().tenant_id, destination=target.key, code=PRUNED, resolved_at=None
    ).filter(first_seq__lte=last, last_seq__gte=first)
    return [(max(first, row.first_seq), min(last, row.last_seq)) for row in rows.order_by("first_seq")]


class _Run:
    def __init__(
        self, target: Target, client: Client, found: Reconciled, *, settled_at: datetime, dry_run: bool
    ) -> None:
        self.sender = Sender(target, client, budget=Budget(_REPAIRS))
        self._client = client
        self._found = found
        self._tenant = current().tenant_id
        self._log = signing.origin(self._tenant) + "/"
        self._settled_at = settled_at
        self._dry_run = dry_run
        with transaction():
            self._keys = signing.trusted(self._tenant)

    def look(self, block: Block) -> None:
        """Raises Away, BreakerOpen."""
        found = self._found
        there, absent = self._settled(block)
        found.expected += len(block.records)
        found.receipts += len(block.receipts)
        found.found += sum(name in there for name in block.records)
        found.missing += [block.number(name) for name in absent if name in block.records]
        found.receipts_missing += [block.number(name) for name in absent if name in block.receipts]
        found.copies += sum(len(there[name]) - 1 for name in block.marks if name in there)
        found.different += self._different(block, there)
        found.unknown += self._unknown(block, there)
        with transaction():
            found.receipts_wrong += [row.first_seq for row in block.receipts.values() if not _holds(row)]
        if absent and not self._dry_run:
            _ship_again(block, absent, found, self.sender)
            absent = self._looked_for(block, absent)
        found.still_missing += [block.number(name) for name in absent]

    def _settled(self, block: Block) -> tuple[_There, list[str]]:
        """What is there, and what is not: looked for again as long as that was confirmed only just now."""
        pause = _FIRST_LOOK
        while True:
            there = self._find(block)
            absent = [name for name in block.marks if name not in there]
            left = min((self._settled_at - clock.now()).total_seconds(), SETTLES.total_seconds())
            if not absent or left <= 0:
                return there, absent
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LAST_LOOK)

    def _find(self, block: Block) -> _There:
        """Raises Away, also when it is throttled for long."""
        sought = Sought(block=block.name, ids=list(block.marks), earliest=block.earliest, look=self._mark)
        began, pause = time.monotonic(), _FIRST_LOOK
        while True:
            try:
                found = self.sender.format.find(self._client, self.sender.target, sought)
            except Away as away:
                wait, most = (pause, PATIENCE) if away.wait is None else (away.wait.total_seconds(), THROTTLED)
                if away.code != "throttled" or time.monotonic() + wait > began + most:
                    raise
                time.sleep(wait)
                pause = min(2 * pause, _LAST_LOOK)
                continue
            there = defaultdict(list)
            for name, mark in found:
                there[name].append(mark)
            return there

    def _mark(self, said: Mapping[str, Any]) -> str:
        """Of an event that is there; "" of a receipt that does not say what was signed."""
        if said.get("kind") == "receipt":
            try:
                signed = receipts.parse(str(said.get("note")), self._keys)
            except NotAStatement:
                return ""
            if any(said.get(name) != signed[name] for name in ("tenantId", "firstSeq", "lastSeq", "leavesHash")):
                return ""
        return marks.mark(said)

    def _different(self, block: Block, there: _There) -> list[int]:
        others = [name for name, mark in block.marks.items() if any(one != mark for one in there.get(name, ()))]
        return [block.number(name) for name in others if not self._is_reduced(block, name, there[name])]

    def _is_reduced(self, block: Block, name: str, there: Sequence[str]) -> bool:
        """Whether each copy is the event, or the event in its reduced form."""
        with transaction():
            if name in block.receipts:
                whole = [receipts.event(block.receipts[name])]
            else:
                as_text = self.sender.format.as_text
                whole = list(blocks.read(self._tenant, [block.number(name)], as_text=as_text))
        forms = {block.marks[name], *(marks.mark(marks.parse(events.reduced(event).text)) for event in whole)}
        return set(there) <= forms

    def _unknown(self, block: Block, there: _There) -> list[str]:
        """Events under the log's name that it does not have in this range. Other ranges of the block are not looked
        at."""
        unknown = []
        for name in there:
            if name in block.marks or not name.startswith(self._log):
                continue
            if block.first <= blocks.number(name.removeprefix(self._log)) <= block.last:
                unknown.append(name)
        if not unknown:
            return []
        with transaction():
            # Others of its receipts, not noted as shipped or another destination's; what retention has just removed.
            begins = beginning.kept_from(self._tenant).seq
            rows = ShippingReceipt.objects.filter(
                tenant_id=self._tenant, last_seq__gte=block.first, last_seq__lte=block.last
            )
            signed = {receipts.event(row).id for row in rows}
        known = signed | {name for name in unknown if blocks.number(name.removeprefix(self._log)) < begins}
        return [name for name in unknown if name not in known]

    def _looked_for(self, block: Block, absent: Sequence[str]) -> list[str]:
        """Those that are not found however long one looks: what was accepted is indexed a while later."""
        refused = set(self._found.refused)
        hopeless = {name for name in absent if name in block.records and block.number(name) in refused}
        ends, pause = time.monotonic() + PATIENCE, _FIRST_LOOK
        while True:
            there = self._find(block)
            left = [name for name in absent if name not in there]
            if set(left) <= hopeless or time.monotonic() + pause > ends:
                return left
            time.sleep(pause)
            pause = min(2 * pause, _LAST_LOOK)


def _holds(row: ShippingReceipt) -> bool:
    """Whether the receipt is signed and says what the log says. What was pruned since cannot be compared."""
    try:
        said = receipts.parse(row.note, signing.trusted(row.tenant_id))
    except NotAStatement:
        return False
    refused = set(said["refused"])
    leaves = events.ids(row.tenant_id, first=row.first_seq, last=row.last_seq).values()
    kept = [leaf for seq, leaf in leaves if seq not in refused]
    if len(kept) < said["records"]:
        return True
    over = receipts.leaves_hash(kept)
    return bool(over == said["leavesHash"] == row.leaves_hash)


def _ship_again(block: Block, absent: Sequence[str], found: Reconciled, sender: Sender) -> None:
    lost = [receipts.event(block.receipts[name]) for name in absent if name in block.receipts]
    wanted = {block.number(name): name for name in absent if name in block.records}
    numbers = deque(sorted(wanted))
    while numbers or lost:
        read: list[Event] = []
        if numbers:
            with transaction():
                read = events.read(
                    current().tenant_id,
                    # So the first one is read however large it is.
                    after=numbers[0] - 1,
                    until=numbers[-1],
                    most=BLOCK,
                    as_text=sender.format.as_text,
                )
            # None: removed in the meantime.
            reached = read[-1].seq if read else numbers[0]
            while numbers and numbers[0] <= reached:
                numbers.popleft()
        left = [*lost, *(event for event in read if wanted.get(event.seq) == event.id)]
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
