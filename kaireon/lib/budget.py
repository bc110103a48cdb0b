"""A span of time that work may take, for jobs that do as much as fits and continue next time."""

import time
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Budget:
    """`seconds` from now on. Monotonic, so a clock that is set changes nothing."""

    seconds: float
    started: float = field(default_factory=time.monotonic)

    def left(self) -> float:
        """Seconds, 0 when it is spent."""
        return max(0.0, self.seconds - (time.monotonic() - self.started))

    @property
    def spent(self) -> bool:
        return self.left() == 0.0

    def share(self, among: int) -> "Budget":
        """An equal part of what is left, from now on, for the first of so many."""
        return Budget(self.left() / max(1, among))
