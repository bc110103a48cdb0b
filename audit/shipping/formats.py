"""What the three vendors have in common: how events become a request, and what an answer says of each event."""

import gzip
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import orjson

from audit.shipping.client import Answer, Away, Client, Request
from audit.shipping.destinations import Target
from audit.shipping.events import Event

# Fast, and most of what can be had: the contents are JSON with the same names over and over.
_LEVEL = 1

# Of what was looked for, by event id: the hash that the event carries there.
Found = Mapping[str, str]


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


@dataclass(frozen=True, kw_only=True)
class Format:
    """A vendor's way. Sizes in bytes, uncompressed.

    `encode` makes an event's part of a body, `request` a request of several, `judge` reads its answer; `acknowledged`
    asks which acks are indexed, `find` what is there of a block: every event, or of those with these ids.
    """

    event_bytes: int
    body_bytes: int
    as_text: bool
    encode: Callable[[Event, Target], bytes]
    request: Callable[[Sequence[bytes], Target, str], Request]
    judge: Callable[[Answer, Sequence[Event]], Verdict]
    find: Callable[[Client, Target, str, Sequence[str], int], Found]
    searchable: Callable[[Target], None]
    acknowledged: Callable[[Client, Target, str, Sequence[int]], set[int]] | None = None

    def most_of(self, target: Target) -> int:
        """The largest event that is sent whole."""
        return min(target.event_bytes or self.event_bytes, self.body_bytes)


def at(endpoint: str, path: str, query: str = "") -> str:
    """The endpoint with this path behind its own; not twice, when somebody wrote the whole address."""
    parts = urlsplit(endpoint)
    own = parts.path.rstrip("/")
    whole = own if own.endswith(path) else own + path
    return urlunsplit((parts.scheme, parts.netloc, whole, query, ""))


def packed(headers: Sequence[tuple[str, str]], body: bytes) -> tuple[Sequence[tuple[str, str]], bytes]:
    return [*headers, ("Content-Encoding", "gzip")], gzip.compress(body, _LEVEL, mtime=0)


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


def text(value: str) -> str:
    return orjson.dumps(value).decode()
