"""A report as CSV (RFC 4180): one line for each number, so that every line has the same fields.

`Section, Part, Row, Column, Value`: Part is the figure's, chart's or table's title; Row its label or number.
"""

import io
from collections.abc import Iterator

from compliance.reporting.document import Cell, Chart, Document, Section, Table
from compliance.reporting.drawing import finite
from kaireon.lib.clock import rfc3339
from kaireon.lib.csv_safe import SafeWriter

HEAD = ("Section", "Part", "Row", "Column", "Value")
Line = tuple[Cell, ...]


def write(document: Document) -> bytes:
    """In UTF-8."""
    sink = io.StringIO()
    writer = SafeWriter(sink)
    writer.writerow(HEAD)
    writer.writerows(_lines(document))
    return sink.getvalue().encode("utf-8", "replace")


def _lines(document: Document) -> Iterator[Line]:
    about = {
        "Report": document.title,
        "Template": document.template,
        "Tenant": document.tenant,
        "From": rfc3339(document.period.start),
        "To": rfc3339(document.period.end),
        "Time zone": document.time_zone,
        "Generated": rfc3339(document.generated_at),
        "Summary": document.summary,
    }
    for name, value in about.items():
        yield "", "Report", name, "", value
    for section in document.sections:
        yield from _section(section)


def _section(section: Section) -> Iterator[Line]:
    if section.note:
        yield section.title, "Note", "", "", section.note
    for figure in section.figures:
        yield section.title, "Figure", figure.label, "", figure.value
        if figure.note:
            yield section.title, "Figure", figure.label, "Note", figure.note
    for chart in section.charts:
        yield from _chart(section.title, chart)
    for table in section.tables:
        yield from _table(section.title, table)


def _chart(section: str, chart: Chart) -> Iterator[Line]:
    for series in finite(chart).series:
        for label, value in zip(chart.labels, series.values, strict=True):
            yield section, chart.title, label, series.name, value


def _table(section: str, table: Table) -> Iterator[Line]:
    for number, row in enumerate(table.rows, start=1):
        for column, cell in zip(table.columns, row, strict=True):
            yield section, table.title, number, column, cell
    if table.truncated:
        yield section, table.title, "", "Rows not shown", table.truncated
