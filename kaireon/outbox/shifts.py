"""One worker for a tenant at a time, and one that is called: others stay free for other tenants.

Kept in Redis, as the wake-ups are. Nothing depends on it but fairness: leases keep two workers apart, so without Redis,
or when a shift ran out unnoticed, both simply deliver.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import redis
from redis.exceptions import LockError
from redis.lock import Lock

from kaireon.api import cache
from kaireon.outbox.sending import SEND_SECONDS

logger = logging.getLogger("kaireon.outbox")

# Longer than a worker needs to end its deliveries, and to tell again that it is there. One that was lost keeps others
# away for so long.
SECONDS = SEND_SECONDS + 10
# How long it is remembered that somebody came in vain. A run is shorter.
_MISSED_SECONDS = 600
# A call that nobody followed is forgotten by the time of the next sweep.
_CALLED_SECONDS = 4


def call(tenant_id: str) -> bool:
    """Whether to wake a worker: false when one was woken that has not come yet, and will see all there is by now."""
    try:
        return bool(cache.client().set(_called(tenant_id), "1", nx=True, ex=_CALLED_SECONDS))
    except redis.RedisError:
        return True


def forget_call(tenant_id: str) -> None:
    """A worker has come, or none could be woken: the next call is one again."""
    # Without Redis it is forgotten by itself.
    with suppress(redis.RedisError):
        cache.client().delete(_called(tenant_id))


def _called(tenant_id: str) -> str:
    return f"outbox:called:{tenant_id}"


class _Shift:
    def __init__(self, tenant_id: str) -> None:
        self._missed = f"outbox:missed:{tenant_id}"
        self._lock = Lock(cache.client(), f"outbox:shift:{tenant_id}", timeout=SECONDS, blocking=False)
        # Whether Redis answered so far: one that hangs is not waited for again and again.
        self._is_known = True

    def begin(self) -> bool:
        with self._asking():
            if not self._lock.acquire():
                # First this and then another try: who ends its shift before is followed, who does later is told.
                cache.client().set(self._missed, "1", ex=_MISSED_SECONDS)
                if not self._lock.acquire():
                    return False
            # Who came in vain until now came for what this shift will find.
            cache.client().delete(self._missed)
        return True

    def stay(self) -> None:
        if self._is_known:
            with self._asking():
                self._lock.reacquire()

    def end(self) -> bool:
        """Whether somebody came in vain meanwhile."""
        was_missed = False
        if self._is_known:
            with self._asking():
                self._lock.release()
            with self._asking():
                was_missed = bool(cache.client().delete(self._missed))
        return was_missed

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except LockError:
            # It ran out, and may be another one's by now.
            return
        except redis.RedisError as error:
            self._is_known = False
            logger.warning("shift_unknown", extra={"error_type": type(error).__name__})


@contextmanager
def shift(tenant_id: str, *, missed: Callable[[], object]) -> Iterator[Callable[[], None] | None]:
    """Gives what to call every few seconds while at work; None when another worker is at it already.

    `missed` is called afterwards when somebody was sent away meanwhile: what they came for may have come too late.
    """
    here = _Shift(tenant_id)
    if not here.begin():
        yield None
        return
    try:
        yield here.stay
    finally:
        if here.end():
            missed()
