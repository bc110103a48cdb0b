"""Destinations of a tenant's messages, from the command line."""

import json
import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from kaireon.lib import clock
from kaireon.outbox import destinations
from kaireon.outbox.destinations import DestinationRefused
from kaireon.outbox.models import Destination
from kaireon.tenancy.commands import TenantCommand
from kaireon.tenancy.context import transaction


class Command(TenantCommand):
    help = "List destinations, or set one. A secret is read from standard input and never shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("action", choices=["list", "set"])
        parser.add_argument("--name", default="", help="set: which.")
        parser.add_argument("--kind", default="", help=f"set: {', '.join(destinations.KINDS)}.")
        parser.add_argument("--setting", action="append", default=[], metavar="NAME=VALUE", help="set: url=https://…")
        parser.add_argument("--secret-stdin", action="store_true", help="set: read the secret from standard input.")
        parser.add_argument("--off", action="store_true", help="set: its messages wait until it is on again.")

    def handle_tenant(self, **options: Any) -> str | None:
        with transaction():
            if options["action"] == "set":
                self._set(options)
            rows = list(Destination.objects.order_by("name"))
        return json.dumps([_shown(row) for row in rows], indent=2)

    def _set(self, options: dict[str, Any]) -> None:
        given = dict(part.partition("=")[::2] for part in options["setting"])
        secret = sys.stdin.readline().rstrip("\n") if options["secret_stdin"] else None
        try:
            destinations.save(
                name=options["name"],
                kind=options["kind"],
                given=given,
                secret=secret,
                enabled=not options["off"],
                now=clock.now(),
            )
        except DestinationRefused as e:
            raise CommandError(str(e)) from e


def _shown(row: Destination) -> dict[str, Any]:
    return {
        "name": row.name,
        "kind": row.kind,
        "settings": row.settings,
        "hasSecret": row.secret_sealed is not None,
        "enabled": row.is_enabled,
    }
