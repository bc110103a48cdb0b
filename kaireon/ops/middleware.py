"""The operations port serves health and metrics and nothing else; the public port serves everything but that."""

import uuid
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.urls import Resolver404, resolve

from kaireon.api import content_security, logs
from kaireon.api.errors import django_response


class OpsPortMiddleware:
    """Answers requests of the operations port by itself.

    They pass no further middleware: a probe comes by address, without an allowed Host, and has no session to look up
    in a Redis whose absence it is about to report.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        # The port is the socket's own, said by the server, not by the client.
        if request.META.get("SERVER_PORT") != str(settings.OPS_PORT):
            return self.get_response(request)
        # What a scrape or a probe logs is of no request of the product's.
        logs.set_request_id(uuid.uuid4().hex)
        response = _answer(request)
        response["X-Request-Id"] = logs.request_id()
        response["Content-Security-Policy"] = content_security.header(content_security.DATA)
        return response


def _answer(request: HttpRequest) -> HttpResponseBase:
    try:
        view, args, kwargs = resolve(request.path_info, urlconf="kaireon.ops.urls")
    except Resolver404:
        return django_response("not_found", "This port serves /healthz, /readyz and /metrics.", 404)
    response: HttpResponseBase = view(request, *args, **kwargs)
    if response.status_code == 405:
        refused = django_response("method_not_allowed", "This is only read.", 405)
        refused["Allow"] = response["Allow"]
        return refused
    return response
