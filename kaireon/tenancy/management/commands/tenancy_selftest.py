"""Prove at run time that tenants are kept apart."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from kaireon.tenancy import walls


class Command(BaseCommand):
    help = (
        "Check, as the roles the product connects as, that the database keeps tenants apart: roles, grants, policies, "
        "references, functions, and a try at each hole (rolled back). Exit 1 names what is wrong."
    )
    # Also where the walls are down, and without a line of other output.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="One JSON object: {standing, walls: [{name, faults}]}.")

    def handle(self, *args: Any, **options: Any) -> None:
        found = walls.inspect()
        faults = sum(len(wall.faults) for wall in found)
        if options["json"]:
            answer = {"standing": not faults, "walls": [{"name": w.name, "faults": w.faults} for w in found]}
            self.stdout.write(json.dumps(answer))
        else:
            for wall in found:
                self.stdout.write(f"{'ok  ' if wall.stands else 'DOWN'}  {wall.name}")
                for fault in wall.faults:
                    self.stdout.write(f"      {fault}")
        if faults:
            raise CommandError(f"{faults} fault(s): tenants are not kept apart in this database.")
