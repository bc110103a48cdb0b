"""manage.py config_apply --tenant … | --platform FILE [--dry-run] [--json]"""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction as django_transaction

from compliance.drift import applying, files, watching
from compliance.drift.commands import ConfigCommand
from kaireon.lib import clock
from kaireon.tenancy.context import current, transaction


class Command(ConfigCommand):
    help = (
        "Make a tenant, or the platform, what a file declares: all of it or nothing, by the same rules as in the admin."
        " A dry run goes the same way and takes everything back."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", type=Path, metavar="FILE", help="A file as config_export prints it.")
        parser.add_argument("--dry-run", action="store_true", help="Say what would change, and change nothing.")
        parser.add_argument("--json", action="store_true", help="Answer in JSON.")

    def handle_scope(self, *, of_tenant: bool, **options: Any) -> None:
        now, dry_run = clock.now(), options["dry_run"]
        try:
            declared = files.read(options["file"], of_tenant=of_tenant)
        except files.BadFile as error:
            raise CommandError(str(error)) from error
        if declared is None:
            raise CommandError(f"{options['file'].name}: there is no such file.")
        try:
            with transaction():
                done = applying.apply(declared, actor=current().actor, now=now)
                if dry_run:
                    django_transaction.set_rollback(True)
                elif of_tenant:
                    watching.note(watching.differences(declared, now=now), now=now)
        except applying.Refused as refused:
            lines = "\n".join(f"{one.line()}\n    {reason}" for one, reason in refused.reasons)
            raise CommandError(f"Nothing was changed. Refused:\n{lines}") from refused
        if options["json"]:
            self.stdout.write(json.dumps({"dryRun": dry_run, "changes": [one.as_dict() for one in done]}))
            return
        for one in done:
            self.stdout.write(one.line())
        changes = f"{len(done)} change{'' if len(done) == 1 else 's'}"
        self.stdout.write(f"{changes} {'would be made' if dry_run else 'made'}." if done else "All is as declared.")
