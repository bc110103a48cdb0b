"""No request is answered while the installation may not be at work."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.urls import Resolver404, resolve

from kaireon.api.errors import django_response
from kaireon.tenancy import serving

# They ask by themselves, and say in their own words that they could not do their work.
ASK_THEMSELVES = frozenset({"/api/v1/cron/security-behavioral-scan", "/api/cron/security-behavioral-scan"})


class ServingMiddleware:
    """Answers 503 `not_serving`, before a session or a key is looked up. The operations port is not concerned."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        reason = None if request.path_info in ASK_THEMSELVES else serving.refusal()
        if reason is None:
            return self.get_response(request)
        try:
            # So that metrics and log name the route.
            request.resolver_match = resolve(request.path_info)
        except Resolver404:
            request.resolver_match = None
        response = django_response("not_serving", reason, 503)
        response["Retry-After"] = str(serving.RETRY_SECONDS)
        return response
