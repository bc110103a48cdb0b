"""A form that is sent twice does what it asks for once: it carries the id of what it will make, signed."""

from typing import Any
from uuid import UUID

from django.core import signing

from kaireon.lib.ids import uuid7
from kaireon.tenancy import context

_SALT = "compliance.once"
# As long as somebody may leave a page open.
_MAX_AGE_SECONDS = 24 * 3600


def token(**said: Any) -> str:
    """A new id, with what the form stands for. It counts for the active tenant and member."""
    return signing.dumps({**said, "id": str(uuid7()), "for": _whom()}, salt=_SALT)


def read(text: str) -> dict[str, Any]:
    """What `token` was given, and the `id`; empty for what is altered, too old or somebody else's."""
    try:
        said: dict[str, Any] = signing.loads(text, salt=_SALT, max_age=_MAX_AGE_SECONDS)
    except signing.BadSignature:
        return {}
    if said.pop("for", None) != _whom():
        return {}
    return {**said, "id": UUID(said["id"])}


def _whom() -> list[str]:
    here = context.current()
    return [here.tenant_id, here.actor.id]
