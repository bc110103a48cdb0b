"""Asking for a second person's yes, giving it, refusing it. Everything fails closed."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from kaireon.approvals import people, registry, sealed, signals
from kaireon.approvals.models import Answer, ApprovalRequest, ApprovalVote, SecondPerson, State
from kaireon.approvals.registry import NotApplicable, Stage, UnknownVerb, Verb
from kaireon.tenancy import context
from kaireon.tenancy.context import Actor, requires_transaction, transaction

# After the end a payload is kept this long, for those who look back; the audit log keeps what it brought about.
PAYLOAD_KEPT = timedelta(days=90)
_BATCH = 500


class RequesterMayNot(Exception):
    """Whoever asks must be allowed to do it: a second person's yes replaces no permission. Jobs ask nobody."""


class PersonRequired(Exception):
    """A yes is a person's: sign in. An API key has none to give."""


class OwnRequest(Exception):
    """Nobody answers what they asked for themselves, nor what their API key asked for."""


class NotAsked(Exception):
    """Other people are asked in this stage: another role or permission is needed."""


class AlreadyAnswered(Exception):
    """One answer a person, whatever the stage."""


class AlreadyDecided(Exception):
    """The request is closed: approved, rejected, expired, cancelled or failed."""


class TooLate(Exception):
    """The deadline has passed. Ask again."""


class NotYours(Exception):
    """Only who asked may cancel."""


@requires_transaction
def ask(*, verb: str, payload: Mapping[str, Any], actor: Actor, now: datetime) -> ApprovalRequest:
    """Store a request to do `verb` with this JSON payload; nothing else happens until enough others said yes.

    A verb `by_nobody` is asked for by no member: `actor` is the part of the product that does.
    Raises UnknownVerb, RequesterMayNot, PayloadTooLong.
    """
    known = registry.get(verb)
    kind = actor.type
    if known.by_nobody:
        kind, actor = "system", Actor.system(actor.name)
    elif kind not in ("user", "api_key") or not people.still_may(
        actor_id=actor.id, actor_type=kind, permission=known.permission, now=now
    ):
        raise RequesterMayNot(verb)
    row = ApprovalRequest(
        verb=known.name,
        summary=known.describe(payload)[:200],
        stages=[stage.as_dict() for stage in known.stages],
        requested_by=actor.id,
        requested_by_name=actor.name[:200],
        requested_by_type=kind,
        requested_for=people.person_behind(actor),
        requested_at=now,
        deadline=now + known.valid_for,
    )
    sealed.seal(row, payload)
    _announce("approval.request", row)
    row.save(force_insert=True)
    return row


@requires_transaction
def asked_already(*, verb: str, payload: Mapping[str, Any], now: datetime) -> ApprovalRequest | None:
    """The open request to do `verb` whose payload says all of this, whoever asked.

    Of two who would ask at once the second waits here, until the end of the first one's transaction.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"approval:{context.tenant_id()}:{verb}"]
        )
    for row in ApprovalRequest.objects.pending().filter(verb=verb, deadline__gt=now).order_by("requested_at"):
        try:
            known = sealed.payload_of(row)
        except sealed.ApprovalChanged:
            # It will fail whoever agrees to it.
            continue
        if payload.items() <= known.items():
            return row
    return None


@requires_transaction
def decide(
    *, request_id: UUID, answer: Answer | str, actor: Actor, now: datetime, comments: str = ""
) -> ApprovalRequest:
    """One person's answer. A no ends the request; the last yes applies it, in the caller's transaction.

    What cannot be applied (the verb says NotApplicable, the row was changed, the requester lost the permission) takes
    the yes back and leaves the request `failed`, with the fact in `error`: look at the state of what is returned.
    Any other exception of the verb takes everything back, and the request stays pending.

    Raises ApprovalRequest.DoesNotExist, PersonRequired, OwnRequest, AlreadyAnswered, AlreadyDecided, TooLate, NotAsked.
    """
    try:
        with transaction():
            row = _locked(request_id)
            _check(row, actor, now)
            if answer == Answer.APPROVE:
                _approve(row, actor, now, comments)
            else:
                _vote(row, Answer.REJECT, actor, now, comments)
                _close(row, State.REJECTED, "approval.reject", now)
            return row
    except NotApplicable as refusal:
        row = _locked(request_id)
        _close(row, State.FAILED, "approval.fail", now, error=refusal.code[:64])
        return row


@requires_transaction
def cancel(*, request_id: UUID, actor: Actor, now: datetime) -> ApprovalRequest:
    """Take one's own request back. Raises ApprovalRequest.DoesNotExist, NotYours, AlreadyDecided."""
    row = _locked(request_id)
    mine = {row.requested_by, row.requested_for} - {""}
    if actor.id not in mine:
        raise NotYours(str(request_id))
    _close(row, State.CANCELLED, "approval.cancel", now)
    return row


@requires_transaction
def call_off(*, request_id: UUID, now: datetime) -> None:
    """End what no member asked for: there is nothing to be decided any more. Raises NotYours, AlreadyDecided."""
    row = _locked(request_id)
    if not _is_by_nobody(row):
        raise NotYours(str(request_id))
    _close(row, State.CANCELLED, "approval.cancel", now)


@requires_transaction
def expire_due(*, now: datetime) -> int:
    """Close what is past its deadline; answers how many. Those being answered right now wait for the next time."""
    rows = list(ApprovalRequest.objects.overdue(now).select_for_update(skip_locked=True).order_by("deadline")[:_BATCH])
    for row in rows:
        _close(row, State.EXPIRED, "approval.expire", now)
    return len(rows)


@requires_transaction
def shred_old_payloads(*, now: datetime) -> int:
    """Forget what was sealed in requests that ended long ago; answers how many. Who said what about what stays."""
    ended = ApprovalRequest.objects.exclude(state=State.PENDING).filter(decided_at__lt=now - PAYLOAD_KEPT)
    return ended.exclude(payload=None).update(payload=None)


@requires_transaction
def needs_second_person(verb: str) -> bool:
    """Whether the tenant demands a second person for this verb."""
    return SecondPerson.objects.filter(verb=verb).exists()


@requires_transaction
def demand_second_person(verb: str, *, demanded: bool, now: datetime) -> bool:
    """Switch the tenant's demand on or off; whether that changed anything. Raises UnknownVerb."""
    registry.get(verb)
    if demanded:
        _, created = SecondPerson.objects.get_or_create(verb=verb, defaults={"since": now})
        return created
    return SecondPerson.objects.filter(verb=verb).delete()[0] > 0


@requires_transaction
def may_answer(row: ApprovalRequest, *, actor: Actor, now: datetime) -> bool:
    """Whether this actor's answer would be taken now: for showing buttons."""
    return why_not(row, actor=actor, now=now) is None


@requires_transaction
def why_not(row: ApprovalRequest, *, actor: Actor, now: datetime) -> type[Exception] | None:
    """What `decide` would raise for this actor's answer now; None when it would be taken."""
    try:
        _check(row, actor, now)
    except (PersonRequired, OwnRequest, NotAsked, AlreadyAnswered, AlreadyDecided, TooLate) as refusal:
        return type(refusal)
    return None


def _locked(request_id: UUID) -> ApprovalRequest:
    # Of two who answer at once the second waits here, and then reads what the first has done.
    return ApprovalRequest.objects.select_for_update().get(pk=request_id)


def _check(row: ApprovalRequest, actor: Actor, now: datetime) -> None:
    if actor.type != "user":
        raise PersonRequired(actor.type)
    if actor.id in (row.requested_by, row.requested_for):
        raise OwnRequest(str(row.pk))
    if ApprovalVote.objects.filter(request=row, member_id=actor.id).exists():
        raise AlreadyAnswered(str(row.pk))
    stage = row.stage_now
    if stage is None:
        raise AlreadyDecided(str(row.pk))
    if row.deadline <= now:
        raise TooLate(str(row.pk))
    role = people.role_of(actor.id)
    if role is None or not registry.stage_of(stage).takes(role):
        raise NotAsked(str(row.pk))


def _is_by_nobody(row: ApprovalRequest) -> bool:
    try:
        return registry.get(row.verb).by_nobody
    except UnknownVerb:
        return False


def _approve(row: ApprovalRequest, actor: Actor, now: datetime, comments: str) -> None:
    verb, payload = _what(row)
    if not verb.by_nobody and not people.still_may(
        actor_id=row.requested_by, actor_type=row.requested_by_type, permission=verb.permission, now=now
    ):
        raise NotApplicable("requester_lost_permission")
    _vote(row, Answer.APPROVE, actor, now, comments)
    if not _stage_passed(row, verb.stages[row.stage]):
        return
    if row.stage + 1 < len(verb.stages):
        if not ApprovalRequest.objects.pending().filter(pk=row.pk, stage=row.stage).update(stage=row.stage + 1):
            raise AlreadyDecided(str(row.pk))
        row.stage += 1
        return
    _close(row, State.APPROVED, "approval.apply", now)
    verb.apply(payload)


def _what(row: ApprovalRequest) -> tuple[Verb, dict[str, Any]]:
    """The verb and the payload that were asked for, and nothing else. Raises NotApplicable."""
    try:
        verb = registry.get(row.verb)
        payload = sealed.payload_of(row)
    except UnknownVerb as e:
        raise NotApplicable("unknown_verb") from e
    except sealed.ApprovalChanged as e:
        raise NotApplicable("request_changed") from e
    if [stage.as_dict() for stage in verb.stages] != row.stages:
        # A release asks other people now: those who answer must have been asked by today's rule.
        raise NotApplicable("stages_changed")
    return verb, payload


def _vote(row: ApprovalRequest, answer: Answer, actor: Actor, now: datetime, comments: str) -> None:
    vote = ApprovalVote(
        request=row,
        stage=row.stage,
        answer=answer,
        member_id=actor.id,
        member_name=actor.name[:200],
        comments=comments,
        digest=row.digest,
        given_at=now,
    )
    _announce(f"approval.{answer}", vote)
    vote.save(force_insert=True)


def _stage_passed(row: ApprovalRequest, stage: Stage) -> bool:
    """Whether enough people who may speak today agreed to exactly this. Who lost the role since does not count."""
    given = ApprovalVote.objects.filter(request=row, stage=row.stage, answer=Answer.APPROVE, digest=row.digest)
    roles = people.roles_of(list(given.values_list("member_id", flat=True)))
    return sum(stage.takes(role) for role in roles.values()) >= stage.yes


def _close(row: ApprovalRequest, state: State, action: str, now: datetime, *, error: str = "") -> None:
    _announce(action, row)
    # The condition is in the UPDATE, so the database decides who was first.
    closed = ApprovalRequest.objects.pending().filter(pk=row.pk)
    if state == State.APPROVED:
        closed = closed.filter(stage=row.stage, digest=row.digest, deadline__gt=now)
    if not closed.update(state=state, decided_at=now, error=error):
        raise AlreadyDecided(str(row.pk))
    row.state, row.decided_at, row.error = state, now, error


def _announce(action: str, entity: ApprovalRequest | ApprovalVote) -> None:
    signals.changing.send(sender=type(entity), action=action, entity=entity)
