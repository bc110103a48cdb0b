"""A certificate as a file: the same whoever asks for it, and recorded."""

from django.http import HttpResponse
from django.utils.http import content_disposition_header

from dsar.certifying import certificates, printing
from dsar.models import Certificate
from kaireon.tenancy.context import requires_transaction

TYPES = {"json": "application/json", "html": "text/html; charset=utf-8"}


@requires_transaction
def file_of(row: Certificate, format_: str, *, via: str) -> HttpResponse:
    """The certificate in one of TYPES: `json` is the signed bytes, `html` a page to print."""
    content = bytes(row.content) if format_ == "json" else printing.as_html(row).encode()
    certificates.record_reading(row, via=via)
    return HttpResponse(
        content,
        content_type=TYPES[format_],
        headers={
            "Content-Disposition": content_disposition_header(True, certificates.file_name(row, format_))
            or "attachment",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )
