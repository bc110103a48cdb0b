"""The log's own retention, as far as a job may go: what is due is planned and asked for, what went is written down.

Two people agree to each prune and only the owner's address can do it, so nothing is removed here. Whoever decided the
policy of the class `audit` wants old records gone: in their name the question is asked, and somebody else answers it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from audit.models import Tombstone
from audit.pruning import prune
from audit.pruning.prune import Plan
from compliance.models import Disposition, Method, PolicyVersion
from compliance.retention.binding import binding
from compliance.retention.in_force import in_force
from kaireon.approvals import people
from kaireon.approvals import services as approvals
from kaireon.approvals.models import ApprovalRequest, State
from kaireon.tenancy import context
from kaireon.tenancy.context import Actor, requires_transaction, transaction, without_transaction
from kaireon.tenancy.models import Membership

ENTITY, CLOCK = "auditRecord", "timestamp"
# Every night there is a little more: people are asked for a month of it, and not again while they say no.
ASKED_AGAIN = timedelta(days=30)
COMMAND = "audit_prune --apply"


class Standing(StrEnum):
    """How far the oldest part of a log is on its way out."""

    NOTHING_DUE = "nothing_due"
    IN_THE_WAY = "in_the_way"  # a hold, or a tombstone that does not hold
    UNSHIPPED = "unshipped"  # a SIEM destination has not confirmed it
    ASKED = "asked"  # just now
    WAITS = "waits"  # for a second person
    APPROVED = "approved"  # and waits for an operator
    ASKED_LATELY = "asked_lately"  # less than a month ago, with whatever answer
    NOBODY_ASKS = "nobody_asks"  # who decided the policy may not any more, or was no person


WARNINGS = {
    Standing.UNSHIPPED: "records of the audit log are due, and a SIEM destination has not confirmed them: see"
    " audit_prune --plan",
    Standing.APPROVED: f"a prune of the audit log was agreed to and waits for {COMMAND}",
    Standing.NOBODY_ASKS: "records of the audit log are due, and who decided its policy may not ask for their prune",
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is due of the active tenant's log, and how it stands."""

    standing: Standing
    records: int = 0

    @property
    def warnings(self) -> list[str]:
        return [WARNINGS[self.standing]] if self.standing in WARNINGS else []

    def as_dict(self) -> dict[str, Any]:
        return {"standing": self.standing.value, "records": self.records}


@without_transaction
def ask(*, now: datetime, dry_run: bool = False) -> Asked:
    """Plan the prune of what is due of the active tenant's log, and ask for a second person's yes, once a month.

    A dry run says what it would ask for.
    """
    with transaction():
        plan = prune.make_plan(now=now)
        if plan.checkpoint is None:
            return Asked(standing=Standing.NOTHING_DUE)
        return Asked(standing=_standing(plan, now=now, dry_run=dry_run), records=plan.records)


@requires_transaction
def write_down() -> int:
    """A disposition for each prefix that left the log and has none yet; how many. The tombstone says all of it."""
    stones = prune.tombstones_of(context.tenant_id())
    known = set(Disposition.objects.filter(entity=ENTITY).values_list("run", flat=True))
    new = [stone for stone in stones if stone.approval_id not in known]
    for stone in new:
        _disposition(stone).save(force_insert=True)
    return len(new)


def _standing(plan: Plan, *, now: datetime, dry_run: bool) -> Standing:
    if plan.otherwise_in_the_way:
        return Standing.IN_THE_WAY
    if plan.waits_for:
        return Standing.UNSHIPPED
    earlier = _earlier(plan, now)
    if earlier is not None:
        return earlier
    asker = _who_wants_it(now)
    if asker is None:
        return Standing.NOBODY_ASKS
    if not dry_run:
        try:
            prune.ask(plan, actor=asker, now=now)
        except approvals.RequesterMayNot:
            return Standing.NOBODY_ASKS
    return Standing.ASKED


def _earlier(plan: Plan, now: datetime) -> Standing | None:
    """What became of the last question; None: it is time to ask.

    Of two who would ask at once the second waits here.
    """
    if approvals.asked_already(verb=prune.VERB, payload={}, now=now):
        return Standing.WAITS
    done = Tombstone.objects.filter(tenant_id=plan.tenant_id).values("approval_id")
    requests = ApprovalRequest.objects.filter(verb=prune.VERB)
    if requests.filter(state=State.APPROVED).exclude(payload=None).exclude(pk__in=done).exists():
        return Standing.APPROVED
    if requests.filter(requested_at__gt=now - ASKED_AGAIN).exists():
        return Standing.ASKED_LATELY
    return None


def _who_wants_it(now: datetime) -> Actor | None:
    """The member who decided what counts, themselves or by a key of theirs."""
    counts = in_force(prune.DATA_CLASS, now)
    by = counts.version.decided_by if counts else ""
    person = by if people.role_of(by) else people.person_behind(Actor(id=by, name="", type="api_key"))
    found = Membership.objects.filter(user_id=person, user__is_active=True).first() if person else None
    return Actor(id=str(found.user_id), name=found.user.name, type="user") if found else None


def _disposition(stone: Tombstone) -> Disposition:
    at = stone.pruned_at
    decided = PolicyVersion.objects.filter(data_class=prune.DATA_CLASS, created_at__lte=at, effective_from__lte=at)
    version = decided.order_by("-number").first()
    days = stone.policy["keptDays"]
    floor = binding(at).floor(prune.DATA_CLASS, at)
    longer = floor is not None and version is not None and floor.days > version.retention_days
    agreed = stone.approval.get("approvedBy") or [{}]
    asked = stone.approval.get("requestedBy") or {}
    return Disposition(
        run=stone.approval_id,
        data_class=prune.DATA_CLASS,
        entity=ENTITY,
        method=Method.PRUNED,
        rows=stone.records,
        clock=CLOCK,
        clock_from=stone.oldest,
        clock_until=stone.newest,
        retention_days=days,
        policy_version=version.number if version else 0,
        law=floor.citation if floor and longer else "",
        approved_by=str(agreed[-1].get("id", ""))[:64],
        approved_by_name=str(agreed[-1].get("name", ""))[:200],
        done_by=str(asked.get("id", ""))[:64],
        done_by_name=str(asked.get("name", ""))[:200],
        first_at=at,
        last_at=at,
    )
