"""Documents as HTML, PDF and CSV: what is in them is read back from the files."""

import csv
import io
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pypdfium2
import pytest

from compliance.reporting import drawing
from compliance.reporting.document import BadDocument, Chart, Document, Figure, Period, Section, Series, Table
from compliance.reporting.page import svg
from compliance.reporting.rendering import FORMATS, UnknownFormat, file_name, render

BERLIN = ZoneInfo("Europe/Berlin")
YEAR = Period(start=datetime(2025, 1, 1, tzinfo=UTC), end=datetime(2026, 1, 1, tzinfo=UTC))
HOSTILE = [
    "<script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    "=cmd|'/C calc'!A0",
    "\u202eevil\u202c עברית العربية",
    "x" * 10_000,
    "😀 \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "a\x00b\x07c\ud800",
    "{{ 7*7 }} {% debug %} <b>&amp;",
    "Ελληνικά Кириллица Łódź ſ ﬁ",
    "",
    "\n\t\r",
]


def document(*sections: Section, **more: Any) -> Document:
    given: dict[str, Any] = {
        "template": "example",
        "title": "Example",
        "tenant": "Acme",
        "period": YEAR,
        "generated_at": datetime(2026, 1, 2, 8, 30, tzinfo=UTC),
        "time_zone": BERLIN.key,
        "summary": "All is well.",
        "sections": sections,
    }
    return Document(**{**given, **more})


def chart(*values: float | None, kind: Any = "bar", names: tuple[str, ...] = ("Things",)) -> Chart:
    labels = tuple(f"2025-{n + 1:02}" for n in range(len(values)))
    return Chart(
        kind=kind,
        title="Chart",
        unit="things",
        labels=labels,
        series=tuple(Series(name=n, values=values) for n in names),
    )


def pages(content: bytes) -> list[str]:
    with pypdfium2.PdfDocument(content) as pdf:
        return [page.get_textpage().get_text_range() for page in pdf]


def lines(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


class Tags(HTMLParser):
    """Which tags and attributes a page has, whether they close, and what it says outside its style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.said = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said += data


def test_the_same_document_gives_the_same_bytes() -> None:
    table = Table(title="T", columns=("A", "B"), rows=(("x", 1), ("y", None)))
    made = document(
        Section(title="One", figures=(Figure(label="F", value=None),), charts=(chart(1, 2),), tables=(table,))
    )
    for format_ in FORMATS:
        assert render(made, format_) == render(made, format_)
    other = replace(made, generated_at=datetime(2026, 1, 3, tzinfo=UTC))
    assert render(other, "pdf") != render(made, "pdf")
    assert file_name(made, "pdf") == "example-2025-01-01-2026-01-01.pdf"
    with pytest.raises(UnknownFormat, match="html, pdf, csv"):
        render(made, "docx")


def test_whatever_a_name_is_it_stays_text() -> None:
    tables = tuple(Table(title=one, columns=("A", one), rows=((one, 1),)) for one in HOSTILE)
    figures = tuple(Figure(label=one, value=one, note=one) for one in HOSTILE)
    charts = (
        Chart(
            kind="stacked",
            title=HOSTILE[0],
            unit=HOSTILE[1],
            labels=tuple(HOSTILE),
            series=tuple(Series(name=one, values=(1.0,) * len(HOSTILE)) for one in HOSTILE),
        ),
    )
    sections = tuple(Section(title=one, note=one) for one in HOSTILE)
    inside = Section(title="All", figures=figures, charts=charts, tables=tables)
    for one in HOSTILE:
        made = document(*sections, inside, title=one, tenant=one, summary=one)
        page = Tags(render(made, "html").decode())
        assert not page.open
        assert not page.tags & {"script", "img", "b", "iframe", "link", "object", "a"}
        assert not any(name.startswith("on") or name == "style" for name in page.attributes)
        assert "alert(1)" in page.said
        assert "{{ 7*7 }}" in page.said
        for cell in (cell for line in lines(render(made, "csv")) for cell in line):
            assert not cell.startswith(("=", "\t", "\r", "\n")), cell
        if one in HOSTILE[3:5]:
            assert len(pages(render(made, "pdf"))) > 1


def test_the_page_loads_and_runs_nothing() -> None:
    text = render(document(Section(title="One", charts=(chart(1, 2),))), "html").decode()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert "default-src" in policy
    assert "unsafe" not in policy
    assert not re.search(r"(src|href)=", text)
    assert "url(" not in text


def test_the_pdf_has_its_letters_and_shows_where_it_has_none() -> None:
    made = document(
        Section(
            title="Names",
            tables=(Table(title="T", columns=("A",), rows=(("Ελληνικά Кириллица Łódź",), ("日本 עברית",))),),
        ),
        tenant="Æther Ω Ж",
    )
    content = render(made, "pdf")
    text = "".join(pages(content))
    assert "Ελληνικά Кириллица Łódź" in text
    assert "Æther Ω Ж" in text
    assert text.count("\ufffd") == 7
    assert b"/Lang (en)" in content
    with pypdfium2.PdfDocument(content) as pdf:
        told = pdf.get_metadata_dict()
        assert [entry.get_title() for entry in pdf.get_toc()] == ["Names"]
    assert told["Title"] == "Example, Æther Ω Ж"
    assert told["CreationDate"] == "D:20260102083000+00'00'"


def test_a_long_table_breaks_over_pages_under_its_head_again() -> None:
    rows = tuple((f"Row {n}", n) for n in range(1, 201))
    made = document(
        Section(title="Long", tables=(Table(title="T", columns=("Name", "Number"), rows=rows, truncated=9),))
    )
    found = pages(render(made, "pdf"))
    assert len(found) > 3
    for number, text in enumerate(found, start=1):
        assert f"Page {number} of {len(found)}" in text
        assert "Example · Acme" in text
        assert "Number" in text
    assert "9 more are not shown." in found[-1]
    said = Tags(render(made, "html").decode()).said
    assert "9 more are not shown." in said
    assert lines(render(made, "csv"))[-1] == ["Long", "T", "", "Rows not shown", "9"]


def test_the_csv_has_a_line_for_each_number() -> None:
    table = Table(title="T", columns=("Name", "Number"), rows=(('say "hi", you', -1.5), ("second", None)))
    made = document(
        Section(title="S", note="N", figures=(Figure(label="F", value="7"),), charts=(chart(1, None),), tables=(table,))
    )
    content = render(made, "csv")
    found = lines(content)
    assert {len(line) for line in found} == {5}
    assert found[0] == ["Section", "Part", "Row", "Column", "Value"]
    assert found[-8:] == [
        ["S", "Note", "", "", "N"],
        ["S", "Figure", "F", "", "7"],
        ["S", "Chart", "2025-01", "Things", "1"],
        ["S", "Chart", "2025-02", "Things", ""],
        ["S", "T", "1", "Name", 'say "hi", you'],
        ["S", "T", "1", "Number", "-1.5"],
        ["S", "T", "2", "Name", "second"],
        ["S", "T", "2", "Number", ""],
    ]
    assert b"\r\n" in content


@pytest.mark.parametrize("kind", ["bar", "line", "stacked"])
@pytest.mark.parametrize(
    "values",
    [(), (5,), (0, 0, 0), (None, None), (1, None, 3), (float("nan"), float("inf"), -4), (1e15, 0.25), (3,) * 366],
)
def test_a_chart_of_any_numbers_is_drawn_within_its_plane(kind: Any, values: tuple[Any, ...]) -> None:
    made = chart(*values, kind=kind, names=("One", "Two", "Three"))
    found = drawing.draw(made)
    for shape in found.shapes:
        points = shape.points if isinstance(shape, drawing.Path) else [(shape.x, shape.y)]
        for x, y in points:
            assert 0 <= x <= found.width
            assert 0 <= y <= found.height
        if isinstance(shape, drawing.Box):
            assert shape.height >= 0
            assert shape.y + shape.height <= found.height
    words = [shape.text for shape in found.shapes if isinstance(shape, drawing.Words)]
    known = [v for v in values if v is not None and v == v and abs(v) != float("inf")]
    assert (drawing.NOTHING in words) == bool(known and not any(known))
    assert (drawing.UNKNOWN in words) == (not known)
    assert {"One", "Two", "Three"} <= set(words)
    picture = ET.fromstring(svg(found, "c"))
    assert picture.attrib["role"] == "img"
    assert picture[0].text == "Chart (things)"
    assert picture[1].text == found.description
    if kind != "stacked":
        assert render(document(Section(title="S", charts=(made,))), "pdf")
    assert render(document(Section(title="S", charts=(made,))), "html")


def test_values_stand_as_high_as_they_are() -> None:
    found = drawing.draw(chart(2, 4, 0))
    two, four = [shape for shape in found.shapes if isinstance(shape, drawing.Box)]
    assert four.height == pytest.approx(2 * two.height)
    stacked = drawing.draw(chart(2, 4, kind="stacked", names=("One", "Two")))
    boxes = [shape for shape in stacked.shapes if isinstance(shape, drawing.Box) and shape.title]
    assert boxes[1].y + boxes[1].height == pytest.approx(boxes[0].y)
    line = drawing.draw(chart(1, None, 3, 4, kind="line"))
    assert sum(isinstance(shape, drawing.Dot) for shape in line.shapes) == 3
    paths = [shape for shape in line.shapes if isinstance(shape, drawing.Path) and shape.width == 2]
    assert [len(path.points) for path in paths] == [2]
    assert "between 1 and 4, the most in 2025-04" in line.description


def test_days_are_labelled_in_full_and_within_the_edge() -> None:
    month = Period(start=datetime(2026, 3, 1, tzinfo=UTC), end=datetime(2026, 4, 1, tzinfo=UTC))
    labels = tuple(part.label for part in month.parts(ZoneInfo("UTC")))
    series = (Series(name="s", values=(1.0,) * 31),)
    found = drawing.draw(Chart(kind="bar", title="C", unit="u", labels=labels, series=series))
    words = [shape for shape in found.shapes if isinstance(shape, drawing.Words) and shape.text.startswith("2026")]
    assert words[0].text == "2026-03-01"
    assert len(words) >= 7
    assert not any("…" in shape.text for shape in words)


def test_a_period_has_its_days_and_months_by_the_clocks_there() -> None:
    start = datetime(2026, 3, 28, 23, tzinfo=UTC)
    # The night in which Berlin's clocks go forward: the 29th has 23 hours.
    days = Period(start=start, end=datetime(2026, 3, 30, 22, tzinfo=UTC)).parts(BERLIN)
    assert [(part.label, (part.end - part.start).total_seconds() / 3600) for part in days] == [
        ("2026-03-29", 23),
        ("2026-03-30", 24),
    ]
    # The 24th begins at 1 o'clock in Cairo.
    cairo = Period(start=datetime(2026, 4, 22, 22, tzinfo=UTC), end=datetime(2026, 4, 25, 21, tzinfo=UTC))
    found = cairo.parts(ZoneInfo("Africa/Cairo"))
    assert [part.label for part in found] == ["2026-04-23", "2026-04-24", "2026-04-25"]
    assert [(part.end - part.start).total_seconds() / 3600 for part in found] == [24, 23, 24]
    months = YEAR.parts(BERLIN)
    assert [part.label for part in months][:2] == ["2025-01", "2025-02"]
    # From 1 o'clock of the first day to 1 o'clock of the day after the last.
    assert months[-1].label == "2026-01"
    assert (months[0].start, months[-1].end) == (YEAR.start, YEAR.end)
    assert all(one.end == other.start for one, other in pairwise(months))
    assert YEAR.days(BERLIN) == (date(2025, 1, 1), date(2026, 1, 1))


def test_what_does_not_fit_is_no_document() -> None:
    with pytest.raises(BadDocument, match="one value for each label"):
        Chart(kind="bar", title="C", unit="u", labels=("a",), series=(Series(name="s", values=()),))
    with pytest.raises(BadDocument, match="one cell for each column"):
        Table(title="T", columns=("A", "B"), rows=(("x",),))
    with pytest.raises(BadDocument, match="before it begins"):
        Period(start=YEAR.end, end=YEAR.start)
    with pytest.raises(BadDocument, match="367 days"):
        Period(start=YEAR.start, end=datetime(2027, 1, 1, tzinfo=UTC))
    with pytest.raises(BadDocument, match="UTC"):
        Period(start=datetime(2025, 1, 1), end=YEAR.end)  # noqa: DTZ001
