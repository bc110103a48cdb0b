"""API sessions: a short signed access token and a single-use refresh token that ends the family when used twice."""

import hashlib
import secrets
from dataclasses import dataclass
from uuid import UUID, uuid4

from django.conf import settings
from rest_framework_simplejwt.tokens import AccessToken

from kaireon.lib import clock
from kaireon.tenancy import resolver
from kaireon.tenancy.context import Actor, requires_transaction, scope, transaction
from kaireon.tenancy.models import RefreshToken, User


class RefreshRefused(Exception):
    """The refresh token is unknown, expired, revoked or was used before; sign in again."""


@dataclass(frozen=True)
class Session:
    access: str
    refresh: str
    user: User
    tenant_id: str


def open_session(*, user: User, tenant_id: str) -> Session:
    """A new family of tokens for a member who just proved who they are."""
    with scope(tenant_id=tenant_id, actor=_actor(user)), transaction():
        return _issue(user, tenant_id, uuid4())


def refresh_session(*, token: str) -> Session:
    """Trade a refresh token for the next pair.

    Raises RefreshRefused; a token that was used before ends its whole family, since one of the two users stole it.
    """
    row = resolver.refresh_token(_hash(token))
    user = User.objects.filter(pk=row.user_id, is_active=True).first() if row else None
    if row is None or user is None or resolver.membership(user.pk, row.tenant_id) is None:
        raise RefreshRefused
    now = clock.now()
    with scope(tenant_id=row.tenant_id, actor=_actor(user)), transaction():
        # The condition is in the UPDATE: of two that come at once exactly one counts.
        usable = RefreshToken.objects.filter(pk=row.id, used_at=None, revoked_at=None, expires_at__gt=now)
        if usable.update(used_at=now):
            return _issue(user, row.tenant_id, row.family)
        _revoke(row.family)
    raise RefreshRefused


def close_session(*, token: str) -> None:
    """Sign out: the family ends. Signing out twice is no error."""
    row = resolver.refresh_token(_hash(token))
    user = User.objects.filter(pk=row.user_id).first() if row else None
    if row and user:
        with scope(tenant_id=row.tenant_id, actor=_actor(user)), transaction():
            _revoke(row.family)


@requires_transaction
def _issue(user: User, tenant_id: str, family: UUID) -> Session:
    now = clock.now()
    refresh = secrets.token_urlsafe(32)
    RefreshToken.objects.create(
        user=user, family=family, token_hash=_hash(refresh), expires_at=now + settings.REFRESH_TOKEN_LIFETIME
    )
    access = AccessToken()
    access["user_id"] = str(user.pk)
    access["tenant"] = tenant_id
    return Session(access=str(access), refresh=refresh, user=user, tenant_id=tenant_id)


def _revoke(family: UUID) -> None:
    RefreshToken.objects.filter(family=family, revoked_at=None).update(revoked_at=clock.now())


def _actor(user: User) -> Actor:
    return Actor(id=str(user.pk), name=user.name, type="user")


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
