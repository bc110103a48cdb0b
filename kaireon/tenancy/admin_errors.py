"""What a person sees in the admin, or on the public page, when something is not there, not allowed or not working;
others get the API's shape.

These pages ask no database: they must show when it is the database that is gone.
"""

import logging
import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from redis.exceptions import RedisError

from kaireon.api import errors
from kaireon.api.logs import request_id

logger = logging.getLogger("kaireon.admin")


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    if not _is_page(request):
        return errors.bad_request(request, exception)
    return _page(request, 400, "This request cannot be understood", "Go back, reload the page and try again.")


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    if not _is_page(request):
        return errors.forbidden(request, exception)
    return _page(request, 403, "Your role does not allow this", "Ask an administrator of this tenant if you need it.")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    if not _is_page(request):
        return errors.forbidden(request)
    advice = "Nothing was changed. Go back, reload the page and send it again."
    return _page(request, 403, "This form has expired", advice)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    if not _is_page(request):
        return errors.not_found(request, exception)
    advice = "It may have been removed, or it never was in this tenant."
    if not _in_admin(request):
        advice = "Look at the address again, or ask those who gave it to you."
    return _page(request, 404, "There is no such page", advice)


def server_error(request: HttpRequest) -> HttpResponse:
    """Says which: a service that does not answer (503, it will pass) or a defect of ours (500)."""
    # Django calls this inside its `except`, which is the only place that still knows what happened.
    error = sys.exc_info()[1]
    away = isinstance(error, RedisError | OperationalError | InterfaceError)
    if away:
        logger.error("dependency_unavailable", extra={"error_type": type(error).__name__})
    if not _is_page(request):
        if not away:
            return errors.server_error(request)
        return errors.django_response("unavailable", str(errors.Unavailable.default_detail), 503)
    if not away:
        advice = "It has been noted. Nothing of what you sent was kept."
        return _page(request, 500, "Something went wrong on our side", advice)
    what = "The session store" if isinstance(error, RedisError) else "The database"
    title = f"{what} does not answer" if _in_admin(request) else "This page does not answer at the moment"
    return _page(request, 503, title, "Nothing was changed. Wait a moment, then reload this page.")


def _is_page(request: HttpRequest) -> bool:
    return _in_admin(request) or request.path.startswith(reverse("privacy:nowhere"))


def _in_admin(request: HttpRequest) -> bool:
    return request.path.startswith(reverse("admin:index"))


def _page(request: HttpRequest, status: int, title: str, advice: str) -> HttpResponse:
    home = _in_admin(request)
    context = {"status": status, "title": title, "advice": advice, "home": home, "request_id": request_id()}
    headers = {"Retry-After": "5"} if status == 503 else {}
    return HttpResponse(render_to_string("errors/page.html", context), status=status, headers=headers)
