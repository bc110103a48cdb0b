"""manage.py dispositions --tenant … [--from DAY] [--to DAY] [--format json|html|csv] [--output FILE]"""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

import audit
from compliance.models import Disposition
from compliance.purging import report
from compliance.purging.dispositions_api import FORMATS, period
from kaireon.api.errors import BadRequest
from kaireon.lib import clock
from kaireon.tenancy.commands import TenantCommand
from kaireon.tenancy.context import current, transaction


class Command(TenantCommand):
    help = "Tell what purges disposed of in a period: what, how much, under which policy and law, who approved it."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--from", dest="since", help="First day or moment, UTC; default: the beginning.")
        parser.add_argument("--to", dest="until", help="Last day or moment, UTC; default: now.")
        parser.add_argument("--format", choices=FORMATS, help="Default: a table for reading.")
        parser.add_argument("--json", action="store_true", help="The same as --format json.")
        parser.add_argument("--output", type=Path, metavar="FILE", help="Write there, not to standard output.")

    def handle_tenant(self, **options: Any) -> None:
        try:
            since, until = period(options["since"], options["until"])
        except BadRequest as error:
            raise CommandError(str(error.detail)) from error
        wanted = "json" if options["json"] else options["format"]
        with transaction():
            rows = Disposition.objects.between(since, until).by_time()
            if wanted == "csv":
                text = report.as_csv(rows)
            elif wanted == "html":
                text = report.as_html(rows, since=since, until=until, now=clock.now())
            elif wanted == "json":
                text = json.dumps([report.wire(row) for row in rows])
            else:
                text = "\n".join(_line(row) for row in rows) or "Nothing was disposed of in this period."
            audit.record(
                action=report.VERB,
                entity_type="Retention",
                entity_id=current().tenant_id,
                changes={"format": wanted or "text", "dispositions": rows.count()},
            )
        if options["output"] is None:
            self.stdout.write(text)
        else:
            # As it is: the lines of CSV end as its standard says.
            options["output"].write_text(text, encoding="utf-8", newline="")


def _line(row: Disposition) -> str:
    under = f"{row.retention_days} days, v{row.policy_version}" if row.retention_days else "its own end"
    return f"{row.last_at:%Y-%m-%d %H:%M}  {row.rows:>12,}  {row.data_class}/{row.entity}  {row.method}  {under}"
