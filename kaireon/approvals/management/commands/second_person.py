"""manage.py second_person --tenant acme [--demand VERB …] [--waive VERB …]"""

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from kaireon.approvals import registry, services
from kaireon.lib import clock
from kaireon.tenancy.commands import TenantCommand
from kaireon.tenancy.context import transaction


class Command(TenantCommand):
    help = "Show for which verbs a tenant demands a second person, and change it."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        names = [verb.name for verb in _optional()]
        parser.add_argument("--demand", nargs="+", default=[], choices=names, metavar="VERB", help="From now on.")
        parser.add_argument("--waive", nargs="+", default=[], choices=names, metavar="VERB", help="No longer.")
        parser.add_argument("--json", action="store_true", help="Answer in JSON.")

    def handle_tenant(self, **options: Any) -> None:
        if both := set(options["demand"]) & set(options["waive"]):
            raise CommandError(f"Demanded and waived at once: {', '.join(sorted(both))}.")
        with transaction():
            for names, demanded in ((options["demand"], True), (options["waive"], False)):
                for name in names:
                    services.demand_second_person(name, demanded=demanded, now=clock.now())
            state = {verb.name: services.needs_second_person(verb.name) for verb in _optional()}
        if options["json"]:
            self.stdout.write(json.dumps(state))
            return
        for verb in registry.all_verbs():
            who = "always two" if verb.always else "a second person" if state[verb.name] else "one person"
            self.stdout.write(f"{verb.name:<28} {who:<16} {verb.title}")


def _optional() -> list[registry.Verb]:
    """Those that a tenant decides about."""
    return [verb for verb in registry.all_verbs() if not verb.always]
