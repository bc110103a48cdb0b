"""Prove at run time that nothing gets past the audit log."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.capture import coverage, declared


class Command(BaseCommand):
    help = (
        "Check, as the application, that every trigger and function of the audit log is what the migrations declare, "
        "on every table and partition. Exit 1 names what is missing, switched off or altered."
    )
    # Also where something is down, and without a line of other output.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="One JSON object: {intact, faults: [{part, what}]}.")

    def handle(self, *args: Any, **options: Any) -> None:
        faults = coverage.inspect(strict=True)
        if options["json"]:
            self.stdout.write(json.dumps({"intact": not faults, "faults": [fault._asdict() for fault in faults]}))
        else:
            must = declared.expected()
            triggers = sum(len(of) for of in must.triggers.values())
            self.stdout.write(f"{triggers} triggers on {len(must.triggers)} tables, {len(must.functions)} functions")
            for fault in faults:
                self.stdout.write(f"DOWN  {fault}")
        if faults:
            raise CommandError(f"{len(faults)} fault(s): changes may go unrecorded in this database.")
