"""What is said of one record: what keeps it, until when, and by which paths it can go."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from kaireon.lib import clock

KEPT, DUE = "kept", "due"


class Why(StrEnum):
    """What keeps a record, in the order of precedence."""

    CLASS_HOLD = "class_hold"
    HOLD = "hold"
    OPEN_REQUEST = "open_request"
    LAW = "law"
    PERIOD = "period"
    COOLING_OFF = "cooling_off"
    NO_POLICY = "no_policy"
    NO_CLOCK = "no_clock"
    OWN_END = "own_end"
    REFERENCES = "references"
    EMPTY = "empty"
    NOT_SEALED = "not_sealed"
    LOG = "log"


class Way(StrEnum):
    """A path by which a record can go."""

    CLEANUP = "cleanup"
    DSAR_PURGE = "dsar-purge"
    ERASURE = "erasure"
    PRUNE = "prune"


@dataclass(frozen=True, kw_only=True)
class Reason:
    """`until`: the moment it ends by itself; None while nobody can say."""

    why: Why
    text: str
    until: datetime | None = None

    def as_dict(self) -> dict[str, Any]:
        return {"code": self.why.value, "text": self.text, "until": moment(self.until)}


@dataclass(frozen=True, kw_only=True)
class Path:
    """`earliest`: None while something stands in the way that does not end by itself. `whole_month`: from when on it
    may go with its month, when nothing else in that stays; None also for what is not kept by the month."""

    way: Way
    does: str
    earliest: datetime | None
    whole_month: datetime | None = None

    def as_dict(self) -> dict[str, Any]:
        return {
            "path": self.way.value,
            "does": self.does,
            "earliest": moment(self.earliest),
            "wholeMonth": moment(self.whole_month),
        }


@dataclass(kw_only=True)
class Explanation:
    """One record. `is_due`: nothing keeps it, and then there are no `reasons`. Lists of facts are as they are answered,
    in camelCase."""

    entity: str
    title: str
    id: UUID
    data_class: str
    at: datetime
    clock: str
    clock_at: datetime | None
    is_due: bool
    policies: list[dict[str, Any]] = field(default_factory=list)
    holds: list[dict[str, Any]] = field(default_factory=list)
    floors: list[dict[str, Any]] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    references: list[dict[str, Any]] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        return DUE if self.is_due else KEPT

    @property
    def free_at(self) -> datetime | None:
        """When the last reason has ended; None while one of them does not end by itself."""
        return free_at(self.reasons, self.at)

    @property
    def first(self) -> Path | None:
        """The path by which it can go first without anybody asking for it; an erasure wants somebody who asks."""
        own = [path for path in self.paths if path.way != Way.ERASURE and path.earliest is not None]
        return min(own, key=lambda path: path.earliest or self.at, default=None)

    @property
    def summary(self) -> str:
        first = self.first
        if self.is_due:
            return f"It may go: nothing keeps it, and the next {first.way if first else Way.CLEANUP} takes it."
        if first is None or first.earliest is None:
            return "It is kept, and nobody can say until when: not everything that keeps it ends by itself."
        return f"It is kept until {words(first.earliest)}; then {first.way} takes it, unless something new keeps it."

    def as_dict(self) -> dict[str, Any]:
        """For answers, in camelCase."""
        first = self.first
        return {
            "entity": self.entity,
            "id": str(self.id),
            "dataClass": self.data_class,
            "asOf": moment(self.at),
            "clock": {"column": self.clock, "at": moment(self.clock_at)},
            "verdict": self.verdict,
            "earliest": moment(first.earliest) if first else None,
            "path": first.way.value if first else None,
            "summary": self.summary,
            "reasons": [reason.as_dict() for reason in self.reasons],
            "policies": self.policies,
            "holds": self.holds,
            "floors": self.floors,
            "requests": self.requests,
            "references": self.references,
            "paths": [path.as_dict() for path in self.paths],
        }


def free_at(reasons: Iterable[Reason], at: datetime) -> datetime | None:
    """When the last of them has ended, `at` when there are none; None while one of them does not end by itself."""
    ends = [reason.until for reason in reasons]
    return None if None in ends else max((end for end in ends if end is not None), default=at)


def moment(at: datetime | None) -> str | None:
    return clock.rfc3339(at) if at else None


def words(at: datetime) -> str:
    return f"{clock.in_utc(at):%Y-%m-%d %H:%M} UTC"
