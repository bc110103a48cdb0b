"""manage.py purge --tenant …: delete what is past its retention, or count it."""

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from compliance.purging import purge
from customers.catalogue import DATA_CLASSES
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.tenancy import context
from kaireon.tenancy.commands import TenantCommand


class Command(TenantCommand):
    help = "Delete a tenant's rows that are past their retention. Nothing held is touched; --dry-run only counts."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--dry-run", action="store_true", help="Count what would be deleted, and do nothing.")
        parser.add_argument("--data-class", action="append", dest="classes", help="Only this class; repeatable.")
        parser.add_argument("--seconds", type=float, default=purge.DEFAULT_SECONDS, help="How long it may take (600).")
        parser.add_argument("--json", action="store_true", help="Answer in JSON.")

    def handle_tenant(self, **options: Any) -> None:
        for name in options["classes"] or ():
            if name not in DATA_CLASSES:
                raise CommandError(f"--data-class {name}: known are {', '.join(sorted(DATA_CLASSES))}.")
        purged = purge.purge_expired(
            now=clock.now(),
            actor=context.current().actor,
            classes=options["classes"],
            dry_run=options["dry_run"],
            budget=Budget(options["seconds"]),
        )
        answer = {**purged.as_dict(), "dryRun": options["dry_run"], "errors": purged.errors}
        self.stdout.write(json.dumps(answer) if options["json"] else _text(purged, dry_run=options["dry_run"]))
        if purged.errors:
            raise CommandError("; ".join(purged.errors))


def _text(purged: purge.Purged, *, dry_run: bool) -> str:
    lines = [f"{count:>12,}  {name}" for name, count in purged.deleted.items() if count]
    lines.append(f"{purged.total:>12,}  rows {'would be deleted' if dry_run else 'deleted'}")
    lines.extend(f"held, not touched: {name}" for name in purged.held)
    lines.extend(f"no policy, kept: {name}" for name in purged.without_policy)
    lines.extend(f"warning: {text}" for text in purged.as_dict()["warnings"])
    if not purged.finished:
        lines.append("Out of time: run it again to go on.")
    return "\n".join(lines)
