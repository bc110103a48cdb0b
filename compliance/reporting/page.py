"""A report as a page that stands alone: no script, nothing loaded, to be printed."""

from base64 import b64encode
from hashlib import sha256
from typing import Any

from django.template.loader import render_to_string
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from compliance.reporting.document import Cell, Chart, Document, Table, moment
from compliance.reporting.drawing import SIZE, Box, Dot, Drawing, Path, Shape, Words, draw, number

STYLE = """
body {
    font: 14px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 54rem; padding: 0 1rem;
    color: #1c1f24; background: #fff;
}
h1 { font-size: 1.6rem; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2.25rem 0 .5rem; padding-top: .75rem; border-top: 2px solid #1c1f24; }
h1, p, dd, caption, th, td { overflow-wrap: anywhere; }
.fine { color: #5b626d; }
.summary { font-size: 1.05rem; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: .75rem 1.5rem; margin: 1rem 0; }
dt { color: #5b626d; font-size: .9em; }
dd { margin: 0; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
dd small { display: block; font-size: .85rem; color: #5b626d; }
figure { margin: 1.25rem 0; break-inside: avoid; }
figcaption { font-weight: 700; margin-bottom: .35rem; }
svg { width: 100%; height: auto; font-family: system-ui, sans-serif; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.25rem; font-size: .93em; }
caption { text-align: left; font-weight: 700; padding: .35rem 0; }
th, td { border-bottom: 1px solid #d9dce1; padding: .3rem .9rem .3rem 0; text-align: left; vertical-align: top; }
thead th { font-weight: 700; border-bottom: 1px solid #5b626d; }
tbody th { font-weight: 400; }
figure table { font-size: .8em; }
figure th, figure td { overflow-wrap: normal; padding-right: .35rem; }
figure div { overflow-x: auto; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
@media print {
    body { font-size: 9.5pt; margin: 0; max-width: none; padding: 0; }
    figure table { font-size: 6.5pt; }
    figure th, figure td { padding-right: 2pt; }
    figure div { overflow: visible; }
    h2, figcaption, caption { break-after: avoid; }
    thead { display: table-header-group; }
    tr { break-inside: avoid; }
}
"""
# Labels of a chart that stand side by side, with numbers of so many characters.
_SIDE_BY_SIDE, _SHORT = 12, 7
POLICY = f"default-src 'none'; style-src 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}'"


def write(document: Document) -> bytes:
    """The page in UTF-8. Its own policy lets it load nothing and run nothing, wherever it lies."""
    zone = document.zone
    context = {
        "document": document,
        "begins": moment(document.period.start, zone),
        "ends": moment(document.period.end, zone),
        "generated": moment(document.generated_at, zone),
        "style": mark_safe(STYLE),  # noqa: S308  a constant
        "policy": POLICY,
        "sections": [
            {
                "section": section,
                "charts": [_chart(chart, f"c{place}-{index}") for index, chart in enumerate(section.charts)],
                "tables": [
                    {
                        "table": table,
                        "columns": list(zip(table.columns, numeric(table), strict=True)),
                        "rows": [[shown(cell) for cell in row] for row in table.rows],
                    }
                    for table in section.tables
                ],
            }
            for place, section in enumerate(document.sections)
        ],
    }
    return render_to_string("compliance/report.html", context).encode("utf-8", "replace")


def shown(cell: Cell) -> tuple[str, bool]:
    """The cell as text, and whether it is a number."""
    if cell is None:
        return "", False
    return (cell, False) if isinstance(cell, str) else (number(cell), True)


def numeric(table: Table) -> list[bool]:
    """Of each column whether it holds numbers, and nothing else but empty cells."""
    columns = [[cell for cell in column if cell not in (None, "")] for column in zip(*table.rows, strict=True)]
    return [bool(column) and not any(isinstance(cell, str) for cell in column) for column in columns] or [False] * len(
        table.columns
    )


def numbers(chart: Chart) -> Table:
    """The same numbers as a table: a year's months side by side where they fit, else one below the other."""
    values = [tuple(number(value) for value in series.values) for series in chart.series]
    if len(chart.labels) <= _SIDE_BY_SIDE and all(len(text) <= _SHORT for texts in values for text in texts):
        rows = tuple((series.name, *texts) for series, texts in zip(chart.series, values, strict=True))
        return Table(title=chart.title, columns=("", *chart.labels), rows=rows)
    columns = ("", *(series.name for series in chart.series))
    below = tuple((label, *(texts[place] for texts in values)) for place, label in enumerate(chart.labels))
    return Table(title=chart.title, columns=columns, rows=below)


def svg(drawing: Drawing, name: str) -> SafeString:
    """The drawing, with its title and description for those who do not see it; `name` is unique in its page."""
    return format_html(
        '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="{0}-t {0}-d" viewBox="0 0 {1} {2}"'
        ' font-size="{3}"><title id="{0}-t">{4}</title><desc id="{0}-d">{5}</desc>{6}</svg>',
        name,
        drawing.width,
        drawing.height,
        SIZE,
        drawing.title,
        drawing.description,
        format_html_join("", "{}", ((_shape(shape),) for shape in drawing.shapes)),
    )


def _chart(chart: Chart, name: str) -> dict[str, Any]:
    return {
        "chart": chart,
        "svg": svg(draw(chart), name),
        "numbers": numbers(chart),
    }


def _shape(shape: Shape) -> SafeString:
    match shape:
        case Box():
            return format_html(
                '<rect x="{}" y="{}" width="{}" height="{}" fill="{}">{}</rect>',
                *(f"{at:.1f}" for at in (shape.x, shape.y, shape.width, shape.height)),
                shape.colour,
                _title(shape.title),
            )
        case Path():
            return format_html(
                '<polyline fill="none" stroke="{}" stroke-width="{}" points="{}"/>',
                shape.colour,
                shape.width,
                " ".join(f"{x:.1f},{y:.1f}" for x, y in shape.points),
            )
        case Dot():
            return format_html(
                '<circle cx="{}" cy="{}" r="{}" fill="{}">{}</circle>',
                *(f"{at:.1f}" for at in (shape.x, shape.y, shape.radius)),
                shape.colour,
                _title(shape.title),
            )
        case Words():
            return format_html(
                '<text x="{}" y="{}" text-anchor="{}" fill="{}">{}</text>',
                f"{shape.x:.1f}",
                f"{shape.y:.1f}",
                shape.anchor,
                shape.colour,
                shape.text,
            )


def _title(text: str) -> SafeString | str:
    return format_html("<title>{}</title>", text) if text else ""
