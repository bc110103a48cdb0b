"""When an answer is due: the clocks of the laws, as data with citations and the arithmetic over it. Pure.

Periods are counted in local calendar days of the tenant; the date given is the last day that is in time. Periods in
months follow Reg. (EEC, Euratom) 1182/71 Art. 3: the day of receipt is not counted, and the period ends on the same
date of the last month, or on that month's last day when there is no such date. This is arithmetic, not legal advice.
"""

from calendar import monthrange
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from kaireon.lib.clock import in_utc

_SATURDAY = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Period:
    """A length of time in one unit."""

    months: int = 0
    days: int = 0
    business_days: int = 0

    def after(self, day: date, holidays: Collection[date] = ()) -> date:
        """The last day of this period when it begins with the day after `day`."""
        if self.business_days:
            return add_business_days(day, self.business_days, holidays)
        return add_months(day, self.months) + timedelta(days=self.days)

    def __str__(self) -> str:
        for count, unit in ((self.months, "month"), (self.business_days, "business day"), (self.days, "day")):
            if count:
                return f"{count} {unit}{'s' if count > 1 else ''}"
        return "no time"


@dataclass(frozen=True, kw_only=True, slots=True)
class LawPack:
    """What one regulation says about time, each statement with the article it stands in."""

    regulation: str
    title: str
    version: str  # of the law as read here, by the date of its latest change taken in
    respond: Period
    respond_article: str
    in_all: Period  # from receipt, the one extension included
    extend_article: str
    extend_demands: str
    counting_article: str
    counting: str
    rolling_article: str
    acknowledge: Period | None = None
    acknowledge_article: str = ""


_SAME_DATE = (
    "The day of receipt is not counted; the period ends on the same date of the last month, or on its last day when "
    "there is no such date."
)

LAWS: dict[str, LawPack] = {
    "gdpr": LawPack(
        regulation="gdpr",
        title="General Data Protection Regulation (EU) 2016/679",
        version="2018-05-25",
        respond=Period(months=1),
        respond_article="GDPR Art. 12(3)",
        in_all=Period(months=3),
        extend_article="GDPR Art. 12(3)",
        extend_demands="complexity or number of the requests, told to the subject with reasons within the first month",
        counting_article="Reg. (EEC, Euratom) 1182/71 Art. 3(1), 3(2)(c)",
        counting=_SAME_DATE,
        rolling_article="Reg. (EEC, Euratom) 1182/71 Art. 3(4)",
    ),
    "uk_gdpr": LawPack(
        regulation="uk_gdpr",
        title="UK GDPR",
        version="2026-02-05",
        respond=Period(months=1),
        respond_article="UK GDPR Art. 12(3), 12A",
        in_all=Period(months=3),
        extend_article="UK GDPR Art. 12A",
        extend_demands="complexity or number of the requests, told to the subject with reasons within the first month",
        counting_article="ICO, A guide to subject access: time limits",
        counting="From the day of receipt to the same date of the next month, or its last day when there is none.",
        rolling_article="ICO, A guide to subject access: time limits",
    ),
    "ccpa": LawPack(
        regulation="ccpa",
        title="California Consumer Privacy Act, as amended by the CPRA",
        version="2026-01-01",
        respond=Period(days=45),
        respond_article="Cal. Civ. Code § 1798.130(a)(2)(A); 11 CCR § 7021(b)",
        in_all=Period(days=90),
        extend_article="Cal. Civ. Code § 1798.130(a)(2)(A); 11 CCR § 7021(b)",
        extend_demands="reasonable need, with notice and an explanation to the consumer within the first 45 days",
        counting_article="11 CCR § 7021(b)",
        counting="Calendar days from receipt, whatever time it takes to verify the request.",
        rolling_article="Cal. Civ. Proc. Code § 12a",
        acknowledge=Period(business_days=10),
        acknowledge_article="11 CCR § 7021(a)",
    ),
    "dpdpa": LawPack(
        regulation="dpdpa",
        title="Digital Personal Data Protection Act, 2023 (India)",
        version="2025-11-13",
        respond=Period(days=30),
        respond_article="DPDP Act 2023 ss. 11-13; DPDP Rules 2025 r. 14 (30 days are this product's default)",
        in_all=Period(days=90),
        extend_article="DPDP Act 2023 s. 13(2); DPDP Rules 2025 r. 14(3)",
        extend_demands="a reason; ninety days in all are the ceiling",
        counting_article="General Clauses Act 1897 s. 9",
        counting="Calendar days; the day of receipt is not counted.",
        rolling_article="General Clauses Act 1897 s. 10",
    ),
}


class UnknownRegulation(ValueError):
    """No law pack has this name. The message lists those there are."""


class ExtensionRefused(ValueError):
    """The law does not allow this extension. `article` cites where."""

    def __init__(self, message: str, *, article: str) -> None:
        super().__init__(f"{message} ({article})")
        self.article = article


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
class Clock:
    """The dates of one request. `due` never moves; an extension makes `extended_due` the deadline."""

    regulation: str
    tz: ZoneInfo
    received: datetime
    due: date
    acknowledge_by: date | None
    extended_due: date
    rules: tuple[Rule, ...]
    extension: Extension | None = None

    @property
    def deadline(self) -> date:
        """The last day in time: the due date, or the extended one once extended."""
        return self.due if self.extension is None else self.extended_due

    def in_time(self, at: datetime) -> bool:
        """Whether an answer given at this moment is not late."""
        return local_date(at, self.tz) <= self.deadline

    def days_left(self, at: datetime) -> int:
        """Calendar days to the deadline: 0 on the last day in time, negative when late."""
        return (self.deadline - local_date(at, self.tz)).days


def clock_for(
    regulation: str,
    received: datetime,
    tz: ZoneInfo,
    *,
    holidays: Collection[date] = (),
    roll: bool = False,
) -> Clock:
    """The clock of a request that reached the controller at `received`, in the tenant's time zone.

    `holidays` are local public holidays: they and weekends are no business days, and with `roll` a period that would
    end on one ends on the next working day. Raises UnknownRegulation, and NaiveMoment when `received` has no time zone.
    """
    law = law_pack(regulation)
    day = local_date(received, tz)
    # Rolling comes last and never feeds back: an extension is counted from receipt, not from a rolled date.
    due, extended_due = (
        working_day_from(end, holidays) if roll else end for end in (law.respond.after(day), law.in_all.after(day))
    )
    acknowledge_by = law.acknowledge.after(day, holidays) if law.acknowledge else None
    return Clock(
        regulation=regulation,
        tz=tz,
        received=in_utc(received),
        due=due,
        acknowledge_by=acknowledge_by,
        extended_due=extended_due,
        rules=_rules(law, day, due, extended_due, acknowledge_by, rolled=due != law.respond.after(day)),
    )


def extend(clock: Clock, at: datetime, reason: str) -> Clock:
    """The clock with its one lawful extension.

    Raises ExtensionRefused, citing the article, when the answer is already late, the clock was extended before, or no
    reason is given; NaiveMoment when `at` has no time zone.
    """
    law = law_pack(clock.regulation)
    if clock.extension is not None:
        raise ExtensionRefused("The time was already extended, and it may be only once.", article=law.extend_article)
    if local_date(at, clock.tz) > clock.due:
        raise ExtensionRefused(
            f"The time ran out on {clock.due.isoformat()}; it may be extended only until then.",
            article=law.extend_article,
        )
    if at < clock.received:
        raise ExtensionRefused("The time cannot be extended before the request came in.", article=law.extend_article)
    if not reason.strip():
        raise ExtensionRefused(f"An extension demands {law.extend_demands}.", article=law.extend_article)
    rule = Rule(
        rule="extended",
        article=law.extend_article,
        effect=f"Extended on {local_date(at, clock.tz).isoformat()}: due by {clock.extended_due.isoformat()}.",
    )
    return replace(clock, extension=Extension(at=in_utc(at), reason=reason.strip()), rules=(*clock.rules, rule))


def law_pack(regulation: str) -> LawPack:
    """Raises UnknownRegulation."""
    try:
        return LAWS[regulation]
    except KeyError as e:
        raise UnknownRegulation(f"Regulation must be one of {', '.join(LAWS)}.") from e


def local_date(moment: datetime, tz: ZoneInfo) -> date:
    """The calendar day of a moment in that zone. Raises NaiveMoment."""
    return in_utc(moment).astimezone(tz).date()


def end_of(day: date, tz: ZoneInfo) -> datetime:
    """The last second of that day in that zone, in its offset: how a due date is shown as a moment.

    Where clocks go back at midnight, 23:59:59 comes twice, and the second one is the last.
    """
    return datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=tz, fold=1)


def add_months(day: date, months: int) -> date:
    """The same date so many months later, or that month's last day when there is no such date."""
    year, month0 = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month0 + 1, min(day.day, monthrange(year, month0 + 1)[1]))


def add_business_days(day: date, count: int, holidays: Collection[date] = ()) -> date:
    """The so many-th working day after `day`, which itself is not counted."""
    for _ in range(count):
        day = working_day_from(day + timedelta(days=1), holidays)
    return day


def working_day_from(day: date, holidays: Collection[date] = ()) -> date:
    """The day itself, or the next one that is neither Saturday, Sunday nor holiday."""
    while day.weekday() >= _SATURDAY or day in holidays:
        day += timedelta(days=1)
    return day


def _rules(
    law: LawPack, day: date, due: date, extended_due: date, acknowledge_by: date | None, *, rolled: bool
) -> tuple[Rule, ...]:
    rules = [
        Rule(rule="received", article=law.counting_article, effect=f"Received on {day.isoformat()}. {law.counting}"),
        Rule(rule="respond", article=law.respond_article, effect=f"Answer within {law.respond}: by {due.isoformat()}."),
        Rule(
            rule="extend",
            article=law.extend_article,
            effect=f"Once, to {law.in_all} in all: by {extended_due.isoformat()}. It demands {law.extend_demands}.",
        ),
    ]
    if acknowledge_by is not None:
        rules.append(
            Rule(
                rule="acknowledge",
                article=law.acknowledge_article,
                effect=f"Confirm receipt within {law.acknowledge}: by {acknowledge_by.isoformat()}.",
            )
        )
    if rolled:
        rules.append(
            Rule(
                rule="roll",
                article=law.rolling_article,
                effect=f"The last day was no working day, so the time ends on {due.isoformat()}.",
            )
        )
    return tuple(rules)
