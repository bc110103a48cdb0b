"""manage.py retention --tenant …: the policies, and what has none."""

import json
from typing import Any

from django.core.management.base import CommandParser

from compliance.models import RetentionPolicy
from compliance.retention import policies
from compliance.retention.in_force import Shown, shown
from customers.catalogue import DATA_CLASSES
from kaireon.lib import clock
from kaireon.tenancy.commands import TenantCommand
from kaireon.tenancy.context import transaction


class Command(TenantCommand):
    help = "List a tenant's retention policies and holds, with a warning for every class that has no policy."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--json", action="store_true", help="Answer in JSON.")

    def handle_tenant(self, **options: Any) -> None:
        with transaction():
            rows = shown(RetentionPolicy.objects.by_class(), now=clock.now())
            missing = policies.classes_without_policy()
        if options["json"]:
            self.stdout.write(json.dumps({"policies": [_row(row) for row in rows], "withoutPolicy": missing}))
            return
        for row in rows:
            self.stdout.write(_line(row))
        for data_class in missing:
            text = f"{data_class:<14} no policy: kept for ever ({DATA_CLASSES[data_class]})"
            self.stdout.write(self.style.WARNING(text))


def _line(row: Shown) -> str:
    policy = row.policy
    waits = f"  {row.pending_days} days from {clock.rfc3339(row.pending_from)}" if row.pending_from else ""
    held = f"  HELD since {policy.held_since:%Y-%m-%d} {policy.hold_reason}" if policy.held_since else ""
    return f"{policy.data_class:<14} {row.days:>6} days  v{policy.version}{waits}{held}".rstrip()


def _row(row: Shown) -> dict[str, Any]:
    policy = row.policy
    return {
        "dataClass": policy.data_class,
        "retentionDays": row.days,
        "pendingDays": row.pending_days,
        "pendingFrom": clock.rfc3339(row.pending_from) if row.pending_from else None,
        "legalHold": policy.legal_hold,
        "holdReason": policy.hold_reason,
        "heldSince": clock.rfc3339(policy.held_since) if policy.held_since else None,
        "version": policy.version,
    }
