"""A document as a file."""

from collections.abc import Callable

from compliance.reporting import page, spreadsheet
from compliance.reporting.document import Document


def _printed(document: Document) -> bytes:
    # What prints takes a tenth of a second to load, and few processes ever print.
    from compliance.reporting import printing

    return printing.write(document)


# By format: what writes it, and what it is served as.
FORMATS: dict[str, tuple[Callable[[Document], bytes], str]] = {
    "html": (page.write, "text/html; charset=utf-8"),
    "pdf": (_printed, "application/pdf"),
    "csv": (spreadsheet.write, "text/csv; charset=utf-8"),
}


class UnknownFormat(LookupError):
    """There is no such format. `str()` of it lists those there are."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name[:16]!r} is no format of a report; known are {', '.join(FORMATS)}.")


def render(document: Document, format_: str) -> bytes:
    """The same document gives the same bytes. Raises UnknownFormat."""
    if format_ not in FORMATS:
        raise UnknownFormat(format_)
    return FORMATS[format_][0](document)


def file_name(document: Document, format_: str) -> str:
    """`audit_integrity-2026-01-01-2026-03-31.pdf`: the template, and the first and last day by the report's clocks."""
    first, last = document.days
    return f"{document.template}-{first}-{last}.{format_}"
