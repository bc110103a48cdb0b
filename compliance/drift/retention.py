"""Retention policies as a kind of what can be declared. Holds are not: they are placed and released by people."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from compliance.drift.kinds import Items, Kind, NotAppliable, register
from compliance.models import CLOCK, Mode
from compliance.retention import in_force, policies
from kaireon.tenancy.context import Actor

_REFUSALS: tuple[type[Exception], ...] = (policies.UnknownAnchor, *policies.REFUSED)
_REASON = "As declared in the file of this tenant."


def actual(now: datetime) -> Items:
    """What was decided last of each class: what waits to take effect is no difference."""
    found = {}
    for data_class, standing in in_force.all_in_force(now).items():
        version = standing.pending or standing.version
        found[data_class] = {
            "days": version.retention_days,
            "anchor": version.anchor or CLOCK,
            "mode": str(version.mode),
        }
    return found


def check(name: str, fields: Mapping[str, Any]) -> None:
    """Raises ValueError."""
    policies.check_class(name)
    if "days" not in fields:
        raise ValueError("days: must be said.")
    try:
        policies.check_days(fields["days"])
    except policies.DaysOutOfRange as error:
        raise ValueError(f"days: {error}") from error
    if fields["days"] is None:
        raise ValueError("days: must be said.")
    if "anchor" in fields and not isinstance(fields["anchor"], str):
        raise ValueError("anchor: must be text.")
    if fields.get("mode", Mode.NORMAL) not in Mode.values:
        raise ValueError(f"mode: must be one of {', '.join(Mode.values)}.")


def put(name: str, fields: Mapping[str, Any], actor: Actor, now: datetime) -> None:
    """Raises NotAppliable, with the reason of whatever rule of retention stands against it."""
    try:
        policies.upsert_policy(
            data_class=name,
            retention_days=fields["days"],
            anchor=fields.get("anchor"),
            mode=Mode(fields["mode"]) if "mode" in fields else None,
            reason=_REASON,
            actor=actor,
            now=now,
        )
    except policies.NeedsSecondPerson as error:
        raise NotAppliable("a second person has to agree: decide it in the admin or over the API.") from error
    except _REFUSALS as error:
        raise NotAppliable(str(error)) from error


def remove(name: str, actor: Actor, now: datetime) -> None:
    """Raises NotAppliable: a policy is never taken away, only replaced."""
    raise NotAppliable("a policy is not taken away once there is one: declare it as it is, or with other days.")


register(Kind(name="retention", fields=("days", "anchor", "mode"), actual=actual, check=check, put=put, remove=remove))
