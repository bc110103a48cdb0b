"""What an orchestrator asks: is the process alive, and may it have requests."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from kaireon.ops import health


@never_cache
@require_safe
def healthz(_request: HttpRequest) -> HttpResponse:
    """200 while the process can answer at all. Looks at nothing outside, so that no outage restarts it."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(_request: HttpRequest) -> HttpResponse:
    """200 when every check passes, else 503; says which. Why is in the log, and for `audit_coverage` here too.

    `degraded` is 200 too and names what is worse than it should be.
    """
    results = health.checked()
    ready = all(results.values())
    degraded = health.degraded() if ready else []
    body: dict[str, Any] = {
        "status": "unavailable" if not ready else "degraded" if degraded else "ok",
        "checks": {name: "ok" if passed else "failed" for name, passed in results.items()},
    }
    if degraded:
        body["degraded"] = degraded
    if why := {name: found for name, found in health.reasons().items() if not results[name]}:
        body["reasons"] = why
    return JsonResponse(body, status=200 if ready else 503)
