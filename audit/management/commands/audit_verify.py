"""Check a tenant's log, or the platform's, from the command line."""

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit import services
from audit.models import VerificationKind
from audit.tree import notes
from audit.verification import checkers, runs
from audit.verification.runs import AlreadyRunning
from audit.verification.verify import UnusableCheckpoint, Verdict, verify
from kaireon.lib.progress import Progress
from kaireon.tenancy import resolver
from kaireon.tenancy.context import PLATFORM, Actor, scope, transaction

# Intact is 0, a broken log 1.
WRONG_USE = 2


class Command(BaseCommand):
    help = (
        "Verify the audit log: every hash, link and sequence number, and the tree against the newest signed checkpoint."
        " Exits 0 when all logs are intact, 1 when one is broken, 2 when nothing can be said. An interrupted run"
        " goes on where it stopped."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--tenant", help="Id of the tenant, or _platform for the log of no tenant.")
        which.add_argument("--all", action="store_true", help="Every active tenant and the platform.")
        part = parser.add_mutually_exclusive_group()
        part.add_argument("--limit", type=int, help="Only the last N records.")
        part.add_argument(
            "--since-last",
            action="store_true",
            help="Only what came after the last verified point. What lies before was verified then; whether it was"
            " changed since is for a run over the whole log to find.",
        )
        part.add_argument("--span", metavar="FIRST-LAST", help="Only the records with these numbers.")
        parser.add_argument(
            "--checkpoint",
            type=Path,
            metavar="FILE",
            help="Hold the log against this signed checkpoint, kept outside, instead of the newest stored one.",
        )
        parser.add_argument(
            "--jobs",
            type=int,
            default=checkers.default_jobs(),
            help="Processes that read a long log; default: one for each core, up to four.",
        )
        parser.add_argument("--json", action="store_true", help="One JSON object a line.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["limit"] is not None and options["limit"] < 1:
            raise CommandError("--limit must be at least 1.", returncode=WRONG_USE)
        if not 1 <= options["jobs"] <= checkers.MOST_JOBS:
            raise CommandError(f"--jobs must be from 1 to {checkers.MOST_JOBS}.", returncode=WRONG_USE)
        if options["since_last"] and options["checkpoint"]:
            raise CommandError("--checkpoint asks for the whole log: leave out --since-last.", returncode=WRONG_USE)
        known = [*resolver.active_tenants(), PLATFORM]
        wanted = known if options["all"] else [options["tenant"]]
        if unknown := [t for t in wanted if t not in known]:
            message = f"--tenant {unknown[0]}: no such log. Known: {', '.join(known)}."
            raise CommandError(message, returncode=WRONG_USE)
        span = _span(options["span"]) if options["span"] else None
        against = _checkpoint(options["checkpoint"]) if options["checkpoint"] else None
        is_part = span is not None or options["limit"] is not None or against is not None
        intact = True
        for tenant in wanted:
            try:
                if is_part:
                    verdict = _part(tenant, options["limit"], span, against, options["jobs"])
                else:
                    verdict = _run(tenant, since_last=options["since_last"], jobs=options["jobs"])
            except UnusableCheckpoint as error:
                message = f"--checkpoint {options['checkpoint']}: {error}."
                raise CommandError(message, returncode=WRONG_USE) from error
            except AlreadyRunning as error:
                raise CommandError(f"{tenant}: {error}", returncode=WRONG_USE) from error
            self.stdout.write(_line(tenant, verdict, as_json=options["json"]))
            intact = intact and verdict.intact
        if not intact:
            sys.exit(1)


def _span(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    if not (first.isascii() and first.isdigit() and last.isascii() and last.isdigit() and 1 <= int(first) <= int(last)):
        raise CommandError(f"--span {text}: give two numbers, such as 1000-2000.", returncode=WRONG_USE)
    return int(first), int(last)


def _checkpoint(path: Path) -> notes.Note:
    try:
        return notes.Note.parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, notes.BadNote) as error:
        raise CommandError(f"--checkpoint {path}: {error}.", returncode=WRONG_USE) from error


def _run(tenant: str, *, since_last: bool, jobs: int) -> Verdict:
    """A stored run, that the next one can go on from."""
    services.drain(tenant)
    kind = VerificationKind.SINCE_LAST if since_last else VerificationKind.FULL
    with scope(tenant_id=tenant, actor=_ACTOR):
        with transaction():
            total = runs.length()
        with Progress(tenant, total=total, quiet=total < checkers.WORTH_A_PROCESS) as progress:
            row = runs.run(kind, jobs=jobs, moved=lambda done, _whole: progress.move_to(done, f"{done:,} records"))
    return runs.verdict_of(row)


def _part(
    tenant: str, limit: int | None, span: tuple[int, int] | None, against: notes.Note | None, jobs: int
) -> Verdict:
    services.drain(tenant)
    with scope(tenant_id=tenant, actor=_ACTOR), transaction():
        verdict = verify(limit=limit, span=span, against=against, jobs=jobs)
        services.record(
            action="audit_log.verify",
            entity_type="AuditLog",
            entity_id=tenant,
            changes={"intact": verdict.intact, "scanned": verdict.scanned, "window": verdict.window},
            platform=tenant == PLATFORM,
        )
    return verdict


_ACTOR = Actor.system("command:audit_verify")


def _line(tenant: str, verdict: Verdict, *, as_json: bool) -> str:
    if as_json:
        return json.dumps({"tenantId": tenant, **verdict.as_wire()})
    scope_note = " (a part of the log only)" if verdict.window else ""
    if verdict.intact:
        return f"{tenant}: intact, {verdict.verified} of {verdict.total} records verified{scope_note}"
    where = (
        f"at record {verdict.broken_at_id} (seq {verdict.broken_at_seq})" if verdict.broken_at_id else "at its start"
    )
    lost = (
        f" (that checkpoint was lost when the database was restored: restore {verdict.lost_by_restore})"
        if verdict.lost_by_restore
        else ""
    )
    return (
        f"{tenant}: BROKEN {where}: {verdict.broken_reason}{lost}; {verdict.verified} records before it"
        f" verified{scope_note}"
    )
