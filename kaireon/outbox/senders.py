"""Messages in line, and the threads that send them: several at a time, those of each destination in their order.

Threads choose the next message by themselves and never touch the database. Whoever does hears from them what came back.
"""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import cache
from threading import Condition
from typing import NamedTuple
from uuid import UUID

from kaireon.api.breakers import BreakerOpen
from kaireon.lib.budget import Budget
from kaireon.outbox.destinations import Endpoint
from kaireon.outbox.models import Kind
from kaireon.outbox.sending import SEND_SECONDS, Refused
from kaireon.outbox.services import Claimed

logger = logging.getLogger("kaireon.outbox")

# After so many failures in a row a destination rests, and its other messages wait instead of timing out too.
MOST_IN_A_ROW = 3
REST_SECONDS = 5.0
# Deliveries under way at once: while one receiver thinks, the next is sent to. Of a webhook that took one, as many as
# may fail in a row; of other kinds one after the other: who reads a stream finds first what came first.
AT_ONCE = 8

Way = Endpoint | Refused
Send = Callable[[Way, Claimed], None]


@dataclass(kw_only=True)
class Back:
    """What came back: delivered, refused, or not even tried and to be left alone for so many seconds."""

    # Ids alone: what they said is not kept until it is written down that they were said.
    sent: list[UUID] = field(default_factory=list)
    refused: list[tuple[Claimed, Refused]] = field(default_factory=list)
    unsent: list[tuple[Claimed, float]] = field(default_factory=list)
    # What nobody foresaw. Nothing more is sent after it.
    broken: BaseException | None = None
    # The ordering keys of what was sent: others may wait behind it.
    keys: set[str] = field(default_factory=set)


class _InLine(NamedTuple):
    message: Claimed
    # The moment (monotonic) after which its lease might not outlive the delivery.
    latest: float


class _TooLate(Exception):
    """Its lease might not outlive the delivery."""


class Senders:
    """Those of one run. `send` raises Refused, BreakerOpen."""

    def __init__(self, *, send: Send, budget: Budget) -> None:
        self._send = send
        self._budget = budget
        # For all that is below.
        self._news = Condition()
        # By destination, in the order in which they are due.
        self._lines: dict[UUID, deque[_InLine]] = {}
        self._in_line = 0
        self._ways: dict[UUID, Way] = {}
        self._under_way: Counter[UUID] = Counter()
        self._busy = 0
        self._in_a_row: Counter[UUID] = Counter()
        # Destinations that took one, and those that rest, until when.
        self._well: set[UUID] = set()
        self._resting: dict[UUID, float] = {}
        self._back = Back()
        # When more is to be taken: with no more than so many in line, and fewer than so many held.
        self._short = 0
        self._room_for = 0

    @property
    def held(self) -> int:
        """How many are in line or under way."""
        with self._news:
            return self._in_line + self._busy

    @property
    def in_line(self) -> int:
        with self._news:
            return self._in_line

    def add(self, messages: Collection[Claimed], ways: Mapping[UUID, Way], *, latest: float) -> None:
        """Put them in line, and start as many as may be under way. `latest` is when the last may be started."""
        now = time.monotonic()
        with self._news:
            self._ways.update(ways)
            for message in messages:
                destination = message.destination_id
                if (until := self._resting.get(destination)) is not None:
                    self._back.unsent.append((message, max(0.0, until - now)))
                    continue
                self._lines.setdefault(destination, deque()).append(_InLine(message, latest))
                self._in_line += 1
            self._start()

    def sated(self, more_than: int) -> set[UUID]:
        """Destinations that need no more at this moment: those that rest, and those with more than so many in line."""
        now = time.monotonic()
        with self._news:
            for destination in [d for d, until in self._resting.items() if until <= now]:
                del self._resting[destination]
                del self._in_a_row[destination]
            return {*self._resting, *(d for d, line in self._lines.items() if len(line) > more_than)}

    def thin(self, to: int) -> None:
        """Give back what destinations that took nothing yet have in line beyond so many: others need the room."""
        with self._news:
            for destination, line in self._lines.items():
                while destination not in self._well and len(line) > to:
                    self._back.unsent.append((line.pop().message, 0.0))
                    self._in_line -= 1

    def wait(self, seconds: float, *, short: int, room_for: int) -> None:
        """Until there is something to write down or to take at once, but no longer than this.

        That is a refusal, or the end of all there is; with no more than `short` in line also a delivery that others
        wait for, or that fewer than `room_for` are held. Other deliveries can wait.
        """
        with self._news:
            self._short, self._room_for = short, room_for
            self._news.wait_for(self._is_news, timeout=seconds)

    def back(self) -> Back:
        """What came back since the last time."""
        with self._news:
            back, self._back = self._back, Back()
            return back

    def stop(self, seconds: float) -> None:
        """Start nothing more, and wait for what is under way, so long."""
        with self._news:
            self._clear(0.0)
            self._news.wait_for(lambda: not self._busy, timeout=seconds)

    # What follows needs the lock, unless it says otherwise.

    def _is_news(self) -> bool:
        back, held = self._back, self._in_line + self._busy
        if back.refused or back.unsent or back.broken or not held:
            return True
        return self._in_line <= self._short and (bool(back.keys) or held < self._room_for)

    def _start(self) -> None:
        """As many senders more as there is a message for at this moment."""
        while (following := self._next()) is not None:
            try:
                _threads().submit(copy_context().run, self._send_on, following)
            except RuntimeError as error:
                # No thread is to be had. It stays under way, because another one may find it yet.
                self._break(error)

    def _next(self) -> _InLine | None:
        """The next one to send, counted as under way; none when others must come back first."""
        if self._busy >= AT_ONCE:
            return None
        destination = next((d for d in self._lines if self._under_way[d] < self._abreast(d)), None)
        if destination is None:
            return None
        if self._budget.spent:
            self._clear(0.0)
            return None
        line = self._lines.pop(destination)
        following = line.popleft()
        if line:
            # Behind the others, so that each has its turn.
            self._lines[destination] = line
        self._in_line -= 1
        self._under_way[destination] += 1
        self._busy += 1
        return following

    def _abreast(self, destination: UUID) -> int:
        """How many of this destination's may be under way at once."""
        way = self._ways[destination]
        if isinstance(way, Refused) or way.kind != Kind.WEBHOOK or destination not in self._well:
            return 1
        return max(1, MOST_IN_A_ROW - self._in_a_row[destination])

    def _send_on(self, following: _InLine | None) -> None:
        """This message and then others: what a thread does, without the lock."""
        while following is not None:
            error = self._tried(following)
            with self._news:
                self._came_back(following.message, error)
                following = self._next()
                # A destination that took its first one takes more at once.
                self._start()
                if self._is_news() or not self._busy:
                    self._news.notify_all()

    def _tried(self, following: _InLine) -> BaseException | None:
        """Without the lock. Whatever happens is told: who waits must hear."""
        message = following.message
        if time.monotonic() > following.latest:
            # It waited long, in its line or for a thread, and would be somebody else's before it is settled.
            return _TooLate()
        try:
            self._send(self._ways[message.destination_id], message)
        except BreakerOpen as error:
            logger.info("delivery_waits", extra={"topic": message.topic, "dependency": error.dependency})
            return error
        except BaseException as error:  # noqa: BLE001  raised where it is waited for
            return error
        return None

    def _came_back(self, message: Claimed, error: BaseException | None) -> None:
        destination = message.destination_id
        self._under_way[destination] -= 1
        self._busy -= 1
        if error is None:
            self._back.sent.append(message.pk)
            if message.ordering_key:
                self._back.keys.add(message.ordering_key)
            self._in_a_row[destination] = 0
            self._resting.pop(destination, None)
            self._well.add(destination)
        elif isinstance(error, _TooLate):
            self._back.unsent.append((message, 0.0))
        elif isinstance(error, BreakerOpen):
            # Nothing was sent, so it is no failure of this message.
            self._back.unsent.append((message, error.seconds))
            self._rest(destination, error.seconds)
        elif isinstance(error, Refused):
            self._back.refused.append((message, error))
            self._in_a_row[destination] += not error.permanent
            if self._in_a_row[destination] >= MOST_IN_A_ROW:
                self._rest(destination, REST_SECONDS)
        else:
            self._break(error)

    def _break(self, error: BaseException) -> None:
        self._back.broken = self._back.broken or error
        self._clear(0.0)

    def _rest(self, destination: UUID, seconds: float) -> None:
        self._resting[destination] = time.monotonic() + seconds
        self._well.discard(destination)
        line = self._lines.pop(destination, ())
        self._back.unsent.extend((waiting.message, seconds) for waiting in line)
        self._in_line -= len(line)

    def _clear(self, seconds: float) -> None:
        for line in self._lines.values():
            self._back.unsent.extend((waiting.message, seconds) for waiting in line)
        self._lines.clear()
        self._in_line = 0


@cache
def _threads() -> ThreadPoolExecutor:
    """Threads of this process; made by the first delivery, after any fork."""
    return ThreadPoolExecutor(AT_ONCE, thread_name_prefix="outbox")


def latest_start(lease_seconds: float) -> float:
    """Until when (monotonic) a delivery can begin under a lease taken now, however slow it is."""
    return time.monotonic() + lease_seconds - SEND_SECONDS - 5
