"""Our own services that call us: the one table of who they are and what each may call.

A service shows its key in `X-Service-Key`. It is of no tenant and has no role: it may do what stands here, no more.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest

from kaireon.tenancy import auth_events

SECURITY_SCAN = "security-behavioral-scan"


@dataclass(frozen=True, kw_only=True)
class Service:
    """`setting` holds its key; a service whose key is not set is nobody."""

    setting: str
    may_call: frozenset[str] = frozenset()


SERVICES: Mapping[str, Service] = {
    "scheduler": Service(setting="SCHEDULER_SERVICE_API_KEY", may_call=frozenset({SECURITY_SCAN})),
    "mcp": Service(setting="MCP_SERVICE_API_KEY"),
    "events": Service(setting="EVENTS_SERVICE_API_KEY"),
    "hub": Service(setting="HUB_SERVICE_API_KEY"),
}


class Refused(PermissionError):
    """The request does not come from a service that may call this."""


def require(request: HttpRequest, *, call: str) -> str:
    """The name of the service that calls. Raises Refused for everybody else, known services included.

    Every key there is gets compared, in constant time each, so that the time of the answer tells nothing.
    """
    auth_events.attempted()
    given = request.META.get("HTTP_X_SERVICE_KEY", "").encode("latin-1", "backslashreplace")
    found = [name for name, service in SERVICES.items() if _is_key(given, getattr(settings, service.setting))]
    # Two services with the same key are neither: nobody could tell which of them calls.
    caller = found[0] if len(found) == 1 else ""
    accepted = bool(caller) and call in SERVICES[caller].may_call
    auth_events.service_called(caller or "unknown", accepted=accepted)
    if not accepted:
        auth_events.failed("service_scope" if caller else "service_key", request)
        raise Refused(call)
    return caller


def _is_key(given: bytes, key: str) -> bool:
    return hmac.compare_digest(given, key.encode()) and bool(key)
