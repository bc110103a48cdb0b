"""Sending events until each is taken or refused, and waiting until what was taken is indexed."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import lru_cache
from typing import ParamSpec, TypeVar
from uuid import UUID, uuid4, uuid5

from audit.models import SiemBackend
from audit.shipping import datadog, elastic, events, formats, splunk
from audit.shipping.client import Away, Client
from audit.shipping.composing import Parcel
from audit.shipping.destinations import Target
from audit.shipping.events import Event
from audit.shipping.formats import Format, Verdict
from audit.tree import signing
from kaireon.api.breakers import SIEM, Breaker, BreakerOpen
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import current

logger = logging.getLogger("kaireon.audit.shipping")

P = ParamSpec("P")
R = TypeVar("R")

FORMATS: dict[str, Format] = {
    SiemBackend.SPLUNK: splunk.FORMAT,
    SiemBackend.DATADOG: datadog.FORMAT,
    SiemBackend.ELASTIC: elastic.FORMAT,
}

# What is throttled is tried again so often within one run, each time after what was asked for or twice as long, and
# no longer than that in all; then it waits for the next run.
MOST_TRIES = 4
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 10.0
# Until what was taken is indexed. Nothing moves on before; after that it is sent again.
ACK_SECONDS = 60.0
_FIRST_LOOK = 0.05
_LAST_LOOK = 2.0
# What is answered by who stands before a SIEM and cannot unpack, and also for other reasons.
_MAYBE_OF_GZIP = frozenset({"http_400", "http_415"})
# Of the channel by which a log's acknowledgements are told from another's.
_CHANNELS = UUID("5b1f6c3e-52c1-4f0e-8f7e-0d6a7a1f9e42")


@dataclass(kw_only=True)
class Sent:
    """What became of events, by id; `is_whole`: all were taken, and none is named. `failure` is why the others were not
    tried to the end."""

    is_whole: bool = False
    taken: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    acks: list[int] = field(default_factory=list)
    failure: Away | BreakerOpen | None = None

    def settled(self, event: Event) -> bool:
        return self.is_whole or event.id in self.taken or event.id in self.refused


class Sender:
    """Sends to one destination, for one log, in one run."""

    def __init__(self, target: Target, client: Client, *, budget: Budget) -> None:
        self.target = target
        self.format = FORMATS[target.backend]
        self._client = client
        self._most = self.format.most_of(target)
        self._budget = budget
        self._tenant = current().tenant_id
        self._envelope = self.format.envelope(target, signing.origin(self._tenant))
        self._channel = str(uuid5(_CHANNELS, f"{self._tenant}\n{target.key}"))
        # Whether it took anything in this run: then a refusal is about the event that it names.
        self._is_proven = False

    def encoded(self, event: Event) -> bytes:
        """The event's part of a body, reduced when the whole is more than the vendor takes."""
        if event.body is None:
            event.body = formats.encode(event, self._envelope)
            if len(event.body) > self._most and not event.is_reduced:
                event.body = formats.encode(events.reduced(event), self._envelope)
        return event.body

    def fitting(self, found: Sequence[Event]) -> list[Event]:
        """As many of them as one body holds, one at least."""
        size = 0
        for number, event in enumerate(found):
            size += len(self.encoded(event)) + 1
            if size > self.format.body_bytes and number:
                return list(found[:number])
        return list(found)

    def send(self, found: Sequence[Event]) -> Sent:
        """In order, until each is taken or refused, or the destination takes no more for now."""
        sent = Sent()
        try:
            self._send(list(found), sent)
        except (Away, BreakerOpen) as failure:
            sent.failure = failure
        return sent

    def send_parcel(self, first_ones: Sequence[Event], parcel: Parcel, *, opened: Callable[[], list[Event]]) -> Sent:
        """Events, and the parcel behind them, in one request. When not all of it was taken, `opened` gives the parcel's
        events, and they go on as `send` would."""
        sent = Sent()
        ids = parcel.ids(signing.origin(self._tenant), before=[event.id for event in first_ones])
        bodies = [*(self.encoded(event) for event in first_ones), *parcel.parts]
        try:
            verdict = self._ask_about(bodies, ids)
            if verdict.is_clean:
                sent.is_whole = self._is_proven = True
                sent.acks += [] if verdict.ack is None else [verdict.ack]
            else:
                left = [*first_ones, *opened()]
                self._send(left, sent, verdict if [event.id for event in left] == list(ids) else None)
        except (Away, BreakerOpen) as failure:
            sent.failure = failure
        return sent

    def probe(self) -> None:
        """Send one event that is nobody's record. Raises Away when it is not taken, BreakerOpen."""
        event = events.test_event(self._tenant, number=str(uuid4()), millis=int(clock.now().timestamp() * 1000))
        verdict = self._ask([event])
        if verdict.refused or verdict.split or verdict.again:
            code = verdict.split or next(iter(verdict.refused.values()), "throttled")
            raise Away(code, wait=verdict.wait)
        self._is_proven = True
        if verdict.ack is not None:
            self.wait_for([verdict.ack])

    def wait_for(self, acks: Sequence[int]) -> None:
        """Come back when all are indexed. Raises Away when that takes too long: then they are sent again."""
        assert self.format.acknowledged is not None  # noqa: S101  who gives acks can be asked for them
        waiting = set(acks)
        ends = time.monotonic() + min(ACK_SECONDS, max(self._budget.left(), _LAST_LOOK))
        pause = _FIRST_LOOK
        while waiting:
            waiting -= self._guarded(
                self.format.acknowledged, self._client, self.target, self._channel, sorted(waiting)
            )
            if not waiting:
                return
            if time.monotonic() + pause > ends:
                raise Away("not_acknowledged")
            time.sleep(pause)
            pause = min(2 * pause, _LAST_LOOK)

    def _send(self, left: list[Event], sent: Sent, answered: Verdict | None = None) -> None:
        """`answered` is what was said of them already."""
        tries = 0
        while left:
            verdict, answered = answered or self._ask(left), None
            if verdict.ack is not None:
                sent.acks.append(verdict.ack)
            if verdict.split and len(left) > 1:
                for half in events.halves(left):
                    self._send(half, sent)
                return
            refused = {0: verdict.split} if verdict.split else verdict.refused
            left = self._settle(left, refused, set(verdict.again), sent)
            if verdict.is_throttled and left:
                tries += 1
                self._pause(tries, verdict.wait)

    def _settle(self, tried: list[Event], refused: Mapping[int, str], again: set[int], sent: Sent) -> list[Event]:
        """Note what is settled; gives what is to be tried again, in order, refused events in their reduced form."""
        taken = {event.id for n, event in enumerate(tried) if n not in refused and n not in again}
        if taken:
            self._is_proven = True
            sent.taken |= taken
        elif refused and not self._is_proven:
            # Nobody knows yet whether it takes anything at all: what refuses everything must not pass for a bad record.
            self.probe()
        left = []
        for n, event in enumerate(tried):
            if n in again:
                left.append(event)
            elif n in refused and not event.is_reduced:
                left.append(events.reduced(event))
            elif n in refused:
                sent.refused[event.id] = refused[n]
        return left

    def _pause(self, tries: int, wait: timedelta | None) -> None:
        """Raises Away when waiting is no longer worth it in this run."""
        asked = wait.total_seconds() if wait is not None else 0.0
        seconds = max(asked, FIRST_PAUSE * 2 ** (tries - 1))
        if tries >= MOST_TRIES or seconds > min(LONGEST_PAUSE, self._budget.left()):
            raise Away("throttled", wait=wait)
        time.sleep(seconds)

    def _ask(self, tried: Sequence[Event]) -> Verdict:
        return self._ask_about([self.encoded(event) for event in tried], [event.id for event in tried])

    def _ask_about(self, bodies: Sequence[bytes], ids: Sequence[str]) -> Verdict:
        """Raises Away, BreakerOpen. As gzip, and plain when nothing of the first ones was taken so."""
        if self._is_proven or not self.target.is_gzipped:
            return self._request(bodies, ids)
        refusal: Away | None = None
        try:
            said = self._request(bodies, ids)
            if said.took_some(len(ids)):
                return said
        except Away as away:
            if away.code not in _MAYBE_OF_GZIP:
                raise
            refusal = away
        packed, self.target = self.target, replace(self.target, is_gzipped=False)
        plain = self._request(bodies, ids)
        if plain.took_some(len(ids)):
            logger.warning("siem_gzip_refused", extra={"tenant_id": self._tenant, "destination": self.target.name})
            return plain
        self.target = packed
        if refusal is not None:
            raise refusal
        return said

    def _request(self, bodies: Sequence[bytes], ids: Sequence[str]) -> Verdict:
        """Raises Away, BreakerOpen. What throttles the whole is waited for, as what throttles a part of it."""
        request = self.format.request(bodies, self.target, self._channel)

        def asked() -> Verdict:
            return self.format.judge(self._client.post(request), ids)

        tries = 0
        while True:
            try:
                return self._guarded(asked)
            except Away as away:
                if away.code != "throttled":
                    raise
                tries += 1
                self._pause(tries, away.wait)

    def _guarded(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return _breaker(self.target.key).call(function, *args, **kwargs)


@lru_cache(maxsize=1024)
def _breaker(instance: str) -> Breaker:
    return Breaker(SIEM, instance=instance, ignore=(_is_answer,))


def _is_answer(error: BaseException) -> bool:
    return isinstance(error, Away) and error.is_answer
