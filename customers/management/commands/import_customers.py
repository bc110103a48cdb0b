"""`manage.py import_customers FILE --tenant acme --format csv`: customers or their interactions from a file."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import InterfaceError, OperationalError

from customers import files, imports
from customers.catalogue import camel
from customers.imports import FileImport, Report
from kaireon.lib.progress import Progress
from kaireon.tenancy.commands import TenantCommand

INTERRUPTED = 130


class Command(TenantCommand):
    help = "Import customers or interactions from a CSV or NDJSON file. Stopped, it goes on where it was."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("--format", choices=["csv", "ndjson"], required=True)
        parser.add_argument("--kind", choices=list(imports.FIELDS), default="customers")
        parser.add_argument("--rejects", type=Path, help="Where refused lines are listed; default FILE.rejects.csv.")
        parser.add_argument("--dry-run", action="store_true", help="Check every line and store nothing.")
        parser.add_argument("--restart", action="store_true", help="Begin at the first line, whatever was done before.")
        parser.add_argument("--json", action="store_true", help="Answer with one JSON object.")

    def handle_tenant(self, **options: Any) -> None:
        path: Path = options["file"]
        rejects: Path = options["rejects"] or path.with_name(f"{path.name}.rejects.csv")
        try:
            if rejects.resolve() == path.resolve():
                raise CommandError("--rejects must not be the file itself.")
            size = path.stat().st_size
            with Progress(path.name, total=size, quiet=options["verbosity"] < 1) as progress:
                report = FileImport(
                    path=path,
                    kind=options["kind"],
                    format=options["format"],
                    rejects=rejects,
                    dry_run=options["dry_run"],
                    restart=options["restart"],
                    moved=lambda position, done: progress.move_to(position, f"{done:,} rows"),
                ).run()
        except OSError as e:
            raise CommandError(f"{e.filename or path}: {e.strerror or type(e).__name__}.") from e
        except files.UnusableFile as e:
            raise CommandError(f"{path}: {e}") from e
        except imports.RunsAlready as e:
            raise CommandError(f"{path}: {e} Wait for it to end.") from e
        except (OperationalError, InterfaceError) as e:
            raise CommandError("The database went away. Whole batches are stored; run the command again.") from e
        except KeyboardInterrupt:
            self.stderr.write("Stopped. Whole batches are stored; the same command goes on from there.")
            raise SystemExit(INTERRUPTED) from None
        self._tell(report, rejects if report.rejected else None, as_json=options["json"])

    def _tell(self, report: Report, rejects: Path | None, *, as_json: bool) -> None:
        if as_json:
            said = {**asdict(report), "rejects": str(rejects) if rejects else None}
            self.stdout.write(json.dumps({camel(name): value for name, value in said.items()}))
            return
        if report.already_imported:
            self.stdout.write("This file was imported before; --restart does it again.")
        elif report.resumed_at_line:
            self.stdout.write(f"Went on after line {report.resumed_at_line:,}.")
        self.stdout.write(
            f"{'Would be: ' if report.dry_run else ''}{report.created:,} created, {report.updated:,} updated, "
            f"{report.unchanged:,} unchanged, {report.rejected:,} rejected."
        )
        if rejects:
            self.stdout.write(f"Rejected lines and why: {rejects}")
