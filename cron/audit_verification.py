"""The job audit-verify: each log once a night, whole once a week, for the log of no tenant and for each tenant's."""

from collections.abc import Mapping, Sequence
from typing import Any

from audit import services
from audit.models import VerificationRun, VerificationState
from audit.verification import runs
from audit.verification.runs import AlreadyRunning
from cron.work import Work
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import PLATFORM, current, platform_scope, transaction


class LogBroken(RuntimeError):
    """The platform's log does not hold. The message says what, and at which record."""


def verify_platform(work: Work) -> Mapping[str, Any]:
    """`{platform: …}` as of a tenant. Raises LogBroken."""
    with platform_scope(actor=work.actor, request_id=str(work.run_id)):
        # However long it is, the tenants' logs have their turn too.
        body, errors = _verified(work, work.budget.share(2))
    if errors:
        raise LogBroken("; ".join(errors))
    return {PLATFORM.strip("_"): body}


def verify_tenant(work: Work) -> tuple[Mapping[str, Any], Sequence[str]]:
    """`{kind, finished, intact, scanned, verified, total}`; an error names the first fault and where it is.

    A log that is too long for the time there is goes on in the next run: `finished` is false then.
    """
    return _verified(work, work.budget)


def _verified(work: Work, budget: Budget) -> tuple[Mapping[str, Any], Sequence[str]]:
    services.drain(current().tenant_id)
    with transaction():
        kind = runs.nightly_kind(work.now)
        if work.dry_run:
            return {"kind": str(kind), "total": runs.length()}, []
    try:
        row = runs.run(kind, budget=budget)
    except AlreadyRunning:
        return {"kind": str(kind), "skipped": "already running"}, []
    return _body(row), [_fault(row)] if row.state == VerificationState.BROKEN else []


def _body(row: VerificationRun) -> Mapping[str, Any]:
    finished = row.state != VerificationState.RUNNING
    return {
        "kind": row.kind,
        "finished": finished,
        "intact": row.state == VerificationState.INTACT if finished else None,
        "scanned": row.scanned,
        "verified": row.verified,
        "total": row.total,
    }


def _fault(row: VerificationRun) -> str:
    where = f"record {row.broken_at_seq}" if row.broken_at_seq else "the start"
    return f"{row.broken_reason} at {where}"
