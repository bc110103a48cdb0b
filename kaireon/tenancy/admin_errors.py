"""What a person in the admin sees when something is not there, not allowed or not working; others get the API's shape.

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
    if not _in_admin(request):
        return errors.bad_request(request, exception)
    return _page(400, "This request cannot be understood", "Go back, reload the page and try again.")


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    if not _in_admin(request):
        return errors.forbidden(request, exception)
    return _page(403, "Your role does not allow this", "Ask an administrator of this tenant if you need it.")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    if not _in_admin(request):
        return errors.forbidden(request)
    return _page(403, "This form has expired", "Nothing was changed. Go back, reload the page and send it again.")


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    if not _in_admin(request):
        return errors.not_found(request, exception)
    return _page(404, "There is no such page", "It may have been removed, or it never was in this tenant.")


def server_error(request: HttpRequest) -> HttpResponse:
    """Says which: a service that does not answer (503, it will pass) or a defect of ours (500)."""
    # Django calls this inside its `except`, which is the only place that still knows what happened.
    error = sys.exc_info()[1]
    away = isinstance(error, RedisError | OperationalError | InterfaceError)
    if away:
        logger.error("dependency_unavailable", extra={"error_type": type(error).__name__})
    if not _in_admin(request):
        if not away:
            return errors.server_error(request)
        return errors.django_response("unavailable", str(errors.Unavailable.default_detail), 503)
    if not away:
        return _page(500, "Something went wrong on our side", "It has been noted. Nothing of what you sent was kept.")
    what = "The session store" if isinstance(error, RedisError) else "The database"
    return _page(503, f"{what} does not answer", "Nothing was changed. Wait a moment, then reload this page.")


def _in_admin(request: HttpRequest) -> bool:
    return request.path.startswith(reverse("admin:index"))


def _page(status: int, title: str, advice: str) -> HttpResponse:
    context = {"status": status, "title": title, "advice": advice, "request_id": request_id()}
    headers = {"Retry-After": "5"} if status == 503 else {}
    return HttpResponse(render_to_string("errors/page.html", context), status=status, headers=headers)
