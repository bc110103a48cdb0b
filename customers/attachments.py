"""Attachments: a row in the database and an object in storage, which no transaction holds together.

The object is written first and removed last, and each is written down before: what a crash leaves behind is an object
without a row, which is removed later, never a row that promises what is gone. See customers/removals.py.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from customers import bulk, removals
from customers.models import Attachment
from customers.models.attachment import object_name
from kaireon.tenancy.context import requires_transaction, without_transaction


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """A file of a customer, before it is stored."""

    name: str
    content: bytes
    content_type: str = "application/octet-stream"
    uploaded_at: datetime


@without_transaction
def store(uploads: Sequence[Upload], *, now: datetime) -> list[Attachment]:
    """Store files, each under a random name. Give the rows their customers, and `attach` them within the hour."""
    rows = [_row(upload) for upload in uploads]
    removals.announce([str(row.file) for row in rows], now=now)
    for row, upload in zip(rows, uploads, strict=True):
        default_storage.save(str(row.file), ContentFile(upload.content))
    return rows


@requires_transaction
def attach(stored: Sequence[Attachment]) -> None:
    """Write the rows of stored files, in one statement. Raises removals.UploadAbandoned."""
    removals.claim([str(row.file) for row in stored])
    bulk.insert(stored)


def _row(upload: Upload) -> Attachment:
    row = Attachment(
        name=upload.name,
        content_type=upload.content_type,
        size=len(upload.content),
        sha256=hashlib.sha256(upload.content).hexdigest(),
        uploaded_at=upload.uploaded_at,
    )
    row.file.name = object_name(row, upload.name)
    return row
