"""What a subject sees of their request: how far it is, which days count and why, what is needed from them."""

from dataclasses import dataclass, field
from datetime import date, datetime
from zoneinfo import ZoneInfo

from dsar.certifying.statement import TITLES
from dsar.deadlines import Clock
from dsar.law_packs import AWAITED
from dsar.models import Dossier, DsarRequest, Outcome, RequestType, State, Status
from dsar.public.rights import Words, words_of
from dsar.requests import clocks
from dsar.requests.grounds import GROUNDS
from dsar.requests.kinds import KINDS
from kaireon.tenancy.context import requires_transaction

# In words for who asked. What is left out is with the tenant's people, whatever it waits for there.
_WITH_STAFF = "Your request is with our staff."
STATES: dict[str, str] = {
    State.WINDOW: "Your request is about to be carried out. You can still withdraw it.",
    State.RUNNING: "Your request is being worked on.",
    State.FINISHING: "Your data is erased. The last stored files are being removed.",
    State.REVIEW: "The answer is ready, and our staff is looking it over.",
    State.DEFERRED: "Your request is answered. Something has to stay for now, and is erased by itself later.",
}
OUTCOMES: dict[str, str] = {
    Outcome.COMPLETED: "Your request is completed.",
    Outcome.PARTIALLY_COMPLETED: "Your request is completed in part.",
    Outcome.NO_DATA: "Nothing is held about you under this address.",
    Outcome.REJECTED: "Your request was refused.",
    Outcome.WITHDRAWN: "You withdrew your request.",
    Outcome.DUPLICATE: "Your request is completed, together with an earlier one of yours for the same.",
}
LATE = "The answer is late. Ask for it, or complain to the supervisory authority."


@dataclass(frozen=True, kw_only=True)
class Step:
    title: str
    at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Kept:
    title: str
    count: int
    ground: str
    until: str | None


@dataclass(frozen=True, kw_only=True)
class Progress:
    """`needs` is what is awaited from the subject, empty when nothing is."""

    words: Words
    headline: str
    clock: Clock
    zone: ZoneInfo
    received_on: date
    answered_on: date | None
    needs: str = ""
    steps: list[Step] = field(default_factory=list)
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
    headline = _headline(row)
    return Progress(
        words=words_of(row.request_type, row.regulation),
        headline=f"{headline} {LATE}" if late else headline,
        clock=clock,
        zone=zone,
        received_on=row.received_at.astimezone(zone).date(),
        answered_on=answered.astimezone(zone).date() if answered else None,
        needs=f"We wait for {AWAITED[clock.paused.ground]}." if clock.paused and answered is None else "",
        steps=_steps(row),
        kept=_kept(row),
        erased=sum(row.counts.get("deleted", {}).values()) if row.request_type == RequestType.DELETE else 0,
        refused=f"{GROUNDS[row.ground].title} ({row.article})." if row.ground in GROUNDS else "",
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
    if row.state == State.COMPLETED:
        return OUTCOMES[row.outcome]
    if row.duplicate_of is not None:
        return "You asked for the same before, and both are answered together."
    if row.state == State.QUEUED and not KINDS[row.request_type].by_person:
        return "Your request waits for its turn."
    return STATES.get(row.state, _WITH_STAFF)


def _steps(row: DsarRequest) -> list[Step]:
    """What happened, in order; what is to come has no moment."""
    steps = [Step(title="Received", at=row.received_at)]
    if row.identity_proved_at is not None:
        steps.append(Step(title="Confirmed by you", at=row.identity_proved_at))
    if row.started_at is not None:
        steps.append(Step(title="Work began", at=row.started_at))
    if row.extended_at is not None:
        steps.append(Step(title="Time extended", at=row.extended_at))
    if row.erased_at is not None:
        steps.append(Step(title="Data erased", at=row.erased_at))
    ended = {Outcome.WITHDRAWN: "Withdrawn by you", Outcome.REJECTED: "Refused"}.get(Outcome(row.outcome), "Answered")
    return [*steps, Step(title=ended, at=row.answered_at or row.closed_at)]


def _kept(row: DsarRequest) -> list[Kept]:
    return [
        Kept(
            title=TITLES.get(kept["entity"], kept["entity"]),
            count=kept["count"],
            ground=str(kept["ground"]).replace("_", " "),
            until=kept["until"],
        )
        for kept in row.retained
    ]
