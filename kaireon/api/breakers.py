"""Circuit breakers around what we call outside, when CIRCUIT_BREAKER_ENABLED says so.

After 5 failures in a row a dependency is left alone for 60 seconds, then one call tries it. The state is shared
through Redis, so that five failures in five processes count as five; without Redis each process keeps its own.
"""

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, ParamSpec, TypeVar

import pybreaker
import redis
from django.conf import settings

from kaireon.api import cache

logger = logging.getLogger("kaireon.breakers")

FAILURES = 5
SECONDS = 60
# State that nobody touched for so long is forgotten; an open breaker has let its probe through long before.
_LIFE = 600
_PREFIX = "breaker:"
# Names and states of those that are not closed, for the gauge.
_TROUBLED = "breakers"
STATES = {pybreaker.STATE_CLOSED: 0, pybreaker.STATE_HALF_OPEN: 1, pybreaker.STATE_OPEN: 2}

P = ParamSpec("P")
R = TypeVar("R")


class BreakerOpen(Exception):
    """The dependency failed lately and is left alone: nothing was sent. Treat it as a failure that passes."""

    def __init__(self, dependency: str) -> None:
        super().__init__(f"{dependency} failed {FAILURES} times in a row and is left alone for {SECONDS} s.")
        self.dependency = dependency


class Breaker:
    """The breaker of one dependency, by a name of our own such as `storage`: it is a metric's label.

    `instance` tells several of a kind apart, by an opaque id. `ignore` are exceptions that do not speak against the
    dependency, such as "there is no such file".
    """

    def __init__(self, dependency: str, *, instance: str = "", ignore: tuple[type[Exception], ...] = ()) -> None:
        self.dependency = dependency
        self._ignore = ignore
        self._state = _SharedState(f"{dependency}|{instance}")

    @cached_property
    def _breaker(self) -> pybreaker.CircuitBreaker:
        # Made with the first call: it asks for the state at once, and breakers stand at the top of modules.
        return pybreaker.CircuitBreaker(
            fail_max=FAILURES,
            reset_timeout=SECONDS,
            exclude=list(self._ignore),
            state_storage=self._state,
            name=self.dependency,
            # Whoever made the last failing call hears what failed.
            throw_new_error_on_trip=False,
            listeners=[_Logged()],
        )

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call it, unless the breaker is open. Raises BreakerOpen, and whatever the call raises."""
        if not settings.CIRCUIT_BREAKER_ENABLED:
            return function(*args, **kwargs)
        if self._state.state != pybreaker.STATE_CLOSED and not self._state.may_probe():
            raise BreakerOpen(self.dependency)
        try:
            answer: R = self._breaker.call(function, *args, **kwargs)
        except pybreaker.CircuitBreakerError as error:
            raise BreakerOpen(self.dependency) from error
        return answer


class _Logged(pybreaker.CircuitBreakerListener):
    def state_change(self, cb: Any, old_state: Any, new_state: Any) -> None:
        logger.warning("breaker_changed", extra={"dependency": cb.name, "state": new_state.name})


class _SharedState(pybreaker.CircuitBreakerStorage):
    """One Redis hash with a life. What Redis cannot say, this process's memory does."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._key = _PREFIX + name
        self._memory: dict[str, str] = {}
        self._lock = threading.Lock()

    @property
    def state(self) -> str:
        return self._read("state") or str(pybreaker.STATE_CLOSED)

    @state.setter
    def state(self, state: str) -> None:
        self._write("state", state)
        self._memory.pop("probe", None)
        self._ask(self._publish, state)

    @property
    def counter(self) -> int:
        return int(self._read("failures") or 0)

    def increment_counter(self) -> None:
        with self._lock:
            self._memory["failures"] = str(int(self._memory.get("failures", 0)) + 1)
        self._ask(lambda client: self._kept(client.pipeline().hincrby(self._key, "failures", 1)))

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

    def may_probe(self) -> bool:
        """Whether this call is the one that tries a dependency again: once a minute, over all processes."""
        opened = self.opened_at
        if opened and (datetime.now(UTC) - opened).total_seconds() < SECONDS:
            return False
        taken = self._ask(lambda client: bool(client.set(f"{self._key}:probe", "1", nx=True, ex=SECONDS)))
        return taken if taken is not None else True

    def _publish(self, client: redis.Redis, state: str) -> None:
        pipe = client.pipeline()
        if state == pybreaker.STATE_CLOSED:
            pipe.hdel(_TROUBLED, self.name)
        else:
            pipe.hset(_TROUBLED, self.name, state)
            pipe.expire(_TROUBLED, _LIFE)
        if state != pybreaker.STATE_HALF_OPEN:
            pipe.delete(f"{self._key}:probe")
        pipe.execute()

    def _read(self, field: str) -> str | None:
        value: Any = self._ask(lambda client: client.hget(self._key, field) or b"")
        if value is None:
            return self._memory.get(field)
        return value.decode() or None

    def _write(self, field: str, value: str) -> None:
        self._memory[field] = value
        self._ask(lambda client: self._kept(client.pipeline().hset(self._key, field, value)))

    def _kept(self, pipe: Any) -> None:
        pipe.expire(self._key, _LIFE)
        pipe.execute()

    def _ask(self, question: Callable[..., Any], *arguments: Any) -> Any:
        """The answer of Redis, or None when it is away."""
        try:
            return question(cache.client(), *arguments)
        except redis.RedisError as error:
            logger.warning("breaker_state_unshared", extra={"error_type": type(error).__name__})
            return None


# What the product calls outside today. Whoever adds a dependency names it here, so that its gauge is there at 0.
DEPENDENCIES = ("storage",)


def states() -> dict[str, int]:
    """The worst state of each dependency: 0 closed, 1 half-open, 2 open. Raises redis.RedisError."""
    worst = dict.fromkeys(DEPENDENCIES, 0)
    troubled: Any = cache.client().hgetall(_TROUBLED)
    for name, state in troubled.items():
        dependency = name.decode().partition("|")[0]
        worst[dependency] = max(worst.get(dependency, 0), STATES.get(state.decode(), 0))
    return worst
