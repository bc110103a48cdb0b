"""The log as a file, however large: evidence for an auditor, records line by line, or a table."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit import bundle, checkpoints, export, reading, services
from audit.api import moment
from audit.chain import record_bytes
from kaireon.api.errors import BadRequest
from kaireon.lib.progress import Progress
from kaireon.tenancy import resolver
from kaireon.tenancy.context import PLATFORM, Actor, scope, transaction

FORMATS = ("bundle", "ndjson", "csv")
_EVERY = 1000


class Command(BaseCommand):
    help = (
        "Export a log, or its records between two moments. bundle: a zip with proofs and the program that checks them;"
        " ndjson: one canonical record a line, as it is hashed; csv: a table. The file appears when it is complete."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", required=True, help="Id of the tenant, or _platform for the log of no tenant.")
        parser.add_argument("--format", choices=FORMATS, default="bundle", help="Default: bundle.")
        parser.add_argument(
            "--output", type=Path, required=True, metavar="FILE", help="A file that does not exist yet."
        )
        parser.add_argument("--from", dest="since", metavar="MOMENT", help="ISO 8601 with a zone, or a date (UTC).")
        parser.add_argument("--to", dest="until", metavar="MOMENT", help="The same; inclusive.")
        parser.add_argument("--json", action="store_true", help="Say what was written as one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        tenant, output = options["tenant"], options["output"]
        known = [*resolver.active_tenants(), PLATFORM]
        if tenant not in known:
            raise CommandError(f"--tenant {tenant}: no such log. Known: {', '.join(known)}.")
        if output.exists():
            raise CommandError(f"--output {output} exists: name another file.")
        since, until = _moment(options["since"], "--from"), _moment(options["until"], "--to")
        services.drain(tenant)
        if options["format"] == "bundle":
            _checkpoint(tenant)
        with scope(tenant_id=tenant, actor=Actor.system("command:audit_export")), transaction():
            try:
                wanted = bundle.range_of(since=since, until=until)
            except bundle.NothingToBundle as error:
                raise CommandError(f"{tenant}: {error}.") from error
            with Progress(output.name, total=wanted.records, quiet=options["verbosity"] < 1) as progress:
                _whole_file(output, lambda file: WRITERS[options["format"]](file, tenant, wanted, progress))
            said = {"tenantId": tenant, "format": options["format"], "firstSeq": wanted.first, "lastSeq": wanted.last}
            said["records"] = wanted.records
            services.record(
                action="audit_log.export",
                entity_type="AuditLog",
                entity_id=tenant,
                changes={name: value for name, value in said.items() if name != "tenantId"},
                platform=tenant == PLATFORM,
            )
        if options["json"]:
            self.stdout.write(json.dumps({**said, "file": str(output), "bytes": output.stat().st_size}))
        else:
            self.stdout.write(
                f"{output}: records {wanted.first} to {wanted.last} of {tenant}, {wanted.records} in all."
            )


def _moment(text: str | None, name: str) -> datetime | None:
    try:
        return moment(text, name)
    except BadRequest as error:
        raise CommandError(str(error.detail)) from error


def _checkpoint(tenant: str) -> None:
    try:
        while checkpoints.make(tenant):
            pass
    except checkpoints.LogContradictsCheckpoint as error:
        raise CommandError(f"{tenant}: {error}. Run audit_verify.") from error


def _whole_file(output: Path, write: Callable[[IO[bytes]], object]) -> None:
    """All of it or nothing: whatever fails leaves no file that looks complete."""
    with tempfile.NamedTemporaryFile(dir=output.parent, prefix=f".{output.name}.", delete=False) as file:
        partial = Path(file.name)
        try:
            write(file)
            file.flush()
            os.fsync(file.fileno())
            # Never over a file that came into being meanwhile.
            os.link(partial, output)
        finally:
            partial.unlink()


def _records(tenant: str, wanted: bundle.Range, progress: Progress) -> Iterator[dict[str, Any]]:
    for number, record in enumerate(reading.records(tenant, after=wanted.first - 1, until=wanted.last), 1):
        del record["leafHash"]
        yield record
        if number % _EVERY == 0:
            progress.move_to(number, f"{number:,} records")


def _as_ndjson(file: IO[bytes], tenant: str, wanted: bundle.Range, progress: Progress) -> None:
    for record in _records(tenant, wanted, progress):
        file.write(record_bytes(record) + b"\n")


def _as_csv(file: IO[bytes], tenant: str, wanted: bundle.Range, progress: Progress) -> None:
    for line in export.as_csv(_records(tenant, wanted, progress)):
        file.write(line.encode())


def _as_bundle(file: IO[bytes], tenant: str, wanted: bundle.Range, progress: Progress) -> None:
    bundle.write(file, wanted, moved=lambda number: progress.move_to(number, f"{number:,} records"))


WRITERS: dict[str, Callable[[IO[bytes], str, bundle.Range, Progress], None]] = {
    "bundle": _as_bundle,
    "ndjson": _as_ndjson,
    "csv": _as_csv,
}
