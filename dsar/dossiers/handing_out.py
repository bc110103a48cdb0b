"""Handing a package out as a file. Large ones are opened chunk by chunk while they are sent, after the transaction."""

import json
from collections.abc import Iterator
from itertools import chain

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header

from dsar.dossiers import dossier, keeping
from dsar.dossiers import package as packages
from dsar.dossiers.cover import cover
from dsar.models import Dossier, DsarRequest
from kaireon.lib import clock
from kaireon.tenancy.context import requires_transaction


class AskedForEncrypted(RuntimeError):
    """In clear this package must not be handed out."""


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


@requires_transaction
def as_zip(row: DsarRequest, package: Dossier, *, file_name: str) -> HttpResponseBase:
    """All of it for a person to read. Raises AskedForEncrypted, keeping.DossierMissing.

    How long the zip is nobody knows before; one that was cut off has no directory at its end, and does not open.
    """
    if row.encrypt:
        raise AskedForEncrypted("This request asked for an encrypted package: fetch the envelope with format=json.")
    parts = packages.stream(package, cover(row, now=clock.now()))
    return attachment(StreamingHttpResponse(begun(parts), content_type="application/zip"), file_name)


def begun(parts: Iterator[bytes]) -> Iterator[bytes]:
    """The same parts, the first of them made already: what is wrong at once is not said in the middle of an answer."""
    return chain([next(parts)], parts)


def attachment(response: HttpResponseBase, file_name: str) -> HttpResponseBase:
    response["Content-Disposition"] = content_disposition_header(True, file_name) or "attachment"
    response["Cache-Control"] = "no-store"
    response["X-Content-Type-Options"] = "nosniff"
    return response


FORMATS = {"json": as_json, "zip": as_zip}
