"""manage.py retention --tenant …: the policies, and what has none."""

import json
from typing import Any

from django.core.management.base import CommandParser

from compliance.models import RetentionPolicy
from compliance.retention import policies
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
            rows = list(RetentionPolicy.objects.by_class())
            missing = policies.classes_without_policy()
        if options["json"]:
            self.stdout.write(json.dumps({"policies": [_row(p) for p in rows], "withoutPolicy": missing}))
            return
        for policy in rows:
            held = f"  HELD since {policy.held_since:%Y-%m-%d} {policy.hold_reason}" if policy.held_since else ""
            self.stdout.write(
                f"{policy.data_class:<14} {policy.retention_days:>6} days  v{policy.version}{held}".rstrip()
            )
        for data_class in missing:
            text = f"{data_class:<14} no policy: kept for ever ({DATA_CLASSES[data_class]})"
            self.stdout.write(self.style.WARNING(text))


def _row(policy: RetentionPolicy) -> dict[str, Any]:
    return {
        "dataClass": policy.data_class,
        "retentionDays": policy.retention_days,
        "legalHold": policy.legal_hold,
        "holdReason": policy.hold_reason,
        "heldSince": clock.rfc3339(policy.held_since) if policy.held_since else None,
        "version": policy.version,
    }
