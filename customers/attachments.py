"""Attachments: a row in the database and an object in storage, which no transaction holds together.

The object is written first and removed last: what can be left behind is an object without a row, never a row that
promises what is gone.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from customers import bulk
from customers.models import Attachment
from customers.models.attachment import object_name
from kaireon.tenancy.context import requires_transaction


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """A file of a customer, before it is stored."""

    customer_id: UUID
    name: str
    content: bytes
    content_type: str = "application/octet-stream"
    uploaded_at: datetime


class ObjectStillThere(RuntimeError):
    """Storage answered the deletion but still has the object. Try again later."""


@requires_transaction
def attach(uploads: Sequence[Upload]) -> list[Attachment]:
    """Store files of customers, each under a random object name, and their rows in one statement."""
    stored = [_stored(upload) for upload in uploads]
    bulk.insert(stored)
    return stored


def _stored(upload: Upload) -> Attachment:
    attachment = Attachment(
        customer_id=upload.customer_id,
        name=upload.name,
        content_type=upload.content_type,
        size=len(upload.content),
        sha256=hashlib.sha256(upload.content).hexdigest(),
        uploaded_at=upload.uploaded_at,
    )
    attachment.file.name = default_storage.save(object_name(attachment, upload.name), ContentFile(upload.content))
    return attachment


def remove_object(object_name: str) -> bool:
    """Delete an object; False when it was gone already. Call it after the row's deletion was committed.

    Raises ObjectStillThere when storage does not confirm, and what the storage raises when it cannot be reached.
    """
    was_there = default_storage.exists(object_name)
    default_storage.delete(object_name)
    if default_storage.exists(object_name):
        raise ObjectStillThere
    return was_there
