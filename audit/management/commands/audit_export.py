"""The log as a file, however large: evidence for an auditor, records line by line, or a table."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Any, TypeVar

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit import reading, services
from audit.api import moment
from audit.chain import record_bytes
from audit.exports import bundle, copying, files, jobs
from audit.pruning import beginning
from audit.tree import checkpoints
from kaireon.api.errors import BadRequest
from kaireon.lib import clock
from kaireon.lib.progress import Progress
from kaireon.tenancy import resolver
from kaireon.tenancy.context import PLATFORM, Actor, scope, transaction

FORMATS = ("bundle", "ndjson", "csv")
_EVERY = 1000

Wrote = TypeVar("Wrote")


class Command(BaseCommand):
    help = (
        "Export a log, or its records between two moments. bundle: a zip with proofs and the program that checks them;"
        " ndjson: one canonical record a line, as it is hashed; csv: a table. With --stream PostgreSQL writes ndjson"
        " and csv itself, many times faster: the same values, JSON keys in its own order, and a manifest beside the"
        " file. The file appears when it is complete."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", required=True, help="Id of the tenant, or _platform for the log of no tenant.")
        parser.add_argument("--format", choices=FORMATS, help="Default: bundle; with --stream, ndjson.")
        parser.add_argument(
            "--output", type=Path, required=True, metavar="FILE", help="A file that does not exist yet."
        )
        parser.add_argument("--from", dest="since", metavar="MOMENT", help="ISO 8601 with a zone, or a date (UTC).")
        parser.add_argument("--to", dest="until", metavar="MOMENT", help="The same; inclusive.")
        parser.add_argument("--stream", action="store_true", help="Let PostgreSQL write it: ndjson (default) or csv.")
        parser.add_argument("--json", action="store_true", help="Say what was written as one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        tenant, output = options["tenant"], options["output"]
        known = [*resolver.active_tenants(), PLATFORM]
        if tenant not in known:
            raise CommandError(f"--tenant {tenant}: no such log. Known: {', '.join(known)}.")
        if output.exists():
            raise CommandError(f"--output {output} exists: name another file.")
        since, until = _moment(options["since"], "--from"), _moment(options["until"], "--to")
        format_ = options["format"] or ("ndjson" if options["stream"] else "bundle")
        if options["stream"]:
            if format_ not in copying.FORMATS:
                raise CommandError(f"--stream writes {' or '.join(copying.FORMATS)}: leave it out for a bundle.")
            self._stream(tenant, output, format_, (since, until), options)
            return
        services.drain(tenant)
        if format_ == "bundle":
            _checkpoint(tenant)
        with scope(tenant_id=tenant, actor=Actor.system("command:audit_export")), transaction():
            try:
                beginning.require_kept(tenant, since)
                wanted = bundle.range_of(since=since, until=until)
            except beginning.BeganEarlier as error:
                raise CommandError(f"--from {error}") from error
            except bundle.NothingToBundle as error:
                raise CommandError(f"{tenant}: {error}.") from error
            with Progress(output.name, total=wanted.records, quiet=options["verbosity"] < 1) as progress:
                _whole_file(output, lambda file: WRITERS[format_](file, tenant, wanted, progress))
            said = {"tenantId": tenant, "format": format_, "firstSeq": wanted.first, "lastSeq": wanted.last}
            said["records"] = wanted.records
            _recorded(tenant, said)
        if options["json"]:
            self.stdout.write(json.dumps({**said, "file": str(output), "bytes": output.stat().st_size}))
        else:
            self.stdout.write(
                f"{output}: records {wanted.first} to {wanted.last} of {tenant}, {wanted.records} in all."
            )

    def _stream(
        self,
        tenant: str,
        output: Path,
        format_: str,
        between: tuple[datetime | None, datetime | None],
        options: dict[str, Any],
    ) -> None:
        described = output.with_name(f"{output.name}.manifest.json")
        if described.exists():
            raise CommandError(f"{described} exists: name another file.")
        services.drain(tenant)
        _checkpoint(tenant)
        with scope(tenant_id=tenant, actor=Actor.system("command:audit_export")):
            with transaction():
                try:
                    beginning.require_kept(tenant, between[0])
                except beginning.BeganEarlier as error:
                    raise CommandError(f"--from {error}") from error
                checkpoint = checkpoints.newest(tenant)
                wanted = jobs.selection(since=between[0], until=between[1])
            if not wanted.last:
                raise CommandError(f"{tenant}: no record lies between these moments.")
            total = wanted.last - wanted.first + 1
            with Progress(output.name, total=total, quiet=options["verbosity"] < 1) as progress:

                def moved(seq: int) -> None:
                    done = seq - wanted.first + 1
                    progress.move_to(done, f"{done:,} records")

                try:
                    written = _whole_file(output, lambda file: copying.write(file, wanted, format_, moved=moved))
                except copying.RecordsMissing as error:
                    raise CommandError(f"{tenant}: {error}. Run audit_verify.") from error
            manifest = jobs.manifest(wanted, written, format_=format_, checkpoint=checkpoint, now=clock.now())
            described.write_text(json.dumps(manifest, indent=1) + "\n")
            names = ("firstSeq", "lastSeq", "records", "bytes", "sha256")
            with transaction():
                _recorded(tenant, {"format": format_, **{name: manifest[name] for name in names}})
        if options["json"]:
            self.stdout.write(json.dumps({**manifest, "file": str(output), "manifest": str(described)}))
        else:
            self.stdout.write(f"{output}: {written.records} records of {tenant}, SHA-256 {written.sha256}.")


def _recorded(tenant: str, said: dict[str, Any]) -> None:
    services.record(
        action="audit_log.export",
        entity_type="AuditLog",
        entity_id=tenant,
        changes={name: value for name, value in said.items() if name != "tenantId"},
        platform=tenant == PLATFORM,
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


def _whole_file(output: Path, write: Callable[[IO[bytes]], Wrote]) -> Wrote:
    """All of it or nothing: whatever fails leaves no file that looks complete. Gives what `write` gave."""
    with tempfile.NamedTemporaryFile(dir=output.parent, prefix=f".{output.name}.", delete=False) as file:
        partial = Path(file.name)
        try:
            wrote = write(file)
            file.flush()
            os.fsync(file.fileno())
            # Never over a file that came into being meanwhile.
            os.link(partial, output)
        finally:
            partial.unlink()
    return wrote


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
    for line in files.as_csv(_records(tenant, wanted, progress)):
        file.write(line.encode())


def _as_bundle(file: IO[bytes], tenant: str, wanted: bundle.Range, progress: Progress) -> None:
    bundle.write(file, wanted, moved=lambda number: progress.move_to(number, f"{number:,} records"))


WRITERS: dict[str, Callable[[IO[bytes], str, bundle.Range, Progress], None]] = {
    "bundle": _as_bundle,
    "ndjson": _as_ndjson,
    "csv": _as_csv,
}
