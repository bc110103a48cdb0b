"""What this machine keeps because the database was away, and what of it could not be used."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit import events


class Command(BaseCommand):
    help = "Show what waits in this machine's spool of audit events; bring it in with --replay."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--replay", action="store_true", help="Bring in what waits now.")
        parser.add_argument(
            "--retry-aside",
            action="store_true",
            help="Try what was set aside again too: after a sealing key was put back, or a file repaired.",
        )
        parser.add_argument("--json", action="store_true", help="One JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        spool = events.folder()
        made = 0
        try:
            if options["retry_aside"]:
                spool.retry_aside()
            if options["replay"] or options["retry_aside"]:
                made = events.replay()
        except events.AWAY as error:
            raise CommandError("The database does not answer: nothing is lost, run it again when it does.") from error
        except OSError as error:
            raise CommandError(f"The spool in {spool.folder} cannot be used: {error.strerror}.") from error
        said = {
            "folder": str(spool.folder),
            "waiting": spool.waiting(),
            "aside": spool.aside(),
            "bytes": spool.size(),
            "limit": spool.limit,
            "broughtIn": made,
        }
        if options["json"]:
            self.stdout.write(json.dumps(said))
            return
        self.stdout.write(
            f"{spool.folder}: {said['waiting']} waiting, {said['aside']} set aside,"
            f" {said['bytes']} of {said['limit']} bytes."
        )
        if made:
            self.stdout.write(f"Brought in: {made}.")
