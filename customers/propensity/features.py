"""What a model of acceptance looks at: a customer's past before a moment, and the moment itself. Pure.

An example is one presentation of the offer (an impression). It was accepted when the customer clicked, converted or
purchased on the offer within 7 days, and before it was presented to them again: one answer is to one presentation. All
else is what happened strictly before the presentation, of at most 180 days: nothing that came with it or after it.
Training and scoring go through the same lines.
"""

import math
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

# Of the features and what they are made from. A model of another form is not compared with those of this one.
FORM = 1
LOOK_BACK_DAYS = 180
ANSWER_DAYS = 7

DAY = 86400.0
ANSWER = ANSWER_DAYS * DAY
LOOK_BACK = LOOK_BACK_DAYS * DAY

PRESENTED = "impression"
ACCEPTED = frozenset({"click", "conversion", "purchase"})
REJECTED = frozenset({"dismissal"})
KINDS = (
    "impression",
    "click",
    "conversion",
    "dismissal",
    "purchase",
    "refund",
    "visit",
    "message",
    "call",
    "other",
)

# In this order everywhere. Counts and days as log(1 + x), times of day and week (UTC) as points on a circle.
NUMERIC = (
    "days_since_last",
    "nothing_before",
    *(f"count_{kind}" for kind in KINDS),
    "offer_presented",
    "offer_accepted",
    "offer_rejected",
    "others_accepted",
    "others_rejected",
    "hour_sin",
    "hour_cos",
    "weekday_sin",
    "weekday_cos",
)
_COUNTED = NUMERIC[2:-4]


class Event(NamedTuple):
    """One interaction; `at` in seconds since 1970, UTC."""

    at: float
    kind: str
    offer: str
    channel: str


class Example(NamedTuple):
    """A presentation: when, on which channel, NUMERIC in order, and whether it was accepted."""

    at: float
    channel: str
    facts: list[float]
    accepted: bool


@dataclass
class Past:
    """What one customer did, as a model of `offer` sees it. Events are added in order of time."""

    offer: str
    _counts: Counter[str] = field(default_factory=Counter)
    _kept: deque[tuple[float, tuple[str, ...]]] = field(default_factory=deque)

    def add(self, event: Event) -> None:
        names = self._names(event)
        self._kept.append((event.at, names))
        self._counts.update(names)

    def facts(self, at: float) -> list[float]:
        """NUMERIC at this moment, of what was added: add nothing that is not before it. Moments only go forward."""
        while self._kept and self._kept[0][0] <= at - LOOK_BACK:
            self._counts.subtract(self._kept.popleft()[1])
        days = (at - self._kept[-1][0]) / DAY if self._kept else LOOK_BACK_DAYS
        hour, weekday = at % DAY / DAY, (at // DAY + 3) % 7 / 7
        return [
            math.log1p(days),
            0.0 if self._kept else 1.0,
            *(math.log1p(self._counts[name]) for name in _COUNTED),
            math.sin(math.tau * hour),
            math.cos(math.tau * hour),
            math.sin(math.tau * weekday),
            math.cos(math.tau * weekday),
        ]

    def _names(self, event: Event) -> tuple[str, ...]:
        names = [f"count_{event.kind}"]
        whose = "offer" if event.offer == self.offer else "others" if event.offer else ""
        if whose and event.kind in ACCEPTED:
            names.append(f"{whose}_accepted")
        elif whose and event.kind in REJECTED:
            names.append(f"{whose}_rejected")
        elif whose == "offer" and event.kind == PRESENTED:
            names.append("offer_presented")
        return tuple(names)


def examples(events: Sequence[Event], *, offer: str, since: float, until: float, most: int) -> Iterator[Example]:
    """The last `most` presentations, from `since`, of one customer, whose events are in order of time.

    Only those whose answer was waited for until `until`: a younger one says nothing yet.
    """
    own = [event for event in events if event.offer == offer]
    accepted = [event.at for event in own if event.kind in ACCEPTED]
    presented = [event for event in own if event.kind == PRESENTED]
    times = [event.at for event in presented]
    wanted = [event for event in presented if event.at >= since and event.at + ANSWER <= until][-most:]
    past, added = Past(offer), 0
    for event in wanted:
        while added < len(events) and events[added].at < event.at:
            past.add(events[added])
            added += 1
        yield Example(event.at, event.channel, past.facts(event.at), _is_accepted(event.at, accepted, times))


def _is_accepted(at: float, accepted: Sequence[float], presented: Sequence[float]) -> bool:
    first = bisect_left(accepted, at)
    if first == len(accepted) or accepted[first] > at + ANSWER:
        return False
    again = next((other for other in presented[bisect_left(presented, at) :] if other > at), math.inf)
    return accepted[first] < again
