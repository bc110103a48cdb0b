"""What a destination must have of up to a thousand records that follow each other, and of their receipts."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.db import connection

from audit.models import ShippingReceipt
from audit.shipping import events, marks, receipts
from audit.shipping.destinations import Target
from audit.shipping.events import BLOCK, Event
from audit.shipping.sending import FORMATS
from kaireon.lib import clock
from kaireon.tenancy.context import requires_transaction


@dataclass(frozen=True, kw_only=True)
class Block:
    """What must be there of up to BLOCK records: of each event id its mark, and of records the number."""

    name: str
    first: int
    last: int
    records: Mapping[str, tuple[int, str]]
    receipts: Mapping[str, ShippingReceipt]
    marks: Mapping[str, str]
    earliest: int

    def number(self, name: str) -> int:
        return self.records[name][0] if name in self.records else self.receipts[name].first_seq


@requires_transaction
def block(tenant: str, target: Target, first: int, last: int) -> Block:
    rows = ShippingReceipt.objects.filter(
        tenant_id=tenant, destination=target.key, last_seq__gte=first, last_seq__lte=last
    ).exclude(shipped_at=None)
    with connection.cursor() as cursor:
        cursor.execute(
            'SELECT min("timestamp") FROM public.audit_record WHERE tenant_id = %s AND seq BETWEEN %s AND %s',
            [tenant, first, last],
        )
        (earliest,) = cursor.fetchone() or (None,)
    records = events.ids(tenant, first=first, last=last)
    given = {receipts.event(row).id: row for row in rows.order_by("id")}
    said = {name: marks.mark(marks.parse(receipts.event(row).text)) for name, row in given.items()}
    as_text = FORMATS[target.backend].as_text
    for event in read(tenant, [seq for seq, _ in records.values()], as_text=as_text):
        said[event.id] = marks.mark(marks.parse(event.text))
    return Block(
        name=events.block(tenant, first),
        first=first,
        last=last,
        records=records,
        receipts=given,
        marks=said,
        earliest=int((earliest or clock.now()).timestamp() * 1000),
    )


@requires_transaction
def read(tenant: str, seqs: Sequence[int], *, as_text: bool) -> Iterator[Event]:
    """The records of these numbers, which rise, one some after the other."""
    wanted = deque(seqs)
    while wanted:
        after = wanted[0] - 1
        for event in events.read(tenant, after=after, until=seqs[-1], most=BLOCK, as_text=as_text):
            if wanted and event.seq == wanted[0]:
                wanted.popleft()
                yield event
        if wanted and wanted[0] == after + 1:
            # Removed in the meantime.
            wanted.popleft()


def number(rest: str) -> int:
    """Where an event says that it belongs, by its id behind the log's name: a record to its own number, a receipt to
    its last record's; 0 for another id."""
    parts = rest.split("-")
    said = parts[2] if parts[0] == "receipt" and len(parts) > 2 else parts[0]
    return int(said) if said.isascii() and said.isdigit() and len(said) < 19 else 0
