"""The switch BLOCKED_ROUTES: take a route out of service without a release."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.urls import Resolver404, resolve

from kaireon.api.errors import django_response

RETRY_SECONDS = 60


class BlockedRoutesMiddleware:
    """Answers 503 `route_blocked` for the paths of BLOCKED_ROUTES and all below them, before anything is looked up.

    `/api/v1/dsar` blocks itself and `/api/v1/dsar/…`, not `/api/v1/dsar-archive`. The operations port cannot be
    blocked: its requests never come here.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not settings.BLOCKED_ROUTES or not is_blocked(request.path_info, settings.BLOCKED_ROUTES):
            return self.get_response(request)
        try:
            # So that metrics and log name the route that is blocked.
            request.resolver_match = resolve(request.path_info)
        except Resolver404:
            request.resolver_match = None
        response = django_response("route_blocked", "This route is out of service for now: try again later.", 503)
        response["Retry-After"] = str(RETRY_SECONDS)
        return response


def is_blocked(path: str, prefixes: list[str]) -> bool:
    """Whole segments count; a prefix may end in a slash or not, and be written with the first one or not."""
    wanted = f"{path.rstrip('/')}/"
    return any(wanted.startswith(f"/{stripped}/") for entry in prefixes if (stripped := entry.strip().strip("/")))
