"""Sending what is due: claim it, send each outside any transaction, settle.

At least once: a crash between the sending and the settling sends again, with the same id.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from kaireon.api.breakers import BreakerOpen
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.lib.sealing import CannotOpen
from kaireon.outbox import destinations, payloads, services
from kaireon.outbox.models import Destination
from kaireon.outbox.senders import Senders, Way, latest_start
from kaireon.outbox.sending import SEND_SECONDS, Outgoing, Refused
from kaireon.outbox.services import Claimed
from kaireon.tenancy import context
from kaireon.tenancy.context import transaction

logger = logging.getLogger("kaireon.outbox")

# Taken at once; twice as many are held at a time.
BATCH = 100
# With so few in line the next are taken, so that no receiver waits for that.
SHORT = 16
# Once in so many batches comes a message whose worker was lost, however much else is due; first of all in each run.
LOST_EVERY = 10
# What was sent is settled at least so often; a crash repeats at most so much. As often it is seen what else is due.
SETTLE_SECONDS = 0.5


@dataclass(kw_only=True)
class Delivered:
    """Counts of one run: delivered, to be tried again, dead, given back."""

    sent: int = 0
    failed: int = 0
    dead: int = 0
    released: int = 0


def deliver_due(
    *, budget: Budget, most: int | None = None, at_each_turn: Callable[[], None] = lambda: None
) -> Delivered:
    """Deliver what is due in the active tenant until nothing is, the budget is spent or `most` batches are done.

    Runs outside any transaction. What a destination refuses becomes the message's state. `at_each_turn` is called
    about every half a second, or oftener.
    """
    run = _Run(budget, most)
    try:
        while run.turn():
            at_each_turn()
    finally:
        # Also when it was interrupted: what was sent is not sent again, and nothing waits for a lease to run out.
        run.end()
    return run.total


class _Run:
    """The one who is alone with the database while the senders send: settles what they did, takes what is due next.

    What is settled and what is taken go in one transaction, so a message that waits for an earlier one of its key is
    taken in the very transaction that says the earlier one is delivered.
    """

    def __init__(self, budget: Budget, most: int | None) -> None:
        self.total = Delivered()
        self._budget = budget
        self._batches_left = most
        self._senders = Senders(send=_send, budget=budget)
        # One lease for all of this run; each message has it from when it was taken.
        self._token = uuid4()
        # What came back and is not written down yet: kept until the transaction that does has committed.
        self._sent: list[UUID] = []
        self._refused: list[tuple[Claimed, Refused]] = []
        self._unsent: defaultdict[float, list[UUID]] = defaultdict(list)
        # The keys of what came back, behind which the next may be due.
        self._freed: set[str] = set()
        # When it was last looked at all that is due, and whether there was more than was asked for.
        self._looked = time.monotonic()
        self._was_full = False
        # When each destination's address and secret were read.
        self._read: dict[UUID, float] = {}
        self._since_lost: int | None = None
        self._is_lost_under_way = False

    def turn(self) -> bool:
        """Write down what came back, take what is due and wait for more to come back; false when all is done."""
        # Asked before hearing: when nothing is held now, all that ever came back is heard in this turn.
        is_idle = not self._senders.held
        if (broken := self._hear()) is not None:
            raise broken
        self._write_down_undelivered()
        taken = self._settle_and_take(self._next(is_idle=is_idle))
        if is_idle and not taken:
            return False
        room_for = 2 * BATCH if self._was_full and self._takes_more() else 0
        self._senders.wait(SETTLE_SECONDS, short=_short(), room_for=room_for)
        return True

    def end(self) -> None:
        """Start nothing more, wait for what is under way, and write down all that came of it."""
        self._senders.stop(SEND_SECONDS + 5)
        self._hear()
        self._settle_and_take(None)
        self._write_down_undelivered()

    def _hear(self) -> BaseException | None:
        back = self._senders.back()
        self._sent.extend(back.sent)
        self._refused.extend(back.refused)
        self._freed |= back.keys
        self._freed.update(message.ordering_key for message, _ in back.refused if message.ordering_key)
        for message, seconds in back.unsent:
            self._unsent[seconds].append(message.pk)
        return back.broken

    def _write_down_undelivered(self) -> None:
        while self._refused:
            self._failed(*self._refused[0])
            self._refused.pop(0)
        while self._unsent:
            seconds, ids = next(iter(self._unsent.items()))
            # Left alone for a while, or else in its old place.
            due_at = clock.now() + timedelta(seconds=seconds) if seconds else None
            with transaction():
                released = services.release(lease_token=self._token, ids=ids, due_at=due_at)
            self.total.released += released
            del self._unsent[seconds]

    def _failed(self, message: Claimed, refusal: Refused) -> None:
        with transaction():
            dead = services.failed(message=message, refusal=refusal, now=clock.now())
        self.total.dead += dead
        self.total.failed += not dead
        logger.warning(
            "delivery_failed", extra={"topic": message.topic, "error_type": refusal.code, "dead": bool(dead)}
        )

    def _next(self, *, is_idle: bool) -> "_Wanted | None":
        """What to take now."""
        if self._budget.spent or self._batches_left == 0:
            return None
        if is_idle:
            return _Wanted(most=BATCH, lost_first=self._is_turn_of_lost(), fresh_only=False)
        room = min(BATCH, 2 * BATCH - self._senders.held)
        if room <= 0:
            # So that what hangs does not fill all of it. They stay sated with what is left to them.
            self._senders.thin(_short() + 1)
        if room <= 0 or not self._takes_more():
            return None
        is_short = self._senders.in_line <= _short()
        if time.monotonic() - self._looked > SETTLE_SECONDS or (is_short and self._was_full):
            return _Wanted(most=room)
        if is_short and self._freed:
            return _Wanted(most=room, behind=frozenset(self._freed))
        return None

    def _takes_more(self) -> bool:
        """Whether to take more beside what is held. What lost a worker is alone: nothing goes beside it."""
        if self._budget.spent or self._batches_left == 0:
            return False
        return not (self._is_lost_under_way or self._is_turn_of_lost())

    def _is_turn_of_lost(self) -> bool:
        return self._since_lost is None or self._since_lost >= LOST_EVERY * BATCH

    def _settle_and_take(self, wanted: "_Wanted | None") -> list[Claimed]:
        """Settle what was sent and take what is wanted, in one transaction."""
        if not (wanted or self._sent):
            return []
        latest = latest_start(services.LEASE.total_seconds())
        taken: list[Claimed] = []
        ways: dict[UUID, Way] = {}
        done = 0
        with transaction():
            if self._sent:
                done = services.done(lease_token=self._token, ids=self._sent, now=clock.now())
            if wanted:
                _, taken = services.claim(
                    now=clock.now(), lease_token=self._token, beside=self._senders.sated(_short()), **vars(wanted)
                )
                ways = self._ways({message.destination_id for message in taken})
        self.total.sent += done
        self._sent.clear()
        if wanted:
            self._took(taken, wanted)
            self._senders.add(taken, ways, latest=latest)
        return taken

    def _took(self, taken: Collection[Claimed], wanted: "_Wanted") -> None:
        self._freed.clear()
        if not wanted.behind:
            self._looked = time.monotonic()
            self._was_full = len(taken) == wanted.most
        self._since_lost = len(taken) + (0 if wanted.lost_first else self._since_lost or 0)
        self._is_lost_under_way = any(message.losses for message in taken)
        if taken and self._batches_left:
            self._batches_left -= 1

    def _ways(self, ids: Collection[UUID]) -> dict[UUID, Way]:
        """How to reach those that were not read just now."""
        now = time.monotonic()
        stale = [pk for pk in ids if now - self._read.get(pk, -SETTLE_SECONDS) >= SETTLE_SECONDS]
        self._read.update(dict.fromkeys(stale, now))
        return {pk: _way(pk) for pk in stale}


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """What `services.claim` is asked for: all that is due, unless `behind` says behind which keys."""

    most: int
    lost_first: bool = False
    fresh_only: bool = True
    behind: Collection[str] = ()


def _short() -> int:
    return min(SHORT, BATCH // 2)


def _way(destination_id: UUID) -> Way:
    try:
        return destinations.endpoint(destination_id)
    except Destination.DoesNotExist:
        return Refused("destination_gone", permanent=True)
    except CannotOpen as e:
        logger.error("destination_sealed", extra={"error_type": type(e).__name__})  # noqa: TRY400  says all there is
        return Refused(type(e).__name__)


def _send(way: Way, message: Claimed) -> None:
    """In a thread that has no connection to the database and needs none. Raises Refused, BreakerOpen."""
    if isinstance(way, Refused):
        raise Refused(way.code, permanent=way.permanent)
    if message.sealed is None:
        # Erased since it was published: there is nothing left to say.
        raise Refused(services.PAYLOAD_GONE, permanent=True)
    try:
        payload = payloads.unsealed(message.sealed, ref=message.pk)
    except CannotOpen as e:
        raise Refused(type(e).__name__, permanent=True) from e
    outgoing = Outgoing(
        id=message.pk,
        tenant_id=context.tenant_id(),
        topic=message.topic,
        created_at=message.created_at,
        payload=payload,
    )
    try:
        way.send(outgoing)
    except (Refused, BreakerOpen):
        raise
    except Exception as e:
        # A defect of ours in one kind of destination must not stop the others; it is logged and tried again.
        logger.exception("delivery_broken", extra={"topic": message.topic, "kind": way.kind})
        raise Refused(type(e).__name__) from e
