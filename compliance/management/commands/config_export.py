"""manage.py config_export --tenant … | --platform: what can be declared in a file, as it is now."""

from typing import Any

from django.core.management.base import CommandParser

from compliance.drift import applying, files
from compliance.drift.commands import ConfigCommand
from kaireon.lib import clock
from kaireon.tenancy.context import transaction


class Command(ConfigCommand):
    help = "Print what can be declared for a tenant, or for the platform, as it is now: a file for CONFIG_DIR."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--json", action="store_true", help="Answer in JSON.")

    def handle_scope(self, *, of_tenant: bool, **options: Any) -> None:
        with transaction():
            found = applying.export(of_tenant=of_tenant, now=clock.now())
        self.stdout.write(files.as_json(found) if options["json"] else files.written(found), ending="")
