"""manage.py read_archive NAME --tenant acme [--open-payloads]"""

import json
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from django.core.management.base import CommandError, CommandParser

from kaireon.outbox import archive
from kaireon.tenancy.commands import TenantCommand
from kaireon.tenancy.context import transaction


class Command(TenantCommand):
    help = (
        "Show the dead letters of an archive. Their payloads only when asked for; that is recorded, letter by letter."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("name", help="As archive_dlq and the page of a dead letter say it.")
        parser.add_argument("--dest", default="", help="Where it was archived to. Default: our storage.")
        parser.add_argument("--open-payloads", action="store_true", help="In the clear, and recorded in the audit log.")
        parser.add_argument("--json", action="store_true", help="For programs.")

    def handle_tenant(self, **options: Any) -> str:
        name: str = options["name"]
        try:
            at = archive.place(options["dest"])
            with transaction():
                letters = archive.recall(name=name, at=at, opening=options["open_payloads"])
        except archive.NoSuchDestination as e:
            raise CommandError(str(e)) from e
        except archive.NoSuchArchive as e:
            raise CommandError(f"{name}: there is no such archive of this tenant in that storage.") from e
        except archive.ArchiveUnreadable as e:
            raise CommandError(f"{name}: the file is damaged, or no archive.") from e
        except (BotoCoreError, ClientError, OSError) as e:
            raise CommandError(f"The storage failed ({type(e).__name__}).") from e
        if options["json"]:
            return json.dumps({"name": name, "letters": letters})
        return "\n".join(_text(letter) for letter in letters)


def _text(letter: dict[str, Any]) -> str:
    facts = ("id", "diedAt", "queue", "topic", "class", "errorType")
    line = "  ".join(str(letter[fact]) for fact in facts) + f"  payload {letter['payloadState']}"
    return f"{line}\n    {json.dumps(letter['payload'])}" if "payload" in letter else line
