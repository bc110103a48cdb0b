"""Proof that a SIEM has every record of a range, and repair of what it lost."""

import json
from typing import Any, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from audit import services
from audit.api import moment
from audit.following import cursors
from audit.shipping import destinations, reconciling
from audit.shipping.destinations import OPERATOR, NotConfigured, UnknownSiem
from audit.shipping.findings import Interrupted, Reconciled
from audit.shipping.formats import NotSearchable
from kaireon.api.errors import BadRequest
from kaireon.tenancy import resolver, signals
from kaireon.tenancy.context import PLATFORM, Actor, scope, transaction

_RANGE = """
SELECT min(seq), max(seq) FROM public.audit_record
 WHERE tenant_id = %s AND (%s::timestamptz IS NULL OR "timestamp" >= %s)
   AND (%s::timestamptz IS NULL OR "timestamp" <= %s)
"""


class Command(BaseCommand):
    help = (
        "Look up in a SIEM every record of a log's range, and ship again what is missing. Ends with 1 when something is"
        " missing and could not be repaired, or differs from the log. Splunk needs SIEM_SEARCH_ENDPOINT (its management"
        " port) and SIEM_SEARCH_KEY, Datadog SIEM_SEARCH_ENDPOINT (its API) and SIEM_SEARCH_KEY (an application key)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", required=True, help="Id of the tenant, or _platform for the log of no tenant.")
        parser.add_argument(
            "--from",
            dest="first",
            default="",
            metavar="FROM",
            help="A record's number, or ISO 8601; default: the first.",
        )
        parser.add_argument(
            "--to",
            dest="last",
            default="",
            metavar="TO",
            help="The same, inclusive; default: the last that was shipped.",
        )
        parser.add_argument("--destination", default=OPERATOR, help=f"Its name. Default: {OPERATOR}.")
        parser.add_argument("--dry-run", action="store_true", help="Look, and ship nothing.")
        parser.add_argument("--json", action="store_true", help="Say what was found as one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        tenant = options["tenant"]
        known = [*resolver.active_tenants(), PLATFORM]
        if tenant not in known:
            raise CommandError(f"--tenant {tenant}: no such log. Known: {', '.join(known)}.")
        services.drain(tenant)
        with scope(tenant_id=tenant, actor=Actor.system("command:siem_reconcile")):
            signals.command_started.send(sender=type(self), name="siem_reconcile", dry_run=options["dry_run"])
            found = self._reconciled(tenant, options)
        self.stdout.write(json.dumps({"tenantId": tenant, **found.json()}) if options["json"] else _in_words(found))
        if not found.is_whole:
            raise CommandError("The destination does not have what the log has.", returncode=1)

    def _reconciled(self, tenant: str, options: dict[str, Any]) -> Reconciled:
        try:
            with transaction():
                target = destinations.find(options["destination"])
                first, last = _range(tenant, options["first"], options["last"])
            found = reconciling.reconcile(target, first=first, last=last, dry_run=options["dry_run"])
        except (UnknownSiem, NotConfigured) as error:
            raise CommandError(f"--destination: {error}") from error
        except NotSearchable as error:
            raise CommandError(str(error)) from error
        except Interrupted as error:
            if error.found.last >= error.found.first:
                self.stderr.write(_in_words(error.found))
            reached = max(error.found.last + 1, error.found.first)
            raise CommandError(
                f"The destination could not be asked: {error.code}. Try again; --from {reached} goes on from there."
            ) from error
        with transaction():
            services.record(
                action="siem.reconciled",
                entity_type="SiemDestination",
                entity_id=target.key,
                entity_name=target.name,
                changes={
                    **{name: value for name, value in found.json().items() if not isinstance(value, list)},
                    "dryRun": options["dry_run"],
                },
                platform=tenant == PLATFORM,
            )
        return found


def _range(tenant: str, first: str, last: str) -> tuple[int, int]:
    """Numbers of records; of moments, the numbers between them."""
    given_first, given_last = _number(first), _number(last)
    try:
        since = moment(first, "--from") if first and given_first is None else None
        until = moment(last, "--to") if last and given_last is None else None
    except BadRequest as error:
        raise CommandError(str(error.detail)) from error
    with connection.cursor() as cursor:
        cursor.execute(_RANGE, [tenant, since, since, until, until])
        low, high = cast(tuple[int | None, int | None], cursor.fetchone())
    if low is None or high is None:
        return 1, 0
    # Of what came before, only whether it was ever shipped can be said.
    start = (1 if since is None else low) if given_first is None else max(1, given_first)
    end = high if given_last is None else given_last
    if start > end:
        raise CommandError("--from lies behind --to.")
    return start, min(end, cursors.head())


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 and "-" not in text else None


def _in_words(found: Reconciled) -> str:
    if found.last < found.first:
        return "No record of this range was shipped yet."
    lines = [
        f"Records {found.first} to {found.last}: {found.expected}, of which {found.found} were there,"
        f" and {found.receipts} receipts, of which {found.receipts - len(found.receipts_missing)} were."
    ]
    for title, seqs in (
        ("Missing", found.missing),
        ("Other than in the log", found.different),
        ("Refused again", found.refused),
        ("Still missing", found.still_missing),
        ("Receipts that do not hold", found.receipts_wrong),
    ):
        if seqs:
            more = f" and {len(seqs) - 20} more" if len(seqs) > 20 else ""
            lines.append(f"{title}: {', '.join(map(str, seqs[:20]))}{more}.")
    if found.lost:
        ranges = ", ".join(f"{first} to {last}" for first, last in found.lost[:20])
        lines.append(f"Removed by retention before they were shipped: {ranges}.")
    if found.copies:
        lines.append(f"There more than once: {found.copies} copies.")
    if found.unknown:
        lines.append(f"There, and never in the log: {len(found.unknown)} events.")
    if found.reshipped:
        lines.append(f"Shipped again: {found.reshipped}.")
    lines.append("The destination has it all." if found.is_whole else "The destination does not have it all.")
    return "\n".join(lines)
