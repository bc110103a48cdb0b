"""Check a tenant's log, or the platform's, from the command line."""

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit import notes, services
from audit.verify import UnusableCheckpoint, Verdict, verify
from kaireon.tenancy import resolver
from kaireon.tenancy.context import PLATFORM, Actor, scope, transaction


class Command(BaseCommand):
    help = "Verify the audit log: every hash, link and sequence number. Exits 1 when a log is broken."

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--tenant", help="Id of the tenant, or _platform for the log of no tenant.")
        which.add_argument("--all", action="store_true", help="Every active tenant and the platform.")
        parser.add_argument("--limit", type=int, help="Only the last N records.")
        parser.add_argument(
            "--checkpoint",
            type=Path,
            metavar="FILE",
            help="Hold the log against this signed checkpoint, kept outside, instead of the newest stored one.",
        )
        parser.add_argument("--json", action="store_true", help="One JSON object a line.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["limit"] is not None and options["limit"] < 1:
            raise CommandError("--limit must be at least 1.")
        known = [*resolver.active_tenants(), PLATFORM]
        wanted = known if options["all"] else [options["tenant"]]
        if unknown := [t for t in wanted if t not in known]:
            raise CommandError(f"--tenant {unknown[0]}: no such log. Known: {', '.join(known)}.")
        against = _checkpoint(options["checkpoint"]) if options["checkpoint"] else None
        try:
            verdicts = {tenant: _verified(tenant, options["limit"], against) for tenant in wanted}
        except UnusableCheckpoint as error:
            raise CommandError(f"--checkpoint {options['checkpoint']}: {error}.") from error
        for tenant, verdict in verdicts.items():
            self.stdout.write(_line(tenant, verdict, as_json=options["json"]))
        if not all(v.intact for v in verdicts.values()):
            sys.exit(1)


def _checkpoint(path: Path) -> notes.Note:
    try:
        return notes.Note.parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, notes.BadNote) as error:
        raise CommandError(f"--checkpoint {path}: {error}.") from error


def _verified(tenant: str, limit: int | None, against: notes.Note | None) -> Verdict:
    services.drain(tenant)
    with scope(tenant_id=tenant, actor=Actor.system("command:audit_verify")), transaction():
        verdict = verify(limit=limit, against=against)
        services.record(
            action="audit_log.verify",
            entity_type="AuditLog",
            entity_id=tenant,
            changes={"intact": verdict.intact, "scanned": verdict.scanned, "window": verdict.window},
            platform=tenant == PLATFORM,
        )
    return verdict


def _line(tenant: str, verdict: Verdict, *, as_json: bool) -> str:
    if as_json:
        return json.dumps({"tenantId": tenant, **verdict.as_wire()})
    scope_note = " (last records only)" if verdict.window else ""
    if verdict.intact:
        return f"{tenant}: intact, {verdict.verified} of {verdict.total} records verified{scope_note}"
    where = (
        f"at record {verdict.broken_at_id} (seq {verdict.broken_at_seq})" if verdict.broken_at_id else "at its start"
    )
    return (
        f"{tenant}: BROKEN {where}: {verdict.broken_reason}; {verdict.verified} records before it verified{scope_note}"
    )
