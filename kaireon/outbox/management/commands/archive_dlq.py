"""Archive dead letters from the command line."""

import json
from argparse import ArgumentParser
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from django.core.management.base import BaseCommand, CommandError

from kaireon.lib import clock
from kaireon.outbox import archive
from kaireon.outbox.management.tenants import chosen_tenants
from kaireon.outbox.models import DeadLetter
from kaireon.tenancy.context import transaction


class Command(BaseCommand):
    help = "Write open dead letters to storage, payloads sealed, read them back, and mark them archived."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--queue", default="", help="Only of this queue. Default: all.")
        parser.add_argument("--dest", default="", help="s3://bucket/prefix or file:///folder. Default: our storage.")
        parser.add_argument("--tenant", default="", help="Only this tenant's. Default: all tenants.")
        parser.add_argument("--dry-run", action="store_true", help="Only count.")
        parser.add_argument("--json", action="store_true", help="For programs.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            to = archive.place(options["dest"])
        except archive.NoSuchDestination as e:
            raise CommandError(str(e)) from e
        answer: dict[str, Any] = {"archived": 0, "files": []}
        for _ in chosen_tenants(options["tenant"], reason="archive_dlq"):
            if options["dry_run"]:
                answer["archived"] += _waiting(options["queue"])
                continue
            try:
                for written in archive.archive_waiting(now=clock.now(), to=to, queue=options["queue"]):
                    answer["archived"] += written.letters
                    answer["files"].append({"name": written.name, "letters": written.letters, "sha256": written.sha256})
            except (BotoCoreError, ClientError, OSError, archive.ArchiveUnreadable) as e:
                raise CommandError(f"The storage failed ({type(e).__name__}); nothing more was marked archived.") from e
        if options["dry_run"]:
            answer["dryRun"] = True
        self.stdout.write(json.dumps(answer) if options["json"] else _text(answer))


def _waiting(queue: str) -> int:
    with transaction():
        waiting = DeadLetter.objects.unarchived()
        return (waiting.filter(queue=queue) if queue else waiting).count()


def _text(answer: dict[str, Any]) -> str:
    verb = "would be archived" if answer.get("dryRun") else "archived"
    return "\n".join([f"{answer['archived']} dead letters {verb}.", *(file["name"] for file in answer["files"])])
