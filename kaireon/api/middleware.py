"""Correlation: every request has an id, accepted or made, echoed and logged."""

import logging
import time
import uuid
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from kaireon.api import logs, metrics

logger = logging.getLogger("kaireon.http")


class RequestIdMiddleware:
    """Accepts `X-Request-Id` (printable ASCII, at most 128 characters), else makes one; writes one line a request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get("X-Request-Id", "")
        acceptable = 0 < len(given) <= 128 and given.isascii() and given.isprintable()
        logs.set_request_id(given if acceptable else uuid.uuid4().hex)
        started = time.perf_counter()
        response = self.get_response(request)
        response["X-Request-Id"] = logs.request_id()
        seconds = time.perf_counter() - started
        route = route_of(request)
        metrics.answered(method=request.method or "", route=route, status=response.status_code, seconds=seconds)
        logger.info(
            "request",
            extra={
                "method": request.method,
                "route": route,
                "status": response.status_code,
                "duration_ms": round(seconds * 1000, 1),
            },
        )
        return response


def route_of(request: HttpRequest) -> str:
    """The pattern, never the path: that may hold a customer's number, and there is no end of them."""
    if request.resolver_match:
        return f"/{request.resolver_match.route}"
    return "static" if request.path_info.startswith(settings.STATIC_URL) else "unmatched"
