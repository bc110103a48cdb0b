"""A report as PDF: A4, page by page, with one font that is in the file. The same document gives the same bytes."""

import io
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path as FilePath
from typing import Any
from unicodedata import bidirectional, category, normalize
from xml.sax.saxutils import escape

from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    KeepTogether,
    PageTemplate,
    Paragraph,
    Spacer,
)
from reportlab.platypus import (
    Table as PrintedTable,
)

from compliance.reporting.document import Chart, Document, Figure, Section, Table, moment
from compliance.reporting.drawing import FAINT, GRID, INK, SIZE, Box, Dot, Drawing, Path, Words, draw, number
from compliance.reporting.page import shown
from kaireon.lib.product import NAME

# DejaVu Sans Condensed 2.37: Latin, Greek, Cyrillic, Armenian, Georgian and signs; see fonts/LICENSE.
_FONTS = FilePath(__file__).parent / "fonts"
_FACES = {"Report": "DejaVuSansCondensed.ttf", "Report-Bold": "DejaVuSansCondensed-Bold.ttf"}
# What stands for a character that cannot be shown.
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# A cell must fit on a page; the page and the CSV have all of it.
_MOST = 400
_MARGIN = 18 * mm
_WIDTH = A4[0] - 2 * _MARGIN


def write(document: Document) -> bytes:
    """The whole file. Texts are cut after 400 characters, and what the font has not is a replacement character.

    Scripts written from right to left are replaced as well: set in the wrong order they would say something else.
    """
    sink = io.BytesIO()
    made = document.generated_at.strftime("D:%Y%m%d%H%M%S+00'00'")

    def canvas(*args: Any, **kwargs: Any) -> Canvas:
        numbered = _Numbered(*args, **kwargs, footer=f"{_text(document.title)} · {_text(document.tenant, 60)}")
        numbered.setDateFormatter(lambda *_: made)
        numbered.setViewerPreference("DisplayDocTitle", "true")
        return numbered

    outlined = _Outlined(
        sink,
        pagesize=A4,
        invariant=1,
        lang="en",
        title=f"{_text(document.title)}, {_text(document.tenant)}",
        author=NAME,
        subject=f"{moment(document.period.start, document.zone)} to {moment(document.period.end, document.zone)}",
        creator=NAME,
    )
    outlined.addPageTemplates(
        PageTemplate(id="page", frames=[Frame(_MARGIN, _MARGIN, _WIDTH, A4[1] - 2 * _MARGIN, 0, 0, 0, 0)])
    )
    outlined.build(_story(document), canvasmaker=canvas)
    return sink.getvalue()


class _Numbered(Canvas):
    """Writes `Page 1 of 3` when it knows how many there are."""

    def __init__(self, *args: Any, footer: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._footer = footer
        self._pages: list[dict[str, Any]] = []

    def showPage(self) -> None:
        self._pages.append(dict(self.__dict__))
        self._startPage()  # type: ignore[attr-defined]

    def save(self) -> None:
        for place, page in enumerate(self._pages, start=1):
            self.__dict__.update(page)
            self.setFont("Report", 8)
            self.setFillColor(HexColor(FAINT))
            self.drawString(_MARGIN, 10 * mm, self._footer)
            self.drawRightString(A4[0] - _MARGIN, 10 * mm, f"Page {place} of {len(self._pages)}")
            super().showPage()
        super().save()


class _Outlined(BaseDocTemplate):
    """Puts each section into the outline."""

    def afterFlowable(self, flowable: Flowable) -> None:
        if isinstance(flowable, _Heading):
            key = f"section-{self.page}-{flowable.words}"
            self.canv.bookmarkPage(key)
            self.canv.addOutlineEntry(flowable.words, key, level=0)


class _Heading(Paragraph):
    def __init__(self, words: str) -> None:
        super().__init__(escape(words), _styles()["section"])
        self.words = words


class _Picture(Flowable):
    """A drawing as broad as the page, in the shapes that the page has too."""

    def __init__(self, drawing: Drawing) -> None:
        super().__init__()
        self.drawing = drawing
        self.scale = _WIDTH / drawing.width
        self.width, self.height = _WIDTH, drawing.height * self.scale

    def draw(self) -> None:
        self.canv.saveState()
        self.canv.scale(self.scale, self.scale)
        for shape in self.drawing.shapes:
            match shape:
                case Box():
                    self.canv.setFillColor(HexColor(shape.colour))
                    at = self._up(shape.y + shape.height)
                    self.canv.rect(shape.x, at, shape.width, shape.height, stroke=0, fill=1)
                case Path():
                    self._path(shape)
                case Dot():
                    self.canv.setFillColor(HexColor(shape.colour))
                    self.canv.circle(shape.x, self._up(shape.y), shape.radius, stroke=0, fill=1)
                case Words():
                    self._words(shape)
        self.canv.restoreState()

    def _path(self, shape: Path) -> None:
        path = self.canv.beginPath()
        for place, (x, y) in enumerate(shape.points):
            (path.lineTo if place else path.moveTo)(x, self._up(y))
        self.canv.setStrokeColor(HexColor(shape.colour))
        self.canv.setLineWidth(shape.width)
        self.canv.drawPath(path, stroke=1, fill=0)

    def _words(self, shape: Words) -> None:
        self.canv.setFillColor(HexColor(shape.colour))
        self.canv.setFont("Report", SIZE)
        say = {"start": self.canv.drawString, "middle": self.canv.drawCentredString, "end": self.canv.drawRightString}
        say[shape.anchor](shape.x, self._up(shape.y), _text(shape.text))

    def _up(self, y: float) -> float:
        """PDF counts from below."""
        return self.drawing.height - y


def _story(document: Document) -> list[Flowable]:
    zone = document.zone
    about = (
        f"{document.tenant}, from {moment(document.period.start, zone)} up to {moment(document.period.end, zone)}."
        f" Made {moment(document.generated_at, zone)}. Times are of {document.time_zone}."
    )
    story = [
        _paragraph(document.title, "title"),
        _paragraph(about, "fine"),
        Spacer(1, 6),
        _paragraph(document.summary, "summary", most=2_000),
    ]
    for section in document.sections:
        story.extend(_section(section))
    return story


def _section(section: Section) -> Iterable[Flowable]:
    yield _Heading(_text(section.title))
    if section.note:
        yield _paragraph(section.note, "fine", most=2_000)
    if section.figures:
        yield _figures(section.figures)
    for chart in section.charts:
        yield KeepTogether([_paragraph(f"{chart.title}, {chart.unit}", "caption"), _Picture(draw(chart))])
        yield _printed(_numbers(chart), titled=False)
    for table in section.tables:
        yield _paragraph(table.title, "caption")
        yield _printed(table) if table.rows else _paragraph("None in this period.", "fine")
        if table.truncated:
            yield _paragraph(f"{table.truncated:,} more are not shown.", "fine")


def _figures(figures: tuple[Figure, ...]) -> Flowable:
    """Four in a row."""
    cells = [
        [
            _paragraph(figure.label, "fine"),
            _paragraph("no data" if figure.value is None else figure.value, "figure"),
            *([_paragraph(figure.note, "fine")] if figure.note else []),
        ]
        for figure in figures
    ]
    rows = [cells[at : at + 4] for at in range(0, len(cells), 4)]
    rows[-1].extend([""] * (4 - len(rows[-1])))  # type: ignore[list-item]
    style = [("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)]
    return PrintedTable(rows, colWidths=[_WIDTH / 4] * 4, style=style, hAlign="LEFT")


def _numbers(chart: Chart) -> Table:
    """The chart as a table of the same numbers."""
    return Table(
        title=chart.title,
        columns=("", *(series.name for series in chart.series)),
        rows=tuple(
            (label, *(number(series.values[place]) for series in chart.series))
            for place, label in enumerate(chart.labels)
        ),
    )


def _printed(table: Table, *, titled: bool = True) -> Flowable:
    """Breaks over pages, and repeats its head on each."""
    rows = [[shown(cell) for cell in row] for row in table.rows]
    numeric = [bool(rows) and all(is_number or not text for text, is_number in column) for column in zip(*rows)]  # noqa: B905
    if not titled:
        numeric = [place > 0 for place in range(len(table.columns))]
    numeric = numeric or [False] * len(table.columns)
    styles = ["number" if one else "cell" for one in numeric]
    body = [[_paragraph(text, style) for (text, _), style in zip(row, styles, strict=True)] for row in rows]
    head = [_paragraph(name, f"{style}-head") for name, style in zip(table.columns, styles, strict=True)]
    ruled: list[Any] = [
        ("LINEBELOW", (0, 0), (-1, 0), 0.75, HexColor(FAINT)),
        ("LINEBELOW", (0, 1), (-1, -1), 0.5, HexColor(GRID)),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("TOPPADDING", (0, 0), (-1, -1), 2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
    ]
    texts = [list(table.columns), *([text for text, _ in row] for row in rows)]
    return PrintedTable([head, *body], colWidths=_widths(texts), repeatRows=1, style=ruled, hAlign="LEFT", spaceAfter=8)


def _widths(texts: list[list[str]]) -> list[float]:
    """By what stands in the columns, none less than it needs for a short word and none more than half of the page."""
    wanted = [
        min(_WIDTH / 2, max(pdfmetrics.stringWidth(_text(text, 80), "Report-Bold", 8.5) for text in column) + 10)
        for column in zip(*texts, strict=True)
    ]
    whole = sum(wanted)
    return [width * _WIDTH / whole for width in wanted]


def _paragraph(text: str, style: str, *, most: int = _MOST) -> Paragraph:
    return Paragraph(escape(_text(text, most)), _styles()[style])


def _text(text: str, most: int = _MOST) -> str:
    """What the font can show of it, on one line, cut after `most` characters."""
    known = _letters()
    cut = text if len(text) <= most else f"{text[: most - 1]}…"
    return "".join(_shown(letter, known) for letter in normalize("NFC", cut))


def _shown(letter: str, known: Collection[int]) -> str:
    if letter.isspace():
        return " "
    if category(letter)[0] == "C" or bidirectional(letter) in ("R", "AL", "AN") or ord(letter) not in known:
        return REPLACEMENT
    return letter


@cache
def _letters() -> Collection[int]:
    """Registers the font; gives the characters that both its faces have."""
    faces = [TTFont(name, str(_FONTS / file)) for name, file in _FACES.items()]
    for face in faces:
        pdfmetrics.registerFont(face)
    return frozenset.intersection(*(frozenset(face.face.charToGlyph) for face in faces))


@cache
def _styles() -> dict[str, ParagraphStyle]:
    plain = ParagraphStyle("cell", fontName="Report", fontSize=8.5, leading=11, textColor=HexColor(INK))
    bold = "Report-Bold"
    return {
        "cell": plain,
        "number": ParagraphStyle("number", plain, alignment=TA_RIGHT),
        "cell-head": ParagraphStyle("cell-head", plain, fontName=bold),
        "number-head": ParagraphStyle("number-head", plain, fontName=bold, alignment=TA_RIGHT),
        "fine": ParagraphStyle("fine", plain, textColor=HexColor(FAINT)),
        "summary": ParagraphStyle("summary", plain, fontSize=10.5, leading=15),
        "title": ParagraphStyle("title", plain, fontName=bold, fontSize=18, leading=24, spaceAfter=2),
        "section": ParagraphStyle(
            "section", plain, fontName=bold, fontSize=13, leading=17, spaceBefore=16, spaceAfter=4, keepWithNext=1
        ),
        "caption": ParagraphStyle("caption", plain, fontName=bold, spaceBefore=10, spaceAfter=3, keepWithNext=1),
        "figure": ParagraphStyle("figure", plain, fontSize=14, leading=19),
    }
