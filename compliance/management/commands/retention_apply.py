"""manage.py retention_apply --tenant … PLAN [--seconds N] [--dry-run]"""

import json
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError, CommandParser

from compliance.models import PurgePlan
from compliance.purging import applying, purge
from compliance.purging.refusals import PlanRefused
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.lib.progress import Progress
from kaireon.tenancy.commands import TenantCommand
from kaireon.tenancy.context import current


class Command(TenantCommand):
    help = (
        "Delete what a plan of retention_plan says, no older than a day. Refused when a hold, a longer policy or other"
        " rows came since. Run it again to go on with one that was stopped or ran out of time."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("plan", type=UUID, metavar="PLAN", help="Id of the plan.")
        parser.add_argument("--dry-run", action="store_true", help="Go the same way up to the DELETE, and count.")
        parser.add_argument("--seconds", type=float, default=purge.DEFAULT_SECONDS, help="How long it may take (600).")
        parser.add_argument("--json", action="store_true", help="Answer in JSON.")

    def handle_tenant(self, **options: Any) -> None:
        plan_id, dry_run = options["plan"], options["dry_run"]
        try:
            plan = applying.begin(plan_id=plan_id, actor=current().actor, now=clock.now(), dry_run=dry_run).plan
            with Progress("purge", total=plan.rows, quiet=options["json"] or options["verbosity"] < 1) as progress:
                done = applying.go_on(
                    plan_id=plan_id,
                    now=clock.now(),
                    budget=Budget(options["seconds"]),
                    dry_run=dry_run,
                    told=lambda rows, total: progress.move_to(rows, f"{rows:,} of {total:,} rows"),
                )
        except PurgePlan.DoesNotExist as error:
            raise CommandError(f"{plan_id}: there is no such plan.") from error
        except PlanRefused as refusal:
            raise CommandError(f"Refused ({refusal.code}): {refusal}") from refusal
        said = {
            "planId": str(plan_id),
            "rows": done.rows,
            "planned": done.planned,
            "finished": done.finished,
            "dryRun": dry_run,
        }
        ending = "" if done.finished else "  Out of time: run it again to go on."
        text = f"{done.rows:,} of {done.planned:,} rows {'would be deleted' if dry_run else 'deleted'}.{ending}"
        self.stdout.write(json.dumps(said) if options["json"] else text)
