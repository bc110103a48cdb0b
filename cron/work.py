"""What a job is, what its function gets, and what it gives back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from kaireon.lib.budget import Budget
from kaireon.tenancy.context import Actor

DEFAULT_DEADLINE = 600  # seconds
# A message that is out longer than the broker waits (3600 s) would be handed to a second worker.
LONGEST_DEADLINE = 3000


class Missed(StrEnum):
    """What becomes of scheduled moments that passed while no beat was running."""

    SKIP = "skip"  # nothing: the next one does as well
    LAST = "last"  # the newest of them is made up for
    ALL = "all"  # each is, oldest first, a hundred at most


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a job's function gets: who acts, when, how long it may take, and whether it only pretends. `common` is what
    `for_all` gave, for those who come after it."""

    run_id: UUID
    actor: Actor
    now: datetime
    budget: Budget
    dry_run: bool = False
    common: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a job came to in one tenant. `body` is its entry in the answer; any error makes the run a failure.

    Errors and warnings are facts about kinds and counts: they are stored, logged and answered, so nothing personal.
    """

    tenant_id: str
    body: Mapping[str, Any] = field(default_factory=dict)
    errors: Sequence[str] = ()
    seconds: float = 0.0

    def entry(self) -> dict[str, Any]:
        return {"tenantId": self.tenant_id, **self.body, "errors": list(self.errors)}


class DoneInPart(RuntimeError):
    """What a job's `for_all` raises when part of it failed. `body` is its answer all the same.

    The text says what failed; it is stored, logged and answered, so nothing personal.
    """

    def __init__(self, facts: str, body: Mapping[str, Any]) -> None:
        super().__init__(facts)
        self.body = body


def per_tenant(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """`{tenantsScanned, perTenant: [{tenantId, …, errors}]}`"""
    return {"tenantsScanned": len(outcomes), "perTenant": [outcome.entry() for outcome in outcomes]}


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job and when it runs.

    `for_all` runs once, first, outside any tenant, and gives its part of the answer. `for_tenant` runs in each active
    tenant's scope, outside any transaction, and gives `(body, errors)`; `answer` makes one of them. A job has a
    schedule (cron, UTC) or says in `unscheduled` why it has none. `deadline` is in seconds, for all tenants together:
    what does not fit is left for the next run. `grace` is how late it may begin before it counts as down. A job that
    is not `enabled` keeps its schedule and is not started by it; the other doors stay open. `shipped` is the job as
    it stands in cron/jobs.py, when the environment says otherwise.
    """

    name: str
    help: str
    for_all: Callable[[Work], Mapping[str, Any]] | None = None
    for_tenant: Callable[[Work], tuple[Mapping[str, Any], Sequence[str]]] | None = None
    answer: Callable[[Sequence[Outcome]], dict[str, Any]] = per_tenant
    deadline: int = DEFAULT_DEADLINE
    schedule: str | None = None
    unscheduled: str = ""
    enabled: bool = True
    missed: Missed = Missed.LAST
    grace: timedelta = timedelta(minutes=5)
    shipped: "Job | None" = None

    @property
    def is_global(self) -> bool:
        return self.for_tenant is None

    @property
    def said_by(self) -> str:
        """Who says when it runs: `default` or `environment`. An operator's word is in beat's row."""
        shipped = self.shipped or self
        same = (shipped.schedule, shipped.enabled) == (self.schedule, self.enabled)
        return "default" if same else "environment"
