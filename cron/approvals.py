"""The job `approvals-expire`."""

from collections.abc import Mapping, Sequence
from typing import Any

from cron.work import Work
from kaireon.approvals import services
from kaireon.approvals.models import ApprovalRequest
from kaireon.tenancy.context import transaction


def expire(work: Work) -> tuple[Mapping[str, Any], Sequence[str]]:
    """Close requests past their deadline and forget old payloads; gives `{expired, forgotten}`."""
    with transaction():
        if work.dry_run:
            return {"expired": ApprovalRequest.objects.overdue(work.now).count(), "forgotten": 0}, ()
        expired = 0
        while closed := services.expire_due(now=work.now):
            expired += closed
        return {"expired": expired, "forgotten": services.shred_old_payloads(now=work.now)}, ()
