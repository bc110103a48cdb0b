"""manage.py dsar_demand --tenant acme [--demand NAME …] [--waive NAME …]"""

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from dsar.models import Demanded
from dsar.requests import demands
from kaireon.lib import clock
from kaireon.tenancy.commands import TenantCommand
from kaireon.tenancy.context import transaction


class Command(TenantCommand):
    help = "Show what a tenant demands of its subject requests, and change it."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        for option, words in (("--demand", "From now on."), ("--waive", "No longer; what waits already waits on.")):
            parser.add_argument(option, nargs="+", default=[], choices=Demanded.values, metavar="NAME", help=words)
        parser.add_argument("--json", action="store_true", help="Answer in JSON.")

    def handle_tenant(self, **options: Any) -> None:
        if both := set(options["demand"]) & set(options["waive"]):
            raise CommandError(f"Demanded and waived at once: {', '.join(sorted(both))}.")
        with transaction():
            for names, demanded in ((options["demand"], True), (options["waive"], False)):
                for name in names:
                    demands.demand(name, demanded=demanded, now=clock.now())
            state = {name: demands.is_demanded(name) for name in Demanded.values}
        if options["json"]:
            self.stdout.write(json.dumps(state))
            return
        for demanded_thing in Demanded:
            self.stdout.write(
                f"{demanded_thing.value:<10} {'demanded' if state[demanded_thing] else '-':<10} {demanded_thing.label}"
            )
