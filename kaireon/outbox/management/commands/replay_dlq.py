"""Put dead letters back on their way from the command line."""

import json
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from kaireon.lib import clock
from kaireon.outbox import dead_letters, services
from kaireon.outbox.management.tenants import chosen_tenants
from kaireon.outbox.models import DeadLetter
from kaireon.tenancy.context import transaction


class Command(BaseCommand):
    help = "Try open dead letters of a queue again, oldest first, in batches."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--queue", required=True, help="Queue of the letters: outbox, dsar-jobs, …")
        parser.add_argument("--batch", type=int, default=50, help="Letters in one transaction. Default: 50.")
        parser.add_argument("--delay", type=int, default=0, help="Milliseconds between two batches. Default: 0.")
        parser.add_argument("--tenant", default="", help="Only this tenant's. Default: all tenants.")
        parser.add_argument("--dry-run", action="store_true", help="Only count.")
        parser.add_argument("--json", action="store_true", help="For programs.")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["batch"] <= 1000 or not 0 <= options["delay"] <= 600_000:
            raise CommandError("--batch is from 1 to 1000, --delay from 0 to 600000 milliseconds.")
        answer: dict[str, Any] = {"queue": options["queue"], "replayed": 0, "skipped": {}, "tenants": []}
        for tenant in chosen_tenants(options["tenant"], reason="replay_dlq"):
            replayed, skipped = self._replay(options)
            answer["tenants"].append({"tenantId": tenant, "replayed": replayed, "skipped": skipped})
            answer["replayed"] += replayed
            for reason, count in skipped.items():
                answer["skipped"][reason] = answer["skipped"].get(reason, 0) + count
            if replayed and not options["dry_run"]:
                services.send_wake(tenant)
        if options["dry_run"]:
            answer["dryRun"] = True
        self.stdout.write(json.dumps(answer) if options["json"] else _text(answer))

    def _replay(self, options: dict[str, Any]) -> tuple[int, dict[str, int]]:
        with transaction():
            waiting = DeadLetter.objects.open().filter(queue=options["queue"]).order_by("died_at", "pk")
            ids = list(waiting.values_list("pk", flat=True))
        if options["dry_run"]:
            return len(ids), {}
        replayed = 0
        skipped: dict[str, int] = {}
        for start in range(0, len(ids), options["batch"]):
            if start and options["delay"]:
                time.sleep(options["delay"] / 1000)
            batch = DeadLetter.objects.filter(pk__in=ids[start : start + options["batch"]]).order_by("died_at", "pk")
            with transaction():
                handled = dead_letters.retry(batch, now=clock.now())
            replayed += len(handled.done)
            for reason, count in handled.reasons.items():
                skipped[reason] = skipped.get(reason, 0) + count
        return replayed, skipped


def _text(answer: dict[str, Any]) -> str:
    verb = "would be replayed" if answer.get("dryRun") else "replayed"
    skipped = ", ".join(f"{count} {reason}" for reason, count in answer["skipped"].items()) or "none"
    return f"{answer['queue']}: {answer['replayed']} {verb}; skipped: {skipped}."
