"""Files customers sent: a row here, the bytes in object storage."""

import secrets
from typing import Any

from django.db import models

from customers.models.base import AboutCustomer
from kaireon.lib import clock


def object_name(attachment: Any, filename: str) -> str:
    """A random name inside the tenant's folder: nothing of the customer or the file's own name is in it."""
    token = secrets.token_hex(16)
    return f"attachments/{attachment.tenant_id}/{token[:2]}/{token}"


class Attachment(AboutCustomer):
    """A file about a customer. Deleting the row does not delete the object: whoever does dooms it, see removals.py."""

    name = models.CharField(max_length=255, help_text="The file's own name, as it was sent.")
    content_type = models.CharField(max_length=128, default="application/octet-stream")
    size = models.BigIntegerField(default=0, help_text="Bytes.")
    sha256 = models.CharField(max_length=64, blank=True, default="")
    file = models.FileField(upload_to=object_name, max_length=255)
    uploaded_at = models.DateTimeField(default=clock.now)

    class Meta(AboutCustomer.Meta):
        indexes = [
            models.Index(fields=["tenant", "customer", "uploaded_at"], name="attachment_by_customer"),
            models.Index(fields=["tenant", "uploaded_at"], name="attachment_by_time"),
            models.Index(fields=["tenant", "file"], name="attachment_by_object"),
        ]
