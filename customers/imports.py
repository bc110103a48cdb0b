"""Importing a file of customers or interactions: batch by batch, each committed with the position after it.

Stopped anywhere, it goes on from the last batch. The file is known by its contents, so a changed one starts anew; that
too stores nothing twice, because ingest recognises what it has.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from django.db import transaction as django_transaction

from customers import files, ingest, rows
from customers.models import ImportRun
from kaireon.lib import clock
from kaireon.lib.csv_safe import SafeWriter
from kaireon.tenancy.context import transaction

FIELDS = {"customers": rows.CUSTOMER, "interactions": rows.INTERACTION}
STORE: dict[str, Callable[..., ingest.Outcome]] = {
    "customers": ingest.ingest_customers,
    "interactions": ingest.ingest_interactions,
}


class RunsAlready(RuntimeError):
    """Another process imports this file now. Wait for it; this one stored nothing of its last batch."""


@dataclass(kw_only=True, slots=True)
class Report:
    """What an import did, this time and before it was stopped."""

    kind: str
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    line: int = 0
    resumed_at_line: int = 0
    already_imported: bool = False
    dry_run: bool = False


@dataclass(kw_only=True)
class FileImport:
    """One import of one file into the active tenant. `moved` is called with bytes and rows after every batch."""

    path: Path
    kind: str
    format: str
    rejects: Path
    dry_run: bool = False
    restart: bool = False
    moved: Callable[[int, int], None] = field(default=lambda position, done: None)

    def run(self) -> Report:
        """Import what is not imported yet. Opens its own transactions, one a batch.

        Raises files.UnusableFile, RunsAlready, OSError.
        """
        with self.path.open("rb") as file:
            run = self._begin(file)
            report = Report(kind=self.kind, dry_run=self.dry_run, resumed_at_line=run.line)
            if run.finished_at is not None:
                report.already_imported = True
            else:
                self._import(file, run)
        for name in ("created", "updated", "unchanged", "rejected", "line"):
            setattr(report, name, getattr(run, name))
        return report

    def _begin(self, file: BufferedReader) -> ImportRun:
        fingerprint = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
        with transaction():
            run = None
            if not self.dry_run:
                run = ImportRun.objects.filter(kind=self.kind, fingerprint=fingerprint).first()
            if run is None or self.restart:
                fresh = ImportRun(kind=self.kind, format=self.format, fingerprint=fingerprint, size=size)
                if run is not None:
                    fresh.pk = run.pk
                if not self.dry_run:
                    fresh.save(force_update=run is not None, force_insert=run is None)
                run = fresh
        return run

    def _import(self, file: BufferedReader, run: ImportRun) -> None:
        records = self._records(file, run)
        with _RejectsFile(self.rejects, keep=run.rejects_size) as rejects:
            while batch := list(islice(records, ingest.MAX_ROWS)):
                self._store(run, batch, rejects)
                self.moved(run.offset, run.created + run.updated + run.unchanged + run.rejected)
            run.finished_at = clock.now()
            if not self.dry_run:
                with transaction():
                    run.save(update_fields=["finished_at"])

    def _records(self, file: BufferedReader, run: ImportRun) -> Iterator[files.Record]:
        known = list(FIELDS[self.kind])
        return files.rows(file, self.format, known=known, end=run.offset, last_line=run.line)

    def _store(self, run: ImportRun, batch: list[files.Record], rejects: "_RejectsFile") -> None:
        with transaction():
            if not self.dry_run:
                there = ImportRun.objects.select_for_update().filter(pk=run.pk, offset=run.offset)
                if not there.exists():
                    raise RunsAlready("Another process imports this file now.")
            good = [record for record in batch if record.row is not None]
            outcome = STORE[self.kind]([self._row(run, record) for record in good], now=clock.now())
            faults = [(record.line, "", record.fault) for record in batch if record.row is None]
            faults += [(good[e.index].line, e.field, e.message) for e in outcome.errors]
            rejects.write(sorted(faults))
            run.created += outcome.created
            run.updated += outcome.updated
            run.unchanged += outcome.unchanged
            run.rejected += len({line for line, _, _ in faults})
            run.offset, run.line = batch[-1].end, batch[-1].last_line
            run.rejects_size = rejects.size
            run.updated_at = clock.now()
            if self.dry_run:
                django_transaction.set_rollback(True)
            else:
                run.save(force_update=True)

    def _row(self, run: ImportRun, record: files.Record) -> dict[str, Any]:
        row = dict(record.row or {})
        if self.kind == "interactions" and "externalId" not in row:
            # The same line of the same file is the same interaction.
            row["externalId"] = f"{run.fingerprint[:24]}:{record.line}"
        return row


class _RejectsFile:
    """Line, field and reason of what was refused, as CSV. Nothing of the rows themselves: they are in the file."""

    def __init__(self, path: Path, *, keep: int) -> None:
        self._path = path
        self.size = keep
        self._file: TextIO | None = None

    def __enter__(self) -> "_RejectsFile":
        if self.size and self._path.exists():
            # What was written after the last committed batch will be written again.
            os.truncate(self._path, self.size)
        else:
            self.size = 0
            self._path.unlink(missing_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, faults: list[tuple[int, str, str]]) -> None:
        """Write before the batch is committed: a reject may be found twice after a crash, never be missing."""
        if not faults:
            return
        if self._file is None:
            self._file = self._path.open("a", encoding="utf-8", newline="")
        writer = SafeWriter(self._file)
        if not self.size:
            writer.writerow(["line", "field", "reason"])
        writer.writerows(faults)
        self._file.flush()
        os.fsync(self._file.fileno())
        self.size = self._file.tell()
