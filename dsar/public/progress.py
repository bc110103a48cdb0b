"""What a subject sees of their request: how far it is, which days count and why, what is needed from them."""

from dataclasses import dataclass, field
from datetime import date, datetime
from zoneinfo import ZoneInfo

from dsar.deadlines import Clock, local_date
from dsar.letters import facts
from dsar.models import Dossier, DsarRequest, Outcome, RequestType, State, Status
from dsar.public import words
from dsar.public.words.language import Wish
from dsar.requests import clocks
from dsar.requests.kinds import KINDS
from kaireon.tenancy.context import requires_transaction


@dataclass(frozen=True, kw_only=True)
class Step:
    title: str
    at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Kept:
    title: str
    count: int
    why: str


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why a day is what it is: where that stands, and what it says."""

    article: str
    says: str


@dataclass(frozen=True, kw_only=True)
class Progress:
    """In the language that is active. `needs` is what is awaited from the subject, empty when nothing is."""

    wish: Wish
    headline: str
    clock: Clock
    zone: ZoneInfo
    received_on: date
    answered_on: date | None
    needs: str = ""
    steps: list[Step] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    erased: int = 0
    refused: str = ""
    can_withdraw: bool = False
    fetch_until: datetime | None = None


@requires_transaction
def of(row: DsarRequest, *, now: datetime) -> Progress:
    clock, zone = clocks.clock_of(row), clocks.zone_of(row)
    answered = row.answered_at or row.closed_at
    package = package_of(row, now=now)
    late = answered is None and not clock.in_time(now)
    here, headline = words.here(), _headline(row)
    awaited = clock.paused.ground if clock.paused and answered is None else None
    return Progress(
        wish=here.wish(row.request_type, row.regulation),
        headline=f"{headline} {here.say('late')}" if late else headline,
        clock=clock,
        zone=zone,
        received_on=row.received_at.astimezone(zone).date(),
        answered_on=answered.astimezone(zone).date() if answered else None,
        needs=here.say("waits_for", what=here.awaited[awaited]) if awaited else "",
        steps=_steps(row),
        reasons=_reasons(clock),
        kept=_kept(row),
        erased=sum(row.counts.get("deleted", {}).values()) if row.request_type == RequestType.DELETE else 0,
        refused=_refused(row),
        can_withdraw=can_withdraw(row),
        fetch_until=package.expires_at if package is not None else None,
    )


@requires_transaction
def package_of(row: DsarRequest, *, now: datetime) -> Dossier | None:
    """The package that answers a completed request, while there is one."""
    if not KINDS[row.request_type].has_package or row.status != Status.COMPLETED:
        return None
    return Dossier.objects.fresh(now).filter(request=row.answered_by).first()


def can_withdraw(row: DsarRequest) -> bool:
    begun = row.request_type == RequestType.DELETE and (row.erased_at is not None or bool(row.counts))
    return row.status != Status.COMPLETED and not begun


def _headline(row: DsarRequest) -> str:
    here = words.here()
    if row.state == State.COMPLETED:
        return here.outcomes[row.outcome]
    if row.duplicate_of is not None:
        return here.say("with_earlier")
    if row.state == State.QUEUED and not KINDS[row.request_type].by_person:
        return here.say("waits_its_turn")
    # Whatever else it waits for is with the tenant's people.
    return here.states.get(row.state, here.say("with_staff"))


def _steps(row: DsarRequest) -> list[Step]:
    """What happened, in order; what is to come has no moment."""
    here = words.here()
    happened = (
        ("step_received", row.received_at),
        ("step_confirmed", row.identity_proved_at),
        ("step_began", row.started_at),
        ("step_extended", row.extended_at),
        ("step_erased", row.erased_at),
    )
    ends = {Outcome.WITHDRAWN: "step_withdrawn", Outcome.REJECTED: "step_rejected"}
    end = ends.get(Outcome(row.outcome), "step_answered")
    steps = [Step(title=here.say(key), at=at) for key, at in happened if at is not None]
    return [*steps, Step(title=here.say(end), at=row.answered_at or row.closed_at)]


def _reasons(clock: Clock) -> list[Reason]:
    rules, cite = words.here().rules, words.letters_here().cite
    days = {
        "received": words.day(local_date(clock.received, clock.tz)),
        "due": words.day(clock.due),
        "longest": words.day(clock.extended_due) if clock.extended_due else "",
        "acknowledged": words.day(clock.acknowledge_by) if clock.acknowledge_by else "",
    }
    reasons = []
    for rule in clock.rules:
        name = "extend_never" if rule.rule == "extend" and clock.extended_due is None else rule.rule
        says = rules[name].format(**days) if name in rules else rule.effect
        reasons.append(Reason(article=cite(rule.article), says=says))
    return reasons


def _kept(row: DsarRequest) -> list[Kept]:
    language = words.letters_here()
    return [
        Kept(
            title=language.data.get(kept["entity"], kept["entity"]),
            count=kept["count"],
            why=_why(kept["ground"], kept["until"], row),
        )
        for kept in row.retained
    ]


def _why(ground: str, until: str | None, row: DsarRequest) -> str:
    language = words.letters_here()
    why = facts.why_kept(ground, regulation=row.regulation, words=language)
    return f"{why}; {language.until.format(date=words.day(facts.date_of(until, row)))}" if until else why


def _refused(row: DsarRequest) -> str:
    if not row.ground:
        return ""
    language = words.letters_here()
    return f"{language.grounds[row.ground].rstrip('.')} ({language.cite(row.article)})."
