"""Retention of the log: whole prefixes that a published checkpoint seals leave it, by policy and by two people's yes.

In this order: a plan, a request that somebody else approves, the archive in storage, checked by the offline verifier,
then in one transaction the signed tombstone, the removal and its record. Whatever stops in between leaves the log
whole; doing it again goes on. Leaf hashes stay in the tree, so every proof and every bundle from before still holds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import DatabaseError, connection, connections
from django.db.models import Exists, OuterRef

from audit.models import AuditHead, Checkpoint, Publication, Tombstone
from audit.pruning import archive, beginning, tombstones, unshipped
from audit.pruning.archive import Archive
from audit.pruning.unshipped import Agreed, Behind
from audit.tree import signing
from kaireon.approvals import registry, sealed
from kaireon.approvals import services as approvals
from kaireon.approvals.models import Answer, ApprovalRequest, ApprovalVote, State
from kaireon.approvals.registry import NotApplicable, Stage
from kaireon.lib import clock
from kaireon.tenancy.context import Actor, current, requires_transaction, transaction, without_transaction
from kaireon.tenancy.roles import Permission

VERB = "audit_log.prune"
DATA_CLASS = "audit"
# The least that is kept, whatever a policy says: a year, as PCI DSS 10.5.1 asks. A policy of one day is a slip of the
# hand, and evidence does not come back. The database refuses less too: prune.sql.
FLOOR_DAYS = 365
# One archive and one transaction take this many; the next prune goes on.
MOST_RECORDS = 1_000_000

OWNER = "owner"


class NothingToPrune(RuntimeError):
    """The plan has something in the way, or nothing is due. `str()` of it says what."""


class NotApproved(RuntimeError):
    """No second person agreed to exactly this. `str()` of it says what is missing."""


class Refused(RuntimeError):
    """The database let nothing go: a hold came in between, or log, tree and tombstone do not fit. Nothing changed."""


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How long the active tenant keeps its log (None: nobody said), and whether it is on legal hold."""

    days: int | None
    held: bool


_asked: list[Callable[[], Retention]] = []


def retention_from(ask: Callable[[], Retention]) -> Callable[[], Retention]:
    """Register who knows the active tenant's policy: a layer above, which this one cannot import."""
    _asked[:] = [ask]
    return ask


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a prune would remove, and what is in its way. Without `checkpoint` there is nothing to remove.

    `waits_for` are destinations of the log that have not confirmed all of it, which is in the way; `unshipped` those
    that it goes ahead without.
    """

    tenant_id: str
    policy_days: int | None
    kept_days: int | None
    in_the_way: tuple[str, ...]
    checkpoint: Checkpoint | None = None
    first_seq: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None
    bytes: int = 0
    waits_for: tuple[Behind, ...] = ()
    unshipped: tuple[Behind, ...] = ()

    @property
    def last_seq(self) -> int:
        return self.checkpoint.tree_size if self.checkpoint else 0

    @property
    def records(self) -> int:
        return self.last_seq - self.first_seq + 1 if self.checkpoint else 0

    @property
    def otherwise_in_the_way(self) -> tuple[str, ...]:
        """But for destinations that are waited for, which come last."""
        return self.in_the_way[: len(self.in_the_way) - len(self.waits_for)]

    def as_range(self) -> dict[str, Any]:
        """Exactly this range of exactly this log."""
        return {
            "firstSeq": self.first_seq,
            "lastSeq": self.last_seq,
            "records": self.records,
            "rootHash": self.checkpoint.root_hash if self.checkpoint else "",
        }

    def as_payload(self) -> dict[str, Any]:
        """What is asked for: the range, and the destinations that have not all of it and are not waited for."""
        without = [one.as_payload() for one in self.unshipped]
        return {**self.as_range(), **({"unshipped": without} if without else {})}

    def is_asked_for(self, payload: Mapping[str, Any]) -> bool:
        """Whether the payload is about this range; destinations are looked at when the plan is made."""
        return self.as_range() == {name: value for name, value in payload.items() if name != "unshipped"}

    def as_dict(self) -> dict[str, Any]:
        """For answers, in camelCase."""
        found = self.checkpoint
        return {
            "tenantId": self.tenant_id,
            "policyDays": self.policy_days,
            "keptDays": self.kept_days,
            "inTheWay": list(self.in_the_way),
            **(self.as_payload() if found else {"records": 0}),
            "oldest": clock.rfc3339(self.oldest) if self.oldest else None,
            "newest": clock.rfc3339(self.newest) if self.newest else None,
            "bytes": self.bytes,
            "checkpointSignedAt": clock.rfc3339(found.signed_at) if found else None,
            "archive": archive.name_of(self.tenant_id, self.first_seq, self.last_seq) if found else None,
        }


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """What was removed. `again`: an earlier call had removed it; this one found its tombstone."""

    tombstone: Tombstone
    again: bool

    def as_dict(self) -> dict[str, Any]:
        return {**wire(self.tombstone), "alreadyDone": self.again}


@requires_transaction
def make_plan(
    *, now: datetime, last_seq: int | None = None, instead: Retention | None = None, without: Agreed = ()
) -> Plan:
    """What could leave the active tenant's log now: up to `last_seq` exactly, or as far as policy and MOST_RECORDS go.

    The age counts from the checkpoint that sealed the prefix: it is later than all that it seals. `instead` of the
    policy shows what another one would do. It waits for the log's destinations, but for those that it may go ahead
    `without`.
    """
    tenant = current().tenant_id
    retention = instead or (_asked[0]() if _asked else Retention(days=None, held=False))
    begins = beginning.kept_from(tenant)
    in_the_way = []
    if retention.held:
        in_the_way.append(f"the class {DATA_CLASS} is on legal hold")
    if begins.fault:
        in_the_way.append(f"a tombstone does not hold ({begins.fault}): verify the log")
    if retention.days is None:
        in_the_way.append(f"no retention policy for the class {DATA_CLASS}: the log is kept")
        return Plan(tenant_id=tenant, policy_days=None, kept_days=None, in_the_way=tuple(in_the_way))
    kept_days = max(retention.days, FLOOR_DAYS)
    found = _sealed(tenant, begins.seq, before=now - timedelta(days=kept_days), last_seq=last_seq)
    if found is None:
        in_the_way.append(f"no published checkpoint of {kept_days} days ago seals a record that is still kept")
        return Plan(tenant_id=tenant, policy_days=retention.days, kept_days=kept_days, in_the_way=tuple(in_the_way))
    oldest, newest, size = _measured(tenant, begins.seq, found.tree_size)
    behind = unshipped.behind(found.tree_size)
    waits_for = tuple(one for one in behind if not one.is_agreed_to(without))
    in_the_way += [str(one) for one in waits_for]
    return Plan(
        tenant_id=tenant,
        policy_days=retention.days,
        kept_days=kept_days,
        in_the_way=tuple(in_the_way),
        checkpoint=found,
        first_seq=begins.seq,
        oldest=oldest,
        newest=newest,
        bytes=size,
        waits_for=waits_for,
        unshipped=tuple(one for one in behind if one not in waits_for),
    )


@requires_transaction
def ask(plan: Plan, *, actor: Actor, now: datetime) -> ApprovalRequest:
    """Ask for a second person's yes to this plan. Raises NothingToPrune, and RequesterMayNot for who may not ask."""
    if plan.in_the_way:
        raise NothingToPrune("; ".join(plan.in_the_way))
    return approvals.ask(verb=VERB, payload=plan.as_payload(), actor=actor, now=now)


def _describe(payload: Mapping[str, Any]) -> str:
    said = f"Records {payload['firstSeq']} to {payload['lastSeq']} leave the audit log for the archive"
    without = payload.get("unshipped", ())
    return f"{said}, {unshipped.in_a_line(without)}" if without else said


@registry.approved(
    VERB,
    title="Prune the audit log",
    permission=Permission.MANAGE_RETENTION,
    describe=_describe,
    stages=(Stage(permission=Permission.MANAGE_RETENTION),),
    always=True,
    then="The last approval lets an operator do it, with audit_prune --apply.",
)
def _agreed_to(payload: Mapping[str, Any]) -> None:
    """The yes is kept, and nothing removed yet: the application's role cannot. `audit_prune --apply` does, by it."""
    plan = make_plan(now=clock.now(), last_seq=payload["lastSeq"], without=payload.get("unshipped", ()))
    if facts := plan.otherwise_in_the_way:
        raise NotApplicable("held" if any("hold" in fact for fact in facts) else "not_due")
    if plan.waits_for:
        raise NotApplicable("not_shipped")
    if not plan.is_asked_for(payload):
        raise NotApplicable("log_moved_on")


@requires_transaction
def approved_request() -> UUID:
    """The oldest approved request that nothing was removed by yet. Raises NotApproved."""
    done = Tombstone.objects.filter(tenant_id=current().tenant_id).values("approval_id")
    waiting = ApprovalRequest.objects.filter(verb=VERB, state=State.APPROVED).exclude(payload=None)
    found = waiting.exclude(pk__in=done).order_by("decided_at").values_list("pk", flat=True).first()
    if found is None:
        raise NotApproved("no approved request waits: ask with --plan --ask-as, and have somebody else approve it")
    return found


@without_transaction
def apply(*, request_id: UUID, now: datetime, told: Callable[[int, int], object] = lambda done, total: None) -> Pruned:
    """Remove what the request asked for and a second person agreed to; doing it again only says that it is done.

    Runs outside any transaction and takes as long as the archive; `told` hears how many records of how many are in.
    Raises NotApproved, NothingToPrune, archive.ArchiveRefused, Refused, and what the storage raises.
    """
    with transaction():
        if done := _done(request_id):
            return Pruned(tombstone=done, again=True)
        request = _approved(request_id)
        asked_for = sealed_payload(request)
        agreed: Agreed = asked_for.get("unshipped", ())
        plan = make_plan(now=now, last_seq=asked_for["lastSeq"], without=agreed)
        if plan.in_the_way or plan.checkpoint is None:
            raise NothingToPrune("; ".join(plan.in_the_way))
        if not plan.is_asked_for(asked_for):
            raise NotApproved(f"request {request_id} is about another range than the log has now: ask again")
    kept = archive.keep(plan.checkpoint, plan.first_seq, moved=lambda count: told(count, plan.records))
    with transaction():
        # One that was made or set back while the archive was written.
        if waits_for := [str(one) for one in unshipped.behind(plan.last_seq) if not one.is_agreed_to(agreed)]:
            raise NothingToPrune("; ".join(waits_for))
        note = signing.signer().sign(tombstones.text(_said(plan, request, kept, now)))
    refused = _remove(str(note))
    with transaction():
        tombstone = _done(request_id)
    if tombstone is None:
        raise refused or Refused("the removal is committed and its tombstone cannot be read: verify the log")
    # Refused, and yet there: another call did the same and was faster.
    return Pruned(tombstone=tombstone, again=refused is not None)


@requires_transaction
def tombstones_of(tenant_id: str) -> list[Tombstone]:
    return list(Tombstone.objects.filter(tenant_id=tenant_id).order_by("last_seq"))


def wire(stone: Tombstone) -> dict[str, Any]:
    """A tombstone for answers, in camelCase."""
    return {
        "tenantId": stone.tenant_id,
        "firstSeq": stone.first_seq,
        "lastSeq": stone.last_seq,
        "records": stone.records,
        "rootHash": stone.root_hash,
        "oldest": clock.rfc3339(stone.oldest),
        "newest": clock.rfc3339(stone.newest),
        "archive": {"name": stone.archive_name, "sha256": stone.archive_sha256},
        "approvalId": str(stone.approval_id),
        "prunedAt": clock.rfc3339(stone.pruned_at),
        "tombstone": stone.note,
    }


def sealed_payload(request: ApprovalRequest) -> dict[str, Any]:
    """Raises NotApproved."""
    try:
        return sealed.payload_of(request)
    except sealed.ApprovalChanged as error:
        raise NotApproved(f"request {request.pk} is not what was asked for any more, or too old: ask again") from error


def _approved(request_id: UUID) -> ApprovalRequest:
    request = ApprovalRequest.objects.filter(pk=request_id, verb=VERB).first()
    if request is None:
        raise NotApproved(f"{request_id} is no request to prune this log")
    if request.state != State.APPROVED:
        raise NotApproved(f"request {request_id} is {request.state}, not approved")
    return request


def _done(request_id: UUID) -> Tombstone | None:
    return Tombstone.objects.filter(tenant_id=current().tenant_id, approval_id=request_id).first()


def _sealed(tenant: str, first: int, *, before: datetime, last_seq: int | None) -> Checkpoint | None:
    """The published checkpoint to prune up to. The log's last record always stays, for the chain to go on from."""
    head = AuditHead.objects.filter(tenant_id=tenant).values_list("seq", flat=True).first() or 0
    published = Publication.objects.filter(tenant_id=OuterRef("tenant_id"), tree_size=OuterRef("tree_size"))
    found = Checkpoint.objects.filter(
        Exists(published), tenant_id=tenant, tree_size__gte=first, tree_size__lt=head, signed_at__lte=before
    )
    # A clock that was wrong for one checkpoint makes nothing old: what a younger one sealed keeps all after it.
    young = Checkpoint.objects.filter(tenant_id=tenant, tree_size__gte=first, signed_at__gt=before)
    kept_from = young.order_by("tree_size").values_list("tree_size", flat=True).first()
    if kept_from is not None:
        found = found.filter(tree_size__lt=kept_from)
    if last_seq is not None:
        return found.filter(tree_size=last_seq).first()
    # The furthest of those that are not too far; where the first one is too far already, that one.
    near = found.filter(tree_size__lt=first + MOST_RECORDS).order_by("-tree_size").first()
    return near or found.order_by("tree_size").first()


def _measured(tenant: str, first: int, last: int) -> tuple[datetime, datetime, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            'SELECT min("timestamp"), max("timestamp"), sum(pg_column_size(r.*)) FROM public.audit_record r'
            " WHERE tenant_id = %s AND seq BETWEEN %s AND %s",
            [tenant, first, last],
        )
        oldest, newest, size = cursor.fetchone()
    return oldest, newest, int(size or 0)


def _said(plan: Plan, request: ApprovalRequest, kept: Archive, now: datetime) -> dict[str, Any]:
    votes = ApprovalVote.objects.filter(request=request, answer=Answer.APPROVE).order_by("given_at", "id")
    return {
        "tenantId": plan.tenant_id,
        "origin": signing.origin(plan.tenant_id),
        **plan.as_range(),
        "lastIntegrityHash": _link_after(plan.tenant_id, plan.last_seq),
        "oldest": clock.rfc3339(plan.oldest) if plan.oldest else None,
        "newest": clock.rfc3339(plan.newest) if plan.newest else None,
        "policy": {"dataClass": DATA_CLASS, "retentionDays": plan.policy_days, "keptDays": plan.kept_days},
        "approval": {
            "id": str(request.pk),
            "requestedBy": {"id": request.requested_by, "name": request.requested_by_name},
            "approvedBy": [{"id": vote.member_id, "name": vote.member_name} for vote in votes],
        },
        "archive": {"name": kept.name, "sha256": kept.sha256, "bytes": kept.bytes},
        "prunedAt": clock.rfc3339(now),
    }


def _link_after(tenant: str, seq: int) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT integrity_hash FROM public.audit_record WHERE tenant_id = %s AND seq = %s", [tenant, seq]
        )
        (link,) = cursor.fetchone()
    return str(link)


def _remove(note: str) -> Refused | None:
    """All of it in one transaction, or none; then why not."""
    try:
        with transaction(using=OWNER, durable=True), connections[OWNER].cursor() as cursor:
            cursor.execute("SELECT public.audit_prune(%s)", [note])
    except DatabaseError as error:
        if getattr(error.__cause__, "sqlstate", None) in _REFUSALS:
            return Refused(str(error).splitlines()[0])
        raise
    return None


# insufficient_privilege of the triggers; the hold's guard; the same request or range a second time.
_REFUSALS = ("42501", "23K01", "23505")
