"""All that was decided about a policy, newest first."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from compliance.models import PolicyVersion, RetentionPolicy
from compliance.retention.in_force import standing
from kaireon.tenancy.context import requires_transaction

MOST = 100


class Standing(StrEnum):
    WAITS = "waits"
    COUNTS = "counts"
    OVER = "over"
    NEVER = "never counted"


@dataclass(frozen=True, kw_only=True)
class Line:
    version: PolicyVersion
    standing: Standing


@requires_transaction
def of(policy: RetentionPolicy, *, now: datetime) -> list[Line]:
    """The last hundred decisions. One that still waited when the next was made never counted."""
    found = list(PolicyVersion.objects.filter(policy=policy).order_by("-number")[:MOST])
    if not found:
        return []
    counting, pending = standing(found[0], now)
    lines = []
    for version, newer in zip(found, [None, *found], strict=False):
        if version == pending:
            state = Standing.WAITS
        elif version == counting:
            state = Standing.COUNTS
        elif newer is not None and version.waits(newer.created_at):
            state = Standing.NEVER
        else:
            state = Standing.OVER
        lines.append(Line(version=version, standing=state))
    return lines
