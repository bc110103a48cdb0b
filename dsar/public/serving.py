"""What every view of the page shares: whose page it is, as whom it acts, its cookies, what caches are told."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.translation.trans_real import parse_accept_lang_header

from dsar.letters import words as letters
from dsar.models import PublicPage
from dsar.public import filing, page, words
from kaireon.api.errors import TooManyRequests
from kaireon.api.logs import request_id
from kaireon.tenancy import context
from kaireon.tenancy.authentication import SINGLE_TENANT
from kaireon.tenancy.context import requires_transaction, scope, transaction
from kaireon.tenancy.models import Tenant

View = Callable[..., HttpResponseBase]

# What brings somebody back: to the form they sent, and to the request they follow.
FILING, FOLLOWING = "kaireon_filing", "kaireon_request"
LANGUAGE, LANGUAGE_SECONDS = "kaireon_language", 365 * 24 * 3600
FILING_SECONDS = int(filing.LIVES.total_seconds())
FOLLOWING_SECONDS = 30 * 60
_ADDRESSES = {"unknown": "follow", "busy": "ask"}


def of_tenant(view: View) -> View:
    """Serve a view as the page of the tenant in its address, and only while the tenant has one: else 404."""

    @wraps(view)
    def served(request: HttpRequest, tenant: str, **more: Any) -> HttpResponseBase:
        if settings.SINGLE_TENANT_MODE and tenant != SINGLE_TENANT:
            raise Http404
        with scope(tenant_id=tenant, actor=filing.ACTOR, request_id=request_id()):
            with transaction():
                _, row = whose()
            language, was_chosen = _language(request, row)
            with translation.override(language):
                try:
                    response = view(request, **more)
                except TooManyRequests as e:
                    seconds = e.headers["Retry-After"]
                    response = shown(request, "busy", status=429, headers={"Retry-After": seconds}, seconds=seconds)
            if was_chosen:
                keep(response, LANGUAGE, language, seconds=LANGUAGE_SECONDS)
        # Nobody keeps what is personal, and no address of it is told to others.
        response["Cache-Control"] = "no-store"
        response["Content-Language"] = language
        response["X-Robots-Tag"] = "noindex, nofollow"
        patch_vary_headers(response, ("Accept-Language", "Cookie"))
        return response

    return served


def _language(request: HttpRequest, row: PublicPage) -> tuple[str, bool]:
    """As chosen here, now or before; else the one of the page's that the browser asks for first; else the tenant's.
    With whether it was chosen now.
    """
    if asked := words.known(request.GET.get("language", "")):
        return asked, True
    if before := words.known(request.COOKIES.get(LANGUAGE, "")):
        return before, False
    wanted = parse_accept_lang_header(request.headers.get("Accept-Language", ""))
    named = (words.known(tag) for tag, quality in wanted if quality > 0)
    return next(filter(None, named), None) or words.known(row.language) or words.DEFAULT, False


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
    here = words.here().tag
    about = {
        "tenant": tenant,
        "page": row,
        "language": here,
        "languages": [(tag, letters.LANGUAGES[tag].name) for tag in words.LANGUAGES],
        # Where it is shown anew in another one: what was sent to get here is not sent again.
        "address": reverse(f"privacy:{_ADDRESSES.get(name, name)}", args=[tenant.pk]),
    }
    response = render(request, f"privacy/{name}.html", {**about, **said}, status=status)
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
