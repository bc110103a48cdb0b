"""The admin in the chosen tenant: one scope and one transaction around view and template alike."""

from collections.abc import Callable

from django.conf import settings
from django.db import connection
from django.db import transaction as django_transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse

from kaireon.api.logs import request_id
from kaireon.tenancy import resolver, signals
from kaireon.tenancy.authentication import SINGLE_TENANT
from kaireon.tenancy.context import Actor, scope, transaction
from kaireon.tenancy.models import User
from kaireon.tenancy.principal import Principal
from kaireon.tenancy.roles import permissions_of

TENANT_KEY = "tenant_id"


class AdminTenantMiddleware:
    """Puts `request.principal` and `request.tenants` on admin requests of members and opens the tenant's scope."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.root = reverse("admin:index")

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path.startswith(self.root) or not request.user.is_authenticated:
            return self.get_response(request)
        principal = choose_tenant(request)
        if principal is None:
            return self.get_response(request)
        for before in BEFORE_ADMIN_REQUEST:
            before(principal.tenant_id, request.path)
        with scope(tenant_id=principal.tenant_id, actor=principal.actor, request_id=request_id()):
            return self._in_transaction(request)

    def _in_transaction(self, request: HttpRequest) -> HttpResponseBase:
        with transaction():
            response = self.get_response(request)
            if response.status_code >= 400:
                # An error that became a page must not commit what came before it.
                django_transaction.set_rollback(True)
            elif not connection.needs_rollback:
                # Deferred constraints are checked before the page says it worked.
                connection.check_constraints()
        if response.status_code < 400:
            for call in getattr(request, "after_commit", []):
                call()
        elif response.status_code == 403:
            # Outside the transaction, which took everything else back.
            _note_refusal(request)
        return response


def _note_refusal(request: HttpRequest) -> None:
    page = request.resolver_match.url_name if request.resolver_match else ""
    signals.access_refused.send(
        sender=AdminTenantMiddleware,
        principal=request.principal,  # type: ignore[attr-defined]
        reason=f"admin:{page}",
        request_id=request_id(),
    )


# Layers above put here what must be done before the transaction of a page opens: called with tenant and path.
BEFORE_ADMIN_REQUEST: list[Callable[[str, str], object]] = []


def choose_tenant(request: HttpRequest) -> Principal | None:
    """The principal in the tenant chosen in this session, else in the member's first; None without any membership."""
    user = request.user
    if not isinstance(user, User):
        return None
    request.tenants = resolver.memberships(user.pk)  # type: ignore[attr-defined]
    if settings.SINGLE_TENANT_MODE:
        request.tenants = [m for m in request.tenants if m.tenant_id == SINGLE_TENANT]  # type: ignore[attr-defined]
    chosen = request.session.get(TENANT_KEY)
    tenants: list[resolver.MembershipRow] = request.tenants  # type: ignore[attr-defined]
    member = next((m for m in tenants if m.tenant_id == chosen), tenants[0] if tenants else None)
    request.principal = None  # type: ignore[attr-defined]
    if member is None:
        return None
    principal = Principal(
        actor=Actor(id=str(user.pk), name=user.name, type="user"),
        tenant_id=member.tenant_id,
        tenant_name=member.tenant_name,
        role=member.role,
        permissions=permissions_of(member.role),
    )
    request.principal = principal  # type: ignore[attr-defined]
    return principal


def switch_tenant(request: HttpRequest) -> HttpResponse:
    """POST tenant=…: show another tenant the member belongs to; anything else changes nothing and answers 403."""
    wanted = request.POST.get("tenant", "")
    if request.method != "POST" or wanted not in {m.tenant_id for m in getattr(request, "tenants", [])}:
        return HttpResponse("You are not a member of this tenant.", status=403, content_type="text/plain")
    request.session[TENANT_KEY] = wanted
    return HttpResponse(status=302, headers={"Location": reverse("admin:index")})
