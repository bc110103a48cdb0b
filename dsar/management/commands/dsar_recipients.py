"""manage.py dsar_recipients list|set --tenant acme: who was given personal data, and how each is told."""

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from dsar.models import Recipient, SubjectType
from dsar.recipients import notices, recipients
from dsar.recipients.recipients_api import shown
from kaireon.lib import clock
from kaireon.tenancy.commands import TenantCommand
from kaireon.tenancy.context import transaction


class Command(TenantCommand):
    help = "List the recipients of a tenant's data, or set one: they are told of erasures and corrections."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("action", choices=["list", "set"])
        parser.add_argument("--name", default="", help="set: which, as the subject is told it.")
        parser.add_argument("--destination", default="", help="set: of the outbox, see manage.py destination.")
        parser.add_argument(
            "--knows-by", choices=SubjectType.values, default=SubjectType.CUSTOMER_ID, help="set: by what."
        )
        parser.add_argument("--section", action="append", default=[], choices=notices.SECTIONS, metavar="SECTION")
        parser.add_argument("--off", action="store_true", help="set: told nothing more.")

    def handle_tenant(self, **options: Any) -> str:
        with transaction():
            if options["action"] == "set":
                self._set(options)
            rows = list(Recipient.objects.select_related("destination").order_by("name"))
            return json.dumps([shown(row) for row in rows], indent=2)

    def _set(self, options: dict[str, Any]) -> None:
        try:
            recipients.save(
                name=options["name"],
                destination=options["destination"],
                knows_by=options["knows_by"],
                sections=options["section"],
                enabled=not options["off"],
                now=clock.now(),
            )
        except recipients.RecipientRefused as e:
            raise CommandError(f"--{e.field.replace('_', '-')}: {e}") from e
