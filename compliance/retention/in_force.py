"""What counts at a moment: the one answer for whoever deletes, shows or explains."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from compliance.models import CLOCK, PolicyVersion, RetentionPolicy
from compliance.retention.binding import Binding, binding
from compliance.retention.laws import Bound
from kaireon.tenancy.context import requires_transaction


@dataclass(frozen=True, kw_only=True)
class InForce:
    """How long a class is kept at a moment, and why.

    `version` says so, `pending` will, from its `effective_from` on; `floor` is what a law asks for at least, and counts
    where the policy says less. `until` is when that may change by itself; None when it only changes by a new decision.
    """

    version: PolicyVersion
    pending: PolicyVersion | None = None
    floor: Bound | None = None
    law_changes: datetime | None = None

    @property
    def data_class(self) -> str:
        return self.version.data_class

    @property
    def anchor(self) -> str:
        """The column from which days are counted where rows have it; empty for their own clock."""
        return "" if self.version.anchor == CLOCK else self.version.anchor

    @property
    def by_clock(self) -> bool:
        """Whether all rows of the class age by their own clock: only then may a month of it go whole."""
        return not self.anchor

    @property
    def policy_days(self) -> int:
        """What the policy says."""
        return self.version.retention_days

    @property
    def days(self) -> int:
        """What counts."""
        return max(self.policy_days, self.floor.days if self.floor else 0)

    @property
    def law(self) -> Bound | None:
        """The law because of which more counts than the policy says."""
        return self.floor if self.floor and self.floor.days > self.policy_days else None

    @property
    def until(self) -> datetime | None:
        moments = (self.pending.effective_from if self.pending else None, self.law_changes)
        return min((moment for moment in moments if moment), default=None)


@requires_transaction
def in_force(data_class: str, now: datetime) -> InForce | None:
    """How long the active tenant keeps a class at this moment. None: nobody said, so it is kept."""
    return all_in_force(now, PolicyVersion.objects.filter(data_class=data_class).newest()).get(data_class)


@requires_transaction
def all_in_force(now: datetime, newest: Iterable[PolicyVersion] | None = None) -> dict[str, InForce]:
    """The same for every class that has a policy, by class."""
    found = {}
    bound_by = binding(now)
    for version in PolicyVersion.objects.newest() if newest is None else newest:
        counting, pending = standing(version, now)
        if counting is not None:
            found[version.data_class] = _in_force(counting, pending, bound_by, now)
    return found


@requires_transaction
def of_policy(policy: RetentionPolicy, now: datetime) -> tuple[PolicyVersion | None, PolicyVersion | None]:
    """What counts of a policy, and what waits. Lock its row first when you act on the answer."""
    newest = PolicyVersion.objects.filter(policy=policy).newest().first()
    return (None, None) if newest is None else standing(newest, now)


def _in_force(counting: PolicyVersion, pending: PolicyVersion | None, bound_by: Binding, now: datetime) -> InForce:
    return InForce(
        version=counting,
        pending=pending,
        floor=bound_by.floor(counting.data_class, now),
        law_changes=bound_by.next_change(counting.data_class, now),
    )


def standing(newest: PolicyVersion, now: datetime) -> tuple[PolicyVersion | None, PolicyVersion | None]:
    """Of the newest decision: what counts, and what waits."""
    return (newest.replaces, newest) if newest.waits(now) else (newest, None)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A policy's row with what counts of it, for tables."""

    policy: RetentionPolicy
    counts: InForce | None
    pending: PolicyVersion | None

    @property
    def days(self) -> int:
        return self.counts.policy_days if self.counts else self.policy.retention_days

    @property
    def decided_days(self) -> int:
        """As it was decided last, also when that waits: who sets a period reads the same back."""
        return self.pending.retention_days if self.pending else self.days

    @property
    def effective_days(self) -> int:
        return self.counts.days if self.counts else self.policy.retention_days

    @property
    def mode(self) -> str:
        return self.counts.version.mode if self.counts else self.policy.mode

    @property
    def floor(self) -> Bound | None:
        return self.counts.floor if self.counts else None

    @property
    def reason(self) -> str:
        return self.counts.version.reason if self.counts else ""

    @property
    def pending_days(self) -> int | None:
        return self.pending.retention_days if self.pending else None

    @property
    def anchor(self) -> str:
        return self.counts.version.anchor if self.counts else CLOCK

    @property
    def pending_anchor(self) -> str | None:
        return self.pending.anchor if self.pending else None

    @property
    def decided_anchor(self) -> str:
        return self.pending.anchor if self.pending else self.anchor

    @property
    def pending_from(self) -> datetime | None:
        return self.pending.effective_from if self.pending else None


@requires_transaction
def shown(policies: Iterable[RetentionPolicy], *, now: datetime) -> list[Shown]:
    newest = {version.policy_id: version for version in PolicyVersion.objects.newest()}
    bound_by = binding(now)
    rows = []
    for policy in policies:
        last = newest.get(policy.pk)
        counting, pending = (None, None) if last is None else standing(last, now)
        counts = _in_force(counting, pending, bound_by, now) if counting else None
        rows.append(Shown(policy=policy, counts=counts, pending=pending))
    return rows
