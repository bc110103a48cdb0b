"""`manage.py retrain --tenant … --offer … [--dry-run] [--json]`: train an offer's model now."""

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from customers.exporting.arrivals import NumbersAhead
from customers.propensity import by_hand
from kaireon.lib import clock
from kaireon.tenancy.commands import TenantCommand


class Command(TenantCommand):
    help = "Train the model of an offer now, due or not, and serve it unless it is worse; or only see what it would be."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--offer", required=True, help="The offer, as interactions name it.")
        parser.add_argument("--dry-run", action="store_true", help="Train and measure, and write nothing down.")
        parser.add_argument("--json", action="store_true", help="Say it as JSON.")

    def handle_tenant(self, **options: Any) -> str:
        try:
            said = _rehearsed(options["offer"]) if options["dry_run"] else _trained(options["offer"])
        except by_hand.NoSchedule as e:
            raise CommandError(f"--offer: {e}") from e
        except by_hand.UnderWay as e:
            raise CommandError("A retrain of this offer is queued or running: wait for it.") from e
        except NumbersAhead as e:
            raise CommandError("The database was restored from a dump: run manage.py export_rebase first.") from e
        if options["json"]:
            return json.dumps(said, sort_keys=True)
        return f"{said['state']}: {said['reason']}"


def _rehearsed(offer: str) -> dict[str, Any]:
    return by_hand.rehearse(offer=offer, now=clock.now())


def _trained(offer: str) -> dict[str, Any]:
    run = by_hand.retrain(offer=offer, now=clock.now())
    said = {"state": run.state, "reason": run.reason, "version": run.version_number}
    return {"offer": offer, "dryRun": False, **said}
