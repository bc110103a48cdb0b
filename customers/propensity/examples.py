"""Reading examples out of a tenant's interactions, some customers at a time, without those who are left out.

What is kept in memory are numbers, at most CAP examples of at most MOST_EACH a person: nobody counts for more. Of more
than that a share of the people is taken, by a hash of a seed that the lineage names: the same ones every time.
"""

import hashlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from django.db import connection

from customers.exporting import arrivals
from customers.exporting.arrivals import Place
from customers.models import ErasedSubject
from customers.propensity import features
from customers.propensity.exclusions import Exclusions
from customers.propensity.features import Event
from kaireon.lib import clock
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction, transaction, without_transaction

CAP = 100_000
MOST_EACH = 20
# Of a person's past, the newest.
MOST_EVENTS = 2_000
SLICE = 500
_FIRST = UUID(int=0)

_WHERE = """
 tenant_id = %(tenant)s AND offer = %(offer)s AND kind = 'impression'
   AND occurred_at >= %(since)s AND occurred_at <= %(answered)s AND arrival < %(below)s
"""
_HOW_MANY = f"""
SELECT count(*), coalesce(sum(least(n, {MOST_EACH})), 0)
  FROM (SELECT count(*) n FROM public.customers_interaction WHERE {_WHERE} GROUP BY customer_id) by_customer
"""  # noqa: S608 - a number of our own
_WHO = f"""
SELECT customer_id FROM public.customers_interaction WHERE {_WHERE} AND customer_id > %(after)s
 GROUP BY customer_id ORDER BY customer_id LIMIT {SLICE}
"""  # noqa: S608 - as above
_PASTS = f"""
SELECT customer_id, date_part('epoch', occurred_at), kind, offer, channel
  FROM (SELECT id, customer_id, occurred_at, kind, offer, channel,
               row_number() OVER (PARTITION BY customer_id ORDER BY occurred_at DESC, id DESC) n
          FROM public.customers_interaction
         WHERE tenant_id = %(tenant)s AND customer_id = ANY(%(ids)s) AND arrival < %(below)s
           AND occurred_at > %(from)s AND occurred_at <= %(until)s) past
 WHERE n <= {MOST_EVENTS} ORDER BY customer_id, occurred_at, id
"""  # noqa: S608 - as above


@dataclass(frozen=True, kw_only=True)
class Window:
    """Presentations of `offer` from `since` whose answer was waited for until `until`, of rows below `below`."""

    offer: str
    since: datetime
    until: datetime
    below: int

    def given(self) -> dict[str, Any]:
        return {
            "tenant": context.tenant_id(),
            "offer": self.offer,
            "since": self.since,
            "until": self.until,
            "from": self.since - timedelta(days=features.LOOK_BACK_DAYS),
            "answered": self.until - timedelta(days=features.ANSWER_DAYS),
            "below": self.below,
        }


@dataclass(kw_only=True)
class Found:
    """Examples, column by column. `people` are the customers, `who` and `channel` say by number which each is of."""

    window: Window
    seed: int
    share: float
    presented_to: int
    as_of: datetime
    facts: "array[float]" = field(default_factory=lambda: array("d"))
    times: "array[float]" = field(default_factory=lambda: array("d"))
    accepted: "array[int]" = field(default_factory=lambda: array("b"))
    who: "array[int]" = field(default_factory=lambda: array("l"))
    channel: "array[int]" = field(default_factory=lambda: array("l"))
    people: list[UUID] = field(default_factory=list)
    channels: dict[str, int] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    rows_read: int = 0
    # Of `people`, by number, who came to be left out while the others were read, or a model was made of them.
    gone: set[int] = field(default_factory=set)
    # How many erasures there were by `as_of`.
    erased_then: int = 0


@requires_transaction
def window(*, offer: str, days: int, now: datetime) -> Window:
    """What can be learnt at this moment. Raises arrivals.NumbersAhead."""
    below, _ = arrivals.horizon(Place(0, _FIRST))
    return Window(offer=offer, since=now - timedelta(days=days), until=now, below=below)


@without_transaction
def read(*, asked: Window, seed: int, told: Callable[[float], None] = lambda part: None) -> Found:
    """All examples of a window. `told` hears between two slices which part is done; what it raises ends it."""
    with transaction(), connection.cursor() as cursor:
        cursor.execute(_HOW_MANY, asked.given())
        people, rows = cursor.fetchone()
        now = clock.now()
        exclusions = Exclusions(now)
    share = min(1.0, CAP / rows) if rows else 1.0
    found = Found(window=asked, seed=seed, share=share, presented_to=people, as_of=now)
    done = 0
    for refs in _slices(asked):
        with transaction():
            left_out = exclusions.among(refs)
            found.left_out.update(left_out.values())
            _add(found, [ref for ref in refs if ref not in left_out and _is_taken(ref, seed, share)])
        done += len(refs)
        told(done / max(people, done))
    look_again(found)
    return found


def _slices(asked: Window) -> Iterator[list[UUID]]:
    after = _FIRST
    while True:
        with transaction(), connection.cursor() as cursor:
            cursor.execute(_WHO, asked.given() | {"after": after})
            refs = [ref for (ref,) in cursor.fetchall()]
        if not refs:
            return
        yield refs
        after = refs[-1]


def _add(found: Found, refs: list[UUID]) -> None:
    asked = found.window
    since, until = asked.since.timestamp(), asked.until.timestamp()
    with connection.cursor() as cursor:
        cursor.execute(_PASTS, asked.given() | {"ids": refs})
        rows = cursor.fetchall()
    found.rows_read += len(rows)
    for ref, own in groupby(rows, key=lambda row: row[0]):
        events = [Event(*row[1:]) for row in own]
        number = len(found.people)
        for example in features.examples(events, offer=asked.offer, since=since, until=until, most=MOST_EACH):
            found.times.append(example.at)
            found.facts.extend(example.facts)
            found.accepted.append(example.accepted)
            found.channel.append(found.channels.setdefault(example.channel, len(found.channels)))
            found.who.append(number)
        if found.who and found.who[-1] == number:
            found.people.append(ref)


@without_transaction
def look_again(found: Found) -> int:
    """Take out who asked to be erased, or opted out, since the last look; how many they are."""
    before = len(found.gone)
    with transaction():
        found.as_of = clock.now()
        # First of all: who is erased after this makes the version stale, who was before is seen below.
        found.erased_then = ErasedSubject.objects.count()
        exclusions = Exclusions(found.as_of)
        for start in range(0, len(found.people), SLICE):
            some = found.people[start : start + SLICE]
            left_out = exclusions.among(some)
            new = {start + n: left_out[ref] for n, ref in enumerate(some) if ref in left_out}
            found.left_out.update(reason for number, reason in new.items() if number not in found.gone)
            found.gone.update(new)
    return len(found.gone) - before


def _is_taken(ref: UUID, seed: int, share: float) -> bool:
    if share >= 1:
        return True
    hashed = hashlib.blake2b(ref.bytes, digest_size=8, key=seed.to_bytes(8, "big")).digest()
    return int.from_bytes(hashed, "big") < share * 2**64
