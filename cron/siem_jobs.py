"""The job siem-ship: each log to the operator's SIEM, and each tenant's to its own."""

import logging
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

from audit.following import cursors
from audit.models import Cursor
from audit.shipping import destinations, shipping
from audit.shipping.destinations import NotConfigured, Target
from audit.shipping.shipping import Shipped
from cron.work import DoneInPart, Outcome, Work
from kaireon.lib.sealing import CannotOpen
from kaireon.tenancy.context import current, platform_scope, transaction

logger = logging.getLogger("kaireon.audit.shipping")

# The cadence that is recommended; nothing is shipped by a window of the clock.
WINDOW_SECONDS = 300
NOT_SET = "SIEM_BACKEND is not set, and no tenant has a destination of its own"
# It did not answer at all.
AWAY = ("timeout", "connection_failed", "name_not_resolved")


def ship_platform(work: Work) -> Mapping[str, Any]:
    """`{platform: {shipped, rowsScanned}}` when the operator has a SIEM. Raises DoneInPart when it was not shipped."""
    target = _operators(work.run_id)
    if target is None:
        return {}
    with platform_scope(actor=work.actor, request_id=str(work.run_id)):
        body, errors = _ship([target], work)
    said = {"platform": {name: body[name] for name in ("shipped", "rowsScanned")}}
    if errors:
        raise DoneInPart(f"platform: {'; '.join(errors)}", said)
    return said


def ship_tenant(work: Work) -> tuple[Mapping[str, Any], Sequence[str]]:
    """`{destinations, shipped, rowsScanned, refused}` and, of destinations that failed, which and why."""
    operators = _operators(work.run_id)
    targets = [operators] if operators is not None else []
    errors: list[str] = []
    try:
        with transaction():
            targets += [target for target in destinations.own() if not target.is_paused]
    except CannotOpen as error:
        errors.append(f"own: {type(error).__name__}")
    body, failed = _ship(targets, work)
    return body, [*errors, *failed]


def answer(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """`{backend, shipped, errors, windowSeconds, rowsScanned}` over all tenants, or `{skipped}` with the reason."""
    skipped, backend = _why_skipped(), None
    if skipped is None:
        target = destinations.operators()
        backend = target.backend if target is not None else None
    if backend is None and not any(outcome.body.get("destinations") or outcome.errors for outcome in outcomes):
        return {"skipped": skipped or NOT_SET}
    return {
        "backend": backend,
        "shipped": sum(outcome.body.get("shipped", 0) for outcome in outcomes),
        "errors": sum(len(outcome.errors) for outcome in outcomes),
        "windowSeconds": WINDOW_SECONDS,
        "rowsScanned": sum(outcome.body.get("rowsScanned", 0) for outcome in outcomes),
    }


def _ship(targets: Sequence[Target], work: Work) -> tuple[dict[str, Any], list[str]]:
    total, errors = Shipped(), []
    for number, target in enumerate(targets):
        away = _away(work.run_id)
        if target.is_operators and away:
            errors.append(f"{target.name}: left_alone")
            continue
        if work.dry_run:
            total.scanned += _waiting(target)
            continue
        done = shipping.ship(target, budget=work.budget.share(len(targets) - number))
        total.scanned += done.scanned
        total.shipped += done.shipped
        total.refused += done.refused
        if done.error:
            errors.append(f"{target.name}: {done.error}")
        if target.is_operators and done.error in AWAY and not done.is_waiting:
            away.add(done.error)
    body = {
        "destinations": len(targets),
        "shipped": total.shipped,
        "rowsScanned": total.scanned,
        "refused": total.refused,
    }
    return body, errors


def _waiting(target: Target) -> int:
    """How many sequenced records the destination does not have."""
    with transaction():
        rows = Cursor.objects.filter(tenant_id=current().tenant_id, follower=target.follower)
        return cursors.head() - (rows.values_list("seq", flat=True).first() or 0)


@lru_cache(maxsize=4)
def _away(run_id: UUID) -> set[str]:
    """Why the operator's SIEM did not answer in this run: waiting once more in each tenant would starve the others."""
    return set()


@lru_cache(maxsize=4)
def _operators(run_id: UUID) -> Target | None:
    """Once a run: what is wrong with it is said once."""
    try:
        return destinations.operators()
    except NotConfigured as error:
        logger.error("siem_misconfigured", extra={"reason": str(error)})  # noqa: TRY400  no trace is needed
        return None


def _why_skipped() -> str | None:
    try:
        return None if destinations.operators() is not None else NOT_SET
    except NotConfigured as error:
        return str(error)
