"""Records composed by PostgreSQL itself, many together, in the very form in which a vendor takes them.

To make an object of each record and a line of each object costs Python several times what the database needs for it.
A slice of the log is composed in one statement, the next ones while this one is being sent. What does not fit into it
(a gap, a large record) is left out here, and whoever asks reads it record by record (events.read).
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from struct import unpack_from
from typing import NamedTuple

from django.db import connection

from audit import copied
from audit.shipping import events
from audit.shipping.destinations import Target
from audit.shipping.events import Sql
from audit.shipping.formats import NEWEST_DATE, OLDEST_DATE, Envelope, Format, Place
from audit.tree import signing
from kaireon.lib import clock
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction, transaction

# Records: composed in one statement, and in one row of it.
SLICE = 4_000
TOGETHER = 100
# Slices that are composed at the same time, each over a connection of its own.
READERS = 2
# A larger record, in bytes of its event, is not composed here, nor are those that come in one row with it.
LARGE = 64 * 1024
# Bytes of a row's events; so a slice has 20 MiB at most, and there are READERS + 1 at a time.
MOST_TOGETHER = 512 * 1024
_HASH = 64
# Of rows handled at once.
_BLOCK_BYTES = 64 * 1024

_SETTINGS = """
SELECT set_config(name, value, true)
  FROM (VALUES ('enable_seqscan', 'off'), ('enable_bitmapscan', 'off'), ('max_parallel_workers_per_gather', '0'))
       setting (name, value)
"""


class Ids(Sequence[str]):
    """The event ids of records that follow each other, made when they are asked for, behind those of `before`."""

    def __init__(self, log: str, first: int, leaves: str, *, before: Sequence[str] = ()) -> None:
        self._log, self._first, self._leaves, self._before = log, first, leaves, before

    def __len__(self) -> int:
        return len(self._before) + len(self._leaves) // _HASH

    def __getitem__(self, n: int) -> str:  # type: ignore[override]  # nobody asks for a slice
        if not 0 <= n < len(self):
            raise IndexError(n)
        if n < len(self._before):
            return self._before[n]
        n -= len(self._before)
        return events.event_id(self._log, self._first + n, self._leaves[_HASH * n : _HASH * (n + 1)])


@dataclass(slots=True, kw_only=True)
class Parcel:
    """Records from `first` on without a gap, composed: the parts of a body. `leaves` are their leaf hashes in hex, one
    behind the other."""

    first: int
    leaves: str
    parts: list[bytes]

    @property
    def count(self) -> int:
        return len(self.leaves) // _HASH

    @property
    def last(self) -> int:
        return self.first + self.count - 1

    def ids(self, log: str, *, before: Sequence[str] = ()) -> Ids:
        return Ids(log, self.first, self.leaves, before=before)


class _Row(NamedTuple):
    first: int
    leaves: bytes
    body: bytes


class _Coming(NamedTuple):
    """The slice behind `after`, while it is composed."""

    after: int
    parcels: Future[list[Parcel]]


class Ahead:
    """Parcels of the active scope's log up to `until`, read ahead of whoever sends them. Close it."""

    def __init__(self, format_: Format, target: Target, *, until: int, most: int) -> None:
        self._format = format_
        self._target = target
        self._until = until
        self._most = most
        self._here = context.current()
        self._found: deque[Parcel] = deque()
        self._slice_end = 0
        # Slices that are being composed, each behind the one before, and where the last one of them ends.
        self._coming: deque[_Coming] = deque()
        self._asked_to = 0
        self._readers: list[ThreadPoolExecutor] = []

    def take(self, after: int) -> Parcel | None:
        """The parcel that begins behind `after`; None when that record is to be read by itself, and then `until` says
        up to where."""
        while self._slice_end <= after < self._until:
            self._found = deque(self._slice(after))
        while self._found and self._found[0].first <= after:
            self._found.popleft()
        if self._found and self._found[0].first == after + 1:
            return self._found.popleft()
        return None

    def until(self) -> int:
        """The last record before those that are composed."""
        return self._found[0].first - 1 if self._found else self._slice_end

    def close(self) -> None:
        for coming in self._coming:
            coming.parcels.cancel()
        for reader in self._readers:
            reader.submit(_disconnect)
            reader.shutdown()
        self._readers = []

    def _slice(self, after: int) -> list[Parcel]:
        while self._coming and self._coming[0].after != after:
            # Retention took what was to come.
            self._coming.popleft().parcels.cancel()
        self._slice_end = min(after + SLICE, self._until)
        if not self._coming and self._slice_end == self._until:
            # The only one, or the last one: read where we are.
            return self._read(after)
        if not self._coming:
            self._asked_to = after
        while self._asked_to < self._until and len(self._coming) <= READERS:
            self._coming.append(self._ask(self._asked_to))
            self._asked_to = min(self._asked_to + SLICE, self._until)
        return self._coming.popleft().parcels.result()

    def _ask(self, after: int) -> "_Coming":
        """By the readers in turn."""
        if len(self._readers) < READERS:
            self._readers.append(ThreadPoolExecutor(1, thread_name_prefix="siem"))
        reader = self._readers[(after // SLICE) % len(self._readers)]
        return _Coming(after, reader.submit(self._read_elsewhere, after))

    def _read_elsewhere(self, after: int) -> list[Parcel]:
        """In a reader's thread, which has a connection of its own."""
        here = self._here
        with context.scope(tenant_id=here.tenant_id, actor=here.actor, request_id=here.request_id):
            return self._read(after)

    def _read(self, after: int) -> list[Parcel]:
        until = min(after + SLICE, self._until)
        with transaction():
            rows = list(_rows(self._format, self._target, after=after, until=until, together=min(TOGETHER, self._most)))
        return list(self._parcels(rows))

    def _parcels(self, rows: Sequence[_Row]) -> Iterator[Parcel]:
        some: list[_Row] = []
        count = size = 0
        for row in rows:
            records = len(row.leaves) // _HASH
            follows = not some or row.first == some[0].first + count
            fits = count + records <= self._most and size + len(row.body) < self._format.body_bytes
            if some and not (follows and fits):
                yield _parcel(some)
                some, count, size = [], 0, 0
            some.append(row)
            count += records
            size += len(row.body) + 1
        if some:
            yield _parcel(some)


def _disconnect() -> None:
    """To be called in a reader's thread: `connection.close`, looked up in another one, is that one's connection's."""
    connection.close()


def _parcel(rows: Sequence[_Row]) -> Parcel:
    leaves = b"".join([row.leaves for row in rows]).decode()
    return Parcel(first=rows[0].first, leaves=leaves, parts=[row.body for row in rows])


# Of each row: the first number, the leaf hashes, and the events with what stands between them; rows that lack a record,
# or have a large one, are left out. What JSON does to a text takes longer to find out for each of them than once for
# all of a row: to nearly all it does nothing, and then they stand as they are ({plain}). Otherwise the row is composed
# again, with each text escaped ({escaped}).
_COMPOSED = """
COPY (SELECT start, leaves, body
        FROM generate_series(%(first)s::bigint, %(until)s, %(together)s) start,
             LATERAL (SELECT count(*) AS records, string_agg(leaf_hash, '') AS leaves,
                             CASE WHEN octet_length(to_json({texts})::text) = octet_length({texts}) + 2
                                  THEN {joined}
                                  ELSE (SELECT {joined} FROM (SELECT {escaped} AS line {records}) escaped) END AS body
                        FROM (SELECT leaf_hash::text AS leaf_hash, {plain} AS line, concat({columns}) AS texts
                              {records}) lines) composed
       WHERE body IS NOT NULL AND records = least(%(together)s, %(until)s - start + 1)) TO STDOUT (FORMAT binary)
"""
_JOINED = """
CASE WHEN max(octet_length(line)) <= %(large)s AND sum(octet_length(line)) <= %(most)s
     THEN string_agg(CASE WHEN octet_length(line) <= %(large)s THEN line END, %(between)s) END
"""
_TEXTS = "string_agg(CASE WHEN octet_length(line) <= %(large)s THEN texts END, '')"
_RECORDS = """
FROM public.audit_record
WHERE tenant_id = %(tenant)s AND seq BETWEEN start AND least(start + %(together)s - 1, %(until)s)
ORDER BY seq
"""
# In a row of it: the number of columns, then each with its length before it.
_FIRST_AT, _LEAVES_AT = 6, 18


@requires_transaction
def _rows(format_: Format, target: Target, *, after: int, until: int, together: int) -> Iterator[_Row]:
    """Whatever of the slice can be composed, in order."""
    tenant = context.current().tenant_id
    query, words = _composed(format_.envelope(target, signing.origin(tenant)), format_, tenant)
    given = {
        **words,
        "tenant": tenant,
        "first": after + 1,
        "until": until,
        "together": together,
        "between": format_.between.decode(),
        "large": min(LARGE, format_.most_of(target)),
        "most": MOST_TOGETHER,
    }
    with connection.cursor() as cursor:
        cursor.execute(_SETTINGS)
        with cursor.copy(query, given) as copy:
            for rows in copied.binary(copy, size=_BLOCK_BYTES):
                for row in rows:
                    (first,) = unpack_from("!q", row, _FIRST_AT)
                    (length,) = unpack_from("!i", row, _LEAVES_AT - 4)
                    body_at = _LEAVES_AT + length + 4
                    yield _Row(first, bytes(row[_LEAVES_AT : _LEAVES_AT + length]), bytes(row[body_at:]))


def _composed(envelope: Envelope, format_: Format, tenant: str) -> tuple[str, dict[str, str]]:
    """The statement, and the words in it by name, which are given as whatever is not ours."""
    plain, words = events.concat(_line(envelope, format_, tenant, is_plain=True))
    escaped, more = events.concat(_line(envelope, format_, tenant, is_plain=False), name="escaped")
    query = _COMPOSED.format(
        plain=plain,
        escaped=escaped,
        texts=_TEXTS,
        columns=", ".join(events.COLUMNS.values()),
        joined=_JOINED,
        records=_RECORDS,
    )
    return query, words | more


def _line(envelope: Envelope, format_: Format, tenant: str, *, is_plain: bool) -> list[str | Sql]:
    """A record's event, as words and expressions."""
    log = signing.origin(tenant)
    event = [f"{log}/", Sql("seq"), "-", Sql(f"left(leaf_hash, {events.ID_DIGITS})")]
    # Of the first millisecond that is not too old, and of the first one that is too far ahead.
    now = clock.now()
    oldest, newest = (clock.rfc3339(_next_millisecond(moment)) for moment in (now - OLDEST_DATE, now + NEWEST_DATE))
    title: list[str | Sql] = [Sql("to_json(action || ' ' || entity_type)")]
    places: dict[Place, list[str | Sql]] = {
        Place.EVENT: event,
        Place.BLOCK: [f"{tenant}.", Sql(f"seq / {events.BLOCK}")],
        Place.SECONDS: [Sql("""trunc(extract(epoch FROM "timestamp"), 3)""")],
        Place.MOMENT: [Sql("""to_char("timestamp" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')""")],
        Place.TITLE: ['"', Sql("action"), " ", Sql("entity_type"), '"'] if is_plain else title,
        Place.DATE: [
            Sql(
                f"""CASE WHEN "timestamp" >= '{oldest}' AND "timestamp" < '{newest}'"""
                f""" THEN '"date":' || {events.MILLIS} || ',' END"""
            )
        ],
        Place.RECORD: ['"eventId":"', *event, '",', *events.spelled(as_text=format_.as_text, is_plain=is_plain)],
    }
    return [one for part in envelope for one in (places[part] if isinstance(part, Place) else [part])]


def _next_millisecond(moment: datetime) -> datetime:
    return moment - timedelta(microseconds=moment.microsecond % 1000) + timedelta(milliseconds=1)
