"""What the three vendors have in common: how events become a request, and what an answer says of each event."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import orjson
from isal import igzip

from audit.shipping.client import Answer, Away, Client, Request
from audit.shipping.destinations import Target
from audit.shipping.events import Event
from kaireon.lib import clock

# Fast, and most of what can be had: the contents are JSON with the same names over and over.
_LEVEL = 1

# Datadog does not take over a `date` of more than 18 hours ago: an hour less than that, for what waits on the way.
OLDEST_DATE = timedelta(hours=17)
# Nor one of more than 2 hours ahead.
NEWEST_DATE = timedelta(hours=1)


class Place(Enum):
    """What stands in an envelope for something of the event."""

    EVENT = "its id"
    BLOCK = "its block"
    SECONDS = "when, in seconds since 1970 with three decimals"
    MOMENT = "when, RFC 3339 in UTC with three decimals"
    DATE = "a member `date` with its milliseconds and a comma, or nothing when that is too old or too far ahead"
    TITLE = "its title as JSON"
    RECORD = "the members of its own object"


# An event's part of a body: words, and places between them. composing.py spells the same in SQL.
Envelope = Sequence[str | Place]

# Of every event that is there, also of second copies: its id, and its mark (marks.mark), "" for what is no event.
Found = Sequence[tuple[str, str]]


class NotSearchable(ValueError):
    """The destination lacks what a look into it needs. The message names the settings."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of a request's events, by their place in it: those not named were taken.

    `again` may be tried again, when `is_throttled` after `wait`; `refused` will never be taken as they are, each with
    a code. `split` is set when the whole was refused and nobody said because of which. `ack` is what indexing can be
    asked for by.
    """

    refused: Mapping[int, str] = field(default_factory=dict)
    again: Sequence[int] = ()
    is_throttled: bool = False
    wait: timedelta | None = None
    split: str = ""
    ack: int | None = None

    @property
    def is_clean(self) -> bool:
        """Whether all were taken."""
        return not (self.refused or self.again or self.split)

    def took_some(self, count: int) -> bool:
        """Whether any of so many events were taken, or would have been at another time."""
        return self.is_throttled or not (self.split or len(self.refused) + len(self.again) >= count)


@dataclass(frozen=True, kw_only=True)
class Sought:
    """What is looked for: a block's events with these ids, and whatever else carries the block's name, none from before
    `earliest`, in milliseconds since 1970. `look` gives the mark of an event that is there."""

    block: str
    ids: Sequence[str]
    earliest: int
    look: Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True, kw_only=True)
class Format:
    """A vendor's way. Sizes in bytes, uncompressed.

    `envelope` says what an event's part of a body is, in a log of this name, and `between` what stands between two;
    `request` makes a request of such parts, or of several joined so; `judge` reads its answer about the events of these
    ids. `acknowledged` asks which acks are indexed, `find` what is there of what is sought, and raises Away
    rather than give a part of it.
    """

    event_bytes: int
    body_bytes: int
    as_text: bool
    between: bytes
    envelope: Callable[[Target, str], Envelope]
    request: Callable[[Sequence[bytes], Target, str], Request]
    judge: Callable[[Answer, Sequence[str]], Verdict]
    find: Callable[[Client, Target, Sought], Found]
    searchable: Callable[[Target], None]
    acknowledged: Callable[[Client, Target, str, Sequence[int]], set[int]] | None = None

    def most_of(self, target: Target) -> int:
        """The largest event that is sent whole."""
        return min(target.event_bytes or self.event_bytes, self.body_bytes)


def encode(event: Event, envelope: Envelope) -> bytes:
    """An event's part of a body."""
    return b"".join([_SPELLED[part](event) if isinstance(part, Place) else part.encode() for part in envelope])


def _date(event: Event) -> bytes:
    now = clock.now()
    oldest, newest = (int(moment.timestamp() * 1000) for moment in (now - OLDEST_DATE, now + NEWEST_DATE))
    return b'"date":%d,' % event.millis if oldest < event.millis <= newest else b""


def _moment(event: Event) -> bytes:
    moment = datetime.fromtimestamp(event.millis / 1000, UTC).isoformat(timespec="milliseconds")[:-6]
    return f"{moment}Z".encode()


_SPELLED: Mapping[Place, Callable[[Event], bytes]] = {
    Place.EVENT: lambda event: event.id.encode(),
    Place.BLOCK: lambda event: event.block.encode(),
    Place.SECONDS: lambda event: b"%d.%03d" % divmod(event.millis, 1000),
    Place.MOMENT: _moment,
    Place.DATE: _date,
    Place.TITLE: lambda event: orjson.dumps(event.title),
    Place.RECORD: lambda event: event.text[1:-1],
}


def at(endpoint: str, path: str, query: str = "") -> str:
    """The endpoint with this path behind its own; not twice, when somebody wrote the whole address."""
    parts = urlsplit(endpoint)
    own = parts.path.rstrip("/")
    whole = own if own.endswith(path) else own + path
    return urlunsplit((parts.scheme, parts.netloc, whole, query, ""))


def request(target: Target, url: str, headers: Sequence[tuple[str, str]], body: bytes) -> Request:
    """A request of events, as gzip unless the destination is to have them plain."""
    if not target.is_gzipped:
        return Request(url=url, headers=headers, body=body)
    packed = igzip.compress(body, _LEVEL, mtime=0)
    return Request(url=url, headers=[*headers, ("Content-Encoding", "gzip")], body=packed)


def said(answer: Answer) -> dict[str, Any]:
    """The answer's JSON object. Raises Away: who answers otherwise is not the API, but a proxy or a sign-in page."""
    try:
        found = orjson.loads(answer.body)
    except orjson.JSONDecodeError as error:
        raise Away("answer_not_understood") from error
    if not isinstance(found, dict):
        raise Away("answer_not_understood")
    return found


def refuse_the_whole(answer: Answer) -> None:
    """Raises Away for what is about the destination and not about an event: nothing was taken, all comes again."""
    status = answer.status
    if 300 <= status < 400:
        raise Away("redirect_refused")
    if status in (401, 403):
        raise Away("unauthorized")
    if status in (404, 405):
        raise Away("not_found")
    if status in (429, 503):
        raise Away("throttled", wait=answer.wait)
    if status == 408 or status >= 500:
        raise Away(f"http_{status}", wait=answer.wait)
    if status not in (200, 202, 400, 413):
        raise Away(f"http_{status}")
