"""What touches a record, as it is answered."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from compliance.explaining.explanation import moment
from compliance.models import Hold, Kind, PolicyVersion, RetentionPolicy
from compliance.retention.in_force import InForce
from compliance.retention.laws import Bound
from customers.catalogue import entity
from kaireon.tenancy.context import requires_transaction


@requires_transaction
def policies(counts: InForce | None) -> list[dict[str, Any]]:
    """The versions of the class's policy that speak: what counts, and what waits to take effect."""
    if counts is None:
        return []
    return [_version(v, waits=v is counts.pending) for v in (counts.version, counts.pending) if v is not None]


def _version(version: PolicyVersion, *, waits: bool) -> dict[str, Any]:
    return {
        "policy": str(version.policy_id),
        "version": version.number,
        "days": version.retention_days,
        "anchor": version.anchor,
        "mode": version.mode,
        "reason": version.reason,
        "effectiveFrom": moment(version.effective_from),
        "state": "pending" if waits else "in_force",
    }


@requires_transaction
def class_holds(data_class: str) -> list[dict[str, Any]]:
    """The hold on the whole class."""
    return [
        {
            "id": str(policy.pk),
            "kind": "class",
            "dataClass": data_class,
            "state": "active",
            "reason": policy.hold_reason,
            "placedAt": moment(policy.held_since),
            "releasesAt": None,
        }
        for policy in RetentionPolicy.objects.held().filter(data_class=data_class)
    ]


def scoped_holds(covering: Iterable[Hold]) -> list[dict[str, Any]]:
    """The holds of matters; whom they name is not said."""
    return [
        {
            "id": str(hold.pk),
            "kind": "matter",
            "matter": {"id": str(hold.matter.pk), "name": hold.matter.name, "reference": hold.matter.reference},
            "dataClass": hold.data_class or None,
            "entity": hold.entity or None,
            "ofSubjects": hold.of_subjects,
            "from": moment(hold.from_at),
            "until": moment(hold.until_at),
            "query": hold.query,
            "state": hold.state,
            "placedAt": moment(hold.placed_at),
            "releasesAt": moment(hold.releases_at),
        }
        for hold in covering
        if hold.matter is not None
    ]


@requires_transaction
def requests(covering: Iterable[Hold]) -> list[dict[str, Any]]:
    """The open requests of the record's person, also those that failed: they are still owed an answer."""
    open_ones = [hold for hold in covering if hold.kind == Kind.REQUEST]
    rows = entity("dsarRequest").queryset().filter(pk__in=[hold.request_ref for hold in open_ones])
    status = dict(rows.values_list("pk", "status"))
    return [
        {
            "id": str(hold.request_ref) if hold.request_ref else None,
            "hold": str(hold.pk),
            "since": moment(hold.placed_at),
            "status": status.get(hold.request_ref),
        }
        for hold in open_ones
    ]


def floors(floor: Bound | None, clock_at: datetime | None) -> list[dict[str, Any]]:
    """What a law asks for at least, also where the policy keeps longer."""
    if floor is None:
        return []
    until = moment(clock_at + timedelta(days=floor.days)) if clock_at else None
    return [{"law": floor.law, "citation": floor.citation, "days": floor.days, "until": until}]
