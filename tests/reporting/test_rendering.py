"""Documents as HTML, PDF and CSV: what is in them is read back from the files."""

from datetime import UTC, datetime
from typing import Any

import pypdfium2
import pytest

from compliance.reporting.document import Chart, Document, Figure, Period, Section, Series, Table
from compliance.reporting.rendering import FORMATS, UnknownFormat, file_name, render

YEAR = Period(start=datetime(2025, 1, 1, tzinfo=UTC), end=datetime(2026, 1, 1, tzinfo=UTC))


def document(*sections: Section, **more: Any) -> Document:
    given: dict[str, Any] = {
        "template": "example",
        "title": "Example",
        "tenant": "Acme",
        "period": YEAR,
        "generated_at": datetime(2026, 1, 2, 8, 30, tzinfo=UTC),
        "time_zone": "Europe/Berlin",
        "summary": "All is well.",
        "sections": sections,
    }
    return Document(**{**given, **more})


def pages(content: bytes) -> list[str]:
    with pypdfium2.PdfDocument(content) as pdf:
        return [page.get_textpage().get_text_range() for page in pdf]


def test_all_formats_say_the_same_bytes_again() -> None:
    table = Table(title="T", columns=("A", "B"), rows=(("x", 1), ("y", None)))
    chart = Chart(kind="bar", title="C", unit="things", labels=("a", "b"), series=(Series(name="s", values=(1, 2)),))
    made = document(Section(title="One", figures=(Figure(label="F", value=None),), charts=(chart,), tables=(table,)))
    for format_ in FORMATS:
        assert render(made, format_) == render(made, format_)
    assert file_name(made, "pdf") == "example-2025-01-01-2026-01-01.pdf"
    with pytest.raises(UnknownFormat, match="html, pdf, csv"):
        render(made, "docx")
