"""The operations port serves health and metrics and nothing else; the public port serves everything but that."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.urls import Resolver404, resolve


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
        try:
            view, args, kwargs = resolve(request.path_info, urlconf="kaireon.ops.urls")
        except Resolver404:
            return JsonResponse({"error": "not_found"}, status=404)
        response: HttpResponseBase = view(request, *args, **kwargs)
        return response
