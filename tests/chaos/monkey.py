"""Who dies, and when: at random, but of everything something in every round."""

import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from redis.exceptions import RedisError

from tests.chaos.receivers import Reader
from tests.chaos.stage import Stage

# Seconds between two deaths, and for how long the dead stay dead.
PAUSES = (0.6, 2.2)
DOWN = (0.0, 1.5)


@dataclass
class Monkey:
    """Kills when `swing` is called and it is time. `deaths` says what it did, with the second it did it in."""

    stage: Stage
    reader: Reader
    rng: random.Random
    deaths: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._began = time.monotonic()
        self._next = self._began + self.rng.uniform(*PAUSES)
        self._rounds = self._round_after_round()

    def swing(self) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self.rng.uniform(*PAUSES)
        # The next one that is not dead already.
        for name, kill in islice(self._rounds, self.rounds_of):
            if kill():
                self.deaths.append(f"{time.monotonic() - self._began:.1f} s {name}")
                return

    @property
    def rounds_of(self) -> int:
        """How many deaths make a round."""
        return len(self._victims())

    def _round_after_round(self) -> Iterator[tuple[str, Callable[[], bool]]]:
        while True:
            victims = self._victims()
            self.rng.shuffle(victims)
            yield from victims

    def _victims(self) -> list[tuple[str, Callable[[], bool]]]:
        stage, rng = self.stage, self.rng
        return [
            ("worker", lambda: stage.kill_process(rng.choice(stage.workers), down=self._down())),
            ("another worker", lambda: stage.kill_process(rng.choice(stage.workers), down=self._down())),
            ("process of a worker", lambda: stage.kill_child(rng.choice(stage.workers), rng)),
            ("beat", lambda: stage.kill_process("beat", down=self._down())),
            ("sequencer", lambda: stage.kill_process("sequencer", down=self._down())),
            ("Redis, wiped", self._wipe_redis),
            ("PostgreSQL, kill -9", lambda: stage.kill_postgres(signal.SIGKILL, down=self._down())),
            ("PostgreSQL, immediate", lambda: stage.kill_postgres(signal.SIGQUIT, down=self._down())),
        ]

    def _down(self) -> float:
        return self.rng.uniform(*DOWN)

    def _wipe_redis(self) -> bool:
        try:
            self.reader.read_up()
        except RedisError:
            # It is dead already.
            return False
        return self.stage.kill_redis(down=self._down())
