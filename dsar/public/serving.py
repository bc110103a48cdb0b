"""What every view of the page shares: whose page it is, as whom it acts, its cookies, what caches are told."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse

from dsar.models import PublicPage
from dsar.public import filing, page
from kaireon.api.errors import TooManyRequests
from kaireon.api.logs import request_id
from kaireon.tenancy import context
from kaireon.tenancy.authentication import SINGLE_TENANT
from kaireon.tenancy.context import requires_transaction, scope, transaction
from kaireon.tenancy.models import Tenant

View = Callable[..., HttpResponseBase]

# What brings somebody back: to the form they sent, and to the request they follow.
FILING, FOLLOWING = "kaireon_filing", "kaireon_request"
FILING_SECONDS = int(filing.LIVES.total_seconds())
FOLLOWING_SECONDS = 30 * 60


def of_tenant(view: View) -> View:
    """Serve a view as the page of the tenant in its address, and only while the tenant has one: else 404."""

    @wraps(view)
    def served(request: HttpRequest, tenant: str, **more: Any) -> HttpResponseBase:
        if settings.SINGLE_TENANT_MODE and tenant != SINGLE_TENANT:
            raise Http404
        with scope(tenant_id=tenant, actor=filing.ACTOR, request_id=request_id()):
            with transaction():
                whose()
            try:
                response = view(request, **more)
            except TooManyRequests as e:
                seconds = e.headers["Retry-After"]
                response = shown(request, "busy", status=429, headers={"Retry-After": seconds}, seconds=seconds)
        # Nobody keeps what is personal, and no address of it is told to others.
        response["Cache-Control"] = "no-store"
        response["X-Robots-Tag"] = "noindex, nofollow"
        return response

    return served


@requires_transaction
def whose() -> tuple[Tenant, PublicPage]:
    """Raises Http404."""
    # Both are always asked for: how long it takes does not tell which is missing.
    tenant = Tenant.objects.filter(pk=context.tenant_id(), is_active=True).first()
    row = page.find()
    if tenant is None or row is None:
        raise Http404
    return tenant, row


def shown(
    request: HttpRequest, name: str, *, status: int = 200, headers: dict[str, str] | None = None, **said: Any
) -> HttpResponse:
    with transaction():
        tenant, row = whose()
    response = render(request, f"privacy/{name}.html", {"tenant": tenant, "page": row, **said}, status=status)
    for header, value in (headers or {}).items():
        response[header] = value
    return response


def to(name: str) -> HttpResponseRedirect:
    # 303: whatever was sent, this is fetched.
    return HttpResponseRedirect(reverse(f"privacy:{name}", args=[context.tenant_id()]), status=303)


def keep(response: HttpResponseBase, cookie: str, value: str, *, seconds: int) -> None:
    response.set_cookie(
        cookie,
        value,
        max_age=seconds,
        path=reverse("privacy:ask", args=[context.tenant_id()]),
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        # Who comes by the link in a mail shall be let in.
        samesite="Lax",
    )


def drop(response: HttpResponseBase, cookie: str) -> None:
    response.delete_cookie(cookie, path=reverse("privacy:ask", args=[context.tenant_id()]), samesite="Lax")
