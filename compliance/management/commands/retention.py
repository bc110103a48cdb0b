"""manage.py retention --tenant …: the policies, what has none, and the laws that bind the tenant."""

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from compliance.models import CLOCK, RetentionPolicy
from compliance.retention import binding, laws_api, policies
from compliance.retention.conflicts import conflicts
from compliance.retention.in_force import Shown, shown
from customers.catalogue import DATA_CLASSES
from kaireon.lib import clock
from kaireon.tenancy import context
from kaireon.tenancy.commands import TenantCommand
from kaireon.tenancy.context import transaction


class Command(TenantCommand):
    help = "List a tenant's retention policies and holds, with a warning for every class that has no policy."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "what",
            nargs="?",
            choices=("policies", "laws", "conflicts"),
            default="policies",
            help="laws: the law packs, and which bind the tenant; conflicts: where policies and laws do not fit.",
        )
        parser.add_argument("--bind", metavar="LAW", help="With laws: this one binds the tenant from now on.")
        parser.add_argument("--unbind", metavar="LAW", help="With laws: this one ends with the cooling-off.")
        parser.add_argument("--json", action="store_true", help="Answer in JSON.")

    def handle_tenant(self, **options: Any) -> None:
        if (options["bind"] or options["unbind"]) and options["what"] != "laws":
            raise CommandError("--bind and --unbind go with laws.")
        getattr(self, f"_{options['what']}")(**options)

    def _laws(self, **options: Any) -> None:
        now = clock.now()
        with transaction():
            try:
                for name, on in ((options["bind"], True), (options["unbind"], False)):
                    if name:
                        binding.switch(name=name, on=on, actor=context.current().actor, now=now)
            except binding.UnknownLaw as e:
                raise CommandError(str(e)) from e
            found = laws_api.all_laws()
        if options["json"]:
            self.stdout.write(json.dumps(found))
            return
        for law in found:
            binds = "binds" if law["binds"] else ""
            until = f" until {law['bindsUntil']}" if law["bindsUntil"] else ""
            starts = f"  from {law['starts']}" if law["starts"] else ""
            self.stdout.write(f"{law['name']:<26} {binds + until:<8} {law['title']}{starts}".rstrip())

    def _conflicts(self, **options: Any) -> None:
        with transaction():
            found = laws_api.ConflictOut(conflicts(clock.now()), many=True).data
        if options["json"]:
            self.stdout.write(json.dumps(found))
            return
        for row in found:
            starts = f"  from {row['starts']}" if row["starts"] else ""
            law = f"{row['lawDays']} by {row['citation']}{starts}"
            text = f"{row['dataClass']:<14} {row['kind']}: {row['days']} days, {law}"
            self.stdout.write(self.style.WARNING(text))

    def _policies(self, **options: Any) -> None:
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
    since = f" from {row.anchor}" if row.anchor != CLOCK else ""
    waits = f"  {row.pending_days} days from {clock.rfc3339(row.pending_from)}" if row.pending_from else ""
    held = f"  HELD since {policy.held_since:%Y-%m-%d} {policy.hold_reason}" if policy.held_since else ""
    law = f"  {row.effective_days} by {row.floor.citation}" if row.floor and row.effective_days > row.days else ""
    return f"{policy.data_class:<14} {row.days:>6} days{since}  v{policy.version}{law}{waits}{held}".rstrip()


def _row(row: Shown) -> dict[str, Any]:
    policy = row.policy
    return {
        "dataClass": policy.data_class,
        "retentionDays": row.decided_days,
        "effectiveDays": row.effective_days,
        "anchor": row.anchor,
        "mode": row.mode,
        "pendingDays": row.pending_days,
        "pendingAnchor": row.pending_anchor,
        "pendingFrom": clock.rfc3339(row.pending_from) if row.pending_from else None,
        "legalHold": policy.legal_hold,
        "holdReason": policy.hold_reason,
        "heldSince": clock.rfc3339(policy.held_since) if policy.held_since else None,
        "version": policy.version,
    }
