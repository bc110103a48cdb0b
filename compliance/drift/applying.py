"""Bringing about what a file declares: all of it or nothing."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from compliance.drift import watching
from compliance.drift.comparing import Difference
from compliance.drift.files import Declared
from compliance.drift.kinds import KINDS, Items, NotAppliable
from kaireon.tenancy.context import Actor, requires_transaction


class Refused(ValueError):
    """Some of it cannot be brought about. `reasons` says why, by the difference."""

    def __init__(self, reasons: Sequence[tuple[Difference, str]]) -> None:
        self.reasons = tuple(reasons)
        super().__init__("; ".join(f"{one.kind}/{one.name}: {reason}" for one, reason in reasons))


@requires_transaction
def apply(declared: Declared, *, actor: Actor, now: datetime) -> list[Difference]:
    """Make the tenant, or the platform, what is declared; gives what was different.

    Through the same services as everybody: their rules, and their records, are the same. Raises Refused when anything
    cannot be brought about, with the reason of each; roll the transaction back then.
    """
    found = watching.differences(declared, now=now)
    reasons = []
    for one in found:
        kind = KINDS[one.kind]
        try:
            if one.what == "undeclared":
                kind.remove(one.name, actor, now)
            else:
                kind.put(one.name, declared.sections[one.kind][one.name], actor, now)
        except NotAppliable as error:
            reasons.append((one, str(error)))
    if reasons:
        raise Refused(reasons)
    return found


@requires_transaction
def export(*, of_tenant: bool, now: datetime) -> Mapping[str, Items]:
    """Everything that can be declared, as it is."""
    return {name: kind.actual(now) for name, kind in sorted(KINDS.items()) if kind.of_tenant is of_tenant}
