"""After a restore: what the database forgot, and doing the erasures of that time again."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.restoring import gate
from audit.restoring.published import NotTheLogs
from audit.tree import notes
from dsar.journal.entries import JournalBroken
from dsar.restoring import check
from dsar.restoring.check import Done, Findings
from kaireon.api.written_once import WrittenOtherwise
from kaireon.lib.sealing import CannotOpen
from kaireon.tenancy import resolver
from kaireon.tenancy.context import PLATFORM

LEFT = 1
CANNOT_TELL = 2
DOES_NOT_HOLD = 3
MOST_OF_A_REASON = 500


class Command(BaseCommand):
    help = (
        "Compare the database with what left it: published checkpoints and the journal of erasures. Where it is older,"
        " say in the log what is lost, do the erasures since again, and write a signed report; then the product serves"
        " again. Exits 0 when nothing is left to do, 1 when something is (always after --dry-run that found something),"
        " 2 when nothing can be said (storage is away, wrong use), 3 when the journal or a published checkpoint does"
        " not hold: nothing was changed then. Stopped anywhere, it goes on when it is run again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only say what there is; change nothing.")
        parser.add_argument("--reason", default="", help="Why the database was restored; it stands in log and report.")
        parser.add_argument(
            "--trust-key",
            action="append",
            default=[],
            metavar="KEY",
            help="A verifier key that signed checkpoints which were lost, when the log's key was changed meanwhile.",
        )
        parser.add_argument(
            "--holds-are-back",
            action="store_true",
            help="Every hold that was placed since the backup is placed again: erasures that left what was held may be"
            " done again.",
        )
        parser.add_argument("--json", action="store_true", help="One JSON object a line for each log.")

    def handle(self, *args: Any, **options: Any) -> None:
        trusted = [_key(text) for text in options["trust_key"]]
        logs = [*resolver.active_tenants(), PLATFORM]
        try:
            # All of them are read and checked before anything is changed in one.
            findings = [check.find(tenant, trusted=trusted) for tenant in logs]
            if options["dry_run"]:
                self._say_findings(findings, as_json=options["json"])
                sys.exit(LEFT if any(found.has_work for found in findings) else 0)
            to_do = [found for found in findings if found.has_work]
            if to_do:
                _check_reason(options["reason"])
            if not options["holds_are_back"]:
                _refuse_kept(to_do)
            done = [check.do(found, reason=options["reason"], quiet=options["json"]) for found in to_do]
            older = gate.compare()
        except (JournalBroken, NotTheLogs, WrittenOtherwise) as error:
            message = f"{error}. Nothing was changed after this was found: docs/operations.md, After a restore."
            raise CommandError(message, returncode=DOES_NOT_HOLD) from error
        except CannotOpen as error:
            message = f"A key is missing from SEALING_KEYS ({error}): put it back."
            raise CommandError(message, returncode=CANNOT_TELL) from error
        except gate.AWAY as error:
            message = f"The storage cannot be read or written ({type(error).__name__}): nothing can be said."
            raise CommandError(message, returncode=CANNOT_TELL) from error
        self._say_done(findings, done, as_json=options["json"])
        if older or not all(one.is_done for one in done):
            sys.exit(LEFT)

    def _say_findings(self, findings: list[Findings], *, as_json: bool) -> None:
        for found in findings:
            self.stdout.write(json.dumps(found.as_wire()) if as_json else _line(found))

    def _say_done(self, findings: list[Findings], done: list[Done], *, as_json: bool) -> None:
        by_log = {one.findings.tenant_id: one for one in done}
        for found in findings:
            one = by_log.get(found.tenant_id)
            if as_json:
                self.stdout.write(json.dumps((one or Done(found)).as_wire()))
                continue
            self.stdout.write(_line(found))
            for replayed in one.replayed if one else ():
                for again in replayed.requests:
                    self.stdout.write(
                        f"  entry {replayed.number}: erased again by request {again['requestId']}, {again['state']}"
                    )
                if not replayed.requests:
                    self.stdout.write(f"  entry {replayed.number}: nobody of it is here")
            if one:
                self.stdout.write(f"  report: {one.report_name}")
        if not done:
            self.stdout.write("Nothing to do: the database has all that was published of it.")


def _line(found: Findings) -> str:
    if not found.has_work:
        return f"{found.tenant_id}: up to date"
    parts = []
    if found.lost:
        parts.append(
            f"older: {found.lost.size} records were published, the newest checkpoint here has {found.kept_size}"
        )
    if found.entries:
        parts.append(f"{len(found.entries)} erasures forgotten")
    if found.kept:
        parts.append(f"what a hold kept of entries {', '.join(map(str, found.kept))} needs that hold again")
    if found.waiting:
        parts.append(f"{found.waiting} erasures to go on with")
    return f"{found.tenant_id}: {', '.join(parts)}"


def _refuse_kept(findings: list[Findings]) -> None:
    told = [f"{one.tenant_id}: {', '.join(map(str, one.kept))}" for one in findings if one.kept]
    if told:
        raise CommandError(
            f"Erasures left rows under a hold (entries of {'; '.join(told)}), and a hold that was placed since the"
            " backup is not in this database. Place those holds again (manage.py hold), so that nothing held is erased;"
            " then give --holds-are-back. Nothing was changed.",
            returncode=LEFT,
        )


def _key(text: str) -> notes.PublicKey:
    try:
        return notes.PublicKey.parse(text)
    except notes.BadKey as error:
        raise CommandError(f"--trust-key: {error}.", returncode=CANNOT_TELL) from error


def _check_reason(reason: str) -> None:
    if not 1 <= len(reason.strip()) <= MOST_OF_A_REASON or not reason.isprintable():
        raise CommandError(
            "--reason: say why the database was restored, in 1 to 500 printable characters.", returncode=CANNOT_TELL
        )
