"""From credentials to a principal: `krn_…` keys, and 15-minute signed sessions as cookie or bearer."""

import logging
from uuid import UUID

from django.conf import settings
from django.http import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken

from kaireon.api.errors import Forbidden, Unauthenticated
from kaireon.api.logs import request_id
from kaireon.lib import clock
from kaireon.tenancy import auth_events, keys, resolver, signals
from kaireon.tenancy.context import Actor, scope, transaction
from kaireon.tenancy.models import User
from kaireon.tenancy.principal import Principal
from kaireon.tenancy.roles import permissions_of

logger = logging.getLogger("kaireon.auth")

ACCESS_COOKIE = "kaireon_access"
REFRESH_COOKIE = "kaireon_refresh"
SINGLE_TENANT = "default"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class _CsrfCheck(CsrfViewMiddleware):
    def _reject(self, request: object, reason: str) -> str:
        return reason


class KaireonAuthentication(BaseAuthentication):
    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="kaireon"'

    def authenticate(self, request: Request) -> tuple[Principal, str] | None:
        """The principal and its kind of credential. Raises Unauthenticated (401) and Forbidden (403)."""
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        given = bearer.strip() if scheme.lower() == "bearer" else request.headers.get("X-API-Key", "")
        auth_events.attempted()
        if given.startswith("krn_"):
            return self._by_key(request, given), "api_key"
        if given:
            return self._by_session(request, given), "bearer"
        if cookie := request.COOKIES.get(ACCESS_COOKIE):
            principal = self._by_session(request, cookie)
            if request.method not in SAFE_METHODS:
                require_csrf(request)
            return principal, "cookie"
        auth_events.failed("no_credentials", request._request)
        return None

    def _by_key(self, request: Request, key: str) -> Principal:
        now = clock.now()
        row = keys.find_key(key, now=now)
        if row is None:
            auth_events.failed("api_key", request._request)
            raise Unauthenticated("This API key is unknown, expired or revoked.")
        if settings.SINGLE_TENANT_MODE and row.tenant_id != SINGLE_TENANT:
            auth_events.failed("tenant", request._request)
            raise Forbidden("This server serves the tenant 'default' only.", code="unknown_tenant")
        actor = Actor(id=str(row.id), name=row.name, type="api_key")
        if keys.is_touch_due(row, now=now):
            with scope(tenant_id=row.tenant_id, actor=actor), transaction():
                keys.touch_key(row.id, now=now)
        return Principal(
            actor=actor,
            tenant_id=row.tenant_id,
            tenant_name=row.tenant_id,
            role=row.role,
            permissions=permissions_of(row.role, row.scopes),
        )

    def _by_session(self, request: Request, token: str) -> Principal:
        try:
            claims = AccessToken(token.encode("utf-8", "replace"))  # type: ignore[arg-type]
            user_id = UUID(str(claims["user_id"]))
        except (TokenError, ValueError, KeyError) as error:
            auth_events.failed("session", request._request)
            raise Unauthenticated("This session is invalid or has expired: refresh it or sign in.") from error
        user = User.objects.filter(pk=user_id, is_active=True).first()
        if user is None:
            auth_events.failed("inactive", request._request)
            raise Unauthenticated("This account is not active.")
        tenant = request.headers.get("X-Tenant-Id") or str(claims.get("tenant", ""))
        if settings.SINGLE_TENANT_MODE:
            tenant = SINGLE_TENANT
        membership = resolver.membership(user_id, tenant)
        if membership is None:
            auth_events.failed("tenant", request._request)
            self._note_foreign(user, str(claims.get("tenant", "")))
            raise Forbidden("X-Tenant-Id does not name a tenant you are a member of.", code="unknown_tenant")
        return Principal(
            actor=Actor(id=str(user.pk), name=user.name, type="user"),
            tenant_id=membership.tenant_id,
            tenant_name=membership.tenant_name,
            role=membership.role,
            permissions=permissions_of(membership.role),
        )

    def _note_foreign(self, user: User, home: str) -> None:
        """That somebody asked for a tenant that is not theirs stands in the log of the one they signed in to."""
        membership = resolver.membership(user.pk, home)
        if membership is None:
            return
        principal = Principal(
            actor=Actor(id=str(user.pk), name=user.name, type="user"),
            tenant_id=membership.tenant_id,
            tenant_name=membership.tenant_name,
            role=membership.role,
            permissions=permissions_of(membership.role),
        )
        signals.access_refused.send(
            sender=type(self), principal=principal, reason="foreign_tenant", request_id=request_id()
        )


def require_csrf(request: Request) -> None:
    """Refuse a write that a cookie authenticates unless it carries the CSRF token."""
    check = _CsrfCheck(lambda _request: None)  # type: ignore[arg-type]
    check.process_request(request._request)
    if reason := check.process_view(request._request, _unused_view, (), {}):
        auth_events.failed("csrf", request._request)
        raise Forbidden(f"Send the CSRF token in X-CSRFToken. {reason}", code="csrf_failed")


def _unused_view(*_: object) -> HttpResponseBase:
    """What the middleware asks for and only looks up `csrf_exempt` on."""
    raise Forbidden


class KaireonAuthenticationScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "kaireon.tenancy.authentication.KaireonAuthentication"
    name = ["apiKey", "session"]

    def get_security_definition(self, auto_schema: object) -> list[dict[str, str]]:
        return [
            {"type": "http", "scheme": "bearer", "description": "An API key `krn_…` or a session's access token."},
            {"type": "apiKey", "in": "cookie", "name": ACCESS_COOKIE},
        ]
