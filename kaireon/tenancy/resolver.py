"""The narrow questions that must be asked before a tenant is known, each one function of the resolver role."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection


@dataclass(frozen=True)
class KeyRow:
    id: UUID
    tenant_id: str
    name: str
    secret_hash: str
    role: str
    scopes: list[str]
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    tenant_is_active: bool


@dataclass(frozen=True)
class MembershipRow:
    tenant_id: str
    tenant_name: str
    role: str


@dataclass(frozen=True)
class RefreshRow:
    id: UUID
    tenant_id: str
    user_id: UUID
    family: UUID


def api_key(prefix: str) -> KeyRow | None:
    """The key with this prefix, whatever its tenant; the caller compares the secret."""
    rows = _ask("SELECT * FROM public.resolve_api_key(%s)", prefix)
    if not rows:
        return None
    key_id, tenant_id, name, secret_hash, role, scopes, expires_at, revoked_at, last_used_at, active = rows[0]
    narrowed = scopes.split(",") if scopes else []
    return KeyRow(key_id, tenant_id, name, secret_hash, role, narrowed, expires_at, revoked_at, last_used_at, active)


def memberships(user_id: UUID) -> list[MembershipRow]:
    """The active tenants this user is a member of, by name."""
    return [MembershipRow(*row) for row in _ask("SELECT * FROM public.resolve_memberships(%s)", user_id)]


def membership(user_id: UUID, tenant_id: str) -> MembershipRow | None:
    return next((m for m in memberships(user_id) if m.tenant_id == tenant_id), None)


def refresh_token(token_hash: str) -> RefreshRow | None:
    rows = _ask("SELECT * FROM public.resolve_refresh_token(%s)", token_hash)
    return RefreshRow(*rows[0]) if rows else None


def active_tenants() -> list[str]:
    return [row[0] for row in _ask("SELECT * FROM public.active_tenants()")]


def _ask(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, list(parameters))
        return list(cursor.fetchall())
