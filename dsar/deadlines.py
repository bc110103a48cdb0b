"""When an answer is due: the clocks of the laws, and what may lawfully change them. Pure.

Periods are counted in local calendar days of the tenant; the date given is the last day that is in time. Periods in
months follow Reg. (EEC, Euratom) 1182/71 Art. 3: the day of receipt is not counted, and the period ends on the same
date of the last month, or on that month's last day when there is no such date. This is arithmetic, not legal advice.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Self
from zoneinfo import ZoneInfo

from dsar.law_packs import AWAITED, LAWS, Effect, Ground, LawPack, Right, Terms, UnknownRegulation, law_pack, right_of
from dsar.periods import Period, add_months, working_day_from
from kaireon.lib.clock import in_utc

__all__ = [
    "LAWS",
    "Clock",
    "ClockRefused",
    "Extension",
    "ExtensionRefused",
    "Ground",
    "Pause",
    "PauseRefused",
    "Right",
    "Rule",
    "UnknownRegulation",
    "add_months",
    "clock_for",
    "end_of",
    "extend",
    "law_pack",
    "local_date",
    "not_after",
    "pause",
    "restored",
    "resume",
    "right_of",
]

_ONE_DAY = timedelta(days=1)


class ClockRefused(ValueError):
    """The law does not allow this change of the clock. `article` cites where."""

    def __init__(self, message: str, *, article: str) -> None:
        super().__init__(f"{message} ({article})")
        self.article = article


class ExtensionRefused(ClockRefused):
    """The law does not allow this extension."""


class PauseRefused(ClockRefused):
    """The law does not allow this pause, or there is none to end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One statement that made a date: its name, where it stands, what it did here."""

    rule: str
    article: str
    effect: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Extension:
    at: datetime
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """The controller waits for something since `at`; what it asked for came at `ended`."""

    ground: Ground
    at: datetime
    reason: str
    ended: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """The dates of one request.

    `due` never moves. `deadline` is the last day in time after extension and pauses; None while the clock stands.
    `extended_due` is what the one extension makes it, or None where the law knows none.
    """

    regulation: str
    right: Right
    tz: ZoneInfo
    holidays: frozenset[date]
    roll: bool
    received: datetime
    due: date
    acknowledge_by: date | None
    extended_due: date | None
    deadline: date | None
    rules: tuple[Rule, ...] = ()
    extension: Extension | None = None
    pauses: tuple[Pause, ...] = ()

    @property
    def law(self) -> LawPack:
        return law_pack(self.regulation)

    @property
    def terms(self) -> Terms:
        return self.law.terms(self.right)

    @property
    def paused(self) -> Pause | None:
        """The pause that has not ended."""
        return next((p for p in self.pauses if p.ended is None), None)

    @property
    def notice_by(self) -> date:
        """The last day on which the subject can be told of an extension: the end of the first period, after pauses."""
        return _end(self, self.terms.respond) if self.pauses else self.due

    def in_time(self, at: datetime) -> bool:
        """Whether an answer given at this moment is not late."""
        return self.deadline is None or local_date(at, self.tz) <= self.deadline

    def days_left(self, at: datetime) -> int | None:
        """Calendar days to the deadline: 0 on the last day in time, negative when late, None while the clock stands."""
        return None if self.deadline is None else (self.deadline - local_date(at, self.tz)).days

    def with_events(self, *, extension: Extension | None, pauses: tuple[Pause, ...]) -> Self:
        """The clock after these, its dates and rules counted anew. It does not ask whether they were lawful."""
        changed = replace(self, extension=extension, pauses=pauses)
        end, extended_end = _end(changed, changed.terms.respond), _extended_end(changed)
        deadline = extended_end if extension is not None and extended_end is not None else end
        changed = replace(changed, extended_due=extended_end, deadline=None if changed.paused is not None else deadline)
        return replace(changed, rules=tuple(_rules(changed)))


def clock_for(
    regulation: str,
    received: datetime,
    tz: ZoneInfo,
    *,
    right: Right = Right.ACCESS,
    holidays: Collection[date] = (),
    roll: bool = False,
) -> Clock:
    """The clock of a request that reached the controller at `received`, in the tenant's time zone.

    `holidays` are local public holidays: they and weekends are no business days, and with `roll` a period that would
    end on one ends on the next working day. Raises UnknownRegulation, and NaiveMoment when `received` has no time zone.
    """
    terms = law_pack(regulation).terms(right)
    day = local_date(received, tz)
    clock = Clock(
        regulation=regulation,
        right=right,
        tz=tz,
        holidays=frozenset(holidays),
        roll=roll,
        received=in_utc(received),
        due=day,
        acknowledge_by=terms.acknowledge.after(day, holidays) if terms.acknowledge else None,
        extended_due=None,
        deadline=None,
    )
    return replace(clock, due=_end(clock, terms.respond)).with_events(extension=None, pauses=())


def restored(clock: Clock, *, extension: Extension | None, pauses: Collection[Pause]) -> Clock:
    """The clock with what was recorded about it, which was judged when it was."""
    return clock.with_events(extension=extension, pauses=tuple(sorted(pauses, key=lambda pause: pause.at)))


def not_after(clock: Clock, due: date) -> Clock:
    """The clock when an earlier request for the same, be it under another law, is due on that day."""
    if clock.due <= due:
        return clock
    effect = f"An earlier request for the same is answered with this one: by {due.isoformat()}."
    earlier = Rule(rule="duplicate", article=clock.law.counting_article, effect=effect)
    moved = clock.extension is not None or bool(clock.pauses)
    return replace(clock, due=due, deadline=clock.deadline if moved else due, rules=(*clock.rules, earlier))


def extend(clock: Clock, at: datetime, reason: str) -> Clock:
    """The clock with its one lawful extension.

    Raises ExtensionRefused, citing the article, when the law knows none, the answer is already late, the clock was
    extended before, or no reason is given; NaiveMoment when `at` has no time zone.
    """
    terms = clock.terms
    article = terms.extend_article
    if terms.in_all is None:
        raise ExtensionRefused(f"The law names no extension of {terms.respond}.", article=article)
    if clock.extension is not None:
        raise ExtensionRefused("The time was already extended, and it may be only once.", article=article)
    if clock.deadline is not None and local_date(at, clock.tz) > clock.deadline:
        raise ExtensionRefused(
            f"The time ran out on {clock.deadline.isoformat()}; it may be extended only until then.", article=article
        )
    if at < clock.received:
        raise ExtensionRefused("The time cannot be extended before the request came in.", article=article)
    if not reason.strip():
        raise ExtensionRefused(f"An extension demands {terms.extend_demands}.", article=article)
    return clock.with_events(extension=Extension(at=in_utc(at), reason=reason.strip()), pauses=clock.pauses)


def pause(clock: Clock, at: datetime, ground: Ground, reason: str) -> Clock:
    """The clock standing, because something was asked for that the answer needs.

    Raises PauseRefused, citing the article, where the law knows no such pause, and when the clock stands already, the
    answer is late, or no reason is given; NaiveMoment when `at` has no time zone.
    """
    law = clock.law
    rule = law.pause_rule(ground, clock.right)
    if rule is None:
        raise PauseRefused(
            f"Waiting for {AWAITED[ground]} does not stop this clock. {law.no_pause}", article=law.no_pause_article
        )
    if clock.deadline is None:
        raise PauseRefused("The clock stands already.", article=rule.article)
    if local_date(at, clock.tz) > clock.deadline:
        raise PauseRefused(
            f"The time ran out on {clock.deadline.isoformat()}; a clock that has run out cannot stand.",
            article=rule.article,
        )
    if at < max([clock.received, *(p.ended for p in clock.pauses if p.ended)]):
        raise PauseRefused(
            "The clock cannot stand before the request came in, nor before it last ran.", article=rule.article
        )
    if not reason.strip():
        raise PauseRefused("A pause demands a reason: what was asked for, and why it is needed.", article=rule.article)
    standing = Pause(ground=ground, at=in_utc(at), reason=reason.strip())
    return clock.with_events(extension=clock.extension, pauses=(*clock.pauses, standing))


def resume(clock: Clock, at: datetime) -> Clock:
    """The clock running again, because what was asked for has come.

    Raises PauseRefused when it runs, or would have come before it was asked for; NaiveMoment.
    """
    standing = clock.paused
    if standing is None:
        raise PauseRefused("The clock is not standing.", article=clock.law.no_pause_article)
    if at < standing.at:
        raise PauseRefused(
            "What was asked for cannot have come before it was.", article=_pause_article(clock, standing)
        )
    ended = replace(standing, ended=in_utc(at))
    return clock.with_events(
        extension=clock.extension, pauses=tuple(ended if p is standing else p for p in clock.pauses)
    )


def local_date(moment: datetime, tz: ZoneInfo) -> date:
    """The calendar day of a moment in that zone. Raises NaiveMoment."""
    return in_utc(moment).astimezone(tz).date()


def end_of(day: date, tz: ZoneInfo) -> datetime:
    """The last second of that day in that zone, in its offset: how a due date is shown as a moment.

    Where clocks go back at midnight, 23:59:59 comes twice, and the second one is the last.
    """
    return datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=tz, fold=1)


def _end(clock: Clock, period: Period) -> date:
    """The last day of a period of this clock, after the pauses that have ended."""
    begins = local_date(clock.received, clock.tz)
    uncounted: set[date] = set()
    for standing in clock.pauses:
        rule = clock.law.pause_rule(standing.ground, clock.right)
        if standing.ended is None or rule is None:
            continue
        asked, came = local_date(standing.at, clock.tz), local_date(standing.ended, clock.tz)
        if rule.effect is Effect.RESTARTS:
            begins = max(begins, came)
        else:
            first = asked if rule.effect is Effect.SUSPENDS_FROM_ASKING else asked + _ONE_DAY
            # A set, so that a day of two pauses is left out once.
            uncounted |= {first + timedelta(days=n) for n in range((came - first).days + 1)}
    end = period.after(begins, clock.holidays) + timedelta(days=sum(day > begins for day in uncounted))
    # Rolling comes last and never feeds back: an extension is counted from receipt, not from a rolled date.
    return working_day_from(end, clock.holidays) if clock.roll else end


def _extended_end(clock: Clock) -> date | None:
    in_all = clock.terms.in_all
    return None if in_all is None else _end(clock, in_all)


def _pause_article(clock: Clock, standing: Pause) -> str:
    rule = clock.law.pause_rule(standing.ground, clock.right)
    return rule.article if rule is not None else clock.law.no_pause_article


def _rules(clock: Clock) -> list[Rule]:
    """Every statement that made the dates, then what happened to them, in its order."""
    law, terms = clock.law, clock.terms
    day = local_date(clock.received, clock.tz)
    rules = [
        Rule(rule="received", article=law.counting_article, effect=f"Received on {day.isoformat()}. {law.counting}")
    ]
    if where := law.rights.get(clock.right):
        rules.append(Rule(rule="right", article=where, effect=f"The right exercised: {_words(clock.right)}."))
    answer = f"Answer within {terms.respond}: by {clock.due.isoformat()}."
    rules.append(Rule(rule="respond", article=terms.respond_article, effect=answer))
    rules.append(Rule(rule="extend", article=terms.extend_article, effect=_may_extend(clock)))
    if clock.extension is not None:
        told = f"Tell the subject of the extension, with the reasons, by {clock.notice_by.isoformat()}."
        rules.append(Rule(rule="notice", article=terms.extend_article, effect=told))
    if clock.acknowledge_by is not None:
        confirm = f"Confirm receipt within {terms.acknowledge}: by {clock.acknowledge_by.isoformat()}."
        confirm = f"{confirm} {terms.acknowledge_counting}".rstrip()
        rules.append(Rule(rule="acknowledge", article=terms.acknowledge_article, effect=confirm))
    rules.extend(_may_pause(clock))
    rules.extend(_rolled(clock, day))
    return rules + [rule for _, rule in sorted(_events(clock), key=lambda event: event[0])]


def _may_extend(clock: Clock) -> str:
    if clock.extended_due is None:
        return "The law names no extension."
    terms = clock.terms
    return f"Once, to {terms.in_all} in all: by {clock.extended_due.isoformat()}. It demands {terms.extend_demands}."


def _may_pause(clock: Clock) -> list[Rule]:
    allowed = [(g, rule) for g in Ground if (rule := clock.law.pause_rule(g, clock.right)) is not None]
    if not allowed:
        return [Rule(rule="no_pause", article=clock.law.no_pause_article, effect="Nothing stops this clock.")]
    does = {
        Effect.RESTARTS: "the period begins when it comes",
        Effect.SUSPENDS: "the days until it comes do not count",
        Effect.SUSPENDS_FROM_ASKING: "the days from asking until it comes do not count",
    }
    return [
        Rule(rule="pause", article=rule.article, effect=f"Waiting for {AWAITED[ground]}: {does[rule.effect]}.")
        for ground, rule in allowed
    ]


def _rolled(clock: Clock, day: date) -> list[Rule]:
    if clock.due == clock.terms.respond.after(day, clock.holidays):
        return []
    effect = f"The last day was no working day, so the time ends on {clock.due.isoformat()}."
    return [Rule(rule="roll", article=clock.law.rolling_article, effect=effect)]


def _events(clock: Clock) -> list[tuple[datetime, Rule]]:
    """What happened to the clock; the last thing that set a deadline names it."""
    happened: list[tuple[datetime, str, str, str]] = []
    if clock.extension is not None:
        happened.append((clock.extension.at, "extended", clock.terms.extend_article, "Extended"))
    for standing in clock.pauses:
        article, awaited = _pause_article(clock, standing), AWAITED[standing.ground]
        happened.append((standing.at, "paused", article, f"Stood, waiting for {awaited}, from"))
        if standing.ended is not None:
            happened.append((standing.ended, "resumed", article, "Ran again"))
    happened.sort(key=lambda event: event[0])
    told = []
    for number, (at, name, article, words) in enumerate(happened, start=1):
        text = f"{words} {'' if words.endswith('from') else 'on '}{local_date(at, clock.tz).isoformat()}"
        last = number == len(happened) and clock.deadline is not None
        told.append(
            (at, Rule(rule=name, article=article, effect=f"{text}: due by {clock.deadline}." if last else f"{text}."))
        )
    return told


def _words(right: Right) -> str:
    return right.replace("_", " ")
