"""manage.py dsar_report --tenant acme [--from DAY] [--to DAY] [--json | --csv]"""

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from dsar.reporting import telling
from dsar.reporting.figures import BadPeriod, Figures, report
from dsar.reporting.period import period
from dsar.requests import today as days
from kaireon.lib import clock
from kaireon.tenancy.commands import TenantCommand
from kaireon.tenancy.context import transaction


class Command(TenantCommand):
    help = "Say how many subject requests came in a period, how they ended, and after how many days."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--from", default="", dest="since", metavar="DAY", help="Default: 1 January of the year.")
        parser.add_argument("--to", default="", dest="until", metavar="DAY", help="The last day. Default: today.")
        shape = parser.add_mutually_exclusive_group()
        shape.add_argument("--json", action="store_true", help="Answer as the API does.")
        shape.add_argument("--csv", action="store_true", help="Answer with the table for spreadsheets.")

    def handle_tenant(self, **options: Any) -> None:
        with transaction():
            try:
                since, until = period(options["since"], options["until"], today=days.today())
                found = report(since=since, until=until, zone=days.zone(), now=clock.now())
            except BadPeriod as error:
                raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(telling.wire(found)))
            return
        if options["csv"]:
            self.stdout.write(telling.as_csv(found), ending="")
            return
        self.stdout.write(f"{since} to {until}, {found.zone}")
        for line in (found.total, *found.lines):
            self.stdout.write(f"{telling.law_of(line):<8} {telling.kind_of(line):<14} {_said(line)}")


def _said(line: Figures) -> str:
    rate = "-" if line.on_time_rate is None else f"{line.on_time_rate} %"
    median = "-" if line.median_days is None else line.median_days
    return (
        f"{line.received} received, {line.complied} complied with, {line.no_data} nothing held, {line.denied} denied,"
        f" {line.withdrawn} withdrawn, {line.duplicates} duplicates, {line.open_at_end} open;"
        f" on time {rate}, median days {median}"
    )
