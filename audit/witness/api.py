"""POST /witness/v1/add-checkpoint: the submission prefix of C2SP tlog-witness. Off unless WITNESS_KEY is set.

There is no sign-in: the signature of a log that we know is what lets a request further than its own text.
"""

import logging

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt

from audit.witness import ourselves
from kaireon.lib import clock

logger = logging.getLogger("kaireon.audit.witness")

SIZE_TYPE = "text/x.tlog.size"
_PLAIN = "text/plain; charset=utf-8"


@csrf_exempt
@never_cache
def add_checkpoint(request: HttpRequest) -> HttpResponse:
    """200 with our cosignature; 409 with the size that we know; 400, 403, 404, 413, 422 with a line that says why."""
    us = ourselves.configured()
    if us is None:
        return _said(404, "this installation is no witness")
    if request.method != "POST":
        refused = _said(405, "POST a checkpoint")
        refused["Allow"] = "POST"
        return refused
    body = request.read(ourselves.MOST_BYTES + 1)
    if len(body) > ourselves.MOST_BYTES:
        return _said(413, f"a request has at most {ourselves.MOST_BYTES} bytes")
    try:
        signature = ourselves.add_checkpoint(body, us=us, now=clock.now())
    except ourselves.Refused as refusal:
        # The reasons are our own words; what the request says is not repeated.
        logger.warning("cosignature_refused", extra={"status": refusal.status, "reason": str(refusal)})
        if refusal.size is not None:
            return HttpResponse(f"{refusal.size}\n", status=refusal.status, content_type=SIZE_TYPE)
        return _said(refusal.status, str(refusal))
    return HttpResponse(f"{signature}\n", content_type=_PLAIN)


def _said(status: int, message: str) -> HttpResponse:
    return HttpResponse(f"{message}\n", status=status, content_type=_PLAIN)
