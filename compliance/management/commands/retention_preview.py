"""manage.py retention_preview --tenant … --data-class … --days …"""

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from compliance.purging.preview import Loss, Preview, preview
from compliance.retention import refusals
from kaireon.lib import clock
from kaireon.tenancy.commands import TenantCommand
from kaireon.tenancy.context import transaction


class Command(TenantCommand):
    help = "Show what another period of a class would delete, and from when. Nothing is decided, and nothing goes."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--data-class", required=True, help="The data class.")
        parser.add_argument("--days", type=int, required=True, help="How long it would be kept.")
        parser.add_argument("--anchor", help="What it would count from: clock, or a column of the class's rows.")
        parser.add_argument("--json", action="store_true", help="Answer in JSON.")

    def handle_tenant(self, **options: Any) -> None:
        try:
            with transaction():
                found = preview(
                    data_class=options["data_class"],
                    retention_days=options["days"],
                    anchor=options["anchor"],
                    now=clock.now(),
                )
        except refusals.UnknownDataClass as error:
            raise CommandError(f"--data-class {options['data_class']}: {error}") from error
        except refusals.UnknownAnchor as error:
            raise CommandError(f"--anchor {options['anchor']}: {error}") from error
        except (refusals.DaysOutOfRange, refusals.BelowFloor, refusals.MayOnlyLengthen) as error:
            raise CommandError(f"--days {options['days']}: {error}") from error
        if options["json"]:
            self.stdout.write(json.dumps(found.as_dict()))
            return
        self.stdout.write("\n".join([*_lines(found), *map(_line, found.losses)]))


def _lines(found: Preview) -> list[str]:
    now = "is kept without a policy" if found.days_now is None else f"is kept {found.days_now:,} days"
    lines = [
        f"{found.data_class} {now}; it would be kept {found.days:,} days from {clock.rfc3339(found.counts_from)} on.",
        f"{found.rows:,} rows would go that stay today, {found.anyway:,} of them without the change too;"
        f" {found.held:,} are held and stay.",
    ]
    if found.floor is not None:
        lines.append(f"At least {found.floor.days:,} days: {found.floor.citation}.")
    if found.floor_later is not None and found.floor_later.starts:
        later = found.floor_later
        lines.append(f"From {later.starts:%Y-%m-%d} on at least {later.days:,} days: {later.citation}.")
    if found.needs_second_person:
        lines.append("It takes a reason and a second person.")
    return lines


def _line(loss: Loss) -> str:
    span = f"  {loss.clock} {loss.oldest:%Y-%m-%d} to {loss.newest:%Y-%m-%d}" if loss.oldest and loss.newest else ""
    held = f"  {loss.held:,} held" if loss.held else ""
    return f"{loss.rows:>12,}  {loss.entity}{span}{held}"
