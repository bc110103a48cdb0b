"""Handing a package out as a file. Large ones are opened chunk by chunk while they are sent, after the transaction."""

import json
from collections.abc import Iterator
from itertools import chain

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header

from dsar.dossiers import dossier, keeping
from dsar.models import Dossier, DsarRequest


def as_json(row: DsarRequest, package: Dossier, *, file_name: str) -> HttpResponseBase:
    """The portable dossier, or its envelope where the request asked for one. Raises keeping.DossierMissing.

    A large one whose chunks do not open all ends early: its length was told before.
    """
    if not package.file:
        content = json.dumps(dossier.envelope(package)).encode() if row.encrypt else dossier.opened(package)
        return attachment(HttpResponse(content, content_type="application/json"), file_name)
    parts = dossier.envelope_parts(package) if row.encrypt else keeping.opened(package)
    size = dossier.envelope_size(package) if row.encrypt else package.size
    response = StreamingHttpResponse(begun(parts), content_type="application/json")
    response["Content-Length"] = str(size)
    return attachment(response, file_name)


def begun(parts: Iterator[bytes]) -> Iterator[bytes]:
    """The same parts, the first of them made already: what is wrong at once is not said in the middle of an answer."""
    return chain([next(parts)], parts)


def attachment(response: HttpResponseBase, file_name: str) -> HttpResponseBase:
    response["Content-Disposition"] = content_disposition_header(True, file_name) or "attachment"
    response["Cache-Control"] = "no-store"
    response["X-Content-Type-Options"] = "nosniff"
    return response
