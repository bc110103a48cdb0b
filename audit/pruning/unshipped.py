"""Destinations of the log that have not confirmed all of what a prune would remove.

What is removed before it was shipped is passed over with the code `pruned`, and lies in the archive alone. So a prune
waits for every destination, the operator's and the tenant's own, paused ones too, unless two people agreed to go ahead
without it. What they agreed to is how far it had come: one that is made or set back afterwards is in the way again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from audit.models import Cursor, SiemDestination
from audit.shipping import destinations
from audit.shipping.destinations import OPERATOR, NotConfigured
from kaireon.tenancy.context import current, requires_transaction

# Whichever there are: for who asks. An approval names them.
EVERY: Literal["every"] = "every"
# Members of a payload, as `as_payload` gives them.
Agreed = Sequence[Mapping[str, Any]] | Literal["every"]
# An approval's summary has 200 characters.
_NAMED = 80


@dataclass(frozen=True, kw_only=True)
class Behind:
    """A destination that has confirmed the records up to `confirmed`, 0 when none, and should have `last_seq`.

    `fault` says why the operator's cannot be shipped to, as its settings stand.
    """

    key: str
    name: str
    confirmed: int
    last_seq: int
    is_paused: bool = False
    fault: str = ""

    def __str__(self) -> str:
        """What is in the way, and the remedy."""
        far = f"records up to {self.confirmed}" if self.confirmed else "no record"
        first = "run the job siem-ship"
        if self.fault:
            first = f"it cannot be shipped to ({self.fault}): mend that or unset all of SIEM_, then {first}"
        elif self.is_paused:
            first = f"it is paused: let it go on, then {first}"
        return (
            f"the SIEM destination {self.name} has confirmed {far} of {self.last_seq}; {first}, or ask with --unshipped"
        )

    def as_payload(self) -> dict[str, Any]:
        return {"destination": self.key, "name": self.name, "confirmed": self.confirmed}

    def is_agreed_to(self, agreed: Agreed) -> bool:
        """Whether going ahead without it was agreed to, when it had come no further than it has now."""
        if agreed == EVERY:
            return True
        return any(one["destination"] == self.key and one["confirmed"] <= self.confirmed for one in agreed)


@requires_transaction
def behind(last_seq: int) -> tuple[Behind, ...]:
    """The active tenant's log's destinations that have not confirmed its records up to this one, the operator's first.

    Opens no credentials: one that cannot be opened is behind like any other.
    """
    cursors = Cursor.objects.filter(tenant_id=current().tenant_id, follower__startswith="siem:")
    confirmed = dict(cursors.values_list("follower", "seq"))

    def found(key: str, name: str, **more: Any) -> list[Behind]:
        seq = confirmed.get(f"siem:{key}", 0)
        return [Behind(key=key, name=name, confirmed=seq, last_seq=last_seq, **more)] if seq < last_seq else []

    rows: list[Behind] = []
    try:
        if destinations.operators() is not None:
            rows += found(OPERATOR, OPERATOR)
    except NotConfigured as fault:
        # Somebody wants the log shipped, and nobody can say that it is.
        rows += found(OPERATOR, OPERATOR, fault=str(fault))
    for pk, name, is_paused in SiemDestination.objects.order_by("created_at", "pk").values_list(
        "pk", "name", "is_paused"
    ):
        rows += found(str(pk), name, is_paused=is_paused)
    return tuple(rows)


def in_a_line(agreed: Sequence[Mapping[str, Any]]) -> str:
    """For who is asked to agree: how many, and the first of them with how far they are."""
    told = [f"{one['name']} has {'up to ' + str(one['confirmed']) if one['confirmed'] else 'none'}" for one in agreed]
    short = ", ".join(told)
    if len(short) > _NAMED:
        short = f"{short[: _NAMED - 1]}…"
    return f"{len(agreed)} SIEM destination{'s' if len(agreed) > 1 else ''} without them: {short}"
