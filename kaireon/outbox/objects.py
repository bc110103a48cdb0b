"""One object per message in the configured storage, a folder or S3, under a name made of the message's id."""

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from django.core.files.base import ContentFile
from django.core.files.storage import Storage, default_storage

from kaireon.api.breakers import BreakerOpen
from kaireon.outbox.sending import Outgoing, Refused

_DENIED = frozenset({"AccessDenied", "NoSuchBucket", "InvalidAccessKeyId", "SignatureDoesNotMatch"})


def send(given: Mapping[str, Any], secret: str, message: Outgoing) -> None:
    """Write `outbox/{tenant}/{prefix}/{topic}/{yyyy}/{mm}/{dd}/{id}.json`; once written, again is nothing.

    Raises Refused, BreakerOpen.
    """
    prefix = str(given.get("prefix") or "messages")
    name = f"outbox/{message.tenant_id}/{prefix}/{message.topic}/{message.created_at:%Y/%m/%d}/{message.id}.json"
    try:
        put(default_storage, name, message.body())
    except BreakerOpen:
        # The storage's own breaker: nothing was tried.
        raise
    except ClientError as e:
        code = str(e.response.get("Error", {}).get("Code", ""))
        raise Refused(f"s3_{code}", permanent=code in _DENIED) from e
    except (BotoCoreError, OSError) as e:
        raise Refused(type(e).__name__) from e


def put(storage: Storage, name: str, body: bytes) -> None:
    """Have exactly these bytes under exactly this name. What a crash left there half is replaced."""
    if storage.exists(name):
        if storage.size(name) == len(body):
            return
        storage.delete(name)
    written = storage.save(name, ContentFile(body))
    if written != name:
        # Somebody wrote it in between: theirs is the same message.
        storage.delete(written)
