"""Circuit breakers around what we call outside, when CIRCUIT_BREAKER_ENABLED says so.

After 5 failures in a row a dependency is left alone for 60 seconds, then one call tries it. The state is shared
through Redis, so that five failures in five processes count as five; without Redis each process keeps its own.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ParamSpec, TypeVar

import pybreaker
import redis
from django.conf import settings

from kaireon.api import cache

logger = logging.getLogger("kaireon.breakers")

# What the product calls outside, by the name it has in metrics and log. A new one is named here, so that its gauge is
# there at 0.
STORAGE, WEBHOOK, MAIL, STREAM, MONITOR = "storage", "webhook", "mail", "stream", "monitor"
WITNESS, SIEM = "witness", "siem"
# Around what is recorded outside any transaction, and nothing else: that can wait for the database, other work cannot.
DATABASE = "database"
DEPENDENCIES = (STORAGE, WEBHOOK, MAIL, STREAM, MONITOR, WITNESS, SIEM, DATABASE)

FAILURES = 5
SECONDS = 60
# How soon to ask again while the one call that tries is under way.
_PROBING = 5.0
# A Redis that did not answer is not asked again for so long: a call asks several times.
_UNSHARED = 5.0
# State that nobody touched for so long is forgotten; an open breaker has let its probe through long before.
_LIFE = 600
_PREFIX = "breaker:"
# The names of those that are not closed, for the gauge.
_TROUBLED = "breakers"
STATES = {pybreaker.STATE_CLOSED: 0, pybreaker.STATE_HALF_OPEN: 1, pybreaker.STATE_OPEN: 2}

P = ParamSpec("P")
R = TypeVar("R")


class BreakerOpen(ConnectionError):
    """The dependency failed lately and is left alone: nothing was sent, and nothing is for `seconds`.

    A failure to connect, so that whoever can live without the dependency can live with this.
    """

    def __init__(self, dependency: str, seconds: float) -> None:
        super().__init__(f"{dependency} failed {FAILURES} times in a row and is left alone for {seconds:.0f} s.")
        self.dependency = dependency
        self.seconds = seconds


class Breaker:
    """The breaker of one dependency of DEPENDENCIES.

    `instance` tells several of a kind apart, by an opaque id. `ignore` are exceptions that do not speak against the
    dependency, such as "there is no such file", or functions that say it of an exception.
    """

    def __init__(
        self,
        dependency: str,
        *,
        instance: str = "",
        ignore: tuple[type[Exception] | Callable[[BaseException], bool], ...] = (),
    ) -> None:
        self.dependency = dependency
        self._ignore = ignore
        self._kept = _Kept(f"{dependency}|{instance}")

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call it, unless the breaker is open. Raises BreakerOpen, and whatever the call raises."""
        if not settings.CIRCUIT_BREAKER_ENABLED:
            return function(*args, **kwargs)
        state = _SharedState(self._kept)
        if state.state != pybreaker.STATE_CLOSED and not state.may_probe():
            raise BreakerOpen(self.dependency, state.wait())
        try:
            answer: R = self._fresh(state).call(function, *args, **kwargs)
        except pybreaker.CircuitBreakerError as error:
            raise BreakerOpen(self.dependency, state.wait()) from error
        return answer

    def _fresh(self, state: "_SharedState") -> pybreaker.CircuitBreaker:
        # One for each call: it lets through one call at a time, and all it knows is in the shared state.
        return pybreaker.CircuitBreaker(
            fail_max=FAILURES,
            reset_timeout=SECONDS,
            exclude=list(self._ignore),
            state_storage=state,
            name=self.dependency,
            # Whoever made the last failing call hears what failed.
            throw_new_error_on_trip=False,
            listeners=[_Logged()],
        )


class _Logged(pybreaker.CircuitBreakerListener):
    def state_change(self, cb: Any, old_state: Any, new_state: Any) -> None:
        logger.warning("breaker_changed", extra={"dependency": cb.name, "state": new_state.name})


class _Kept:
    """What is known of one breaker: a Redis hash with a life. What Redis cannot say, this process's memory does."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.key = _PREFIX + name
        self.lock = threading.Lock()
        self.memory: dict[str, str] = {}
        self._unshared_until = 0.0

    def ask(self, question: Callable[..., Any], *arguments: Any) -> Any:
        """The answer of Redis, or None when it is away."""
        if time.monotonic() < self._unshared_until:
            return None
        try:
            return question(cache.client(), *arguments)
        except redis.RedisError as error:
            self._unshared_until = time.monotonic() + _UNSHARED
            logger.warning("breaker_state_unshared", extra={"error_type": type(error).__name__})
            return None

    def read(self) -> dict[str, str]:
        said: Any = self.ask(lambda client: client.hgetall(self.key))
        return self.memory if said is None else {name.decode(): value.decode() for name, value in said.items()}

    def write(self, field: str, value: str) -> None:
        self.memory[field] = value
        self.ask(lambda client: self.alive(client.pipeline().hset(self.key, field, value)))

    def alive(self, pipe: Any) -> None:
        pipe.expire(self.key, _LIFE)
        pipe.execute()


class _SharedState(pybreaker.CircuitBreakerStorage):
    """The state as one call sees it: read once before, and anew after whatever the call changed.

    So a call that goes well asks Redis once.
    """

    def __init__(self, kept: _Kept) -> None:
        super().__init__(kept.name)
        self._kept = kept
        self._seen: dict[str, str] | None = None

    @property
    def state(self) -> str:
        return self._read("state") or str(pybreaker.STATE_CLOSED)

    @state.setter
    def state(self, state: str) -> None:
        self._write("state", state)
        self._kept.ask(self._publish, state)

    @property
    def counter(self) -> int:
        return int(self._read("failures") or 0)

    def increment_counter(self) -> None:
        kept, self._seen = self._kept, None
        with kept.lock:
            kept.memory["failures"] = str(int(kept.memory.get("failures", 0)) + 1)
        kept.ask(lambda client: kept.alive(client.pipeline().hincrby(kept.key, "failures", 1)))

    def reset_counter(self) -> None:
        if self.counter:
            self._write("failures", "0")

    @property
    def success_counter(self) -> int:
        return int(self._read("successes") or 0)

    def increment_success_counter(self) -> None:
        self._write("successes", str(self.success_counter + 1))

    def reset_success_counter(self) -> None:
        self._write("successes", "0")

    @property
    def opened_at(self) -> datetime | None:
        at = self._read("opened_at")
        return datetime.fromtimestamp(float(at), UTC) if at else None

    @opened_at.setter
    def opened_at(self, moment: datetime) -> None:
        self._write("opened_at", str(moment.timestamp()))

    def wait(self) -> float:
        """Seconds until it makes sense to ask again."""
        opened = self.opened_at
        return max(_PROBING, SECONDS - (datetime.now(UTC) - opened).total_seconds()) if opened else _PROBING

    def may_probe(self) -> bool:
        """Whether this call is the one that tries a dependency again: once a minute, over all processes."""
        opened = self.opened_at
        if opened and (datetime.now(UTC) - opened).total_seconds() < SECONDS:
            return False
        probe = f"{self._kept.key}:probe"
        taken = self._kept.ask(lambda client: bool(client.set(probe, "1", nx=True, ex=SECONDS)))
        return taken if taken is not None else True

    def _publish(self, client: redis.Redis, state: str) -> None:
        pipe = client.pipeline()
        if state == pybreaker.STATE_CLOSED:
            pipe.hdel(_TROUBLED, self.name)
        else:
            pipe.hset(_TROUBLED, self.name, "")
            pipe.expire(_TROUBLED, _LIFE)
        if state != pybreaker.STATE_HALF_OPEN:
            pipe.delete(f"{self._kept.key}:probe")
        pipe.execute()

    def _read(self, field: str) -> str | None:
        if self._seen is None:
            self._seen = self._kept.read()
        return self._seen.get(field)

    def _write(self, field: str, value: str) -> None:
        self._seen = None
        self._kept.write(field, value)


def states() -> dict[str, int]:
    """The worst state of each dependency: 0 closed, 1 half-open, 2 open. Raises redis.RedisError."""
    worst = dict.fromkeys(DEPENDENCIES, 0)
    troubled: Any = cache.client().hkeys(_TROUBLED)
    pipe = cache.client().pipeline(transaction=False)
    for name in troubled:
        pipe.hget(_PREFIX + name.decode(), "state")
    for name, state in zip(troubled, pipe.execute(), strict=True):
        if state is None:
            # Nobody called it for so long that its state is forgotten: whoever does finds it closed.
            cache.client().hdel(_TROUBLED, name)
            continue
        dependency = name.decode().partition("|")[0]
        worst[dependency] = max(worst.get(dependency, 0), STATES.get(state.decode(), 0))
    return worst
