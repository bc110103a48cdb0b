"""Sign-in, sessions and API keys over HTTP."""

from typing import Any

from django.conf import settings
from django.contrib.auth import authenticate
from django.middleware.csrf import get_token
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.settings import api_settings

from kaireon.api import throttles
from kaireon.api.errors import BadRequest, Conflict, Forbidden, NotFound, Unauthenticated
from kaireon.api.logs import request_id
from kaireon.api.serializers import StrictSerializer
from kaireon.api.throttles import Rate
from kaireon.lib import clock
from kaireon.tenancy import auth_events, keys, resolver, sessions, signals
from kaireon.tenancy.addresses import source_address
from kaireon.tenancy.authentication import ACCESS_COOKIE, REFRESH_COOKIE, SINGLE_TENANT, require_csrf
from kaireon.tenancy.models import ApiKey, Tenant, User
from kaireon.tenancy.roles import Permission, Role, permissions_of
from kaireon.tenancy.views import TenantAPIView, TenantRequest

LOGIN_FAILURES = Rate("login-failure", per_minute=10)
REFRESH_PATH = "/api/v1/auth/"


class LoginIn(StrictSerializer):
    email = serializers.CharField(max_length=254)
    password = serializers.CharField(max_length=1024, trim_whitespace=False)
    tenantId = serializers.CharField(required=False, max_length=63)


class RefreshIn(StrictSerializer):
    refreshToken = serializers.CharField(required=False, max_length=128)


class TenantOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    name = serializers.CharField()
    role = serializers.ChoiceField(choices=Role.choices)


class SessionOut(serializers.Serializer[Any]):
    accessToken = serializers.CharField()
    refreshToken = serializers.CharField()
    tokenType = serializers.CharField()
    expiresIn = serializers.IntegerField(help_text="Seconds until the access token expires.")
    tenantId = serializers.CharField()


class MeOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    name = serializers.CharField()
    type = serializers.CharField()
    tenantId = serializers.CharField()
    role = serializers.ChoiceField(choices=Role.choices)
    permissions = serializers.ListField(child=serializers.CharField())
    tenants = TenantOut(many=True)


class OpenView(APIView):
    """An endpoint that needs no session: it makes or ends one."""

    authentication_classes: list[Any] = []

    def tokens_in(self, request: Request) -> str:
        """The refresh token from the body or the cookie; a cookie needs the CSRF token too."""
        serializer = RefreshIn(data=request.data)
        serializer.is_valid(raise_exception=True)
        if given := serializer.validated_data.get("refreshToken"):
            return str(given)
        if cookie := request.COOKIES.get(REFRESH_COOKIE):
            require_csrf(request)
            return cookie
        raise BadRequest("is required, in the body or as cookie.", field="refreshToken")


class LoginView(OpenView):
    @extend_schema(request=LoginIn, responses={200: SessionOut}, operation_id="auth_login", auth=[])
    def post(self, request: Request) -> Response:
        """Sign in with e-mail and password. Answers tokens and sets them as HttpOnly cookies too."""
        serializer = LoginIn(data=request.data)
        serializer.is_valid(raise_exception=True)
        given = serializer.validated_data
        address = source_address(request._request)
        with throttles.attempt(LOGIN_FAILURES, address) as attempt:
            user = authenticate(request._request, username=given["email"], password=given["password"])
            attempt.failed = user is None
        if not isinstance(user, User):
            raise Unauthenticated("E-mail or password is wrong, or the account is locked.", code="login_failed")
        tenant = _tenant_for(user, given.get("tenantId"))
        session = sessions.open_session(user=user, tenant_id=tenant)
        signals.logged_in.send(
            sender=LoginView, user=user, tenant_id=tenant, request_id=request_id(), method="password"
        )
        get_token(request._request)
        return _with_cookies(session)


class RefreshView(OpenView):
    @extend_schema(request=RefreshIn, responses={200: SessionOut}, operation_id="auth_refresh", auth=[])
    def post(self, request: Request) -> Response:
        """Trade a refresh token, which is single-use, for the next pair."""
        token = self.tokens_in(request)
        auth_events.attempted()
        try:
            session = sessions.refresh_session(token=token)
        except sessions.RefreshRefused as error:
            auth_events.failed("refresh_token", request._request)
            raise Unauthenticated("This refresh token is not valid any more: sign in again.") from error
        return _with_cookies(session)


class LogoutView(OpenView):
    @extend_schema(request=RefreshIn, responses={204: None}, operation_id="auth_logout", auth=[])
    def post(self, request: Request) -> Response:
        """Sign out: the refresh token and all that came from the same sign-in end."""
        sessions.close_session(token=self.tokens_in(request))
        response = Response(status=204)
        response.delete_cookie(ACCESS_COOKIE)
        response.delete_cookie(REFRESH_COOKIE, path=REFRESH_PATH)
        return response


class MeView(TenantAPIView):
    """Who am I, where, and what may I do."""

    @classmethod
    def permission_for(cls, method: str) -> Permission | None:
        return None

    def check_permissions(self, request: Any) -> None:
        if request.user is None:
            raise Unauthenticated

    @extend_schema(responses=MeOut, operation_id="auth_me")
    def get(self, request: TenantRequest) -> Response:
        who = request.principal
        if who.actor.type == "api_key":
            mine = [resolver.MembershipRow(who.tenant_id, Tenant.objects.get(pk=who.tenant_id).name, who.role)]
        else:
            mine = resolver.memberships(who.actor.id)  # type: ignore[arg-type]
        return Response(
            {
                "id": who.actor.id,
                "name": who.actor.name,
                "type": who.actor.type,
                "tenantId": who.tenant_id,
                "role": who.role,
                "permissions": sorted(who.permissions),
                "tenants": [{"id": m.tenant_id, "name": m.tenant_name, "role": m.role} for m in mine],
            }
        )


class ApiKeyIn(StrictSerializer):
    name = serializers.CharField(max_length=100)
    role = serializers.ChoiceField(choices=Role.choices, default=Role.ADMIN)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=[str(p) for p in Permission]), required=False, max_length=50
    )
    expiresAt = serializers.DateTimeField(required=False, allow_null=True)

    def validate_expiresAt(self, value: Any) -> Any:
        if value is not None and value <= clock.now():
            raise serializers.ValidationError("must be in the future.")
        return value


class ApiKeyOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    prefix = serializers.CharField()
    role = serializers.CharField()
    scopes = serializers.ListField(child=serializers.CharField())
    createdAt = serializers.DateTimeField(source="created_at")
    expiresAt = serializers.DateTimeField(source="expires_at", allow_null=True)
    revokedAt = serializers.DateTimeField(source="revoked_at", allow_null=True)
    lastUsedAt = serializers.DateTimeField(source="last_used_at", allow_null=True)


class ApiKeyCreatedOut(ApiKeyOut):
    key = serializers.CharField(help_text="Shown this once.")


class ApiKeysOut(serializers.Serializer[Any]):
    apiKeys = ApiKeyOut(many=True)
    total = serializers.IntegerField()


class ApiKeysView(TenantAPIView):
    permission = Permission.MANAGE_KEYS

    @extend_schema(responses=ApiKeysOut, operation_id="api_keys_list")
    def get(self, request: TenantRequest) -> Response:
        """The tenant's keys, newest first, without their secrets."""
        rows = list(ApiKey.objects.order_by("-created_at", "-id"))
        return Response({"apiKeys": ApiKeyOut(rows, many=True).data, "total": len(rows)})

    @extend_schema(request=ApiKeyIn, responses={201: ApiKeyCreatedOut}, operation_id="api_keys_create")
    def post(self, request: TenantRequest) -> Response:
        """Make a key. The answer shows it once. Idempotency-Key is not kept here: its answer would hold the key."""
        serializer = ApiKeyIn(data=request.data)
        serializer.is_valid(raise_exception=True)
        given = serializer.validated_data
        if not permissions_of(given["role"], given.get("scopes")) <= request.principal.permissions:
            raise Forbidden("A key cannot make one that may more than itself.", code="beyond_own_permissions")
        try:
            row, key = keys.create_key(
                name=given["name"],
                role=Role(given["role"]),
                scopes=[Permission(s) for s in given.get("scopes", [])],
                expires_at=given.get("expiresAt"),
                actor=request.actor,
            )
        except keys.ScopeBeyondRole as error:
            raise BadRequest(str(error), field="scopes") from error
        return Response({**ApiKeyOut(row).data, "key": key}, status=201)


class ApiKeyRevokeView(TenantAPIView):
    permission = Permission.MANAGE_KEYS

    @extend_schema(responses={204: None}, operation_id="api_keys_revoke")
    def delete(self, request: TenantRequest, key_id: Any) -> Response:
        """Revoke a key at once."""
        row = ApiKey.objects.filter(pk=key_id).first()
        if row is None:
            raise NotFound
        try:
            keys.revoke_key(key=row, now=clock.now())
        except keys.KeyAlreadyRevoked as error:
            raise Conflict("This key was already revoked.", code="key_already_revoked") from error
        return Response(status=204)


def _tenant_for(user: User, wanted: str | None) -> str:
    mine = [m.tenant_id for m in resolver.memberships(user.pk)]
    if settings.SINGLE_TENANT_MODE:
        wanted = SINGLE_TENANT
    if wanted is None and mine:
        return mine[0]
    if wanted not in mine:
        raise Forbidden("You are not a member of this tenant.", code="unknown_tenant")
    return wanted


def _with_cookies(session: sessions.Session) -> Response:
    lifetime = int(api_settings.ACCESS_TOKEN_LIFETIME.total_seconds())
    response = Response(
        {
            "accessToken": session.access,
            "refreshToken": session.refresh,
            "tokenType": "Bearer",
            "expiresIn": lifetime,
            "tenantId": session.tenant_id,
        }
    )
    secure = settings.SESSION_COOKIE_SECURE
    response.set_cookie(ACCESS_COOKIE, session.access, max_age=lifetime, httponly=True, secure=secure, samesite="Lax")
    response.set_cookie(
        REFRESH_COOKIE,
        session.refresh,
        max_age=int(settings.REFRESH_TOKEN_LIFETIME.total_seconds()),
        path=REFRESH_PATH,
        httponly=True,
        secure=secure,
        samesite="Strict",
    )
    response["Cache-Control"] = "no-store"
    return response
