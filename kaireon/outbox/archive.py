"""Dead letters as gzipped NDJSON in storage, each payload under a key of its own.

The keys stay in the database (ArchiveKey). Erasing a person, or the end of retention, deletes them, and with that what
every copy of the archive says about it; the rest of a line names ids, topics and kinds of errors only.
"""

import base64
import binascii
import gzip
import hashlib
import json
import logging
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from botocore.exceptions import BotoCoreError, ClientError
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import Storage, default_storage

from kaireon.api.storage import GuardedFolder
from kaireon.lib.canonical import canonical
from kaireon.lib.clock import rfc3339
from kaireon.lib.ids import uuid7
from kaireon.lib.sealing import CannotOpen, Keyring, open_sealed, seal
from kaireon.outbox import dead_letters, payloads
from kaireon.outbox.models import ArchiveKey, DeadLetter, DeadLetterQuerySet, Payload
from kaireon.tenancy import context, signals
from kaireon.tenancy.context import requires_transaction, transaction
from kaireon.tenancy.keyring import keyring

logger = logging.getLogger("kaireon.outbox")

BATCH = 500


class ArchiveUnreadable(RuntimeError):
    """What was written is not what the storage gives back. Nothing was marked archived."""


class NoSuchArchive(LookupError):
    """The storage has no file of this name, or it is another tenant's. The page of a dead letter names its archive."""


class NoSuchDestination(ValueError):
    """`--dest` is `s3://bucket/prefix`, `file:///folder` or nothing, for the configured storage."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """One archive file: its name in the storage, how many letters, SHA-256 of its bytes."""

    name: str
    letters: int
    sha256: str


@dataclass(frozen=True)
class Place:
    storage: Storage
    prefix: str = "dead-letters"


def place(dest: str = "") -> Place:
    """Where an archive goes. Raises NoSuchDestination."""
    parts = urlsplit(dest)
    if not dest:
        return Place(default_storage)
    if parts.scheme == "file" and not parts.netloc and Path(parts.path).is_absolute():
        return Place(GuardedFolder(location=parts.path))
    if parts.scheme == "s3" and parts.netloc:
        from kaireon.api.buckets import GuardedBucket

        return Place(
            GuardedBucket(bucket_name=parts.netloc, file_overwrite=False, default_acl=None),
            prefix=parts.path.strip("/") or "dead-letters",
        )
    raise NoSuchDestination("--dest takes s3://bucket/prefix or file:///folder.")


def archive_one(letter_id: UUID, *, now: datetime) -> bool:
    """Archive one open letter to the configured storage, in the scope that is open, outside any transaction.

    False when the storage failed: that is logged, the letter stays unarchived, and the nightly job tries again.
    """
    try:
        list(archive_waiting(now=now, to=place(), only=letter_id, most=1))
    except (BotoCoreError, ClientError, OSError, ArchiveUnreadable) as e:
        logger.exception("archive_failed", extra={"error_type": type(e).__name__})
        return False
    return True


def archive_waiting(
    *, now: datetime, to: Place, queue: str = "", only: UUID | None = None, most: int = 100
) -> Iterator[Written]:
    """Archive the active tenant's open letters that are not yet, file by file. Runs outside any transaction.

    Each file is written, read back and opened before its letters are marked. A crash in between writes them again
    into another file.
    """
    for _ in range(most):
        with transaction():
            waiting: DeadLetterQuerySet = DeadLetter.objects.unarchived()
            waiting = waiting.filter(queue=queue) if queue else waiting
            waiting = waiting.filter(pk=only) if only else waiting
            letters = list(waiting.order_by("died_at", "pk")[:BATCH])
            if not letters:
                return
            name = f"{to.prefix}/{context.tenant_id()}/{now:%Y/%m/%d}/{uuid7()}.ndjson.gz"
            body = _write_down(letters, name, now)
        # The keys are committed first: an archive without keys would be lost, keys without an archive are nothing.
        saved = to.storage.save(name, ContentFile(body))
        _verify(to.storage, saved, name, body, [letter.pk for letter in letters])
        with transaction():
            dead_letters.archived(letters, name=saved, now=now)
        yield Written(name=saved, letters=len(letters), sha256=hashlib.sha256(body).hexdigest())


def read(body: bytes, *, name: str) -> Iterator[dict[str, Any]]:
    """The lines of an archive file with their payloads opened; `payload` is None where its key is gone.

    `name` is the one it was first written under. Call it inside a transaction of its tenant.
    """
    for line, sealed, key in _lines(body, name):
        yield {**line, "payload": json.loads(_open(sealed, key)) if sealed and key else None}


@requires_transaction
def recall(*, name: str, at: Place, opening: bool) -> list[dict[str, Any]]:
    """The letters of the active tenant's archive of this name, each with `payloadState`: kept, gone or unreadable.

    `opening` adds `payload` where it is kept, and records who read which letter. Raises NoSuchArchive, and
    ArchiveUnreadable for a file that is not what was written.
    """
    body = stored(name, at)
    try:
        found = list(_lines(body, name))
    except (EOFError, OSError, zlib.error, ValueError, LookupError, TypeError, AttributeError) as e:
        raise ArchiveUnreadable(name) from e
    if not found:
        # None is written without a letter in it.
        raise ArchiveUnreadable(name)
    if any(line["tenantId"] != context.tenant_id() for line, _, _ in found):
        raise NoSuchArchive(name)
    return [_recalled(line, sealed, key, opening=opening) for line, sealed, key in found]


def _recalled(line: dict[str, Any], sealed: str | None, key: ArchiveKey | None, *, opening: bool) -> dict[str, Any]:
    if not sealed or key is None:
        return {**line, "payloadState": "gone"}
    if not opening:
        return {**line, "payloadState": "kept"}
    try:
        payload = json.loads(_open(sealed, key))
    except (CannotOpen, binascii.Error):
        return {**line, "payloadState": "unreadable"}
    signals.dead_letter_handled.send(
        sender=DeadLetter,
        verb="dead_letter.read",
        letter_id=UUID(line["id"]),
        queue=line["queue"],
        topic=line["topic"],
    )
    return {**line, "payloadState": "kept", "payload": payload}


def stored(name: str, at: Place) -> bytes:
    """The bytes of an archive file. Raises NoSuchArchive."""
    try:
        with at.storage.open(name) as file:
            return bytes(file.read())
    except (FileNotFoundError, SuspiciousFileOperation) as e:
        raise NoSuchArchive(name) from e


def _lines(body: bytes, name: str) -> Iterator[tuple[dict[str, Any], str | None, ArchiveKey | None]]:
    """Each line, its sealed payload, and the key of that where it is still there."""
    lines = [json.loads(line) for line in gzip.decompress(body).splitlines()]
    keys = {row.letter_ref: row for row in ArchiveKey.objects.filter(archive_name=name)}
    for line in lines:
        sealed = line.pop("payloadSealed")
        yield line, sealed, keys.get(UUID(line["id"]))


@requires_transaction
def _write_down(letters: list[DeadLetter], name: str, now: datetime) -> bytes:
    rows = Payload.objects.in_bulk([letter.source_ref for letter in letters])
    lines = [canonical(_line(letter, rows.get(letter.source_ref), name, now)) for letter in letters]
    return gzip.compress(b"\n".join(lines) + b"\n", mtime=0)


def _line(letter: DeadLetter, row: Payload | None, name: str, now: datetime) -> dict[str, Any]:
    return {
        "id": str(letter.pk),
        "tenantId": context.tenant_id(),
        "source": letter.source,
        "sourceRef": str(letter.source_ref),
        "queue": letter.queue,
        "topic": letter.topic,
        "class": letter.classification,
        "errorType": letter.error_type,
        "attempts": letter.attempts,
        "replays": letter.replays,
        "diedAt": rfc3339(letter.died_at),
        "payloadSealed": None if row is None else _sealed(letter, row, name, now),
    }


def _sealed(letter: DeadLetter, row: Payload, name: str, now: datetime) -> str:
    own = Keyring.generate()
    ArchiveKey.objects.create(
        letter_ref=letter.pk,
        subject_ref=row.subject_ref,
        archive_name=name,
        key_sealed=seal(own.text().encode(), context=_context(letter.pk), keyring=keyring()),
        archived_at=now,
    )
    token = seal(canonical(payloads.opened(row)), context=_context(letter.pk), keyring=own)
    return base64.b64encode(token).decode()


def _open(sealed: str, key: ArchiveKey) -> bytes:
    text = open_sealed(bytes(key.key_sealed), context=_context(key.letter_ref), keyring=keyring()).decode()
    return open_sealed(base64.b64decode(sealed), context=_context(key.letter_ref), keyring=Keyring.parse(text))


def _verify(storage: Storage, saved: str, name: str, body: bytes, ids: list[UUID]) -> None:
    with storage.open(saved) as file:
        back = file.read()
    if back != body:
        raise ArchiveUnreadable(saved)
    with transaction():
        found = [UUID(line["id"]) for line in read(back, name=name)]
    if found != ids:
        raise ArchiveUnreadable(saved)


def _context(letter_id: UUID) -> str:
    return f"dead-letter-archive:{context.tenant_id()}:{letter_id}"
