"""manage.py retention_explain --tenant … --entity … --id … [--json]"""

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from compliance.explaining import explain
from compliance.explaining.api import record_id
from compliance.explaining.explanation import Explanation, words
from kaireon.api.errors import BadRequest
from kaireon.lib import clock
from kaireon.tenancy.commands import TenantCommand
from kaireon.tenancy.context import transaction


class Command(TenantCommand):
    help = "Tell what keeps one record, until when, and by which paths it can go."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--entity", required=True, help="Its wire name, as in the catalogue, or auditRecord.")
        parser.add_argument("--id", required=True, help="Our own id of the record.")
        parser.add_argument("--json", action="store_true", help="Answer in JSON.")

    def handle_tenant(self, **options: Any) -> None:
        try:
            with transaction():
                said = explain.explain(options["entity"], record_id(options["id"]), now=clock.now())
        except explain.UnknownEntity as error:
            raise CommandError(f"--entity {options['entity']}: {error}") from error
        except BadRequest as error:
            raise CommandError(f"--id {options['id']}: {error}") from error
        except explain.UnknownRecord as error:
            raise CommandError(f"--tenant {options['tenant']} has no {options['entity']} of this id.") from error
        self.stdout.write(json.dumps(said.as_dict()) if options["json"] else _text(said))


def _text(said: Explanation) -> str:
    lines = [f"{said.title} {said.id}, class {said.data_class}", said.summary]
    lines += [f"  {reason.text}" for reason in said.reasons]
    for path in said.paths:
        when = f"from {words(path.earliest)}" if path.earliest else "not while the above lasts"
        lines.append(f"{path.way}: {path.does}, {when}")
    return "\n".join(lines)
