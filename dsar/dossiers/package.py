"""The package of a dossier as a zip, made while it is sent: nothing of it is kept, in clear or otherwise.

    index.html, pages/…    to read, from disk
    dossier.json           the portable dossier, byte for byte; schema.json describes it
    csv/{section}.csv      to open with a spreadsheet
    portable/dossier.json  what the person provided, to take along (Article 20 GDPR); where the whole is that, left out
    attachments/{id}/…     the files themselves, as storage has them by then
    manifest.json          SHA-256 and size of every other file, and which attachments are gone since

It goes through the sealed dossier once for each of the four, so that memory does not grow with the rows: to open it
again costs less than to keep a second sealed copy, which an erasure would have to find too.
"""

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from hashlib import sha256
from itertools import groupby
from operator import itemgetter
from typing import Any

import orjson

from customers.particulars import PROVIDED
from dsar.dossiers import files, keeping, pages, reading, schema
from dsar.dossiers.cover import Cover
from dsar.models import Dossier
from kaireon.lib.canonical import canonical
from kaireon.lib.csv_safe import neutral_row
from kaireon.tenancy import context

FORMAT = "kaireon-dossier-1"
_BLOCK_BYTES = 64 * 1024
# Of what is many times as large as it needs to be; more takes twice the time for a tenth.
_LEVEL = 3


def stream(dossier: Dossier, cover: Cover) -> Iterator[bytes]:
    """The zip, bit by bit. Needs no transaction. Raises what keeping.opened raises, before the first bit or later."""
    return _Zip(dossier, cover).parts()


class _Outlet:
    """What a zip is written into that nobody can seek in: taken out again bit by bit."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def write(self, data: bytes) -> int:
        self._waiting += data
        return len(data)

    def flush(self) -> None:
        """Nothing waits anywhere else."""

    def taken(self) -> bytes:
        some = bytes(self._waiting)
        self._waiting.clear()
        return some


class _Zip:
    def __init__(self, dossier: Dossier, cover: Cover) -> None:
        self._dossier = dossier
        self._cover = cover
        self._outlet = _Outlet()
        self._files: dict[str, dict[str, Any]] = {}
        self._missing: list[str] = []
        # It is sent when the request's own scope is over.
        self._here = context.current()
        self._outline = reading.Outline()
        self._made_at = (1980, 1, 1, 0, 0, 0)

    def parts(self) -> Iterator[bytes]:
        # By the name in the type's stead: it is written to and flushed, nothing else.
        with zipfile.ZipFile(self._outlet, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as out:  # type: ignore[call-overload]
            yield from self._add(out, "dossier.json", self._outline.follow(keeping.opened(self._dossier)))
            self._made_at = datetime.fromisoformat(self._outline.head["exportedAt"]).timetuple()[:6]
            counts = self._outline.counts
            for name, content in self._fixed(counts):
                yield from self._add(out, name, [content])
            if not self._cover.portable:
                yield from self._add(out, "portable/dossier.json", self._portable(counts))
            for section, rows in self._sections():
                yield from self._add(out, f"csv/{section}.csv", _csv(rows))
            for section, rows in self._sections():
                for name, page in _pages(section, rows, counts[section]):
                    yield from self._add(out, name, [page])
            yield from self._attachments(out)
            yield from self._add(out, "manifest.json", [self._manifest(counts)], listed=False)
        yield self._outlet.taken()

    def _add(
        self, out: zipfile.ZipFile, name: str, content: Iterable[bytes], *, listed: bool = True
    ) -> Iterator[bytes]:
        digest, size = sha256(), 0
        info = zipfile.ZipInfo(name, self._made_at)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = 0o600 << 16
        with out.open(info, "w", force_zip64=True) as file:
            for part in content:
                file.write(part)
                digest.update(part)
                size += len(part)
                if some := self._outlet.taken():
                    yield some
        if listed:
            self._files[name] = {"sha256": digest.hexdigest(), "bytes": size}

    def _attachments(self, out: zipfile.ZipFile) -> Iterator[bytes]:
        rows = next((rows for section, rows in self._sections() if section == "attachments"), iter(()))
        for attachment, name, content in files.files(rows, here=self._here):
            if content is None:
                self._missing.append(attachment)
            else:
                yield from self._add(out, name, content)

    def _sections(self) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
        found = reading.rows(keeping.opened(self._dossier))
        for section, rows in groupby(found, itemgetter(0)):
            yield section, (orjson.loads(row) for _, row in rows)

    def _fixed(self, counts: dict[str, int]) -> Iterator[tuple[str, bytes]]:
        yield "index.html", pages.index(self._outline.head, counts, self._cover).encode()
        yield "schema.json", json.dumps(schema.document(self._cover.sections), indent=1).encode()

    def _portable(self, counts: dict[str, int]) -> Iterator[bytes]:
        """The provided sections, in the shape of the whole."""
        yield json.dumps(self._outline.head, ensure_ascii=False).encode()[:-1] + b', "data": {'
        provided = (found for found in reading.rows(keeping.opened(self._dossier)) if found[0] in PROVIDED)
        before = b"\n"
        for section, rows in groupby(provided, itemgetter(0)):
            is_one = section == "profile"
            yield before + json.dumps(section).encode() + (b": " if is_one else b": [")
            for number, (_, row) in enumerate(rows):
                yield (b"\n" if not number else b",\n") + row
            yield b"" if is_one else b"\n]"
            before = b",\n"
        held = {section: counts[section] for section in PROVIDED if counts.get(section)}
        yield b'\n}, "counts": ' + json.dumps(held).encode() + b"}"

    def _manifest(self, counts: dict[str, int]) -> bytes:
        said = {
            "format": FORMAT,
            "requestId": self._cover.request_id,
            **self._outline.head,
            "counts": counts,
            "dossier": {"sha256": self._dossier.sha256, "bytes": self._dossier.size},
            "files": self._files,
            "missingAttachments": self._missing,
        }
        return canonical(said)


def _csv(rows: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    """RFC 4180 with a head; JSON as JSON text; no cell that a spreadsheet would run."""
    names: list[str] = []
    block = io.StringIO()
    writer = csv.writer(block, lineterminator="\r\n")
    # Spreadsheets take a file for Latin-1 without it.
    block.write("\ufeff")
    for row in rows:
        if not names:
            names = list(row)
            writer.writerow(neutral_row(names))
        writer.writerow(neutral_row(_cell(row.get(name)) for name in names))
        if block.tell() >= _BLOCK_BYTES:
            yield block.getvalue().encode()
            block.seek(0)
            block.truncate()
    yield block.getvalue().encode()


def _cell(value: Any) -> object:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return "true" if value is True else "false" if value is False else value


def _pages(section: str, rows: Iterator[dict[str, Any]], count: int) -> Iterator[tuple[str, bytes]]:
    in_all = pages.pages_of(count)
    for number, some in enumerate(pages.batches(rows), start=1):
        page = pages.section_page(section, some, number=number, pages=in_all, count=count)
        yield f"pages/{pages.page_name(section, number)}", page.encode()
