"""API keys: made once, shown once, checked in constant time."""

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings

from kaireon.tenancy import resolver
from kaireon.tenancy.context import Actor, requires_transaction
from kaireon.tenancy.models import ApiKey
from kaireon.tenancy.roles import PERMISSIONS, Permission, Role

TOUCH_EVERY = timedelta(minutes=1)


class KeyAlreadyRevoked(Exception):
    """The key was revoked before; nothing changed."""


class ScopeBeyondRole(ValueError):
    """A key was asked to carry permissions its role does not have. Choose scopes within the role's."""


@requires_transaction
def create_key(
    *, name: str, role: Role, actor: Actor, scopes: list[Permission] | None = None, expires_at: datetime | None = None
) -> tuple[ApiKey, str]:
    """Make a key; returns its row and the whole key, which is never seen again.

    Raises ScopeBeyondRole.
    """
    if beyond := [s for s in scopes or [] if s not in PERMISSIONS[role]]:
        raise ScopeBeyondRole(f"The role {role} does not have: {', '.join(beyond)}.")
    prefix = secrets.token_hex(5)
    key = f"krn_{prefix}_{secrets.token_urlsafe(32)}"
    row = ApiKey.objects.create(
        name=name,
        prefix=prefix,
        secret_hash=hash_key(key),
        role=role,
        scopes=[str(s) for s in scopes or []],
        expires_at=expires_at,
        created_by=actor.id,
    )
    return row, key


@requires_transaction
def revoke_key(*, key: ApiKey, now: datetime) -> None:
    """End a key at once. Raises KeyAlreadyRevoked."""
    if not ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=now):
        raise KeyAlreadyRevoked(str(key.pk))


def find_key(key: str, *, now: datetime) -> resolver.KeyRow | None:
    """The usable key that `key` is, or None: unknown, wrong, expired, revoked and inactive look the same."""
    parts = key.split("_", 2)
    row = resolver.api_key(parts[1]) if len(parts) == 3 and parts[0] == "krn" else None
    # Compared also when there is no row, so that the answer takes as long.
    right = hmac.compare_digest(hash_key(key), row.secret_hash if row else "")
    if row is None or not right or row.revoked_at or not row.tenant_is_active:
        return None
    return row if row.expires_at is None or row.expires_at > now else None


def is_touch_due(row: resolver.KeyRow, *, now: datetime) -> bool:
    """Whether `touch_key` would note anything: asked first, a busy key costs no transaction."""
    return row.last_used_at is None or row.last_used_at <= now - TOUCH_EVERY


@requires_transaction
def touch_key(key_id: UUID, *, now: datetime) -> None:
    """Note that the key was used, at most once a minute: a hot key must not become a hot row."""
    ApiKey.objects.filter(pk=key_id).exclude(last_used_at__gt=now - TOUCH_EVERY).update(last_used_at=now)


def hash_key(key: str) -> str:
    # Hashed first, so that bytes no key has (a lone surrogate in a header) cannot raise.
    return hmac.new(settings.API_KEY_PEPPER.encode(), key.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
