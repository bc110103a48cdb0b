"""Attachments: a row in the database and an object in storage, which no transaction holds together.

The object is written first and removed last: what can be left behind is an object without a row, never a row that
promises what is gone.
"""

import hashlib
from datetime import datetime

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from customers.models import Attachment, Customer
from kaireon.tenancy.context import requires_transaction


@requires_transaction
def attach(
    customer: Customer, *, name: str, content: bytes, content_type: str = "application/octet-stream", now: datetime
) -> Attachment:
    """Store a file of a customer under a random object name."""
    attachment = Attachment(
        customer=customer,
        name=name,
        content_type=content_type,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        uploaded_at=now,
    )
    attachment.file.save(name, ContentFile(content), save=False)
    attachment.save(force_insert=True)
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


class ObjectStillThere(RuntimeError):
    """Storage answered the deletion but still has the object. Try again later."""
