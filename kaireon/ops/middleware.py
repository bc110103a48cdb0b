"""The operations port serves health and nothing else; the public port serves everything but that."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase


class OpsPortMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        # The port is the socket's own, said by the server, not by the client.
        if request.META.get("SERVER_PORT") == str(settings.OPS_PORT):
            request.urlconf = "kaireon.ops.urls"
        return self.get_response(request)
