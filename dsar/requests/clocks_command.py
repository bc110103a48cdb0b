"""The clock of a request from the command line: shown, extended, paused and run again; the tenant's working days."""

import json
from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandError, CommandParser

from dsar import deadlines
from dsar.deadlines import Clock, Ground
from dsar.models import DsarRequest
from dsar.requests import clocks, working_days
from dsar.requests.clocks_api import shown
from kaireon.lib import clock as wall
from kaireon.tenancy import context
from kaireon.tenancy.context import transaction

ON_REQUESTS = ("clock", "extend", "pause", "resume")
ACTIONS = (*ON_REQUESTS, "calendar")


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("--reason", default="", help="extend, pause: why. Name no customer.")
    parser.add_argument("--ground", choices=[str(ground) for ground in Ground], help="pause: what is awaited.")
    parser.add_argument("--calendar", help="calendar: a country or part of one, such as DE-BE; '' for none.")
    parser.add_argument("--roll", choices=["on", "off"], help="calendar: whether a time may not end on a free day.")
    parser.add_argument("--dry-run", action="store_true", help="Say what a change would make; change nothing.")


def run(options: dict[str, Any]) -> str:
    """What the action says. Raises CommandError with the citation where the law stands against it."""
    if options["action"] == "calendar":
        return _calendar(options)
    do: Callable[[DsarRequest, dict[str, Any]], Clock] = {
        "clock": lambda row, _: clocks.clock_of(row),
        "extend": _extend,
        "pause": _pause,
        "resume": _resume,
    }[options["action"]]
    with transaction():
        row = DsarRequest.objects.filter(pk=options["request"]).first()
        if row is None:
            raise CommandError(f"{options['request']}: this tenant has no such request.")
        try:
            times = do(row, options)
        except deadlines.ClockRefused as e:
            raise CommandError(f"{row.pk}: {e}") from e
        except clocks.RequestAnswered as e:
            raise CommandError(f"{row.pk}: this request was answered, its clock has stopped for good.") from e
    return _said(row, times, options)


def _extend(row: DsarRequest, options: dict[str, Any]) -> Clock:
    return clocks.extend_request(request=row, reason=options["reason"], **_common(options))


def _pause(row: DsarRequest, options: dict[str, Any]) -> Clock:
    if not options["ground"]:
        raise CommandError("dsar pause needs --ground.")
    return clocks.pause_request(
        request=row, ground=Ground(options["ground"]), reason=options["reason"], **_common(options)
    )


def _resume(row: DsarRequest, options: dict[str, Any]) -> Clock:
    return clocks.resume_request(request=row, **_common(options))


def _common(options: dict[str, Any]) -> dict[str, Any]:
    if len(options["reason"]) > clocks.MOST_CHARACTERS:
        raise CommandError(f"--reason has at most {clocks.MOST_CHARACTERS} characters.")
    return {"actor": context.current().actor, "now": wall.now(), "dry_run": options["dry_run"]}


def _calendar(options: dict[str, Any]) -> str:
    if options["calendar"] is None or options["roll"] is None:
        raise CommandError("dsar calendar needs --calendar and --roll.")
    try:
        with transaction():
            tenant = working_days.choose(
                calendar=options["calendar"], roll=options["roll"] == "on", dry_run=options["dry_run"]
            )
    except working_days.UnknownCalendar as e:
        raise CommandError(f"--calendar {options['calendar']}: {e}") from e
    said = {"calendar": tenant.holiday_calendar, "roll": tenant.roll_deadlines, "dryRun": options["dry_run"]}
    if options["json"]:
        return json.dumps(said, indent=2)
    roll = "on" if tenant.roll_deadlines else "off"
    text = f"calendar {tenant.holiday_calendar or 'none'}, roll {roll}, for requests filed from now on"
    return f"{text}\nNothing was changed: --dry-run." if options["dry_run"] else text


def _said(row: DsarRequest, times: Clock, options: dict[str, Any]) -> str:
    answer = {"id": str(row.pk), **shown(row, times), "dryRun": options["dry_run"]}
    if options["json"]:
        return json.dumps(answer, indent=2)
    lines = [f"{answer['id']}: answer by {answer['deadlineAt'] or '(the clock stands)'}"]
    lines += [f"  {rule.article}: {rule.effect}" for rule in times.rules]
    return "\n".join(lines + (["Nothing was changed: --dry-run."] if options["dry_run"] else []))
